"""The Python interface: `load` a graph file, then `run` it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphrun.document import Document, did_you_mean, load_document
from graphrun.document.names import normalize
from graphrun.engines import get_engine
from graphrun.errors import UsageError
from graphrun.graph import ComputationalGraph, build_graph
from graphrun.memory import paused_collection
from graphrun.plan import Plan, build_plan
from graphrun.plugins import Registry
from graphrun.result import Result
from graphrun.run import Row, RunOptions, run
from graphrun.stop import StopRule

RECORDED_PARAMETERS = 1000
"""With more scalar parameters than this, only the objective is recorded by default."""


def load(
    path: str | Path,
    *,
    overrides: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
    registry: Registry | None = None,
) -> Graph:
    """Load a graph file.

    Args:
        path: the YAML file.
        overrides: changes to the file, as of ``--set``: texts ``PATH=VALUE`` with a dotted path of the file's own keys
            and a YAML value.
        plugins: folders of loose plugin files, as of ``--plugins``.
        registry: node types and update rules that were found already.

    Raises:
        GraphFileError: the file cannot be used; the text lists every problem with its position.
        UsageError: a plugin folder does not exist, or an override makes no sense.
    """
    with paused_collection():
        document = load_document(path, overrides)
        return Graph(build_graph(document, registry or Registry(plugins)))


class Graph:
    """A graph, ready to run.

    Attributes:
        structure: names, nodes and their order.
    """

    def __init__(self, structure: ComputationalGraph) -> None:
        self.structure = structure
        self._plans: dict[tuple[np.dtype[Any], int], Plan] = {}

    def __repr__(self) -> str:
        return f"<Graph {self.name}: {len(self.document.parameters)} parameters, {len(self.document.nodes)} nodes>"

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

    def plan(self, dtype: str | None = None, seed: int | None = None) -> Plan:
        """Return the schedule of the graph, with the leaves' values.

        Args:
            dtype: ``float64`` or ``float32``, default the file's.
            seed: what every random draw derives from, default the file's, else 0.

        Raises:
            ShapeError: shapes do not fit.
            PluginError: a node type breaks its declaration.
            UsageError: the dtype is none of float64 and float32.
        """
        name = self.document.dtype if dtype is None else dtype
        if name not in {"float64", "float32"}:
            raise UsageError(f"dtype {name!r} is none of float64, float32")
        seed = (self.document.seed or 0) if seed is None else seed
        key = np.dtype(name), seed
        if key not in self._plans:
            with paused_collection():
                self._plans[key] = build_plan(self.structure, *key)
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
    ) -> Result:
        """Run the graph.

        Args:
            steps: how many updates to make, default the file's; 0 only evaluates.
            engine: ``auto`` or ``numpy``.
            dtype: ``float64`` or ``float32``, default the file's.
            seed: what every random draw derives from, default the file's, else 0.
            record: names to record, default the file's, else the objective and the scalar parameters.
            every: record every so many steps, default the smallest stride that keeps 1,000 rows.

        Raises:
            NotFiniteError: a value or a derivative was not finite; its `result` attribute holds what there is.
            PluginError: a plugin's function raised.
            ShapeError: shapes do not fit.
            UsageError: an argument makes no sense.
        """
        result = self.try_run(steps, engine=engine, dtype=dtype, seed=seed, record=record, every=every)
        if result.error is not None:
            result.error.result = result
            raise result.error
        return result

    def try_run(
        self,
        steps: int | None = None,
        *,
        engine: str = "auto",
        dtype: str | None = None,
        seed: int | None = None,
        record: Sequence[str] | None = None,
        every: int | None = None,
        on_row: Row | None = None,
        on_progress: Callable[[int], None] = lambda _step: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Result:
        """Run the graph as `run` does, but return what a failed run has, with its `error`.

        Args:
            steps, engine, dtype, seed, record, every: as of `run`.
            on_row: called with each recorded row: the step, and the values by name.
            on_progress: called now and then with the number of steps made.
            interrupted: asked now and then whether to end.
        """
        steps = self.steps if steps is None else steps
        if not _is_whole(steps, 0) or not (every is None or _is_whole(every, 1)):
            raise UsageError("steps is a whole number of 0 or more, and every one of 1 or more")
        plan = self.plan(dtype, seed)
        if steps and plan.objective is None:
            steps = 0
        stop = self.document.stop
        options = RunOptions(
            name=self.name,
            steps=steps,
            record=self._recorded(plan, record),
            every=every,
            stop=None if stop is None else StopRule(stop, maximize=plan.maximize),
            on_row=on_row,
            on_progress=on_progress,
            interrupted=interrupted,
        )
        return run(plan, get_engine(engine), options)

    def _recorded(self, plan: Plan, names: Sequence[str] | None) -> list[int]:
        """Return the slots to record."""
        names = self.document.record if names is None else names
        if isinstance(names, str):
            raise UsageError(f"record: a list of names is needed, not {names!r}")
        if names is not None:
            names = [normalize(name) for name in names]
            for name in names:
                if name not in plan.slots:
                    hint = did_you_mean(name, plan.slots)
                    raise UsageError(f"record: the name {name!r} is unknown" + (f"; {hint}" if hint else ""))
            return [plan.slots[name] for name in dict.fromkeys(names)]
        scalars = [slot for slot in range(plan.parameters) if not plan.shapes[slot]]
        if len(scalars) > RECORDED_PARAMETERS:
            scalars = []
        if plan.objective is not None:
            return [plan.objective, *(slot for slot in scalars if slot != plan.objective)]
        read = {int(slot) for slot in plan.operands}
        results = [s for s in range(len(plan.leaves), len(plan.names)) if s not in read and not plan.shapes[s]]
        return scalars + results[:RECORDED_PARAMETERS]


def _is_whole(number: Any, least: int) -> bool:
    return isinstance(number, int | np.integer) and bool(number >= least)
