"""Declaring a node type: two pure functions, its forward function and its local derivatives.

An elementwise type gives the partial derivative for each of its inputs, a tensor type the vector-Jacobian product.
The engine owns the rest: the incoming gradient, the sum over several uses, broadcasting, arity and shape checks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

from graphrun.base.errors import DeclarationError
from graphrun.declare.declaration import Declaration, Function, Index, Noise, Settings, State
from graphrun.declare.domain import Domain


@dataclass(frozen=True)
class Kink:
    """A place where a function has no single derivative, and the derivative that is taken there.

    Attributes:
        at: input name -> where it lies: a number, the name of another input or of a setting, or a function
            ``(xp, *inputs, *, settings)`` that gives the nearest such place. Several entries hold together: a point.
            A setting that is None has no such place.
        derivatives: one entry an input: a number, the name of a setting, or ``...`` where this place is an ordinary
            one for that input, or the formula of every other place holds here too.
        label: how the place is printed; made from ``at`` when it can be, needed for a function.
    """

    at: Mapping[str, float | str | Function]
    derivatives: Sequence[Any]
    label: str = ""

    def __str__(self) -> str:
        place = self.label or ", ".join(f"{name} = {value}" for name, value in self.at.items())
        shown = ("as elsewhere" if value is ... else str(value) for value in self.derivatives)
        return f"at {place}: {', '.join(shown)}"


@dataclass(frozen=True)
class Example:
    """Inputs and settings that a type can be tried with: each input a shape, or nested lists of numbers as ``values``.

    Attributes:
        shapes: the shape of each input; the checker draws the numbers within the type's domain.
        settings: the settings as a graph file would give them.
        values: the inputs themselves, where random numbers would not do.
    """

    shapes: Sequence[tuple[int, ...]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    values: Sequence[Any] = ()


class NodeType(Declaration):
    """A node type; made by the decorators `elementwise` and `tensor`.

    Attributes:
        derivative: the second function; None until it is declared, and then the type has no derivative at all.
        forward_keeping: the forward function that also gives what the second one is handed; None where there is none.
        first_state: ``(xp, *inputs without those of the engine, *, settings) -> tuple``: the states before the first
            step, of the inputs' shapes.
        next_state: ``(xp, output, *inputs, *, settings) -> tuple``: the states after a step.
        forms: the forms that engines have of their own, by the engine's name.
        domain: input name -> where the function is defined; an input not named there takes every real number.
        kinks: where the derivative is a convention.
        examples: what the checker tries the type with.
    """

    keys: tuple[str, ...] = ("type", "inputs", "repeat", "share")
    is_elementwise: bool
    derivative_decorator: str

    def __init__(
        self,
        function: Function,
        name: str | None = None,
        domain: Mapping[str, str] | None = None,
        kinks: Sequence[Kink] = (),
        examples: Sequence[Example] = (),
    ) -> None:
        super().__init__(function, name)
        self.derivative: Function | None = None
        self.forward_keeping: Function | None = None
        self.first_state: Function | None = None
        self.next_state: Function | None = None
        self.forms: dict[str, EngineForm] = {}
        self.kinks = tuple(kinks)
        self.examples = tuple(examples)
        self._domain = dict(domain or {})

    @cached_property
    def domain(self) -> dict[str, Domain]:
        """The domain of each input that does not take every real number."""
        return {name: Domain.parse(text) for name, text in self._domain.items()}

    @cached_property
    def is_built_in(self) -> bool:
        """Whether it is one of graphrun's own, whose functions are known to be pure."""
        return self.function.__module__.startswith("graphrun.")

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs, in order."""
        return tuple(parameter.name for parameter in self.positional)

    @cached_property
    def arity(self) -> tuple[int, int | None]:
        """The smallest and the largest number of inputs; None where there is no largest."""
        least = sum(p.default is p.empty and p.kind is not p.VAR_POSITIONAL for p in self.given)
        variadic = any(p.kind is p.VAR_POSITIONAL for p in self.given)
        return (max(least, 1), None) if variadic else (least, len(self.given))

    @property
    def given(self) -> tuple[inspect.Parameter, ...]:
        """The inputs that a graph file gives; those of the engine come after them."""
        return self.positional[: len(self.positional) - len(self.engine_inputs)]

    @cached_property
    def engine_inputs(self) -> tuple[tuple[str, type], ...]:
        """The inputs that the engine gives, which come last: name, and `Noise` or `State`."""
        marked = ((p.name, self.marker(p)) for p in self.positional)
        return tuple((name, marker) for name, marker in marked if marker in (Noise, State))

    @cached_property
    def index_inputs(self) -> frozenset[int]:
        """The positions of the inputs that are annotated as `Index`."""
        return frozenset(i for i, name in enumerate(self.inputs) if self.annotations.get(name) is Index)

    def check_declaration(self) -> None:
        """Read the whole declaration once, the second function's included."""
        super().check_declaration()
        kinked = {name for kink in self.kinks for name in kink.at}
        for role, names in (("domain", set(self._domain)), ("kink", kinked)):
            for name in names:
                if name not in self.inputs:
                    raise DeclarationError(f"{self.name}: a {role} is given for {name!r}, which is no input of it")
        for kink in self.kinks:
            if len(kink.derivatives) != len(self.positional):
                given = f"{len(kink.derivatives)} derivatives for the inputs {', '.join(self.inputs)}"
                raise DeclarationError(f"{self.name}: the kink {kink} gives {given}")
            for name in (*kink.at.values(), *kink.derivatives):
                if isinstance(name, str) and name not in {parameter.name for parameter in self.parameters}:
                    raise DeclarationError(f"{self.name}: a kink names {name!r}, which is no input or setting of it")
            if not kink.label and any(callable(place) for place in kink.at.values()):
                raise DeclarationError(f"{self.name}: a kink whose place is a function needs a label")
        _ = self.domain, self.arity, self.index_inputs
        last = self.inputs[len(self.inputs) - len(self.engine_inputs) :]
        if last != tuple(name for name, _ in self.engine_inputs):
            raise DeclarationError(f"{self.name}: inputs that the engine gives come after all others")
        states = [name for name, marker in self.engine_inputs if marker is State]
        if states and (self.first_state is None or self.next_state is None):
            raise DeclarationError(f"{self.name}: the states {', '.join(states)} need first_state and next_state")
        if self.derivative is None:
            return
        parameters = list(inspect.signature(self.derivative).parameters.values())
        leading = 2 if self.is_elementwise else 3
        positional = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
        if len(positional) != leading + len(self.positional):
            before = "(xp, output, inputs...)" if self.is_elementwise else "(xp, gradient, output, inputs...)"
            numbers = f"{leading + len(self.positional)} positional parameters, not {len(positional)}"
            raise DeclarationError(f"{self.name}: its {self.derivative_decorator} takes {before}, {numbers}")
        own = [p.name for p in self.parameters if p.kind is p.KEYWORD_ONLY]
        taken = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        what, listed = f"its {self.derivative_decorator}", ", ".join(own) or "none"
        if self.forward_keeping is not None:
            if taken.pop("kept", 0) is not None:
                raise DeclarationError(f"{self.name}: {what} takes `kept=None` too, for it is handed what is kept")
            handed = list(inspect.signature(self.forward_keeping).parameters)[1:]
            if handed != [p.name for p in self.parameters]:
                taking = ", ".join(p.name for p in self.parameters)
                raise DeclarationError(f"{self.name}: its keeping takes what the forward function takes: xp, {taking}")
        if set(taken) != set(own):
            raise DeclarationError(f"{self.name}: {what} takes the same settings as the forward function: {listed}")

    def states(self, first: Function) -> Callable[[Function], Function]:
        """Declare what becomes of the `State` inputs: ``@batch_norm.states(first_state)`` above the next state.

        `first` is ``(xp, *inputs without those of the engine, *, settings) -> tuple`` of the first states.
        """
        self.first_state = first

        def declare(function: Function) -> Function:
            self.next_state = function
            return function

        return declare

    def keeping(self, function: Function) -> Function:
        """Declare ``(xp, *inputs, *, settings) -> (output, kept)``: the forward function, with what is kept of it.

        The second function is handed that as its keyword ``kept``, which is None where an engine has kept nothing. The
        two plain functions stay the specification: with `kept` and without, the numbers are the same.
        """
        self.forward_keeping = function
        return function

    def form(self, engine: str) -> EngineForm:
        """Declare a form for one engine: ``@conv2d.form("jax")`` above its forward function, which becomes the form.

        The form's decorator `second` takes the other function. Both take what the type's own functions take and give
        the same up to rounding; those stay the specification.
        """
        self.forms[engine] = EngineForm(self.function, self.derivative, self.forward_keeping)
        return self.forms[engine]

    def functions(self, engine: str) -> tuple[Function, Function | None]:
        """Return the two functions in the form that an engine has, the type's own where it has none."""
        form = self.forms.get(engine, self)
        return form.function, form.derivative

    def keeps(self, engine: str) -> Function | None:
        """Return the forward function that keeps, in the form that an engine has; None where there is none."""
        return self.forms.get(engine, self).forward_keeping


