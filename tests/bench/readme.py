"""The tables of speed, measured anew: python tests/bench/readme.py.

All of it goes into docs/engines.md, eight rows into the README. It takes about three minutes on a machine that
does nothing else, and needs the extras `numba` and `jax`, gcc, and `pip install autograd casadi torch`.
"""

from __future__ import annotations

from all import rows
from harness import markdown, write_between

HEAD = 2
IN_THE_README = {
    ("nested.yaml", "C -O3"),
    ("nested.yaml", "CasADi"),
    ("nested.yaml", "PyTorch eager"),
    ("wide, 105,000 nodes, each", "CasADi SX"),
    ("64-32-10", "hand-written JAX"),
    ("64-32-10", "PyTorch eager"),
    ("64-32-10", "hand-written NumPy"),
    ("convnet", "PyTorch eager"),
}
"""What is measured, and beside what: also where others are faster."""


def main() -> None:
    """Measure everything, and put the tables between the two marks of each page."""
    lines = []
    for line in markdown(rows()):
        print(line, flush=True)
        lines.append(line)
    write_between("docs/engines.md", "readme", lines)
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    chosen = [line for line, row in zip(lines, cells, strict=True) if (row[1], row[4]) in IN_THE_README]
    write_between("README.md", "readme", [*lines[:HEAD], *chosen])


if __name__ == "__main__":
    main()
