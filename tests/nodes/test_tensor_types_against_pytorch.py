"""Tensor types against PyTorch in float64: values and gradients on random shapes, settings and numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphrun import nodes
from graphrun.declare.declaration import Noise

BUILT_IN = {node_type.name: node_type for node_type in nodes.graphrun_node_types() if not node_type.is_elementwise}

Draw = Callable[[st.SearchStrategy[Any]], Any]
Case = tuple[list[Any], dict[str, Any]]
"""Inputs (a shape stands for random numbers, an array for itself) and settings."""

SIZE = st.integers(1, 4)


def shape_of(draw: Draw, least: int = 0, most: int = 4) -> tuple[int, ...]:
    """A shape of so many axes."""
    return tuple(draw(st.lists(SIZE, min_size=least, max_size=most)))


def axis_of(draw: Draw, shape: tuple[int, ...]) -> int:
    """One axis, from the front or from behind."""
    return draw(st.integers(-len(shape), len(shape) - 1))


def axes_of(draw: Draw, shape: tuple[int, ...], least: int = 1) -> list[int]:
    """Distinct axes in any order, from the front or from behind."""
    order = draw(st.permutations(range(len(shape))))[: draw(st.integers(least, len(shape)))]
    return [axis - draw(st.sampled_from([0, len(shape)])) for axis in order]


def indices_of(draw: Draw, shape: tuple[int, ...], low: int, high: int) -> Any:
    """Whole numbers from low to before high."""
    size = math.prod(shape)
    drawn = draw(st.lists(st.integers(low, high - 1), min_size=size, max_size=size))
    return np.array(drawn, np.int64).reshape(shape)


def broadcasting(draw: Draw, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to the given one."""
    kept = shape[draw(st.integers(0, len(shape))) :]
    return tuple(draw(st.sampled_from([1, size])) for size in kept)


# --- the cases of each family ----------------------------------------------------------------------------------------


def reduction(draw: Draw) -> Case:
    """Any axes, of arrays that have some."""
    shape = shape_of(draw, 1)
    axis = draw(st.sampled_from(["one", "some", "all"]))
    chosen = {"one": axis_of(draw, shape), "some": axes_of(draw, shape), "all": None}[axis]
    return [shape], {"axis": chosen, "keepdims": draw(st.booleans())}


def spread(draw: Draw) -> Case:
    """A reduction of at least three numbers."""
    (shape,), options = reduction(draw)
    return [tuple(size + 2 for size in shape)], options | {"correction": draw(st.sampled_from([0, 1, 0.5]))}


def norm(draw: Draw) -> Case:
    """A reduction with the order of the norm."""
    inputs, options = reduction(draw)
    return inputs, options | {"ord": draw(st.sampled_from([1, 1.5, 2, 3, math.inf]))}


def along_axis(draw: Draw) -> Case:
    """One axis."""
    shape = shape_of(draw, 1)
    return [shape], {"axis": axis_of(draw, shape)}


def argmax(draw: Draw) -> Case:
    """One axis or all."""
    (shape,), options = along_axis(draw)
    return [shape], draw(st.sampled_from([{}, options])) | {"keepdims": draw(st.booleans())}


def reshape(draw: Draw) -> Case:
    """The same sizes in another order, the last to be worked out."""
    shape = shape_of(draw, 1)
    return [shape], {"shape": [*draw(st.permutations(shape))[:-1], -1]}


def permutation(draw: Draw) -> Case:
    """All axes."""
    shape = shape_of(draw)
    return [shape], {"axes": axes_of(draw, shape, len(shape))}


def broadcast(draw: Draw) -> Case:
    """To a larger shape."""
    shape = shape_of(draw)
    return [broadcasting(draw, shape)], {"shape": list(shape)}


def new_axis(draw: Draw) -> Case:
    """Anywhere."""
    shape = shape_of(draw)
    return [shape], {"axis": draw(st.integers(-len(shape) - 1, len(shape)))}


def squeeze(draw: Draw) -> Case:
    """Some axes of size 1."""
    shape = list(shape_of(draw, 1))
    axes = axes_of(draw, tuple(shape))
    for axis in axes:
        shape[axis] = 1
    return [tuple(shape)], {"axis": axes}


def several_axes(draw: Draw) -> Case:
    """Some axes or all."""
    shape = shape_of(draw, 1)
    return [shape], {"axis": draw(st.sampled_from([None, axes_of(draw, shape)]))}


