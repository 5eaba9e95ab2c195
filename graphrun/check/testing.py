"""Checking node types, in the tests of a plugin: what they declare, return and change, and every derivative."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphrun.base.errors import DeclarationError
from graphrun.check.local_check import TOLERANCE, compare_arrays, compare_points, kept_failures
from graphrun.check.plugin_check import hook_failures, numpy_failures, other_settings, undeclared_kinks
from graphrun.check.subject import BrokenTypeError, Subject, interval_numbers, shape_text
from graphrun.check.trials import ASK_FOR_EXAMPLES, draw, input_count, shapes_of, trials
from graphrun.plugins.files import import_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import ModuleType

    from graphrun.check.subject import Array, Inputs
    from graphrun.declare.nodetype import Example, NodeType

    Checks = list[tuple[Callable[[Subject, Inputs], Iterable[str]], Inputs]]

FLOAT32_TOLERANCE = 1e-4
POINTS = 200
WIDE = (1e-3, 1e2)
"""Magnitudes of the numbers at which derivatives are compared: tails are reached, most functions stay finite."""

MODERATE = (0.1, 10.0)


class CheckError(AssertionError):
    """What is wrong with a node type.

    Attributes:
        failures: one text for each thing that is wrong.
    """

    __module__ = "graphrun.testing"  # where everybody else finds it

    def __init__(self, name: str, failures: Sequence[str]) -> None:
        self.failures = tuple(failures)
        things = "1 check" if len(failures) == 1 else f"{len(failures)} checks"
        super().__init__("\n".join([f"node type {name} fails {things}:", *(f"- {text}" for text in failures)]))


def check_node_type(node_type: NodeType, *, seed: int = 0) -> None:
    """Check everything about a node type that can be checked without a graph.

    Its declaration, and whether its plugin would be loaded; the shape, type and arity of what its functions return;
    that they change nothing and repeat themselves, and give the same with what is kept; single numbers, broadcasting
    and float32; every partial derivative against finite differences, with the default settings, with those of its
    examples and with others, in a step and in an evaluation; the derivatives that it promises at its kinks, and that
    there are no others. Noise is drawn, states are those after a step; an example whose `values` are None in some
    places has those inputs drawn by its `shapes`.

    Args:
        node_type: the type, as the decorators return it.
        seed: of the numbers that it is tried with.

    Raises:
        CheckError: something is wrong; the text lists all of it, with type, input, settings, point and numbers.
    """
    try:
        node_type.check_declaration()
        failures = list(hook_failures(node_type))
        tried = list(trials(node_type))
    except DeclarationError as error:
        raise CheckError(node_type.name, [str(error)]) from error
    except BrokenTypeError as problem:
        raise CheckError(node_type.name, problem.texts) from problem
    check = _check_elementwise if node_type.is_elementwise else _check_tensor
    for subject, example in tried:
        failures += check(subject, example, np.random.default_rng(seed))
    if not failures:
        failures += _failures_elsewhere(node_type, tried, np.random.default_rng(seed))
    if failures:
        raise CheckError(node_type.name, list(dict.fromkeys(failures)))


def _failures_elsewhere(
    node_type: NodeType, tried: Sequence[tuple[Subject, Example | None]], random: np.random.Generator
) -> Iterator[str]:
    """Where settings are others than those that were tried, and where the derivative jumps."""
    example = tried[0][1]
    shapes = (
        [(POINTS,)] * input_count(node_type, example) if node_type.is_elementwise else shapes_of(node_type, example)
    )
    values = example.values if example and not node_type.is_elementwise else ()
    if node_type.is_elementwise:
        for subject, _ in tried:
            inputs = draw(subject, shapes, random, WIDE)
            yield from numpy_failures(subject, len(inputs))
            if node_type.derivative is not None:
                yield from undeclared_kinks(subject, inputs)
    for settings in other_settings(node_type):
        subject = Subject(node_type, settings)
        try:
            inputs = draw(subject, shapes, random, MODERATE, values)
            if not np.isfinite(subject.forward(inputs)).any():
                continue  # the domain is another one with these settings
        except BrokenTypeError:
            continue  # these settings do not fit the shapes
        try:
            yield from _slope_failures(subject, inputs)
        except BrokenTypeError as problem:
            yield from problem.texts


def slope_failures(node_type: NodeType, *, seed: int = 0) -> list[str]:
    """Return where the derivatives of an elementwise type and finite differences differ, as of `check_node_type`."""
    failures: list[str] = []
    try:
        for subject, example in trials(node_type):
            shapes = [(POINTS,)] * input_count(node_type, example)
            failures += _slope_failures(subject, draw(subject, shapes, np.random.default_rng(seed), WIDE))
    except BrokenTypeError as problem:
        return problem.texts
    return failures


def load_plugin(file: str | Path) -> ModuleType:
    """Import a plugin file as graphrun itself does, for a test beside it.

    Args:
        file: the plugin's path.

    Raises:
        ImportError: the file is no Python file; what the plugin itself raises is passed on.
    """
    return import_file(Path(file))


def _check_elementwise(subject: Subject, example: Example | None, random: np.random.Generator) -> list[str]:
    count = input_count(subject.type, example)
    points = draw(subject, [(POINTS,)] * count, random, WIDE)
    moderate = draw(subject, [(POINTS,)] * count, random, MODERATE)
    mixed = draw(subject, [((3, 1), (4,), (3, 4))[i % 3] for i in range(count)], random, MODERATE)
    checks: Checks = [
        (_nan_failures, points),
        (_scalar_failures, mixed),
        (_float32_failures, moderate),
        (_kink_failures, moderate),
        (_slope_failures, points),
        (kept_failures, points),
    ]
    if example and example.values:
        given = draw(subject, shapes_of(subject.type, example), random, MODERATE, example.values)
        checks.append((_slope_failures, given))
    return _run_checks(subject, points, checks)


def _check_tensor(subject: Subject, example: Example | None, random: np.random.Generator) -> list[str]:
    try:
        inputs = draw(subject, shapes_of(subject.type, example), random, MODERATE, example.values if example else ())
    except BrokenTypeError as problem:
        return problem.texts
    checks: Checks = [(check, inputs) for check in (_nan_failures, _float32_failures, _slope_failures, kept_failures)]
    failures = _run_checks(subject, inputs, checks)
    if failures and example is None:
        failures.append(f"{subject.text}: inputs of {shape_text(inputs)} are a guess; {ASK_FOR_EXAMPLES}")
    return failures


def _run_checks(subject: Subject, inputs: Inputs, checks: Checks) -> list[str]:
    """All failures; a type that is not pure is not looked at any further, as nothing can be said of it."""
    try:
        failures = list(_purity_failures(subject, inputs))
    except BrokenTypeError as problem:
        return problem.texts
    for check, numbers in checks if not failures else ():
        try:
            failures += check(subject, numbers)
        except BrokenTypeError as problem:
            failures += problem.texts
    return failures


def _gradient(subject: Subject, output: Array) -> Array | None:
    if subject.type.is_elementwise:
        return None
    return np.asarray(np.random.default_rng(0).standard_normal(output.shape), np.result_type(output, np.float32))


def _purity_failures(subject: Subject, inputs: Inputs) -> Iterator[str]:
    """Calls change none of their arguments, and a second one gives the same."""
    names = subject.names(len(inputs))
    given = [array.copy() for array in inputs]
    output = subject.forward(given).copy()
    yield from _changed(subject, "the forward function", names, inputs, given)
    if not np.array_equal(output, subject.forward([array.copy() for array in inputs]), equal_nan=True):
        yield f"{subject.text}: a second call of the forward function with the same inputs gives something else"
    if subject.type.derivative is None:
        return
    what = f"its {subject.type.derivative_decorator}"
    gradient = _gradient(subject, output)
    before = [*inputs, output] if gradient is None else [*inputs, output, gradient]
    results = []
    for _ in range(2):
        given = [array.copy() for array in before]
        derivatives = subject.derivatives(given[: len(inputs)], given[len(inputs)], *given[len(inputs) + 1 :])
        results.append([None if array is None else array.copy() for array in derivatives])
        yield from _changed(subject, what, [*names, "the output", "the gradient"], before, given)
    for name, first, second in zip(names, *results, strict=True):
        both = first is not None and second is not None
        if not (np.array_equal(first, second, equal_nan=True) if both else first is second):
            yield f"{subject.text}: a second call of {what} with the same inputs gives something else for {name!r}"


def _changed(subject: Subject, what: str, names: Sequence[str], before: Inputs, after: Inputs) -> Iterator[str]:
    for name, old, new in zip(names, before, after, strict=False):
        if not np.array_equal(old, new, equal_nan=True):
            yield f"{subject.text}: {what} changes {name!r} in place"


def _nan_failures(subject: Subject, inputs: Inputs) -> Iterator[str]:
    """The forward function is a number everywhere in its domain."""
    wrong = np.isnan(subject.forward(inputs))
    if not wrong.any():
        return
    domain = ", ".join(f"{name}: {domain}" for name, domain in subject.type.domain.items()) or "every real number"
    text = f"{subject.text}: the forward function gives NaN"
    if subject.type.is_elementwise:
        text += f" at {subject.point(inputs, int(np.argmax(wrong)))}"
    yield f"{text}, within its domain ({domain}); declare `domain`"


def _scalar_failures(subject: Subject, inputs: Inputs) -> Iterator[str]:
    """Single numbers give single numbers, and arrays that broadcast give the same as their numbers one by one."""
    output = subject.forward(inputs)
    has_derivative = subject.type.derivative is not None
    derivatives = subject.derivatives(inputs, output) if has_derivative else []
    for index in np.ndindex(output.shape):
        numbers = [np.broadcast_to(array, output.shape)[index] for array in inputs]
        single = subject.forward(numbers)
        pairs = [("the forward function", output[index], single)]
        alone = subject.derivatives(numbers, single) if has_derivative else []
        for name, array, number in zip(subject.names(len(inputs)), derivatives, alone, strict=False):
            if array is not None and number is not None:
                pairs.append((f"its {subject.type.derivative_decorator} for {name!r}", array[index], number))
        for what, of_array, of_number in pairs:
            if not np.allclose(of_array, of_number, rtol=1e-9, atol=1e-12, equal_nan=True):
                alone_at = f"for the same numbers alone ({subject.point(numbers, ())}) {of_number:.10g}"
                shapes = shape_text(inputs)
                yield f"{subject.text}: of arrays of {shapes} {what} makes {of_array:.10g} at {list(index)}, {alone_at}"
                return  # one place is enough


def _float32_failures(subject: Subject, inputs: Inputs) -> Iterator[str]:
    """Single precision gives the same to its own precision."""
    indices = subject.type.index_inputs
    singles = [array if i in indices else array.astype(np.float32) for i, array in enumerate(inputs)]
    output, output_32 = subject.forward(inputs), subject.forward(singles)
    for made, given in ((output, "float64"), (output_32, "float32")):
        if made.dtype.kind == "f" and made.dtype != given:
            yield f"{subject.text}: of {given} numbers the forward function makes {made.dtype}: it casts them"
            return
    results = [("the forward function", output, output_32)]
    if subject.type.derivative is not None:
        gradient = _gradient(subject, output_32)
        wide = None if gradient is None else gradient.astype(np.float64)
        what = f"its {subject.type.derivative_decorator}"
        both = subject.derivatives(inputs, output, wide), subject.derivatives(singles, output_32, gradient)
        pairs = zip(subject.names(len(inputs)), *both, strict=True)
        results += [(f"{what} for {name!r}", a, b) for name, a, b in pairs if a is not None and b is not None]
    for what, double, single in results:
        comparable = np.isfinite(double) & (np.abs(double) < np.finfo(np.float32).max)
        with np.errstate(all="ignore"):
            difference = np.abs(single.astype(np.float64) - double)
            wrong = comparable & ~(difference <= FLOAT32_TOLERANCE * np.maximum(np.abs(double), 1))
        if wrong.any():
            index = np.unravel_index(int(np.argmax(wrong)), double.shape)
            where = f" at {subject.point(inputs, index)}" if subject.type.is_elementwise else ""
            numbers = f"{single[index]:.7g}{where}, in float64 {double[index]:.7g}"
            yield f"{subject.text}: in float32 {what} gives {numbers}"


def _kink_failures(subject: Subject, inputs: Inputs) -> Iterator[str]:
    """At each kink the derivatives are those that the declaration promises."""
    if subject.type.derivative is None:
        return
    for kink in subject.type.kinks:
        points = [array.copy() for array in inputs]
        for name, place in kink.at.items():
            where = subject.place(place, points)
            if where is None:
                break
            points[subject.type.inputs.index(name)] = np.broadcast_to(np.asarray(where, np.float64), points[0].shape)
        else:
            domains = [(subject.domain(i), array) for i, array in enumerate(points)]
            inside = [interval_numbers(domain, array) >= 0 for domain, array in domains if domain is not None]
            kept = np.logical_and.reduce([np.isfinite(points[0]), *inside])
            points = [array[kept] for array in points]
            derivatives = subject.derivatives(points, subject.forward(points))
            for name, derivative, promised in zip(subject.type.inputs, derivatives, kink.derivatives, strict=False):
                if derivative is None or promised is ...:
                    continue
                number = subject.settings[promised] if isinstance(promised, str) else promised
                wrong = ~np.isclose(derivative, number, rtol=1e-9, atol=1e-12)
                if wrong.any():
                    index = int(np.argmax(wrong))
                    yield (
                        f"{subject.text}: the derivative for {name!r} at {subject.point(points, index)} is "
                        f"{derivative[index]:.10g}, but it declares {number:.10g} there (kink {kink})"
                    )


def _slope_failures(subject: Subject, inputs: Inputs) -> Iterator[str]:
    """Each derivative agrees with finite differences, and some could be compared."""
    if subject.type.derivative is None:
        return
    compare = compare_points if subject.type.is_elementwise else compare_arrays
    for name, check in compare(subject, inputs, TOLERANCE).items():
        yield from check.failures
        if not check.compared and check.skipped:
            yield (
                f"{subject.text}: the derivative for {name!r} could be compared with finite differences nowhere; "
                "is `domain` right, and does the forward function change smoothly?"
            )
