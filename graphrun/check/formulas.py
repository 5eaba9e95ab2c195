"""The formulas of an elementwise type, as SymPy expressions and as LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphrun.declare.formula import literal
from graphrun.declare.nodetype import NodeType
from graphrun.declare.trace import CannotTraceError

if TYPE_CHECKING:
    import sympy


@dataclass(frozen=True)
class ReadFormulas:
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
        from graphrun.check.symbolic import latex

        return latex(self.forward), tuple(None if part is None else latex(part) for part in self.local_derivatives)


def formulas(
    declared: NodeType, settings: Mapping[str, Any], inputs: Sequence[str], output: str | None = None
) -> ReadFormulas | None:
    """Return the formulas of a node; None for a tensor type, and for what is not made of the functions of `xp`.

    Args:
        declared: the node's type.
        settings: all of its settings; SymPy expressions stand for those that are left open.
        inputs: the names of its inputs, and numbers as text for literals.
        output: the node's own name, which its derivatives may then use; by default they are of the inputs alone.

    Raises:
        UsageError: SymPy is not installed.
    """
    # Imported here, for SymPy is an extra.
    from graphrun.check.symbolic.lowering import FormulaRecorder, read, read_derivatives

    if not declared.is_elementwise:
        return None
    recorder = FormulaRecorder()
    symbols = [_operand(text) for text in inputs]
    try:
        forward = read(recorder, declared.function, symbols, settings)
    except CannotTraceError:
        return None
    result = forward if output is None else _operand(output)
    try:
        parts = read_derivatives(recorder, declared, result, symbols, settings)
    except CannotTraceError:
        parts = (None,) * len(symbols)
    return ReadFormulas(forward, parts)


def _operand(text: str) -> sympy.Expr:
    import sympy

    from graphrun.check.symbolic.lowering import exact

    number = literal(text)
    return sympy.Symbol(text, real=True) if number is None else exact(number)
