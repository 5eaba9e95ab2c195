"""Where a value or a derivative that is not finite arose, found by running the NumPy engine once at that point."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from graphrun.base.types import Array
from graphrun.base.wording import arrows
from graphrun.engines import NotFinite
from graphrun.engines.numpy import NumpyProgram, bind, is_finite, node_program
from graphrun.plan.plan import Plan

SHOWN_ELEMENTS = 6


def diagnose(plan: Plan, leaves: Sequence[Array], slot: int | None = None) -> str:
    """Say where what is not finite arose at the leaves' values: the node, its inputs, and the path to it from a leaf.

    `slot` is a value that is not finite, where it is one that the objective does not depend on.
    """
    program = node_program(plan.at_rest(leaves))
    with suppress(NotFinite):
        program.evaluate()
    values = program.values(range(len(plan.names)))
    slot = plan.objective if slot is None else slot
    if slot is not None and not is_finite(values[slot]):
        return _value(plan, values, slot)
    return _derivative(plan, program, values)


def diagnose_failure(plan: Plan, leaves: Sequence[Array], error: BaseException) -> str:
    """Say which node's function raised an error at the leaves' values, by calling all of them one by one there."""
    values: list[Any] = [*leaves, *[None] * len(plan.names)]
    for batch in plan.batches:
        bound = bind(plan, batch)
        for _, slot, inputs in plan.nodes([batch]):
            arguments = [values[source] for source in inputs]
            fault = None
            try:
                with np.errstate(all="ignore"):
                    output = bound.function(*arguments)
                values[slot] = np.asarray(output, dtype=plan.dtype)[()]
                if np.shape(output) != batch.shape:
                    fault = f"gives the shape {np.shape(output)}, not {batch.shape}"
                elif batch.type.derivative is not None:
                    gradient = () if batch.type.is_elementwise else (np.ones_like(values[slot]),)
                    with np.errstate(all="ignore"):
                        partials = bound.derivative(*gradient, values[slot], *arguments)
                    if not isinstance(partials, tuple) or len(partials) != len(inputs):
                        fault = f"gives no tuple of {len(inputs)} derivatives"
            except (Exception, SystemExit) as raised:
                fault = f"raises {type(raised).__name__}: {raised}"
            if fault is not None:
                given = f"its inputs are {_shown_inputs(plan, inputs, values)}; reached by {_path(plan, slot)}"
                return f"{_node(plan, slot)} ({batch.type.file}) {fault}; {given}"
    return f"the update rule {plan.rule.name} ({plan.rule.file}) or an engine raises {type(error).__name__}: {error}"


def _value(plan: Plan, values: list[Array], slot: int) -> str:
    """Follow inputs that are not finite up from a value to the first node whose inputs all are."""
    while bad := [source for source in plan.inputs_of(slot) if not is_finite(values[source])]:
        slot = bad[0]
    if slot < len(plan.leaves):
        return f"{plan.names[slot]} is {show(values[slot])}"
    inputs = plan.inputs_of(slot)
    given = _shown_inputs(plan, inputs, values) + _outside(plan, slot, inputs, values)
    value = show(values[slot])
    return f"the value of {_node(plan, slot)} is {value}; its inputs are {given}; reached by {_path(plan, slot)}"


def _outside(plan: Plan, slot: int, inputs: Sequence[int], values: list[Array]) -> str:
    """Say which input lies outside the domain that its type declares."""
    node_type = plan.batch_of(slot).type
    for name, source in zip(node_type.inputs, inputs, strict=False):
        domain = node_type.domain.get(name)
        if domain is not None and any(float(number) not in domain for number in np.ravel(values[source])):
            return f", outside the domain {domain} of {name}"
    return ""


def _derivative(plan: Plan, program: NumpyProgram, values: list[Array]) -> str:
    """Find the last node that is given a finite gradient and gives one that is not."""
    gradients = program.gradients_by_slot
    for operation in reversed(program.operations(masked=True)):
        gradient = gradients[operation.output]
        if gradient is None or not is_finite(gradient):
            continue
        with np.errstate(all="ignore"):
            given = list(operation.pull(gradient, values))
        for slot, contribution in given:
            if not is_finite(contribution):
                return (
                    f"the derivative of {_node(plan, operation.output)} by {_name(plan, slot)} is not finite "
                    f"({show(contribution)}); its value is {show(values[operation.output])}, its inputs are "
                    f"{_shown_inputs(plan, operation.inputs, values)}; reached by {_path(plan, operation.output)}"
                )
    names = ", ".join(_name(plan, k) for k in range(plan.parameters) if not is_finite(gradients[k]))
    return f"the gradient of {names} adds up to something not finite"


def _path(plan: Plan, slot: int) -> str:
    """Name one way to a node from a leaf, from a parameter where there is one."""
    path = [slot]
    while inputs := plan.inputs_of(path[-1]):
        path.append(next((source for source in inputs if plan.moving[source]), inputs[0]))
    return arrows([_name(plan, step) for step in reversed(path)])


def _node(plan: Plan, slot: int) -> str:
    return f"node {_name(plan, slot)!r} (type {plan.batch_of(slot).type.name})"


def _name(plan: Plan, slot: int) -> str:
    return plan.names[slot] or show(plan.leaves[slot])


def _shown_inputs(plan: Plan, inputs: Sequence[int], values: list[Array]) -> str:
    return ", ".join(
        f"{plan.names[slot]} = {show(values[slot])}" if plan.names[slot] else show(values[slot]) for slot in inputs
    )


def show(value: Any) -> str:
    """Show a number, or a small array whole and a large one by its shape and its first element that is not finite."""
    array = np.asarray(value)
    if array.ndim == 0:
        return f"{float(array):.6g}"
    if array.size <= SHOWN_ELEMENTS:
        return np.array2string(array, separator=", ", precision=6).replace("\n", "")
    text = f"an array of shape {array.shape}"
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = ", ".join(map(str, bad[0]))
        text += f" with {len(bad)} of {array.size} elements not finite, the first at [{place}]"
    return text
