"""Tensor types where it is hard: ties, constants, infinities, empty axes, singular matrices, what does not fit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from graphrun import nodes

BUILT_IN = {node_type.name: node_type for node_type in nodes.graphrun_node_types()}
INF, NAN = math.inf, math.nan
THIRD = 1 / 3


def evaluate(name: str, settings: dict[str, Any], inputs: list[Any]) -> tuple[Any, list[Any]]:
    """Value, and gradients for a gradient of ones; integers are indices."""
    node_type = BUILT_IN[name]
    arrays = [np.asarray(x, None if i in node_type.index_inputs else np.float64) for i, x in enumerate(inputs)]
    full = dict(node_type.read_settings(settings))
    if node_type.takes_training:
        full[node_type.takes_training] = True
    assert node_type.derivative is not None
    with np.errstate(all="ignore"):
        value = node_type.function(np, *arrays, **full)
        given = node_type.derivative(np, np.ones_like(value), value, *arrays, **full)
        return value, [entry() if callable(entry) else entry for entry in given]


# type, settings, inputs, value, gradients
EDGES: list[tuple[str, dict[str, Any], list[Any], Any, list[Any]]] = [
    ("sum", {"axis": 1}, [np.ones((2, 0))], [0, 0], [np.ones((2, 0))]),
    ("prod", {}, [[2, 0, 5]], 0, [[0, 10, 0]]),
    ("prod", {}, [[2, 0, 0]], 0, [[0, 0, 0]]),
    ("prod", {"axis": 0}, [np.ones((0, 2))], [1, 1], [np.ones((0, 2))]),
    ("max", {}, [[3, 1, 3]], 3, [[0.5, 0, 0.5]]),
    ("max", {}, [[-INF, -INF]], -INF, [[0.5, 0.5]]),
    ("max", {}, [[1, NAN]], NAN, [[0, 0]]),
    ("min", {"axis": -1}, [[[1, 1, 1], [2, 3, 4]]], [1, 2], [[[THIRD] * 3, [1, 0, 0]]]),
    ("var", {}, [[0.1] * 3], 0, [[0, 0, 0]]),
    ("std", {}, [[0.1] * 3], 0, [[0, 0, 0]]),
    ("std", {}, [[7]], 0, [[0]]),
    ("std", {}, [[1e9, 1e9 + 1]], 0.5, [[-0.5, 0.5]]),
    ("vector_norm", {}, [[0, 0]], 0, [[0, 0]]),
    ("vector_norm", {"ord": 3}, [[0, 0]], 0, [[0, 0]]),
    ("vector_norm", {"ord": 1}, [[0, -2]], 2, [[0, -1]]),
    ("vector_norm", {"ord": INF}, [[2, -2]], 2, [[0.5, -0.5]]),
    ("vector_norm", {}, [[3e300, 4e300]], 5e300, [[0.6, 0.8]]),
    ("vector_norm", {}, [[3e-300, 4e-300]], 5e-300, [[0.6, 0.8]]),
    ("vector_norm", {"axis": 0}, [np.ones((0, 2))], [0, 0], [np.ones((0, 2))]),
    ("logsumexp", {}, [[1000, 1000]], 1000 + math.log(2), [[0.5, 0.5]]),
    ("logsumexp", {}, [[-1000, -INF]], -1000, [[1, 0]]),
    ("logsumexp", {}, [[-INF, -INF]], -INF, [[0.5, 0.5]]),
    ("logsumexp", {}, [[INF, 1]], INF, [[1, 0]]),
    ("logsumexp", {"axis": 1}, [np.ones((2, 0))], [-INF, -INF], [np.ones((2, 0))]),
    ("argmax", {}, [[1, 3, 3]], 1, [None]),
    ("softmax", {}, [[1000, 0, -1000]], [1, 0, 0], [[0, 0, 0]]),
    ("softmax", {}, [[-INF, -INF]], [0, 0], [[0, 0]]),
    ("softmax", {}, [[-INF, 5]], [0, 1], [[0, 0]]),
    ("log_softmax", {}, [[1000, 0]], [0, -1000], [[-1, 1]]),
    ("log_softmax", {}, [[-INF, -INF]], [-INF, -INF], [[1, 1]]),
    ("cross_entropy", {}, [[[1000, 0]], [0]], 0, [[[0, 0]], None]),
    ("cross_entropy", {}, [[[1000, 0]], [1]], 1000, [[[1, -1]], None]),
    ("cross_entropy", {}, [[[-INF, 0]], [1]], 0, [[[0, 0]], None]),
    ("cross_entropy", {}, [[[-INF, 0]], [[0, 1]]], 0, [[[0, 0]], [[INF, 0]]]),
    (
        "cross_entropy",
        {},
        [[[1e8 + 1, 1e8]], [0]],
        math.log1p(math.exp(-1)),
        [[[-1 / (1 + math.e), 1 / (1 + math.e)]], None],
    ),
    ("binary_cross_entropy_with_logits", {}, [[40], [1]], math.exp(-40), [[-math.exp(-40)], [-40]]),
    ("binary_cross_entropy_with_logits", {}, [[-1000], [1]], 1000, [[-1], [1000]]),
    ("mean_absolute_error", {}, [[1, 2], [1, 3]], 0.5, [[0, -0.5], [0, 0.5]]),
    ("huber_loss", {"reduction": "sum"}, [[1, 9], [0, 0]], 0.5 + 8.5, [[1, 1], [-1, -1]]),
    ("kl_div", {"reduction": "sum"}, [[-INF, 0], [0, 1]], 0, [[0, -1], [0, 1]]),
    ("accuracy", {}, [[[1, 2], [3, 0], [0, 1]], [1, 0, 0]], 2 / 3, [None, None]),
    ("accuracy", {}, [[[1], [-3]], [1, 1]], 0.5, [None, None]),
    ("accuracy", {}, [[1, -3], [1, 0]], 1, [None, None]),
    ("take", {}, [[1, 2, 3], np.array([2, 2, -1])], [3, 3, 3], [[0, 0, 3], None]),
    ("embedding", {}, [[[1, 2], [3, 4]], np.array([1, 1])], [[3, 4], [3, 4]], [[[0, 0], [2, 2]], None]),
    ("slice", {"start": 9}, [[1, 2]], np.ones(0), [[0, 0]]),
    ("det", {}, [[[1, 2], [2, 4]]], 0, [[[4, -2], [-2, 1]]]),
    ("det", {}, [np.ones((0, 0))], 1, [np.ones((0, 0))]),
    ("matmul", {}, [np.ones((2, 0)), np.ones((0, 3))], np.zeros((2, 3)), [np.ones((2, 0)), np.ones((0, 3))]),
    ("layer_norm", {}, [[2, 2], [1, 1], [5, 6]], [5, 6], [[0, 0], [0, 0], [1, 1]]),
    ("max_pool2d", {"kernel_size": 2}, [np.zeros((1, 1, 2, 2))], [[[[0]]]], [np.full((1, 1, 2, 2), 0.25)]),
    ("dropout", {"rate": 1.0}, [[INF, 2], [0.5, 0.99]], [0, 0], [[0, 0], None]),
    ("dropout", {"rate": 0.5}, [[INF, 2], [0.25, 0.5]], [0, 4], [[0, 2], None]),
    (
        "scaled_dot_product_attention",
        {},
        [[[1.0]], [[1], [2]], [[3], [4]], [[0, 0]]],
        [[0]],
        [[[0]], [[0], [0]], [[0], [0]], None],
    ),
]


@pytest.mark.parametrize(("name", "settings", "inputs", "value", "gradients"), EDGES)
def test_the_value_and_the_gradients_at_an_edge(
    name: str, settings: dict[str, Any], inputs: list[Any], value: Any, gradients: list[Any]
) -> None:
    """The limit, or the convention, and no NaN that did not come in."""
    found, products = evaluate(name, settings, inputs)
    np.testing.assert_allclose(found, value, rtol=1e-9, atol=1e-15)
    for product, expected in zip(products, gradients, strict=True):
        if expected is None:
            assert product is None
        else:
            np.testing.assert_allclose(product, expected, rtol=1e-9, atol=1e-14)


# type, settings, shapes, the words
MISFITS: list[tuple[str, dict[str, Any], list[tuple[int, ...]], str]] = [
    ("sum", {"axis": [0, -2]}, [(2, 3)], "axis"),
    ("mean", {"axis": [0, -2]}, [(2, 3)], "names an axis of x twice"),
    ("mean", {"axis": 1}, [(2, 0)], "axis 1 of x has no elements"),
    ("max", {"axis": 2}, [(2, 3)], "axis 2 is none of x, which has 2 axes"),
    ("max", {}, [(2, 0)], "axis 1 of x has no elements"),
    ("argmax", {"axis": 0}, [(0, 3)], "axis 0 of x has no elements"),
    ("std", {"axis": 0, "correction": 1}, [(1, 3)], "a spread of 1 element with a correction of 1 is 0 / 0"),
    ("vector_norm", {"ord": 0.5}, [(2,)], "ord is 0.5, but a norm has at least 1"),
    ("cumulative_sum", {}, [(2, 2)], "x has 2 axes: say along which by axis"),
    ("reshape", {"shape": [4]}, [(2, 3)], r"x has 6 elements, which the shape \[4\] does not hold"),
    ("reshape", {"shape": [4, -1]}, [(2, 3)], "does not hold"),
    ("reshape", {"shape": [-1, -1]}, [(2, 3)], "does not hold"),
    ("permute_dims", {"axes": [0]}, [(2, 3)], r"axes \[0\] are 1, but x has 2 axes"),
    ("matrix_transpose", {}, [(2,)], "x has 1 axis, not at least 2 axes"),
    ("broadcast_to", {"shape": [2, 4]}, [(3,)], "axis 0 of x has 3 elements, axis 1 of the shape has 4"),
    ("expand_dims", {"axis": 3}, [(2,)], "axis 3 is no place for a new axis of x, which has 1 axis"),
    ("squeeze", {"axis": 0}, [(2, 1)], "axis 0 of x has 2 elements, not 1"),
    ("concat", {}, [(2, 3), (2, 4)], r"axis 1 of arrays\[0\] has 3 elements, axis 1 of arrays\[1\] has 4"),
    ("stack", {}, [(2,), (2, 1)], r"arrays\[0\] has 1 axis, arrays\[1\] has 2"),
    ("unstack", {"index": 0, "size": 3}, [(2, 3)], "x has 2 slices along axis 0, not 3"),
    ("unstack", {"index": 3, "axis": -1}, [(2, 3)], "x has 3 slices along axis 1, and none at 3"),
    ("unstack", {"index": 0}, [()], "axis 0 is none of x, which has 0 axes"),
    ("pad", {"widths": [[1, 1]]}, [(2, 3)], "widths has 1 pair, but x has 2 axes"),
    ("slice", {"step": 0}, [(2,)], "step is 0"),
    ("take_along_axis", {}, [(2, 3), (3, 3)], "axis 0 of x has 2 elements, axis 0 of indices has 3"),
    ("matmul", {}, [(2, 3), (4, 5)], "axis 1 of x has 3 elements, axis 0 of y has 4"),
    ("matmul", {}, [(2, 2, 3), (5, 3, 4)], "axis 0 of x has 2 elements, axis 0 of y has 5"),
    ("matmul", {}, [(), (2, 3)], "x has 0 axes, not at least 1 axis"),
    ("vecdot", {}, [(2, 3), (2, 4)], "axis 1 of x has 3 elements, axis 1 of y has 4"),
    ("vecdot", {"axis": 0}, [(3, 2), (3,)], "count the axis from the last one, -1"),
    ("tensordot", {"axes": 1}, [(2, 3), (4, 5)], "axis 1 of x has 3 elements, axis 0 of y has 4"),
    ("tensordot", {"axes": 3}, [(2, 3), (4, 5)], "axes is 3, but x has 2 axes and y has 2"),
    ("outer", {}, [(2, 3), (4,)], "x has 2 axes, not 1 axis"),
    (
        "einsum",
        {"subscripts": "ij,jk->ik"},
        [(2, 3), (4, 5)],
        r"axis 1 of arrays\[0\] has 3 elements, axis 0 of arrays\[1\] has 4",
    ),
    ("einsum", {"subscripts": "ij->ik"}, [(2, 3)], "'k' of the output stands in no array"),
    ("einsum", {"subscripts": "ij,j"}, [(2, 3)], "are of 2 arrays, but 1 are given"),
    ("einsum", {"subscripts": "i"}, [(2, 3)], r"arrays\[0\] has 2 axes, its subscripts are 'i'"),
    ("det", {}, [(2, 3)], "axis 0 of x has 2 elements, axis 1 of x has 3"),
    ("solve", {}, [(2, 2), (3,)], "axis 0 of x has 2 elements, axis 0 of y has 3"),
    ("inv", {}, [(2, 2)], "inv: the matrix is singular"),
    ("solve", {}, [(2, 2), (2,)], "solve: the matrix x is singular"),
    ("cholesky", {}, [(2, 2)], "cholesky: the matrix is not positive definite"),
    ("layer_norm", {}, [(2, 3), (4,), (3,)], "axis 1 of x has 3 elements, axis 0 of scale has 4"),
    ("layer_norm", {}, [(2, 3), (2, 3), (3,)], "scale has 2 axes, but 1 of x are normalized"),
    ("batch_norm", {}, [(2, 3), (3,), (2,), (3,), (3,)], "axis 1 of x has 3 elements, axis 0 of shift has 2"),
    ("batch_norm", {}, [(1, 3), (3,), (3,), (3,), (3,)], "a batch of 1 number in each channel has no variance"),
    ("dropout", {"rate": 1.5}, [(2,), (2,)], "rate is 1.5, not a share from 0 to 1"),
    ("mean_squared_error", {}, [(3, 1), (3,)], "prediction has 2 axes, target has 1"),
    ("mean_squared_error", {}, [(3, 1), (1, 3)], "axis 0 of prediction has 3 elements, axis 0 of target has 1"),
    ("cross_entropy", {}, [(3, 2), (4,)], "axis 0 of logits has 3 elements, axis 0 of labels has 4"),
    ("cross_entropy", {}, [(3, 2, 2), (3,)], "logits has 3 axes, labels has 1: it takes one fewer for classes"),
    ("conv2d", {}, [(1, 2, 4, 4), (3, 1, 2, 2)], "axis 1 of x has 2 elements, axis 1 of weight has 1"),
    ("conv2d", {}, [(2, 4, 4), (3, 2, 2, 2)], "x has 3 axes, not 4 axes"),
    ("conv2d", {}, [(1, 2, 4, 2), (3, 2, 3, 3)], "axis 3 of x has 2 elements, with padding 2: a window of 3 does not"),
    ("conv2d", {}, [(1, 2, 4, 4), (3, 2, 2, 2), (2,)], r"bias has the shape \(2,\), but there are 3 output channels"),
    ("conv2d", {"groups": 2}, [(1, 3, 4, 4), (2, 1, 2, 2)], "groups is 2: it divides the 3 channels"),
    ("conv_transpose2d", {"output_padding": 1}, [(1, 2, 4, 4), (2, 2, 2, 2)], "is not below the stride 1"),
    ("max_pool2d", {"kernel_size": 2, "padding": 2}, [(1, 1, 4, 4)], "is more than half of the window"),
    ("max_pool2d", {"kernel_size": 5}, [(1, 1, 4, 6)], "axis 2 of x has 4 elements"),
    (
        "scaled_dot_product_attention",
        {},
        [(3, 2), (3, 4), (3, 2)],
        "axis 1 of query has 2 elements, axis 1 of key has 4",
    ),
    (
        "scaled_dot_product_attention",
        {},
        [(3, 2), (3, 2), (4, 2)],
        "axis 0 of key has 3 elements, axis 0 of value has 4",
    ),
    ("scaled_dot_product_attention", {}, [(3, 2), (4, 2), (4, 2), (4, 3)], "the mask has the shape"),
]


@pytest.mark.parametrize(("name", "settings", "shapes", "words"), MISFITS)
def test_what_does_not_fit_is_told_in_words(
    name: str, settings: dict[str, Any], shapes: list[tuple[int, ...]], words: str
) -> None:
    """The forward function raises ValueError and says which axis it is; all inputs are zeros."""
    node_type = BUILT_IN[name]
    inputs = [
        np.zeros(shape, np.int64 if i in node_type.index_inputs else np.float64) for i, shape in enumerate(shapes)
    ]
    full = dict(node_type.read_settings(settings))
    if node_type.takes_training:
        full[node_type.takes_training] = True
    with pytest.raises(ValueError, match=words):
        node_type.function(np, *inputs, **full)


@pytest.mark.parametrize(
    ("name", "inputs", "words"),
    [
        ("take", [np.ones(3), np.array([0, 3])], "indices holds 3, but may be from -3 to 2"),
        ("take", [np.ones(3), np.array([-4])], "indices holds -4"),
        ("take", [np.ones(0), np.array([0])], "indices holds 0, but there are no elements"),
        ("take_along_axis", [np.ones((2, 2)), np.array([[0], [2]])], "indices holds 2, but may be from -2 to 1"),
        ("embedding", [np.ones((2, 3)), np.array([-1])], "indices holds -1, but may be from 0 to 1"),
        ("nll_loss", [np.ones((2, 3)), np.array([0, 3])], "labels holds 3, but there are 3 classes, counted from 0"),
        ("cross_entropy", [np.ones((2, 3)), np.array([-1.0, 0.0])], "labels holds -1, but there are 3 classes"),
        ("cross_entropy", [np.ones((2, 3)), np.array([0.5, 0.0])], "labels holds 0.5, but there are 3 classes"),
        ("accuracy", [np.ones(2), np.array([0, 2])], "labels holds 2, but there are 2 classes"),
    ],
)
def test_an_index_that_is_out_of_range_is_named(name: str, inputs: list[Any], words: str) -> None:
    """Counting from the end is for positions only: a class of -1 is a mistake in the data."""
    with pytest.raises(IndexError, match=words):
        BUILT_IN[name].function(np, *inputs, **dict(BUILT_IN[name].read_settings({})))
