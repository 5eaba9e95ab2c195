"""Whether an expression is zero: by rewriting it until it is, never by its value at some points."""

from __future__ import annotations

from collections.abc import Callable

import sympy

from graphrun.check.symbolic.cases import Case


def is_zero(expression: sympy.Expr, case: Case) -> bool:
    """Whether SymPy can show that an expression without conditions is zero in a case, whose signs simplify more."""
    if expression.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo):
        return False
    expression = with_signs(expression, case)
    if expression == 0:
        return True
    for rewrite in STEPS:
        expression = rewrite(expression)
        if expression == 0:
            return True
    return bool(sympy.simplify(expression) == 0)


def with_signs(expression: sympy.Expr, case: Case) -> sympy.Expr:
    """Put symbols that SymPy knows to be positive for those whose sign, or bound, the case knows."""
    for bound in case.region.bounds:
        symbols = [symbol for symbol in bound.free_symbols if not symbol.is_positive]
        if len(symbols) != 1 or len(bound.free_symbols) != 1:
            continue
        symbol = symbols[0]
        slope = sympy.diff(bound, symbol)
        if symbol.is_integer or not slope.is_number or not expression.has(symbol):
            continue
        distance = sympy.Dummy("d", positive=True)
        start = symbol - bound / slope
        expression = expression.subs(symbol, sympy.expand(start) + sympy.sign(slope) * distance)
    return expression


def _powers(expression: sympy.Expr) -> sympy.Expr:
    """Write powers of products and sums as products of powers, radicands in factors."""
    factored = expression.replace(
        lambda part: part.is_Pow and part.base.is_Add and not part.exp.is_integer,
        lambda part: sympy.factor(part.base) ** part.exp,
    )
    return sympy.expand(sympy.expand_power_base(factored))


def _numerator(expression: sympy.Expr) -> sympy.Expr:
    numerator, _ = sympy.fraction(sympy.together(expression))
    return sympy.expand(sympy.expand_power_exp(sympy.expand(numerator)))


STEPS: tuple[Callable[[sympy.Expr], sympy.Expr], ...] = (
    sympy.expand,
    _powers,
    _numerator,
    lambda expression: expression.rewrite(sympy.exp),
    sympy.expand,
    _numerator,
)
