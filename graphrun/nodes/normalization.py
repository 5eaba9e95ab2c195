"""Normalization: numbers that sum to 1, or that have mean 0 and variance 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphrun.declare.declaration import State, Training
from graphrun.declare.nodetype import Example, tensor
from graphrun.nodes.axes import all_from_front, check_axes, check_same_size, count, from_front, size_along
from graphrun.nodes.placing import is_numpy
from graphrun.nodes.reduction import deviations, exponentials, log_sum, mean_square, root_mean_square

if TYPE_CHECKING:
    from graphrun.base.types import NotNegative, Positive, Share

ALONG_AN_AXIS = (
    Example(shapes=[(3, 4)]),
    Example(shapes=[(5,)]),
    Example(shapes=[(2, 3, 2)], settings={"axis": 1}),
    Example(shapes=[(2, 0)]),
)


UNSURE = 0.75
"""Of shares below it, a difference of gradients and their mean keeps its digits."""


def shares(xp, x, axis):
    """Softmax along an axis; of nothing but -inf, as in a masked row, every share is 0."""
    if x.shape[axis] == 0:
        return x
    _, _, powers, total = exponentials(xp, x, axis)
    # The largest exponential is 1, or all are 0.
    return powers / xp.maximum(total, 1.0)


def log_shares(xp, x, axis):
    """Logarithm of the softmax along an axis; of nothing but -inf it is -inf."""
    if x.shape[axis] == 0:
        return x
    _, shifted, powers, total = exponentials(xp, x, axis)
    return shifted - xp.maximum(log_sum(xp, shifted, powers, total, axis), 0.0)


def through_shares(xp, gradient, y, axis):
    """The vector-Jacobian product of shares: y (gradient - sum(gradient y)), also where one share is nearly 1.

    There the second mean takes off what was rounded in the first; it is 0 but for that.
    """
    if y.size == 0:
        return gradient
    relative = gradient - xp.sum(gradient * y, axis=axis, keepdims=True)
    if not is_numpy(xp) or not xp.max(y) < UNSURE:
        relative = relative - xp.sum(relative * y, axis=axis, keepdims=True)
    return y * relative


@tensor(formula="exp(x) / sum(exp(x))", gradients=["y * (gradient - sum(gradient * y))"], examples=ALONG_AN_AXIS)
def softmax(xp, x, *, axis: int = -1):
    """Shares that sum to 1 along an axis: e^x / sum(e^x)."""
    return shares(xp, x, from_front(axis, x))


@softmax.vjp
def _(xp, gradient, y, x, *, axis):
    return (through_shares(xp, gradient, y, from_front(axis, y)),)


@tensor(formula="x - log(sum(exp(x)))", gradients=["gradient - exp(y) * sum(gradient)"], examples=ALONG_AN_AXIS)
def log_softmax(xp, x, *, axis: int = -1):
    """Logarithm of the softmax along an axis: x - log(sum(e^x))."""
    return log_shares(xp, x, from_front(axis, x))


@log_softmax.vjp
def _(xp, gradient, y, x, *, axis):
    return (gradient - xp.exp(y) * xp.sum(gradient, axis=axis, keepdims=True),)


def along(xp, scale, x, axes, name):
    """A scale or shift of the shape of some axes of x, with axes of size 1 for the others."""
    if scale.ndim != len(axes):
        raise ValueError(f"{name} has {count(scale.ndim, 'axis')}, but {len(axes)} of x are normalized")
    for i, axis in enumerate(sorted(axes)):
        check_same_size(x, axis, scale, i, ("x", name))
    return xp.reshape(scale, tuple(size if i in axes else 1 for i, size in enumerate(x.shape)))


def standardize(xp, x, axes, epsilon):
    """Deviations from the mean in standard deviations, and 1 over the standard deviation."""
    square = None
    if is_numpy(xp):
        # Beside small deviations the mean's rounding shows.
        center = xp.mean(x, axis=axes, keepdims=True)
        deviation = x - center
        square = mean_square(xp, deviation, axes)
        if xp.count_nonzero(center * center < 4 * square) < center.size:
            square = None
    if square is None:
        deviation = deviations(xp, x, axes)
    inverse = 1 / root_mean_square(xp, deviation, axes, epsilon, square)
    return deviation * inverse, inverse


def through_standardize(xp, gradient, normalized, inverse, axes):
    """The vector-Jacobian product of standardize."""
    along_normalized = xp.mean(gradient * normalized, axis=axes, keepdims=True)
    return inverse * (gradient - xp.mean(gradient, axis=axes, keepdims=True) - normalized * along_normalized)


STANDARDIZED = [
    "(g - mean(g) - u * mean(g * u)) / sqrt(var(x) + epsilon), where g = gradient * scale and u is x normalized",
    "sum(gradient * u), where u is x normalized",
    "sum(gradient)",
]
LAYER_EXAMPLES = (
    Example(shapes=[(3, 4), (4,), (4,)]),
    Example(shapes=[(2, 3, 4), (3, 4), (3, 4)], settings={"axis": [-2, -1]}),
    Example(shapes=[(2, 3, 4), (3,), (3,)], settings={"axis": 1, "epsilon": 0.1}),
)


@tensor(
    formula="scale * (x - mean(x)) / sqrt(var(x) + epsilon) + shift",
    gradients=STANDARDIZED,
    examples=LAYER_EXAMPLES,
)
def layer_norm(xp, x, scale, shift, *, axis: int | tuple[int, ...] = -1, epsilon: NotNegative = 1e-5):
    """Input with mean 0 and variance 1 along an axis or several, then scaled and shifted."""
    return layer_norm_keeping(xp, x, scale, shift, axis=axis, epsilon=epsilon)[0]


@layer_norm.keeping
def layer_norm_keeping(xp, x, scale, shift, *, axis, epsilon):
    """The output, and what `standardize` gives."""
    axes = all_from_front(axis, x)
    scale, shift = along(xp, scale, x, axes, "scale"), along(xp, shift, x, axes, "shift")
    kept = standardize(xp, x, axes, epsilon)
    return kept[0] * scale + shift, kept


@layer_norm.vjp
def _(xp, gradient, y, x, scale, shift, *, axis, epsilon, kept=None):
    axes = all_from_front(axis, x)
    others = tuple(i for i in range(x.ndim) if i not in axes)
    normalized, inverse = kept or standardize(xp, x, axes, epsilon)
    wide = along(xp, scale, x, axes, "scale")
    return (
        lambda: through_standardize(xp, gradient * wide, normalized, inverse, axes),
        lambda: xp.sum(gradient * normalized, axis=others),
        lambda: xp.sum(gradient, axis=others),
    )


@tensor(
    formula="scale * x / sqrt(mean(x ** 2) + epsilon)",
    gradients=[
        "(g - u * mean(g * u)) / sqrt(mean(x ** 2) + epsilon), where g = gradient * scale and u is x normalized",
        "sum(gradient * u), where u is x normalized",
    ],
    examples=[Example(shapes=example.shapes[:2], settings=example.settings) for example in LAYER_EXAMPLES],
)
def rms_norm(xp, x, scale, *, axis: int | tuple[int, ...] = -1, epsilon: NotNegative = 1e-5):
    """Input divided by its root mean square along an axis or several, then scaled."""
    return rms_norm_keeping(xp, x, scale, axis=axis, epsilon=epsilon)[0]


@rms_norm.keeping
def rms_norm_keeping(xp, x, scale, *, axis, epsilon):
    """The output, x divided, and what it is multiplied by for that."""
    axes = all_from_front(axis, x)
    inverse = 1 / root_mean_square(xp, x, axes, epsilon)
    normalized = x * inverse
    return normalized * along(xp, scale, x, axes, "scale"), (normalized, inverse)


@rms_norm.vjp
def _(xp, gradient, y, x, scale, *, axis, epsilon, kept=None):
    axes = all_from_front(axis, x)
    others = tuple(i for i in range(x.ndim) if i not in axes)
    normalized, inverse = kept or rms_norm_keeping(xp, x, scale, axis=axis, epsilon=epsilon)[1]

    def of_x():
        scaled = gradient * along(xp, scale, x, axes, "scale")
        return inverse * (scaled - normalized * xp.mean(scaled * normalized, axis=axes, keepdims=True))

    return of_x, lambda: xp.sum(gradient * normalized, axis=others)


def in_groups(xp, x, scale, shift, groups):
    """The channels of x, axis 1, laid out in groups, and what of the scale and the shift goes with each channel."""
    check_axes(x, 2)
    for name, array in (("scale", scale), ("shift", shift)):
        check_axes(array, 1, name, 1)
        check_same_size(x, 1, array, 0, ("x", name))
    if x.shape[1] % groups:
        raise ValueError(f"axis 1 of x has {count(x.shape[1], 'channel')}, no multiple of the {groups} groups")
    shape = (x.shape[0], groups, size_along(x, range(1, x.ndim)) // groups)
    return xp.reshape(x, shape), along(xp, scale, x, (1,), "scale"), along(xp, shift, x, (1,), "shift")


@tensor(
    formula="scale * (x - mean(x)) / sqrt(var(x) + epsilon) + shift",
    gradients=STANDARDIZED,
    examples=[
        Example(shapes=[(2, 4, 3), (4,), (4,)], settings={"groups": 2}),
        Example(shapes=[(2, 2, 2, 2), (2,), (2,)], settings={"groups": 1, "epsilon": 0.1}),
        Example(shapes=[(1, 3, 4), (3,), (3,)], settings={"groups": 3}),
    ],
)
def group_norm(xp, x, scale, shift, *, groups: Positive, epsilon: NotNegative = 1e-5):
    """Input with mean 0 and variance 1 in each group of channels, axis 1, then scaled and shifted by channel."""
    return group_norm_keeping(xp, x, scale, shift, groups=groups, epsilon=epsilon)[0]


@group_norm.keeping
def group_norm_keeping(xp, x, scale, shift, *, groups, epsilon):
    """The output, and what `standardize` gives."""
    parts, wide, moved = in_groups(xp, x, scale, shift, groups)
    kept = standardize(xp, parts, (2,), epsilon)
    return xp.reshape(kept[0], x.shape) * wide + moved, kept


@group_norm.vjp
def _(xp, gradient, y, x, scale, shift, *, groups, epsilon, kept=None):
    parts, wide, _ = in_groups(xp, x, scale, shift, groups)
    others = tuple(i for i in range(x.ndim) if i != 1)
    normalized, inverse = kept or standardize(xp, parts, (2,), epsilon)

    def of_x():
        scaled = xp.reshape(gradient * wide, parts.shape)
        return xp.reshape(through_standardize(xp, scaled, normalized, inverse, (2,)), x.shape)

    return (
        of_x,
        lambda: xp.sum(gradient * xp.reshape(normalized, x.shape), axis=others),
        lambda: xp.sum(gradient, axis=others),
    )


def batch_axes(x, axis, scale, shift):
    """The axis of the channels from the front, and all others, over which a batch is normalized."""
    check_axes(x, 2)
    number = from_front(axis, x)
    for name, array in (("scale", scale), ("shift", shift)):
        check_axes(array, 1, name, 1)
        check_same_size(x, number, array, 0, ("x", name))
    return number, tuple(i for i in range(x.ndim) if i != number)


@tensor(
    formula="scale * (x - mean(x)) / sqrt(var(x) + epsilon) + shift",
    gradients=[*STANDARDIZED, None, None],
    examples=[
        Example(shapes=[(5, 3), (3,), (3,)]),
        Example(shapes=[(3, 2, 2, 2), (2,), (2,)], settings={"epsilon": 0.1}),
        Example(shapes=[(2, 3, 2), (2,), (2,)], settings={"axis": -1, "momentum": 0.5}),
    ],
)
def batch_norm(
    xp,
    x,
    scale,
    shift,
    running_mean: State,
    running_variance: State,
    *,
    axis: int = 1,
    momentum: Share = 0.1,
    epsilon: NotNegative = 1e-5,
    training: Training,
):
    """Input with mean 0 and variance 1 in each channel, of the batch or (evaluated) running, scaled and shifted."""
    settings = {"axis": axis, "momentum": momentum, "epsilon": epsilon, "training": training}
    return batch_norm_keeping(xp, x, scale, shift, running_mean, running_variance, **settings)[0]


@batch_norm.keeping
def batch_norm_keeping(xp, x, scale, shift, running_mean, running_variance, *, axis, momentum, epsilon, training):
    """The output, the input normalized, and 1 over the standard deviation."""
    number, others = batch_axes(x, axis, scale, shift)
    scale, shift = along(xp, scale, x, (number,), "scale"), along(xp, shift, x, (number,), "shift")
    if training:
        if size_along(x, others) < 2:
            raise ValueError(f"a batch of {count(size_along(x, others), 'number')} in each channel has no variance")
        normalized, inverse = standardize(xp, x, others, epsilon)
    else:
        inverse = 1 / xp.sqrt(along(xp, running_variance, x, (number,), "running_variance") + epsilon)
        normalized = (x - along(xp, running_mean, x, (number,), "running_mean")) * inverse
    return normalized * scale + shift, (normalized, inverse)


@batch_norm.vjp
def _(
    xp, gradient, y, x, scale, shift, running_mean, running_variance, *, axis, momentum, epsilon, training, kept=None
):
    number, others = batch_axes(x, axis, scale, shift)
    if kept is None:
        settings = {"axis": axis, "momentum": momentum, "epsilon": epsilon, "training": training}
        _, kept = batch_norm_keeping(xp, x, scale, shift, running_mean, running_variance, **settings)
    normalized, inverse = kept

    def of_x():
        scaled = gradient * along(xp, scale, x, (number,), "scale")
        return through_standardize(xp, scaled, normalized, inverse, others) if training else scaled * inverse

    return (of_x, lambda: xp.sum(gradient * normalized, axis=others), lambda: xp.sum(gradient, axis=others), None, None)


def standard_normal(xp, x, scale, shift, **settings):
    """The running values before the first step: mean 0 and variance 1, as PyTorch has them."""
    return xp.zeros_like(scale), xp.ones_like(scale)


@batch_norm.states(standard_normal)
def _(xp, y, x, scale, shift, running_mean, running_variance, *, axis, momentum, epsilon, training):
    _, others = batch_axes(x, axis, scale, shift)
    number = size_along(x, others)
    mean = xp.mean(x, axis=others)
    # A batch is a sample: its variance is corrected here, but not where it normalizes (PyTorch's convention).
    variance = xp.var(x, axis=others) * (number / (number - 1))
    keep = 1 - momentum
    return keep * running_mean + momentum * mean, keep * running_variance + momentum * variance