def concat(draw: Draw) -> Case:
    """Arrays of different sizes along the axis, empty ones too."""
    shape = shape_of(draw, 1)
    axis = axis_of(draw, shape)
    sizes = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    at = axis % len(shape)
    return [(*shape[:at], size, *shape[at + 1 :]) for size in sizes], {"axis": axis}


def stack(draw: Draw) -> Case:
    """Arrays of one shape."""
    inputs, options = new_axis(draw)
    return inputs * draw(st.integers(1, 3)), options


def unstack(draw: Draw) -> Case:
    """Counted from either end, the number of slices told or not."""
    shape = shape_of(draw, 1)
    axis = axis_of(draw, shape)
    count = shape[axis]
    size = draw(st.none() | st.just(count))
    return [shape], {"index": draw(st.integers(-count, count - 1)), "size": size, "axis": axis}


def tile(draw: Draw) -> Case:
    """More or fewer repetitions than axes."""
    return [shape_of(draw)], {"repetitions": draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))}


def pad(draw: Draw) -> Case:
    """Margins at each side."""
    shape = shape_of(draw, 1, 3)
    width = st.integers(0, 2)
    return [shape], {"widths": [[draw(width), draw(width)] for _ in shape], "value": draw(st.sampled_from([0, 1.5]))}


def part(draw: Draw) -> Case:
    """Ends in and outside of the axis; PyTorch takes no negative steps, so its oracle flips."""
    shape = tuple(size + 2 for size in shape_of(draw, 1, 3))
    end = st.none() | st.integers(-7, 7)
    step = draw(st.integers(-3, 3).filter(bool))
    return [shape], {"start": draw(end), "stop": draw(end), "step": step, "axis": axis_of(draw, shape)}


def take(draw: Draw) -> Case:
    """Indices of any shape, repeated and negative ones."""
    shape = shape_of(draw, 1)
    axis = axis_of(draw, shape)
    size = shape[axis]
    return [shape, indices_of(draw, shape_of(draw, 0, 2), -size, size)], {"axis": axis}


def take_along_axis(draw: Draw) -> Case:
    """Indices of the same shape but along the axis."""
    shape = shape_of(draw, 1, 3)
    axis = axis_of(draw, shape)
    wanted = list(shape)
    wanted[axis] = draw(SIZE)
    return [shape, indices_of(draw, tuple(wanted), -shape[axis], shape[axis])], {"axis": axis}


def embedding(draw: Draw) -> Case:
    """Indices of any shape."""
    rows = draw(SIZE)
    return [(rows, draw(SIZE)), indices_of(draw, shape_of(draw, 0, 3), 0, rows)], {}


def matmul(draw: Draw) -> Case:
    """Vectors, matrices and stacks that broadcast."""
    inner = draw(SIZE)
    stacks = shape_of(draw, 0, 2)
    left = [(inner,), (*broadcasting(draw, stacks), draw(SIZE), inner)]
    right = [(inner,), (*broadcasting(draw, stacks), inner, draw(SIZE))]
    return [draw(st.sampled_from(left)), draw(st.sampled_from(right))], {}


def vecdot(draw: Draw) -> Case:
    """The other axes broadcast."""
    shape = shape_of(draw, 1)
    axis = draw(st.integers(-len(shape), -1))
    other = tuple(size if i == axis + len(shape) else draw(st.sampled_from([1, size])) for i, size in enumerate(shape))
    inputs: list[Any] = [shape, other[draw(st.integers(0, len(shape) + axis)) :]]
    return inputs[:: draw(st.sampled_from([1, -1]))], {"axis": axis}


def tensordot(draw: Draw) -> Case:
    """Pairs of axes in any order."""
    shape = shape_of(draw, 0, 3)
    of_x = axes_of(draw, shape, 0)
    other = list(shape_of(draw, 0, 2))
    of_y = []
    for axis in of_x:
        other.append(shape[axis])
        of_y.append(len(other) - 1)
    return [shape, tuple(other)], {"axes": [of_x, of_y]}


def outer(draw: Draw) -> Case:
    """Two vectors."""
    return [(draw(SIZE),), (draw(SIZE),)], {}


def einsum(draw: Draw) -> Case:
    """Letters drawn for each array, the output some of them."""
    sizes = dict(zip("abcd", draw(st.tuples(SIZE, SIZE, SIZE, SIZE)), strict=True))
    terms = draw(st.lists(st.lists(st.sampled_from("abcd"), max_size=3), min_size=1, max_size=3))
    known = sorted({letter for term in terms for letter in term})
    output = draw(st.permutations(known))[: draw(st.integers(0, len(known)))]
    text = f"{','.join(''.join(term) for term in terms)}->{''.join(output)}"
    return [tuple(sizes[letter] for letter in term) for term in terms], {"subscripts": text}


