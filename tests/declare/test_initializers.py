"""Initializers: what determines a draw, the statistics of each, and what is told about one that cannot be made."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graphrun.api import Graph
from graphrun.base.errors import GraphFileError, ShapeError
from graphrun.declare.initializers import INITIALIZERS, draw, fans
from graphrun.document import Source, load_document
from graphrun.graph.build import build_graph
from graphrun.plugins.registry import Registry

REGISTRY = Registry()
SQRT2 = math.sqrt(2)


def graph_of(parameters: str, rest: str = "") -> Graph:
    """Return the graph of some parameters."""
    return Graph(build_graph(load_document(Source("g.yaml", f"parameters: {parameters}\n{rest}")), REGISTRY))


def drawn(parameters: str, seed: int | None = None, dtype: str | None = None) -> dict[str, np.ndarray]:
    """Return the starts of parameters."""
    plan = graph_of(parameters).plan(dtype, seed)
    return {str(name): np.asarray(value) for name, value in zip(plan.names, plan.leaves, strict=False)}


def sample(kind: str, shape: tuple[int, ...], seed: int = 3, **settings: float) -> np.ndarray:
    """Draw one."""
    return draw(INITIALIZERS[kind], settings, shape, seed=seed, name="W")


W = "W: {shape: [3, 4], init: {type: normal}}"


def test_seed_and_name_determine_the_draw() -> None:
    """The same ones give the same numbers, another of either gives others."""
    first = drawn(f"{{{W}}}", 5)["W"]
    np.testing.assert_array_equal(first, drawn(f"{{{W}}}", 5)["W"])
    assert not np.any(first == drawn(f"{{{W}}}", 6)["W"])
    assert not np.any(first == drawn(f"{{{W.replace('W', 'V')}}}", 5)["V"])
    np.testing.assert_array_equal(drawn(f"{{{W}}}")["W"], drawn(f"{{{W}}}", 0)["W"])


def test_the_draw_stays_the_same_in_every_version() -> None:
    """Checkpoints and papers depend on it."""
    expected = [0.6639710319112094, -0.25745885693099846, -0.7656544165314487]
    np.testing.assert_allclose(sample("normal", (3,), seed=0), expected, rtol=1e-15)


def test_other_parameters_change_no_draw() -> None:
    """Neither one before, nor its shape, nor the order."""
    alone = drawn(f"{{{W}}}")["W"]
    among = drawn(
        f"{{A: {{shape: [7], init: {{type: uniform}}}}, {W}, b: 3, C: {{shape: [2], init: {{type: normal}}}}}}"
    )
    np.testing.assert_array_equal(alone, among["W"])
    swapped = drawn(f"{{C: {{shape: [2], init: {{type: normal}}}}, {W}}}")
    np.testing.assert_array_equal(among["C"], swapped["C"])


def test_copies_of_a_subgraph_are_drawn_apart() -> None:
    """Each by its whole name, so that sharing and repeating are no accident."""
    rest = """\
