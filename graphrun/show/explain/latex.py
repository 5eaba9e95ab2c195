"""A page as a fragment of LaTeX, to be included in an article that uses the package amsmath."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from graphrun.declare.formula import Bound, fill, setting_text
from graphrun.declare.operations import ATOM, CHOICE, COMPARISON, NOT, OPERATORS, POWER, PRODUCT, SIGN, SUM, Form
from graphrun.show.explain.notation import BoardText
from graphrun.show.explain.page import Block, Equations, Heading, Math, Page, Paragraph, Prose, Row, Table

ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': r"\textquotedbl{}",
} | {character: f"\\{character}" for character in "&%$#_{}"}

GREEK_CAPITALS = {"gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega"}
"""The capitals that LaTeX has commands for; the others look like Latin ones."""

LONGEST_LINE = 70
"""A calculation of more characters of plain text goes on in a new line at each sign of equality."""


class LatexNotation(BoardText):
    """Mathematics as LaTeX writes it."""

    is_text = False

    FORMS: ClassVar = {
        "multiply": Form(r"{0} \cdot {1}", PRODUCT, (PRODUCT, PRODUCT + 1)),
        "divide": Form(r"\frac{{{0}}}{{{1}}}", SIGN, (CHOICE, CHOICE)),
        "pow": Form(r"{0}^{{{1}}}", POWER, (POWER + 1, CHOICE)),
        "exp": Form(r"e^{{{0}}}", POWER, (CHOICE,)),
        "sqrt": Form(r"\sqrt{{{0}}}", ATOM, (CHOICE,)),
        "abs": Form(r"\left|{0}\right|", ATOM, (CHOICE,)),
        "floor": Form(r"\left\lfloor{0}\right\rfloor", ATOM, (CHOICE,)),
        "ceil": Form(r"\left\lceil{0}\right\rceil", ATOM, (CHOICE,)),
        "where": Form(
            r"\begin{{cases}}{1} & \text{{where }}{0}\\{2} & \text{{otherwise}}\end{{cases}}",
            SUM,
            (NOT, CHOICE, CHOICE),
        ),
        "equal": Form(r"{0} = {1}", COMPARISON, (SUM, SUM)),
        "not_equal": Form(r"{0} \ne {1}", COMPARISON, (SUM, SUM)),
        "less_equal": Form(r"{0} \le {1}", COMPARISON, (SUM, SUM)),
        "greater_equal": Form(r"{0} \ge {1}", COMPARISON, (SUM, SUM)),
        "logical_and": Form(r"{0} \land {1}", CHOICE, (NOT, NOT)),
        "logical_or": Form(r"{0} \lor {1}", CHOICE, (NOT, NOT)),
        "logical_xor": Form(r"{0} \oplus {1}", CHOICE, (NOT, NOT)),
        "logical_not": Form(r"\lnot {0}", NOT, (COMPARISON,)),
        "remainder": Form(r"{0} \bmod {1}", PRODUCT, (PRODUCT + 1, PRODUCT + 1)),
        "floor_divide": Form(r"\left\lfloor\frac{{{0}}}{{{1}}}\right\rfloor", ATOM, (CHOICE, CHOICE)),
        "matmul": Form(r"{0}\,{1}", PRODUCT, (PRODUCT, PRODUCT + 1)),
    } | {
        name: Form(rf"\{name}\left({{0}}\right)", ATOM, (CHOICE,))
        for name in ("log", "sin", "cos", "tan", "sinh", "cosh", "tanh")
    }

    def name(self, name: str) -> str:
        """Return a value's name: a letter as it is, digits after a letter below it, words upright."""
        lettered = re.fullmatch(r"(.)(?:_?([0-9]+))?", name)
        letter = _letter(lettered[1]) if lettered else None
        if lettered is None or letter is None:
            return rf"\text{{{escape(name)}}}"
        return f"{letter}_{{{lettered[2]}}}" if lettered[2] else letter

    def parenthesize(self, text: str) -> str:
        """Return a text in parentheses."""
        return rf"\left({text}\right)"

    def form(self, operation: str, arity: int) -> Form:
        """Return how an operation is written."""
        if operation in {"cast", "number"}:
            return Form("{0}", CHOICE, (CHOICE,))
        found = self.FORMS.get(operation) or OPERATORS.get(operation)
        if found is not None:
            return found
        inputs = ", ".join(f"{{{k}}}" for k in range(arity))
        name = escape(operation).replace("{", "{{").replace("}", "}}")
        return Form(rf"\operatorname{{{{{name}}}}}\left({inputs}\right)", ATOM, (CHOICE,) * arity)

    def number(self, value: float) -> Bound:
        """Return the text of a number."""
        text, binding = super().number(value)
        return (rf"\tfrac{{{text.replace('/', '}{')}}}", SIGN) if "/" in text else (_power_of_ten(text), binding)

    def decimal(self, value: float) -> Bound:
        """Return a number that was computed."""
        text, binding = super().decimal(value)
        return _power_of_ten(text), PRODUCT if "e" in text else binding

    def call(self, name: str, arguments: Sequence[Bound], settings: Mapping[str, Any]) -> Bound:
        """Return the text of a node type's call."""
        if name == "matmul" and not settings:
            return fill(self, self.FORMS["matmul"], arguments)
        words = [text for text, _ in arguments]
        words += [rf"\text{{{escape(f'{key}={setting_text(value)}')}}}" for key, value in settings.items()]
        return rf"\operatorname{{{escape(name)}}}\left({', '.join(words)}\right)", ATOM

    def derivative(self, of: str, by: str) -> str:
        """Return the derivative of one value by another."""
        return rf"\frac{{\partial {self.name(of)}}}{{\partial {self.name(by)}}}"

    def new(self, name: str) -> str:
        """Return the symbol of a value after the update."""
        return rf"{self.name(name)}_{{\text{{new}}}}"

    def words(self, text: str) -> str:
        """Return the summary of an array."""
        return rf"\text{{{escape(text)}}}"


