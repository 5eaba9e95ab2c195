"""The Python interface: a `Graph`, which is run, stepped through, called as a function, and shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from graphrun.base.errors import UsageError
from graphrun.base.memory import limited, paused_collection
from graphrun.base.wording import counted
from graphrun.data.rows import DataSource
from graphrun.document import Document
from graphrun.document.names import normalize
from graphrun.engines import Program
from graphrun.graph.graph import ComputationalGraph
from graphrun.plan.build import build_plan
from graphrun.plan.plan import Plan
from graphrun.plugins.registry import Registry
from graphrun.run.display import Shown
from graphrun.run.loop import begin
from graphrun.run.passes import Passes, tell_passes
from graphrun.run.preparation import prepare, run_graph
from graphrun.run.request import RunRequest, whole
from graphrun.run.result import Result

if TYPE_CHECKING:
    from graphrun.run.function import Function
    from graphrun.run.intervals import Intervals
    from graphrun.run.predict import Evaluation
    from graphrun.run.stepping import Iteration
    from graphrun.run.sweep.sweep import Sweep


class Graph(Shown):
    """A graph, ready to run.

    Attributes:
        structure: names, nodes and their order.
        source: the data set that feeds it.
        registry: where its node types were found.
        memory: how many bytes it may take; None for half of the memory.

    Any number of threads may use one: each run has a program of its own.
    """

    def __init__(
        self,
        structure: ComputationalGraph,
        source: DataSource | None = None,
        registry: Registry | None = None,
        memory: int | None = None,
        again: partial[Graph] | None = None,
    ) -> None:
        self.structure = structure
        self.source = source or DataSource(structure.document)
        self.registry = registry or Registry()
        self.memory = memory
        self._plans: dict[tuple[np.dtype[Any], int], Plan] = {}
        self._again = again

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

    def varied(self, overrides: Sequence[str]) -> Graph:
        """Return the graph of the same file with more of its values changed, as of ``--set``.

        Raises:
            GraphFileError, UsageError: as of `load`.
        """
        if self._again is None:
            raise TypeError("a graph can be varied that `load` made")
        return self._again(more=overrides)

    @property
    def origin(self) -> Mapping[str, Any]:
        """What it was made of: the file, what was changed in it, and by which other files."""
        given: tuple[Any, ...] = (self.document.source, (), None, None, None, None)
        source, overrides, _, data, start, _ = given if self._again is None else self._again.args
        file = Path(source.folder, Path(source.name).name).absolute()
        plain = {"overrides": list(overrides), "plugins": [str(folder) for folder in self.registry.folders]}
        return {"file": str(file), **plain, "data": data and str(data), "start": start and str(start)}

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
        """Return what a user should know: how the data set is read, what a checkpoint began, whose types are used."""
        with limited(self.memory):
            data = self.source.open((self.document.seed or 0) if seed is None else seed)
        types = dict.fromkeys(node.type.name for node in self.structure.nodes)
        start = self.document.start_note
        return [*((start,) if start else ()), *(() if data is None else data.notes), *self.registry.clashes(types)]

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

    def iterate(
        self,
        steps: int | None = None,
        *,
        engine: str = "auto",
        dtype: str | None = None,
        seed: int | None = None,
        resume: str | Path | None = None,
        device: str | None = None,
    ) -> Iteration:
        """Run the graph step by step: return an iterator of row 0, before any update, and the row after each step.

        Before the next row is asked for, `Row.set` may put parameters elsewhere. `Iteration.close`, or leaving a
        ``with`` of it, ends the run; so does forgetting it.

        Args:
            steps, engine, dtype, seed, resume, device: as of `run`.

        Raises:
            UsageError, ShapeError: as of `run`; asking for a row may raise NotFiniteError and PluginError.
        """
        from graphrun.run.stepping import Iteration

        request = RunRequest(steps, engine, dtype, seed, record=(), resume=resume, device=device)
        with limited(self.memory):
            plan, engine_of_run, job, _ = prepare(self.structure, self.source, self.plan, request)
            return Iteration(begin(plan, engine_of_run, job), job)

    def passes(
        self,
        step: int | None = None,
        *,
        engine: str = "auto",
        dtype: str | None = None,
        seed: int | None = None,
        resume: str | Path | None = None,
    ) -> Passes:
        """Run the graph up to a step, and return the forward and the backward pass there, taken apart.

        Args:
            step: how many updates to make before, from the very start; default 0, for the values as the file gives
                them, or the step of the checkpoint.
            engine, dtype, seed, resume: as of `run`.

        Raises:
            UsageError: the run ends before that step; the text says why.
            NotFiniteError: a recorded value was not finite at that step, or the run failed before it; of the step that
                broke, its `passes` are as far as they came.
        """
        from graphrun.run.checkpoint import first_step

        step = first_step(step, resume)
        if step and self.structure.objective is None:
            raise UsageError(f"there is no step {step}: without an objective nothing is updated")
        taken: list[Passes] = []

        def take(program: Program) -> None:
            if program.step == step:
                taken.append(Passes.of(program))

        request = RunRequest(
            step,
            engine=engine,
            dtype=dtype,
            seed=seed,
            every=max(step, 1),
            resume=resume,
            inspect=take,
            one_row=True,
        )
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
        from graphrun.run.function import function_of

        again = partial(Graph.function, self, names, of=of, engine=engine, dtype=dtype, seed=seed, step=step)
        plan, seed = self.plan(dtype, seed), (self.document.seed or 0) if seed is None else seed
        with limited(self.memory):
            feed = self.source.open(seed, whole=step is None)
            if step is None and plan.feeds:
                plan = build_plan(self.structure, plan.dtype, seed, feed)
            return function_of(plan, feed, whole("step", step or 0, 0), names, of, engine, again)

    def sweep(
        self,
        vary: Mapping[str, Any] | None = None,
        *,
        search: str | None = None,
        runs: int | None = None,
        objective: str | None = None,
        direction: str | None = None,
        seed: int | None = None,
        repeat: int | None = None,
        prune: str | None = None,
        workers: int | str = 1,
        folder: str | Path | None = None,
        checkpoints: bool = False,
        observed: Sequence[str] = (),
        **asked: Any,
    ) -> Sweep:
        """Run the graph many times, with other values each time, and compare what comes of it.

        Args:
            vary: by the paths of ``--set``, lists of values or ranges such as ``1e-4..1e-1:log`` and ``1..10``; beside
                what the section `sweep` of the file has.
            search: ``grid``, ``random`` or ``tpe``, default the grid of lists, else random.
            runs: how many, default the whole grid, else 20.
            objective: what is compared, as it is recorded: ``loss``, ``holdout.loss``; default the file's.
            direction: ``minimize`` or ``maximize``, default the file's.
            seed: what is drawn derives from it; run k has the seed that is k above it. Default the file's, else 0.
            repeat: how many seeds each run is made with; the mean is compared.
            prune: ``median`` or ``hyperband``, with ``tpe``: ends runs that lag behind.
            workers: so many processes of this machine; ``dask:ADDRESS``, ``dask:local``.
            folder: where everything is kept, so that the same sweep goes on there; default nowhere.
            checkpoints: whether the folder keeps a checkpoint of each run.
            observed: observers as of ``--observe``; ``{number}`` stands for that of a run.
            asked: of `run`: steps, engine, dtype, device; of the command: on_run, on_progress, interrupted.

        Raises:
            UsageError: something makes no sense.
            RunError: the folder cannot be used, or the cluster is lost.
        """
        from graphrun.document.sweep_section import SweepEntry, joined
        from graphrun.run.sweep.plan import make_plan
        from graphrun.run.sweep.sweep import sweep_graph

        given = SweepEntry((), search, runs, objective, direction, seed, repeat, prune)
        request: dict[str, Any] = {
            name: asked.pop(name) for name in ("steps", "engine", "dtype", "device") if name in asked
        }
        plan = make_plan(self, joined(self.document.sweep, vary or {}, given), request)
        return sweep_graph(
            self, plan, workers=workers, folder=folder, checkpoints=checkpoints, observed=observed, **asked
        )

    def intervals(
        self, parameters: Sequence[str] = (), *, contour: Sequence[str] = (), level: float | None = None, **asked: Any
    ) -> Intervals:
        """Run the graph, and return profile intervals: how far a parameter can go while the others do their best.

        Args:
            parameters: their names, ``W[0,1]`` of elements; default all, or none with a contour.
            contour: two names, whose joint region is returned.
            level: how likely an interval covers, default the file's.
            asked: as of `run`.

        Raises:
            UsageError: no uncertainty is asked for by the file, or there is nothing to profile.
        """
        from graphrun.run.fit import Fit
        from graphrun.run.intervals import profile_intervals

        entry, request = self.document.uncertainty, RunRequest(**asked)
        if entry is None:
            raise UsageError("intervals are those of a fit: write uncertainty: least_squares, or likelihood")
        if level is not None and not 0 < level < 1:
            raise UsageError(f"level is a number between 0 and 1, not {level:g}")
        if len(contour) not in (0, 2) or len(set(contour)) < len(contour):
            raise UsageError("a contour is that of two parameters: a,b")
        result = self.answer(request)
        if result.error is not None:
            raise result.error
        seed = (self.document.seed or 0) if request.seed is None else request.seed
        entry = entry if level is None else entry.model_copy(update={"level": level})
        with limited(self.memory):
            plan, feed = self.plan("float64", seed), self.source.open(seed)
            fit = Fit(plan, feed, entry, result.parameters, request.interrupted)
            return profile_intervals(fit, [*map(normalize, parameters)], [*map(normalize, contour)])

    def evaluate(self, checkpoint: str | Path, names: Sequence[str] | None = None) -> Evaluation:
        """Return values on all rows of the data set, and on those held back, at the parameters of a checkpoint.

        Args:
            checkpoint: the parameters, and the statistics that the data set is standardized by.
            names: the nodes, default the objective and what is recorded.

        Raises:
            UsageError: as of `predict`.
            ShapeError: shapes do not fit.
        """
        from graphrun.run.predict import evaluate

        with limited(self.memory):
            return evaluate(self.document, self.source.file, self.registry, checkpoint, names)

    def predict(
        self,
        checkpoint: str | Path,
        names: Sequence[str],
        *,
        band: bool = False,
        texts: Mapping[str, str] | None = None,
        carried: Sequence[str] = (),
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield values on the rows of the data set, piece by piece in the order of the file: the forward pass alone.

        Args:
            checkpoint: the parameters, and the statistics that the data set is standardized by.
            names: the values that are asked for; each has a row for each row of the data.
            band: also its standard error, ``NAME.se``, and the ends of two intervals: of the value, ``NAME.low`` and
                ``NAME.high``, and of a new observation, ``NAME.prediction_low`` and ``NAME.prediction_high``, where
                the fit tells how these scatter. The fit is to the rows that the graph file itself names.
            texts: of values that are indices, the column whose categories they are given as.
            carried: columns of the data file that come before the values, as an id of each row.

        Raises:
            UsageError: the graph has no data set, a name is unknown, a value has no axis of rows, or the checkpoint is
                of another graph.
            ShapeError: shapes do not fit.
        """
        from graphrun.run.predict import predict

        return predict(
            self.document,
            self.source.file,
            self.registry,
            checkpoint,
            names,
            band=band,
            texts=texts or {},
            carried=carried,
        )
