"""The forms that node types have for this engine: fewer calls of NumPy, where those are what small arrays cost."""

from __future__ import annotations

import math

from graphrun.nodes.indexing import named_classes
from graphrun.nodes.loss import cross_entropy, cross_entropy_vjp, reduced
from graphrun.nodes.normalization import UNSURE
from graphrun.nodes.reduction import SURE


@cross_entropy.form("numpy")
def cross_entropy_of_rows(xp, logits, labels, weights=None, *, axis, reduction):
    """The loss of rows that have a class each in half the calls of NumPy."""
    if weights is None and is_rows(logits, labels, axis, reduction):
        classes = named_classes(xp, labels, logits.shape[1])
        rows = xp.arange(len(classes))
        shifted = logits - xp.max(logits, axis=1, keepdims=True)
        powers = xp.exp(shifted)
        totals = xp.sum(powers, axis=1)
        if xp.count_nonzero(totals > SURE) < len(rows):
            powers[rows, powers.argmax(axis=1)] = 0
            logarithms = xp.log1p(xp.sum(powers, axis=1))
        else:
            logarithms = xp.log(totals)
        loss = reduced(xp, logarithms - shifted[rows, classes], reduction)
        if math.isfinite(loss):
            return loss
    # Infinite logits, among others.
    return cross_entropy.function(xp, logits, labels, weights, axis=axis, reduction=reduction)


@cross_entropy_of_rows.second
def _(xp, gradient, y, logits, labels, *weights, axis, reduction):
    if weights or not is_rows(logits, labels, axis, reduction) or not math.isfinite(y):
        return cross_entropy_vjp(xp, gradient, y, logits, labels, *weights, axis=axis, reduction=reduction)
    powers = xp.exp(logits - xp.max(logits, axis=1, keepdims=True))
    totals = xp.sum(powers, axis=1)
    named = xp.arange(len(labels)), labels.astype(int)
    of_labels = powers[named]
    if xp.count_nonzero(of_labels < UNSURE * totals) == len(labels):
        powers[named] = of_labels - totals
    else:
        # The probability of the label's class less 1 is the sum of the others with its sign changed.
        powers[named] = 0
        powers[named] = -xp.sum(powers, axis=1)
    powers *= xp.expand_dims((gradient / len(labels) if reduction == "mean" else gradient) / totals, 1)
    return powers, None


def is_rows(logits, labels, axis, reduction):
    """Whether these are rows of logits that have a class each, and one number is asked for."""
    rows = logits.ndim == 2 and labels.ndim == 1 and len(logits) == len(labels) and logits.size
    return rows and axis in (-1, 1) and reduction != "none"
