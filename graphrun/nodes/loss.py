"""Losses, each with its reduction over what it is taken of: the mean, the sum, or none; and the accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from graphrun.declare.declaration import Index
from graphrun.declare.nodetype import Example, Kink, tensor
from graphrun.nodes.axes import check_same_axes, check_same_size, count, from_front, undo_broadcast
from graphrun.nodes.indexing import named_classes
from graphrun.nodes.normalization import log_shares, shares

if TYPE_CHECKING:
    from graphrun.base.types import AboveZero

Reduction = Literal["mean", "sum", "none"]

PAIRS = (
    Example(shapes=[(3, 2), (3, 2)]),
    Example(shapes=[(4,), (4,)], settings={"reduction": "sum"}),
    Example(shapes=[(2, 3), (2, 3)], settings={"reduction": "none"}),
    Example(shapes=[(), ()]),
)
PAIRS_AND_NUMBER = (*PAIRS, Example(shapes=[(2, 3), ()]))


def reduced(xp, losses, reduction):
    """The mean, the sum, or the losses themselves."""
    if reduction == "none":
        return losses
    if losses.size == 0:
        raise ValueError("a loss of no elements")
    return xp.mean(losses) if reduction == "mean" else xp.sum(losses)


def each(gradient, losses, reduction):
    """The gradient of each of so many losses; a lone number where all have the same."""
    return gradient / losses if reduction == "mean" else gradient


# --- of two arrays of numbers ----------------------------------------------------------------------------------------


def difference(x, y, names=("prediction", "target")):
    """Difference of two arrays of one shape; the second may be a lone number."""
    # Nothing broadcasts: a column less a row would be a matrix, and its mean a plausible, wrong loss.
    if y.ndim:
        check_same_axes(x, y, names)
    return x - y


def both(xp, slopes, prediction, target):
    """Slopes by the difference as gradients of prediction and target."""
    slopes = xp.broadcast_to(slopes, prediction.shape)
    return slopes, lambda: undo_broadcast(xp, -slopes, target.shape)


@tensor(
    formula="mean((prediction - target) ** 2)",
    gradients=["gradient * 2 * (prediction - target) / n", "-gradient * 2 * (prediction - target) / n"],
    examples=PAIRS_AND_NUMBER,
)
def mean_squared_error(xp, prediction, target, *, reduction: Reduction = "mean"):
    """Squared difference: (prediction - target)^2."""
    return reduced(xp, difference(prediction, target) ** 2, reduction)


@mean_squared_error.vjp
def _(xp, gradient, y, prediction, target, *, reduction):
    slopes = each(2 * gradient, prediction.size, reduction) * (prediction - target)
    return both(xp, slopes, prediction, target)


@tensor(
    formula="mean(abs(prediction - target))",
    gradients=["gradient * sign(prediction - target) / n", "-gradient * sign(prediction - target) / n"],
    examples=PAIRS_AND_NUMBER,
)
def mean_absolute_error(xp, prediction, target, *, reduction: Reduction = "mean"):
    """Absolute difference: |prediction - target|; the derivative is 0 where they are equal."""
    return reduced(xp, xp.abs(difference(prediction, target)), reduction)


@mean_absolute_error.vjp
def _(xp, gradient, y, prediction, target, *, reduction):
    slopes = each(gradient, prediction.size, reduction) * xp.sign(prediction - target)
    return both(xp, slopes, prediction, target)


@tensor(
    formula="mean(where(abs(d) <= delta, d ** 2 / 2, delta * (abs(d) - delta / 2))), where d = prediction - target",
    gradients=[
        "gradient * clip(prediction - target, -delta, delta) / n",
        "-gradient * clip(prediction - target, -delta, delta) / n",
    ],
    examples=[*PAIRS_AND_NUMBER, Example(shapes=[(2, 3), (2, 3)], settings={"delta": 2.5})],
)
def huber_loss(xp, prediction, target, *, delta: AboveZero = 1.0, reduction: Reduction = "mean"):
    """Half the squared difference d up to |d| = delta, beyond it a straight line: delta (|d| - delta / 2)."""
    size = xp.abs(difference(prediction, target))
    return reduced(xp, xp.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta)), reduction)


@huber_loss.vjp
def _(xp, gradient, y, prediction, target, *, delta, reduction):
    bounded = xp.minimum(xp.maximum(prediction - target, -delta), delta)
    return both(xp, each(gradient, prediction.size, reduction) * bounded, prediction, target)


@tensor(
    formula="mean(log(1 + exp(logits)) - target * logits)",
    gradients=["gradient * (sigmoid(logits) - target) / n", "-gradient * logits / n"],
    examples=[
        *PAIRS_AND_NUMBER,
        Example(values=[[40.0, -40.0, 800.0, -800.0], [1.0, 0.0, 0.25, 1.0]], settings={"reduction": "none"}),
    ],
)
def binary_cross_entropy_with_logits(xp, logits, target, *, reduction: Reduction = "mean"):
    """Cross-entropy of two classes: -target log(p) - (1 - target) log(1 - p), p the sigmoid of the logits."""
    difference(logits, target, ("logits", "target"))
    # log(1 + e^-|x|) and, where x is positive, x (1 - target), else -x target: no digits are lost in either tail.
    linear = logits * xp.where(logits > 0, 1 - target, -target)
    return reduced(xp, linear + xp.log1p(xp.exp(-xp.abs(logits))), reduction)


@binary_cross_entropy_with_logits.vjp
def _(xp, gradient, y, logits, target, *, reduction):
    gradient = each(gradient, logits.size, reduction)
    of_logits = (1 - target) / (1 + xp.exp(-logits)) - target / (1 + xp.exp(logits))
    return gradient * of_logits, lambda: undo_broadcast(xp, -gradient * logits, target.shape)


@tensor(
    formula="mean(target * (log(target) - logarithms))",
    gradients=["-gradient * target / n", "gradient * (log(target) + 1 - logarithms) / n"],
    domain={"target": "[0, inf)"},
    kinks=[Kink({"target": 0}, (..., 0))],
    examples=[*PAIRS, Example(shapes=[(4, 3), (4, 3)], settings={"reduction": "batchmean"})],
)
def kl_div(xp, logarithms, target, *, reduction: Literal["mean", "batchmean", "sum", "none"] = "mean"):
    """Divergence of a distribution, given by its logarithms, from a target: target (log(target) - logarithms)."""
    difference(logarithms, target, ("logarithms", "target"))
    positive = target > 0
    losses = xp.where(positive, target * (xp.log(xp.where(positive, target, 1.0)) - logarithms), 0.0)
    if reduction == "batchmean":
        return xp.sum(losses) / rows(logarithms)
    return reduced(xp, losses, reduction)


@kl_div.vjp
def _(xp, gradient, y, logarithms, target, *, reduction):
    gradient = gradient / rows(logarithms) if reduction == "batchmean" else each(gradient, target.size, reduction)
    positive = target > 0

    def of_target():
        slopes = xp.log(xp.where(positive, target, 1.0)) + 1 - logarithms
        return undo_broadcast(xp, xp.where(positive, gradient * slopes, 0.0), target.shape)

    return -gradient * xp.where(positive, target, 0.0), of_target


def rows(x):
    """The size of the first axis, which PyTorch's batchmean divides by."""
    if not x.ndim or not x.shape[0]:
        raise ValueError("the mean over a batch needs an axis of the batch, with elements")
    return x.shape[0]


