"""The shape of every value, found by running the forward functions once on the leaves' own values.

Running them also shows, before the first step, which declarations do not keep what they promise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphrun.base.errors import GraphrunError, PluginError, ShapeError
from graphrun.base.random import key_of, uniform
from graphrun.declare.declaration import Noise
from graphrun.graph.graph import ComputationalGraph, Node

Shape = tuple[int, ...]


@dataclass
class Shapes:
    """Shapes by the number of the value.

    Attributes:
        of: the shape of each value.
        all_scalar: every value is a number.
        cast: the types and settings whose forward function gives another dtype than the graph's.
    """

    of: list[Shape]
    all_scalar: bool
    cast: set[Any] = field(default_factory=set)

    def is_scalar(self, node: Node, number: int) -> bool:
        """Whether a node and all its inputs are numbers."""
        return not self.of[number] and not any(self.of[source] for source in node.inputs)

    def casts(self, node: Node, number: int) -> bool:
        """Whether the engine has to cast what a node's forward function gives."""
        return (node.type, node.settings, self.is_scalar(node, number)) in self.cast


def infer_shapes(graph: ComputationalGraph, leaves: list[Any], dtype: np.dtype[Any], seed: int = 0) -> Shapes:
    """Find the shape of every value.

    The leaves are of the graph's dtype; those of the engine are None, and are filled in.

    Raises:
        ShapeError: the shapes of a node's inputs do not fit, or the objective is no scalar.
        PluginError: a function raises, or gives an output or derivatives that its declaration does not allow.
    """
    of = [np.shape(leaf) for leaf in leaves]
    plain = not graph.engine_leaves and not graph.data
    all_scalar = plain and not any(of) and all(node.type.is_elementwise for node in graph.nodes)
    shapes = Shapes(of + [()] * len(graph.nodes), all_scalar)
    probe = _Probe(graph, shapes, leaves, dtype, seed)
    with np.errstate(all="ignore"):
        # Of numbers every shape is known: one node of each type shows how its functions keep their declaration, unless
        # they raise where it is tried.
        if not all_scalar or not probe.distinct_nodes():
            probe.every_node()
            leaves[:] = probe.values[: len(leaves)]
    _check_objective(graph, shapes)
    return shapes


def _check_objective(graph: ComputationalGraph, shapes: Shapes) -> None:
    if graph.objective is not None and shapes.of[graph.objective]:
        name = graph.names[graph.objective]
        key = "maximize" if graph.maximize else "minimize"
        raise ShapeError(
            graph.document.problems.describe(
                (key,),
                f"the objective is one number, and {name!r} has the shape {shapes.of[graph.objective]}",
                f"reduce it by a node of type sum or mean: {{type: sum, inputs: [{name}]}}",
            )
        )


