"""Every row of speed beside its peers and its target, in one run.

    python tests/bench/all.py [--full] [SOURCE ...]

Quick, it takes fewer rounds, and about two minutes on a machine that does nothing else; what it needs says
`tests/bench/readme.py`, which writes the same rows into the pages. A SOURCE is one of the modules here.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness import Row, markdown

HERE = Path(__file__).parent
SOURCES = ("native", "networks", "layers")
QUICK_ROUNDS = 5


def rows(chosen: Iterable[str] = (), *, full: bool = True) -> Iterator[Row]:
    """Measure the rows of some modules, or of all."""
    for name in chosen or SOURCES:
        module = importlib.import_module(name)
        for timing in (module, importlib.import_module("networks")):
            if not full and hasattr(timing, "ROUNDS"):
                timing.ROUNDS = min(timing.ROUNDS, QUICK_ROUNDS)
        yield from module.rows()


def main() -> None:
    """Measure, print the table, and say what is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="*", metavar="SOURCE", help="the rows of native, networks or layers alone")
    parser.add_argument("--full", action="store_true", help="all rounds")
    asked = parser.parse_args()
    unknown = [name for name in asked.source if not (HERE / f"{name}.py").is_file()]
    if unknown:
        parser.error(f"there is no {unknown[0]}.py here")
    measured = []

    def noted() -> Iterator[Row]:
        for row in rows(asked.source, full=asked.full):
            measured.append(row)
            yield row

    for line in markdown(noted()):
        print(line, flush=True)
    aimed = [row for row in measured if row.target is not None]
    missed = [row for row in aimed if not row.met]
    print(f"\n{len(aimed) - len(missed)} of {len(aimed)} targets met")
    for row in missed:
        print(f"missed: {row.case}, {row.ours} / {row.theirs}: {row.ratio:.2f}, wanted {row.target:g}")


if __name__ == "__main__":
    main()
