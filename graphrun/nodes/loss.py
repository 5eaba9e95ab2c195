"""Losses, each with its reduction over what it is taken of: the mean, the sum, or none; and the accuracy."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Literal

from graphrun.declare.declaration import Index
from graphrun.declare.nodetype import Example, Kink, tensor
from graphrun.nodes.axes import check_same_axes, check_same_size, count, from_front, undo_broadcast
from graphrun.nodes.indexing import named_classes
from graphrun.nodes.normalization import log_shares, shares

if TYPE_CHECKING:
    from graphrun.base.types import AboveZero, Share

Reduction = Literal["mean", "sum", "none"]

PAIRS = (
    Example(shapes=[(3, 2), (3, 2)]),
    Example(shapes=[(4,), (4,)], settings={"reduction": "sum"}),
    Example(shapes=[(2, 3), (2, 3)], settings={"reduction": "none"}),
    Example(shapes=[(), ()]),
    Example(shapes=[(3, 2), (3, 2), (3,)]),
    Example(shapes=[(2, 2), (2, 2), (2, 2)], settings={"reduction": "sum"}),
    Example(shapes=[(2, 3), (2, 3), (2,)], settings={"reduction": "none"}),
)
PAIRS_AND_NUMBER = (*PAIRS, Example(shapes=[(2, 3), ()]), Example(shapes=[(3,), (), ()]))
BY_WEIGHTS = "gradient * (losses - y) / sum(weights)"
WEIGHTS = {"weights": "[0, inf)"}


# --- weights and reduction -------------------------------------------------------------------------------------------


def spread_weights(xp, weights, losses):
    """Weights along the first axes of the losses, with axes of size 1 for the others."""
    if weights.ndim > losses.ndim:
        raise ValueError(f"weights has {count(weights.ndim, 'axis')}, the losses have {losses.ndim}")
    for axis in range(weights.ndim):
        check_same_size(losses, axis, weights, axis, ("the losses", "weights"))
    return xp.reshape(weights, weights.shape + (1,) * (losses.ndim - weights.ndim))


def number_of(losses, reduction):
    """How many a mean is of: all losses, or the rows, which PyTorch's batchmean divides by; 1 where it is no mean."""
    if reduction != "batchmean":
        return losses.size if reduction == "mean" else 1
    if not losses.ndim or not losses.shape[0]:
        raise ValueError("the mean over a batch needs an axis of the batch, with elements")
    return losses.shape[0]


def relative(xp, weights, reduction):
    """Weights by their mean, where that is what the result is divided by."""
    return weights if reduction in ("sum", "none") else weights / xp.mean(weights)


def reduced(xp, losses, reduction, weights=None):
    """The mean, the sum, or the losses themselves, each times its weight, by whose sum the mean is divided."""
    if weights is not None:
        wide = spread_weights(xp, relative(xp, weights, reduction), losses)
        losses = xp.where(xp.equal(wide, 0), 0.0, wide * losses)
    if reduction == "none":
        return losses
    if losses.size == 0:
        raise ValueError("a loss of no elements")
    return xp.mean(losses) if reduction == "mean" else xp.sum(losses) / number_of(losses, reduction)


def through(loss, *, masked=False):
    """Declare a loss's vjp by the slopes of one loss alone, before weights and reduction.

    They are ``(xp, *inputs, *, settings) -> tuple``, an entry for each input but the weights: an array, a function of
    no arguments that returns one, or None; masked are those that may be no numbers where a gradient is 0.
    """
    own = inspect.signature(loss.function)
    leading, *others = own.parameters.values()
    most = len(loss.inputs) - 1

    def declare(slopes):
        def vjp(xp, gradient, y, *inputs, reduction, **settings):
            inputs, weights = inputs[:most], inputs[most:]
            axis = from_front(settings["axis"], inputs[0]) if "axis" in settings else None
            lines = inputs[0] if axis is None else inputs[0][(slice(None),) * axis + (0,)]
            number = number_of(lines, reduction)
            share = gradient / number
            weighed = share
            if weights:
                weighed = share * spread_weights(xp, relative(xp, weights[0], reduction), lines)
            wide = weighed if axis is None or not lines.ndim or not weighed.ndim else xp.expand_dims(weighed, axis=axis)

            def part(slope, x):
                found = wide * (slope() if callable(slope) else slope)
                if weights or masked:
                    found = xp.where(xp.equal(wide, 0), 0.0, found)
                if found.shape != inputs[0].shape:
                    found = xp.broadcast_to(found, inputs[0].shape)
                return undo_broadcast(xp, found, x.shape)

            def of_weights():
                losses = loss.function(xp, *inputs, reduction="none", **settings)
                if reduction not in ("sum", "none"):
                    losses = (losses - y * (number / lines.size)) / xp.mean(weights[0])
                return xp.sum(share * losses, axis=tuple(range(weights[0].ndim, lines.ndim)))

            given = slopes(xp, *inputs, **settings)
            parts = [None if s is None else partial(part, s, x) for s, x in zip(given, inputs, strict=True)]
            return (*parts, of_weights) if weights else tuple(parts)

        passed = (inspect.Parameter(name, leading.kind) for name in ("gradient", "y"))
        signature = own.replace(parameters=[leading, *passed, *others])
        vars(vjp)["__signature__"] = signature
        return loss.vjp(vjp)

    return declare


