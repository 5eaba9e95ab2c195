"""The points at which a case holds: whether there may be any, some of them, and what is zero at all of them.

Bounds that are linear are solved exactly, by eliminating one symbol after the other (Fourier and Motzkin's method), so
that points are found in the narrowest corner; of other bounds a point is only asked whether it keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

import sympy

MOST_BOUNDS = 200
TRIES = 200
DIGITS = 30
NICE = (sympy.Integer(1), sympy.Integer(-1), sympy.Integer(2), sympy.Rational(1, 2), sympy.Integer(3))

Point = dict[sympy.Symbol, sympy.Expr]
Linear = tuple[Mapping[sympy.Symbol, sympy.Expr], sympy.Expr]
"""Coefficients, and a number: their sum is above 0."""


@dataclass(frozen=True)
class Region:
    """Where a case holds.

    Attributes:
        bounds: expressions that are positive there.
        zeros: symbols that are given by the others.
        floors: expression -> the symbol of its floor.
    """

    bounds: tuple[sympy.Expr, ...]
    zeros: Mapping[sympy.Symbol, sympy.Expr]
    floors: Mapping[sympy.Expr, sympy.Symbol]

    @cached_property
    def linear(self) -> list[Linear]:
        """The bounds that are linear."""
        return [found for bound in self.bounds if (found := _linear(bound)) is not None]

    def may_exist(self) -> bool:
        """Whether no contradiction is found among the bounds."""
        if any(bound.is_nonpositive for bound in self.bounds):
            return False
        symbols = sorted({symbol for slopes, _ in self.linear for symbol in slopes}, key=str)
        return _systems(self.linear, symbols) is not None

    def points(self, symbols: Sequence[sympy.Symbol], count: int) -> Iterator[Point]:
        """Yield points of the region, at most so many, the simplest first; every symbol has a number there."""
        free = set(symbols) - set(self.zeros)
        for expression in (*self.zeros.values(), *self.bounds):
            free |= expression.free_symbols
        free -= {*self.zeros, *self.floors.values()}
        order = sorted(free, key=lambda symbol: (symbol.is_integer or False, symbol.name))
        systems = _systems(self.linear, order)
        if systems is None:
            return
        random = Random(0)  # noqa: S311 (the points of a check, the same in every run)
        found = 0
        for attempt in range(TRIES):
            point: Point = {}
            for symbol, system in zip(reversed(order), reversed(systems), strict=True):
                number = _choose(symbol, system, point, random, simple=attempt < TRIES // 4)
                if number is None:
                    break
                point[symbol] = number
            else:
                full = self._complete(point)
                if full is not None:
                    yield full
                    found += 1
            if found == count:
                return

    def _complete(self, point: Point) -> Point | None:
        """Add the symbols that follow from the others; None where a bound is not kept."""
        for expression, symbol in self.floors.items():
            number = expression.subs(point)
            if not number.is_real or number.is_integer:
                return None
            point = point | {symbol: sympy.floor(number)}
        for symbol, expression in self.zeros.items():
            point = point | {symbol: expression.subs(point)}
        if not all(number.is_real and number.is_finite for number in point.values()):
            return None
        bounds = (bound.subs(point).evalf(DIGITS) for bound in self.bounds)
        return point if all(bound.is_real and bound > 0 for bound in bounds) else None


def _linear(expression: sympy.Expr) -> Linear | None:
    rest = sympy.expand(expression)
    slopes = {}
    for symbol in sorted(rest.free_symbols, key=str):
        slope = sympy.diff(rest, symbol)
        if not slope.is_number:
            return None
        slopes[symbol] = slope
    constant = rest.subs(dict.fromkeys(slopes, 0))
    return (slopes, constant) if constant.is_finite else None


def _systems(bounds: Sequence[Linear], symbols: Sequence[sympy.Symbol]) -> list[list[Linear]] | None:
    """Eliminate the symbols one by one; return the bounds before each elimination, None for a contradiction."""
    systems = []
    current = list(bounds)
    for symbol in symbols:
        systems.append(current)
        above = [bound for bound in current if bound[0].get(symbol, sympy.Integer(0)).is_positive]
        below = [bound for bound in current if bound[0].get(symbol, sympy.Integer(0)).is_negative]
        rest = [bound for bound in current if symbol not in bound[0]]
        if len(above) * len(below) + len(rest) > MOST_BOUNDS:
            rest = []
        else:
            rest += [_combine(symbol, low, high) for low in above for high in below]
        current = rest
    return None if any(not slopes and constant.is_nonpositive for slopes, constant in current) else systems


def _combine(symbol: sympy.Symbol, low: Linear, high: Linear) -> Linear:
    """Add two bounds so that a symbol falls out."""
    weight_low, weight_high = -high[0][symbol], low[0][symbol]
    slopes = {
        name: slope
        for name in {*low[0], *high[0]} - {symbol}
        if (slope := weight_low * low[0].get(name, 0) + weight_high * high[0].get(name, 0)) != 0
    }
    return slopes, weight_low * low[1] + weight_high * high[1]


def _choose(
    symbol: sympy.Symbol, system: Sequence[Linear], point: Point, random: Random, *, simple: bool
) -> sympy.Expr | None:
    """Return a number within the bounds that are left once other symbols have theirs."""
    low, high = -sympy.oo, sympy.oo
    for slopes, constant in system:
        if symbol not in slopes:
            continue
        rest = constant + sum(slope * point[name] for name, slope in slopes.items() if name != symbol)
        border = -rest / slopes[symbol]
        if slopes[symbol].is_positive:
            low = sympy.Max(low, border)
        else:
            high = sympy.Min(high, border)
    if not low < high:
        return None
    if symbol.is_integer:
        first = -3 if low == -sympy.oo else int(sympy.floor(low)) + 1
        last = first + 6 if high == sympy.oo else int(sympy.ceiling(high)) - 1
        return sympy.Integer(random.randint(first, last)) if first <= last else None
    if simple:
        inside = [number for number in NICE if low < number < high]
        if inside:
            return random.choice(inside)
    share = sympy.Rational(random.randint(1, 99), 100)
    if low == -sympy.oo and high == sympy.oo:
        return 6 * share - 3
    if high == sympy.oo:
        return low + 4 * share
    if low == -sympy.oo:
        return high - 4 * share
    return low + share * (high - low)


def is_zero(expression: sympy.Expr, region: Region) -> bool:
    """Whether SymPy can show that an expression without conditions is zero in a region, whose signs simplify more.

    It is rewritten until it is; its value at some points would show nothing.
    """
    if expression.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo):
        return False
    expression = with_signs(expression, region)
    if expression == 0:
        return True
    for rewrite in STEPS:
        expression = rewrite(expression)
        if expression == 0:
            return True
    return bool(sympy.simplify(expression) == 0)


def with_signs(expression: sympy.Expr, region: Region) -> sympy.Expr:
    """Put symbols that SymPy knows to be positive for those whose sign, or bound, the region knows."""
    for bound in region.bounds:
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
