"""A large graph's steps as loops: one tight loop for each kind of node, over the plan's arrays, batch by batch.

Nodes of narrow batches that follow each other are a run: one loop over a stream of instructions, each the number of a
kind and the operands, in the order in which they are read. A batch of one node costs two branches that are guessed
wrong, and a row of the table.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from graphrun.declare.trace import Expression, inputs_of
from graphrun.engines.numba.source import Lines, StepsCode
from graphrun.engines.traced import Functions, Known, Tracer
from graphrun.plan.plan import Batch, Plan

FOLDED = (-1.0, 0.5, 1.0, 2.0, 3.0)
"""The numbers that get loops of their own where every node of a batch has them, so that x ** 2 is x * x."""

NARROW, MOST_OPERANDS, SHORTEST_RUN = 3, 3, 16
"""So many batches in succession, of at most so many nodes with at most so many operands, are a run."""

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

    @property
    def given(self) -> list[tuple[int, Expression]]:
        """What a node gives to its inputs, with their positions."""
        contributions = enumerate(self.functions.contributions)
        return [(k, given) for k, given in contributions if given is not None and self.wanted[k]]


@dataclass(frozen=True)
class _Loop:
    """A loop over nodes: of one kind or, in a run, of the kinds that its instructions name.

    Attributes:
        stride: how many integers each node has among the operands.
        is_run: each node's integers begin with the number of its kind.
    """

    kinds: Sequence[_Kind]
    stride: int
    is_run: bool = False


def loops(plan: Plan, *, divided: bool = False) -> StepsCode:
    """Write the steps of a plan of numbers; a gradient of 0 gives nothing.

    Args:
        divided: each batch has a row of its own, also within a run.

    Raises:
        NotSupportedError: a node type or the update rule cannot be written as arithmetic.
    """
    tracer = Tracer(plan)
    kinds, of_batch = _kinds(plan, tracer)
    in_run = _in_run(plan.in_loop)
    alone = sorted({kind for kind, run in zip(of_batch, in_run, strict=True) if not run})
    found = [_Loop([kinds[kind]], len(kinds[kind].known)) for kind in alone]
    number_of = {kind: number for number, kind in enumerate(alone)}
    if any(in_run):
        used = sorted({kind for kind, run in zip(of_batch, in_run, strict=True) if run})
        stride = 1 + max(len(kinds[kind].known) for kind in used)
        found.append(_Loop([kinds[kind] for kind in used], stride, is_run=True))
        instruction = {kind: number for number, kind in enumerate(used)}
    out = Lines(tracer)
    _write(plan, out, found)
    rows: list[int] = []
    operands = array("i")
    run_until = -1
    for kind, batch, run in zip(of_batch, plan.in_loop, in_run, strict=True):
        inputs = plan.inputs(batch).T
        if not run:
            rows += (number_of[kind], batch.start, batch.stop, len(operands))
            operands.frombytes(inputs.tobytes())
            continue
        if divided or run_until != batch.start:
            rows += (len(found) - 1, batch.start, batch.stop, len(operands))
        rows[-2] = run_until = batch.stop
        unused = [0] * (stride - 1 - batch.arity)
        for slots in inputs.tolist():
            operands.extend((instruction[kind], *slots, *unused))
    size = sum(kind.functions.size for loop in found for kind in loop.kinds)
    return StepsCode(out.module(), size, True, np.array(rows, np.int32), np.array(operands, np.int32))


def _in_run(batches: Sequence[Batch]) -> list[bool]:
    """Return for each batch whether it is part of a run."""
    found: list[bool] = []
    for narrow, group in groupby(batches, lambda batch: batch.count <= NARROW and batch.arity <= MOST_OPERANDS):
        length = len(list(group))
        found += [narrow and length >= SHORTEST_RUN] * length
    return found


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


def _write(plan: Plan, out: Lines, found: Sequence[_Loop]) -> None:
    zero, one = out.literal(0.0), out.literal(1.0)
    out.add("watching = not math.isnan(memory[3])")
    out.add("last = step + count", "code = 0", "first = True", "while True:")
    out.indent += 1
    out.add("for batch in range(len(batches) // 4):")
    out.block(READ_BATCH, deeper=1)
    out.indent += 1
    for number, loop in enumerate(found):
        _forward(out, number, loop)
    out.indent -= 1
    out.add(f"gradients[:] = {zero}", f"gradients[{plan.objective}] = {one}")
    out.add("for batch in range(len(batches) // 4 - 1, -1, -1):")
    out.block(READ_BATCH, deeper=1)
    out.indent += 1
    for number, loop in enumerate(found):
        _backward(out, number, loop)
    out.indent -= 1
    finish(plan, out, f"values[{plan.objective}]")


def finish(plan: Plan, out: Lines, objective: str, at_end: Sequence[str] = ()) -> None:
    """Write what follows the passes of a step whose parameters and gradients stand in arrays, up to the next one.

    Args:
        objective: its value.
        at_end: what is done after the last step.
    """
    count, states = plan.parameters, len(plan.rule.state)
    out.add(f"finite = math.isfinite({objective})", f"for k in range({count}):")
    out.add("    finite &= math.isfinite(gradients[k])")
    out.add("if not finite:", "    code = 1", f"    for k in range({count}):", "        trial[k] = values[k]")
    out.add("    if not first:", "        step -= 1", f"        for k in range({count}):")
    out.add("            values[k] = kept[0, k]")
    out.add(*(f"            states[{i}, k] = kept[{i + 1}, k]" for i in range(states)))
    out.add("    break")
    out.add("if watching and not first:")
    out.watch(count, objective)
    out.add("first = False", "if step == last or code != 0:", *(f"    {line}" for line in at_end))
    out.add("    break", "step += 1")
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
    if plan.update.clips_means:
        out.add(f"s{len(states) - 1} = select(due, {out.literal(0.0)}, s{len(states) - 1})")
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


def _forward(out: Lines, number: int, loop: _Loop) -> None:
    """Write the loop of the forward functions."""
    out.add(f"{'if' if number == 0 else 'elif'} kind == {number}:", "    for node in range(start, stop):")
    out.indent += 2
    _node(out, loop, _value)
    out.add(f"place += {loop.stride}")
    out.indent -= 2


def _backward(out: Lines, number: int, loop: _Loop) -> None:
    """Write the loop of what nodes give to their inputs: nothing where their own gradient is 0."""
    out.add(f"{'if' if number == 0 else 'elif'} kind == {number}:")
    if not any(kind.given for kind in loop.kinds):
        out.add("    pass")
        return
    out.add(f"    place += {loop.stride} * (stop - start)", "    for node in range(stop - 1, start - 1, -1):")
    out.indent += 2
    out.add(f"place -= {loop.stride}", "g = read(gradients, node)", "if g != 0:")
    out.indent += 1
    _node(out, loop, _contributions)
    out.indent -= 3


def _node(out: Lines, loop: _Loop, write: Callable[[Lines, _Kind, int], None]) -> None:
    """Write what is done with a node, whose integers begin at `place`."""
    if not loop.is_run:
        write(out, loop.kinds[0], 0)
        return
    out.add("instruction = read(operands, place)")
    for number, kind in enumerate(loop.kinds):
        out.add(f"{'if' if number == 0 else 'elif'} instruction == {number}:")
        out.indent += 1
        write(out, kind, 1)
        out.indent -= 1


def _value(out: Lines, kind: _Kind, first: int) -> None:
    """Write a node's forward function; its first operand stands at `place + first`."""
    expression = kind.functions.forward
    names = _read_inputs(out, kind, inputs_of([expression]), first)
    (text,) = out.write([expression], names)
    out.add(f"write(values, node, {text})")


def _contributions(out: Lines, kind: _Kind, first: int) -> None:
    """Write what a node gives to its inputs."""
    if not kind.given:
        out.add("pass")
        return
    contributions = [contribution for _, contribution in kind.given]
    used = inputs_of(contributions)
    if "y" in used:
        out.add("y = read(values, node)")
    texts = out.write(contributions, _read_inputs(out, kind, used, first) | {"y": "y", "g": "g"})
    for (position, _), text in zip(kind.given, texts, strict=True):
        out.add(f"slot = read(operands, place + {first + position})")
        out.add(f"write(gradients, slot, read(gradients, slot) + ({text}))")


def _read_inputs(out: Lines, kind: _Kind, used: set[str], first: int) -> dict[str, str]:
    """Write the reading of the inputs that are used, and return the names of all."""
    names = [f"x{k}" for k in range(len(kind.known))]
    out.add(*(f"{x} = read(values, read(operands, place + {k}))" for k, x in enumerate(names, first) if x in used))
    return {x: x for x in names}
