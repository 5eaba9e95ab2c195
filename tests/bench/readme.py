"""The README's table of speed, measured anew: python tests/bench/readme.py.

It takes about three minutes on a machine that does nothing else, and needs the extras `numba` and `jax`, gcc, and
`pip install autograd casadi torch`.
"""

from __future__ import annotations

import itertools

import native
import networks
from harness import ROOT, markdown

BEGIN, END = "<!-- measured by tests/bench/readme.py -->\n", "<!-- end of what is measured -->\n"


def main() -> None:
    """Measure everything, and put the table between the README's two marks."""
    lines = []
    for line in markdown(itertools.chain(native.rows(), networks.rows())):
        print(line, flush=True)
        lines.append(f"{line}\n")
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"the README lacks the marks {BEGIN}{END}")
    readme.write_text(f"{before}{BEGIN}{''.join(lines)}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
