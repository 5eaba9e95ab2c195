"""A page as a fragment of LaTeX, to be included in an article that uses the package amsmath."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from graphrun.base.numbertext import number
from graphrun.declare.notation import (
    ATOM,
    CHOICE,
    COMPARISON,
    NOT,
    POWER,
    PRODUCT,
    SIGN,
    SUM,
    TEXT_FORMS,
    Bound,
    Form,
    readable_number,
    signed,
)
from graphrun.show.explain.board import BoardNotation
from graphrun.show.explain.page import Block, CellTable, Equations, Heading, Math, MathRow, Page, Paragraph, Prose

ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': r"\textquotedbl{}",
    # After the end of a row it would begin an option.
    "[": "{[}",
} | {character: f"\\{character}" for character in "&%$#_{}"}

GREEK_CAPITALS = {"gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega"}
"""The capitals that LaTeX has commands for; the others look like Latin ones."""

LONGEST_LINE = 70
"""A calculation of more characters of plain text goes on in a new line at each sign of equality."""


FORMS = (
    TEXT_FORMS
    | {
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
    }
    | {
        name: Form(rf"\{name}\left({{0}}\right)", ATOM, (CHOICE,))
        for name in ("log", "sin", "cos", "tan", "sinh", "cosh", "tanh")
    }
)


def _name(name: str) -> str:
    """Return a value's name: a letter as it is, digits after a letter below it, words upright."""
    lettered = re.fullmatch(r"(.)(?:_?([0-9]+))?", name)
    letter = _letter(lettered[1]) if lettered else None
    if lettered is None or letter is None:
        return _words(name)
    return f"{letter}_{{{lettered[2]}}}" if lettered[2] else letter


def _words(text: str) -> str:
    return rf"\text{{{escape(text)}}}"


def _function(name: str, arity: int) -> Form:
    name = escape(name).replace("{", "{{").replace("}", "}}")
    inputs = ", ".join(f"{{{k}}}" for k in range(arity))
    return Form(rf"\operatorname{{{{{name}}}}}\left({inputs}\right)", ATOM, (CHOICE,) * arity)


def _number(value: float, kind: str) -> Bound:
    text, binding = readable_number(value, kind)
    return (rf"\tfrac{{{text.replace('/', '}{')}}}", SIGN) if "/" in text else (_power_of_ten(text), binding)


def _decimal(value: float) -> Bound:
    text, binding = signed(number(value))
    return _power_of_ten(text), PRODUCT if "e" in text else binding


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


LATEX = BoardNotation(
    forms=FORMS,
    function=_function,
    number=_number,
    decimal=_decimal,
    enclosed=r"\left({}\right)",
    name=_name,
    words=_words,
    derivative_form=r"\frac{{\partial {0}}}{{\partial {1}}}",
    new_form=r"{0}_{{\text{{new}}}}",
    is_text=False,
)
"""Mathematics as LaTeX writes it."""


def render(page: Page) -> str:
    """Return a page as LaTeX; its mathematics was written in `LATEX`."""
    lines = [r"% needs \usepackage{amsmath}, and \usepackage[T1]{fontenc}"]
    for block in page:
        lines += _block(block)
    return "".join(f"{line}\n" for line in lines)


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Heading):
        yield rf"\{'sub' * (block.level - 1)}section*{{{_prose(block.prose)}}}"
    elif isinstance(block, Paragraph):
        yield ""
        yield _prose(block.prose)
    elif isinstance(block, CellTable):
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


def _row(row: MathRow) -> str:
    sign = r"\mathrel{+}=" if row.gets else "="
    parts = [part for part in (row.formula, row.numbers, row.result) if part]
    is_long = sum(len(re.sub(r"\\[a-z]+|[{}]", "", part)) for part in parts) > LONGEST_LINE
    text = (r" \\ &= " if is_long else " = ").join(parts)
    note = rf" && \text{{{_prose(row.note)}}}" if row.note else ""
    return f"{row.left} &{sign} {text}{note}"


def _prose(prose: Prose) -> str:
    return "".join(f"${piece}$" if isinstance(piece, Math) else escape(piece) for piece in prose)
