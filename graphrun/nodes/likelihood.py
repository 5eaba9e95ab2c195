"""Losses that are negative logarithms of likelihoods, with all constants where nothing else is said."""

from __future__ import annotations

import math

from graphrun.declare.nodetype import Example, tensor
from graphrun.nodes import gamma
from graphrun.nodes.axes import check_same_axes
from graphrun.nodes.loss import BY_WEIGHTS, PAIRS_AND_NUMBER, WEIGHTS, Reduction, difference, reduced, through


def like_prediction(prediction, target, **others):
    """Refuse inputs that have not the prediction's shape and are no lone numbers."""
    difference(prediction, target)
    for name, array in others.items():
        if array.ndim:
            check_same_axes(prediction, array, ("prediction", name))


def times_log(xp, x, y):
    """Product x log(y), 0 where x is 0."""
    return xp.where(xp.equal(x, 0), 0.0, x * xp.log(xp.where(xp.equal(x, 0), 1.0, y)))


@tensor(
    formula="mean(exp(prediction) - target * prediction)",
    gradients=["gradient * (exp(prediction) - target) / n", "-gradient * prediction / n", BY_WEIGHTS],
    domain={"target": "[0, inf)", **WEIGHTS},
    examples=[
        *PAIRS_AND_NUMBER,
        Example(shapes=[(2, 3), (2, 3)], settings={"full": True}),
        Example(values=[[0.5, 2.0, 3.0], [0.0, 2.0, 7.0]], settings={"log_input": False}),
    ],
)
def poisson_nll_loss(
    xp, prediction, target, weights=None, *, log_input: bool = True, full: bool = False, reduction: Reduction = "mean"
):
    """Poisson likelihood of counts, given the logarithm of their mean (or the mean); full: with log(target!)."""
    difference(prediction, target)
    mean = xp.exp(prediction) if log_input else prediction
    logarithms = target * prediction if log_input else times_log(xp, target, prediction)
    constant = gamma.lgamma.function(xp, target + 1) if full else 0.0
    return reduced(xp, mean - logarithms + constant, reduction, weights)


@through(poisson_nll_loss)
def _(xp, prediction, target, *, log_input, full):
    def of_target():
        logarithm = prediction if log_input else xp.log(prediction)
        return (gamma.digamma.function(xp, target + 1) if full else 0.0) - logarithm

    of_prediction = xp.exp(prediction) - target if log_input else (prediction - target) / prediction
    return of_prediction, of_target


@tensor(
    formula="mean(-log(probability of target)), of the mean prediction and the variance p + dispersion * p ** 2",
    gradients=[
        "gradient * (prediction - target) / (prediction * (1 + dispersion * prediction)) / n",
        "gradient * (digamma(target + 1) - digamma(target + r) + log(1 + r / prediction)) / n, r = 1 / dispersion",
        "gradient * r ** 2 * (digamma(target + r) - digamma(r) - log(u) + (u - 1 - target / r) / u) / n, u = 1 + p / r",
        BY_WEIGHTS,
    ],
    domain={"prediction": "(0, inf)", "target": "[0, inf)", "dispersion": "(0, inf)", **WEIGHTS},
    examples=[
        Example(shapes=[(3, 2), (3, 2), ()]),
        Example(shapes=[(3,), (3,), (3,)], settings={"reduction": "none"}),
        Example(values=[[0.5, 2.0, 30.0], [0.0, 2.0, 7.0], 1e-3], settings={"reduction": "sum"}),
        Example(shapes=[(3, 2), (3, 2), (), (3,)]),
    ],
)
def negative_binomial_nll_loss(xp, prediction, target, dispersion, weights=None, *, reduction: Reduction = "mean"):
    """Negative binomial likelihood of counts (NB2), given mean p and dispersion: the variance is p + dispersion p^2."""
    like_prediction(prediction, target, dispersion=dispersion)
    r = 1 / dispersion
    chances = (r + target) * xp.log1p(prediction / r) - times_log(xp, target, prediction)
    return reduced(
        xp, chances + gamma.lgamma.function(xp, target + 1) - gamma.lgamma_ratio(xp, target, r), reduction, weights
    )


@through(negative_binomial_nll_loss, masked=True)
def _(xp, prediction, target, dispersion):
    r = 1 / dispersion
    share = xp.where(xp.equal(target, 0), 1.0, (prediction - target) / prediction)

    def of_target():
        return (
            gamma.digamma.function(xp, target + 1) - gamma.digamma.function(xp, target + r) + xp.log1p(r / prediction)
        )

    def of_dispersion():
        excess = (target - prediction) / (r + prediction)
        return r * r * (gamma.digamma_rest(xp, target, r) + (xp.log1p(excess) - excess))

    return share / (1 + prediction / r), of_target, of_dispersion


@tensor(
    formula="mean(log(scale) - log(density of d / scale)), d = prediction - target, u = 1 + d ** 2 / (df * scale ** 2)",
    gradients=[
        "gradient * (df + 1) * d / (df * scale ** 2 + d ** 2) / n",
        "-gradient * (df + 1) * d / (df * scale ** 2 + d ** 2) / n",
        "gradient * (1 - (df + 1) * d ** 2 / (df * scale ** 2 + d ** 2)) / scale / n",
        "gradient * (digamma(df / 2) - digamma((df + 1) / 2) + 1 / df + log(u) - (df + 1) / df * (1 - 1 / u)) / 2 / n",
        BY_WEIGHTS,
    ],
    domain={"scale": "(0, inf)", "df": "(0, inf)", **WEIGHTS},
    examples=[
        Example(shapes=[(3, 2), (3, 2), (), ()]),
        Example(shapes=[(3,), (3,), (3,), (3,)], settings={"reduction": "none"}),
        Example(values=[[0.5, 2.0, -3.0], [0.0, 2.0, 7.0], 0.5, 100.0], settings={"reduction": "sum"}),
        Example(shapes=[(3, 2), (3, 2), (), (), (3,)]),
    ],
)
def student_t_nll_loss(xp, prediction, target, scale, df, weights=None, *, reduction: Reduction = "mean"):
    """Likelihood of Student's t distribution about a prediction, given its scale and its degrees of freedom."""
    like_prediction(prediction, target, scale=scale, df=df)
    size = xp.abs(difference(prediction, target)) / scale / xp.sqrt(df)
    logarithm = xp.where(size < 1e8, xp.log1p(size * size), 2 * xp.log(size))
    constant = 0.5 * math.log(2 * math.pi) - gamma.lgamma_ratio(xp, 0.5, 0.5 * df)
    return reduced(xp, constant + xp.log(scale) + (df + 1) / 2 * logarithm, reduction, weights)


@through(student_t_nll_loss, masked=True)
def _(xp, prediction, target, scale, df):
    u = (prediction - target) / scale
    # (df + 1) u / (df + u^2), where the square may overflow.
    slope = (df + 1) / (df / u + u)

    def of_df():
        r = 0.5 * df
        ratio = gamma.digamma_rest(xp, 0.5, r) + (xp.log1p(0.5 / r) - 0.5 / r)
        return 0.5 * (xp.log1p(u * u / df) - u * slope / df - ratio)

    return slope / scale, lambda: -slope / scale, lambda: (1 - u * slope) / scale, of_df
