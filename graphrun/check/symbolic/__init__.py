"""Node types as formulas of SymPy: their functions traced, the trace lowered; and such formulas as LaTeX.

Importing it needs SymPy, the extra ``symbolic``.
"""

from __future__ import annotations

from typing import Any

from graphrun.base.errors import UsageError

try:
    import sympy
except ModuleNotFoundError as missing:
    if missing.name != "sympy":
        raise
    raise UsageError("proofs and formulas need SymPy: pip install 'graphrun[symbolic]'") from None

from sympy.printing.latex import LatexPrinter, tex_greek_dictionary
from sympy.printing.latex import greek_letters_set as greek_letters

from graphrun.check.symbolic.lowering import Namespace, Number
from graphrun.declare.notation import LARGEST_DENOMINATOR

__all__ = ["Namespace", "Number", "latex"]

ESCAPES = {character: rf"\{character}" for character in "_#$%&{}"} | {
    "\\": r"\backslash{}",
    "^": r"\hat{}",
    "~": r"\sim{}",
}


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
