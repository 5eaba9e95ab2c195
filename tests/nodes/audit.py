"""The audit of accuracy: every node type on every engine against arithmetic of hundreds of digits.

An error is counted in units in the last place (ulp) of the true number, where that is a normal number of the dtype.
Inputs are exact. What a type is allowed beyond that is its condition, below: a sum is as good as its largest terms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from mpmath import mp
from references import ELEMENTWISE, TENSOR, TERMS, axes_of, loss, mean

from graphrun import nodes
from graphrun.declare.declaration import Noise
from graphrun.declare.nodetype import Example, NodeType
from graphrun.declare.trace import Recorder, trace, trace_derivatives
from graphrun.declare.writer import Writer
from graphrun.engines.numpy.namespace import namespace

LIMIT = 8.0
"""How many units in the last place a type may be off."""

FLUSHED = {"numpy": 1.0, "numba": 1.0, "jax": 1024.0}
"""What an engine may lose: numbers below so many times the smallest normal number. XLA takes subnormal numbers for 0,
also those that arise on the way to a result."""

DTYPES = {"float64": np.dtype(np.float64), "float32": np.dtype(np.float32)}
DIGITS, STEP = {"float64": 400, "float32": 130}, 40
"""Of the arithmetic: as many as the smallest number has zeros, and those that a difference quotient loses; its step."""

TYPES: dict[str, NodeType] = {node_type.name: node_type for node_type in nodes.graphrun_node_types()}


@dataclass(frozen=True)
class Row:
    """The worst error of a type on an engine, of its value or of one of its derivatives.

    Attributes:
        type, engine, dtype: of what.
        part: ``value`` or ``derivative``.
        error: in units in the last place.
        where: the input that it is found at.
    """

    type: str
    engine: str
    dtype: str
    part: str
    error: float
    where: str


def error_of(found: Any, true: Any, scale: Any, dtype: np.dtype[Any], engine: str) -> float:
    """Return an error in units in the last place; what is no normal number is only asked not to be NaN or far off."""
    limits = np.finfo(dtype)
    least = float(limits.tiny) * FLUSHED[engine]
    if not abs(true) < mp.mpf(float(limits.max)):
        return math.inf if np.isnan(found) else 0.0
    if math.isnan(found):
        return math.inf
    size = max(abs(true), abs(scale))
    if size < least:
        return 0.0 if abs(found) <= 2 * least else math.inf
    if true == 0 and size == 0:
        return 0.0 if found == 0 else math.inf
    if math.isinf(found):
        return math.inf if abs(true) < mp.mpf(float(limits.max)) * (1 - 8 * mp.mpf(float(limits.eps))) else 0.0
    unit = mp.ldexp(1, int(mp.floor(mp.log(size, 2))) - limits.nmant)
    return float(abs(mp.mpf(float(found)) - true) / unit)


# --- elementwise types -----------------------------------------------------------------------------------------------


def numbers(dtype: np.dtype[Any], random: np.random.Generator, count: int) -> Any:
    """Return numbers of all sizes and both signs, more where functions have their tails."""
    limits = np.finfo(dtype)
    tail = -math.log(float(limits.tiny)) * 1.05
    sizes = np.concatenate(
        [
            np.exp(random.uniform(math.log(float(limits.tiny)), math.log(float(limits.max)), count)),
            np.exp(random.uniform(math.log(1e-4), math.log(tail), count)),
            random.uniform(0, tail, count),
            random.uniform(0, 3, count),
            random.uniform(0, 10, count),
        ]
    )
    special = [0, 1, 0.5, 2, 3, 6, float(limits.max), float(limits.tiny), 1 + float(limits.eps), 1 - float(limits.eps)]
    special += [tail, tail / 2, 20, 40, 1e10, math.pi, 1e-5]
    signs = random.choice([-1.0, 1.0], len(sizes))
    return np.concatenate([sizes * signs, special, np.negative(special)]).astype(dtype)


@np.errstate(all="ignore")
def elementwise_inputs(node_type: NodeType, dtype: np.dtype[Any], count: int) -> list[Any]:
    """Return an array for each input: numbers of its domain; of two inputs equal, near, and unlike ones too."""
    random = np.random.default_rng(len(node_type.name))
    pool = numbers(dtype, random, count)
    columns = [pool]
    for _ in node_type.inputs[1:]:
        other = random.permutation(pool)
        near = pool * (1 + random.choice([0, 1, -1, 3], len(pool)) * np.finfo(dtype).eps).astype(dtype)
        of_one_size = random.uniform(-10, 10, len(pool)).astype(dtype)
        choice = random.integers(0, 4, len(pool))
        columns.append(
            np.choose(choice, [other, near, of_one_size, (random.standard_normal(len(pool)) * pool).astype(dtype)])
        )
    if len(columns) > 1:
        columns[0] = np.where(random.integers(0, 3, len(pool)) == 0, random.uniform(-10, 10, len(pool)), pool).astype(
            dtype
        )
        columns = [np.where(np.isfinite(column), column, 1).astype(dtype) for column in columns]
    columns = [np.where(np.abs(column) < np.finfo(dtype).tiny, 0, column) for column in columns]
    keep = np.ones(len(pool), bool)
    for name, column in zip(node_type.inputs, columns, strict=True):
        if name in node_type.domain:
            keep &= np.array([float(x) in node_type.domain[name] for x in column])
    return [column[keep] for column in columns]


@dataclass(frozen=True)
class Truth:
    """What is true at one input: the value and its derivatives, None where there is none to be compared."""

    inputs: tuple[float, ...]
    value: Any
    derivatives: tuple[Any, ...]


@cache
def elementwise_truths(name: str, settings: tuple[tuple[str, Any], ...], dtype: str, count: int) -> list[Truth]:
    """Return the true values and derivatives of a type at its inputs."""
    node_type, reference = TYPES[name], ELEMENTWISE[name]
    columns = elementwise_inputs(node_type, DTYPES[dtype], count)
    truths = []
    function = partial(reference, **dict(settings))
    for given in zip(*columns, strict=True):
        # Values may be as small as the smallest number, and so may the inputs, beside which a step is small.
        lost = sum(abs(math.log10(abs(x))) for x in given if x)
        with mp.workdps(int(DIGITS[dtype] + 2 * lost)):
            inputs = [mp.mpf(float(x)) for x in given]
            value = real(function, inputs)
            if value is not None:
                slopes = tuple(slope(function, inputs, k, value) for k in range(len(inputs)))
                truths.append(Truth(tuple(map(float, given)), value, slopes))
    return truths


def real(function: Callable[..., Any], inputs: Sequence[Any]) -> Any:
    """Return a function's value, None where it has no real one."""
    try:
        value = function(*inputs)
    except (ZeroDivisionError, ValueError, OverflowError):
        return None
    return None if isinstance(value, mp.mpc) or not mp.isfinite(value) else value


