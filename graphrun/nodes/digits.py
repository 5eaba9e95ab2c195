"""Keeping digits: what a formula loses where its terms cancel or its argument is rounded, computed another way there.

Each helper takes the array namespace; where that computes with symbols, nothing is rounded, and formulas stay those of
a textbook.
"""

from __future__ import annotations

import math

from graphrun.nodes.placing import is_numpy

COARSE_BITS = 12
"""So many bits of each of two factors have a product that even float32 holds."""

FAR, TOO_FAR = 8.0, 1000.0
"""An exponent above the first magnifies its rounding to more than a few units in the last place; above the second the
exponential is 0 or infinite in every dtype."""

VERY_FAR = -80.0
"""Below it e^-x soon overflows and e^x vanishes in float32, while x e^x is a number still."""

GRID, FINE = 16.0, 64.0
"""In such parts numbers are taken whose products and squares are to be exact in every dtype."""


def is_exact(xp):
    """Whether numbers are symbols."""
    return getattr(xp, "is_exact", False)


def carefully(xp, plain, lost, careful, *inputs):
    """A result, which may be overwritten, and where its digits are lost ``careful(*inputs)``, which takes longer.

    Where values may be looked at, only that part is computed anew; compiled code branches, or computes both.
    """
    if is_exact(xp):
        return plain
    if type(lost).__module__ == "numpy" and not lost.ndim:
        # A number: known where the function is called, or while it is traced.
        return careful(*inputs) if lost else plain
    if not is_numpy(xp):
        return xp.where(lost, careful(*inputs), plain)
    if lost.any():
        lost = xp.broadcast_to(lost, plain.shape)
        plain[lost] = careful(*(xp.broadcast_to(x, plain.shape)[lost] for x in inputs))
    return plain


def is_array(xp, x):
    """Whether one way for all elements is faster than two ways and a choice: NumPy's arrays are computed whole."""
    return is_numpy(xp) and getattr(x, "ndim", 0) > 0


def rounded_off_difference(x, y, difference):
    """What rounding took off x - y (D. Knuth, "The Art of Computer Programming", volume 2, 4.2.2, theorem B)."""
    part = x - difference
    return (x - (difference + part)) - (y - part)


def rounded_off_product(xp, factor, x, product):
    """What rounding took off a known number times x, for products that exponentials are taken of."""
    mantissa, exponent = math.frexp(factor)
    high = math.ldexp(round(mantissa * 2**COARSE_BITS), exponent - COARSE_BITS)
    unit = math.ldexp(1 / GRID, -exponent)
    coarse = xp.round(x / unit) * unit
    # The first product is exact, and so is its difference from nearly the same number.
    return ((high * coarse - product) + high * (x - coarse)) + (factor - high) * x


def is_far(xp, exponent):
    """Where the exponential of a rounded exponent is a number, but has lost digits."""
    return (xp.abs(exponent) > FAR) & (xp.abs(exponent) < TOO_FAR)


def times_exp(xp, x, exponent):
    """Product x e^exponent, a number where e^exponent alone vanishes."""
    half = xp.exp(exponent / 2)
    return x * half * half


def exp_of_square(xp, x, factor):
    """e^(-factor x^2), factor a power of 2; in two parts, the first of an exact square, for rounding is magnified."""
    if is_exact(xp):
        return xp.exp(-factor * x * x)
    # At 40 it is 0 in every dtype.
    size = xp.minimum(xp.abs(x), 40.0)
    coarse = xp.floor(size * FINE) / FINE
    # Not a product of two exponentials, of which XLA makes the exponential of a sum.
    exponential = xp.exp(-factor * coarse * coarse)
    return exponential + exponential * xp.expm1(-factor * (size - coarse) * (size + coarse))


def coefficients(*polynomials):
    """Coefficients of polynomials, from the highest power down, written in a text each."""
    return tuple(tuple(map(float, polynomial.split())) for polynomial in polynomials)


def ratio(polynomials, x):
    """Ratio of two polynomials of one degree, by Horner's rule."""
    numerators, denominators = polynomials
    numerator, denominator = 0.0 * x, 0.0 * x
    for i in range(len(numerators)):
        numerator = numerator * x + numerators[i]
        denominator = denominator * x + denominators[i]
    return numerator / denominator
