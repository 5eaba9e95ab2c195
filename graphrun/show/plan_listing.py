"""`graphrun show FILE --plan`: the schedule of a graph for a reader, and whole as plain data for a program."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import wrap
from typing import Any

import numpy as np

from graphrun.base.numbertext import size as as_bytes
from graphrun.base.rows import encode
from graphrun.base.wording import counted
from graphrun.plan.plan import Batch, Plan
from graphrun.run.passes import Kind, Passes
from graphrun.show.tables import WIDTH, align, cut

SHOWN_BATCHES = 40
SHOWN_NAMES = 8
LEAVES_WIDTH = 30

PARTS = {
    "both": "forward and backward pass of each step",
    "forward": "forward pass of each step: no parameter reaches it",
    "kept": "forward pass of each step: a node keeps something of it for the next step",
    "once": "computed once, before the first step",
    "aside": "not needed for the objective: computed when it is looked at",
}
"""When the nodes of a batch are computed."""

LEAVES = {
    Kind.PARAMETER: "parameter",
    Kind.FROZEN: "frozen parameter",
    Kind.DATA: "data column",
    Kind.NOISE: "random number",
    Kind.STATE: "node state",
    Kind.CONSTANT: "constant",
    Kind.LITERAL: "number",
}

ORDER = (
    "The backward pass takes the batches marked 'both' from the last to the first. What several uses give to a value "
    "is added up in the order of that pass, so that every run gives the same bits."
)


def part_of(plan: Plan, batch: Batch) -> str:
    """Return when the nodes of a batch are computed, a key of `PARTS`."""
    if not batch.varying:
        return "once"
    if not batch.needed:
        return "kept" if plan.states and batch in plan.in_loop else "aside"
    return "both" if batch.moving else "forward"


def memory(plan: Plan) -> dict[str, int]:
    """Return the bytes that a run keeps: values, gradients, the update rule's states, the slots of the inputs."""
    sizes = [math.prod(shape) * plan.dtype.itemsize for shape in plan.shapes]
    states = len(getattr(plan.update.rule, "state", ())) * sum(sizes[: plan.parameters])
    return {"values": sum(sizes), "gradients": sum(sizes), "states": states, "inputs": plan.operands.nbytes}


# --- plain data ------------------------------------------------------------------------------------------------------