subgraphs: {s: {inputs: [x], parameters: {w: {shape: [], init: {type: normal}}}, nodes: {y: x * w}, output: y}}
nodes: {f: {type: s, inputs: [a], repeat: 3}, g: {type: s, inputs: [a], repeat: 3, share: true}}
"""
    graph = graph_of("{a: 1}", rest)
    plan = graph.plan()
    starts = [float(plan.leaves[plan.slots[name]]) for name in ("f.1.w", "f.2.w", "f.3.w", "g.w")]
    assert len(set(starts)) == 4


def test_the_file_s_seed_and_that_of_a_run() -> None:
    """The run's takes the place of the file's."""
    text = f"{{{W}}}"
    graph = graph_of(text, "seed: 5\n")
    np.testing.assert_array_equal(graph.plan().leaves[0], drawn(text, 5)["W"])
    np.testing.assert_array_equal(graph.plan(seed=6).leaves[0], drawn(text, 6)["W"])
    huge = drawn(text, 10**40)["W"]
    assert np.isfinite(huge).all()


def test_float32_has_the_same_draw() -> None:
    """Rounded, so that precision can be compared."""
    np.testing.assert_array_equal(drawn(f"{{{W}}}")["W"].astype("float32"), drawn(f"{{{W}}}", dtype="float32")["W"])


def test_bounds_are_kept() -> None:
    """A draw beyond them is brought to them."""
    start = drawn("{W: {shape: [1000], init: {type: normal}, lower: -0.5, upper: 1}}")["W"]
    assert start.min() == -0.5
    assert start.max() == 1


SHAPE = (300, 200)
KERNEL = (40, 30, 5, 5)


@pytest.mark.parametrize(
    ("kind", "settings", "shape", "mean", "deviation", "limit"),
    [
        ("uniform", {}, SHAPE, 0, 1 / math.sqrt(3), 1),
        ("uniform", {"low": 2.0, "high": 5.0}, SHAPE, 3.5, 3 / math.sqrt(12), 5),
        ("normal", {}, SHAPE, 0, 1, 7),
        ("normal", {"mean": -3.0, "std": 0.25}, SHAPE, -3, 0.25, 5),
        # The standard deviation of a normal cut at two of its own: 1 - 4 phi(2) / (2 Phi(2) - 1), square root.
        ("truncated_normal", {}, SHAPE, 0, 0.8796256610342398, 2),
        ("truncated_normal", {"mean": 1.0, "std": 0.5}, SHAPE, 1, 0.5 * 0.8796256610342398, 2),
        ("glorot_uniform", {}, SHAPE, 0, math.sqrt(2 / 500), math.sqrt(6 / 500)),
        ("glorot_uniform", {"gain": 2.0}, SHAPE, 0, 2 * math.sqrt(2 / 500), 2 * math.sqrt(6 / 500)),
        ("glorot_normal", {}, SHAPE, 0, math.sqrt(2 / 500), 1),
        ("he_uniform", {}, SHAPE, 0, math.sqrt(2 / 300), math.sqrt(6 / 300)),
        ("he_normal", {}, SHAPE, 0, math.sqrt(2 / 300), 1),
        ("he_normal", {"gain": 1.0}, SHAPE, 0, math.sqrt(1 / 300), 1),
        ("glorot_normal", {}, KERNEL, 0, math.sqrt(2 / (30 * 25 + 40 * 25)), 1),
        ("he_normal", {}, KERNEL, 0, math.sqrt(2 / (30 * 25)), 1),
    ],
)
def test_statistics(
    kind: str, settings: dict[str, float], shape: tuple[int, ...], mean: float, deviation: float, limit: float
) -> None:
    """Mean and standard deviation within five standard errors, and no number beyond the limit."""
    values = sample(kind, shape, **settings)
    assert values.shape == shape
    assert values.dtype == np.float64
    assert abs(values.mean() - mean) < 5 * deviation / math.sqrt(values.size)
    assert abs(values.std() / deviation - 1) < 5 / math.sqrt(values.size)
    assert np.abs(values).max() <= limit


@pytest.mark.parametrize(
    ("kind", "settings", "shape", "expected"),
    [
        ("zeros", {}, (2, 2), [[0, 0], [0, 0]]),
        ("ones", {}, (3,), [1, 1, 1]),
        ("constant", {"value": 2.5}, (2,), [2.5, 2.5]),
        ("constant", {"value": -1}, (), -1),
        ("identity", {}, (2, 3), [[1, 0, 0], [0, 1, 0]]),
        ("identity", {"gain": 0.5}, (2, 2), [[0.5, 0], [0, 0.5]]),
    ],
)
def test_what_is_not_drawn(kind: str, settings: dict[str, float], shape: tuple[int, ...], expected: object) -> None:
    """The same for every seed."""
    for seed in (0, 1):
        np.testing.assert_array_equal(sample(kind, shape, seed, **settings), expected)


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (8, 2, 3), (2, 3, 4), (1, 1), (5, 1), (1, 5)])
@pytest.mark.parametrize("gain", [1.0, SQRT2])
def test_orthogonal_matrices_are_orthogonal(shape: tuple[int, ...], gain: float) -> None:
    """Rows or columns, whichever are fewer, are orthonormal times the gain; further axes count as columns."""
    matrix = sample("orthogonal", shape, gain=gain).reshape(shape[0], -1) / gain
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, np.eye(min(matrix.shape)), atol=1e-12)


def test_orthogonal_matrices_are_uniform() -> None:
    """Without the factor's sign the trace would be biased; of a uniform one its mean is 0 and its variance 1."""
    traces = [np.trace(sample("orthogonal", (3, 3), seed)) for seed in range(2000)]
    assert abs(np.mean(traces)) < 5 / math.sqrt(2000)
    assert abs(np.var(traces) - 1) < 0.2


