"""Special functions, made of the array API's: the error function and its complement.

The approximations are W. J. Cody's, "Rational Chebyshev approximations for the error function", Mathematics of
Computation 23 (1969), 631-637, with the coefficients of his subroutine CALERF (SPECFUN, netlib.org/specfun/erf).
"""

from __future__ import annotations

import math

from graphrun.declare.nodetype import elementwise
from graphrun.nodes.digits import carefully, exp_of_square, rounded_off_product

ROOT_OF_HALF, REST_OF_ROOT = math.sqrt(0.5), -4.833646656726457e-17
"""The root of 1/2 as float64 has it, and what is missing."""

# Numerator and denominator of each region, from the highest power down.
NEAR = 0.46875
NEAR_ZERO = (
    (
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
TO_FOUR = (
    (
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594e0,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    ),
)
BEYOND_FOUR = (
    (
        1.63153871373020978e-2,
        3.05326634961232344e-1,
        3.60344899949804439e-1,
        1.25781726111229246e-1,
        1.60837851487422766e-2,
        6.58749161529837803e-4,
    ),
    (
        1.0,
        2.56852019228982242e0,
        1.87295284992346725e0,
        5.27905102951428412e-1,
        6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)


def ratio(polynomials, x):
    """Ratio of two polynomials of one degree, by Horner's rule."""
    numerators, denominators = polynomials
    numerator, denominator = 0.0 * x, 0.0 * x
    for i in range(len(numerators)):
        numerator = numerator * x + numerators[i]
        denominator = denominator * x + denominators[i]
    return numerator / denominator


def error_function_near_zero(x):
    """Erf of x from -0.46875 to 0.46875."""
    return x * ratio(NEAR_ZERO, x * x)


def tail(xp, size, exponential):
    """Erfc of size above 0.46875, given e^(-size^2), for the rounding of the square would be magnified."""
    # Above 28 it is 0 in double precision, and its square would overflow; what is smaller is not used.
    size = xp.minimum(xp.maximum(size, NEAR), 28.0)
    inverse_square = 1 / (size * size)
    beyond_four = (1 / math.sqrt(math.pi) - inverse_square * ratio(BEYOND_FOUR, inverse_square)) / size
    return exponential * xp.where(size <= 4, ratio(TO_FOUR, size), beyond_four)


def complement(xp, x, exponential):
    """Erfc, given e^(-x^2)."""
    size = xp.abs(x)
    beyond = tail(xp, size, exponential)
    return xp.where(size <= NEAR, 1 - error_function_near_zero(x), xp.where(x > 0, beyond, 2 - beyond))


def twice_normal(xp, x):
    """2 P(Z <= x) = erfc(-x / 2^(1/2)), Z standard normal, for use in other types; by the namespace's erfc if any."""
    scaled = -ROOT_OF_HALF * x
    if not hasattr(xp, "erfc"):
        return complement(xp, scaled, exp_of_square(xp, x, 0.5))

    def far(x, scaled):
        rest = rounded_off_product(xp, -ROOT_OF_HALF, x, scaled) - REST_OF_ROOT * x
        return xp.erfc(scaled) - 2 / math.sqrt(math.pi) * rest * xp.exp(-scaled * scaled)

    return carefully(xp, lambda x, scaled: xp.erfc(scaled), (x < -2) & (x > -60), far, x, scaled)


@elementwise
def erf(xp, x):
    """Error function: 2 / pi^(1/2) times the integral of e^(-t^2) from 0 to x."""
    if hasattr(xp, "erf"):
        return xp.erf(x)
    size = xp.abs(x)
    return xp.where(
        size <= NEAR, error_function_near_zero(x), xp.sign(x) * (1 - tail(xp, size, exp_of_square(xp, x, 1.0)))
    )


@erf.local_derivatives
def _(xp, y, x):
    return (2 / math.sqrt(math.pi) * exp_of_square(xp, x, 1.0),)


@elementwise
def erfc(xp, x):
    """Complement of the error function, with all its digits: 1 - erf(x)."""
    return xp.erfc(x) if hasattr(xp, "erfc") else complement(xp, x, exp_of_square(xp, x, 1.0))


@erfc.local_derivatives
def _(xp, y, x):
    return (-2 / math.sqrt(math.pi) * exp_of_square(xp, x, 1.0),)
