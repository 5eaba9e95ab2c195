"""Both functions of every built-in type, traced on arrays, give the numbers that they give of NumPy's arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from traced import computed
from type_graphs import TYPES, inputs_for

from graphrun.check.trials import trials
from graphrun.declare.array_namespace import trace_arrays
from graphrun.declare.arrays import ArrayRecorder
from graphrun.declare.trace import CannotTraceError


@pytest.mark.parametrize("name", TYPES)
def test_both_functions_of_every_type(name: str) -> None:
    """All settings and shapes that the checker tries it with."""
    declared = TYPES[name]
    for subject, example in trials(declared):
        inputs = inputs_for(subject, example)
        make = ArrayRecorder(np.dtype(np.float64))
        symbols = [
            make.array(f"x{k}", x.shape, "int" if x.dtype.kind == "i" else "float") for k, x in enumerate(inputs)
        ]
        given = {f"x{k}": x for k, x in enumerate(inputs)}
        output = subject.forward(inputs).astype(np.float64)
        forward = make.cast(trace_arrays(make, declared.function, symbols, subject.settings))
        np.testing.assert_allclose(computed([forward], given)[0], output, rtol=1e-12, atol=1e-13)
        if declared.derivative is None:
            continue
        leading = [make.array("y", output.shape)]
        gradient = None
        if not declared.is_elementwise:
            gradient = np.random.default_rng(1).standard_normal(output.shape)
            leading.insert(0, make.array("g", output.shape))
        entries = trace_arrays(make, declared.derivative, [*leading, *symbols], subject.settings)
        given |= {"y": output, "g": gradient}
        for entry, expected in zip(entries, subject.derivatives(inputs, output, gradient), strict=True):
            assert (entry is None) == (expected is None)
            if entry is not None:
                (found,) = computed([make.cast(entry() if callable(entry) else entry)], given)
                largest = np.abs(expected).max(initial=1.0, where=np.isfinite(expected))
                np.testing.assert_allclose(
                    np.broadcast_to(found, expected.shape), expected, rtol=1e-12, atol=1e-13 * largest
                )


def trace_of(function: Any, *shapes: tuple[int, ...]) -> Any:
    """What a function of arrays of some shapes computes."""
    make = ArrayRecorder(np.dtype(np.float64))
    return trace_arrays(make, function, [make.array(f"x{k}", shape) for k, shape in enumerate(shapes)], {})


def test_what_is_the_same_is_there_once() -> None:
    """Two ways to write it are one expression."""
    found = trace_of(lambda xp, x: (xp.exp(x @ x), xp.exp(xp.matmul(x, x))), (3, 3))
    assert found[0] is found[1]


def test_known_arrays_are_computed_and_views_of_views_are_one() -> None:
    """What does nothing is not there."""
    assert trace_of(lambda xp, x: xp.sum(xp.arange(4) * 2.0), (3,)).value == 12.0
    assert trace_of(lambda xp, x: xp.reshape(xp.reshape(x, (3, 2)), (2, 3)), (2, 3)).operation == "input"
    assert trace_of(lambda xp, x: xp.permute_dims(xp.permute_dims(x, (1, 0)), (1, 0)), (2, 3)).operation == "input"
    # What is only repeated for a sum of two arrays is not repeated.
    total = trace_of(lambda xp, x, y: xp.broadcast_to(x, (2, 3)) + y, (3,), (2, 3))
    assert [argument.operation for argument in total.arguments] == ["input", "input"]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda xp, x: x if x[0] > 0 else -x, "decides by the value"),
        (lambda xp, x: np.sort(x), "something else than the functions of xp"),
        (lambda xp, x: xp.fft.fft(x), "xp.fft"),
        (lambda xp, x: x + xp.ones(5), "broadcast"),
        (lambda xp, x: xp.reshape(x, (7,)), "reshapes"),
        (lambda xp, x: np.add.reduce(x), "numpy.add.reduce"),
    ],
)
def test_what_cannot_be_traced_says_why(function: Any, reason: str) -> None:
    """The reason is in the message."""
    with pytest.raises(CannotTraceError, match=reason):
        trace_of(function, (3,))
