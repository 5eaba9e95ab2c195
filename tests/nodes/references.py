"""What every node type computes, in arithmetic of any precision: the truth that the audit of accuracy measures against.

Elementwise types are functions of mpmath's numbers, tensor types of NumPy arrays of them. Each is written from the
type's definition, not from its code. The derivatives are differences of these functions, in hundreds of digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from mpmath import mp

Number = Any


def truth(condition: Any) -> Number:
    """1 where a condition holds, else 0."""
    return mp.mpf(bool(condition))


def exponential(x: Number) -> Number:
    """e^x; 0 where it has more zeros than any arithmetic here has digits: mpmath takes long for those."""
    return mp.exp(x) if x > -1e5 else mp.mpf(0)


def sigmoid(x: Number) -> Number:
    """Logistic function."""
    tail = exponential(-abs(x))
    return (1 if x > 0 else tail) / (1 + tail)


def gelu(x: Number, approximate: str = "none") -> Number:
    """Gaussian error linear unit."""
    if approximate == "tanh":
        return x * sigmoid(2 * mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3))
    return x * mp.erfc(-x / mp.sqrt(2)) / 2


def power(x: Number, y: Number) -> Number:
    """Power of a positive number; of a negative one where y is whole."""
    return mp.power(x, int(y) if y == int(y) and abs(y) < 2**31 else y)


def normal_log_cdf(x: Number) -> Number:
    """Logarithm of the normal distribution function; far out by its asymptotic series."""
    if x > 0:
        return mp.log1p(-mp.erfc(x / mp.sqrt(2)) / 2) if x < 1e4 else mp.mpf(0)
    if x > -100:
        return mp.log(mp.erfc(-x / mp.sqrt(2)) / 2)
    terms = [mp.mpf(1)]
    while abs(terms[-1]) > mp.eps and len(terms) < 400:
        terms.append(-terms[-1] * (2 * len(terms) - 1) / (x * x))
    return -x * x / 2 - mp.log(-x * mp.sqrt(2 * mp.pi)) + mp.log(mp.fsum(terms))


ELEMENTWISE: dict[str, Callable[..., Number]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "remainder": lambda x, y: x - y * mp.floor(x / y),
    "fmod": lambda x, y: x - y * (mp.floor(x / y) if x / y > 0 else mp.ceil(x / y)),
    "negative": lambda x: -x,
    "abs": abs,
    "identity": lambda x: x,
    "stop_gradient": lambda x: x,
    "pow": power,
    "square": lambda x: x * x,
    "sqrt": mp.sqrt,
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
    "reciprocal": lambda x: 1 / x,
    "hypot": mp.hypot,
    "exp": mp.exp,
    "exp2": lambda x: mp.exp(x * mp.log(2)),
    "expm1": mp.expm1,
    "log": mp.log,
    "log1p": mp.log1p,
    "log1mexp": lambda x: mp.log(-mp.expm1(-x)) if x < 1 else mp.log1p(-mp.exp(-x)),
    "logit": lambda x: mp.log(x) - mp.log1p(-x),
    "log2": lambda x: mp.log(x) / mp.log(2),
    "log10": lambda x: mp.log(x) / mp.log(10),
    "logaddexp": lambda x, y: mp.log(mp.exp(x) + mp.exp(y)) if max(x, y) < 1e5 else max(x, y) + softplus(-abs(x - y)),
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "asin": mp.asin,
    "acos": mp.acos,
    "atan": mp.atan,
    "atan2": mp.atan2,
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "tanh": lambda x: mp.tanh(x) if abs(x) < 1e5 else mp.sign(x),
    "asinh": mp.asinh,
    "acosh": mp.acosh,
    "atanh": mp.atanh,
    "sign": mp.sign,
    "floor": mp.floor,
    "ceil": mp.ceil,
    "round": mp.nint,
    "equal": lambda x, y: truth(x == y),
    "not_equal": lambda x, y: truth(x != y),
    "less": lambda x, y: truth(x < y),
    "less_equal": lambda x, y: truth(x <= y),
    "greater": lambda x, y: truth(x > y),
    "greater_equal": lambda x, y: truth(x >= y),
    "logical_and": lambda x, y: truth(x != 0 and y != 0),
    "logical_or": lambda x, y: truth(x != 0 or y != 0),
    "logical_xor": lambda x, y: truth((x != 0) != (y != 0)),
    "logical_not": lambda x: truth(x == 0),
    "maximum": max,
    "minimum": min,
    "clip": lambda x, min=None, max=None: bounded(x, min, max),  # noqa: A006 (the array API's names)
    "where": lambda condition, x, y: x if condition != 0 else y,
    "sigmoid": sigmoid,
    "log_sigmoid": lambda x: -softplus(-x),
    "relu": lambda x: max(x, mp.mpf(0)),
    "leaky_relu": lambda x, slope: x if x > 0 else mp.mpf(slope) * x,
    "elu": lambda x, alpha: x if x > 0 else alpha * mp.expm1(x),
    "selu": lambda x, alpha, gamma: gamma * (x if x > 0 else alpha * mp.expm1(x)),
    "celu": lambda x, alpha: x if x > 0 else alpha * mp.expm1(x / alpha),
    "gelu": gelu,
    "softplus": lambda x, beta: softplus(beta * x) / beta,
    "softsign": lambda x: x / (1 + abs(x)),
    "silu": lambda x: x * sigmoid(x),
    "mish": lambda x: x * mp.tanh(softplus(x)) if x < 1e4 else x,
    # The default alpha is meant to be a sixth.
    "hard_sigmoid": lambda x, alpha, beta: bounded(
        (x / 6 if alpha == 1 / 6 else mp.mpf(alpha) * x) + mp.mpf(beta), 0, 1
    ),
    "hard_swish": lambda x: x * bounded(x / 6 + mp.mpf(1) / 2, 0, 1),
    "hard_tanh": lambda x: bounded(x, -1, 1),
    "erf": mp.erf,
    "erfc": lambda x: mp.erfc(x) if abs(x) < 1e4 else 1 - mp.sign(x),
    "erfinv": mp.erfinv,
    "normal_cdf": lambda x: mp.erfc(-x / mp.sqrt(2)) / 2 if abs(x) < 1e4 else truth(x > 0),
    "normal_log_cdf": normal_log_cdf,
    "lgamma": mp.loggamma,
    "digamma": mp.digamma,
}


def softplus(x: Number) -> Number:
    """log(1 + e^x); beyond the range of any dtype what it tends to."""
    return mp.log1p(exponential(x)) if x < 1e4 else x


def bounded(x: Number, low: float | None, high: float | None) -> Number:
    """Keep a number between two bounds."""
    raised = x if low is None else max(x, mp.mpf(low))
    return raised if high is None else min(raised, mp.mpf(high))


# --- tensor types ----------------------------------------------------------------------------------------------------

exp = np.frompyfunc(exponential, 1, 1)
log = np.frompyfunc(mp.log, 1, 1)
root = np.frompyfunc(mp.sqrt, 1, 1)
positive = np.frompyfunc(lambda x: x > 0, 1, 1)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Logarithm of a sum of exponentials."""
    largest = np.max(x, axis=axis, keepdims=True)
    y = log(np.sum(exp(x - largest), axis=axis, keepdims=True)) + largest
    return y if keepdims else np.squeeze(y, axis=axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Logarithm of the softmax."""
    return x - logsumexp(x, axis, keepdims=True)


def softmax(x: Any, axis: int = -1) -> Any:
    """Shares that sum to 1."""
    return exp(log_softmax(x, axis))


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Arithmetic mean."""
    total = np.sum(x, axis=axis, keepdims=keepdims)
    return total * (mp.mpf(np.size(total)) / np.size(x))


def var(x: Any, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """Variance."""
    squares = (x - mean(x, axis, keepdims=True)) ** 2
    total = np.sum(squares, axis=axis, keepdims=keepdims)
    return total / (mp.mpf(np.size(x)) / np.size(total) - mp.mpf(correction))


def vector_norm(x: Any, axis: Any = None, keepdims: bool = False, ord: float = 2.0) -> Any:  # noqa: A002
    """Length of vectors."""
    if ord == math.inf:
        return np.max(np.abs(x), axis=axis, keepdims=keepdims)
    return np.sum(np.abs(x) ** mp.mpf(ord), axis=axis, keepdims=keepdims) ** (1 / mp.mpf(ord))


def along(parameter: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """Lay a scale or a shift along some axes of x."""
    return np.reshape(parameter, [size if i in axes else 1 for i, size in enumerate(x.shape)])


def axes_of(x: Any, axis: Any) -> tuple[int, ...]:
    """Axes from the front."""
    return tuple(number % x.ndim for number in (axis if isinstance(axis, tuple) else (axis,)))


def normalized(x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    """Deviations in standard deviations."""
    return (x - mean(x, axes, keepdims=True)) / root(var(x, axes, keepdims=True) + mp.mpf(epsilon))


def layer_norm(x: Any, scale: Any, shift: Any, axis: Any, epsilon: float) -> Any:
    """Layer normalization."""
    axes = axes_of(x, axis)
    return normalized(x, axes, epsilon) * along(scale, x, axes) + along(shift, x, axes)


def rms_norm(x: Any, scale: Any, axis: Any, epsilon: float) -> Any:
    """Division by the root mean square."""
    axes = axes_of(x, axis)
    return x / root(mean(x * x, axes, keepdims=True) + mp.mpf(epsilon)) * along(scale, x, axes)


def batch_norm(x: Any, scale: Any, shift: Any, running_mean: Any, running_variance: Any, **settings: Any) -> Any:
    """Batch normalization, of the batch."""
    axis = settings["axis"] % x.ndim
    others = tuple(i for i in range(x.ndim) if i != axis)
    return normalized(x, others, settings["epsilon"]) * along(scale, x, (axis,)) + along(shift, x, (axis,))


def convolution(x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Convolution of images of any number of axes, as a sum over the places of the kernel."""
    number = weight.ndim - 2
    stride, padding, dilation = (
        pair if isinstance(pair, tuple) else (pair,) * number for pair in (stride, padding, dilation)
    )
    x = np.pad(x, [(0, 0), (0, 0), *((margin, margin) for margin in padding)], constant_values=mp.mpf(0))
    out = [
        (size - apart * (kernel - 1) - 1) // step + 1
        for size, kernel, step, apart in zip(x.shape[2:], weight.shape[2:], stride, dilation, strict=True)
    ]
    channels, each = weight.shape[:2]
    y = np.full((x.shape[0], channels, *out), mp.mpf(0), object)
    for place in np.ndindex(*weight.shape[2:]):
        slices = [
            slice(i * a, i * a + s * (o - 1) + 1, s) for i, a, s, o in zip(place, dilation, stride, out, strict=True)
        ]
        for channel in range(channels):
            group = channel // (channels // groups)
            for k in range(each):
                y[:, channel] += x[(slice(None), group * each + k, *slices)] * weight[(channel, k, *place)]
    return y if bias is None else y + np.reshape(bias, (1, -1, *(1,) * number))


def transposed_convolution(
    x: Any, weight: Any, bias: Any = None, *, stride: Any, padding: Any, output_padding: Any, dilation: Any, groups: int
) -> Any:
    """Transposed convolution of images: every pixel lays a kernel down."""
    stride, padding, more, dilation = (
        pair if isinstance(pair, tuple) else (pair,) * 2 for pair in (stride, padding, output_padding, dilation)
    )
    full = [
        (size - 1) * step + apart * (kernel - 1) + 1 + extra
        for size, kernel, step, apart, extra in zip(x.shape[2:], weight.shape[2:], stride, dilation, more, strict=True)
    ]
    each = weight.shape[1]
    y = np.full((x.shape[0], each * groups, *full), mp.mpf(0), object)
    for b, c, i, j in np.ndindex(*x.shape):
        group = c // (x.shape[1] // groups)
        for k, u, v in np.ndindex(*weight.shape[1:]):
            y[b, group * each + k, i * stride[0] + u * dilation[0], j * stride[1] + v * dilation[1]] += (
                x[b, c, i, j] * weight[c, k, u, v]
            )
    y = y[:, :, padding[0] : full[0] - padding[0], padding[1] : full[1] - padding[1]]
    return y if bias is None else y + np.reshape(bias, (1, -1, 1, 1))


def as_tuple(setting: Any) -> tuple[int, ...]:
    """A setting of one axis, which may be a list of one."""
    return setting if isinstance(setting, tuple) else (setting,)


def pooled(reduction: Callable[..., Any], fill: Any) -> Callable[..., Any]:
    """Return the pooling of windows by a reduction."""

    def pool(x: Any, kernel_size: Any, stride: Any, padding: Any) -> Any:
        kernel = kernel_size if isinstance(kernel_size, tuple) else (kernel_size,) * 2
        step = kernel if stride is None else stride if isinstance(stride, tuple) else (stride,) * 2
        margin = padding if isinstance(padding, tuple) else (padding,) * 2
        x = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(m, m) for m in margin], constant_values=fill)
        rows = range(0, x.shape[-2] - kernel[0] + 1, step[0])
        columns = range(0, x.shape[-1] - kernel[1] + 1, step[1])
        parts = [
            [reduction(x[..., i : i + kernel[0], j : j + kernel[1]], axis=(-2, -1)) for j in columns] for i in rows
        ]
        return np.moveaxis(np.array(parts, object), (0, 1), (-2, -1))

    return pool


def group_norm(x: Any, scale: Any, shift: Any, groups: int, epsilon: float) -> Any:
    """Group normalization."""
    parts = np.reshape(x, (x.shape[0], groups, -1))
    found = np.reshape(normalized(parts, (2,), epsilon), x.shape)
    return found * along(scale, x, (1,)) + along(shift, x, (1,))


def segment_sum(x: Any, indices: Any, num_segments: int) -> Any:
    """Sums of rows by number."""
    total = np.full((num_segments, *x.shape[indices.ndim :]), mp.mpf(0), object)
    for place in np.ndindex(*indices.shape):
        total[int(indices[place])] = total[int(indices[place])] + x[place]
    return total


def on_diagonal(x: Any, offset: int) -> Any:
    """A matrix of each vector on a diagonal."""
    size = x.shape[-1] + abs(offset)
    matrix = np.full((*x.shape[:-1], size, size), mp.mpf(0), object)
    for i in range(x.shape[-1]):
        matrix[..., i - min(offset, 0), i + max(offset, 0)] = x[..., i]
    return matrix


@cache
def quantile(share: float, digits: int) -> Number:
    """The standard normal number below which a share of all lies; it takes long in hundreds of digits."""
    return mp.sqrt(2) * mp.erfinv(2 * mp.mpf(share) - 1) if digits else None


def normal_noise(center: Any, scale: Any, noise: Any) -> Any:
    """Normal numbers, of uniform ones."""
    return center + scale * np.frompyfunc(lambda u: quantile(float(u) + 2.0**-25, mp.dps), 1, 1)(noise)


def determinant(x: Any) -> Any:
    """Determinant, by elimination."""
    return each_matrix(lambda a: mp.det(mp.matrix(a.tolist())) if a.size else mp.mpf(1), x)


def each_matrix(function: Callable[..., Any], *stacks: Any) -> Any:
    """Apply a function to each matrix of a stack."""
    leading = stacks[0].shape[:-2]
    found = [function(*(stack[place] for stack in stacks)) for place in np.ndindex(*leading)]
    return np.reshape(np.array(found, object), (*leading, *np.shape(found[0])))


def of_matrix(matrix: Any) -> Any:
    """A matrix of mpmath's as an array."""
    return np.array(matrix.tolist(), object)


def inverse(x: Any) -> Any:
    """Inverse."""
    return each_matrix(lambda a: of_matrix(mp.inverse(mp.matrix(a.tolist()))), x)


def solution(x: Any, y: Any) -> Any:
    """Solution of linear equations."""
    columns = y if y.ndim > 1 else y[:, None]
    found = np.matmul(inverse(x), columns)
    return found if y.ndim > 1 else found[..., 0]


def cholesky(x: Any, upper: bool) -> Any:
    """Triangular root of the symmetric part."""
    lower = each_matrix(lambda a: of_matrix(mp.cholesky(mp.matrix(((a + a.T) / 2).tolist()))), x)
    return np.swapaxes(lower, -1, -2) if upper else lower


def attention(query: Any, key: Any, value: Any, mask: Any = None, *, causal: bool, scale: float | None) -> Any:
    """Scaled dot-product attention."""
    factor = 1 / mp.sqrt(query.shape[-1]) if scale is None else mp.mpf(scale)
    scores = np.matmul(query, np.swapaxes(key, -1, -2)) * factor
    allowed = np.ones(scores.shape, bool)
    if causal:
        allowed &= np.tri(*scores.shape[-2:], dtype=bool)
    if mask is not None:
        allowed &= np.broadcast_to(mask != 0, scores.shape)
    largest = np.max(np.where(allowed, scores, mp.mpf("-1e9999")), axis=-1, keepdims=True)
    weights = np.where(allowed, exp(np.where(allowed, scores - largest, mp.mpf(0))), mp.mpf(0))
    total = np.sum(weights, axis=-1, keepdims=True)
    return np.matmul(weights / np.where(total == 0, mp.mpf(1), total), value)


def loss(losses: Callable[..., Any], count: int = 2) -> Callable[..., Any]:
    """Return a loss of so many inputs before its weights, with its reduction."""

    def reduced(*inputs: Any, reduction: str, **settings: Any) -> Any:
        found = losses(*inputs[:count], **settings)
        weights = np.ones(np.shape(found)[:1]) if len(inputs) == count else inputs[count]
        wide = np.reshape(weights, np.shape(weights) + (1,) * (np.ndim(found) - np.ndim(weights))) + 0 * found
        if reduction == "none":
            return wide * found
        total = np.sum(wide * found)
        if reduction == "sum":
            return total
        share = mp.mpf(len(found)) / np.size(found) if reduction == "batchmean" else 1
        return total / (np.sum(wide) * share)

    return reduced


def at_labels(scores: Any, labels: Any, axis: int) -> Any:
    """What belongs to the labels' class."""
    number = axis % scores.ndim
    chosen = np.expand_dims(np.asarray(labels).astype(int), number)
    return np.squeeze(np.take_along_axis(scores, chosen, axis=number), axis=number)


def cross_entropies(logits: Any, labels: Any, axis: int) -> Any:
    """Cross-entropy of each line."""
    logarithms = log_softmax(logits, axis % logits.ndim)
    if labels.ndim < logits.ndim:
        return -at_labels(logarithms, labels, axis)
    return -np.sum(labels * logarithms, axis=axis)


def huber(d: Number, delta: float) -> Number:
    """Huber's loss of a difference."""
    return d * d / 2 if abs(d) <= delta else delta * (abs(d) - mp.mpf(delta) / 2)


def binary(x: Number, target: Number) -> Number:
    """Cross-entropy of two classes."""
    return softplus(x) - target * x


def pinball(d: Number, quantile: float) -> Number:
    """Loss of a quantile."""
    return max(mp.mpf(quantile) * d, (mp.mpf(quantile) - 1) * d)


def poisson(x: Number, count: Number, log_input: bool, full: bool) -> Number:
    """Minus the logarithm of a Poisson probability."""
    constant = mp.loggamma(count + 1) if full else 0
    return constant + (mp.exp(x) - count * x if log_input else x - (count * mp.log(x) if count else 0))


def poissons(x: Any, counts: Any, log_input: bool, full: bool) -> Any:
    """Those of arrays."""
    return np.frompyfunc(poisson, 4, 1)(x, counts, log_input, full)


def negative_binomial(mean: Number, count: Number, dispersion: Number) -> Number:
    """Minus the logarithm of a negative binomial probability."""
    r = 1 / dispersion
    binomial = mp.loggamma(count + r) - mp.loggamma(r) - mp.loggamma(count + 1)
    return -binomial + r * mp.log1p(mean / r) - count * mp.log(mean / (r + mean))


def terms_of_negative_binomial(mean: Number, count: Number, dispersion: Number) -> Number:
    """The sizes of the terms that it is made of."""
    r = 1 / dispersion
    logarithms = sum(abs(mp.loggamma(x)) for x in (count + r, r, count + 1))
    return logarithms + (r + count) * mp.log1p(mean / r) + abs(count * mp.log(mean)) + abs(count * mp.log(r))


def terms_of_student_t(x: Number, target: Number, scale: Number, df: Number) -> Number:
    """The sizes of the terms that it is made of."""
    logarithms = sum(abs(mp.loggamma(x)) for x in (df / 2, (df + 1) / 2)) + abs(mp.log(df)) + abs(mp.log(scale))
    return 1 + logarithms + (df + 1) / 2 * mp.log1p(((x - target) / scale) ** 2 / df)


TERMS = {
    "negative_binomial_nll_loss": np.frompyfunc(terms_of_negative_binomial, 3, 1),
    "student_t_nll_loss": np.frompyfunc(terms_of_student_t, 4, 1),
}


def student_t(x: Number, target: Number, scale: Number, df: Number) -> Number:
    """Minus the logarithm of a density of Student's t."""
    constant = mp.loggamma(df / 2) - mp.loggamma((df + 1) / 2) + mp.log(df * mp.pi) / 2 + mp.log(scale)
    return constant + (df + 1) / 2 * mp.log1p(((x - target) / scale) ** 2 / df)


def divergence(logarithm: Number, target: Number) -> Number:
    """Contribution to the Kullback-Leibler divergence."""
    return target * (mp.log(target) - logarithm) if target > 0 else mp.mpf(0)


def accuracy(logits: Any, labels: Any) -> Any:
    """Share of rows whose largest logit is the label's."""
    if logits.ndim == labels.ndim + 1 and logits.shape[-1] > 1:
        return mp.mpf(int(np.sum(np.argmax(logits, axis=-1) == labels))) / labels.size
    return mp.mpf(int(np.sum((np.reshape(logits, labels.shape) > 0) == (labels > 0)))) / labels.size


def taken(x: Any, indices: Any, axis: int = 0) -> Any:
    """Elements at positions."""
    return np.take(x, indices.astype(int), axis=axis)


TENSOR: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "mean": mean,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "var": var,
    "std": lambda x, **settings: root(var(x, **settings)),
    "logsumexp": logsumexp,
    "vector_norm": vector_norm,
    "cumulative_sum": lambda x, axis: np.cumsum(x, axis=axis),
    "argmax": lambda x, axis, keepdims: np.vectorize(int, otypes=[object])(np.argmax(x, axis=axis, keepdims=keepdims)),
    "matmul": np.matmul,
    "vecdot": lambda x, y, axis: np.sum(x * y, axis=axis),
    "tensordot": np.tensordot,
    "outer": np.outer,
    "einsum": lambda *arrays, subscripts: np.einsum(subscripts, *arrays),
    "trace": lambda x, offset: np.trace(x, offset, -2, -1),
    "det": determinant,
    "inv": inverse,
    "diagonal": lambda x, offset: np.diagonal(x, offset, -2, -1),
    "diag_embed": on_diagonal,
    "solve": solution,
    "solve_triangular": lambda x, y, upper: solution((np.triu if upper else np.tril)(x), y),
    "cholesky": cholesky,
    "reshape": np.reshape,
    "permute_dims": np.transpose,
    "matrix_transpose": lambda x: np.swapaxes(x, -1, -2),
    "broadcast_to": np.broadcast_to,
    "expand_dims": np.expand_dims,
    "squeeze": np.squeeze,
    "flip": np.flip,
    "concat": lambda *arrays, axis: np.concatenate(arrays, axis),
    "stack": lambda *arrays, axis: np.stack(arrays, axis),
    "unstack": lambda x, index, size, axis: np.moveaxis(x, axis, 0)[index],
    "tile": lambda x, repetitions: np.tile(x, reps=repetitions),
    "pad": lambda x, widths, value: np.pad(x, widths, constant_values=mp.mpf(value)),
    "slice": lambda x, start, stop, step, axis: x[(slice(None),) * (axis % x.ndim) + (slice(start, stop, step),)],
    "take": taken,
    "take_along_axis": lambda x, indices, axis: np.take_along_axis(x, indices.astype(int), axis),
    "embedding": taken,
    "segment_sum": segment_sum,
    "one_hot": lambda labels, num_classes: np.eye(num_classes, dtype=int)[labels.astype(int)],
    "softmax": softmax,
    "log_softmax": log_softmax,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "batch_norm": batch_norm,
    "dropout": lambda x, noise, rate: np.where(
        noise >= rate, x * (1 / (1 - mp.mpf(rate)) if rate < 1 else 0), mp.mpf(0)
    ),
    "normal_noise": normal_noise,
    "conv1d": lambda x, weight, bias=None, **settings: convolution(x, weight, bias, **settings),
    "conv2d": lambda x, weight, bias=None, **settings: convolution(x, weight, bias, **settings),
    "conv_transpose2d": transposed_convolution,
    "max_pool1d": lambda x, kernel_size, stride, padding: pooled(np.max, mp.mpf("-1e9999"))(
        x[..., None, :],
        *((None if s is None else (k, *as_tuple(s))) for k, s in ((1, kernel_size), (1, stride), (0, padding))),
    )[..., 0, :],
    "max_pool2d": pooled(np.max, mp.mpf("-1e9999")),
    "avg_pool2d": pooled(lambda x, axis: np.sum(x, axis=axis) / mp.mpf(x.shape[-1] * x.shape[-2]), mp.mpf(0)),
    "scaled_dot_product_attention": attention,
    "mean_squared_error": loss(lambda x, y: (x - y) ** 2),
    "mean_absolute_error": loss(lambda x, y: np.abs(x - y)),
    "huber_loss": loss(lambda x, y, delta: np.frompyfunc(huber, 2, 1)(x - y, delta)),
    "quantile_loss": loss(lambda x, y, quantile: np.frompyfunc(pinball, 2, 1)(y - x, quantile)),
    "binary_cross_entropy_with_logits": loss(np.frompyfunc(binary, 2, 1)),
    "kl_div": loss(np.frompyfunc(divergence, 2, 1)),
    "cross_entropy": loss(cross_entropies),
    "nll_loss": loss(lambda x, labels, axis: -at_labels(x, labels, axis)),
    "accuracy": accuracy,
    "poisson_nll_loss": loss(poissons),
    "negative_binomial_nll_loss": loss(np.frompyfunc(negative_binomial, 3, 1), 3),
    "student_t_nll_loss": loss(np.frompyfunc(student_t, 4, 1), 4),
}