# --- of classes ------------------------------------------------------------------------------------------------------

CLASSES = (
    Example(shapes=[(4, 3), (4,)], values=[None, [0, 2, 1, 1]]),
    Example(shapes=[(4, 3), (4,)], values=[None, [0, 2, 1, 1]], settings={"reduction": "sum"}),
    Example(shapes=[(2, 3, 2), (2, 2)], values=[None, [[0, 2], [1, 1]]], settings={"axis": 1, "reduction": "none"}),
    Example(shapes=[(3,), ()], values=[None, 2]),
)


def class_labels(xp, scores, labels, axis, name):
    """Labels of the classes along an axis of the scores, checked, with that axis of size 1."""
    for i in range(labels.ndim):
        check_same_size(scores, i + (i >= axis), labels, i, (name, "labels"))
    return xp.expand_dims(named_classes(xp, labels, scores.shape[axis]), axis=axis)


def each_line(xp, gradient, scores, axis, reduction):
    """The gradient of the loss of each line of scores along an axis, with that axis of size 1."""
    gradient = each(gradient, scores.size // scores.shape[axis], reduction)
    return xp.expand_dims(gradient, axis=axis) if reduction == "none" else gradient


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
    ],
    examples=[
        *CLASSES,
        Example(shapes=[(4, 3), (4, 3)]),
        Example(shapes=[(2, 3, 2), (2, 3, 2)], settings={"axis": 1, "reduction": "none"}),
        Example(shapes=[(3,), (3,)], settings={"reduction": "sum"}),
    ],
)
def cross_entropy(xp, logits, labels, *, axis: int = -1, reduction: Reduction = "mean"):
    """Cross-entropy: -log(softmax(logits)) of the labels' class, or weighted by labels that are probabilities."""
    number = from_front(axis, logits, "logits")
    if has_labels(logits, labels, "logits"):
        chosen = class_labels(xp, logits, labels, number, "logits")
        losses = -xp.take_along_axis(log_shares(xp, logits, number), chosen, axis=number)
        return reduced(xp, xp.squeeze(losses, axis=number), reduction)
    check_same_axes(logits, labels, ("logits", "labels"))
    terms = xp.where(xp.equal(labels, 0), 0.0, -labels * log_shares(xp, logits, number))
    return reduced(xp, xp.sum(terms, axis=number), reduction)


