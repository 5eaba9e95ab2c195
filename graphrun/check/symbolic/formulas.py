"""The formulas of an elementwise type, as SymPy expressions and as LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
from sympy.printing.latex import LatexPrinter, tex_greek_dictionary
from sympy.printing.latex import greek_letters_set as greek_letters

from graphrun.check.symbolic.constants import exact
from graphrun.check.symbolic.lowering import FormulaRecorder, read, read_derivatives
from graphrun.declare.nodetype import NodeType
from graphrun.declare.trace import CannotTraceError

LARGEST_DENOMINATOR = 12
"""Fractions are written as such up to this denominator, above as decimal numbers."""

ESCAPES = {character: rf"\{character}" for character in "_#$%&{}"} | {
    "\\": r"\backslash{}",
    "^": r"\hat{}",
    "~": r"\sim{}",
}


@dataclass(frozen=True)
class Formulas:
    """What a node computes.

    Attributes:
        forward: the value, of the inputs.
        local_derivatives: the derivative by each input; None where there is none, or it cannot be written down.
    """

    forward: sympy.Expr
    local_derivatives: tuple[sympy.Expr | None, ...]

    @property
    def latex(self) -> tuple[str, tuple[str | None, ...]]:
        """Both as LaTeX, for math mode."""
        return latex(self.forward), tuple(None if part is None else latex(part) for part in self.local_derivatives)


def formulas(
    declared: NodeType, settings: Mapping[str, Any], inputs: Sequence[str], output: str | None = None
) -> Formulas | None:
    """Return the formulas of a node; None for a tensor type, and for what is not made of the functions of `xp`.

    Args:
        declared: the node's type.
        settings: all of its settings; SymPy expressions stand for those that are left open.
        inputs: the names of its inputs, and numbers as text for literals.
        output: the node's own name, which its derivatives may then use; by default they are of the inputs alone.
    """
    if not declared.is_elementwise:
        return None
    recorder = FormulaRecorder()
    symbols = [_operand(text) for text in inputs]
    try:
        forward = read(recorder, declared.function, symbols, settings)
    except CannotTraceError:
        return None
    result = forward if output is None else sympy.Symbol(output, real=True)
    try:
        parts = read_derivatives(recorder, declared, result, symbols, settings)
    except CannotTraceError:
        parts = (None,) * len(symbols)
    return Formulas(forward, parts)


def _operand(text: str) -> sympy.Expr:
    if text[:1] in "+-." or text[:1].isdigit():
        return exact(float(text))
    return sympy.Symbol(text, real=True)


class Printer(LatexPrinter):  # type: ignore[misc]
    """SymPy's LaTeX with names as a graph file has them, and numbers as their author wrote them."""

    def _print_Symbol(self, symbol: sympy.Symbol, **_: Any) -> str:  # noqa: N802 (SymPy's name)
        return _name(symbol.name)

    def _print_Float(self, number: sympy.Float) -> str:  # noqa: N802 (SymPy's name)
        digits, _, exponent = f"{float(number):.6g}".partition("e")
        return digits if not exponent else rf"{digits} \cdot 10^{{{int(exponent)}}}"


def _name(name: str) -> str:
    if len(name) == 1 and name not in ESCAPES:
        return name
    if name in greek_letters:
        return str(tex_greek_dictionary.get(name, rf"\{name}"))
    return rf"\mathit{{{''.join(ESCAPES.get(character, character) for character in name)}}}"


def latex(expression: sympy.Expr) -> str:
    r"""Return an expression as LaTeX, for math mode: ``\frac{x}{1 + e^{- x}}``.

    Names of more than one letter, other than Greek ones, are set as words.
    """
    long = {number for number in expression.atoms(sympy.Rational) if number.q > LARGEST_DENOMINATOR}
    return str(Printer().doprint(expression.xreplace({number: sympy.Float(float(number)) for number in long})))
