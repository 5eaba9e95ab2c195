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

SMALL, MOST = 2**18, 0.5
"""NumPy's arrays are small up to 4,096 numbers of float64, or 16,384 of float32, whose exponentials take less time;
elements are picked and computed by themselves where they are less than this share."""

BLOCK = 2**13
"""So many numbers stay in a processor's nearest cache from one operation to the next."""

GRID, FINE = 16.0, 64.0
"""In such parts numbers are taken whose products and squares are to be exact in every dtype."""


def is_exact(xp):
    """Whether numbers are symbols."""
    return getattr(xp, "is_exact", False)


def computes_as_told(xp):
    """Whether formulas are evaluated as they stand, and a choice evaluates one of two; XLA rewrites, and does both."""
    return is_numpy(xp) or hasattr(xp, "is_exact")


def carefully(xp, plain, lost, careful, *inputs, everywhere=False):
    """``plain(*inputs)``, a fresh result, and where its digits are lost ``careful(*inputs)``, which takes longer.

    Where values may be looked at, only what is needed is computed, of large arrays that part; compiled code of numbers
    branches, XLA computes both. Where `careful` is right everywhere, it serves alone what would compute both.
    """
    if is_numpy(xp):
        if not getattr(lost, "ndim", 0):
            return (careful if lost else plain)(*inputs)
        count = xp.count_nonzero(lost)
        if not count:
            return plain(*inputs)
        if count < MOST * lost.size:
            result = plain(*inputs)
            if result.flags.c_contiguous:
                places = xp.flatnonzero(xp.broadcast_to(lost, result.shape))
                parts = (xp.broadcast_to(x, result.shape).reshape(-1)[places] for x in inputs)
                result.reshape(-1)[places] = careful(*parts)
                return result
    elif is_exact(xp):
        return plain(*inputs)
    elif type(lost).__module__ == "numpy" and not lost.ndim:
        # A number that is known while the function is traced.
        return (careful if lost else plain)(*inputs)
    elif computes_as_told(xp):
        return xp.where(lost, careful(*inputs), plain(*inputs))
    return careful(*inputs) if everywhere else xp.where(lost, careful(*inputs), plain(*inputs))


def choice(xp, condition, there, elsewhere, *inputs):
    """``there(*inputs)`` where a condition holds, else ``elsewhere(*inputs)``; of NumPy's arrays each where it is used.

    The inputs have the condition's shape; both functions are given the others' numbers too, where nobody can choose.
    """
    if not is_numpy(xp):
        return xp.where(condition, there(*inputs), elsewhere(*inputs))
    count = xp.count_nonzero(condition)
    if count in (0, condition.size):
        return (there if count else elsewhere)(*inputs)
    flat = [x.reshape(-1) for x in inputs]
    result = xp.empty(condition.size, inputs[0].dtype)
    for function, chosen in ((there, condition), (elsewhere, ~condition)):
        places = xp.flatnonzero(chosen)
        result[places] = function(*(x[places] for x in flat))
    return result.reshape(condition.shape)


def in_blocks(xp, function, x):
    """``function(x)``, a tuple of what is computed of each element; of NumPy's large arrays block by block."""
    if not is_numpy(xp) or getattr(x, "size", 0) <= BLOCK:
        return function(x)
    flat = x.reshape(-1)
    blocks = [function(flat[start : start + BLOCK]) for start in range(0, x.size, BLOCK)]
    return tuple(xp.concat(parts).reshape(x.shape) for parts in zip(*blocks, strict=True))


def is_small_array(xp, x):
    """Whether an exponential of every element is faster than a look at them: NumPy's small arrays."""
    return is_numpy(xp) and getattr(x, "ndim", 0) > 0 and x.size * x.itemsize**2 <= SMALL


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
    rest = ((high * coarse - product) + high * (x - coarse)) + (factor - high) * x
    return xp.where(xp.abs(product) < TOO_FAR, rest, 0.0)


def times_exp(xp, x, exponent):
    """Product x e^exponent, a number where e^exponent alone vanishes."""
    half = xp.exp(exponent / 2)
    return x * half * half


def exp_of_square(xp, x, factor):
    """e^(-factor x^2), factor a power of 2; far out in two parts, the first of an exact square, for rounding counts."""

    def in_two_parts(x):
        # At 40 it is 0 in every dtype.
        size = xp.minimum(xp.abs(x), 40.0)
        coarse = xp.floor(size * FINE) / FINE
        exponential, rest = xp.exp(-factor * coarse * coarse), -factor * (size - coarse) * (size + coarse)
        # Of a product of two exponentials XLA makes the exponential of a sum.
        return exponential * xp.exp(rest) if computes_as_told(xp) else exponential + exponential * xp.expm1(rest)

    lost = xp.abs(x) > math.sqrt(4 / factor)
    return carefully(xp, lambda x: xp.exp(-factor * x * x), lost, in_two_parts, x, everywhere=True)


def coefficients(*polynomials):
    """Coefficients of polynomials, from the highest power down, written in a text each."""
    return tuple(tuple(map(float, polynomial.split())) for polynomial in polynomials)


def ratio(polynomials, x):
    """Ratio of two polynomials of one degree, by Horner's rule."""
    numerators, denominators = polynomials
    numerator, denominator = 0.0 * x, 0.0 * x
    for i in range(len(numerators)):
        # In place, where that is possible.
        numerator *= x
        numerator += numerators[i]
        denominator *= x
        denominator += denominators[i]
    numerator /= denominator
    return numerator
