"""A node type that is checked: its two functions called with care, its kinks and the borders of its domain."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrun.declare.declaration import Noise, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from graphrun.declare.domain import Domain
    from graphrun.declare.nodetype import Kink, NodeType

    Array = NDArray[Any]
    Inputs = Sequence[Array]


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

    def keeping(self, inputs: Inputs) -> tuple[Array, Any]:
        """What the forward function that keeps gives: the output, and what is kept."""
        what = "its keeping"
        given = self._call(what, self.type.forward_keeping, *inputs)
        if not isinstance(given, tuple) or len(given) != 2:
            raise self.broken(f"{what} returns {_kind(given)}, not a tuple of the output and what is kept")
        return self._as_real(what, given[0]), given[1]

    def derivatives(
        self, inputs: Inputs, output: Array, gradient: Array | None = None, **kept: Any
    ) -> list[Array | None]:
        """The partial derivatives in the shape of the output, or the gradients in the shapes of the inputs."""
        what = f"its {self.type.derivative_decorator}"
        leading = (output,) if gradient is None else (gradient, output)
        derivative: Any = self.type.derivative
        given = self._call(what, partial(derivative, **kept), *leading, *inputs)
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
        except (Exception, SystemExit) as error:
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
