"""Special functions, made of the array API's: the error function, its complement and inverse, the normal distribution.

The approximations are W. J. Cody's, "Rational Chebyshev approximations for the error function", Mathematics of
Computation 23 (1969), 631-637, with the coefficients of his subroutine CALERF (SPECFUN, netlib.org/specfun/erf).
"""

from __future__ import annotations

import math

from graphrun.declare.nodetype import elementwise
from graphrun.nodes.digits import (
    carefully,
    choice,
    coefficients,
    exp_of_square,
    in_blocks,
    is_exact,
    ratio,
    rounded_off_product,
)

ROOT_OF_HALF, REST_OF_ROOT = math.sqrt(0.5), -4.833646656726457e-17
"""The root of 1/2 as float64 has it, and what is missing."""

# Numerator and denominator of each region.
NEAR = 0.46875
NEAR_ZERO = coefficients(
    "1.85777706184603153e-1 3.16112374387056560e0 1.13864154151050156e2 3.77485237685302021e2 3.20937758913846947e3",
    "1 2.36012909523441209e1 2.44024637934444173e2 1.28261652607737228e3 2.84423683343917062e3",
)
TO_FOUR = coefficients(
    """2.15311535474403846e-8 5.64188496988670089e-1 8.88314979438837594e0 6.61191906371416295e1 2.98635138197400131e2
    8.81952221241769090e2 1.71204761263407058e3 2.05107837782607147e3 1.23033935479799725e3""",
    """1 1.57449261107098347e1 1.17693950891312499e2 5.37181101862009858e2 1.62138957456669019e3 3.29079923573345963e3
    4.36261909014324716e3 3.43936767414372164e3 1.23033935480374942e3""",
)
BEYOND_FOUR = coefficients(
    """1.63153871373020978e-2 3.05326634961232344e-1 3.60344899949804439e-1 1.25781726111229246e-1
    1.60837851487422766e-2 6.58749161529837803e-4""",
    """1 2.56852019228982242e0 1.87295284992346725e0 5.27905102951428412e-1 6.05183413124413191e-2
    2.33520497626869185e-3""",
)

# M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988).
QUANTILE_MIDDLE = coefficients(
    """2.509080928730122672e3 3.34305755835881281e4 6.726577092700870085e4 4.592195393154987145e4 1.373169376550946112e4
    1.971590950306551443e3 1.331416678917843774e2 3.387132872796366608""",
    """5.226495278852854561e3 2.872908573572194267e4 3.93078958000927106e4 2.121379430158659586e4 5.394196021424751107e3
    6.871870074920579083e2 4.231333070160091125e1 1""",
)
QUANTILE_TAIL = coefficients(
    """7.745450142783414076e-4 2.272384498926918458e-2 2.417807251774506117e-1 1.270458252452368382 3.647848324763204605
    5.769497221460691405 4.630337846156545295 1.423437110749683577""",
    """1.050750071644416843e-9 5.475938084995344946e-4 1.519866656361645719e-2 1.481039764274800745e-1
    6.897673349851000045e-1 1.676384830183803849 2.053191626637758821 1""",
)
QUANTILE_FAR = coefficients(
    """2.010334399292288132e-7 2.711555568743487578e-5 1.242660947388078438e-3 2.653218952657612309e-2
    2.965605718285048912e-1 1.784826539917291335 5.463784911164114369 6.657904643501103777""",
    """2.044263103389939785e-15 1.421511758316445888e-7 1.846318317510054681e-5 7.868691311456132591e-4
    1.487536129085061485e-2 1.369298809227358053e-1 5.998322065558879376e-1 1""",
)


def error_function_near_zero(x):
    """Erf of x from -0.46875 to 0.46875."""
    return x * ratio(NEAR_ZERO, x * x)


def tail(xp, size, exponential):
    """Erfc of size above 0.46875, given e^(-size^2), for the rounding of the square would be magnified.

    Given 1 it is e^(size^2) erfc(size).
    """

    def to_four(size):
        # What is smaller is not used.
        return ratio(TO_FOUR, xp.minimum(xp.maximum(size, NEAR), 4.0))

    def beyond_four(size):
        far = xp.maximum(size, 4.0)
        inverse_square = (1 / far) * (1 / far)
        return (1 / math.sqrt(math.pi) - inverse_square * ratio(BEYOND_FOUR, inverse_square)) / far

    return exponential * choice(xp, size <= 4, to_four, beyond_four, size)


