"""A formula by cases: on each of them every condition, absolute value and floor in it is decided.

A case says of some expressions that they are positive, negative or zero. `by_cases` finds the cases: it asks for the
formula's value in one that says nothing, and where a sign is missing it goes on with each of the three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import sympy
from sympy.core.relational import Relational

from graphrun.check.symbolic.lowering import Round, is_condition
from graphrun.check.symbolic.region import Region

MOST_CASES = 400
MOST_ROOTS = 4
"""The degree up to which the roots of every polynomial can be written down."""

MOST_DERIVATIVES = 4
"""How often an expression is differentiated to see its sign beside one of its zeros."""

Result = TypeVar("Result")
Substitution = Mapping[sympy.Symbol, sympy.Expr]


class CannotDecideError(Exception):
    """A formula that cannot be taken apart into cases."""


class MissingSignError(Exception):
    """A case does not say which sign an expression has; or, of its floor, whether it is a whole number."""

    def __init__(self, expression: sympy.Expr, *, whole: bool = False) -> None:
        super().__init__(expression)
        self.expression = expression
        self.whole = whole


@dataclass(frozen=True)
class Case:
    """What is known of the signs of expressions.

    Attributes:
        signs: expression -> 1 or -1, in canonical form.
        zeros: what follows from expressions that are zero: symbol -> expression.
        floors: expression that is no whole number -> the symbol of its floor.
        along: the symbol by which one is beside the zeros, not on them, if one is.
        direction: 1 above, -1 below.
    """

    signs: Mapping[sympy.Expr, int] = field(default_factory=dict)
    zeros: Substitution = field(default_factory=dict)
    floors: Mapping[sympy.Expr, sympy.Symbol] = field(default_factory=dict)
    along: sympy.Symbol | None = None
    direction: int = 0

    def at_zeros(self, expression: sympy.Expr) -> sympy.Expr:
        """Put the zeros into an expression."""
        return expression.subs(self.zeros) if self.zeros else expression

    def where(self, expression: sympy.Expr, sign: int) -> Case:
        """Return the case in which an expression has that sign besides."""
        atom, turned = canonical(expression)
        return Case({**self.signs, atom: turned * sign}, self.zeros, self.floors)

    @property
    def region(self) -> Region:
        """Where the case holds."""
        bounds = [sign * self.at_zeros(expression) for expression, sign in self.signs.items()]
        return Region(tuple(bounds), self.zeros, self.floors)

    # --- signs ---

    def sign(self, expression: sympy.Expr) -> int:
        """Return the sign of an expression; raises `MissingSignError` where the case leaves it open."""
        here = self.at_zeros(expression)
        found = self._sign_here(here)
        if found or self.along is None or not expression.has(self.along):
            return found
        slope = expression
        for order in range(1, MOST_DERIVATIVES + 1):
            slope = sympy.diff(slope, self.along)
            found = self._sign_here(self.at_zeros(slope))
            if found:
                return found * (self.direction if order % 2 else 1)
            if not slope.has(self.along):
                return 0
        raise CannotDecideError(f"the sign of {expression} beside {self.zeros}")

    def _sign_here(self, expression: sympy.Expr) -> int:
        known = _known_sign(expression)
        if known is not None:
            return known
        if expression in self.signs:
            return self.signs[expression]
        if isinstance(expression, sympy.Mul):
            result = 1
            for factor in expression.args:
                result *= self._sign_here(factor)
            return result
        if isinstance(expression, sympy.Pow):
            base, exponent = expression.as_base_exp()
            sign = self._sign_here(base)
            return sign * sign if exponent.is_integer and exponent.is_even else sign
        if isinstance(expression, sympy.exp | sympy.cosh | sympy.erfc):
            return 1
        if isinstance(expression, SAME_SIGN):
            return self._sign_here(expression.args[0])
        if isinstance(expression, sympy.log):
            return self._sign_here(expression.args[0] - 1)
        if isinstance(expression, sympy.Add):
            return self._sign_of_sum(expression)
        raise MissingSignError(expression)

    def _sign_of_sum(self, total: sympy.Expr) -> int:
        if all(_known_sign(term) == 1 or term.is_nonnegative for term in total.args):
            return max(self._sign_here(term) for term in total.args)
        factors = sympy.factor(total)
        known = _known_sign(factors)
        if known is not None:
            return known
        if isinstance(factors, sympy.Mul | sympy.Pow):
            content, rest = factors.as_content_primitive()
            if rest.is_Add:
                return int(sympy.sign(content)) * self._sign_of_atom(rest)
            return self._sign_here(factors)
        return self._sign_of_atom(factors)

    def _sign_of_atom(self, atom: sympy.Expr) -> int:
        atom, turned = canonical(atom)
        if atom in self.signs:
            return turned * self.signs[atom]
        signs = set()
        for term in atom.args if atom.is_Add else ():
            try:
                signs.add(self._sign_here(term))
            except MissingSignError:
                break
        else:
            if signs and len(signs - {0}) == 1:
                return turned * max(signs, key=abs)
        raise MissingSignError(atom)

    # --- formulas ---

    def decide(self, expression: Any) -> Any:
        """Return what a formula is in this case; of a condition, whether it holds. Raises as `sign` does."""
        if not expression.args:
            return bool(expression) if is_condition(expression) else expression
        if isinstance(expression, sympy.Piecewise):
            for value, condition in expression.args:
                if self.decide(condition):
                    return self.decide(value)
            return sympy.nan
        if isinstance(expression, Relational):
            sign = self.sign(self.decide(expression.lhs) - self.decide(expression.rhs))
            return COMPARISONS[type(expression)](sign)
        parts = [self.decide(part) for part in expression.args]
        rule = DECISIONS.get(type(expression))
        return expression.func(*parts) if rule is None else rule(self, *parts)

    def floor(self, expression: sympy.Expr) -> sympy.Expr:
        """Return the floor of an expression: a symbol, or itself where it is a whole number."""
        here = self.at_zeros(expression)
        if here.is_integer or here in (sympy.oo, -sympy.oo):
            falls = self.along is not None and expression.has(self.along) and self.sign(expression - here) < 0
            return here - 1 if falls else here
        whole, _ = here.as_coeff_Add()
        if whole.is_Rational and abs(whole) >= 1:
            whole = sympy.Integer(whole.p // whole.q)
            return whole + self.floor(expression - whole)
        for known, symbol in self.floors.items():
            if known == here:
                return symbol
            if known == -here:
                return -symbol - 1
        raise MissingSignError(here, whole=True)


def canonical(expression: sympy.Expr) -> tuple[sympy.Expr, int]:
    """Return what stands for an expression and its multiples, and 1 or -1: whether it has its sign."""
    _, primitive = expression.as_content_primitive()
    turned = -1 if primitive.could_extract_minus_sign() else 1
    return sympy.expand(turned * primitive), turned


SAME_SIGN = (sympy.sinh, sympy.tanh, sympy.asinh, sympy.atan, sympy.asin, sympy.atanh, sympy.erf)
"""Increasing functions that are 0 at 0."""

COMPARISONS: dict[type, Callable[[int], bool]] = {
    sympy.Eq: lambda sign: sign == 0,
    sympy.Ne: lambda sign: sign != 0,
    sympy.Lt: lambda sign: sign < 0,
    sympy.Le: lambda sign: sign <= 0,
    sympy.Gt: lambda sign: sign > 0,
    sympy.Ge: lambda sign: sign >= 0,
}


def _extreme(direction: int) -> Callable[..., sympy.Expr]:
    def decide(case: Case, *values: sympy.Expr) -> sympy.Expr:
        best, *others = values
        for other in others:
            if case.sign(other - best) == direction:
                best = other
        return best

    return decide


def _angle(case: Case, y: sympy.Expr, x: sympy.Expr) -> sympy.Expr:
    above = case.sign(y)
    if above:
        return above * sympy.pi / 2 - sympy.atan(x / y)
    return sympy.pi if case.sign(x) < 0 else sympy.Integer(0)


DECISIONS: dict[Any, Callable[..., Any]] = {
    sympy.Abs: lambda case, x: case.sign(x) * x,
    sympy.sign: lambda case, x: sympy.Integer(case.sign(x)),
    sympy.Max: _extreme(1),
    sympy.Min: _extreme(-1),
    sympy.And: lambda _, *parts: all(parts),
    sympy.Or: lambda _, *parts: any(parts),
    sympy.Xor: lambda _, *parts: sum(parts) % 2 == 1,
    sympy.Not: lambda _, part: not part,
    sympy.floor: lambda case, x: case.floor(x),
    sympy.ceiling: lambda case, x: -case.floor(-x),
    sympy.Mod: lambda case, x, y: x - y * case.floor(x / y),
    sympy.atan2: _angle,
    Round: lambda case, x: case.floor(x + sympy.Rational(1, 2)),
}


def by_cases(start: Case, evaluate: Callable[[Case], Result]) -> Iterator[tuple[Case, Result]]:
    """Yield every case that has to be told apart, with the value of a function, which raises `MissingSignError`.

    Raises:
        CannotDecideError: there are too many cases, or the zeros of an expression cannot be found.
    """
    pending = [start]
    for _ in range(MOST_CASES):
        if not pending:
            return
        case = pending.pop()
        try:
            result = evaluate(case)
        except MissingSignError as missing:
            pending += [one for one in _further(case, missing) if one.region.may_exist()]
        else:
            yield case, result
    raise CannotDecideError(f"more than {MOST_CASES} cases")


def _further(case: Case, missing: MissingSignError) -> Iterator[Case]:
    """Yield the cases that decide what is missing: where an expression is 0 or whole, and where it is not."""
    expression, whole = missing.expression, sympy.Dummy("n", integer=True)
    for zeros in _where_zero(expression - whole if missing.whole else expression):
        yield _with_zeros(case, zeros)
    if missing.whole:
        yield replace(case, floors={**case.floors, expression: sympy.Dummy("n", integer=True)})
        return
    for sign in (-1, 1):
        yield replace(case, signs={**case.signs, expression: sign})


def _with_zeros(case: Case, zeros: Substitution) -> Case:
    """Add zeros to a case; its earlier ones are of the symbols that are left."""
    earlier = {symbol: expression.subs(zeros) for symbol, expression in case.zeros.items()}
    floors = {expression.subs(zeros): symbol for expression, symbol in case.floors.items()}
    return Case(case.signs, {**earlier, **zeros}, floors)


def _where_zero(expression: sympy.Expr) -> Iterator[Substitution]:
    """Yield where an expression is zero, as a symbol in terms of the others."""
    symbols = sorted((symbol for symbol in expression.free_symbols if not symbol.is_integer), key=lambda s: s.name)
    for symbol in symbols:
        slope = sympy.diff(expression, symbol)
        if slope.is_number and slope != 0:
            yield {symbol: sympy.expand(symbol - expression / slope)}
            return
    for symbol in symbols:
        if _is_solvable(expression, symbol):
            solutions = sympy.solve(expression, symbol)
            yield from ({symbol: solution} for solution in solutions if solution.is_real is not False)
            return
    raise CannotDecideError(f"where {expression} is 0")


def _is_solvable(expression: sympy.Expr, symbol: sympy.Symbol) -> bool:
    """Whether SymPy surely finds all zeros of an expression: of polynomials, and of what it can invert."""
    if expression.is_polynomial(symbol):
        return bool(sympy.degree(expression, symbol) <= MOST_ROOTS or expression.free_symbols == {symbol})
    uses = sum(part == symbol for part in sympy.preorder_traversal(expression))
    return uses == 1 and not expression.has(sympy.sin, sympy.cos, sympy.tan)


def _known_sign(expression: sympy.Expr) -> int | None:
    if expression.is_positive:
        return 1
    if expression.is_negative:
        return -1
    if expression.is_zero:
        return 0
    if expression.is_number and expression.is_real:
        return int(sympy.sign(expression.evalf(30)))
    if expression is sympy.nan or (expression.is_real is False and not expression.is_infinite):
        raise CannotDecideError(f"the sign of {expression}")
    return None
