"""A plan's forward and backward pass as functions that JAX traces.

They do what the NumPy engine does, in its order. What a gradient of zero is multiplied by is always masked here for
elementwise types: in XLA's fused loops a mask costs nothing that can be measured. Through tensor types it is masked in
another program, which a run goes on with when something was not finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.types import Array
from graphrun.declare.declaration import Declaration, Function
from graphrun.engines.jax import forms  # noqa: F401 (it declares them)
from graphrun.engines.jax.devices import Placement
from graphrun.engines.jax.scan import Piece, Scan, taken
from graphrun.engines.masking import masked_vjp
from graphrun.engines.numpy import Bound, Operation, backward, broadcast_axes, forward, with_indices
from graphrun.plan.plan import Batch, Plan
from graphrun.plan.runs import find_runs, ordered, varying

Values = Any
"""The values of all slots: a list of arrays, or one vector."""


class PlanPart(Enum):
    """Some nodes of a plan: those of the loop, those that no step changes, all others, all that the objective needs."""

    LOOP = "loop"
    RESTING = "resting"
    VARYING = "varying"
    NEEDED = "needed"
    ALL = "all"

    def batches(self, plan: Plan) -> Sequence[Batch]:
        """Return the nodes' batches."""
        if self is PlanPart.LOOP:
            return plan.in_loop
        if self is PlanPart.RESTING:
            return plan.once
        return [batch for batch in plan.batches if self is PlanPart.ALL or getattr(batch, self.value)]


