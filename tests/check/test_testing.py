"""The checker of node types, checked: every wrong declaration here must fail, naming what is wrong."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import graphrun
from graphrun import Example, Index, Kink, nodes
from graphrun.declare.declaration import Noise, State, Training
from graphrun.declare.nodetype import NodeType
from graphrun.testing import CheckError, LocalCheck, check_local_derivatives, check_node_type, load_plugin

BUILT_IN = {node_type.name: node_type for node_type in nodes.graphrun_node_types()}

# A derivative of 0 stays right when it is multiplied.
PIECEWISE_CONSTANT = {
    *("sign", "floor", "ceil", "round"),
    *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
    *("logical_and", "logical_or", "logical_xor", "logical_not"),
}
NO_DERIVATIVE = {
    *{("stop_gradient", "x"), ("where", "condition"), ("argmax", "x"), ("accuracy", "logits")},
    *{("scaled_dot_product_attention", "mask")},
}
WITH_DERIVATIVE = [
    (node_type, name)
    for node_type in BUILT_IN.values()
    for position, name in enumerate(node_type.inputs)
    if position not in node_type.index_inputs
    and name not in dict(node_type.engine_inputs)
    and node_type.name not in PIECEWISE_CONSTANT
    and (node_type.name, name) not in NO_DERIVATIVE
]


def with_derivative(node_type: NodeType, change: Callable[[list[Any]], Any]) -> NodeType:
    """A copy of a type, whose derivatives pass through a function."""
    derivative = node_type.derivative
    assert derivative is not None
    changed = copy.copy(node_type)

    @functools.wraps(derivative)
    def wrapper(*arguments: Any, **settings: Any) -> Any:
        return change([d() if callable(d) else d for d in derivative(*arguments, **settings)])

    changed.derivative = wrapper
    return changed


def failures_of(node_type: NodeType) -> tuple[str, ...]:
    """What the checker finds."""
    with pytest.raises(CheckError) as caught:
        check_node_type(node_type)
    return caught.value.failures


def the_failure_of(node_type: NodeType) -> str:
    """What the checker finds, which is one thing."""
    (failure,) = failures_of(node_type)
    return failure


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("node_type", "name", "factor"),
    [
        pytest.param(
            node_type,
            name,
            (1.0005, 0.9995)[k % 2],
            id=f"{node_type.name}-{name}",
            marks=[pytest.mark.nightly] * (k % 10 > 0),
        )
        for k, (node_type, name) in enumerate(WITH_DERIVATIVE)
    ],
)
def test_a_derivative_that_is_wrong_by_a_twentieth_of_a_percent_fails(
    node_type: NodeType, name: str, factor: float
) -> None:
    """Each partial derivative of each built-in type is found by finite differences, with its name and the size."""
    position = node_type.inputs.index(name)

    def scaled(derivative: Any) -> Any:
        return None if derivative is None else derivative * factor

    wrong = with_derivative(node_type, lambda given: [scaled(d) if i == position else d for i, d in enumerate(given)])
    found = [text for text in failures_of(wrong) if "finite differences give" in text]
    assert found
    for text in found:
        assert text.startswith(node_type.name)
        assert re.search(rf"'{name}(\[0\])?'.*\(off by 0\.05%\); wrong (at|in) \d+ of \d+", text)


@pytest.mark.parametrize("name", sorted(PIECEWISE_CONSTANT))
def test_a_derivative_that_should_be_0_and_is_not_fails(name: str) -> None:
    """Also a small one, as there is no size to compare it with."""
    wrong = with_derivative(BUILT_IN[name], lambda given: [d + 1e-4 for d in given])
    for input_name in BUILT_IN[name].inputs:
        assert any(f"derivative for {input_name!r}" in text for text in failures_of(wrong))


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "erf", "gelu", "softplus"])
def test_a_derivative_that_is_wrong_in_a_tail_only_fails(name: str) -> None:
    """The numbers reach tails where the function has stopped changing."""
    node_type = copy.copy(BUILT_IN[name])
    right = node_type.derivative
    assert right is not None

    @functools.wraps(right)
    def wrong(xp: Any, y: Any, x: Any, **settings: Any) -> Any:
        return (right(xp, y, x, **settings)[0] + xp.where(x < -20, 1e-3, 0.0),)

    node_type.derivative = wrong
    assert "finite differences give" in failures_of(node_type)[0]


def test_the_text_names_the_type_and_lists_every_failure() -> None:
    """One run of the checker shows all there is to mend."""

    @graphrun.elementwise(kinks=[Kink({"x": 0}, (1,))])
    def bent(xp, x, *, slope: float = 2.0):  # type: ignore[no-untyped-def]
        return xp.where(x > 0, x, slope * x)

    @bent.local_derivatives
    def _(xp, y, x, *, slope):  # type: ignore[no-untyped-def]
        return (xp.where(x > 0, 1.0, slope + 1),)

    with pytest.raises(CheckError) as caught:
        check_node_type(bent)
    kink, slope = caught.value.failures
    assert kink == "bent(slope=2.0): the derivative for 'x' at x = 0 is 3, but it declares 1 there (kink at x = 0: 1)"
    assert re.fullmatch(
        r"bent\(slope=2\.0\): the derivative for 'x' at x = -\S+ is 3, but finite differences give \S+ "
        r"\(off by 33%\); wrong at \d+ of \d+ points",
        slope,
    )
    assert str(caught.value) == f"node type bent fails 2 checks:\n- {kink}\n- {slope}"


def square_with(derivative: Callable[..., Any], forward: Callable[..., Any] | None = None) -> NodeType:
    """The type x * x with another derivative or forward function."""
    node_type = graphrun.elementwise(name="squared")(forward or (lambda xp, x: x * x))
    node_type.local_derivatives(derivative)
    return node_type


def in_place(xp: Any, x: Any) -> Any:
    """A square that overwrites its input."""
    x *= x
    return x


def overwrites_output(xp: Any, y: Any, x: Any) -> Any:
    """A derivative that works in its output."""
    y[...] = 2 * x
    return (y,)


WRONG = {
    "too many derivatives": (
        square_with(lambda xp, y, x: (2 * x, 1.0)),
        "squared: its local_derivatives returns 2 derivatives for the inputs x",
    ),
    "no tuple": (
        square_with(lambda xp, y, x: 2 * x),
        "squared: its local_derivatives returns an array of float64, not a tuple with one derivative for each input",
    ),
    "shape of the derivative": (
        square_with(lambda xp, y, x: (xp.zeros(7),)),
        "squared: its local_derivatives for 'x' has shape (7,), which does not broadcast to the output's (200,)",
    ),
    "text for a derivative": (
        square_with(lambda xp, y, x: ("2x",)),
        "squared: its local_derivatives for 'x' returns '2x' (str), not an array of real numbers",
    ),
    "complex output": (
        square_with(lambda xp, y, x: (2 * x,), lambda xp, x: x * x + 0j),
        "squared: the forward function returns an array of complex128, not an array of real numbers",
    ),
    "shape of the output": (
        square_with(lambda xp, y, x: (2 * x,), lambda xp, x: xp.sum(x * x)),
        "squared: of shape (200,) the forward function makes (), not (200,)",
    ),
    "forward raises": (
        square_with(lambda xp, y, x: (2 * x,), lambda xp, x: xp.squared(x)),
        "squared: the forward function raised AttributeError: module 'numpy' has no attribute 'squared' (inputs of ",
    ),
    "an if on values": (
        square_with(lambda xp, y, x: (2 * x if x > 0 else -2 * -x,)),
        "squared: its local_derivatives raised ValueError: The truth value of an array with more than one element",
    ),
    "input changed in place": (
        square_with(lambda xp, y, x: (2 * x,), in_place),
        "squared: the forward function changes 'x' in place",
    ),
    "output changed in place": (
        square_with(overwrites_output),
        "squared: its local_derivatives changes 'the output' in place",
    ),
    "outside the domain": (
        square_with(lambda xp, y, x: (0.5 / y,), lambda xp, x: xp.sqrt(x)),
        "squared: the forward function gives NaN at x = -",
    ),
    "single numbers": (
        square_with(lambda xp, y, x: (2 * x,), lambda xp, x: x * x if xp.ndim(x) else x * x + 1),
        "squared: of arrays of shape (3, 1) the forward function makes ",
    ),
    "float32": (
        square_with(lambda xp, y, x: (2 * x,), lambda xp, x: x * x + (1.0 if x.dtype == "float32" else 0.0)),
        "squared: in float32 the forward function gives ",
    ),
    "never smooth": (
        square_with(lambda xp, y, x: (2 * x,), lambda xp, x: xp.sin(1e15 * x)),
        "squared: the derivative for 'x' could be compared with finite differences nowhere; is `domain` right",
    ),
    "nan for a derivative": (
        square_with(lambda xp, y, x: (xp.where(x > 3, xp.nan, 2 * x),)),
        "squared: the derivative for 'x' at x = ",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_type_fails_with_its_reason(case: str) -> None:
    """Each mistake that an author makes is told as such."""
    node_type, text = WRONG[case]
    assert any(failure.startswith(text) for failure in failures_of(node_type)), failures_of(node_type)


def test_another_result_at_the_second_call_fails() -> None:
    """A node type is a function of its inputs alone."""
    random = np.random.default_rng(0)
    noisy = square_with(lambda xp, y, x: (2 * x,), lambda xp, x: x * x + random.uniform())
    text = "squared: a second call of the forward function with the same inputs gives something else"
    assert the_failure_of(noisy) == text
    noisy = square_with(lambda xp, y, x: (2 * x + random.uniform(),))
    text = "squared: a second call of its local_derivatives with the same inputs gives something else for 'x'"
    assert the_failure_of(noisy) == text


def test_a_wrong_declaration_fails() -> None:
    """What `check_declaration` says is passed on."""
    wrong_arity = square_with(lambda xp, x: (2 * x,))
    assert "takes (xp, output, inputs...)" in the_failure_of(wrong_arity)
    wrong_kink = graphrun.elementwise(name="a", kinks=[Kink({"x": 0}, (0, 0))])(lambda xp, x: xp.abs(x))
    assert "gives 2 derivatives for the inputs x" in the_failure_of(wrong_kink)
    kink = Kink({"x": lambda xp, x: xp.round(x)}, (0,))
    no_label = graphrun.elementwise(name="a", kinks=[kink])(lambda xp, x: xp.floor(x))
    assert "needs a label" in the_failure_of(no_label)
    no_setting = graphrun.elementwise(name="a", kinks=[Kink({"x": "low"}, (0,))])(lambda xp, x: xp.abs(x))
    assert "names 'low', which is no input or setting" in the_failure_of(no_setting)


def test_none_is_compared_with_nothing() -> None:
    """An input without a derivative is not held against a type that changes with it."""
    check_node_type(square_with(lambda xp, y, x: (None,)))
    check_node_type(graphrun.elementwise(name="a")(lambda xp, x: x * x))


def test_a_derivative_of_an_index_fails() -> None:
    """A position has no derivative, not even 0."""

    @graphrun.tensor(examples=[Example(values=[[5.0, 6.0, 7.0], [2, 0, 2]])])
    def pick(xp, x, indices: Index):  # type: ignore[no-untyped-def]
        return x[indices]

    @pick.vjp
    def _(xp, gradient, y, x, indices):  # type: ignore[no-untyped-def]
        return xp.sum((indices[:, None] == xp.arange(3)) * gradient[:, None], axis=0), None

    check_node_type(pick)
    wrong = with_derivative(pick, lambda given: (given[0], 0.0))
    assert "an index has no derivative: return None" in the_failure_of(wrong)


def test_every_example_is_tried() -> None:
    """A branch that a setting opens is checked, whether an example opens it or not."""

    def declare(*examples: Example) -> NodeType:
        @graphrun.elementwise(examples=examples)
        def scaled(xp, x, *, by: Literal["two", "three"] = "two"):  # type: ignore[no-untyped-def]
            return 2 * x if by == "two" else 3 * x

        @scaled.local_derivatives
        def _(xp, y, x, *, by):  # type: ignore[no-untyped-def]
            return (2.0,)

        return scaled

    assert "scaled(by='three'): the derivative for 'x'" in the_failure_of(declare())
    assert "scaled(by='three'): the derivative for 'x'" in the_failure_of(declare(Example(settings={"by": "three"})))
    assert "{'by': 'four'} fail" in the_failure_of(declare(Example(settings={"by": "four"})))
    assert "gives 2 inputs to scaled(x, by='two')" in the_failure_of(declare(Example(shapes=[(), ()])))
    given = failures_of(declare(Example(values=[[7.0]], settings={"by": "three"})))
    assert "'x' at x = 7 is 2, but finite differences give 3 (off by 33%); wrong at 1 of 1 points" in given[-1]


def test_a_vjp_without_its_transpose_fails() -> None:
    """Square examples hide a wrong shape, but not the wrong numbers."""

    @graphrun.tensor(examples=[Example(shapes=[(3, 3), (3, 3)])])
    def product(xp, x, y):  # type: ignore[no-untyped-def]
        return x @ y

    @product.vjp
    def _(xp, gradient, z, x, y):  # type: ignore[no-untyped-def]
        return gradient @ y, lambda: x.T @ gradient

    failure = the_failure_of(product)
    assert failure.startswith("product, inputs of shapes (3, 3) and (3, 3): the gradient of 'x'[")
    assert failure.endswith("wrong in 9 of 9 directions")


def test_a_vjp_of_the_wrong_shape_fails() -> None:
    """What broadcast in the forward function is summed by the type itself."""

    @graphrun.tensor(examples=[Example(shapes=[(2, 3), (3,)])])
    def shifted(xp, x, shift):  # type: ignore[no-untyped-def]
        return x + shift

    @shifted.vjp
    def _(xp, gradient, y, x, shift):  # type: ignore[no-untyped-def]
        return gradient, gradient

    assert the_failure_of(shifted) == "shifted: its vjp for 'shift' has shape (2, 3), but the input has (3,)"


def test_a_tensor_type_without_examples_is_asked_for_them() -> None:
    """A guess is tried; where it does not fit, the text says what to declare."""

    @graphrun.tensor
    def total(xp, x):  # type: ignore[no-untyped-def]
        return xp.sum(x)

    @total.vjp
    def _(xp, gradient, y, x):  # type: ignore[no-untyped-def]
        return (xp.broadcast_to(gradient, x.shape),)

    check_node_type(total)
    trace = graphrun.tensor(name="fourth")(lambda xp, x: x[3])
    failures = failures_of(trace)
    assert "fourth: the forward function raised IndexError" in failures[0]
    assert failures[1].startswith("fourth: inputs of shape (3, 3) are a guess; declare examples=[Example(")
    needs = BUILT_IN["reshape"]
    bare = graphrun.tensor(needs.function)
    assert the_failure_of(bare).startswith("reshape: its settings shape have no default: declare examples=[")


def test_a_variadic_type_is_checked_input_by_input() -> None:
    """The inputs behind a star are numbered."""

    @graphrun.elementwise
    def product(xp, *factors):  # type: ignore[no-untyped-def]
        return factors[0] * factors[1]

    @product.local_derivatives
    def _(xp, z, *factors):  # type: ignore[no-untyped-def]
        return factors[1], 1.001 * factors[0]

    assert "the derivative for 'factors[1]' at factors[0] = " in the_failure_of(product)


# --- check_local_derivatives -----------------------------------------------------------------------------------------


def test_points_at_kinks_and_borders_are_skipped() -> None:
    """There the derivative is a convention, or has one side only; NaN has none."""
    assert check_local_derivatives(BUILT_IN["relu"], {}, [np.array([-1.0, 0.0, 2.0])]) == LocalCheck([], 2, 1)
    assert check_local_derivatives(BUILT_IN["sqrt"], {}, [np.array([0.0, 4.0, -1.0])]) == LocalCheck([], 1, 2)
    assert check_local_derivatives(BUILT_IN["maximum"], {}, [np.ones(3), np.arange(3.0)]) == LocalCheck([], 4, 2)
    assert check_local_derivatives(BUILT_IN["floor"], {}, [np.array([1.0, 2.5])]) == LocalCheck([], 1, 1)
    assert check_local_derivatives(BUILT_IN["log"], {}, [np.nan]) == LocalCheck([], 0, 1)


def test_points_far_from_1_are_compared() -> None:
    """Steps suit the number, and the distance to the border."""
    assert check_local_derivatives(BUILT_IN["log"], {}, [np.array([1e-300, 1e-9, 1e9])]) == LocalCheck([], 3, 0)
    assert check_local_derivatives(BUILT_IN["reciprocal"], {}, [np.array([-1e-12, 1e12])]) == LocalCheck([], 2, 0)
    assert check_local_derivatives(BUILT_IN["relu"], {}, [np.array([-1e-8, 1e-8])]) == LocalCheck([], 2, 0)


def test_a_whole_power_of_a_negative_number_is_compared() -> None:
    """The base outside its domain has a derivative, the exponent has none."""
    found = check_local_derivatives(BUILT_IN["pow"], {}, [np.array([-3.0, -0.1, 2.0]), np.float64(2)])
    assert found == LocalCheck([], 4, 2)


def test_settings_are_filled_up_with_the_defaults() -> None:
    """As a graph file leaves them out."""
    assert check_local_derivatives(BUILT_IN["clip"], {"max": 1.0}, [np.array([0.0, 3.0])]) == LocalCheck([], 2, 0)


def test_one_failure_for_each_input_names_the_worst_point() -> None:
    """A hundred wrong points make one line."""
    wrong = with_derivative(BUILT_IN["multiply"], lambda given: (given[0], 1.001 * given[1]))
    found = check_local_derivatives(wrong, {}, [np.linspace(1, 2, 100), np.float64(3)])
    assert (found.compared, found.skipped) == (200, 0)
    (text,) = found.failures
    assert text.startswith("multiply: the derivative for 'y' at x = ")
    assert text.endswith("(off by 0.1%); wrong at 100 of 100 points")


def test_the_tolerance_is_the_callers() -> None:
    """A looser one lets the same error pass."""
    wrong = with_derivative(BUILT_IN["square"], lambda given: (1.001 * given[0],))
    assert check_local_derivatives(wrong, {}, [np.float64(3)]).failures
    assert not check_local_derivatives(wrong, {}, [np.float64(3)], tolerance=0.01).failures


def test_a_large_array_is_compared_along_some_directions() -> None:
    """A matrix of a network is checked in a moment."""
    random = np.random.default_rng(0)
    inputs = [random.standard_normal((30, 40)), random.standard_normal((40, 20))]
    assert check_local_derivatives(BUILT_IN["matmul"], {}, inputs) == LocalCheck([], 24, 0)
    wrong = with_derivative(BUILT_IN["matmul"], lambda given: (given[0], 1.001 * given[1]))
    assert "the gradient of 'y'[" in check_local_derivatives(wrong, {}, inputs).failures[0]


def test_a_type_that_raises_is_a_failure() -> None:
    """The graph's check goes on with the other nodes."""
    raising = square_with(lambda xp, y, x: (1 / 0,))
    found = check_local_derivatives(raising, {}, [np.float64(3)])
    (text,) = found.failures
    assert text.startswith("squared: its local_derivatives raised ZeroDivisionError: division by zero (inputs of ")


