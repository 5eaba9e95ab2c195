"""Numbers of a program as the numbers that they stand for: 0.01 is 1/100, 1.4426950408889634 is 1/log(2).

A float64 has rounded what its author meant. It is read as a short decimal number, a simple fraction, or a simple
multiple of a constant that functions are made of, where one of these rounds to it; else as the binary fraction that it
is. A number taken at random is one of those multiples by accident with a chance of about 1e-11.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import sympy

DECIMALS = 12
"""Significant digits up to which a decimal number is what its author wrote; float64 has more than 15."""

LARGEST_DENOMINATOR = 1000
LARGEST_FACTOR = 64
"""The largest numerator and denominator in a multiple of a constant."""

UNITS_IN_THE_LAST_PLACE = 3
"""How much a constant may be off that its author computed from others, as in ``2 / math.sqrt(math.pi)``."""

CONSTANTS = {
    float(constant): constant
    for one in (sympy.pi, sympy.sqrt(sympy.pi), sympy.sqrt(2 * sympy.pi), sympy.E, sympy.log(2), sympy.log(10))
    for constant in (one, 1 / one)
} | {float(constant): constant for constant in (sympy.sqrt(2), sympy.sqrt(3), sympy.pi**2)}


@lru_cache(maxsize=4096)
def exact(value: float) -> sympy.Expr:
    """Return the number that a number of Python stands for."""
    if isinstance(value, int):
        return sympy.Integer(value)
    if not math.isfinite(value):
        return sympy.nan if math.isnan(value) else sympy.oo if value > 0 else -sympy.oo
    margin = UNITS_IN_THE_LAST_PLACE * math.ulp(value)
    decimal = Fraction(f"{value:.{DECIMALS}g}")
    simple = Fraction(value).limit_denominator(LARGEST_DENOMINATOR)
    for fraction in (simple, decimal):
        if abs(fraction - Fraction(value)) <= margin:
            return sympy.Rational(fraction.numerator, fraction.denominator)
    for number, constant in CONSTANTS.items():
        factor = Fraction(value / number).limit_denominator(LARGEST_FACTOR)
        if 0 < abs(factor.numerator) <= LARGEST_FACTOR and abs(float(factor) * number - value) <= margin:
            return sympy.Rational(factor.numerator, factor.denominator) * constant
    return sympy.Rational(*value.as_integer_ratio())
