"""The forms that node types have for this engine: fewer calls of NumPy, where those are what small arrays cost."""

from __future__ import annotations

import math

from graphrun.nodes.indexing import named_classes
from graphrun.nodes.loss import cross_entropy, cross_entropy_vjp
from graphrun.nodes.normalization import UNSURE
from graphrun.nodes.reduction import SURE


def cross_entropy_keeping(xp, logits, labels, weights=None, *, axis, reduction):
    """The loss of rows that have a class each in half the calls of NumPy, and the parts that it is made of."""
    if weights is None and is_rows(logits, labels, axis, reduction):
        rows = logits.reshape(-1, logits.shape[-1])
        places = named_classes(xp, labels, rows.shape[1]).reshape(-1)
        places += xp.arange(0, rows.size, rows.shape[1])
        shifted = rows - xp.max(rows, axis=1, keepdims=True)
        powers = xp.exp(shifted)
        totals = xp.sum(powers, axis=1)
        if xp.count_nonzero(totals > SURE) < len(rows):
            others = powers.copy()
            others[xp.arange(len(rows)), others.argmax(axis=1)] = 0
            logarithms = xp.log1p(xp.sum(others, axis=1))
        else:
            logarithms = xp.log(totals)
        logarithms -= shifted.reshape(-1)[places]
        loss = (xp.mean if reduction == "mean" else xp.sum)(logarithms)
        if math.isfinite(loss):
            return loss, (powers, totals, places)
    # Infinite logits, among others.
    return cross_entropy.function(xp, logits, labels, weights, axis=axis, reduction=reduction), None


def through_cross_entropy(xp, gradient, y, logits, labels, *weights, axis, reduction, kept=None):
    """The vector-Jacobian product of the loss."""
    if kept is None:
        _, kept = cross_entropy_keeping(xp, logits, labels, *weights, axis=axis, reduction=reduction)
    if kept is None:
        return cross_entropy_vjp(xp, gradient, y, logits, labels, *weights, axis=axis, reduction=reduction)
    powers, totals, places = kept
    factors = (gradient / len(totals) if reduction == "mean" else gradient) / totals
    of_labels = powers.reshape(-1)[places]
    slopes = powers * factors.reshape(-1, 1)
    if xp.count_nonzero(of_labels < UNSURE * totals) == len(totals):
        slopes.reshape(-1)[places] = (of_labels - totals) * factors
    else:
        # The probability of the label's class less 1 is the sum of the others with its sign changed.
        others = powers.copy()
        others.reshape(-1)[places] = 0
        slopes.reshape(-1)[places] = -xp.sum(others, axis=1) * factors
    return slopes.reshape(logits.shape), None


def is_rows(logits, labels, axis, reduction):
    """Whether these are rows of logits that have a class each, and one number is asked for."""
    rows = logits.ndim > 1 and labels.shape == logits.shape[:-1] and logits.size
    return rows and axis in (-1, logits.ndim - 1) and reduction != "none"


cross_entropy.form("numpy").keeping(cross_entropy_keeping).second(through_cross_entropy)
