"""The README's table of speed, measured anew: python tests/bench/readme.py.

It takes about three minutes on a machine that does nothing else, and needs the extras `numba` and `jax`, gcc, and
`pip install autograd casadi torch`.
"""

from __future__ import annotations

import itertools

import native
import networks
from harness import markdown, write_between


def main() -> None:
    """Measure everything, and put the table between the README's two marks."""
    lines = []
    for line in markdown(itertools.chain(native.rows(), networks.rows())):
        print(line, flush=True)
        lines.append(line)
    write_between("README.md", "readme", lines)


if __name__ == "__main__":
    main()