def slope(function: Callable[..., Any], inputs: Sequence[Any], k: int, value: Any) -> Any:
    """Return the partial derivative by an input, None at a kink and at an end of the domain."""
    step = min(1, *(abs(x) for x in inputs if x)) * mp.mpf(10) ** -STEP if any(inputs) else mp.mpf(10) ** -STEP
    steps = (-step, step, step / 1000)
    sides = [real(function, [*inputs[:k], inputs[k] + h, *inputs[k + 1 :]]) for h in steps]
    if None in sides:
        return None
    # At a kink the sides differ, at a jump the quotient grows with a smaller step.
    left, right, nearer = [(side - value) / h for side, h in zip(sides, steps, strict=True)]
    return nearer if max(abs(left - right), abs(nearer - right)) <= mp.mpf(10) ** -15 * abs(nearer) else None


Evaluated = tuple[Any, list[Any]]


def by_numpy(
    node_type: NodeType, inputs: Sequence[Any], settings: Mapping[str, Any], dtype: np.dtype[Any]
) -> Evaluated:
    """Evaluate an elementwise type as the NumPy engine does."""
    function, second = node_type.functions("numpy")
    xp = namespace(dtype)
    with np.errstate(all="ignore"):
        y = np.asarray(function(xp, *inputs, **settings)).astype(dtype)
        given = second(xp, y, *inputs, **settings) if second else ()
    return y, [None if part is None else np.broadcast_to(np.asarray(part, dtype), y.shape) for part in given]


