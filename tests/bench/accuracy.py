"""The table of docs/accuracy.md, measured anew: python tests/bench/accuracy.py [POINTS].

It takes some minutes, and needs the extras `numba` and `jax`, and mpmath.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "nodes"))

from audit import DTYPES, ENGINES, TENSOR_ENGINES, TYPES, Row, audit_elementwise, audit_tensor
from harness import write_between

POINTS = 40
HEAD = (
    "| type | engine | dtype | value, ulp | at | derivative, ulp | at |",
    "| --- | --- | --- | ---: | --- | ---: | --- |",
)


def rows(points: int) -> Iterator[Sequence[Row]]:
    """Yield for each type, engine and dtype the worst errors of the value and of the derivatives."""
    for name, node_type in TYPES.items():
        for dtype in DTYPES:
            for engine in ENGINES if node_type.is_elementwise else TENSOR_ENGINES:
                found = audit_elementwise(name, engine, dtype, points) if node_type.is_elementwise else None
                yield list(found or audit_tensor(name, engine, dtype))


def line(value: Row, derivative: Row) -> str:
    """Return a line of the table."""
    errors = [cell for row in (value, derivative) for cell in (f"{row.error:.2g}", row.where)]
    return f"| {' | '.join([value.type, value.engine, value.dtype, *errors])} |"


def main() -> None:
    """Measure everything, and put the table between the page's two marks."""
    lines = list(HEAD)
    print(*lines, sep="\n")
    for found in rows(int(sys.argv[1]) if len(sys.argv) > 1 else POINTS):
        lines.append(line(*found))
        print(lines[-1], flush=True)
    write_between("docs/accuracy.md", "accuracy", lines)


if __name__ == "__main__":
    main()