# --- of two arrays of numbers ----------------------------------------------------------------------------------------


def difference(x, y, names=("prediction", "target")):
    """Difference of two arrays of one shape; the second may be a lone number."""
    # Nothing broadcasts: a column less a row would be a matrix, and its mean a plausible, wrong loss.
    if y.ndim:
        check_same_axes(x, y, names)
    return x - y


@tensor(
    formula="mean((prediction - target) ** 2)",
    gradients=["gradient * 2 * (prediction - target) / n", "-gradient * 2 * (prediction - target) / n", BY_WEIGHTS],
    domain=WEIGHTS,
    examples=PAIRS_AND_NUMBER,
)
def mean_squared_error(xp, prediction, target, weights=None, *, reduction: Reduction = "mean"):
    """Squared difference: (prediction - target)^2."""
    return reduced(xp, difference(prediction, target) ** 2, reduction, weights)


@through(mean_squared_error)
def _(xp, prediction, target):
    slope = 2 * (prediction - target)
    return slope, lambda: -slope


@tensor(
    formula="mean(abs(prediction - target))",
    gradients=["gradient * sign(prediction - target) / n", "-gradient * sign(prediction - target) / n", BY_WEIGHTS],
    domain=WEIGHTS,
    examples=PAIRS_AND_NUMBER,
)
def mean_absolute_error(xp, prediction, target, weights=None, *, reduction: Reduction = "mean"):
    """Absolute difference: |prediction - target|; the derivative is 0 where they are equal."""
    return reduced(xp, xp.abs(difference(prediction, target)), reduction, weights)


@through(mean_absolute_error)
def _(xp, prediction, target):
    slope = xp.sign(prediction - target)
    return slope, lambda: -slope


@tensor(
    formula="mean(where(abs(d) <= delta, d ** 2 / 2, delta * (abs(d) - delta / 2))), where d = prediction - target",
    gradients=[
        "gradient * clip(prediction - target, -delta, delta) / n",
        "-gradient * clip(prediction - target, -delta, delta) / n",
        BY_WEIGHTS,
    ],
    domain=WEIGHTS,
    examples=[*PAIRS_AND_NUMBER, Example(shapes=[(2, 3), (2, 3)], settings={"delta": 2.5})],
)
def huber_loss(xp, prediction, target, weights=None, *, delta: AboveZero = 1.0, reduction: Reduction = "mean"):
    """Half the squared difference d up to |d| = delta, beyond it a straight line: delta (|d| - delta / 2)."""
    size = xp.abs(difference(prediction, target))
    return reduced(xp, xp.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta)), reduction, weights)


@through(huber_loss)
def _(xp, prediction, target, *, delta):
    slope = xp.minimum(xp.maximum(prediction - target, -delta), delta)
    return slope, lambda: -slope


@tensor(
    formula="mean(maximum(quantile * d, (quantile - 1) * d)), where d = target - prediction",
    gradients=[
        "-gradient * (quantile where d > 0, quantile - 1 where d < 0) / n, where d = target - prediction",
        "gradient * (quantile where d > 0, quantile - 1 where d < 0) / n, where d = target - prediction",
        BY_WEIGHTS,
    ],
    domain=WEIGHTS,
    kinks=[Kink({"prediction": "target"}, (0, 0, ...))],
    examples=[*PAIRS_AND_NUMBER, Example(shapes=[(2, 3), (2, 3)], settings={"quantile": 0.9})],
)
def quantile_loss(xp, prediction, target, weights=None, *, quantile: Share = 0.5, reduction: Reduction = "mean"):
    """Pinball loss, least at a quantile: quantile d where d = target - prediction > 0, else (quantile - 1) d."""
    d = -difference(prediction, target)
    return reduced(xp, xp.maximum(quantile * d, (quantile - 1) * d), reduction, weights)


@through(quantile_loss)
def _(xp, prediction, target, *, quantile):
    d = target - prediction
    slope = xp.where(d > 0, -quantile, xp.where(d < 0, 1 - quantile, 0.0))
    return slope, lambda: -slope


