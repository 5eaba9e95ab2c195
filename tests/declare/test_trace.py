"""Tracing: what a declared function may do with a number, and what it is told where it may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphrun.declare.trace import CannotTraceError, Expression, Recorder, trace, trace_derivatives


def traced(function: Callable[..., Any]) -> Expression:
    """Trace a function of one input."""
    recorder = Recorder(np.dtype(np.float64))
    return recorder.lift(trace(recorder, function, [recorder.input("x")], {}))


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda _, x: np.float64(3.0) * x, "multiply(3.0, x)"),
        (lambda _, x: x**2 - np.int64(1), "subtract(pow(x, 2.0), 1.0)"),
        (lambda _, x: np.float64(2.0) ** x, "pow(2.0, x)"),
        (lambda _, x: np.float64(1.0) < x, "less(1.0, x)"),
        (lambda _, x: np.bool_(True) & (x > 0), "greater(x, 0.0)"),
        (lambda xp, x: xp.where(np.bool_(False) | (x > 0), x, 0), "where(greater(x, 0.0), x, 0.0)"),
        (lambda _, x: np.array(3.0) / x, "divide(3.0, x)"),
    ],
)
def test_numbers_of_numpy_are_numbers(function: Callable[..., Any], text: str) -> None:
    """On either side of an operator."""
    assert repr(traced(function)) == text


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda _, x: np.exp(x), "it calls numpy.exp; xp.exp works on every engine"),
        (lambda xp, x: xp.matmul(x, x), "it calls xp.matmul, which compiled code of numbers has not"),
        (lambda _, x: x if x > 0 else -x, "it decides by the value of a number; xp.where works on every engine"),
        (lambda _, x: round(float(x), 2), "it calls something else than the functions of xp with a number"),
        (lambda _, x: np.ones(3) * x, "it computes with a ndarray, which is no number"),
        (lambda _, x: x.real, "AttributeError: 'Expression' object has no attribute 'real'"),
    ],
)
def test_what_cannot_be_written_down_is_told(function: Callable[..., Any], message: str) -> None:
    """With what works instead, where something does."""
    with pytest.raises(CannotTraceError) as told:
        traced(function)
    assert str(told.value) == message


def test_derivatives_are_one_for_each_input() -> None:
    """As a tuple or a list, None among them; anything else is told."""
    recorder = Recorder(np.dtype(np.float64))
    inputs = [recorder.input("x"), recorder.input("y")]
    for given in ((2.0, None), [2.0, None]):
        assert repr(trace_derivatives(recorder, lambda *_, given=given: given, 0.0, inputs, {})) == "(2.0, None)"
    for wrong, what in (((1.0,), "1 derivatives"), (1.0, "a float")):
        with pytest.raises(CannotTraceError, match=f"its local_derivatives returns {what}, not a tuple of 2"):
            trace_derivatives(recorder, lambda *_, wrong=wrong: wrong, 0.0, inputs, {})