def by_jax(node_type: NodeType, inputs: Sequence[Any], settings: Mapping[str, Any], dtype: np.dtype[Any]) -> Evaluated:
    """Evaluate an elementwise type as the JAX engine does."""
    import jax
    import jax.numpy as jnp

    from graphrun.engines.jax import passes  # noqa: F401 (it declares the forms)
    from graphrun.engines.jax.devices import double_precision

    form = node_type.forms.get("jax", node_type)

    @jax.jit
    def evaluate(*inputs: Any) -> Any:
        y = jnp.asarray(form.function(jnp, *inputs, **settings)).astype(dtype)
        given = form.derivative(jnp, y, *inputs, **settings)
        return y, [
            None if part is None else jnp.broadcast_to(jnp.asarray(part).astype(dtype), y.shape) for part in given
        ]

    with double_precision(), np.errstate(all="ignore"):
        y, given = evaluate(*inputs)
        return np.asarray(y), [None if part is None else np.asarray(part) for part in given]


def by_numba(
    node_type: NodeType, inputs: Sequence[Any], settings: Mapping[str, Any], dtype: np.dtype[Any]
) -> Evaluated:
    """Evaluate an elementwise type as the Numba engine does: its trace, written out and compiled."""
    import numba

    from graphrun.engines.numba.compiler import OPTIONS
    from graphrun.engines.numba.notation import Literals, notation
    from graphrun.engines.numba.source import HEADER

    recorder = Recorder(dtype)
    names = [f"x{k}" for k in range(len(inputs))]
    symbols = recorder.inputs([None] * len(inputs))
    forward = recorder.cast(trace(recorder, node_type.function, symbols, settings))
    assert node_type.derivative is not None
    parts = trace_derivatives(recorder, node_type.derivative, recorder.input("y"), symbols, settings)
    given = [None if part is None else recorder.cast(part) for part in parts]
    literal, lines = Literals(dtype), []
    fresh = iter(f"t{k}" for k in range(1000))
    write = Writer(notation(literal), lines.append, lambda: next(fresh)).write
    texts = {name: name for name in names}
    lines.append(f"y = {write([forward], texts)[0]}")
    wanted = [part for part in given if part is not None]
    results = ["y", *write(wanted, {**texts, "y": "y"})]
    body = "\n".join(
        [
            *literal.header(),
            f"def evaluate({', '.join(f'a{k}' for k in range(len(inputs)))}, out):",
            "    for k in range(out.shape[1]):",
            *(f"        {name} = a{name[1:]}[k]" for name in names),
            *(f"        {line}" for line in lines),
            *(f"        out[{j}, k] = {text}" for j, text in enumerate(results)),
        ]
    )
    scope: dict[str, Any] = {}
    exec(HEADER + body, scope)  # noqa: S102 (the text is ours)
    out = np.zeros((len(results), len(inputs[0])), dtype)
    numba.njit(error_model=OPTIONS["error_model"])(scope["evaluate"])(*map(np.ascontiguousarray, inputs), out)
    rows = iter(out[1:])
    return out[0], [None if part is None else next(rows) for part in given]


ENGINES = {"numpy": by_numpy, "numba": by_numba, "jax": by_jax}


def settings_of(node_type: NodeType) -> list[dict[str, Any]]:
    """Return the settings that a type is tried with."""
    if not node_type.examples:
        return [dict(node_type.default_settings or ())]
    found = [dict(node_type.read_settings(example.settings)) for example in node_type.examples]
    if node_type.is_elementwise and node_type.default_settings is not None:
        found.append(dict(node_type.default_settings))
    return [settings for k, settings in enumerate(found) if settings not in found[:k]]


def audit_elementwise(name: str, engine: str, dtype: str, count: int) -> Iterator[Row]:
    """Yield the worst errors of an elementwise type, of its value and of its derivatives."""
    node_type = TYPES[name]
    worst = {"value": (0.0, ""), "derivative": (0.0, "")}
    for settings in settings_of(node_type):
        truths = elementwise_truths(name, tuple(settings.items()), dtype, count)
        inputs = [np.array(column, DTYPES[dtype]) for column in zip(*(t.inputs for t in truths), strict=True)]
        value, derivatives = ENGINES[engine](node_type, inputs, settings, DTYPES[dtype])
        shown = " ".join(f"{k}={v}" for k, v in settings.items() if dict(node_type.default_settings or ()).get(k) != v)
        with mp.workdps(60):
            for i, truth in enumerate(truths):
                place = ", ".join(f"{x:.9g}" if dtype == "float32" else repr(x) for x in truth.inputs) + (
                    f" ({shown})" if shown else ""
                )
                scales = condition(name, truth, settings)
                found = error_of(value[i], truth.value, scales[0], DTYPES[dtype], engine)
                worst["value"] = max(worst["value"], (found, place))
                if not abs(truth.value) < float(np.finfo(dtype).max):
                    continue
                for k, true in enumerate(truth.derivatives):
                    if true is not None and derivatives[k] is not None:
                        found = error_of(derivatives[k][i], true, scales[1 + k], DTYPES[dtype], engine)
                        worst["derivative"] = max(
                            worst["derivative"],
                            (found, f"{place} by {node_type.inputs[k]}" if len(inputs) > 1 else place),
                        )
    for part, (error, place) in worst.items():
        yield Row(name, engine, dtype, part, error, place)


