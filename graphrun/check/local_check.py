"""Comparing the derivatives of a node type with finite differences at given numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrun.base.norms import norm
from graphrun.check.finite_differences import Slopes, differentiate
from graphrun.declare.declaration import Noise, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from graphrun.declare.domain import Domain
    from graphrun.declare.nodetype import Kink, NodeType

    Array = NDArray[Any]
    Inputs = Sequence[Array]

TOLERANCE = 1e-4
"""The relative difference that is let pass: far below the 5e-4 that a check has to find."""

ERROR_MARGIN = 4.0
"""How many times its own estimate a slope by finite differences may be off."""

ALMOST_ZERO = 1e-250
"""What is smaller is compared with 0 only, as numbers near the end of the range of float64 have lost digits."""

ELEMENTS = 64
"""An array up to this size is moved element by element, a larger one along some axes and random directions."""

SAMPLED_ELEMENTS = 8
RANDOM_DIRECTIONS = 4


@dataclass(frozen=True)
class LocalCheck:
    """Derivatives compared with finite differences.

    Attributes:
        failures: one text for each input whose derivative is wrong, with the worst point.
        compared: how many derivatives were compared: points for each input, or directions of an array.
        skipped: how many could not be: at a kink, at a border of the domain, where nothing is finite.
    """

    failures: list[str]
    compared: int
    skipped: int


def check_local_derivatives(
    node_type: NodeType, settings: Mapping[str, Any], inputs: Sequence[Any], *, tolerance: float = TOLERANCE
) -> LocalCheck:
    """Compare the derivatives of a node type with finite differences at given inputs.

    Args:
        node_type: the type.
        settings: settings other than the defaults; the one that tells steps from evaluations is true by default.
        inputs: one array (or number) an input, those of the engine included; those of an elementwise type broadcast.
        tolerance: the relative difference that is let pass.
    """
    subject = Subject(node_type, dict(node_type.default_settings or ()) | dict(settings))
    compare = compare_points if node_type.is_elementwise else compare_arrays
    if node_type.derivative is None:
        return LocalCheck([], 0, 0)
    try:
        checks = compare(subject, subject.arrays(inputs), tolerance).values()
    except BrokenTypeError as problem:
        return LocalCheck(problem.texts, 0, 0)
    return LocalCheck(
        [text for check in checks for text in check.failures],
        sum(check.compared for check in checks),
        sum(check.skipped for check in checks),
    )


class BrokenTypeError(Exception):
    """A node type whose functions raise, or return what cannot be used: nothing is left to compare."""

    def __init__(self, *texts: str) -> None:
        super().__init__(*texts)
        self.texts = list(texts)


class Subject:
    """A node type with its settings: its two functions, called with care."""

    def __init__(self, node_type: NodeType, settings: Mapping[str, Any]) -> None:
        self.type = node_type
        self.settings = dict(settings)
        if node_type.takes_training:
            self.settings.setdefault(node_type.takes_training, True)
        listed = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        self.text = f"{node_type.name}({listed})" if listed else node_type.name
        engine_inputs = dict(node_type.engine_inputs)
        self.without_derivative = dict.fromkeys(node_type.index_inputs, "an index") | {
            i: "noise" if engine_inputs[name] is Noise else "a state"
            for i, name in enumerate(node_type.inputs)
            if name in engine_inputs
        }

    def broken(self, text: str) -> BrokenTypeError:
        """What to raise of it."""
        return BrokenTypeError(f"{self.text}: {text}")

    def names(self, count: int) -> list[str]:
        """The names of so many inputs; those of a variadic one are numbered."""
        names = list(self.type.inputs)
        if self.type.arity[1] is None:
            names[-1:] = [f"{names[-1]}[{i}]" for i in range(count - len(names) + 1)]
        return names[:count]

    def arrays(self, inputs: Sequence[Any]) -> list[Array]:
        """The inputs as a float64 graph passes them."""
        indices = self.type.index_inputs
        return [np.asarray(x, dtype=np.int64 if i in indices else np.float64) for i, x in enumerate(inputs)]

    def forward(self, inputs: Inputs) -> Array:
        """The output, which for an elementwise type has the shape that the inputs broadcast to."""
        what = "the forward function"
        output = self._as_real(what, self._call(what, self.type.function, *inputs))
        if self.type.is_elementwise:
            expected = np.broadcast_shapes(*(array.shape for array in inputs))
            if output.shape != expected:
                raise self.broken(f"of {shape_text(inputs)} {what} makes {output.shape}, not {expected}")
        return output

    def states(self, inputs: Inputs, noise: Inputs) -> list[Array]:
        """The states of inputs that the engine does not give, after a first step on them, checked on the way."""
        names = [name for name, marker in self.type.engine_inputs if marker is State]
        states = self._states("first_state", self.type.first_state, [*inputs], names, None)
        drawn, kept = iter(noise), iter(states)
        given = [next(drawn) if marker is Noise else next(kept) for _, marker in self.type.engine_inputs]
        output = self.forward([*inputs, *given])
        return self._states("next_state", self.type.next_state, [output, *inputs, *given], names, states)

    def _states(
        self, what: str, function: Any, arguments: Inputs, names: Sequence[str], before: Inputs | None
    ) -> list[Array]:
        given = self._call(f"its {what}", function, *arguments)
        if not isinstance(given, tuple | list) or len(given) != len(names):
            raise self.broken(f"its {what} returns {_kind(given)}, not a tuple of {', '.join(names)}")
        states = [self._as_real(f"its {what}", state).astype(np.float64) for state in given]
        for name, old, new in zip(names, before or states, states, strict=True):
            if old.shape != new.shape:
                raise self.broken(f"its {what} makes {name!r} {new.shape}, but it was {old.shape}")
        return states

    def derivatives(self, inputs: Inputs, output: Array, gradient: Array | None = None) -> list[Array | None]:
        """The partial derivatives in the shape of the output, or the gradients in the shapes of the inputs."""
        what = f"its {self.type.derivative_decorator}"
        leading = (output,) if gradient is None else (gradient, output)
        given = self._call(what, self.type.derivative, *leading, *inputs)
        if not isinstance(given, tuple | list):
            raise self.broken(f"{what} returns {_kind(given)}, not a tuple with one derivative for each input")
        names = self.names(len(inputs))
        if len(given) != len(inputs):
            raise self.broken(f"{what} returns {len(given)} derivatives for the inputs {', '.join(names)}")
        derivatives: list[Array | None] = []
        problems: list[str] = []
        for i, (name, entry) in enumerate(zip(names, given, strict=True)):
            try:
                derivatives.append(self._derivative(f"{what} for {name!r}", i, entry, inputs[i], output))
            except BrokenTypeError as problem:
                problems += problem.texts
        if problems:
            raise BrokenTypeError(*problems)
        return derivatives

    def _derivative(self, what: str, position: int, entry: Any, x: Array, output: Array) -> Array | None:
        if entry is None:
            return None
        if position in self.without_derivative:
            why = f"{self.without_derivative[position]} has no derivative: return None"
            raise self.broken(f"{what} is {_kind(entry)}, but {why}")
        if callable(entry):
            lazy = entry
            entry = self._call(what, lambda *_, **__: lazy())
        derivative = self._as_real(what, entry)
        if not self.type.is_elementwise:
            if derivative.shape != x.shape:
                raise self.broken(f"{what} has shape {derivative.shape}, but the input has {x.shape}")
            return derivative
        try:
            return np.broadcast_to(derivative, output.shape)
        except ValueError:
            shapes = f"has shape {derivative.shape}, which does not broadcast to the output's {output.shape}"
            raise self.broken(f"{what} {shapes}") from None

    def _call(self, what: str, function: Any, *arguments: Any) -> Any:
        try:
            with np.errstate(all="ignore"):
                return function(np, *arguments, **self.settings)
        except Exception as error:
            text = f"{type(error).__name__}: {error} (inputs of {shape_text(arguments)})"
            raise self.broken(f"{what} raised {text}") from error

    def _as_real(self, what: str, value: Any) -> Array:
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.asarray(None)
        if array.dtype.kind not in "biuf":
            raise self.broken(f"{what} returns {_kind(value)}, not an array of real numbers")
        return array

    def domain(self, position: int) -> Domain | None:
        """The domain of an input; None where it takes every number."""
        return self.type.domain.get(self.type.inputs[min(position, len(self.type.inputs) - 1)])

    def places(self, kink: Kink, inputs: Inputs) -> dict[int, Any]:
        """Input by input, where the kink next to it is; empty where there is none."""
        places = {self.type.inputs.index(name): self.place(place, inputs) for name, place in kink.at.items()}
        return {} if any(place is None for place in places.values()) else places

    def place(self, place: Any, inputs: Inputs) -> Any:
        """Where a kink is, for these inputs; None where the settings leave none."""
        if callable(place):
            return self._call("the place of a kink", place, *inputs)
        if isinstance(place, str):
            return self.settings[place] if place in self.settings else inputs[self.type.inputs.index(place)]
        return place

    def regions(self, home: Inputs, moved: int) -> Callable[[Inputs], list[Array]]:
        """What gives numbers that change where one input, on its way from home, met a kink or a border."""
        domains = [(i, domain) for i in range(len(home)) if (domain := self.domain(i)) is not None]
        kinks: list[tuple[Kink, dict[int, Any] | None]] = []
        for kink in self.type.kinks:
            if len(kink.at) == 1:
                # An input that moves may come nearer to another kink; it is the one next to home that it must not meet.
                own = self.type.inputs.index(next(iter(kink.at))) == moved
                kinks.append((kink, self.places(kink, home) if own else None))

        def numbers(inputs: Inputs) -> list[Array]:
            regions = [interval_numbers(domain, inputs[i]) for i, domain in domains]
            for kink, fixed in kinks:
                places = self.places(kink, inputs) if fixed is None else fixed
                regions += [np.sign(gap) for gap in gaps(inputs, places).values()]
            return regions

        return numbers

    def at_kink(self, inputs: Inputs) -> dict[int, Array]:
        """Input by input, where it stands on a kink."""
        found: dict[int, Array] = {}
        for kink in self.type.kinks:
            apart = gaps(inputs, self.places(kink, inputs))
            if apart:
                hit = np.logical_and.reduce(np.broadcast_arrays(*(gap == 0 for gap in apart.values())))
                found |= {i: found.get(i, np.False_) | hit for i in apart}
        return found

    def point(self, inputs: Inputs, index: Any) -> str:
        """``x = 2, y = 3``: one of many points of an elementwise type."""
        names = self.names(len(inputs))
        return ", ".join(f"{name} = {x[index]:.10g}" for name, x in zip(names, inputs, strict=True))


def gaps(inputs: Inputs, places: Mapping[int, Any]) -> dict[int, Array]:
    """Input by input, how far it is from the kink at those places."""
    with np.errstate(all="ignore"):
        return {i: np.asarray(inputs[i] - place) for i, place in places.items()}


def compare_points(subject: Subject, inputs: Inputs, tolerance: float) -> dict[str, LocalCheck]:
    """Compare the partial derivatives of an elementwise type at many points at once; a result for each input."""
    try:
        inputs = [array.ravel() for array in np.broadcast_arrays(*inputs)]
    except ValueError:
        raise subject.broken(f"inputs of {shape_text(inputs)} do not broadcast") from None
    output = subject.forward(inputs)
    derivatives = subject.derivatives(inputs, output)
    on_kink = np.logical_or.reduce([np.zeros(output.shape, bool), *subject.at_kink(inputs).values()])
    checks = {}
    for i, (name, derivative) in enumerate(zip(subject.names(len(inputs)), derivatives, strict=True)):
        if derivative is None:
            continue
        slopes = _partial_slopes(subject, inputs, i)
        with np.errstate(all="ignore"):
            # A slope that changes the value by less than its last digits over the point's own scale is as good as 0.
            negligible = np.abs(output) / np.maximum(np.abs(inputs[i]), 1)
        verdict = _Verdict.of(derivative, slopes, negligible, tolerance, ~on_kink)
        failures = []
        if verdict.wrong.any():
            worst = int(np.argmax(np.where(verdict.wrong, verdict.relative, -1)))
            failures.append(
                f"{subject.text}: the derivative for {name!r} at {subject.point(inputs, worst)} is "
                f"{verdict.numbers(derivative[worst], slopes.slope[worst], verdict.relative[worst])}; "
                f"wrong at {verdict.wrong.sum()} of {verdict.compared.sum()} points"
            )
        compared = int(verdict.compared.sum())
        checks[name] = LocalCheck(failures, compared, output.size - compared)
    return checks


def _partial_slopes(subject: Subject, inputs: Inputs, position: int) -> Slopes:
    x = inputs[position]
    slopes = _steps_along(subject, inputs, position, np.maximum(np.abs(x), 1))
    # The scale of most functions near 0 is 1, but of some (the logarithm) it is the distance from 0.
    small = (np.abs(x) < 1) & (x != 0) & ~(slopes.error <= 1e-6 * np.abs(slopes.slope))
    if not small.any():
        return slopes
    chosen = [array[small] for array in inputs]
    return slopes.replaced(small, _steps_along(subject, chosen, position, np.abs(x[small])))


def _steps_along(subject: Subject, inputs: Inputs, position: int, scale: Array) -> Slopes:
    regions = subject.regions(inputs, position)
    home = regions(inputs)

    def values_at(step: Array) -> tuple[Array, Array]:
        moved = [*inputs]
        moved[position] = inputs[position] + step
        values = subject.forward(moved).astype(np.float64)
        for here, there in zip(home, regions(moved), strict=True):
            values = np.where(here == there, values, np.nan)
        return values, np.abs(values)

    with np.errstate(all="ignore"):
        return differentiate(values_at, inputs[position], scale)


def compare_arrays(subject: Subject, inputs: Inputs, tolerance: float) -> dict[str, LocalCheck]:
    """Compare the vector-Jacobian products of a tensor type, with a random gradient; a result for each input."""
    random = np.random.default_rng(0)
    output = subject.forward(inputs)
    gradient = random.standard_normal(output.shape)
    products = subject.derivatives(inputs, output, gradient)
    on_kink = subject.at_kink(inputs)
    checks = {}
    for i, (name, product) in enumerate(zip(subject.names(len(inputs)), products, strict=True)):
        if product is None:
            continue
        domain = subject.domain(i)
        borders = [end for interval in domain.intervals for end in (interval.low, interval.high)] if domain else []
        fixed = np.broadcast_to(on_kink.get(i, np.False_), inputs[i].shape) | np.isin(inputs[i], borders)
        failures: list[str] = []
        compared = skipped = 0
        for label, direction in _directions(inputs[i].shape, random):
            pattern = np.where(fixed, 0.0, direction)
            if not pattern.any():
                skipped += 1
                continue
            slopes, along, size = _slope_along(subject, inputs, i, pattern, gradient)
            with np.errstate(all="ignore"):
                terms = product * along
                expected = np.sum(terms)
            verdict = _Verdict.of(expected, slopes, np.maximum(size, norm(terms)), tolerance)
            compared += int(verdict.compared)
            skipped += int(~verdict.compared)
            if verdict.wrong:
                failures.append(
                    f"the gradient of {name!r}{label} is "
                    f"{verdict.numbers(expected, slopes.slope, verdict.relative, np.max(np.abs(along)))}"
                )
        if failures:
            found = f"{failures[0]}; wrong in {len(failures)} of {compared} directions"
            failures = [f"{subject.text}, inputs of {shape_text(inputs)}: {found}"]
        checks[name] = LocalCheck(failures, compared, skipped)
    return checks


def _slope_along(
    subject: Subject, inputs: Inputs, position: int, pattern: Array, gradient: Array
) -> tuple[Slopes, Array, Array]:
    """The slope of <gradient, forward> along a pattern, what was moved, and the size of the terms."""
    x = inputs[position]
    regions = subject.regions(inputs, position)
    home = regions(inputs)
    size = np.asarray(np.sum(np.abs(gradient * subject.forward(inputs))))
    best: tuple[Slopes, Array, Array] | None = None
    for scale in (np.maximum(np.abs(x), 1), np.where(x == 0, 1, np.abs(x))):
        along = pattern * scale
        if best is not None and np.array_equal(along, best[1]):
            break  # the second scale is the first: the same steps would be taken once more

        def values_at(step: Array, along: Array = along) -> tuple[Array, Array]:
            moved = [*inputs]
            moved[position] = x + step * along
            terms = gradient * subject.forward(moved)
            stays = all(np.array_equal(*pair) for pair in zip(home, regions(moved), strict=True))
            return np.asarray(np.sum(terms) if stays else np.nan), np.asarray(np.sum(np.abs(terms)))

        with np.errstate(all="ignore"):
            slopes = differentiate(values_at, np.asarray(1.0), np.asarray(1.0))
        if best is None or slopes.error < best[0].error:
            best = slopes, along, size
        if slopes.error <= 1e-6 * np.abs(slopes.slope):
            break
    assert best is not None  # noqa: S101 (the loop runs)
    return best


def _directions(shape: tuple[int, ...], random: np.random.Generator) -> Iterator[tuple[str, Array]]:
    size = math.prod(shape)
    few = size <= ELEMENTS
    for number in range(size) if few else sorted(random.choice(size, SAMPLED_ELEMENTS, replace=False)):
        direction = np.zeros(shape)
        index = np.unravel_index(number, shape)
        direction[index] = 1.0
        yield f"[{', '.join(map(str, index))}]" if index else "", direction
    for _ in range(0 if few else RANDOM_DIRECTIONS):
        yield " in a random direction", random.choice([-1.0, 1.0], shape) * random.uniform(0.5, 1, shape)


@dataclass(frozen=True)
class _Verdict:
    compared: Any
    wrong: Any
    relative: Any

    @classmethod
    def of(cls, derivative: Any, slopes: Slopes, size: Any, tolerance: float, among: Any = True) -> _Verdict:
        """Judge derivatives: compared where the slope's error is small, wrong where the difference is large."""
        with np.errstate(all="ignore"):
            finite = np.isfinite(derivative)
            scale = np.maximum(np.where(finite, np.abs(derivative), 0), np.abs(slopes.slope))
            enough = tolerance * np.maximum(np.maximum(scale, size), ALMOST_ZERO)
            compared = among & np.isfinite(slopes.error) & (slopes.error <= enough)
            difference = np.where(finite, np.abs(derivative - slopes.slope), np.inf)
            wrong = compared & ~(difference <= tolerance * scale + ERROR_MARGIN * slopes.error)
            return cls(compared, wrong, np.where(scale > 0, difference / scale, np.inf))

    @staticmethod
    def numbers(derivative: Any, slope: Any, relative: Any, unit: Any = 1.0) -> str:
        off = f" (off by {100 * relative:.2g}%)" if np.isfinite(relative) else ""
        return f"{derivative / unit:.10g}, but finite differences give {slope / unit:.10g}{off}"


def interval_numbers(domain: Domain, array: Array) -> Array:
    """The number of the interval that each element is in; -1 outside the domain."""
    found = np.full(np.shape(array), -1)
    for number, interval in enumerate(domain.intervals):
        above = (array >= interval.low) if interval.low_closed else (array > interval.low)
        below = (array <= interval.high) if interval.high_closed else (array < interval.high)
        found = np.where(above & below, number, found)
    return found


def shape_text(arrays: Iterable[Any]) -> str:
    """The shapes of arrays in words."""
    shapes = [str(np.shape(array)) for array in arrays]
    return f"shape{'s' if len(shapes) > 1 else ''} {' and '.join(shapes)}"


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    return f"{value!r:.60} ({type(value).__name__})"