class ArrayPasses:
    """The two passes of a plan value by value: for arrays, and for a few numbers.

    Parameters come as targets: what the update rule is called for. That is each parameter, or all as one vector.

    Args:
        plan: the plan.
        masked: a gradient of zero gives zero through tensor types too, which takes several times as long.
        declared: forward mode through them takes elementwise types' declared derivatives, not JAX's own.
    """

    def __init__(self, plan: Plan, *, masked: bool = False, declared: bool = False) -> None:
        self.runs = find_runs(plan)
        self.plan = plan = varying(plan, self.runs) if self.runs else plan
        self.order = ordered(plan, self.runs) if self.runs else None
        # Behind the slots of the plan each run has one for its values and one for their gradients.
        self.slots_of_runs = [len(plan.names) + 2 * k for k in range(len(self.runs))]
        pairs = zip(self.runs, self.slots_of_runs, strict=True)
        self.places = {
            slot: (own, copy, node) for run, own in pairs for (copy, node), slot in np.ndenumerate(run.slots)
        }
        self.masked = masked
        self.declared = declared

    @property
    def masks_all(self) -> bool:
        """Whether a gradient of zero gives zero through every node."""
        return self.masked or all(batch.type.is_elementwise for batch in self.plan.batches)

    def targets(self, parameters: Sequence[Array]) -> tuple[Array, ...]:
        """Return each parameter as a target of its own."""
        return tuple(parameters)

    def parameters(self, targets: Sequence[Array]) -> list[Array]:
        """Return the targets, which are the parameters."""
        return list(targets)

    def bounds(self) -> list[tuple[Array, Array] | None]:
        """Return the bounds of each parameter."""
        return list(self.plan.bounds)

    def rules(self) -> list[Function]:
        """Return the update rule of each parameter."""
        return [rule.function for rule in self.plan.rules]

    def fixed(self, placement: Placement) -> Any:
        """Return by slot, on the device, what never changes: constants that are arrays, and nodes of nothing else."""
        plan = self.plan
        fixed = {}
        for slot in range(plan.parameters, len(plan.leaves)):
            leaf = np.asarray(plan.leaves[slot])
            if slot not in plan.changing_leaves and leaf.ndim:
                fixed[slot] = placement.rows(leaf) if slot in plan.data else placement.whole(leaf)
        slots = [slot for batch in PlanPart.RESTING.batches(plan) for slot in batch.slots]

        def rest(fixed: Any) -> Any:
            values = self.forward(self.begin((), {}, fixed), PlanPart.RESTING)
            return {slot: jnp.broadcast_to(values[slot], plan.shapes[slot]) for slot in slots}

        return fixed | jax.jit(rest)(fixed) if slots else fixed

    def begin(self, targets: Sequence[Array], given: Mapping[int, Array], fixed: Any) -> Values:
        """Return the list of values, None for those that are still to be computed."""
        values: list[Any] = [None] * (len(self.plan.names) + 2 * len(self.runs))
        for slot, leaf in enumerate(self.plan.leaves):
            # A number is part of the program: XLA makes a product of a square, and a shift of a division by 2.
            if np.ndim(leaf) == 0:
                values[slot] = leaf
        for slot, value in {**fixed, **dict(enumerate(targets)), **given}.items():
            values[slot] = value
        return values

    def operations(self, part: PlanPart) -> Iterator[Operation]:
        """Bind the nodes of a part to JAX; of the loop, only what a parameter moves is given gradients."""
        plan = self.plan
        wanted = plan.moving.tolist() if part is PlanPart.LOOP else [True] * len(plan.names)
        if self.runs:
            yield from self._with_runs(part, wanted)
            return
        for batch in part.batches(plan):
            bound, has_one = self._bound(batch)
            for _, output, inputs in plan.nodes([batch]):
                yield bound.at(output, inputs, [has_one and wanted[slot] for slot in inputs])

    def _bound(self, batch: Batch) -> tuple[Bound, bool]:
        """Bind the functions of a batch, and say whether it has a derivative."""
        function, has_one = traced_forward(batch, self.plan.dtype), batch.type.derivative is not None
        # Of every type, the second function takes the gradient here.
        derivative: Callable[..., Any] = traced_derivative(batch) if has_one else function
        if self.masked and has_one and not batch.type.is_elementwise:
            derivative = masked_vjp(jnp, derivative)
        if self.declared and has_one and batch.type.is_elementwise:
            function = _with_tangent(function, derivative)
        parts = [partial(self._part, batch, self.plan.shapes[slot]) for slot in self.plan.inputs_of(batch.start)]
        return Bound(function, derivative, elementwise=False, parts=parts), has_one

    def _with_runs(self, part: PlanPart, wanted: Sequence[bool]) -> Iterator[Operation]:
        """Bind the nodes of a part, each run as one operation; what others read of it is taken out once."""
        plan, batches = self.plan, part.batches(self.plan)
        nodes = {output: (batch, inputs) for batch, output, inputs in plan.nodes(batches)}
        counts = {own: len(run.batches) for run, own in zip(self.runs, self.slots_of_runs, strict=True)}
        known: set[int] = set()
        for unit in self.order or ():
            if not isinstance(unit, int):
                own = self.places[int(unit.slots[0, 0])][0]
                members = [k for k, slot in enumerate(unit.slots[0].tolist()) if slot in nodes]
                if members:
                    yield Scan(plan, unit, own, members, self._bound, wanted).operation()
                continue
            if unit not in nodes:
                continue
            batch, inputs = nodes[unit]
            pieces = self._pieces(inputs)
            if batch.type.name == "stack" and dict(batch.settings)["axis"] == 0 and len(pieces) < len(inputs):
                yield taken(pieces, counts, unit, wanted, stacked=True)
                continue
            for slot in set(inputs).intersection(self.places).difference(known):
                known.add(slot)
                yield taken(self._pieces([slot]), counts, slot, wanted, stacked=False)
            bound, has_one = self._bound(batch)
            yield bound.at(unit, inputs, [has_one and wanted[slot] for slot in inputs])
        if plan.objective in nodes and plan.objective in self.places and plan.objective not in known:
            yield taken(self._pieces([plan.objective]), counts, plan.objective, wanted, stacked=False)

    def _pieces(self, inputs: Sequence[int]) -> list[Piece]:
        """Return inputs with those that are one node of neighbouring copies together."""
        pieces: list[Piece] = []
        for slot in inputs:
            own, copy, node = self.places.get(slot, (slot, 0, None))
            before = pieces[-1] if pieces else (None, None, 0, 0)
            if node is not None and (own, node, copy) == (before[0], before[1], before[3]):
                pieces[-1] = own, node, before[2], copy + 1
            else:
                pieces.append((own, node, copy, copy + 1))
        return pieces

    def forward(self, values: Values, part: PlanPart) -> Values:
        """Compute nodes one by one."""
        forward(self.operations(part), values)
        return values

    def backward(self, values: Values, part: PlanPart) -> Any:
        """Return the gradients by slot, None where nothing reaches a slot."""
        one = jnp.ones((), self.plan.dtype)
        gradients = backward(list(self.operations(part)), values, self.plan.objective or 0, one)
        return [gradients.get(slot) for slot in range(len(values))]

    def _part(self, batch: Batch, shape: tuple[int, ...], gradient: Array, given: Any) -> Array:
        if batch.type.is_elementwise:
            given = masked_product(gradient, given)
            axes = broadcast_axes(shape, batch.shape)
            if axes is not None:
                given = jnp.reshape(jnp.sum(given, axis=axes), shape)
        elif callable(given):
            with tracing("node type", batch.type):
                given = given()
        return jnp.asarray(given).astype(self.plan.dtype)

    def value(self, values: Values, slot: int) -> Any:
        """Return the value of a slot."""
        if slot not in self.places or values[slot] is not None:
            return values[slot]
        own, copy, node = self.places[slot]
        return values[own][node][copy]

    def target_gradients(self, gradients: Any) -> tuple[Array, ...]:
        """Return the gradients of the parameters."""
        return tuple(self.each(gradients, range(self.plan.parameters)))

    def each(self, values: Any, slots: Sequence[int]) -> Any:
        """Return a list of arrays of the slots' shapes."""
        plan = self.plan
        zero = np.zeros((), plan.dtype)
        return [
            jnp.broadcast_to(jnp.asarray(zero if values[slot] is None else values[slot]), plan.shapes[slot])
            for slot in slots
        ]

    def all(self, values: Any) -> Any:
        """Return the values or gradients of all slots, those of runs stacked."""
        plain = [slot for slot in range(len(self.plan.names)) if slot not in self.places]
        stacked = [list(values[own + 1] or values[own] or ()) for own in self.slots_of_runs]
        return self.each(values, plain), stacked

    def by_slot(self, found: Any) -> Any:
        """Return what `all` gave as a list by slot."""
        if not self.runs:
            return found[0]
        plain, stacked = iter(found[0]), [[None if a is None else np.asarray(a) for a in run] for run in found[1]]

        def of(slot: int) -> Any:
            own, copy, node = self.places[slot]
            arrays = stacked[(own - len(self.plan.names)) // 2]
            given = arrays[node] if arrays else None
            return np.zeros(self.plan.shapes[slot], self.plan.dtype) if given is None else given[copy]

        return [of(slot) if slot in self.places else next(plain) for slot in range(len(self.plan.names))]


def masked_product(gradient: Array, local_derivative: Any) -> Array:
    """Multiply, but zero times anything is zero."""
    if isinstance(local_derivative, int | float) and math.isfinite(local_derivative):
        return gradient if local_derivative == 1 else gradient * local_derivative
    if not jnp.issubdtype(jnp.result_type(local_derivative), jnp.floating):
        local_derivative = jnp.asarray(local_derivative).astype(gradient.dtype)
    return _masked_product(gradient, local_derivative)


@jax.custom_jvp
def _masked_product(gradient: Array, local_derivative: Any) -> Array:
    return jnp.where(gradient == 0, jnp.zeros((), gradient.dtype), gradient * local_derivative)


@_masked_product.defjvp
def _(factors: Any, tangents: Any) -> Any:
    """Differentiate the product, not the mask: a gradient of zero may be about to move."""
    gradient, local_derivative = factors
    first, second = (_masked_product(*pair) for pair in ((tangents[0], local_derivative), (gradient, tangents[1])))
    return _masked_product(gradient, local_derivative), first + second


def traced_forward(batch: Batch, dtype: np.dtype[Any]) -> Callable[..., Array]:
    """Return a batch's forward function for JAX; its result has the graph's dtype."""
    function = _bound(batch, batch.type.functions("jax")[0], 0)

    def forward(*inputs: Array) -> Array:
        with tracing("node type", batch.type):
            return jnp.asarray(function(*inputs)).astype(dtype)

    return forward


def _with_tangent(function: Callable[..., Array], derivative: Callable[..., Any]) -> Callable[..., Array]:
    """Return a forward function whose result moves as the declared local derivatives tell."""
    forward = jax.custom_jvp(function)

    @forward.defjvp
    def _(inputs: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
        output = function(*inputs)
        given = zip(tangents, derivative(None, output, *inputs), strict=True)
        moved = [masked_product(tangent, part) for tangent, part in given if part is not None]
        return output, sum(moved, start=jnp.zeros_like(output)).astype(output.dtype)

    return forward


def traced_derivative(batch: Batch) -> Callable[..., Any]:
    """Return a batch's second function for JAX, of (gradient, output, *inputs) for every type."""
    derivative = batch.type.functions("jax")[1]
    assert derivative is not None  # noqa: S101 (for the type checker: the caller looked)
    elementwise = batch.type.is_elementwise
    function = _bound(batch, derivative, 1 if elementwise else 2)

    def local_derivatives(gradient: Array, *arguments: Array) -> Any:
        with tracing("node type", batch.type):
            given = function(*arguments) if elementwise else function(gradient, *arguments)
            return tuple(part() if callable(part) and elementwise else part for part in given)

    return local_derivatives


def _bound(batch: Batch, function: Function, before: int) -> Function:
    """Return a function with JAX's namespace and the settings in place, inputs that select cast to integers."""
    positions = {before + position for position in batch.type.index_inputs}
    return with_indices(partial(function, jnp, **dict(batch.settings)), positions, as_index)


def as_index(value: Array) -> Array:
    """Return whole numbers as integers, what is not whole as one behind the end of every array.

    A compiled program cannot raise. What selects behind the end gives NaN, and the NumPy engine finds the reason.
    """
    if not jnp.issubdtype(value.dtype, jnp.floating):
        return value
    return jnp.where(value == jnp.floor(value), value, 2.0**31 - 1).astype(jnp.int32)


@contextmanager
def tracing(kind: str, declaration: Declaration) -> Iterator[None]:
    """Turn what a declared function raises while JAX traces it into an error that names it.

    Raises:
        UsageError: the function cannot be traced.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"the jax engine cannot run the {kind} {declaration.name} ({declaration.file}): {reason_of(error)}\n"
            "  --engine numpy runs every one"
        ) from error


def reason_of(error: BaseException) -> str:
    """Say what is wrong with a function that raised an error while it was traced."""
    if isinstance(error, jax.errors.TracerArrayConversionError):
        return "it calls NumPy itself, not xp, which is the engine's array namespace"
    if isinstance(error, jax.errors.ConcretizationTypeError | jax.errors.TracerIntegerConversionError):
        return "it looks at a value, which is not known yet when XLA compiles; xp.where chooses without looking"
    return f"it raises {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