def gelu_condition(x: Any, approximate: str) -> Sequence[Any]:
    """Return the scales of gelu; by tanh, whose exponent is a polynomial, it is as good as that exponent."""
    exponent = abs(2 * mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3)) if approximate == "tanh" else 0
    zero = 1 if -2 < x < 0 else 0
    if x > 0 or exponent < 1:
        return [0, zero]
    tail = mp.exp(-exponent)
    return [abs(x) * exponent * tail, max(zero, abs(x) * 3 * exponent * exponent * tail / abs(x))]


CONDITIONS: dict[str, Callable[..., Sequence[Any]]] = {
    # The larger of two numbers, and what the other adds to it.
    "logaddexp": lambda x, y: [max(abs(x), abs(y)) if abs(x - y) < 50 else 0, 0, 0],
    # The gate, and x times the gate's slope: they cancel where the derivative changes its sign.
    "gelu": gelu_condition,
    "silu": lambda x: [0, mp.mpf(1) / 4 if -2 < x < 0 else 0],
    "mish": lambda x: [0, mp.mpf(1) / 4 if -2 < x < 0 else 0],
}
"""Of the types that subtract: the size of what they subtract, by which errors of value and derivatives are measured."""


def condition(name: str, truth: Truth, settings: Mapping[str, Any]) -> Sequence[Any]:
    """Return the scales by which the value and the derivatives of a type are measured, if larger than they are."""
    if name not in CONDITIONS:
        return [0] * (1 + len(truth.inputs))
    return CONDITIONS[name](*map(mp.mpf, truth.inputs), **settings)


# --- tensor types ----------------------------------------------------------------------------------------------------

SUMS = {
    *("sum", "mean", "cumulative_sum", "matmul", "vecdot", "tensordot", "outer", "einsum", "trace"),
    *("conv1d", "conv2d", "conv_transpose2d", "avg_pool2d", "scaled_dot_product_attention"),
    *("kl_div", "nll_loss", "binary_cross_entropy_with_logits", "segment_sum", "normal_noise"),
    "poisson_nll_loss",
}
"""Their values are measured by the sum of the absolute terms."""

EXPONENTIALS = {"softmax", "log_softmax", "logsumexp", "cross_entropy", "scaled_dot_product_attention"}
"""Of differences from the largest, which are rounded: a share is as good as that difference is large."""

DEVIATIONS = {"var", "std", "layer_norm", "batch_norm", "group_norm", "rms_norm"}
"""Measured by the largest element: a deviation from the mean is as good as the largest."""

MATRICES = {"det", "inv", "solve", "cholesky"}
"""Measured by the largest element times the condition number of the matrix."""

PATTERNS = ("plain", "sure", "equal", "large", "tiny", "mixed", "offset", "huge", "wide")