def test_a_type_without_derivative_has_nothing_to_compare() -> None:
    """It stops the gradient, which the engine reports where it matters."""
    assert check_local_derivatives(graphrun.elementwise(lambda xp, x: x), {}, [np.ones(3)]) == LocalCheck([], 0, 0)


def test_a_plugin_file_is_loaded_by_its_path(tmp_path: Path) -> None:
    """A test beside a plugin needs no package and no path to be set."""
    file = tmp_path / "thrice.py"
    file.write_text(
        "import graphrun\n\n@graphrun.elementwise\ndef thrice(xp, x):\n    return 3 * x\n", encoding="utf-8"
    )
    assert load_plugin(file).thrice(np, 2) == 6
    assert load_plugin(str(file)).thrice.name == "thrice"
    assert [entry.name for entry in tmp_path.iterdir()] == ["thrice.py"]


# --- what the engine gives -------------------------------------------------------------------------------------------


def masked(derivative: Callable[..., Any]) -> NodeType:
    """A dropout of rate 1/2 with another vjp."""

    @graphrun.tensor(examples=[Example(shapes=[(4, 3)])])
    def masked(xp, x, noise: Noise, *, training: Training):  # type: ignore[no-untyped-def]
        return xp.where(noise >= 0.5, 2 * x, 0.0) if training else x  # type: ignore[operator]

    masked.vjp(derivative)
    return masked