class _Probe:
    """Runs the functions of a graph's nodes once and checks what they give."""

    def __init__(
        self, graph: ComputationalGraph, shapes: Shapes, leaves: Sequence[Any], dtype: np.dtype[Any], seed: int
    ) -> None:
        self.graph = graph
        self.seed = seed
        self.shapes = shapes
        self.values: list[Any] = [*leaves, *[None] * len(graph.nodes)]
        self.dtype = dtype
        self.checked: set[Any] = set()

    def distinct_nodes(self) -> bool:
        """Run one node of each type and settings, on ones; return whether that went well."""
        first = len(self.graph.leaves)
        one = self.dtype.type(1)
        for number, node in enumerate(self.graph.nodes, first):
            if (node.type, node.settings, len(node.inputs)) not in self.checked:
                self.checked.add((node.type, node.settings, len(node.inputs)))
                try:
                    self.run(number, node, [one] * len(node.inputs))
                except PluginError:
                    return False
        return True

    def every_node(self) -> None:
        """Run every node on its inputs' values, in topological order."""
        first = len(self.graph.leaves)
        for number in self.graph.order:
            node = self.graph.nodes[number - first]
            if node.type.engine_inputs:
                self.fill_engine_inputs(node)
            inputs = [self.values[source] for source in node.inputs]
            for position in node.type.index_inputs:
                inputs[position] = self.index(number, node, position, inputs[position])
            self.values[number] = self.run(number, node, inputs)

    def fill_engine_inputs(self, node: Node) -> None:
        """Draw the noise that a node is given, and set its first states."""
        count = len(node.inputs) - len(node.type.engine_inputs)
        given = [self.values[source] for source in node.inputs[:count]]
        states: list[Any] = []
        if node.type.first_state is not None:
            states = list(node.type.first_state(np, *given, **dict(node.settings)))
        for number, (_, kind) in zip(node.inputs[count:], node.type.engine_inputs, strict=True):
            if kind is Noise:
                drawn = uniform(np, key_of(self.seed, self.graph.names[number] or ""), 0, np.shape(given[0]))
                value = np.asarray(drawn, dtype=self.dtype)[()]
            else:
                value = np.asarray(states.pop(0), dtype=self.dtype)[()]
            self.values[number], self.shapes.of[number] = value, np.shape(value)

    def index(self, number: int, node: Node, position: int, value: Any) -> Any:
        """Return the integers of an input that selects."""
        try:
            return as_index(value)
        except ValueError as error:
            entry = self.graph.document.nodes[str(self.graph.names[number])]
            at = entry.problems(str(self.graph.names[number]), self.graph.document.problems)
            raise ShapeError(at.describe(("inputs", position), str(error))) from None

    def run(self, number: int, node: Node, inputs: list[Any]) -> Any:
        """Run one node's functions, note its shape and return its value."""
        settings = dict(node.settings)
        given = [np.shape(value) for value in inputs]
        if node.type.is_elementwise:
            try:
                expected = np.broadcast_shapes(*given)
            except ValueError:
                raise self.shape_error(number, node, given, _disagreement(self.labels(node), given)) from None
        output = self.guard(number, node, given, lambda: node.type.function(np, *inputs, **settings))
        shape = np.shape(output)
        if node.type.is_elementwise and shape != expected:
            raise self.broken(number, node, given, f"its forward function gives the shape {shape}, not {expected}")
        array = np.asarray(output)
        if array.dtype.kind not in "fbiu":
            raise self.broken(number, node, given, f"its forward function gives {array.dtype} values, not numbers")
        value = array.astype(self.dtype)[()]
        if (
            array.dtype != self.dtype
            or not isinstance(output, np.generic | np.ndarray)
            or type(value) is not type(output)
        ):
            self.shapes.cast.add((node.type, node.settings, not shape and not any(given)))
        self.shapes.of[number] = shape
        if node.type.derivative is not None:
            self.check_derivatives(number, node, inputs, value)
        return value

    def check_derivatives(self, number: int, node: Node, inputs: list[Any], output: Any) -> None:
        """Run a node's second function and check the number and the shapes of what it gives."""
        given = [np.shape(value) for value in inputs]
        derivative, settings = node.type.derivative, dict(node.settings)
        assert derivative is not None  # noqa: S101 (for the type checker: the caller looked)
        gradient = [] if node.type.is_elementwise else [np.ones_like(output)]
        partials = self.guard(number, node, given, lambda: derivative(np, *gradient, output, *inputs, **settings))
        what = node.type.derivative_decorator
        if not isinstance(partials, tuple) or len(partials) != len(inputs):
            count = f"{len(partials)} entries" if isinstance(partials, tuple) else f"a {type(partials).__name__}"
            hint = " (write `return (...,)`)" if len(inputs) == 1 else ""
            raise self.broken(number, node, given, f"its {what} gives {count}, not a tuple of {len(inputs)}{hint}")
        for name, partial, shape in zip(_input_names(node), partials, given, strict=True):
            if partial is None or callable(partial):
                continue
            wanted = np.shape(output) if node.type.is_elementwise else shape
            found = np.shape(partial)
            if found != wanted and not (node.type.is_elementwise and _broadcasts(found, wanted)):
                raise self.broken(
                    number, node, given, f"its {what} gives the shape {found} for the input {name}, not {wanted}"
                )

    def guard(self, number: int, node: Node, given: list[Shape], call: Callable[[], Any]) -> Any:
        """Call a function of a node type, and turn what it raises into an error that names the node."""
        try:
            return call()
        except GraphrunError:
            raise
        except (Exception, SystemExit) as error:
            text = f"{type(error).__name__}: {error}"
            if isinstance(error, ValueError | IndexError) and not node.type.is_elementwise:
                reason = _by_names(str(error), _input_names(node), self.labels(node))
                raise self.shape_error(number, node, given, reason) from error
            raise self.broken(number, node, given, f"it raises {text}") from error

    def shape_error(self, number: int, node: Node, given: list[Shape], reason: str) -> ShapeError:
        """Make the error of inputs that do not fit."""
        name = self.graph.names[number]
        shown = ", ".join(f"{label} {shape}" for label, shape in zip(self.labels(node), given, strict=True))
        message = f"node {name!r} of type {node.type.name} cannot take the shapes {shown}: {reason}"
        entry = self.graph.document.nodes[str(name)]
        return ShapeError(entry.problems(str(name), self.graph.document.problems).describe((), message))

    def broken(self, number: int, node: Node, given: list[Shape], reason: str) -> PluginError:
        """Make the error of a declaration that is not kept."""
        name, shown = self.graph.names[number], ", ".join(map(str, given))
        return PluginError(
            f"node {name!r}: the type {node.type.name} ({node.type.file}), on inputs of the shapes {shown}: {reason}"
        )

    def labels(self, node: Node) -> list[str]:
        """Return the names of a node's inputs, as the file writes them."""
        return [self.graph.names[source] or str(self.graph.leaves[source]) for source in node.inputs]


