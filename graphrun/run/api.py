"""The Python interface: `load` a graph file, then `run` it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from graphrun.base.errors import RunError, UsageError
from graphrun.base.memory import paused_collection
from graphrun.base.wording import counted
from graphrun.data.rows import DataSource, Rows, held_back_rows, statistics_of
from graphrun.document import Document, did_you_mean, load_document
from graphrun.document.names import normalize
from graphrun.engines import Engine, Program, get_engine
from graphrun.engines.auto import Choice, choose, keep
from graphrun.engines.numpy import NumpyProgram, node_program
from graphrun.engines.stop import StopRule
from graphrun.graph.graph import ComputationalGraph, build_graph
from graphrun.plan.build import build_plan
from graphrun.plan.plan import Array, Plan
from graphrun.plugins.registry import Registry
from graphrun.run.loop import Row, RunOptions, run
from graphrun.run.observers import Observers, RunDescription
from graphrun.run.passes import Passes
from graphrun.run.result import Result
from graphrun.solvers import Solver

if TYPE_CHECKING:
    from graphrun.data import DataSet
    from graphrun.run.distributed import Cluster
    from graphrun.show.draw import Drawing

RECORDED_PARAMETERS = 1000
"""With more scalar parameters than this, only the objective is recorded by default."""


def load(
    path: str | Path,
    *,
    overrides: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
    registry: Registry | None = None,
    data: str | Path | None = None,
) -> Graph:
    """Load a graph file.

    Args:
        path: the YAML file.
        overrides: changes to the file, as of ``--set``: texts ``PATH=VALUE`` with a dotted path of the file's own keys
            and a YAML value.
        plugins: folders of loose plugin files, as of ``--plugins``.
        registry: node types and update rules that were found already.
        data: a file in place of the graph file's data set, as of ``--data``.

    Raises:
        GraphFileError: the file cannot be used; the text lists every problem with its position.
        UsageError: a plugin folder does not exist, or an override makes no sense.
    """
    with paused_collection():
        document = load_document(path, overrides)
        source = DataSource(document, data)
        registry = registry or Registry(plugins)
        structure = build_graph(document, registry, source.names)
        return Graph(structure, source, registry)


class Graph:
    """A graph, ready to run.

    Attributes:
        structure: names, nodes and their order.
        source: the data set that feeds it.
        registry: where its node types were found.
    """

    def __init__(
        self, structure: ComputationalGraph, source: DataSource | None = None, registry: Registry | None = None
    ) -> None:
        self.structure = structure
        self.source = source or DataSource(structure.document)
        self.registry = registry or Registry()
        self._plans: dict[tuple[np.dtype[Any], int], Plan] = {}

    def __repr__(self) -> str:
        parameters, nodes = (
            counted(len(self.document.parameters), "parameter"),
            counted(len(self.document.nodes), "node"),
        )
        return f"<Graph {self.name}: {parameters}, {nodes}>"

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
        """Return what a user should know about how the data set is read."""
        data = self.source.open((self.document.seed or 0) if seed is None else seed)
        return () if data is None else data.notes

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
            engine: ``auto`` or ``numpy``.
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
        result = self.try_run(
            steps,
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
        save: str | Path | None = None,
        save_every: int | None = None,
        resume: str | Path | None = None,
        device: str | None = None,
        cluster: Cluster | None = None,
        observers: Sequence[object] = (),
        on_row: Row | None = None,
        inspect: Callable[[Program], None] | None = None,
        on_progress: Callable[[int], None] = lambda _step: None,
        on_choice: Callable[[Choice], None] = lambda _choice: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Result:
        """Run the graph as `run` does, but return what a failed run has, with its `error`.

        Args:
            steps, engine, dtype, seed, record, every, save, save_every, resume, device, observers: as of `run`.
            cluster: the processes that share out the rows of each step among themselves.
            on_row: called with each recorded row: the step, and the values by name.
            inspect: called with the program at each recorded row; `Passes.of` takes its two passes apart.
            on_progress: called now and then with the number of steps made.
            on_choice: called with what ``auto`` chose, and why.
            interrupted: asked now and then whether to end.
        """
        steps = self.steps if steps is None else steps
        if not _is_whole(steps, 0) or not (every is None or _is_whole(every, 1)):
            raise UsageError("steps is a whole number of 0 or more, and every one of 1 or more")
        if not (save_every is None or (save is not None and _is_whole(save_every, 1))):
            raise UsageError("save_every is a whole number of 1 or more, and goes with save")
        if save is not None:
            from graphrun.run.checkpoint import check_writable

            check_writable(Path(save))
        checkpoint = None
        if resume is not None:
            from graphrun.run.checkpoint import check_fits, load_checkpoint

            checkpoint = load_checkpoint(resume)
            seed = checkpoint.seed if seed is None else seed
        seed = (self.document.seed or 0) if seed is None else seed
        plan = self.plan(dtype, seed)
        feed = self.source.open(seed)
        if checkpoint is not None and resume is not None:
            check_fits(checkpoint, plan, resume)
            if feed is not None and feed.statistics:
                feed = self.source.open(seed, statistics_of(checkpoint))
                plan = build_plan(self.structure, plan.dtype, seed, feed)
        if steps and plan.objective is None:
            steps = 0
        stop = None if self.document.stop is None else StopRule(self.document.stop, maximize=plan.maximize)
        if stop is not None and checkpoint is not None and checkpoint.watch:
            stop.remember(checkpoint.watch)
        first_step = 0 if checkpoint is None else checkpoint.step
        where = Where(device, cluster)
        made = self._engine(
            engine,
            plan,
            feed,
            where,
            steps=steps - first_step,
            stop=stop,
            began=checkpoint.engine if checkpoint else "",
            on_choice=on_choice,
        )
        names = self._recorded(plan, record)
        told = Observers(observers if where.writes else ())
        told.started(self._description(plan, made, names, steps=steps, first_step=first_step, seed=seed))
        options = RunOptions(
            name=self.name,
            steps=steps,
            record=names,
            every=every,
            stop=stop,
            feed=feed,
            holdout=held_back_rows(feed),
            resume=checkpoint,
            save=partial(write_checkpoint, Path(save), seed, feed, stop, made.name) if save and where.writes else None,
            save_every=save_every,
            on_row=told.also(on_row),
            inspect=inspect,
            on_progress=on_progress,
            interrupted=interrupted,
            smallest=(lambda number: number) if cluster is None else cluster.smallest,
        )
        with nullcontext() if cluster is None else cluster.watched():
            result = run(plan, made, options)
        result = in_file_order(result, self.structure)
        return told.ended(replace(result, drawn=partial(draw_result, self.structure, plan)))

    def passes(
        self, step: int = 0, *, engine: str = "auto", dtype: str | None = None, seed: int | None = None
    ) -> Passes:
        """Run the graph up to a step, and return the forward and the backward pass there, taken apart.

        Args:
            step: how many updates to make before; 0 for the values as the file gives them.
            engine, dtype, seed: as of `run`.

        Raises:
            UsageError: the run ends before that step; the text says why.
            NotFiniteError: a recorded value was not finite at that step, or the run failed before it.
        """
        if step and self.structure.objective is None:
            raise UsageError(f"there is no step {step}: without an objective nothing is updated")
        taken: list[Passes] = []

        def take(program: Program) -> None:
            if program.step == step:
                taken.append(Passes.of(program))

        result = self.try_run(step, engine=engine, dtype=dtype, seed=seed, every=max(step, 1), inspect=take)
        if result.error is not None:
            raise result.error
        if taken:
            return taken[0]
        raise UsageError(f"there is no step {step}: the run ends after {result.steps} ({result.stopped})")

    def _drawing(self) -> Drawing:
        """Return the drawing that a notebook shows: with the values before any update, where there are such."""
        from graphrun.show.draw import draw_graph

        try:
            passes = self.passes()
        except RunError:
            passes = None
        return draw_graph(self.structure, passes)

    def _repr_html_(self) -> str:
        from graphrun.show.notebook import drawing_html

        return drawing_html(self._drawing())

    def _repr_mimebundle_(self, **_: object) -> Mapping[str, str]:
        from graphrun.show.notebook import drawing_html, svg

        drawing = self._drawing()
        return {"text/plain": repr(self), "text/html": drawing_html(drawing), "image/svg+xml": svg(drawing)}

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
        from graphrun.run.checkpoint import check_fits, load_checkpoint

        saved = load_checkpoint(checkpoint)
        if not names:
            raise UsageError("no node is named whose values are to be predicted")
        if self.document.data is None:
            raise UsageError(f"{self.name} has no 'data' section, so there are no rows to predict")
        given, names = names, [normalize(name) for name in names]
        part = self._part(names)
        if part.document.data is None or not part.source.names:
            raise UsageError(f"{names[0]!r} has no axis of rows: it depends on no column of the data")
        data = part.source.open(saved.seed, statistics_of(saved))
        assert data is not None  # noqa: S101 (for the type checker: there is a section)
        program: NumpyProgram | None = None
        for columns in data.everything():
            rows = len(columns[0])
            if program is None:
                plan = build_plan(part.structure, seed=saved.seed, feed=Rows(columns))
                check_fits(saved, plan, checkpoint, whole=False)
                program = node_program(plan)
                program.restore_values(saved.arrays)
            values = program.evaluate_rows(columns, [program.plan.slots[name] for name in names])
            for name, value in zip(names, values, strict=True):
                if np.ndim(value) == 0 or len(value) != rows:
                    raise UsageError(f"{name!r} has no axis of rows: its shape on {rows} rows is {np.shape(value)}")
            yield dict(zip(given, map(np.asarray, values), strict=True))

    def _part(self, names: Sequence[str]) -> Graph:
        """Return the part of the graph that some values depend on, with the columns that it needs."""
        document = self.document
        unknown = next((name for name in names if name not in document.nodes), None)
        if unknown is not None:
            hint = did_you_mean(unknown, document.nodes)
            raise UsageError(f"there is no node {unknown!r} to predict" + (f"; {hint}" if hint else ""))
        needed: set[str] = set()
        pending = list(names)
        while pending:
            name = pending.pop()
            if name not in needed:
                needed.add(name)
                inputs = document.nodes[name].inputs if name in document.nodes else ()
                pending += [source for source in inputs if isinstance(source, str)]
        document = replace(
            document,
            parameters={name: entry for name, entry in document.parameters.items() if name in needed},
            constants={name: value for name, value in document.constants.items() if name in needed},
            nodes={name: entry for name, entry in document.nodes.items() if name in needed},
            data=None if document.data is None else document.data.part(needed),
            maximize=None,
            minimize=None,
            record=None,
            expect=(),
        )
        source = DataSource(document, self.source.file, training=False)
        return Graph(build_graph(document, self.registry, source.names).evaluation(), source, self.registry)

    def _engine(
        self,
        name: str,
        plan: Plan,
        feed: DataSet | None,
        where: Where,
        *,
        steps: int,
        stop: StopRule | None,
        began: str,
        on_choice: Callable[[Choice], None],
    ) -> Engine:
        """Return the engine of a run; a solver has one of its own."""
        is_solver = isinstance(plan.update.rule, Solver)
        if where.is_asked_for:
            if name not in {"auto", "jax"}:
                raise UsageError(f"device and distributed are the jax engine's, not the {name} engine's")
            name = "jax"
        if is_solver and name not in {"auto", "numpy"}:
            raise UsageError(
                f"the solver {plan.update.rule.name} works with the numpy engine, not with {name}: "
                "take that, or an update rule such as adam"
            )
        if is_solver:
            from graphrun.engines.scipy.engine import SolverEngine

            return SolverEngine()
        if name == "auto":
            choice = keep(began, choose(plan, steps, feed))
            on_choice(choice)
            name = choice.engine
        if name != "jax":
            return get_engine(name)
        from graphrun.engines.jax import make_engine

        if where.cluster is not None:
            where.cluster.join(where.device)
        return make_engine(where.device, shared=where.cluster is not None, watch=stop is not None)

    def _description(
        self, plan: Plan, engine: Engine, names: Sequence[int], *, steps: int, first_step: int, seed: int
    ) -> RunDescription:
        """Return what observers are told of a run."""
        update = plan.update
        settings: dict[str, Any] = {"type": update.rule.name, **dict(update.settings)}
        if update.schedule is not None:
            settings["step_size"] = {"type": update.schedule[0].name, **dict(update.schedule[1])}
        return RunDescription(
            graph=self.name,
            description=self.document.description or "",
            objective=None if plan.objective is None else plan.names[plan.objective],
            direction="maximize" if plan.maximize else "minimize",
            steps=steps,
            first_step=first_step,
            engine=engine.name,
            dtype=plan.dtype.name,
            seed=seed,
            update=settings,
            record=[plan.names[slot] or "" for slot in names],
            parameters=sum(math.prod(shape) for shape in plan.shapes[: plan.parameters]),
        )

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


def in_file_order(result: Result, structure: ComputationalGraph) -> Result:
    """List the values of nodes as the file does; engines have them in the order in which they are computed."""
    nodes = [name for name in structure.names[len(structure.leaves) :] if name is not None]
    values = {name: result.values[name] for name in nodes}
    gradients = {name: result.gradients[name] for name in (*result.parameters, *nodes)} if result.gradients else {}
    return replace(result, values=values, gradients=gradients)


def draw_result(structure: ComputationalGraph, plan: Plan, result: Result) -> Drawing:
    """Make the drawing of a graph with the values and gradients of a result."""
    from graphrun.show.draw import draw_graph

    values: list[Array] = [*plan.leaves, *[None] * plan.node_count]
    gradients: list[Array] = [None] * len(plan.names)
    for name, slot in plan.slots.items():
        value = result.values.get(name, result.parameters.get(name, values[slot]))
        # NumPy's numbers, not Python's, which raise where those give an infinity.
        values[slot] = np.asarray(value)[()]
        gradients[slot] = result.gradients.get(name)
    # What each step is given anew is not kept.
    for slot in plan.changing_leaves:
        values[slot] = None
    return draw_graph(structure, Passes(plan, result.steps, values, gradients))


def write_checkpoint(
    path: Path, seed: int, data: DataSet | None, stop: StopRule | None, engine: str, program: Program
) -> None:
    """Write a checkpoint of a program."""
    from graphrun.run.checkpoint import Checkpoint, fingerprint, save_checkpoint

    statistics = {} if data is None else {f"data/{name}": array for name, array in data.statistics.items()}
    arrays = {**program.snapshot(), **statistics}
    watch = {} if stop is None else stop.memory()
    save_checkpoint(Checkpoint(program.step, seed, fingerprint(program.plan), arrays, watch, engine), path)


@dataclass(frozen=True)
class Where:
    """Where a run computes: a device of the jax engine's, or the processes of a cluster."""

    device: str | None
    cluster: Cluster | None

    @property
    def is_asked_for(self) -> bool:
        """Whether somebody named a device or a cluster."""
        return self.device is not None or self.cluster is not None

    @property
    def writes(self) -> bool:
        """Whether this process writes what the run gives: of several, the first one does."""
        return self.cluster is None or self.cluster.is_first()


def _is_whole(number: Any, least: int) -> bool:
    return isinstance(number, int | np.integer) and bool(number >= least)