def matrix(draw: Draw) -> Case:
    """A matrix or a stack."""
    return [shape_of(draw, 2)], {}


def trace(draw: Draw) -> Case:
    """Any diagonal, also an empty one."""
    return [shape_of(draw, 2, 3)], {"offset": draw(st.integers(-3, 3))}


def vector(draw: Draw) -> Case:
    """Any diagonal to lie on."""
    return [shape_of(draw, 1, 3)], {"offset": draw(st.integers(-2, 2))}


def segments(draw: Draw) -> Case:
    """Rows by number, which may have several axes."""
    shape, more, number = shape_of(draw, 1, 2), shape_of(draw, 0, 2), draw(SIZE)
    return [(*shape, *more), indices_of(draw, shape, 0, number)], {"num_segments": number}


def labels(draw: Draw) -> Case:
    """Labels of any shape."""
    number = draw(SIZE)
    return [indices_of(draw, shape_of(draw, 0, 3), 0, number)], {"num_classes": number}


def in_groups(draw: Draw) -> Case:
    """Channels in groups, with something to be normalized in each."""
    groups, size = draw(SIZE), draw(SIZE)
    channels = groups * size
    shape = (draw(SIZE), channels, *shape_of(draw, 0, 2), 2)
    return [shape, (channels,), (channels,)], {"groups": groups, "epsilon": draw(st.sampled_from([1e-5, 0.1]))}


def triangular(draw: Draw) -> Case:
    """Either triangle."""
    inputs, _ = solve(draw)
    return inputs, {"upper": draw(st.booleans())}


def torch_triangular(torch: Any, x: Any, y: Any, upper: bool) -> Any:
    """PyTorch has matrices on the right side."""
    columns = y if y.ndim > 1 else y[:, None]
    found = torch.linalg.solve_triangular(x, columns, upper=upper)
    return found if y.ndim > 1 else found[..., 0]


def normal(draw: Draw) -> Case:
    """Noise that is given."""
    (shape, noise), _ = dropout(draw)
    return [shape, draw(st.sampled_from([shape, ()])), noise], {"training": draw(st.booleans())}


def torch_normal(torch: Any, mean: Any, scale: Any, noise: Any, training: bool) -> Any:
    """The quantile of the middle of a cell of 2^-24."""
    return mean + scale * torch.special.ndtri(noise + 2**-25) if training else mean + 0 * scale