@dataclass(eq=False)
class EngineForm:
    """A node type's two functions as one engine has them, where the type's own would be slow there.

    Attributes:
        function: the forward function.
        derivative: the second function.
        forward_keeping: the forward function that also gives what the second one is handed.
    """

    function: Function
    derivative: Function | None
    forward_keeping: Function | None

    def __call__(self, function: Function) -> EngineForm:
        """Take the forward function."""
        self.function, self.forward_keeping = function, None
        return self

    def keeping(self, function: Function) -> EngineForm:
        """Take the forward function that keeps, of which the plain one is made."""
        self.function, self.forward_keeping = lambda *given, **settings: function(*given, **settings)[0], function
        return self

    def second(self, function: Function) -> EngineForm:
        """Take the second function, the local derivatives or the vjp."""
        self.derivative = function
        return self


class Elementwise(NodeType):
    """A type that works on each element alone and gives the partial derivative for each input."""

    is_elementwise = True
    derivative_decorator = "local_derivatives"

    def local_derivatives(self, function: Function) -> Function:
        """Declare ``(xp, output, *inputs, *, settings) -> tuple``: one partial derivative an input, None for none."""
        self.derivative = function
        return function


class Tensor(NodeType):
    """A type that works on whole arrays and gives the vector-Jacobian product.

    Attributes:
        formula: the forward function as text, in the names of its inputs and settings; empty where it has none.
        gradients: the gradient of each input as text, of ``gradient``, the inputs, settings and the output as the vjp
            names it; None for an input without one. Empty where there are no texts.
        cost: ``(output, *inputs, *, settings)`` of arrays of which only the shapes are looked at: how many operations
            on numbers the forward function does. Each gradient takes as many; where that is not so, it returns a tuple
            with those of the forward function and of each gradient. None: one for each element of the largest array.
    """

    is_elementwise = False
    derivative_decorator = "vjp"

    def __init__(
        self,
        function: Function,
        *,
        formula: str = "",
        gradients: Sequence[str | None] = (),
        cost: Function | None = None,
        **declared: Any,
    ) -> None:
        super().__init__(function, **declared)
        self.formula = formula
        self.gradients = tuple(gradients)
        self.cost = cost

    def operations(self, *arrays: Any, settings: Settings) -> tuple[int, ...]:
        """Return how many operations on numbers the forward function and the gradient of each input take.

        Of the arrays, the output and the inputs, only the shapes are looked at.
        """
        if self.cost is None:
            found: Any = max(array.size for array in arrays)
        else:
            found = self.cost(*arrays, **dict(settings))
        return tuple(found) if isinstance(found, tuple) else (found,) * len(arrays)

    def check_declaration(self) -> None:
        """Read the whole declaration once, the second function's and the texts included."""
        super().check_declaration()
        if self.gradients and len(self.gradients) != len(self.inputs):
            inputs = ", ".join(self.inputs)
            raise DeclarationError(f"{self.name}: it gives {len(self.gradients)} gradients for the inputs {inputs}")

    def vjp(self, function: Function) -> Function:
        """Declare ``(xp, gradient, output, *inputs, *, settings) -> tuple``: the gradient of each input, None for none.

        An entry may be a function of no arguments, which is called only where that gradient is wanted.
        """
        self.derivative = function
        return function