@np.errstate(all="ignore")
def tensor_inputs(
    node_type: NodeType, example: Example, settings: Mapping[str, Any], pattern: str, dtype: str
) -> list[Any]:
    """Return the inputs of an example, its numbers of a pattern."""
    random = np.random.default_rng(len(node_type.name) + len(pattern))
    reach = {"float64": 150.0, "float32": 16.0}[dtype]
    given: list[Any] = []
    for i, shape in enumerate(example.shapes or [np.shape(value) for value in example.values]):
        value = example.values[i] if example.values else None
        if value is not None and (i in node_type.index_inputs or node_type.name not in MATRICES):
            given.append(np.asarray(value, np.int64 if i in node_type.index_inputs else dtype))
            continue
        x = random.standard_normal(shape)
        if node_type.name in MATRICES and value is not None:
            x = np.asarray(value, float)
        if pattern == "sure" and x.ndim:
            x[..., 0] += {"float64": 40, "float32": 20}[dtype]
        elif pattern == "equal":
            x = np.full(shape, 7547.8466796875) if i == 0 else x
        elif pattern in {"large", "tiny", "huge"}:
            x = x * 10 ** {"large": 5, "huge": reach, "tiny": -reach}[pattern]
        elif pattern == "mixed":
            x = x * 10 ** random.uniform(-6, 6, np.shape(x))
        elif pattern == "wide":
            x = x * 10 ** random.uniform(-reach, reach, np.shape(x))
        elif pattern == "offset":
            x = x + 1e4
        if node_type.inputs[min(i, len(node_type.inputs) - 1)] in node_type.domain:
            x = np.abs(x)
        given.append(np.asarray(x, dtype))
    states = list(node_type.first_state(np, *given, **settings)) if node_type.first_state else []
    for _, marker in node_type.engine_inputs:
        given.append(random.uniform(size=given[0].shape).astype(dtype) if marker is Noise else states.pop(0))
    return given


@dataclass(frozen=True)
class TensorTruth:
    """What is true of a tensor type at some inputs, and by what errors are measured; arrays of mpmath's numbers."""

    inputs: list[Any]
    gradient: Any
    value: Any
    value_scale: Any
    gradients: list[Any]
    gradient_scales: list[Any]


def exactly(array: Any) -> Any:
    """An array as one of mpmath's numbers."""
    return np.asarray(np.frompyfunc(lambda x: mp.mpf(float(x)), 1, 1)(np.asarray(array, float)), object)


def as_array(value: Any) -> Any:
    """A reference's result as an array of objects."""
    return np.asarray(np.frompyfunc(mp.mpmathify, 1, 1)(np.asarray(value, object)), object)


@cache
def tensor_truth(name: str, which: int, pattern: str, dtype: str) -> TensorTruth:
    """Return what is true of an example."""
    node_type = TYPES[name]
    example = node_type.examples[which]
    settings = tensor_settings(node_type, example)
    inputs = tensor_inputs(node_type, example, settings, pattern, dtype)
    given = [float(abs(x)) for array in inputs for x in np.ravel(array) if x]
    lost = max((abs(math.log10(x)) for x in given), default=0)
    with mp.workdps(int(DIGITS[dtype] + 4 * lost)):
        reference = partial(TENSOR[name], **{k: v for k, v in settings.items() if k != "training"})
        fixed = node_type.index_inputs | set(range(len(inputs) - len(node_type.engine_inputs), len(inputs)))
        exact = [x if i in fixed else exactly(x) for i, x in enumerate(inputs)]
        value = as_array(reference(*exact))
        random = np.random.default_rng(7)
        gradient = np.asarray(random.standard_normal(value.shape), dtype)
        flat = np.ravel(exactly(gradient))
        step = min([1.0, *given]) * mp.mpf(10) ** -STEP
        gradients, scales = [], []
        size = np.zeros(value.size, object)
        for i, array in enumerate(exact):
            if i in fixed:
                gradients.append(None)
                scales.append(None)
                continue
            of_input, scale = np.full(array.shape, mp.mpf(0), object), np.full(array.shape, mp.mpf(0), object)
            for place in np.ndindex(*array.shape):
                sides = []
                for h in (step, -step) if node_type.kinks else (step,):
                    moved = array.copy()
                    moved[place] += h
                    found = as_array(reference(*exact[:i], moved, *exact[i + 1 :]))
                    sides.append(np.ravel((found - value) / h))
                right = sides[0]
                smooth = all(abs(a - b) <= mp.mpf(10) ** -15 * abs(a) for a, b in zip(right, sides[-1], strict=True))
                of_input[place] = sum(flat * right, mp.mpf(0)) if smooth else None
                scale[place] = sum(abs(flat * right), mp.mpf(0))
                around = abs(array[place]) if name in SUMS else distance(name, settings, array, place) if i == 0 else 0
                size = size + abs(right) * around
            if name in {"var", "std"} and pattern == "equal":
                # It is 0, of which differences leave the rounding of their digits.
                of_input[...] = mp.mpf(0)
            gradients.append(of_input)
            scales.append(scale)
        size = np.reshape(size, value.shape) if name in SUMS | EXPONENTIALS else np.zeros(value.shape, object)
        measured_by(name, settings, exact, value, gradient, size, scales)
        return TensorTruth(inputs, gradient, value, size, gradients, scales)


