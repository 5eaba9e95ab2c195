"""A large graph's steps as loops: one tight loop for each kind of node, over the plan's arrays, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphrun.declare.trace import inputs_of
from graphrun.engines.numba.source import Lines, StepsCode
from graphrun.engines.traced import Functions, Known, Tracer
from graphrun.plan.plan import Plan

FOLDED = (-1.0, 0.5, 1.0, 2.0, 3.0)
"""The numbers that get loops of their own where every node of a batch has them, so that x ** 2 is x * x."""


READ_BATCH = """\
kind = read(batches, 4 * batch)
start = read(batches, 4 * batch + 1)
stop = read(batches, 4 * batch + 2)
place = read(batches, 4 * batch + 3)
"""


@dataclass(frozen=True)
class _Kind:
    """What the nodes of a batch have in common, as far as the text of their loop depends on it."""

    functions: Functions
    wanted: tuple[bool, ...]
    known: Known


def loops(plan: Plan) -> StepsCode:
    """Write the steps of a plan of numbers; a gradient of 0 gives nothing.

    Raises:
        NotSupportedError: a node type or the update rule cannot be written as arithmetic.
    """
    tracer = Tracer(plan)
    kinds, of_batch = _kinds(plan, tracer)
    out = Lines(tracer)
    _write(plan, out, kinds)
    operands = plan.operands.copy()
    for batch in plan.in_loop:
        if batch.count > 1 and batch.arity > 1:
            part = plan.inputs(batch)
            operands[batch.operands : batch.operands + part.size] = part.T.ravel()
    rows = [(kind, b.start, b.stop, b.operands) for kind, b in zip(of_batch, plan.in_loop, strict=True)]
    size = sum(kind.functions.size for kind in kinds)
    return StepsCode(out.module(), size, True, np.array(rows, np.int32).ravel(), operands)


def _kinds(plan: Plan, tracer: Tracer) -> tuple[list[_Kind], list[int]]:
    """Return the kinds of nodes, and the number of that of each batch."""
    literals = {slot: number for slot, number in tracer.literals.items() if number in FOLDED}
    moving, moves = plan.moving, plan.moving.tolist()
    numbers: dict[Any, int] = {}
    kinds: list[_Kind] = []
    of_batch = []
    for batch in plan.in_loop:
        wanted, known = [], []
        if batch.count == 1:
            for slot in plan.operands[batch.operands : batch.operands + batch.arity].tolist():
                wanted.append(moves[slot])
                known.append(literals.get(slot))
        else:
            for slots in plan.inputs(batch):
                wanted.append(bool(moving[slots].any()))
                first = literals.get(int(slots[0]))
                known.append(first if first is not None and (slots == slots[0]).all() else None)
        key = batch.type, batch.settings, tuple(wanted), tuple(known)
        if key not in numbers:
            numbers[key] = len(kinds)
            kinds.append(_Kind(tracer.functions(batch, key[3]), key[2], key[3]))
        of_batch.append(numbers[key])
    return kinds, of_batch


def _write(plan: Plan, out: Lines, kinds: list[_Kind]) -> None:
    count, states = plan.parameters, len(plan.rule.state)
    zero, one = out.literal(0.0), out.literal(1.0)
    out.add("watching = not math.isnan(memory[3])")
    out.add("last = step + count", "code = 0", "first = True", "while True:")
    out.indent += 1
    out.add("for batch in range(len(batches) // 4):")
    out.block(READ_BATCH, deeper=1)
    out.indent += 1
    for number, kind in enumerate(kinds):
        _forward(out, number, kind)
    out.indent -= 1
    out.add(f"gradients[:] = {zero}", f"gradients[{plan.objective}] = {one}")
    out.add("for batch in range(len(batches) // 4 - 1, -1, -1):")
    out.block(READ_BATCH, deeper=1)
    out.indent += 1
    for number, kind in enumerate(kinds):
        _backward(out, number, kind)
    out.indent -= 1
    out.add(f"finite = math.isfinite(values[{plan.objective}])", f"for k in range({count}):")
    out.add("    finite &= math.isfinite(gradients[k])")
    out.add("if not finite:", "    code = 1", f"    for k in range({count}):", "        trial[k] = values[k]")
    out.add("    if not first:", "        step -= 1", f"        for k in range({count}):")
    out.add("            values[k] = kept[0, k]")
    out.add(*(f"            states[{i}, k] = kept[{i + 1}, k]" for i in range(states)))
    out.add("    break")
    out.add("if watching and not first:")
    out.watch(count, f"values[{plan.objective}]")
    out.add("first = False", "if step == last or code != 0:", "    break", "step += 1")
    _update(plan, out)
    out.indent -= 1
    out.add("return step, code")


def _update(plan: Plan, out: Lines) -> None:
    """Write the update of every parameter, after what was before it is put aside."""
    out.step_size()
    if plan.update.clips:
        out.clip(plan.parameters)
    out.add(f"for k in range({plan.parameters}):")
    out.indent += 1
    states = [f"states[{i}, k]" for i in range(len(plan.rule.state))]
    out.add("value = kept[0, k] = values[k]", "gradient = gradients[k]")
    out.add(*(f"s{i} = kept[{i + 1}, k] = {state}" for i, state in enumerate(states)))
    for number, (rule, _) in enumerate(plan.groups):
        if len(plan.groups) > 1:
            out.add(f"{'elif' if number else 'if'} bounds[2, k] == {number}:")
        out.indent += len(plan.groups) > 1
        texts = out.updated(rule, "value", "gradient", [f"s{i}" for i in range(len(states))])
        out.add(f"{', '.join(['value', *states])} = {texts}")
        out.indent -= len(plan.groups) > 1
    if any(plan.bounds):
        out.add("value = np.minimum(np.maximum(value, bounds[0, k]), bounds[1, k])")
    out.add("values[k] = value")
    out.indent -= 1


def _forward(out: Lines, number: int, kind: _Kind) -> None:
    """Write the loop of one kind's forward function."""
    expression = kind.functions.forward
    out.add(f"{'if' if number == 0 else 'elif'} kind == {number}:", "    for node in range(start, stop):")
    out.indent += 2
    _read_inputs(out, inputs_of([expression]), len(kind.known))
    (text,) = out.write([expression], {f"x{k}": f"x{k}" for k in range(len(kind.known))})
    out.add(f"write(values, node, {text})", f"place += {len(kind.known)}")
    out.indent -= 2


