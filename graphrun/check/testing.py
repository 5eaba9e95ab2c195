"""Checking node types, in the tests of a plugin: what they declare, return and change, and every derivative."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphrun.base.errors import DeclarationError
from graphrun.check.local_check import (
    TOLERANCE,
    BrokenTypeError,
    Subject,
    compare_arrays,
    compare_points,
    interval_numbers,
    shape_text,
)
from graphrun.check.plugin_check import hook_failures, numpy_failures, other_settings, undeclared_kinks
from graphrun.declare.declaration import Noise, State
from graphrun.plugins.registry import import_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import ModuleType
    from typing import Any

    from graphrun.check.local_check import Array, Inputs
    from graphrun.declare.domain import Domain
    from graphrun.declare.nodetype import Example, NodeType

    Checks = list[tuple[Callable[[Subject, Inputs], Iterable[str]], Inputs]]

FLOAT32_TOLERANCE = 1e-4
POINTS = 200
WIDE = (1e-3, 1e2)
"""Magnitudes of the numbers at which derivatives are compared: tails are reached, most functions stay finite."""

MODERATE = (0.1, 10.0)
GUESSED_SHAPE = (3, 3)
ASK_FOR_EXAMPLES = "declare examples=[Example(shapes=[...], settings={...})] that it can be tried with"


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
    that they change nothing and repeat themselves; single numbers, broadcasting and float32; every partial derivative
    against finite differences, with the default settings, with those of its examples and with others, in a step and in
    an evaluation; the derivatives that it promises at its kinks, and that there are no others. Noise is
    drawn, states are those after a step; an example whose `values` are None in some places has those inputs drawn by
    its `shapes`.

    Args:
        node_type: the type, as the decorators return it.
        seed: of the numbers that it is tried with.

    Raises:
        CheckError: something is wrong; the text lists all of it, with type, input, settings, point and numbers.
    """
    try:
        node_type.check_declaration()
        failures = list(hook_failures(node_type))
        trials = list(_trials(node_type))
    except DeclarationError as error:
        raise CheckError(node_type.name, [str(error)]) from error
    except BrokenTypeError as problem:
        raise CheckError(node_type.name, problem.texts) from problem
    check = _check_elementwise if node_type.is_elementwise else _check_tensor
    for subject, example in trials:
        failures += check(subject, example, np.random.default_rng(seed))
    if not failures:
        failures += _failures_elsewhere(node_type, trials, np.random.default_rng(seed))
    if failures:
        raise CheckError(node_type.name, list(dict.fromkeys(failures)))


def _failures_elsewhere(
    node_type: NodeType, trials: Sequence[tuple[Subject, Example | None]], random: np.random.Generator
) -> Iterator[str]:
    """Where settings are others than those that were tried, and where the derivative jumps."""
    example = trials[0][1]
    shapes = [(POINTS,)] * _count(node_type, example) if node_type.is_elementwise else _shapes_of(node_type, example)
    values = example.values if example and not node_type.is_elementwise else ()
    if node_type.is_elementwise:
        for subject, _ in trials:
            inputs = _draw(subject, shapes, random, WIDE)
            yield from numpy_failures(subject, len(inputs))
            if node_type.derivative is not None:
                yield from undeclared_kinks(subject, inputs)
    for settings in other_settings(node_type):
        subject = Subject(node_type, settings)
        try:
            inputs = _draw(subject, shapes, random, MODERATE, values)
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
        for subject, example in _trials(node_type):
            shapes = [(POINTS,)] * _count(node_type, example)
            failures += _slope_failures(subject, _draw(subject, shapes, np.random.default_rng(seed), WIDE))
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


# --- what a type is tried with ---------------------------------------------------------------------------------------


def _trials(node_type: NodeType) -> Iterator[tuple[Subject, Example | None]]:
    """The settings and examples to try: the defaults, then each example."""
    defaults = node_type.default_settings
    guessed = node_type.is_elementwise or not node_type.examples
    if defaults is None and not node_type.examples:
        required = ", ".join(p.name for p in node_type.keyword if p.default is p.empty)
        raise BrokenTypeError(f"{node_type.name}: its settings {required} have no default: {ASK_FOR_EXAMPLES}")
    if defaults is not None and guessed:
        yield from _subjects(node_type, dict(defaults), None)
    for example in node_type.examples:
        try:
            settings = node_type.read_settings(example.settings)
        except ValueError as error:
            given = dict(example.settings)
            raise BrokenTypeError(f"{node_type.name}: an example's settings {given} fail: {error}") from error
        count = len(example.values) or len(example.shapes)
        least, most = node_type.arity
        if count and not least <= count <= (count if most is None else most):
            raise BrokenTypeError(f"{node_type.name}: an example gives {count} inputs to {node_type.signature}")
        yield from _subjects(node_type, dict(settings), example)


