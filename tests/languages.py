"""What several tests ask of the languages that are written: that a text is one of theirs."""

from __future__ import annotations

import re

LABEL = r'"[^"]*"'
SHAPES = "|".join(
    rf"{left}{LABEL}{right}"
    for left, right in [(r"\(\[", r"\]\)"), (r"\{\{", r"\}\}"), (r"\[\(", r"\)\]"), (">", r"\]"),
                        (r"\[/", r"/\]"), (r"\[", r"\]"), (r"\[\[", r"\]\]")]
)  # fmt: skip
MERMAID = [
    r"flowchart (LR|TB)",
    r"accTitle: [^\n]+",
    r"accDescr: [^\n]+",
    r"%% n\d+ is [^\n]+",
    rf"n\d+({SHAPES}):::\w+",
    rf"subgraph s\d+\[{LABEL}\]",
    "end",
    rf"n\d+ -->(\|{LABEL}\|)? n\d+",
    r"classDef \w+ [\w:#,-]+",
]
"""The lines of a flowchart as Mermaid's grammar has them, those that are written here."""


def assert_is_mermaid(text: str) -> None:
    """Assert that each line is one that Mermaid knows, and that what is opened is closed."""
    lines = [line.strip() for line in text.splitlines()]
    assert all(any(re.fullmatch(form, line) for form in MERMAID) for line in lines), text
    assert sum(line.startswith("subgraph") for line in lines) == lines.count("end")


def assert_is_latex(latex: str) -> None:
    """Assert that braces, environments and parentheses of a fragment are closed, each in its place."""
    text = re.sub(r"\\[\\&%$#_{}]", "", latex)
    depth = 0
    for character in text:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    open_ones: list[str] = []
    for kind, name in re.findall(r"\\(begin|end|left|right)\b(?:\{([a-z*]+)\})?", text):
        if kind in {"begin", "left"}:
            open_ones.append(name or "left")
        else:
            assert open_ones.pop() == (name or "left")
    assert open_ones == []