def _backward(out: Lines, number: int, kind: _Kind) -> None:
    """Write the loop of what one kind's nodes give to their inputs: nothing where their own gradient is 0."""
    given = [
        (position, contribution)
        for position, contribution in enumerate(kind.functions.contributions)
        if contribution is not None and kind.wanted[position]
    ]
    out.add(f"{'if' if number == 0 else 'elif'} kind == {number}:")
    if not given:
        out.add("    pass")
        return
    arity = len(kind.known)
    out.add(f"    place += {arity} * (stop - start)", "    for node in range(stop - 1, start - 1, -1):")
    out.indent += 2
    out.add(f"place -= {arity}", "g = read(gradients, node)", "if g != 0:")
    out.indent += 1
    used = inputs_of([contribution for _, contribution in given])
    if "y" in used:
        out.add("y = read(values, node)")
    _read_inputs(out, used, arity)
    names = {f"x{k}": f"x{k}" for k in range(arity)} | {"y": "y", "g": "g"}
    texts = out.write([contribution for _, contribution in given], names)
    for (position, _), text in zip(given, texts, strict=True):
        out.add(f"slot = read(operands, place + {position})")
        out.add(f"write(gradients, slot, read(gradients, slot) + ({text}))")
    out.indent -= 3


def _read_inputs(out: Lines, used: set[str], arity: int) -> None:
    out.add(*(f"x{k} = read(values, read(operands, place + {k}))" for k in range(arity) if f"x{k}" in used))