@tensor(
    formula="mean(log(1 + exp(logits)) - target * logits)",
    gradients=["gradient * (sigmoid(logits) - target) / n", "-gradient * logits / n", BY_WEIGHTS],
    domain=WEIGHTS,
    examples=[
        *PAIRS_AND_NUMBER,
        Example(values=[[40.0, -40.0, 800.0, -800.0], [1.0, 0.0, 0.25, 1.0]], settings={"reduction": "none"}),
    ],
)
def binary_cross_entropy_with_logits(xp, logits, target, weights=None, *, reduction: Reduction = "mean"):
    """Cross-entropy of two classes: -target log(p) - (1 - target) log(1 - p), p the sigmoid of the logits."""
    difference(logits, target, ("logits", "target"))
    # log(1 + e^-|x|) and, where x is positive, x (1 - target), else -x target: no digits are lost in either tail.
    linear = logits * xp.where(logits > 0, 1 - target, -target)
    return reduced(xp, linear + xp.log1p(xp.exp(-xp.abs(logits))), reduction, weights)


@through(binary_cross_entropy_with_logits)
def _(xp, logits, target):
    return (1 - target) / (1 + xp.exp(-logits)) - target / (1 + xp.exp(logits)), lambda: -logits


@tensor(
    formula="mean(target * (log(target) - logarithms))",
    gradients=["-gradient * target / n", "gradient * (log(target) + 1 - logarithms) / n", BY_WEIGHTS],
    domain={"target": "[0, inf)", **WEIGHTS},
    kinks=[Kink({"target": 0}, (..., 0, ...))],
    examples=[
        *PAIRS,
        Example(shapes=[(4, 3), (4, 3)], settings={"reduction": "batchmean"}),
        Example(shapes=[(4, 3), (4, 3), (4,)], settings={"reduction": "batchmean"}),
    ],
)
def kl_div(xp, logarithms, target, weights=None, *, reduction: Literal["mean", "batchmean", "sum", "none"] = "mean"):
    """Divergence of a distribution, given by its logarithms, from a target: target (log(target) - logarithms)."""
    difference(logarithms, target, ("logarithms", "target"))
    positive = target > 0
    losses = xp.where(positive, target * (xp.log(xp.where(positive, target, 1.0)) - logarithms), 0.0)
    return reduced(xp, losses, reduction, weights)


@through(kl_div)
def _(xp, logarithms, target):
    positive = target > 0

    def of_target():
        return xp.where(positive, xp.log(xp.where(positive, target, 1.0)) + 1 - logarithms, 0.0)

    return -xp.where(positive, target, 0.0), of_target


# --- of classes ------------------------------------------------------------------------------------------------------

CLASSES = (
    Example(shapes=[(4, 3), (4,)], values=[None, [0, 2, 1, 1]]),
    Example(shapes=[(4, 3), (4,)], values=[None, [0, 2, 1, 1]], settings={"reduction": "sum"}),
    Example(shapes=[(2, 3, 2), (2, 2)], values=[None, [[0, 2], [1, 1]]], settings={"axis": 1, "reduction": "none"}),
    Example(shapes=[(3,), ()], values=[None, 2]),
    Example(shapes=[(4, 3), (4,), (4,)], values=[None, [0, 2, 1, 1], None]),
    Example(shapes=[(2, 3, 2), (2, 2), (2,)], values=[None, [[0, 2], [1, 1]], None], settings={"axis": 1}),
)


def class_labels(xp, scores, labels, axis, name):
    """Labels of the classes along an axis of the scores, checked, with that axis of size 1."""
    for i in range(labels.ndim):
        check_same_size(scores, i + (i >= axis), labels, i, (name, "labels"))
    return xp.expand_dims(named_classes(xp, labels, scores.shape[axis]), axis=axis)


def has_labels(scores, labels, name):
    """Whether labels are classes, one axis fewer than the scores, and not a probability for each class."""
    if scores.ndim not in (labels.ndim, labels.ndim + 1) or not scores.ndim:
        raise ValueError(
            f"{name} has {count(scores.ndim, 'axis')}, labels has {labels.ndim}: it takes one fewer for classes, "
            "as many for probabilities"
        )
    return labels.ndim < scores.ndim