@cross_entropy.vjp
def cross_entropy_vjp(xp, gradient, y, logits, labels, *, axis, reduction):
    """The gradient of the logits: the probabilities, less what the labels say."""
    number = from_front(axis, logits, "logits")
    gradient = each_line(xp, gradient, logits, number, reduction)
    probabilities = shares(xp, logits, number)
    if has_labels(logits, labels, "logits"):
        # Of the labels' class, the probability less 1 is the sum of the others with its sign changed.
        named = at_class(xp, probabilities, labels, number)
        others = xp.where(named, 0.0, probabilities)
        return gradient * xp.where(named, -xp.sum(others, axis=number, keepdims=True), others), None
    expected = probabilities * xp.sum(labels, axis=number, keepdims=True)
    return gradient * (expected - labels), lambda: -gradient * log_shares(xp, logits, number)


def at_class(xp, scores, labels, axis):
    """Whether each score is that of the labels' class."""
    classes = xp.reshape(xp.arange(scores.shape[axis]), (-1, *(1,) * (scores.ndim - axis - 1)))
    return xp.equal(classes, xp.expand_dims(xp.asarray(labels), axis=axis))


@tensor(
    formula="mean(-log_probabilities at the labels)",
    gradients=["-gradient / n at the labels, 0 elsewhere", None],
    examples=CLASSES,
)
def nll_loss(xp, log_probabilities, labels: Index, *, axis: int = -1, reduction: Reduction = "mean"):
    """Negative logarithm of the probability of the labels' class, given all logarithms."""
    number = from_front(axis, log_probabilities, "log_probabilities")
    if not has_labels(log_probabilities, labels, "log_probabilities"):
        raise ValueError("labels are classes: one axis fewer than log_probabilities")
    chosen = class_labels(xp, log_probabilities, labels, number, "log_probabilities")
    losses = -xp.take_along_axis(log_probabilities, chosen, axis=number)
    return reduced(xp, xp.squeeze(losses, axis=number), reduction)


@nll_loss.vjp
def _(xp, gradient, y, log_probabilities, labels, *, axis, reduction):
    number = from_front(axis, log_probabilities)
    gradient = each_line(xp, gradient, log_probabilities, number, reduction)
    at_labels = at_class(xp, log_probabilities, labels, number)
    return xp.where(at_labels, -gradient, xp.zeros_like(log_probabilities)), None


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
