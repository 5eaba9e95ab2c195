"""Runs: copies of one subgraph that are alike, each fed by the one before it, which XLA is given as one loop.

XLA takes 20 to 40 ms for each operation that is written out, so that a recurrence of 1,000 steps would compile for
minutes. What is alike is found in the plan itself: nodes whose names differ in one number, as `repeat` names them,
and that are of equal types, settings and shapes and read the same of their own copy and of the copy before. Copies
at the ends that differ stay as they are.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from graphrun.plan.plan import Batch, Plan

LEAST_SAVED = 200
"""So many operations at least must a loop save: in a program that is written out XLA fuses more, and it is faster."""

Source = tuple[Any, ...]
"""Where a node of a copy has an input from: ("own", node), ("before", node, slot for the first copy), ("same", slot)
for all copies, or ("each", slots) one a copy."""


@dataclass(frozen=True)
class Run:
    """Copies that are alike.

    Attributes:
        slots: the slots of their nodes, a row for each copy; in a copy, a node comes after what it reads.
        batches: the batch of each node of the first copy.
        sources: where each node has its inputs from.
        rows: for a node that only takes its copy's slice of an array, the indices.
    """

    slots: Any
    batches: Sequence[Batch]
    sources: Sequence[Sequence[Source]]
    rows: Sequence[Any]

    @cached_property
    def outside(self) -> list[int]:
        """The slots of what is read from outside, each once."""
        found: dict[int, None] = {}
        for kind, *source in (source for sources in self.sources for source in sources):
            if kind == "each":
                found.update(dict.fromkeys(source[0]))
            elif kind != "own":
                found[source[-1]] = None
        return list(found)


def find_runs(plan: Plan) -> list[Run]:
    """Return runs that have no nodes in common and do not wait for each other."""
    if plan.node_count < LEAST_SAVED:
        return []
    finder = _Finder(plan)
    families: dict[str, list[Run]] = defaultdict(list)
    for prefix, copies in finder.candidates():
        run = finder.run(copies)
        if run is not None:
            families[re.sub(r"\.\d+(?=\.|$)", ".#", prefix)].append(run)

    def saved(runs: Sequence[Run]) -> int:
        return sum((len(run.slots) - 1) * len(run.batches) for run in runs)

    taken = np.zeros(len(plan.names), bool)
    chosen = []
    for runs in sorted(families.values(), key=saved, reverse=True):
        # Of copies within copies, those are taken that save most.
        if not any(taken[run.slots].any() for run in runs):
            chosen += runs
            for run in runs:
                taken[run.slots] = True
    return chosen if ordered(plan, chosen) is not None else []


def ordered(plan: Plan, runs: Sequence[Run]) -> list[int | Run] | None:
    """Return the slots of the nodes in order, runs in the place of theirs; None where they wait for each other."""
    owners: dict[int, int | Run] = {int(slot): run for run in runs for slot in run.slots.ravel()}
    numbers = {id(run): -1 - k for k, run in enumerate(runs)}
    waits: dict[int, set[int]] = {}
    for _, slot, inputs in plan.nodes():
        unit = owners.get(slot, slot)
        number = unit if isinstance(unit, int) else numbers[id(unit)]
        read = (owners.get(source, source) for source in inputs if source >= len(plan.leaves))
        found = (source if isinstance(source, int) else numbers[id(source)] for source in read)
        waits.setdefault(number, set()).update(source for source in found if source != number)
    try:
        order = list(TopologicalSorter(waits).static_order())
    except CycleError:
        return None
    return [runs[-1 - number] if number < 0 else number for number in order]


def varying(plan: Plan, runs: Sequence[Run]) -> Plan:
    """Return the plan with all nodes of runs, and what reads them, computed in every step: a loop is not cut in two."""
    moves = np.zeros(len(plan.names), bool)
    for run in runs:
        moves[run.slots] = True
    batches = []
    for batch in plan.batches:
        moves[batch.start : batch.stop] |= batch.varying or bool(moves[plan.inputs(batch)].any())
        batches.append(replace(batch, varying=bool(moves[batch.start : batch.stop].any())))
        moves[batch.start : batch.stop] = batches[-1].varying
    return replace(plan, batches=tuple(batches))


class _Finder:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.nodes = {slot: (batch, inputs) for batch, slot, inputs in plan.nodes()}

    def candidates(self) -> Iterator[tuple[str, dict[int, dict[str, int]]]]:
        """Yield nodes whose names begin alike and go on with a number: by that, and by what comes behind it."""
        groups: dict[str, dict[int, dict[str, int]]] = {}
        for slot in self.nodes:
            name = self.plan.names[slot] or ""
            for found in re.finditer(r"\.(\d+)(?=\.|$)", name):
                copies = groups.setdefault(name[: found.start()], {})
                copies.setdefault(int(found[1]), {})[name[found.end() :]] = slot
        for prefix, copies in groups.items():
            if sum(map(len, copies.values())) > LEAST_SAVED:
                if self.plan.slots.get(prefix) in self.nodes and "" in copies.get(max(copies) - 1, ()):
                    # The value of the last copy has the name of all.
                    copies[max(copies)].setdefault("", self.plan.slots[prefix])
                yield prefix, copies

    def run(self, copies: dict[int, dict[str, int]]) -> Run | None:
        """Return the longest run of some copies, by their numbers, that are alike; None where it saves too little."""
        looks = {number: self.looks(copies, number) for number in copies}
        alike: list[list[int]] = []
        for number in sorted(copies):
            if not alike or alike[-1][-1] != number - 1 or looks[number] != looks[number - 1]:
                alike.append([])
            alike[-1].append(number)
        numbers = max(alike, key=len)
        first = copies[numbers[0]]
        names = sorted(first, key=first.__getitem__)
        if (len(numbers) - 1) * len(names) < LEAST_SAVED:
            return None
        places = {name: k for k, name in enumerate(names)}
        sources: list[list[Source]] = []
        for name in names:
            read = list(zip(*(self.nodes[copies[number][name]][1] for number in numbers), strict=True))
            found = zip(read, looks[numbers[0]][name][-1], strict=True)
            sources.append(
                [
                    (kind, places[inner], *slots[: kind == "before"])
                    if kind
                    else ("same", slots[0])
                    if len(set(slots)) == 1
                    else ("each", slots)
                    for slots, (kind, inner, _) in found
                ]
            )
        slots = np.array([[copies[number][name] for name in names] for number in numbers])
        batches = [self.nodes[slot][0] for slot in slots[0].tolist()]
        rows = [
            np.array([dict(self.nodes[slot][0].settings)["index"] for slot in column])
            if batch.type.name == "unstack" and own[0][0] == "same"
            else None
            for batch, own, column in zip(batches, sources, slots.T.tolist(), strict=True)
        ]
        return Run(slots, batches, sources, rows)

    def looks(self, copies: dict[int, dict[str, int]], number: int) -> dict[str, Any]:
        """Return by the names of a copy's nodes what copies have in common that are alike."""
        own = {slot: ("own", name) for name, slot in copies[number].items()}
        before = {slot: ("before", name) for name, slot in copies.get(number - 1, {}).items()}
        found = {}
        for slot, (_, name) in own.items():
            batch, inputs = self.nodes[slot]
            settings = dict(batch.settings)
            if batch.type.name == "unstack" and settings["axis"] == 0:
                # The copies take different slices of one array, along its first axis.
                del settings["index"]
            reads = [
                (*own.get(source, before.get(source, (None, None))), self.plan.shapes[source]) for source in inputs
            ]
            facts = batch.shape, batch.casts, batch.needed, batch.moving
            found[name] = batch.type, settings, facts, reads
        return found