def as_index(value: Any) -> Any:
    """Return whole numbers as integers.

    Raises:
        ValueError: a number is not whole.
    """
    array = np.asarray(value)
    if array.dtype.kind in "iu":
        return array
    whole = array.astype(np.int64)
    if (whole != array).any():
        bad = array[whole != array].flat[0]
        raise ValueError(f"whole numbers are needed to select by, and {float(bad):g} is not")
    return whole


def _input_names(node: Node) -> list[str]:
    names = list(node.type.inputs)
    return names[: len(node.inputs)] + [f"{names[-1]}[{k}]" for k in range(len(names), len(node.inputs))]


def _by_names(reason: str, inputs: Sequence[str], labels: Sequence[str]) -> str:
    """Return what a type says of its inputs, with the names that the graph file has for them."""
    known = dict(zip(inputs, labels, strict=True))
    if any("[" in name for name in inputs):
        # A type of any number of inputs counts them from its only one.
        first = inputs[0].partition("[")[0]
        known = {f"{first}[{k}]": label for k, label in enumerate(labels)} | known
    pattern = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
    return re.sub(rf"(?<![\w'.\[])(?:{pattern})(?![\w'([])", lambda found: known[found[0]], reason) if known else reason


def _disagreement(labels: Sequence[str], shapes: Sequence[Shape]) -> str:
    """Say which axes keep shapes from broadcasting; axes are paired from the last one."""
    for back in range(1, max(map(len, shapes)) + 1):
        sizes = [(label, len(s) - back, s[-back]) for label, s in zip(labels, shapes, strict=True) if len(s) >= back]
        wide = [entry for entry in sizes if entry[2] != 1]
        other = next((entry for entry in wide if entry[2] != wide[0][2]), None)
        if other is not None:
            (first, axis, size), (second, its_axis, its_size) = wide[0], other
            return (
                f"they do not broadcast: axis {axis} of {first} has the size {size}, "
                f"axis {its_axis} of {second} has {its_size}"
            )
    return "they do not broadcast"


def _broadcasts(shape: Shape, wanted: Shape) -> bool:
    try:
        return np.broadcast_shapes(shape, wanted) == wanted
    except ValueError:
        return False
