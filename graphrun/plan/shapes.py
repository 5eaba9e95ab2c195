"""The shape of every value, found by running the forward functions once on the leaves' own values.

Running them also shows, before the first step, which declarations do not keep what they promise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from graphrun.base.errors import GraphrunError, PluginError, ShapeError
from graphrun.base.random import key_of, uniform
from graphrun.declare.declaration import Function, Noise
from graphrun.document.numbers import MOST_AXES
from graphrun.graph.graph import ComputationalGraph, Node
from graphrun.plan.budget import Budget

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


def infer_shapes(
    graph: ComputationalGraph, leaves: list[Any], dtype: np.dtype[Any], seed: int = 0, budget: Budget | None = None
) -> Shapes:
    """Find the shape of every value.

    The leaves are of the graph's dtype; those of the engine are None, and are filled in. `budget` is
    what the graph may take, the leaves counted already; by default half of the memory.

    Raises:
        MemoryLimitError: a node would take more than is left.
        ShapeError: the shapes of a node's inputs do not fit, or the objective is no scalar.
        PluginError: a function raises, or gives an output or derivatives that its declaration does not allow.
    """
    of = [np.shape(leaf) for leaf in leaves]
    plain = not graph.engine_leaves and not graph.data
    all_scalar = plain and not any(of) and all(node.type.is_elementwise for node in graph.nodes)
    shapes = Shapes(of + [()] * len(graph.nodes), all_scalar)
    probe = _Probe(graph, shapes, leaves, dtype, seed, budget or Budget(graph, dtype))
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
        self,
        graph: ComputationalGraph,
        shapes: Shapes,
        leaves: Sequence[Any],
        dtype: np.dtype[Any],
        seed: int,
        budget: Budget,
    ) -> None:
        self.graph = graph
        self.seed = seed
        self.budget = budget
        self.shapes = shapes
        self.values: list[Any] = [*leaves, *[None] * len(graph.nodes)]
        self.dtype = dtype
        self.checked: set[Any] = set()
        self.pure: set[Any] = set()

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
            self.budget.check_node(number, node, inputs)
            self.values[number] = self.run(number, node, inputs)
            self.budget.hold(self.values[number].size)

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
        given = [np.shape(value) for value in inputs]
        if node.type.is_elementwise:
            try:
                expected = np.broadcast_shapes(*given)
            except ValueError:
                raise self.shape_error(number, node, given, _disagreement(self.labels(node), given)) from None
        output = self.call(number, node, "forward function", node.type.function, inputs)
        shape = np.shape(output)
        if len(shape) > MOST_AXES:
            raise self.shape_error(number, node, given, f"the result has {len(shape)} axes, of at most {MOST_AXES}")
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
        assert node.type.derivative is not None  # noqa: S101 (for the type checker: the caller looked)
        gradient = [] if node.type.is_elementwise else [np.ones_like(output)]
        what = node.type.derivative_decorator
        partials = self.call(number, node, what, node.type.derivative, inputs, [*gradient, output])
        if not isinstance(partials, tuple) or len(partials) != len(inputs):
            count = f"{len(partials)} entries" if isinstance(partials, tuple) else f"a {type(partials).__name__}"
            hint = " (write `return (...,)`)" if len(inputs) == 1 else ""
            raise self.broken(number, node, given, f"its {what} gives {count}, not a tuple of {len(inputs)}{hint}")
        for name, own, shape in zip(_input_names(node), partials, given, strict=True):
            if own is None or callable(own):
                continue
            wanted = np.shape(output) if node.type.is_elementwise else shape
            found = np.shape(own)
            if found != wanted and not (node.type.is_elementwise and _broadcasts(found, wanted)):
                raise self.broken(
                    number, node, given, f"its {what} gives the shape {found} for the input {name}, not {wanted}"
                )

    def call(
        self, number: int, node: Node, what: str, function: Function, inputs: list[Any], leading: Sequence[Any] = ()
    ) -> Any:
        """Call one of a node type's functions; that of a plugin twice, for it must change nothing and repeat itself."""
        settings, given = dict(node.settings), [np.shape(value) for value in inputs]
        arguments = [*leading, *inputs]
        key = node.type, node.settings, what, tuple(given)
        if node.type.is_built_in or key in self.pure:
            return self.guard(number, node, given, lambda: function(np, *arguments, **settings))
        results = []
        for _ in range(2):
            copies = [np.array(value)[()] for value in arguments]
            result = self.guard(number, node, given, partial(_all, function, copies, settings))
            for position, (before, after) in enumerate(zip(arguments, copies, strict=True)):
                if not _equal(before, after):
                    names = [*("the gradient", "the output")[2 - len(leading) :], *_input_names(node)]
                    raise self.broken(number, node, given, f"its {what} changes {names[position]} in place")
            results.append(result)
        if not _equal(*results):
            raise self.broken(
                number,
                node,
                given,
                f"its {what} gives something else when it is called again: a node type draws no random numbers and "
                "keeps nothing by itself; inputs annotated as graphrun.Noise and graphrun.State are for that",
            )
        self.pure.add(key)
        return results[0]

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


def _all(function: Function, arguments: Sequence[Any], settings: dict[str, Any]) -> Any:
    """Return what a function gives, the entries that are to be called included."""
    result = function(np, *arguments, **settings)
    return tuple(entry() if callable(entry) else entry for entry in result) if isinstance(result, tuple) else result


def _equal(one: Any, other: Any) -> bool:
    """Whether two results of a function are the same, to the last bit."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    first, second = np.asarray(one), np.asarray(other)
    if first.dtype.kind not in "fbiu" or first.shape != second.shape:
        return first.shape == second.shape
    return np.array_equal(first, second, equal_nan=first.dtype.kind == "f")


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
