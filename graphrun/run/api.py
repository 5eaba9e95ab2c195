"""The Python interface: `load` a graph file, then `run` it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrun.base.errors import UsageError
from graphrun.base.memory import allowed_memory, limited, paused_collection, read_size
from graphrun.base.wording import counted
from graphrun.data.rows import DataSource
from graphrun.declare.nodetype import NodeType
from graphrun.declare.updaterule import UpdateRule
from graphrun.document import Document, PlainSource, Source, load_document
from graphrun.engines import Program
from graphrun.graph.graph import ComputationalGraph, build_graph
from graphrun.plan.build import build_plan
from graphrun.plan.plan import Plan
from graphrun.plugins.registry import Registry
from graphrun.run.display import Displayed
from graphrun.run.function import Function, at_step, function_of
from graphrun.run.passes import Passes, tell_passes
from graphrun.run.preparation import run_graph
from graphrun.run.request import RunRequest, whole
from graphrun.run.result import Result


def load(
    path: str | Path | Mapping[str, Any],
    *,
    overrides: str | Sequence[str] = (),
    plugins: str | Path | Sequence[str | Path] = (),
    types: Sequence[NodeType | UpdateRule] = (),
    registry: Registry | None = None,
    data: str | Path | None = None,
    memory: int | str | None = None,
    name: str | None = None,
) -> Graph:
    """Load a graph file, or what such a file would hold.

    Args:
        path: the YAML file; or a graph as a mapping of sections, in which arrays of NumPy are lists too. What is wrong
            with a mapping is told by the path of its keys.
        overrides: changes to the file, as of ``--set``: texts ``PATH=VALUE`` with a dotted path of the file's own keys
            and a YAML value; one alone needs no list.
        plugins: folders of loose plugin files, as of ``--plugins``; one alone needs no list.
        types: node types and update rules that this program declared itself.
        registry: node types and update rules that were found already.
        data: a file in place of the graph file's data set, as of ``--data``.
        memory: how much the graph may take: bytes, or a text such as ``8GiB``; default half of the memory.
        name: what a graph that is no file is called; files that it names are found from there.

    Raises:
        GraphFileError: the file cannot be used; the text lists every problem with its position.
        UsageError: a plugin folder does not exist, a type's name is taken, an override makes no sense, or `path` is
            no path.
        DeclarationError: one of the `types` is declared wrongly.
    """
    given: str | Path | Source
    if isinstance(path, Mapping):
        given = PlainSource(name or "<mapping>", path)
    elif isinstance(path, str | os.PathLike | Source):
        given = path
    else:
        raise UsageError(f"load takes the path of a graph file or a mapping, not a {type(path).__name__}")
    if isinstance(given, str) and "\n" in given and not os.path.exists(given):  # noqa: PTH110
        raise UsageError("load takes the path of a graph file, and this looks like its text: loads takes that")
    overrides = [overrides] if isinstance(overrides, str) else overrides
    plugins = [plugins] if isinstance(plugins, str | os.PathLike) else plugins
    registry = registry or Registry(plugins)
    registry.add(types)
    return _load(given, overrides, registry, data, allowed_memory() if memory is None else read_size(memory))


def loads(text: str, *, name: str = "<text>", **asked: Any) -> Graph:
    """Load a graph from the text of a graph file.

    Args:
        text: the YAML text.
        name: what it is called in messages; files that it names are found from there.
        asked: more of `load`.

    Raises:
        GraphFileError, UsageError, DeclarationError: as of `load`.
    """
    if not isinstance(text, str):
        raise UsageError(f"loads takes the text of a graph file, not a {type(text).__name__}")
    return load(Source(name, text), **asked)  # type: ignore[arg-type]


def _load(
    given: str | Path | Source,
    overrides: Sequence[str],
    registry: Registry,
    data: str | Path | None,
    memory: int | None,
) -> Graph:
    with paused_collection(), limited(memory):
        document = load_document(given, overrides)
        source = DataSource(document, data)
        structure = build_graph(document, registry, source.names)
        graph = Graph(structure, source, registry, memory)
    graph._again = partial(_load, document.source, overrides, registry, data, memory)
    return graph


class Graph(Displayed):
    """A graph, ready to run.

    Attributes:
        structure: names, nodes and their order.
        source: the data set that feeds it.
        registry: where its node types were found.
        memory: how many bytes it may take; None for half of the memory.
    """

    def __init__(
        self,
        structure: ComputationalGraph,
        source: DataSource | None = None,
        registry: Registry | None = None,
        memory: int | None = None,
    ) -> None:
        self.structure = structure
        self.source = source or DataSource(structure.document)
        self.registry = registry or Registry()
        self.memory = memory
        self._plans: dict[tuple[np.dtype[Any], int], Plan] = {}
        self._again: Callable[[], Graph] | None = None

    def __repr__(self) -> str:
        parameters, nodes = (
            counted(len(self.document.parameters), "parameter"),
            counted(len(self.document.nodes), "node"),
        )
        return f"<Graph {self.name}: {parameters}, {nodes}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle it as its text and where its types come from: plugins by their folders, `types` by name."""
        if self._again is None:
            raise TypeError("a graph can be copied and pickled that `load` made")
        return self._again, ()

    @property
    def document(self) -> Document:
        """The graph file as it was read."""
        return self.structure.document

    @property
    def name(self) -> str:
        """The name of the graph file."""
        return self.document.source.name

    @property
    def steps(self) -> int:
        """How many steps a run makes by default."""
        return 1 if self.document.steps is None else self.document.steps

    def notes(self, seed: int | None = None) -> Sequence[str]:
        """Return what a user should know about how the data set is read, and whose node types are used."""
        with limited(self.memory):
            data = self.source.open((self.document.seed or 0) if seed is None else seed)
        types = dict.fromkeys(node.type.name for node in self.structure.nodes)
        return [*(() if data is None else data.notes), *self.registry.clashes(types)]

    def plan(self, dtype: str | None = None, seed: int | None = None) -> Plan:
        """Return the schedule of the graph, with the leaves' values.

        Args:
            dtype: ``float64`` or ``float32``, default the file's.
            seed: what every random draw derives from, default the file's, else 0.

        Raises:
            MemoryLimitError: it would take more memory than there may be.
            ShapeError: shapes do not fit.
            PluginError: a node type breaks its declaration.
            UsageError: the dtype is none of float64 and float32.
        """
        name = self.document.dtype if dtype is None else dtype
        if name not in {"float64", "float32"}:
            raise UsageError(f"dtype {name!r} is none of float64, float32")
        seed = (self.document.seed or 0) if seed is None else whole("seed", seed, 0)
        key = np.dtype(name), seed
        if key not in self._plans:
            with paused_collection(), limited(self.memory):
                self._plans[key] = build_plan(self.structure, *key, feed=self.source.open(seed))
        return self._plans[key]

    def run(
        self,
        steps: int | None = None,
        *,
        engine: str = "auto",
        dtype: str | None = None,
        seed: int | None = None,
        record: Sequence[str] | None = None,
        every: int | None = None,
        save: str | Path | None = None,
        save_every: int | None = None,
        resume: str | Path | None = None,
        device: str | None = None,
        observers: Sequence[object] = (),
    ) -> Result:
        """Run the graph.

        Args:
            steps: how many updates to make, default the file's; 0 only evaluates.
            engine: ``auto``, ``numpy``, ``numba`` or ``jax``; a solver has the ``numpy`` engine.
            dtype: ``float64`` or ``float32``, default the file's.
            seed: what every random draw derives from, default the file's, else 0.
            record: names to record, default the file's, else the objective and the scalar parameters.
            every: record every so many steps, default the smallest stride that keeps 1,000 rows.
            save: a file to write a checkpoint to, at the end and every `save_every` steps.
            save_every: how many steps there are between checkpoints.
            resume: a checkpoint to go on from; `steps` counts from the very start.
            device: where the jax engine runs: ``cpu``, ``gpu``, ``tpu``, or one of several as ``gpu:1``.
            observers: objects that are told of the run's events (`graphrun.observers`).

        Raises:
            NotFiniteError: a value or a derivative was not finite; its `result` attribute holds what there is.
            PluginError: a plugin's function raised.
            ShapeError: shapes do not fit.
            UsageError: an argument makes no sense.
        """
        result = self.answer(
            RunRequest(
                steps=steps,
                engine=engine,
                dtype=dtype,
                seed=seed,
                record=record,
                every=every,
                save=save,
                save_every=save_every,
                resume=resume,
                device=device,
                observers=observers,
            )
        )
        if result.error is not None:
            result.error.result = result
            raise result.error
        return result

    def try_run(self, steps: int | None = None, **asked: Any) -> Result:
        """Run the graph as `run` does, but return what a failed run has, with its `error`.

        Args:
            steps: as of `run`.
            asked: more of `run`, and of `RunRequest`.
        """
        return self.answer(RunRequest(steps, **asked))

    def answer(self, request: RunRequest) -> Result:
        """Run the graph as it is asked for, and return what there is of a failed run too, with its `error`."""
        with limited(self.memory):
            return run_graph(self.structure, self.source, self.plan, request)

    def passes(
        self, step: int = 0, *, engine: str = "auto", dtype: str | None = None, seed: int | None = None
    ) -> Passes:
        """Run the graph up to a step, and return the forward and the backward pass there, taken apart.

        Args:
            step: how many updates to make before; 0 for the values as the file gives them.
            engine, dtype, seed: as of `run`.

        Raises:
            UsageError: the run ends before that step; the text says why.
            NotFiniteError: a recorded value was not finite at that step, or the run failed before it; of the step that
                broke, its `passes` are as far as they came.
        """
        step = whole("step", step, 0)
        if step and self.structure.objective is None:
            raise UsageError(f"there is no step {step}: without an objective nothing is updated")
        taken: list[Passes] = []

        def take(program: Program) -> None:
            if program.step == step:
                taken.append(Passes.of(program))

        request = RunRequest(step, engine=engine, dtype=dtype, seed=seed, every=max(step, 1), inspect=take)
        result = self.answer(request)
        if result.error is not None:
            tell_passes(result, step)
            raise result.error
        if taken:
            return taken[0]
        raise UsageError(f"there is no step {step}: the run ends after {result.steps} ({result.stopped})")

    def function(
        self,
        names: Sequence[str] | None = None,
        *,
        of: str | None = None,
        engine: str = "auto",
        dtype: str | None = None,
        seed: int | None = None,
        step: int | None = None,
    ) -> Function:
        """Return the objective as a function of parameters, for an optimizer of one's own.

        Args:
            names: the parameters that it is a function of, in this order, default all in the file's; the others stay
                as the file has them.
            of: another value than the objective.
            engine: as of `run`; ``auto`` takes one for very many calls.
            dtype, seed: as of `run`.
            step: a step whose rows and random numbers it is given; default all training rows, and the random numbers
                of step 0.

        Raises:
            UsageError: a name is unknown, there is no objective, or the engine cannot compute it.
            MemoryLimitError, ShapeError, PluginError: as of `plan`.
        """
        again = partial(Graph.function, self, names, of=of, engine=engine, dtype=dtype, seed=seed, step=step)
        plan = self.plan(dtype, seed)
        number = (self.document.seed or 0) if seed is None else whole("seed", seed, 0)
        with limited(self.memory):
            feed = self.source.open(number, whole=step is None)
            if step is None and plan.feeds:
                plan = build_plan(self.structure, plan.dtype, number, feed)
            at = 0 if step is None else whole("step", step, 0)
            return function_of(at_step(plan, feed, at), names, of, engine, again)

    def predict(self, checkpoint: str | Path, names: Sequence[str]) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield values on the rows of the data set, piece by piece in the order of the file: the forward pass alone.

        Args:
            checkpoint: the parameters, and the statistics that the data set is standardized by.
            names: the values that are asked for; each has a row for each row of the data.

        Raises:
            UsageError: the graph has no data set, a name is unknown, a value has no axis of rows, or the checkpoint is
                of another graph.
            ShapeError: shapes do not fit.
        """
        from graphrun.run.predict import predict

        return predict(self.document, self.source.file, self.registry, checkpoint, names)