@pytest.mark.parametrize("seed", range(60))
def test_a_truncated_number(seed: int) -> None:
    """A shape without axes is one number."""
    value = sample("truncated_normal", (), seed)
    assert value.shape == ()
    assert abs(value) <= 2


@pytest.mark.parametrize("kind", sorted(INITIALIZERS))
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_shapes_without_elements(kind: str, shape: tuple[int, ...]) -> None:
    """They are made like any other."""
    settings = {"value": 1.0} if kind == "constant" else {}
    assert sample(kind, shape, **settings).shape == shape


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (1, 1)), ((7,), (7, 7)), ((3, 4), (3, 4)), ((8, 3, 5, 5), (75, 200)), ((8, 3, 5), (15, 40))],
)
def test_fans(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    """A matrix is (inputs, outputs), as in x @ W; a kernel is (outputs, inputs, *window)."""
    assert fans(shape) == expected


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("{shape: [2], init: {type: nromal}}", "1:35: initializer 'nromal' is unknown"),
        ("{shape: [2], init: {type: xyz}}", "1:35: initializer 'xyz' is unknown"),
        ("{shape: [2], init: {type: normal, sdt: 1}}", "1:43: normal has no setting 'sdt'"),
        ("{shape: [2], init: {type: normal, std: x}}", "1:48: 'std' of normal takes a number, not the text 'x'"),
        ("{shape: [2], init: {type: constant}}", "1:28: constant needs the setting 'value'"),
        ("{shape: 2, init: {type: zeros}}", "1:25: 'shape' is a list of whole numbers, 0 or more"),
        ("{shape: [-1], init: {type: zeros}}", "1:25: 'shape' is a list of whole numbers, 0 or more"),
        ("{shape: [true], init: {type: zeros}}", "1:25: 'shape' is a list of whole numbers, 0 or more"),
        ("{shape: [2]}", "1:14: the parameter has no 'init'"),
        ("{init: {type: zeros}}", "1:14: the parameter has no 'shape'"),
        ("{shape: [2], init: zeroes}", "1:36: initializer 'zeroes' is unknown"),
        ("{shape: [2], init: {std: 1}}", "1:36: 'init' is a mapping with the 'type' of an initializer"),
        (
            "{value: 1, shape: [2], init: {type: zeros}}",
            "1:28: the parameter has a 'value': 'shape' is for one without",
        ),
        ("{shape: [2], init: {type: zeros}, lower: [1, 2, 3]}", "1:58: 'lower' of the shape [3] does not fit"),
    ],
)
def test_mistakes_in_the_file(parameter: str, message: str) -> None:
    """They stand at their keys."""
    with pytest.raises(GraphFileError) as caught:
        graph_of(f"{{W: {parameter}}}")
    line = str(caught.value).splitlines()[0]
    assert line.split(": ", 1)[1].startswith(message.split(": ", 1)[1])
    assert line.startswith("g.yaml:1:")


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (
            "{shape: [2], init: {type: orthogonal}}",
            "an orthogonal matrix has two axes or more, and the shape [2] has 1",
        ),
        ("{shape: [2], init: {type: identity}}", "an identity is a matrix, and the shape [2] is not"),
        ("{shape: [2], init: {type: normal, std: -1}}", "a standard deviation is 0 or more, not -1"),
        ("{shape: [2], init: {type: uniform, low: 2}}", "low 2.0 is above high 1.0"),
        (
            "{shape: [1000000, 1000000, 1000000], init: {type: zeros}}",
            "brings what the graph takes to 20.8 EiB of memory",
        ),
        ("{shape: [1000000000000000000000000000000], init: {type: normal}}", "more than a million EiB of memory"),
    ],
)
def test_shapes_and_settings_that_an_initializer_cannot_take(parameter: str, message: str) -> None:
    """They are told at the initializer, before the first step."""
    with pytest.raises(ShapeError) as caught:
        graph_of(f"{{W: {parameter}}}").plan()
    line = str(caught.value).splitlines()[0]
    assert line.startswith("g.yaml:1:")
    assert message in line
