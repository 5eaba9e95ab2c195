"""A graph → a drawing: what each box and each line says, with the values and gradients of a step where there is one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import networkx as nx
import numpy as np

from graphrun.base.numbertext import describe, number
from graphrun.base.wording import counted
from graphrun.declare.declaration import Noise
from graphrun.declare.formula import formulas_of
from graphrun.graph.graph import ComputationalGraph
from graphrun.run.passes import Edge, Passes
from graphrun.show.draw.drawing import Box, Drawing, Frame, Line, Shape
from graphrun.show.draw.folding import Folding, fold, relative
from graphrun.show.draw.rows import visible

MOST_LABELLED = 60
"""In a drawing of more lines, none has a label: who points at one reads it."""

Uses = list[tuple[int, int, int]]
"""Uses of values: the number of the value, the number of the node, and which of its inputs it is."""

PLURALS = {Shape.DATA: "data", Shape.NOISE: "noise"}

TIMES = "\N{MULTIPLICATION SIGN}"


def draw_graph(graph: ComputationalGraph, passes: Passes | None = None, depth: int | None = None) -> Drawing:
    """Make a drawing of a graph, with the values and gradients of a step; without its passes, with what the file gives.

    So many frames within each other are opened; all that fit by default.
    """
    return _Contents(graph, passes, fold(graph, depth)).drawing()


def short(value: Any) -> str:
    """Show a value in the room of a box: a number, a small array whole, another one by its shape and range."""
    if np.ndim(value) == 0:
        return number(value)
    return _rounded(describe(value)).partition(", norm")[0].removeprefix("matrix ").removeprefix("array ")


def short_gradient(value: Any) -> str:
    """Show a gradient in the room of a box: a number, a small array whole, another one by its norm."""
    if np.ndim(value) == 0:
        return number(value)
    text = _rounded(describe(value))
    if text.startswith("["):
        return text
    range_, _, size = text.partition(", ")
    return size if size.startswith("norm") and ": all" not in range_ else range_.partition(": ")[2]


def _rounded(text: str) -> str:
    """Round the numbers in the description of an array to three digits."""
    return re.sub(r"-?\d+\.\d+(e-?\d+)?", lambda found: number(float(f"{float(found[0]):.3g}")), text)


class _Contents:
    def __init__(self, graph: ComputationalGraph, passes: Passes | None, folding: Folding) -> None:
        self.graph = graph
        self.passes = passes
        self.folding = folding
        self.first = len(graph.leaves)
        self.data = set(graph.data)
        self.outer = {frame.name: frame.outer for frame in folding.frames}
        self.culprits = set() if passes is None else {passes.plan.names[slot] for slot in passes.culprits()}

    def drawing(self) -> Drawing:
        graph, folding = self.graph, self.folding
        members: dict[str, list[int]] = {}
        for value, name in enumerate(graph.names):
            if name is not None:
                members.setdefault(folding.box_of[name], []).append(value)
        boxes = tuple(
            self._group(box, folding.shares[box], values) if box in folding.shares else self._single(values[0])
            for box, values in members.items()
        )
        name = PurePath(graph.document.source.name).name
        title = name if self.passes is None else f"{name}, step {self.passes.step}"
        frames = tuple(replace(frame, title=self._frame_title(frame)) for frame in folding.frames)
        return Drawing(title, self._description(), boxes, tuple(self._lines()), frames, folding.note)

    def _frame_title(self, frame: Frame) -> str:
        """Return what a frame is: an expression in full, or an instance with the name of its subgraph."""
        subgraph, expression = self._origin(frame.name) if frame.outer is None else ("", "")
        if subgraph:
            return f"{frame.title}: {subgraph}"
        return f"{frame.title} = {expression}" if expression else frame.title

    def _origin(self, name: str) -> tuple[str, str]:
        """Return the subgraph or the expression that stands under a name in the file; both may be empty."""
        entry = self.graph.document.nodes.get(name)
        if entry is None:
            return "", ""
        if entry.use is None:
            return "", "" if entry.origin is None else entry.origin.expression
        # Of a name without a dot the outermost use is meant: those inside made its value.
        use = entry.use
        while use.outer is not None:
            use = use.outer
        return use.subgraph if "." not in name else "", ""

    def _description(self) -> str:
        graph = self.graph
        given = graph.document.description.strip().rstrip(".")
        sentences = [f"{given}."] if given else []
        sentences.append(
            f"A computational graph of {counted(len(graph.parameters), 'parameter')} and "
            f"{counted(len(graph.nodes), 'node')}."
        )
        if graph.objective is not None:
            objective = graph.names[graph.objective] or ""
            now = ""
            if self.passes is not None:
                now = f": {number(self.passes.values[self.passes.plan.slots[objective]])} at step {self.passes.step}"
            sentences.append(f"{objective} is {'maximized' if graph.maximize else 'minimized'}{now}.")
        if self.folding.note:
            sentences.append(f"{self.folding.note}.")
        return " ".join(sentences)

    def _shape(self, value: int) -> Shape:
        if value < len(self.graph.parameters):
            return Shape.PARAMETER
        if value >= self.first:
            return Shape.NODE
        if value in self.data:
            return Shape.DATA
        leaf = self.graph.engine_leaves.get(value)
        if leaf is None:
            return Shape.CONSTANT
        return Shape.NOISE if issubclass(leaf.kind, Noise) else Shape.STATE

    def _single(self, value: int) -> Box:
        graph = self.graph
        name = graph.names[value] or ""
        frame = self.folding.frame_of[name]
        shape, formula = self._shape(value), self._formula(value, frame)
        now, gradient = self._now(value)
        if now is None and value < self.first:
            now = graph.leaves[value]
        detail = [f"{name}: {shape}", f"{name} = {self._formula(value, None)}" if shape is Shape.NODE else formula]
        if shape is Shape.NODE:
            detail[0] = f"{name}: {graph.nodes[value - self.first].type.name}"
        box = Box(name, self._title(name, frame), shape, formula, names=(name,))
        return self._filled(box, now, gradient, detail)

    def _filled(self, box: Box, now: Any, gradient: Any, detail: Sequence[str]) -> Box:
        """Give a box its value and its gradient, where there are any, and its place among the frames."""
        told = [*detail]
        told += [] if now is None else [f"value: {describe(now)}"]
        told += [] if gradient is None else [f"gradient: {describe(gradient)}"]
        objective = None if self.graph.objective is None else self.graph.names[self.graph.objective]
        return replace(
            box,
            value="" if now is None else short(now),
            gradient="" if gradient is None else short_gradient(gradient),
            detail="\n".join(visible(line) for line in told if line),
            frame=self.folding.frame_of[box.name],
            is_objective=objective in box.names,
            is_culprit=not self.culprits.isdisjoint(box.names),
        )

    def _group(self, name: str, title: str, values: Sequence[int]) -> Box:
        """Return the box of a folded frame, which shows the frame's own value, or of values that share one."""
        names = tuple(self.graph.names[value] or "" for value in values)
        leaves = Counter(self._shape(value) for value in values if value < self.first)
        kinds = Counter(self.graph.nodes[v - self.first].type.name for v in values if v >= self.first)
        parts = [counted(many, kind, PLURALS.get(kind, "")) for kind, many in leaves.items()]
        content = ", ".join(parts + ([counted(kinds.total(), "node")] if kinds else []))
        # The last of several copies has the name of all of them.
        outer = name.rpartition(".")[0]
        own = next((values[names.index(known)] for known in (name, outer) if known in names), None)
        now, gradient = self._together(values) if own is None else self._now(own)
        subgraph, expression = self._origin(name)
        types = ", ".join(f"{many} {kind}" for kind, many in kinds.most_common())
        formula = f"= {expression}" if expression else content
        box = Box(name, f"{title}: {subgraph}" if subgraph else title, Shape.GROUP, formula, names=names)
        return self._filled(box, now, gradient, [f"{name}: {content}", types])

    def _title(self, name: str, frame: str | None) -> str:
        """Return a name as it stands in its frame; the value of a frame itself as it stands in the one around it."""
        while frame is not None and not name.startswith(f"{frame}."):
            frame = self.outer[frame]
        return relative(name, frame)

    def _formula(self, value: int, frame: str | None) -> str:
        graph = self.graph
        if value >= self.first:
            node = graph.nodes[value - self.first]
            inputs = [self._operand(source, frame) for source in node.inputs]
            return formulas_of(node.type, node.settings, inputs, graph.names[value] or "").forward
        frozen = "frozen" if graph.free <= value < len(graph.parameters) else ""
        if value in graph.initializers and self.passes is None:
            shape = "x".join(map(str, graph.parameters[graph.names[value] or ""].shape))
            return " ".join(filter(None, (shape, graph.initializers[value][0].name, frozen)))
        return frozen

    def _operand(self, source: int, frame: str | None) -> str:
        name = self.graph.names[source]
        if name is not None:
            return self._title(name, frame)
        leaf = self.graph.engine_leaves.get(source)
        given = self.graph.leaves[source]
        return leaf.kind.__name__.lower() if leaf is not None else "" if given is None else number(given)

    def _now(self, value: int) -> tuple[Any, Any]:
        """Return value and gradient at the step, or None for what is not known or has none to speak of."""
        if self.passes is None:
            return None, None
        plan = self.passes.plan
        slot = plan.slots[self.graph.names[value] or ""]
        leaf = self.first > value >= self.graph.free
        gradient = None if leaf or plan.objective is None else self.passes.gradients[slot]
        return self.passes.values[slot], gradient

    def _together(self, values: Sequence[int]) -> tuple[Any, Any]:
        """Return all elements of several values, and of their gradients, each as one vector."""
        found = [self._now(value) for value in values]
        known = [np.ravel(now) for now, _ in found if now is not None]
        gradients = [np.ravel(gradient) for _, gradient in found if gradient is not None]
        return np.concatenate(known) if known else None, np.concatenate(gradients) if gradients else None

    def _lines(self) -> Iterator[Line]:
        graph, folding, box_of = self.graph, self.folding, self.folding.box_of
        found: dict[tuple[str, str], Uses] = {}
        for value, node in enumerate(graph.nodes, self.first):
            target = box_of[graph.names[value] or ""]
            for position, source in enumerate(node.inputs):
                name = graph.names[source]
                if name is not None and box_of[name] != target:
                    found.setdefault((box_of[name], target), []).append((source, value, position))
        if folding.is_summary:
            # Lines between boxes that are also connected by way of others are left out.
            kept = nx.transitive_reduction(nx.DiGraph(list(found))).edges
            found = {ends: uses for ends, uses in found.items() if ends in kept}
        is_labelled = sum(map(len, found.values())) <= MOST_LABELLED
        for (source_box, target_box), uses in found.items():
            if source_box in folding.shares or target_box in folding.shares:
                detail = f"{source_box} → {target_box}" + (f": {len(uses)} uses" if len(uses) > 1 else "")
                position = uses[0][2] if len(uses) == 1 else -1
                yield Line(source_box, target_box, position, "", visible(detail))
                continue
            edges = self._edges(uses[0][1])
            for _, _, position in uses:
                edge = edges[position] if edges else None
                detail = "\n".join([f"{source_box} → {target_box}", *_told(edge, source_box, target_box)])
                label = _factor(edge) if is_labelled else ""
                yield Line(source_box, target_box, position, label, detail)

    def _edges(self, node: int) -> Sequence[Edge]:
        """Return what the edges into a node carry; nothing where a value is missing for it."""
        if self.passes is None:
            return ()
        slot = self.passes.plan.slots[self.graph.names[node] or ""]
        if any(self.passes.values[source] is None for source in self.passes.plan.inputs_of(slot)):
            return ()
        return self.passes.edges_into(slot)


def _told(edge: Edge | None, source: str, target: str) -> Iterator[str]:
    if edge is not None and edge.local_derivative is not None:
        yield f"local derivative of {target} by {source}: {describe(edge.local_derivative)}"
    if edge is not None and edge.contribution is not None:
        yield f"contribution to the gradient of {source}: {describe(edge.contribution)}"


def _factor(edge: Edge | None) -> str:
    """Return the local derivative as the factor that it is in the backward pass; empty for an array."""
    derivative = None if edge is None else edge.local_derivative
    return f"{TIMES} {number(derivative)}" if derivative is not None and np.ndim(derivative) == 0 else ""