def complement(xp, x, exponential):
    """Erfc, given e^(-x^2)."""

    def near(x, exponential):
        return 1 - error_function_near_zero(x)

    def far(x, exponential):
        beyond = tail(xp, xp.abs(x), exponential)
        return xp.where(x > 0, beyond, 2 - beyond)

    return choice(xp, xp.abs(x) <= NEAR, near, far, x, exponential)


def normal_share(xp, x):
    """P(Z <= x), Z standard normal, and e^(-x^2 / 2), which it is made of."""
    exponential = exp_of_square(xp, x, 0.5)
    return 0.5 * complement(xp, -ROOT_OF_HALF * x, exponential), exponential


def twice_normal(xp, x):
    """2 P(Z <= x) = erfc(-x / 2^(1/2)), Z standard normal, for use in other types; by the namespace's erfc if any."""
    if not hasattr(xp, "erfc"):
        return 2 * in_blocks(xp, lambda x: normal_share(xp, x), x)[0]
    scaled = -ROOT_OF_HALF * x

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


@elementwise(domain={"x": "(-1, 1)"})
def erfinv(xp, x):
    """Inverse of the error function, of x between -1 and 1."""
    if is_exact(xp):
        return xp.erfinv(x)
    size = xp.abs(x)
    half = 0.5 * size
    middle = half * ratio(QUANTILE_MIDDLE, 0.180625 - xp.minimum(half, 0.425) ** 2)
    root = xp.sqrt(-xp.log(0.5 * (1 - size)))
    tail = xp.where(root <= 5, ratio(QUANTILE_TAIL, root - 1.6), ratio(QUANTILE_FAR, root - 5))
    tail = xp.where(xp.equal(size, 1), 1 / (1 - size), tail)
    return xp.sign(x) * (ROOT_OF_HALF * xp.where(half <= 0.425, middle, tail))


@erfinv.local_derivatives
def _(xp, y, x):
    if is_exact(xp):
        return (math.sqrt(math.pi) / 2 * xp.exp(y * y),)
    size = xp.abs(y)
    near = xp.exp(xp.minimum(size, NEAR) ** 2)
    # e^(y^2) = e^(y^2) erfc(y) / (1 - |x|), without the exponential, which magnifies what is rounded.
    return (
        math.sqrt(math.pi) / 2 * xp.where(size <= NEAR, near, tail(xp, xp.minimum(size, 40.0), 1.0) / (1 - xp.abs(x))),
    )


@elementwise
def normal_cdf(xp, x):
    """Cumulative distribution function of the standard normal: P(Z <= x)."""
    return 0.5 * twice_normal(xp, x)


@normal_cdf.local_derivatives
def _(xp, y, x):
    return (exp_of_square(xp, x, 0.5) / math.sqrt(2 * math.pi),)


@elementwise
def normal_log_cdf(xp, x):
    """Logarithm of the cumulative distribution function of the standard normal, in the far tail too: log(P(Z <= x))."""
    if is_exact(xp):
        return xp.log(0.5 * xp.erfc(-ROOT_OF_HALF * x))
    below = xp.minimum(x, -1.0)
    far = xp.log(0.5 * tail(xp, -ROOT_OF_HALF * below, 1.0)) - 0.5 * below * below
    # From 0.4 on the other share is taken, which keeps its digits there.
    near = xp.where(x < 0.4, x, -x)
    share = 0.5 * twice_normal(xp, xp.maximum(xp.minimum(near, 0.4), -40.0))
    return xp.where(x < -1, far, xp.where(x < 0.4, xp.log(share), xp.log1p(-share)))


@normal_log_cdf.local_derivatives
def _(xp, y, x):
    if is_exact(xp):
        return (math.sqrt(2 / math.pi) * xp.exp(-0.5 * x * x) / xp.erfc(-ROOT_OF_HALF * x),)
    far = math.sqrt(2 / math.pi) / tail(xp, -ROOT_OF_HALF * xp.minimum(x, -1.0), 1.0)
    near = math.sqrt(2 / math.pi) * exp_of_square(xp, x, 0.5) / twice_normal(xp, xp.maximum(x, -1.0))
    return (xp.where(x < -1, far, near),)