@tensor(
    formula="mean(-log(softmax(logits)) at the labels)",
    gradients=[
        "gradient * (softmax(logits) - (1 at the labels, 0 elsewhere)) / n",
        "-gradient * log(softmax(logits)) / n, for probabilities",
        BY_WEIGHTS,
    ],
    domain=WEIGHTS,
    examples=[
        *CLASSES,
        Example(shapes=[(4, 3), (4, 3)]),
        Example(shapes=[(2, 3, 2), (2, 3, 2)], settings={"axis": 1, "reduction": "none"}),
        Example(shapes=[(3,), (3,)], settings={"reduction": "sum"}),
    ],
)
def cross_entropy(xp, logits, labels, weights=None, *, axis: int = -1, reduction: Reduction = "mean"):
    """Cross-entropy: -log(softmax(logits)) of the labels' class, or weighted by labels that are probabilities."""
    number = from_front(axis, logits, "logits")
    if has_labels(logits, labels, "logits"):
        chosen = class_labels(xp, logits, labels, number, "logits")
        losses = -xp.take_along_axis(log_shares(xp, logits, number), chosen, axis=number)
        return reduced(xp, xp.squeeze(losses, axis=number), reduction, weights)
    check_same_axes(logits, labels, ("logits", "labels"))
    terms = xp.where(xp.equal(labels, 0), 0.0, -labels * log_shares(xp, logits, number))
    return reduced(xp, xp.sum(terms, axis=number), reduction, weights)


@through(cross_entropy)
def cross_entropy_vjp(xp, logits, labels, *, axis):
    """The slope of each line's loss: the probabilities, less what the labels say."""
    number = from_front(axis, logits, "logits")
    probabilities = shares(xp, logits, number)
    if has_labels(logits, labels, "logits"):
        # Of the labels' class, the probability less 1 is the sum of the others with its sign changed.
        named = at_class(xp, probabilities, labels, number)
        others = xp.where(named, 0.0, probabilities)
        return xp.where(named, -xp.sum(others, axis=number, keepdims=True), others), None
    expected = probabilities * xp.sum(labels, axis=number, keepdims=True)
    return expected - labels, lambda: -log_shares(xp, logits, number)


def at_class(xp, scores, labels, axis):
    """Whether each score is that of the labels' class."""
    classes = xp.reshape(xp.arange(scores.shape[axis]), (-1, *(1,) * (scores.ndim - axis - 1)))
    return xp.equal(classes, xp.expand_dims(xp.asarray(labels), axis=axis))


@tensor(
    formula="mean(-log_probabilities at the labels)",
    gradients=["-gradient / n at the labels, 0 elsewhere", None, BY_WEIGHTS],
    domain=WEIGHTS,
    examples=CLASSES,
)
def nll_loss(xp, log_probabilities, labels: Index, weights=None, *, axis: int = -1, reduction: Reduction = "mean"):
    """Negative logarithm of the probability of the labels' class, given all logarithms."""
    number = from_front(axis, log_probabilities, "log_probabilities")
    if not has_labels(log_probabilities, labels, "log_probabilities"):
        raise ValueError("labels are classes: one axis fewer than log_probabilities")
    chosen = class_labels(xp, log_probabilities, labels, number, "log_probabilities")
    losses = -xp.take_along_axis(log_probabilities, chosen, axis=number)
    return reduced(xp, xp.squeeze(losses, axis=number), reduction, weights)


@through(nll_loss)
def _(xp, log_probabilities, labels, *, axis):
    at_labels = at_class(xp, log_probabilities, labels, from_front(axis, log_probabilities))
    return xp.where(at_labels, -xp.ones_like(log_probabilities), 0.0), None


def right_rows(xp, logits, labels):
    """Whether each row's class is that of its label."""
    if logits.size == 0:
        raise ValueError("logits has no elements")
    if logits.ndim == labels.ndim + 1 and logits.shape[-1] > 1:
        for i in range(labels.ndim):
            check_same_size(logits, i, labels, i, ("logits", "labels"))
        return xp.equal(xp.argmax(logits, axis=-1), named_classes(xp, labels, logits.shape[-1]))
    if logits.ndim == labels.ndim + 1:
        logits = xp.squeeze(logits, axis=-1)
    check_same_axes(logits, labels, ("logits", "labels"))
    return xp.equal(logits > 0, named_classes(xp, labels, 2) > 0)


@tensor(
    formula="mean(argmax(logits) == labels)",
    gradients=[None, None],
    examples=[
        Example(shapes=[(4, 3), (4,)], values=[None, [0, 2, 1, 1]]),
        Example(shapes=[(4, 1), (4,)], values=[None, [0, 1, 1, 1]]),
        Example(shapes=[(4,), (4,)], values=[None, [0, 1, 1, 1]]),
        Example(shapes=[(2, 1), (2, 1)], values=[None, [[0], [1]]]),
    ],
)
def accuracy(xp, logits, labels: Index):
    """Share of rows whose largest logit is that of the label; of two classes one logit, positive for class 1."""
    right = right_rows(xp, logits, labels)
    return xp.mean(xp.where(right, xp.ones_like(right, dtype=logits.dtype), 0.0))


@accuracy.vjp
def _(xp, gradient, y, logits, labels):
    return None, None