def distance(name: str, settings: Mapping[str, Any], x: Any, place: tuple[int, ...]) -> Any:
    """Return how far an element is from the largest along the axis, or how large it is."""
    if name == "logsumexp":
        return max(abs(x[place]), 1)
    if name not in EXPONENTIALS:
        return 0
    axis = settings.get("axis", -1)
    index = list(place)
    index[axis] = slice(None)
    return abs(x[place] - max(x[tuple(index)]))


def measured_by(
    name: str, settings: Mapping[str, Any], exact: list[Any], value: Any, gradient: Any, size: Any, scales: list[Any]
) -> None:
    """Put what a type is measured by in place of the plain scales."""
    if name in EXPONENTIALS:
        spread = np.max(exact[0]) - np.min(exact[0])
        if name == "scaled_dot_product_attention":
            # Exponentials are taken of scores, whose terms are rounded each.
            query, key = np.abs(exact[0]), np.abs(exact[1])
            factor = settings["scale"] or 1 / mp.sqrt(query.shape[-1])
            spread = 1 + abs(factor) * np.max(query @ np.swapaxes(key, -1, -2))
        for scale in scales:
            if scale is not None:
                scale[...] = scale * max(1, spread)
    factor = mp.mpf(1)
    if name in MATRICES:
        factor = mp.mpf(max(np.ravel(np.linalg.cond(exact[0].astype(float))), default=1.0))
    if name in DEVIATIONS | MATRICES and value.size:
        size[...] = np.max(np.abs(value)) * factor
        for scale in scales:
            if scale is not None and scale.size:
                scale[...] = np.max(scale) * factor**2
    if name in DEVIATIONS - {"var", "std"}:
        x, epsilon = exact[0], mp.mpf(settings["epsilon"])
        if name == "group_norm":
            x = np.reshape(x, (x.shape[0], settings["groups"], -1))
        axes = axes_of(x, settings.get("axis", 2))
        if name == "batch_norm":
            axes = tuple(i for i in range(x.ndim) if i not in axes)
        x = x if name == "rms_norm" else x - mean(x, axes, keepdims=True)
        least = np.min(mean(x * x, axes))
        scales[0][...] = np.maximum(
            np.max(scales[0]), np.max(np.abs(exactly(gradient))) * np.max(np.abs(exact[1])) / mp.sqrt(least + epsilon)
        )
    if name == "binary_cross_entropy_with_logits":
        if len(exact) > 2 and gradient.ndim:
            gradient = gradient * np.reshape(exact[2], exact[2].shape + (1,) * (gradient.ndim - exact[2].ndim))
        scales[0][...] = np.maximum(
            scales[0], np.abs(gradient) * np.abs(exact[1]) if gradient.ndim else np.max(scales[0])
        )
    if name in TERMS:
        # Its terms, and of a derivative the terms by the size of the input.
        count = TERMS[name].nin
        size[...] = weighed(TERMS[name](*exact[:count]), exact[count:], settings["reduction"])
        of_all = np.max(np.abs(exactly(gradient))) * np.sum(size)
        for x, scale in zip(exact[:count], scales, strict=False):
            scale[...] = np.maximum(scale, of_all / np.where(x == 0, mp.mpf(1), np.abs(x)))
    if TYPES[name].inputs[-1] == "weights" and len(exact) == len(TYPES[name].inputs) and scales[-1] is not None:
        # The loss of a sample, less the mean of all.
        losses = np.abs(TENSOR[name](*exact[:-1], **{**settings, "reduction": "none"}))
        scales[-1][...] = np.max(np.abs(exactly(gradient))) * np.sum(losses) / np.mean(exact[-1])
    if name == "kl_div":
        scales[1][...] = scales[1] * 4
    if name == "scaled_dot_product_attention":
        for scale in scales[:3]:
            scale[...] = np.max(scale)


def weighed(losses: Any, weights: Sequence[Any], reduction: str) -> Any:
    """Losses with weights and their reduction."""
    return loss(lambda x: x, 1)(losses, *weights, reduction=reduction)


