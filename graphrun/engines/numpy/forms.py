"""The forms that node types have for this engine: fewer calls of NumPy, where those are what small arrays cost."""

from __future__ import annotations

import math

import numpy as np

from graphrun.nodes.indexing import named_classes
from graphrun.nodes.loss import cross_entropy, cross_entropy_vjp
from graphrun.nodes.normalization import UNSURE
from graphrun.nodes.reduction import SURE

LEAST_LOSS = -math.log(UNSURE)
"""Of a label whose share is UNSURE."""


def cross_entropy_keeping(xp, logits, labels, weights=None, *, axis, reduction):
    """The loss of rows that have a class each in half the calls of NumPy, and the parts that it is made of."""
    if weights is None and is_rows(logits, labels, axis, reduction):
        # In one piece, so that places in it can be counted.
        rows = np.ascontiguousarray(logits).reshape(-1, logits.shape[-1])
        places = labels.astype(np.int64)
        # A negative number without its sign is a large one.
        if np.count_nonzero(places != labels) or np.maximum.reduce(places.view(np.uint64), None) >= rows.shape[1]:
            named_classes(xp, labels, rows.shape[1])
        places = places.reshape(-1) + np.arange(0, rows.size, rows.shape[1])
        shifted = rows - np.maximum.reduce(rows, 1, keepdims=True)
        powers = np.exp(shifted)
        totals = np.add.reduce(powers, 1)
        of_labels = shifted.reshape(-1)[places]
        losses = np.log(totals) - of_labels
        # Of a share that is not near 1 the logarithm keeps its digits, and so does its difference from 1.
        sure = np.minimum.reduce(losses) > LEAST_LOSS
        if not sure and not np.minimum.reduce(totals) > SURE:
            others = powers.copy()
            others[np.arange(len(rows)), others.argmax(axis=1)] = 0
            losses = np.log1p(np.add.reduce(others, 1)) - of_labels
        loss = np.add.reduce(losses)
        if reduction == "mean":
            loss = loss / totals.dtype.type(len(totals))
        if math.isfinite(loss):
            return loss, (powers, totals, places, sure)
    # Infinite logits, among others.
    return cross_entropy.function(xp, logits, labels, weights, axis=axis, reduction=reduction), None


def through_cross_entropy(xp, gradient, y, logits, labels, *weights, axis, reduction, kept=None):
    """The vector-Jacobian product of the loss."""
    if kept is None:
        _, kept = cross_entropy_keeping(xp, logits, labels, *weights, axis=axis, reduction=reduction)
    if kept is None:
        return cross_entropy_vjp(xp, gradient, y, logits, labels, *weights, axis=axis, reduction=reduction)
    powers, totals, places, sure = kept
    factors = (gradient / totals.dtype.type(len(totals)) if reduction == "mean" else gradient) / totals
    slopes = powers * factors.reshape(-1, 1)
    flat = slopes.reshape(-1)
    if sure:
        flat[places] = (powers.reshape(-1)[places] - totals) * factors
    else:
        # The probability of the label's class less 1 is the sum of the others with its sign changed.
        flat[places] = 0
        flat[places] = -np.add.reduce(slopes, 1)
    return slopes.reshape(logits.shape), None


def is_rows(logits, labels, axis, reduction):
    """Whether these are rows of logits that have a class each, and one number is asked for."""
    rows = logits.ndim > 1 and labels.shape == logits.shape[:-1] and logits.size
    return rows and axis in (-1, logits.ndim - 1) and reduction != "none"


cross_entropy.form("numpy").keeping(cross_entropy_keeping).second(through_cross_entropy)