@overload
def elementwise(function: Function, /) -> Elementwise: ...
@overload
def elementwise(
    *,
    name: str | None = None,
    domain: Mapping[str, str] | None = None,
    kinks: Sequence[Kink] = (),
    examples: Sequence[Example] = (),
) -> Callable[[Function], Elementwise]: ...
def elementwise(function: Function | None = None, /, **declared: Any) -> Any:
    """Declare an elementwise node type by its forward function ``(xp, *inputs, *, settings) -> output``.

    Args:
        function: the forward function; its docstring's first line is the type's description.
        declared: name (default the function's), domain (input -> intervals such as ``"(0, inf)"``), kinks, examples.
    """
    return Elementwise(function) if function else lambda function: Elementwise(function, **declared)


@overload
def tensor(function: Function, /) -> Tensor: ...
@overload
def tensor(
    *,
    name: str | None = None,
    domain: Mapping[str, str] | None = None,
    kinks: Sequence[Kink] = (),
    examples: Sequence[Example] = (),
    formula: str = "",
    gradients: Sequence[str | None] = (),
    cost: Function | None = None,
) -> Callable[[Function], Tensor]: ...
def tensor(function: Function | None = None, /, **declared: Any) -> Any:
    """Declare a tensor node type by its forward function ``(xp, *inputs, *, settings) -> output``.

    Args:
        function: the forward function. It raises ValueError where shapes do not fit.
        declared: as of `elementwise`; formula and gradients, the texts that `graphrun nodes` shows for the forward
            function and, input by input, for the vjp; and cost, by which `graphrun profile` counts (see `Tensor`).
    """
    return Tensor(function) if function else lambda function: Tensor(function, **declared)