def tensor_settings(node_type: NodeType, example: Example) -> dict[str, Any]:
    """Return the settings of an example, in training."""
    settings = dict(node_type.read_settings(example.settings))
    if node_type.takes_training:
        settings[node_type.takes_training] = True
    return settings


def tensor_by_numpy(
    node_type: NodeType, truth: TensorTruth, settings: Mapping[str, Any], dtype: np.dtype[Any]
) -> Evaluated:
    """Evaluate a tensor type as the NumPy engine does."""
    function, second = node_type.functions("numpy")
    xp = namespace(dtype)
    assert second is not None
    with np.errstate(all="ignore"):
        y = np.asarray(function(xp, *truth.inputs, **settings)).astype(dtype)[()]
        given = second(xp, truth.gradient, y, *truth.inputs, **settings)
        return y, [part() if callable(part) else part for part in given]


@cache
def compiled_by_jax(name: str, settings: tuple[tuple[str, Any], ...], dtype: str) -> Callable[..., Any]:
    """Return a tensor type and its derivatives as JAX's program, which all patterns of numbers of an example share."""
    import jax
    import jax.numpy as jnp

    from graphrun.engines.jax import passes  # noqa: F401 (it declares the forms)

    form, given_settings = TYPES[name].forms.get("jax", TYPES[name]), dict(settings)

    @jax.jit
    def evaluate(gradient: Any, *inputs: Any) -> Any:
        y = jnp.asarray(form.function(jnp, *inputs, **given_settings)).astype(dtype)
        assert form.derivative is not None
        given = form.derivative(jnp, gradient, y, *inputs, **given_settings)
        return y, [part() if callable(part) else part for part in given]

    return evaluate


def tensor_by_jax(
    node_type: NodeType, truth: TensorTruth, settings: Mapping[str, Any], dtype: np.dtype[Any]
) -> Evaluated:
    """Evaluate a tensor type as the JAX engine does."""
    from graphrun.engines.jax.devices import double_precision

    with double_precision(), np.errstate(all="ignore"):
        return compiled_by_jax(node_type.name, tuple(settings.items()), dtype.name)(truth.gradient, *truth.inputs)


TENSOR_ENGINES = {"numpy": tensor_by_numpy, "jax": tensor_by_jax}


def patterns_of(name: str) -> Sequence[str]:
    """Return the patterns that a type is tried with; the gamma function of huge numbers takes long in many digits."""
    return ("plain", "large", "tiny") if name in MATRICES else ("plain", "mixed") if name in TERMS else PATTERNS


def audit_tensor(name: str, engine: str, dtype: str) -> Iterator[Row]:
    """Yield the worst errors of a tensor type: every pattern of numbers in one of its examples."""
    node_type, limits = TYPES[name], np.finfo(dtype)
    worst = {"value": (0.0, ""), "derivative": (0.0, "")}
    sizes = [sum(map(math.prod, e.shapes or map(np.shape, e.values))) for e in node_type.examples]
    some = [all(map(all, e.shapes)) for e in node_type.examples]
    small = [k for k, size in enumerate(sizes) if size <= 40 and some[k]] or [0]
    for k, pattern in enumerate(patterns_of(name)):
        which = small[k % len(small)]
        settings = tensor_settings(node_type, node_type.examples[which])
        truth = tensor_truth(name, which, pattern, dtype)
        value, gradients = TENSOR_ENGINES[engine](node_type, truth, settings, DTYPES[dtype])
        place = f"{pattern} numbers, example {which}"
        with mp.workdps(60):
            parts = [("value", value, truth.value, truth.value_scale)]
            if all(abs(y) < float(limits.max) for y in np.ravel(truth.value)):
                parts += [
                    ("derivative", *of) for of in zip(gradients, truth.gradients, truth.gradient_scales, strict=True)
                ]
            for part, found, true, scale in parts:
                if found is None or true is None:
                    continue
                flat = np.ravel(np.broadcast_to(np.asarray(found), true.shape))
                for got, wanted, size in zip(flat, np.ravel(true), np.ravel(scale), strict=True):
                    if wanted is not None:
                        worst[part] = max(
                            worst[part], (error_of(got, mp.mpf(wanted), size, DTYPES[dtype], engine), place)
                        )
    for part, (error, place) in worst.items():
        yield Row(name, engine, dtype, part, error, place)
