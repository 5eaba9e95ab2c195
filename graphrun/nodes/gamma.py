"""The logarithm of the gamma function and its derivative, made of the array API's functions.

From 8 on they are Stirling's series (M. Abramowitz, I. Stegun, "Handbook of Mathematical Functions", 6.1.41, 6.3.18);
below, steps of 1 lead to numbers from 1 to 3. For these, rational functions were fitted in 50 digits to what is left
without the zeros: lgamma(1 + t) / (t (t - 1)) to 1.3e-17, digamma(x) / (x - 1.4616...) to 2.2e-17.
Those of negative numbers are reflected: gamma(x) gamma(1 - x) = pi / sin(pi x).
"""

from __future__ import annotations

import math

from graphrun.declare.nodetype import elementwise
from graphrun.nodes.digits import carefully, coefficients, is_exact, ratio

OF_LGAMMA = coefficients(
    """1.3093069817209762e-6 6.006177695996593e-4 1.9031698753338402e-2 0.189548477613453 0.8106057591292293
    1.6560123752553975 1.5914461106143145 0.5772156649015329""",
    """1.5494927007793588e-4 8.039596723560055e-3 0.12063036140693861 0.7699983897079633 2.4259807591022113
    3.951671666665714 3.1819952070258073 1""",
)
OF_DIGAMMA = coefficients(
    """7.717720262309067e-07 0.0004698069712508019 0.017495869566123118 0.2002401188795955 0.9328282799746364
    1.8385100438323148 1.2503801375034054""",
    """9.548814997289287e-05 0.005243911173103265 0.08289523300763367 0.540379976664988 1.6165408874170348
    2.153907698671165 1.0""",
)
ZERO_OF_DIGAMMA = 1.4616321325302124, 1.2438149843418955e-08, 9.549995429965698e-17
"""Its nearest number in float32, what is missing to that in float64, and to the zero itself."""

FAR = 8
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)
"""The numbers B(2k), k from 1."""


def series(inverse, divisor):
    """Sum of B(2k) / divisor(2k) times the inverse of x to the power 2 (k - 1), of Stirling's series."""
    total = 0.0
    for k in range(len(BERNOULLI), 0, -1):
        total = total * (inverse * inverse) + BERNOULLI[k - 1] / divisor(2 * k)
    return total


def rest_of_lgamma(x):
    """What is added to (x - 1/2) log(x) - x + log(2 pi) / 2, of x from 8 on."""
    return series(1 / x, lambda n: n * (n - 1)) / x


def rest_of_digamma(x):
    """What is taken from log(x) - 1 / (2x), of x from 8 on."""
    return series(1 / x, lambda n: n) / x / x


def by_steps(xp, x):
    """For x below 8: t of 1 + t from 1 to 3, the product and the sum of reciprocals of what the steps lead over."""
    below = x < 1
    t = xp.where(below, x, xp.minimum(x, FAR) - 1)
    product, reciprocals = xp.where(below, x, 1.0), xp.where(below, -1 / x, 0.0)
    for _ in range(FAR - 3):
        above = t > 2
        factor = xp.where(above, t, 1.0)
        product = product * factor
        reciprocals = reciprocals + xp.where(above, 1 / factor, 0.0)
        t = xp.where(above, t - 1, t)
    return t, product, reciprocals


def reflected(xp, x, y, reflect):
    """Where x is negative, and y is that of 1 - x: reflect(y, angle), whose sine is that of pi x but for its sign."""
    return carefully(xp, lambda x, y: y, x <= 0, lambda x, y: reflect(y, math.pi * (x - xp.round(x))), x, y)


@elementwise(domain={"x": "(0, inf)"})
def lgamma(xp, x):
    """Logarithm of the gamma function's size: log((x - 1)!) where x is whole; also of negative x."""
    if is_exact(xp):
        return xp.lgamma(x)
    given, x = x, xp.where(x > 0, x, 1 - x)
    t, product, _ = by_steps(xp, x)
    steps = xp.log(product)
    near = t * (t - 1) * ratio(OF_LGAMMA, t) + xp.where(x < 1, -steps, steps)
    large = xp.maximum(x, FAR)
    far = (large - 0.5) * (xp.log(large) - 1) + (math.log(2 * math.pi) / 2 - 0.5 + rest_of_lgamma(large))
    y = xp.where(x < FAR, near, far)
    return reflected(xp, given, y, lambda y, angle: xp.log(math.pi / xp.abs(xp.sin(angle))) - y)


@lgamma.local_derivatives
def _(xp, y, x):
    return (digamma.function(xp, x),)


@elementwise(domain={"x": "(0, inf)"})
def digamma(xp, x):
    """Derivative of the logarithm of the gamma function; also of negative x."""
    if is_exact(xp):
        return xp.digamma(x)
    given, x = x, xp.where(x > 0, x, 1 - x)
    t, _, reciprocals = by_steps(xp, x)
    first, second, third = ZERO_OF_DIGAMMA
    # Multiplied on the way, or XLA would add up the parts.
    distance = ((t + (1 - first)) * 16 - 16 * second) * 16 - 256 * third
    near = distance / 256 * ratio(OF_DIGAMMA, t) + reciprocals
    large = xp.maximum(x, FAR)
    y = xp.where(x < FAR, near, xp.log(large) - 0.5 / large - rest_of_digamma(large))
    return reflected(xp, given, y, lambda y, angle: y - math.pi / xp.tan(angle))


@digamma.local_derivatives
def _(xp, y, x):
    return (trigamma(xp, x),)


def trigamma(xp, x):
    """Derivative of digamma: the sum of 1 / (x + k)^2, so far until Stirling's series is right."""
    if is_exact(xp):
        return xp.trigamma(x)
    given, x = x, xp.where(x > 0, x, 1 - x)
    large = x + FAR
    inverse = 1 / large
    total = inverse * (1 + inverse * (0.5 + inverse * series(inverse, lambda n: 1)))
    for k in reversed(range(FAR)):
        inverse = 1 / (x + k)
        total = total + inverse * inverse
    return reflected(xp, given, total, lambda y, angle: (math.pi / xp.sin(angle)) ** 2 - y)


# --- differences of either at two numbers, which keep their digits where these are large ------------------------------


def lgamma_ratio(xp, y, r):
    """The logarithm of gamma(r + y) / (gamma(r) r^y)."""
    plain = lgamma.function(xp, r + y) - lgamma.function(xp, r) - y * xp.log(r)
    large = xp.maximum(r, FAR)
    far = (large + y - 0.5) * xp.log1p(y / large) - y + (rest_of_lgamma(large + y) - rest_of_lgamma(large))
    return xp.where(r < FAR, plain, far)


def digamma_rest(xp, y, r):
    """digamma(r + y) - digamma(r) - log(1 + y / r)."""
    plain = digamma.function(xp, r + y) - digamma.function(xp, r) - xp.log1p(y / r)
    large = xp.maximum(r, FAR)
    far = 0.5 * y / large / (large + y) + (rest_of_digamma(large) - rest_of_digamma(large + y))
    return xp.where(r < FAR, plain, far)