def test_noise_is_drawn_and_has_no_derivative() -> None:
    """The second function sees the noise of the first."""

    def right(xp: Any, gradient: Any, y: Any, x: Any, noise: Any, *, training: bool) -> Any:
        return xp.where(noise >= 0.5, 2 * gradient, 0.0) if training else gradient, None

    check_node_type(masked(right))
    wrong = masked(lambda xp, gradient, y, x, noise, *, training: right(xp, gradient, y, x, noise, training=True))
    assert "masked(training=False), inputs of shapes (4, 3) and (4, 3): the gradient of 'x'" in the_failure_of(wrong)
    wrong = masked(lambda xp, gradient, y, x, noise, *, training: (gradient, 0 * gradient))
    assert "noise has no derivative: return None" in failures_of(wrong)[0]


def averaged(first: Callable[..., Any], following: Callable[..., Any]) -> NodeType:
    """The difference from a running mean, which is kept as told."""

    @graphrun.tensor(examples=[Example(shapes=[(4, 3)])])
    def averaged(xp, x, running: State):  # type: ignore[no-untyped-def]
        return x - running

    averaged.vjp(lambda xp, gradient, y, x, running: (gradient, None))
    averaged.states(first)(following)
    return averaged


def test_states_are_checked_with_the_type() -> None:
    """They are tuples, and keep their shapes from step to step."""

    def zeros(xp: Any, x: Any) -> Any:
        return (xp.zeros(x.shape[1]),)

    check_node_type(averaged(zeros, lambda xp, y, x, running: (0.9 * running + 0.1 * xp.mean(x, axis=0),)))
    shrinking = averaged(zeros, lambda xp, y, x, running: (xp.mean(x),))
    assert the_failure_of(shrinking) == "averaged: its next_state makes 'running' (), but it was (3,)"
    bare = averaged(lambda xp, x: xp.zeros(3), lambda xp, y, x, running: (running,))
    assert "its first_state returns an array of float64, not a tuple of running" in the_failure_of(bare)