def pooling_1d(draw: Draw) -> Case:
    """Windows along one axis."""
    kernel = draw(st.integers(1, 3))
    options = {"stride": draw(st.none() | st.integers(1, 3)), "padding": draw(st.integers(0, kernel // 2))}
    return [(draw(SIZE), draw(SIZE), kernel + draw(SIZE))], {"kernel_size": kernel, **options}


def dominant(draw: Draw, stacks: tuple[int, ...], size: int) -> Any:
    """Matrices that are far from singular."""
    random = np.random.default_rng(draw(st.integers(0, 999)))
    return random.uniform(-1, 1, (*stacks, size, size)) / size + 2 * np.eye(size)


def square(draw: Draw) -> Case:
    """A square matrix or a stack."""
    return [dominant(draw, shape_of(draw, 0, 2), draw(SIZE))], {}


def positive(draw: Draw) -> Case:
    """A symmetric positive definite matrix or a stack."""
    (array,), _ = square(draw)
    return [array @ np.swapaxes(array, -1, -2)], {"upper": draw(st.booleans())}


def solve(draw: Draw) -> Case:
    """Right sides that are a vector, a matrix, a stack."""
    size, stacks = draw(SIZE), shape_of(draw, 0, 2)
    right: list[Any] = [(size,), (*broadcasting(draw, stacks), size, draw(SIZE))]
    return [dominant(draw, broadcasting(draw, stacks), size), draw(st.sampled_from(right))], {}


REDUCTION = st.sampled_from(["mean", "sum", "none"])


def weights(draw: Draw, shape: tuple[int, ...]) -> list[Any]:
    """No weights, or some along the first axes of the losses."""
    number = draw(st.none() | st.integers(0, len(shape)))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    return [] if number is None else [random.uniform(0.1, 2, shape[:number])]


def pair(draw: Draw) -> Case:
    """Two arrays of one shape, or one and a number."""
    shape = shape_of(draw)
    second = draw(st.sampled_from([shape, ()]))
    return [shape, second, *weights(draw, shape)], {"reduction": draw(REDUCTION)}


def quantile(draw: Draw) -> Case:
    """A share too."""
    inputs, options = pair(draw)
    return inputs, options | {"quantile": draw(st.sampled_from([0.1, 0.5, 0.75]))}


def likelihood(count: int) -> Callable[[Draw], Case]:
    """So many inputs that are positive."""

    def case(draw: Draw) -> Case:
        shape = shape_of(draw)
        random = np.random.default_rng(draw(st.integers(0, 999)))
        shapes = [shape, shape, *(draw(st.sampled_from([shape, ()])) for _ in range(count - 2))]
        inputs = [random.uniform(0.1, 4, size) for size in shapes]
        return [*inputs, *weights(draw, shape)], {"reduction": draw(REDUCTION)}

    return case


def poisson(draw: Draw) -> Case:
    """A mean or its logarithm, with and without the constant."""
    inputs, options = likelihood(2)(draw)
    return inputs, options | {"log_input": draw(st.booleans()), "full": draw(st.booleans())}


def torch_weighed(losses: Callable[..., Any], count: int = 2) -> Callable[..., Any]:
    """What PyTorch's losses of so many inputs are with weights: the mean by their sum."""

    def loss(torch: Any, *inputs: Any, reduction: str, **options: Any) -> Any:
        found = losses(torch, *inputs[:count], **options)
        given = inputs[count] if len(inputs) > count else torch.ones((), dtype=torch.float64)
        wide = given.reshape(given.shape + (1,) * (found.ndim - given.ndim)).expand(found.shape)
        if reduction == "none":
            return found * wide
        total = (found * wide).sum()
        if reduction == "sum":
            return total
        return total / (wide.sum() if reduction == "mean" else wide.mean() * len(found))

    return loss


def torch_poisson(torch: Any, x: Any, target: Any, log_input: bool, full: bool) -> Any:
    """PyTorch's, with log(target!) instead of Stirling's approximation."""
    plain = torch.nn.functional.poisson_nll_loss(x, target, log_input=log_input, eps=0.0, reduction="none")
    return plain + torch.lgamma(target + 1) if full else plain


def torch_negative_binomial(torch: Any, mean: Any, target: Any, dispersion: Any) -> Any:
    """Its distribution has a number of failures and the logarithm of the odds."""
    given = torch.distributions.NegativeBinomial(
        1 / dispersion, logits=torch.log(mean * dispersion), validate_args=False
    )
    return -given.log_prob(target)


def torch_student(torch: Any, x: Any, target: Any, scale: Any, df: Any) -> Any:
    """Its distribution."""
    return -torch.distributions.StudentT(df, x, scale).log_prob(target)


def huber(draw: Draw) -> Case:
    """A width too."""
    inputs, options = pair(draw)
    return inputs, options | {"delta": draw(st.sampled_from([0.5, 1.0, 2.0]))}


def divergence(draw: Draw) -> Case:
    """A target that is positive."""
    shape = shape_of(draw, 1)
    random = np.random.default_rng(draw(st.integers(0, 999)))
    return [shape, random.uniform(0.1, 1, shape)], {"reduction": draw(REDUCTION | st.just("batchmean"))}


def classes(draw: Draw) -> Case:
    """Labels of classes along any axis."""
    shape = shape_of(draw, 1, 3)
    axis = axis_of(draw, shape)
    rest = tuple(size for i, size in enumerate(shape) if i != axis % len(shape))
    labels = indices_of(draw, rest, 0, shape[axis])
    return [shape, labels, *weights(draw, rest)], {"axis": axis, "reduction": draw(REDUCTION)}


def classes_or_probabilities(draw: Draw) -> Case:
    """Labels, or a number for each class."""
    (shape, labels, *more), options = classes(draw)
    random = np.random.default_rng(draw(st.integers(0, 999)))
    return [shape, draw(st.sampled_from([labels.astype(float), random.uniform(0, 1, shape)])), *more], options


def accuracy(draw: Draw) -> Case:
    """Classes along the last axis."""
    (shape, labels, *_), _ = classes(draw)
    return [(*labels.shape, max(shape) + 1), labels], {}


def layer(draw: Draw) -> Case:
    """The last axes, as PyTorch has it."""
    shape = tuple(size + 1 for size in shape_of(draw, 1))
    first = draw(st.integers(0, len(shape) - 1))
    axes = draw(st.permutations(range(first - len(shape), 0)))
    return [shape, shape[first:], shape[first:]], {"axis": axes, "epsilon": draw(st.sampled_from([1e-5, 0.1]))}


def root_mean_square(draw: Draw) -> Case:
    """The last axes."""
    inputs, options = layer(draw)
    return inputs[:2], options


def batch(draw: Draw) -> Case:
    """Channels along axis 1, in both modes."""
    shape = (draw(st.integers(2, 4)), *shape_of(draw, 1, 3))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    states = [random.standard_normal(shape[1]), random.uniform(0.5, 2, shape[1])]
    options = {"epsilon": draw(st.sampled_from([1e-5, 0.1])), "training": draw(st.booleans())}
    return [shape, (shape[1],), (shape[1],), *states], options


def dropout(draw: Draw) -> Case:
    """Noise that is given."""
    shape = shape_of(draw)
    noise = np.random.default_rng(draw(st.integers(0, 999))).uniform(size=shape)
    return [shape, noise], {"rate": draw(st.sampled_from([0, 0.3, 1])), "training": draw(st.booleans())}


def convolution(number: int, *, transposed: bool = False) -> Callable[[Draw], Case]:
    """Sizes, strides, paddings, dilations and groups that fit, each one for all axes or one by one."""

    def case(draw: Draw) -> Case:
        def each(low: int, high: int) -> tuple[int, ...]:
            return tuple(draw(st.integers(low, high)) for _ in range(number))

        kernel, stride, padding, dilation = each(1, 3), each(1, 3), each(0, 2), each(1, 2)
        groups, inputs, outputs = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
        sizes = tuple(
            max(0, (size - 1) * apart + 1 - (0 if transposed else 2 * margin)) + draw(SIZE)
            for size, apart, margin in zip(kernel, dilation, padding, strict=True)
        )
        options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        weight = (outputs * groups, inputs, *kernel)
        if transposed:
            weight = (inputs * groups, outputs, *kernel)
            sizes = tuple(size + 4 for size in sizes)
            options["output_padding"] = [draw(st.integers(0, step - 1)) for step in stride]
        shapes = [(draw(SIZE), inputs * groups, *sizes), weight, (outputs * groups,)]
        return shapes[: draw(st.integers(2, 3))], options

    return case


def pooling(draw: Draw) -> Case:
    """Windows side by side or overlapping, with margins."""
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride = draw(st.none() | st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = [draw(st.integers(0, size // 2)) for size in kernel]
    sizes = [size + draw(SIZE) for size in kernel]
    return [(draw(SIZE), draw(SIZE), *sizes)], {"kernel_size": kernel, "stride": stride, "padding": padding}


def attention(draw: Draw) -> Case:
    """Stacks that broadcast, a mask, the causal one; the first key is seen by all queries, or PyTorch has NaN."""
    stacks = shape_of(draw, 0, 2)
    queries, keys, width = draw(SIZE), draw(SIZE), draw(SIZE)
    inputs: list[Any] = [(*stacks, queries, width), (*stacks, keys, width), (*stacks, keys, draw(SIZE))]
    options = {"scale": draw(st.none() | st.just(0.7)), "causal": draw(st.booleans())}
    if draw(st.booleans()):
        mask = indices_of(draw, (queries, keys), 0, 2)
        mask[:, 0] = 1
        inputs.append(mask.astype(float))
        options["causal"] = False
    return inputs, options


# --- PyTorch's functions ---------------------------------------------------------------------------------------------


def all_axes(x: Any, axis: Any) -> Any:
    """Axes as PyTorch takes them."""
    return tuple(range(x.ndim)) if axis is None else axis


def torch_prod(torch: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """PyTorch's takes one axis at a time."""
    axes = all_axes(x, axis)
    for number in sorted({a % x.ndim for a in (axes if isinstance(axes, tuple) else (axes,))}, reverse=True):
        x = torch.prod(x, number, keepdims)
    return x


def torch_slice(torch: Any, x: Any, start: Any, stop: Any, step: int, axis: int) -> Any:
    """By the positions that Python's slices have."""
    return torch.index_select(x, axis, torch.tensor(list(range(x.shape[axis])[start:stop:step]), dtype=torch.int64))


def torch_take(torch: Any, x: Any, indices: Any, axis: int) -> Any:
    """By one long index, whose axes are restored."""
    axis %= x.ndim
    found = torch.index_select(x, axis, indices.ravel() % x.shape[axis])
    return found.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def torch_accuracy(torch: Any, logits: Any, labels: Any) -> Any:
    """Nothing that PyTorch has itself."""
    return (logits.argmax(-1) == labels).double().mean()


def torch_classes(name: str) -> Callable[..., Any]:
    """PyTorch has the classes along axis 1, and takes labels only as integers."""

    def loss(torch: Any, scores: Any, labels: Any, axis: int) -> Any:
        if labels.ndim < scores.ndim:
            labels = labels.detach().long()
            if scores.ndim > 1:
                scores = torch.movedim(scores, axis, 1)
        elif scores.ndim > 1:
            scores, labels = torch.movedim(scores, axis, 1), torch.movedim(labels, axis, 1)
        if scores.ndim == 1 and name == "nll_loss":
            return torch.nn.functional.nll_loss(scores[None], labels[None], reduction="none").reshape(())
        return getattr(torch.nn.functional, name)(scores, labels, reduction="none")

    return torch_weighed(loss)


def of_pair(name: str) -> Callable[..., Any]:
    """PyTorch's loss, which warns where shapes differ."""

    def loss(torch: Any, x: Any, y: Any, **options: Any) -> Any:
        return getattr(torch.nn.functional, name)(x, y.expand(x.shape), reduction="none", **options)

    return torch_weighed(loss)


def torch_batch_norm(torch: Any, x: Any, scale: Any, shift: Any, mean: Any, variance: Any, **options: Any) -> Any:
    """With states that PyTorch changes in place."""
    options = {"eps": options["epsilon"], "training": options["training"]}
    return torch.nn.functional.batch_norm(x, mean.clone(), variance.clone(), scale, shift, **options)


def torch_attention(torch: Any, query: Any, key: Any, value: Any, mask: Any = None, **options: Any) -> Any:
    """With a mask of true and false."""
    seen = None if mask is None else mask != 0
    function = torch.nn.functional.scaled_dot_product_attention
    return function(query, key, value, attn_mask=seen, is_causal=options["causal"], scale=options["scale"])


def convolution_of(name: str) -> Callable[..., Any]:
    """PyTorch's convolution."""
    return lambda torch, *inputs, **options: getattr(torch.nn.functional, name)(*inputs, **options)


TABLE: dict[str, tuple[Callable[[Draw], Case], Callable[..., Any]]] = {
    "sum": (reduction, lambda torch, x, axis, keepdims: torch.sum(x, all_axes(x, axis), keepdims)),
    "mean": (reduction, lambda torch, x, axis, keepdims: torch.mean(x, all_axes(x, axis), keepdims)),
    "prod": (reduction, torch_prod),
    "max": (reduction, lambda torch, x, axis, keepdims: torch.amax(x, all_axes(x, axis), keepdims)),
    "min": (reduction, lambda torch, x, axis, keepdims: torch.amin(x, all_axes(x, axis), keepdims)),
    "var": (
        spread,
        lambda torch, x, axis, correction, keepdims: torch.var(x, axis, correction=correction, keepdim=keepdims),
    ),
    "std": (
        spread,
        lambda torch, x, axis, correction, keepdims: torch.std(x, axis, correction=correction, keepdim=keepdims),
    ),
    "logsumexp": (reduction, lambda torch, x, axis, keepdims: torch.logsumexp(x, all_axes(x, axis), keepdims)),
    "vector_norm": (
        norm,
        lambda torch, x, axis, keepdims, ord: torch.linalg.vector_norm(x, ord, axis, keepdims),  # noqa: A006
    ),
    "cumulative_sum": (along_axis, lambda torch, x, axis: torch.cumsum(x, axis)),
    "argmax": (argmax, lambda torch, x, axis, keepdims: torch.argmax(x, axis, keepdims).double()),
    "matmul": (matmul, lambda torch, x, y: torch.matmul(x, y)),
    "vecdot": (vecdot, lambda torch, x, y, axis: torch.linalg.vecdot(x, y, dim=axis)),
    "tensordot": (tensordot, lambda torch, x, y, axes: torch.tensordot(x, y, [list(a) for a in axes])),
    "outer": (outer, lambda torch, x, y: torch.outer(x, y)),
    "einsum": (einsum, lambda torch, *arrays, subscripts: torch.einsum(subscripts, *arrays)),
    "trace": (trace, lambda torch, x, offset: torch.diagonal(x, offset, -2, -1).sum(-1)),
    "diagonal": (trace, lambda torch, x, offset: torch.diagonal(x, offset, -2, -1)),
    "diag_embed": (vector, lambda torch, x, offset: torch.diag_embed(x, offset)),
    "solve_triangular": (triangular, torch_triangular),
    "det": (square, lambda torch, x: torch.linalg.det(x)),
    "inv": (square, lambda torch, x: torch.linalg.inv(x)),
    "solve": (solve, lambda torch, x, y: torch.linalg.solve(x, y) if y.ndim > 1 else torch.linalg.inv(x) @ y),
    "cholesky": (positive, lambda torch, x, upper: torch.linalg.cholesky(x, upper=upper)),
    "reshape": (reshape, lambda torch, x, shape: torch.reshape(x, shape)),
    "permute_dims": (permutation, lambda torch, x, axes: torch.permute(x, axes)),
    "matrix_transpose": (matrix, lambda torch, x: x.mT),
    "broadcast_to": (broadcast, lambda torch, x, shape: torch.broadcast_to(x, shape)),
    "expand_dims": (new_axis, lambda torch, x, axis: torch.unsqueeze(x, axis)),
    "squeeze": (squeeze, lambda torch, x, axis: torch.squeeze(x, axis)),
    "flip": (several_axes, lambda torch, x, axis: torch.flip(x, all_axes(x, axis))),
    "concat": (concat, lambda torch, *arrays, axis: torch.cat(arrays, axis)),
    "stack": (stack, lambda torch, *arrays, axis: torch.stack(arrays, axis)),
    "unstack": (unstack, lambda torch, x, index, size, axis: torch.select(x, axis, index)),
    "tile": (tile, lambda torch, x, repetitions: torch.tile(x, repetitions)),
    "pad": (
        pad,
        lambda torch, x, widths, value: torch.nn.functional.pad(x, [w for p in widths[::-1] for w in p], value=value),
    ),
    "slice": (part, torch_slice),
    "take": (take, torch_take),
    "take_along_axis": (
        take_along_axis,
        lambda torch, x, indices, axis: torch.gather(x, axis, indices % x.shape[axis]),
    ),
    "embedding": (embedding, lambda torch, weight, indices: torch.nn.functional.embedding(indices, weight)),
    "segment_sum": (
        segments,
        lambda torch, x, indices, num_segments: torch.zeros(
            (num_segments, *x.shape[indices.ndim :]), dtype=x.dtype
        ).index_add(0, indices.flatten(), x.reshape(-1, *x.shape[indices.ndim :])),
    ),
    "one_hot": (labels, lambda torch, x, num_classes: torch.nn.functional.one_hot(x, num_classes).double()),
    "softmax": (along_axis, lambda torch, x, axis: torch.softmax(x, axis)),
    "log_softmax": (along_axis, lambda torch, x, axis: torch.log_softmax(x, axis)),
    "layer_norm": (
        layer,
        lambda torch, x, scale, shift, axis, epsilon: torch.nn.functional.layer_norm(
            x, scale.shape, scale, shift, epsilon
        ),
    ),
    "rms_norm": (
        root_mean_square,
        lambda torch, x, scale, axis, epsilon: torch.nn.functional.rms_norm(x, scale.shape, scale, epsilon),
    ),
    "group_norm": (
        in_groups,
        lambda torch, x, scale, shift, groups, epsilon: torch.nn.functional.group_norm(
            x, groups, scale, shift, epsilon
        ),
    ),
    "batch_norm": (batch, torch_batch_norm),
    "dropout": (
        dropout,
        lambda torch, x, noise, rate, training: (
            x * (noise >= rate) / (1 - rate if rate < 1 else 1) if training else x * 1
        ),
    ),
    "normal_noise": (normal, torch_normal),
    "conv1d": (convolution(1), convolution_of("conv1d")),
    "conv2d": (convolution(2), convolution_of("conv2d")),
    "conv_transpose2d": (convolution(2, transposed=True), convolution_of("conv_transpose2d")),
    "max_pool1d": (pooling_1d, lambda torch, x, **options: torch.nn.functional.max_pool1d(x, **options)),
    "max_pool2d": (pooling, lambda torch, x, **options: torch.nn.functional.max_pool2d(x, **options)),
    "avg_pool2d": (pooling, lambda torch, x, **options: torch.nn.functional.avg_pool2d(x, **options)),
    "scaled_dot_product_attention": (attention, torch_attention),
    "mean_squared_error": (pair, of_pair("mse_loss")),
    "mean_absolute_error": (pair, of_pair("l1_loss")),
    "quantile_loss": (
        quantile,
        torch_weighed(lambda torch, x, y, quantile: torch.maximum(quantile * (y - x), (quantile - 1) * (y - x))),
    ),
    "huber_loss": (huber, of_pair("huber_loss")),
    "binary_cross_entropy_with_logits": (pair, of_pair("binary_cross_entropy_with_logits")),
    "kl_div": (divergence, of_pair("kl_div")),
    "cross_entropy": (classes_or_probabilities, torch_classes("cross_entropy")),
    "nll_loss": (classes, torch_classes("nll_loss")),
    "accuracy": (accuracy, torch_accuracy),
    "poisson_nll_loss": (poisson, torch_weighed(torch_poisson)),
    "negative_binomial_nll_loss": (likelihood(3), torch_weighed(torch_negative_binomial, 3)),
    "student_t_nll_loss": (likelihood(4), torch_weighed(torch_student, 4)),
}


def test_every_type_is_in_the_table() -> None:
    """A new type needs an oracle here."""
    assert set(TABLE) == set(BUILT_IN)


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # PyTorch's advice on its kl_div
@pytest.mark.filterwarnings("ignore:.*lazyInitCUDA")
@pytest.mark.parametrize("name", TABLE)
@settings(
    max_examples=examples(60),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_values_and_gradients(torch: Any, name: str, data: st.DataObject) -> None:
    """Both agree to 9 digits, for a random gradient."""
    node_type = BUILT_IN[name]
    make, oracle = TABLE[name]
    given_inputs, given_settings = make(data.draw)
    random = np.random.default_rng(data.draw(st.integers(0, 999)))
    inputs = [random.standard_normal(x) if isinstance(x, tuple) else x for x in given_inputs]
    training = {key: given_settings.pop(key) for key in [node_type.takes_training] if key in given_settings}
    full = dict(node_type.read_settings(given_settings)) | training
    with np.errstate(all="ignore"):
        value = node_type.function(np, *inputs, **full)
        gradient = random.standard_normal(np.shape(value))
        assert node_type.derivative is not None
        products = node_type.derivative(np, gradient, value, *inputs, **full)

    states = [i for i, name in enumerate(node_type.inputs) if name in dict(node_type.engine_inputs)]
    fixed = [*node_type.index_inputs, *states]
    tensors = [torch.tensor(x).requires_grad_(i not in fixed) for i, x in enumerate(inputs)]
    if node_type.default_settings is not None and "momentum" in full:
        full = {key: full[key] for key in ("epsilon", "training")}
    their_value = oracle(torch, *tensors, **full)
    np.testing.assert_allclose(value, their_value.detach().numpy(), rtol=1e-9, atol=1e-12)
    assert np.shape(value) == tuple(their_value.shape)
    if their_value.requires_grad:
        their_value.backward(torch.tensor(gradient))
    for product, tensor in zip(products, tensors, strict=True):
        ours = product() if callable(product) else product
        if ours is None:
            assert tensor.grad is None or not tensor.grad.any()
            continue
        theirs = np.zeros(tensor.shape) if tensor.grad is None else tensor.grad.numpy()
        assert np.shape(ours) == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


def test_the_running_states_of_a_batch_norm(torch: Any) -> None:
    """PyTorch's convention: the variance that normalizes is biased, the one that is kept is not."""
    random = np.random.default_rng(0)
    x, scale, shift = random.standard_normal((5, 3, 2)), random.standard_normal(3), random.standard_normal(3)
    node_type = BUILT_IN["batch_norm"]
    full = dict(node_type.read_settings({"momentum": 0.3})) | {"training": True}
    assert node_type.first_state is not None
    assert node_type.next_state is not None
    states = node_type.first_state(np, x, scale, shift, **full)
    theirs = [torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)]
    for _ in range(3):
        output = node_type.function(np, x, scale, shift, *states, **full)
        states = node_type.next_state(np, output, x, scale, shift, *states, **full)
        torch.nn.functional.batch_norm(torch.tensor(x), *theirs, training=True, momentum=0.3)
        np.testing.assert_allclose(states, [state.numpy() for state in theirs], rtol=1e-12)
        x = x * 1.5 + 1


def test_noise_and_states_are_the_engines() -> None:
    """The types that take more than the graph file gives."""
    taking = {name: [marker for _, marker in node.engine_inputs] for name, node in BUILT_IN.items()}
    assert {name for name, markers in taking.items() if markers} == {"dropout", "normal_noise", "batch_norm"}
    assert taking["dropout"] == [Noise]