def plan_data(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain data, ready for JSON, with all that it takes to compute what a run computes.

    A slot is the number of a value: parameters, frozen ones, the other leaves, then the nodes. ``factors`` are what the
    rule's settings are multiplied by, of the parameters that have any. ``leaves`` holds the leaves' values,
    null for what a data set or the engine gives. ``forward`` and ``backward`` hold, in order, the numbers of the
    batches that each step computes; ``inputs`` of a batch the slots of all its nodes' first inputs, then of all second
    ones, and so on; ``derivatives`` the positions of the inputs that are given a derivative.
    """
    numbers = range(len(plan.batches))
    given = {*plan.data, *(noise.slot for noise in plan.noise)}
    schedule = plan.update.schedule
    return {
        "dtype": plan.dtype.name,
        "names": list(plan.names),
        "shapes": [list(shape) for shape in plan.shapes],
        "parameters": plan.parameters,
        "frozen": plan.frozen,
        "factors": {str(slot): dict(factors) for slot, factors in plan.factors.items()},
        "leaves": [None if slot in given else encode(leaf) for slot, leaf in enumerate(plan.leaves)],
        "bounds": [bounds and [encode(bound) for bound in bounds] for bounds in plan.bounds],
        "data": list(plan.data),
        "random": [{"slot": noise.slot, "key": noise.key, "like": noise.like} for noise in plan.noise],
        "states": [{"slots": list(node.slots), "node": node.batch.start} for node in plan.states],
        "batches": [
            {
                "type": batch.type.name,
                "settings": _plain(dict(batch.settings)),
                "generation": batch.generation,
                "start": batch.start,
                "count": batch.count,
                "shape": list(batch.shape),
                "inputs": plan.inputs(batch).tolist(),
                "derivatives": [k for k, slots in enumerate(plan.inputs(batch)) if plan.moving[slots].any()],
                "part": part_of(plan, batch),
            }
            for batch in plan.batches
        ],
        "forward": [k for k in numbers if part_of(plan, plan.batches[k]) in {"both", "forward", "kept"}],
        "backward": [k for k in reversed(numbers) if part_of(plan, plan.batches[k]) == "both"],
        "objective": plan.objective,
        "maximize": plan.maximize,
        "update": {
            "type": plan.update.rule.name,
            "settings": _plain(dict(plan.update.settings)),
            "schedule": schedule and {"type": schedule[0].name, "settings": _plain(dict(schedule[1]))},
            "clip_norm": plan.update.clip_norm,
            "clip_value": plan.update.clip_value,
            "accumulate": plan.update.accumulate,
        },
        "memory": memory(plan),
    }


def _plain(value: Any) -> Any:
    """Make the value of a setting plain data."""
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float | np.floating | np.ndarray):
        return encode(value)
    return value if isinstance(value, bool | int | str | None) else str(value)


# --- text ------------------------------------------------------------------------------------------------------------


def plan_lines(plan: Plan, name: str) -> Iterator[str]:
    """Yield the listing of a plan: leaves, batches by generation, the order of the backward pass, the memory."""
    nodes = counted(plan.node_count, "node")
    batches = counted(len(plan.batches), "batch", "batches")
    generations = counted(max(plan.generations, default=0), "generation")
    yield from wrap(f"{name}: {nodes}, {batches}, {generations}, {plan.dtype.name}", WIDTH)
    if not plan.names:
        return
    yield ""
    yield from align([["slots", "leaves", "shape"], *_leaf_rows(plan)], left=3)
    yield ""
    yield from _batch_table(plan)
    used = {part_of(plan, batch) for batch in plan.batches}
    yield from (f"{part}: {meaning}" for part, meaning in PARTS.items() if part in used)
    yield ""
    if plan.objective is None:
        yield "There is no objective, so there is no backward pass and no update."
    if "both" in used and plan.objective is not None:
        yield from wrap(f"{ORDER} It begins at {plan.names[plan.objective]} with 1.", WIDTH)
    parts = [f"{part} {as_bytes(size)}" for part, size in memory(plan).items() if size]
    yield from wrap(f"memory: {', '.join(parts)}", WIDTH)


def _leaf_rows(plan: Plan) -> Iterator[list[str]]:
    """Yield what the leaves are, those of one kind and shape on one line."""
    passes = Passes(plan, 0, (), ())
    for (kind, shape), group in groupby(range(len(plan.leaves)), lambda slot: (passes.kind(slot), plan.shapes[slot])):
        slots, what = list(group), LEAVES[kind]
        names = [_name(plan, slot) for slot in slots[:SHOWN_NAMES]]
        while len(names) > 1 and len(", ".join(names)) > LEAVES_WIDTH:
            names.pop()
        text = f"{what} {cut(', '.join(names), LEAVES_WIDTH)}"
        if len(names) < len(slots):
            text = f"{counted(len(slots), what)}: {', '.join(names)}, ..."
        yield [_slots(slots[0], slots[-1]), text, _shape(shape)]


def _batch_table(plan: Plan) -> Iterator[str]:
    """Yield the batches, of many the first and the last, and how many nodes of each type there are between."""
    batches = plan.batches
    hidden = batches[SHOWN_BATCHES // 2 : -SHOWN_BATCHES // 2] if len(batches) > SHOWN_BATCHES else []
    shown = [*batches[: SHOWN_BATCHES // 2], *batches[-SHOWN_BATCHES // 2 :]] if hidden else batches
    room = _room(plan, shown)
    before, rows = 0, [["gen", "slots", "nodes", "shape", "part"]]
    for number, batch in enumerate(shown):
        if hidden and number == SHOWN_BATCHES // 2:
            place = len(rows)
        first, *rest = wrap(_call(plan, batch), room, subsequent_indent="  ")
        mark = str(batch.generation) if batch.generation != before else ""
        rows.append([mark, _slots(batch.start, batch.stop - 1), first, _shape(batch.shape), part_of(plan, batch)])
        rows += [["", "", line, "", ""] for line in rest]
        before = batch.generation
    lines = list(align(rows, left=5))
    if not hidden:
        yield from lines
        return
    yield from lines[:place]
    types: Counter[str] = Counter()
    for batch in hidden:
        types[batch.type.name] += batch.count
    kinds = ", ".join(f"{name} {count:,}" for name, count in types.most_common())
    text = f"... {counted(len(hidden), 'batch', 'batches')} more, with nodes of {kinds}; --format json has them all"
    yield from wrap(text, WIDTH - 5, initial_indent=" " * 5, subsequent_indent=" " * 9)
    yield from lines[place:]


def _room(plan: Plan, shown: Sequence[Batch]) -> int:
    """Return how wide the column of the nodes may be beside the others."""
    others = [(str(b.generation), _slots(b.start, b.stop - 1), _shape(b.shape), part_of(plan, b)) for b in shown]
    taken = sum(max(map(len, column)) for column in zip(("gen", "slots", "shape", "part"), *others, strict=True))
    return max(WIDTH - 8 - taken, 24)


def _call(plan: Plan, batch: Batch) -> str:
    """Return what a batch computes: a node with its inputs by name, many with the slots that their inputs lie in."""
    slots = plan.inputs(batch)
    if batch.count == 1:
        inputs = [_name(plan, slot) for slot in slots[:, 0].tolist()]
        what = f"{plan.names[batch.start]} = "
    else:
        inputs = [_range(plan, column) for column in slots]
        what = f"{batch.count:,} x "
    settings = [f"{name}={_plain(value)}" for name, value in batch.settings]
    return f"{what}{batch.type.name}({', '.join([*inputs, *settings])})"


def _name(plan: Plan, slot: int) -> str:
    return plan.names[slot] or f"{float(plan.leaves[slot]):.8g}"


def _range(plan: Plan, column: Any) -> str:
    """Return where the inputs of many nodes lie; as `of` where they are not all in a row."""
    low, high = int(column.min()), int(column.max())
    if low == high:
        return _name(plan, low)
    return f"{low}-{high}" if (np.diff(column) == 1).all() else f"of {low}-{high}"


def _slots(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}-{last}"


def _shape(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape)) or "number"