def _letter(letter: str) -> str | None:
    """Return a letter in mathematics; None where LaTeX has none for it."""
    if letter.isascii() and letter.isalpha():
        return letter
    words = unicodedata.name(letter, "").replace("LAMDA", "LAMBDA").lower().split()
    if len(words) != 4 or words[0] != "greek" or words[2] != "letter" or words[3] == "omicron":
        return None
    if words[1] == "small":
        return f"\\{words[3]}"
    return f"\\{words[3].capitalize()}" if words[3] in GREEK_CAPITALS else None


def _power_of_ten(text: str) -> str:
    """Write 1.5e-7 as a product with a power of ten, and what is no finite number in signs."""
    special = {"inf": r"\infty", "-inf": r"-\infty", "NaN": r"\text{NaN}"}
    digits, _, exponent = text.partition("e")
    return rf"{digits} \cdot 10^{{{exponent}}}" if exponent else special.get(text, text)


def escape(text: str) -> str:
    """Return a text with nothing in it that LaTeX would read as a command."""
    return "".join(ESCAPED.get(character, character) for character in text)


def render(page: Page) -> str:
    """Return a page as LaTeX; its mathematics was written by `LatexNotation`."""
    lines = [r"% needs \usepackage{amsmath}, and \usepackage[T1]{fontenc}"]
    for block in page.blocks:
        lines += _block(block)
    return "".join(f"{line}\n" for line in lines)


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Heading):
        yield rf"\{'sub' * (block.level - 1)}section*{{{_prose(block.prose)}}}"
    elif isinstance(block, Paragraph):
        yield ""
        yield _prose(block.prose)
    elif isinstance(block, Table):
        yield rf"\begin{{center}}\begin{{tabular}}{{l{'r' * (len(block.header) - 1)}}}"
        for row in (block.header, *block.rows):
            yield rf"{' & '.join(_prose([cell]) for cell in row)} \\"
        yield r"\end{tabular}\end{center}"
    else:
        yield from _equations(block)


def _equations(equations: Equations) -> Iterator[str]:
    # A page ends where it is full, also within a long calculation.
    yield r"{\allowdisplaybreaks"
    yield r"\begin{align*}"
    rows = [(group.title if not k else "", row) for group in equations.groups for k, row in enumerate(group.rows)]
    for position, (title, row) in enumerate(rows):
        if title:
            yield rf"\intertext{{${title}$}}"
        yield _row(row) + (r" \\" if position < len(rows) - 1 else "")
    yield r"\end{align*}}"


def _row(row: Row) -> str:
    sign = r"\mathrel{+}=" if row.gets else "="
    parts = [part for part in (row.formula, row.numbers, row.result) if part]
    is_long = sum(len(re.sub(r"\\[a-z]+|[{}]", "", part)) for part in parts) > LONGEST_LINE
    text = (r" \\ &= " if is_long else " = ").join(parts)
    note = rf" && \text{{{_prose(row.note)}}}" if row.note else ""
    return f"{row.left} &{sign} {text}{note}"


def _prose(prose: Prose) -> str:
    return "".join(f"${piece}$" if isinstance(piece, Math) else escape(piece) for piece in prose)