def _subjects(
    node_type: NodeType, settings: dict[str, Any], example: Example | None
) -> Iterator[tuple[Subject, Example | None]]:
    """The type in a step and, where it tells the two apart, in an evaluation."""
    yield Subject(node_type, settings), example
    if node_type.takes_training:
        yield Subject(node_type, settings | {node_type.takes_training: False}), example


def _count(node_type: NodeType, example: Example | None) -> int:
    given = example and (len(example.values) or len(example.shapes))
    least, most = node_type.arity
    return given or (most if most is not None else max(least, 2))


def _shapes_of(node_type: NodeType, example: Example | None) -> Sequence[tuple[int, ...]]:
    """The shapes of the inputs that the engine does not give."""
    if example and example.shapes:
        return example.shapes
    if example and example.values:
        return [np.shape(value) for value in example.values]
    return [GUESSED_SHAPE] * _count(node_type, example)


def _draw(
    subject: Subject,
    shapes: Sequence[tuple[int, ...]],
    random: np.random.Generator,
    magnitudes: tuple[float, float],
    values: Sequence[Any] = (),
) -> list[Array]:
    """Random inputs within the domain, representable as float32, some of them 0; indices are 0 or 1.

    Values that are not None stand for the numbers that would be drawn; those that the engine gives come last.
    """
    inputs = [
        random.integers(0, 2, shape)
        if i in subject.type.index_inputs
        else _draw_numbers(subject.domain(i), shape, random, magnitudes)
        for i, shape in enumerate(shapes)
    ]
    fixed = [value if value is not None else inputs[i] for i, value in enumerate(values)]
    return _with_engine_inputs(subject, subject.arrays(fixed or inputs), random)


def _with_engine_inputs(subject: Subject, inputs: Sequence[Array], random: np.random.Generator) -> list[Array]:
    """Inputs followed by those that the engine gives: noise, and the states after one step on other numbers."""
    markers = [marker for _, marker in subject.type.engine_inputs]
    noise = [random.uniform(size=inputs[0].shape).astype(np.float32).astype(np.float64) for _ in markers]
    states: list[Array] = []
    if State in markers:
        states = subject.states([*inputs], noise[: markers.count(Noise)])
    drawn, kept = iter(noise), iter(states)
    return [*inputs, *(next(drawn) if marker is Noise else next(kept) for marker in markers)]


def _draw_numbers(
    domain: Domain | None, shape: tuple[int, ...], random: np.random.Generator, magnitudes: tuple[float, float]
) -> Array:
    size = np.exp(random.uniform(math.log(magnitudes[0]), math.log(magnitudes[1]), shape))
    sign = random.choice([-1.0, 1.0], shape)
    share = 0.5 * size / magnitudes[1]
    numbers = size * sign
    if domain is not None:
        which = random.integers(0, len(domain.intervals), shape)
        for i, interval in enumerate(domain.intervals):
            low, high = interval.low, interval.high
            if math.isfinite(low) and math.isfinite(high):
                # Near both ends and, by as many, far from them.
                inside = random.choice([share, 0.5 * random.uniform(size=shape)])
                drawn = np.where(sign > 0, low + (high - low) * inside, high - (high - low) * inside)
            elif math.isfinite(low):
                drawn = low + size
            elif math.isfinite(high):
                drawn = high - size
            else:
                drawn = numbers
            numbers = np.where(which == i, drawn, numbers)
    if domain is None or 0.0 in domain:
        numbers = np.where(random.uniform(size=shape) < 1 / 8, 0.0, numbers)
    return np.asarray(numbers).astype(np.float32).astype(np.float64)


# --- the checks, one function each -----------------------------------------------------------------------------------


def _check_elementwise(subject: Subject, example: Example | None, random: np.random.Generator) -> list[str]:
    count = _count(subject.type, example)
    points = _draw(subject, [(POINTS,)] * count, random, WIDE)
    moderate = _draw(subject, [(POINTS,)] * count, random, MODERATE)
    mixed = _draw(subject, [((3, 1), (4,), (3, 4))[i % 3] for i in range(count)], random, MODERATE)
    checks: Checks = [
        (_nan_failures, points),
        (_scalar_failures, mixed),
        (_float32_failures, moderate),
        (_kink_failures, moderate),
        (_slope_failures, points),
    ]
    if example and example.values:
        given = _draw(subject, _shapes_of(subject.type, example), random, MODERATE, example.values)
        checks.append((_slope_failures, given))
    return _run_checks(subject, points, checks)


def _check_tensor(subject: Subject, example: Example | None, random: np.random.Generator) -> list[str]:
    try:
        inputs = _draw(subject, _shapes_of(subject.type, example), random, MODERATE, example.values if example else ())
    except BrokenTypeError as problem:
        return problem.texts
    checks: Checks = [(check, inputs) for check in (_nan_failures, _float32_failures, _slope_failures)]
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