def test_an_example_draws_what_its_values_leave_open() -> None:
    """Indices are given, the table is drawn."""

    @graphrun.tensor(examples=[Example(shapes=[(5, 2), (3,)], values=[None, [4, 0, 4]])])
    def rows(xp, table, indices: Index):  # type: ignore[no-untyped-def]
        return xp.take(table, indices, axis=0)

    @rows.vjp
    def _(xp, gradient, y, table, indices):  # type: ignore[no-untyped-def]
        return xp.matmul(xp.where(xp.arange(5)[:, None] == indices, 1.0, 0.0), gradient), None

    check_node_type(rows)


@pytest.mark.parametrize(
    ("keeping", "reason"),
    [
        (lambda xp, x: (2 * xp.exp(x), xp.exp(x)), "its keeping makes another output than the forward function"),
        (
            lambda xp, x: (xp.exp(x), 1.0005 * xp.exp(x)),
            "with what is kept, its vjp for 'x' is another one than without",
        ),
        (lambda xp, x: xp.exp(x), "not a tuple of the output and what is kept"),
    ],
)
def test_what_is_kept_changes_nothing(keeping: Callable[..., Any], reason: str) -> None:
    """The forward function that keeps gives the same output, and the derivatives are the same with what it kept."""

    @graphrun.tensor
    def power(xp: Any, x: Any) -> Any:
        """Exponential."""
        return xp.exp(x)

    @power.vjp
    def _(xp: Any, gradient: Any, y: Any, x: Any, *, kept: Any = None) -> Any:
        return (gradient * (xp.exp(x) if kept is None else kept),)

    power.keeping(lambda xp, x: (xp.exp(x), xp.exp(x)))
    check_node_type(power)
    power.keeping(keeping)
    assert any(reason in text for text in failures_of(power))
    assert any(reason in text for text in check_local_derivatives(power, {}, [np.ones(3)]).failures)


def test_a_declaration_of_what_is_kept_fits_the_others() -> None:
    """The forward function that keeps takes what the plain one does, and the vjp takes `kept`."""

    @graphrun.tensor
    def power(xp: Any, x: Any) -> Any:
        """Exponential."""
        return xp.exp(x)

    @power.vjp
    def _(xp: Any, gradient: Any, y: Any, x: Any) -> Any:
        return (gradient * y,)

    power.keeping(lambda xp, x: (xp.exp(x), None))
    assert "its vjp takes `kept=None` too" in failures_of(power)[0]
    power.vjp(lambda xp, gradient, y, x, *, kept=None: (gradient * y,))
    power.keeping(lambda xp, x, z: (xp.exp(x), None))
    assert "its keeping takes what the forward function takes: xp, x" in failures_of(power)[0]
