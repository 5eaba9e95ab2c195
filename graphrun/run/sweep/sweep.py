"""A sweep: runs are claimed, handed to workers, and written down when they are done."""

from __future__ import annotations

import itertools
import math
import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from graphrun.base.errors import UsageError
from graphrun.base.files import write_atomically
from graphrun.document.dump import dump_document
from graphrun.document.sweep_section import Axis
from graphrun.run.display import Displayed
from graphrun.run.result import table_of
from graphrun.run.sweep.journal import PLAN, Journal, described, is_same, open_folder, read_courses, read_plan
from graphrun.run.sweep.plan import PRUNED, SweepPlan, Varied, overrides
from graphrun.run.sweep.worker import NUMBER, Task
from graphrun.run.sweep.workers import CHECKPOINT, Cluster, Processes, open_workers

if TYPE_CHECKING:
    from pandas import DataFrame

RETRIES = 2
"""A run whose worker died is made anew so often."""
SECONDS_BETWEEN_LOOKS = 0.1
MOST_COURSES = 2000
"""So many runs, the best ones, are shown with what they recorded."""
OF_ONE_RUN = ("csv", "jsonl", "tensorboard")
"""Observers whose target holds one run."""


@dataclass(frozen=True)
class Sweep:
    """What a sweep has come to.

    Attributes:
        runs: a mapping for each run that is done, by its number: ``number``, ``settings``, ``objective`` (None where
            there is none), ``stopped``, ``seconds``, ``engine``, ``steps``, ``seed``, ``host``.
        objective: the name of what is compared; `direction` is the better end of it.
        total: how many runs there are to be.
        folder: where all of it is kept, or None.
        interrupted: whether it was ended before.
        graph: the name of the graph file.
        axes: what is varied.
    """

    runs: list[dict[str, Any]]
    objective: str
    direction: str
    total: int
    folder: Path | None
    interrupted: bool = False
    graph: str = ""
    axes: tuple[Axis, ...] = ()
    _courses: Mapping[int, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def best(self) -> dict[str, Any] | None:
        """The run with the best objective, the first of several; None where none has one. Pruned runs do not count."""
        best = min(self.runs, key=self._place, default=None)
        return best if best is not None and has_value(best) else None

    def ranked(self) -> list[dict[str, Any]]:
        """Return the runs, the best one first; those that have no objective, or were pruned, at the end."""
        return sorted(self.runs, key=self._place)

    def _place(self, run: Mapping[str, Any]) -> float:
        if not has_value(run):
            return math.inf
        value: float = run["objective"]
        return -value if self.direction == "maximize" else value

    def columns(self) -> dict[str, list[Any]]:
        """Return the runs by column: the number, each path, and what came of it."""
        paths = dict.fromkeys(path for run in self.runs for path in run["settings"])
        told = ("objective", "stopped", "seconds", "engine", "steps", "seed", "host")
        return {
            "number": [run["number"] for run in self.runs],
            **{path: [run["settings"].get(path) for run in self.runs] for path in paths},
            **{name: [run.get(name) for run in self.runs] for name in told},
        }

    def courses(self, numbers: Collection[int]) -> Mapping[int, Mapping[str, Any]]:
        """Return what some runs recorded of the objective, as far as that was kept: steps, and values by name."""
        return self._courses if self.folder is None else read_courses(self.folder, numbers)

    def to_pandas(self) -> DataFrame:
        """Return the runs as a DataFrame: a row for each, by its number, and a column for each path.

        Raises:
            UsageError: pandas is not installed.
        """
        columns = self.columns()
        return table_of(columns, "number", columns.pop("number"))

    def report(self, path: str | Path | None = None) -> str:
        """Return a page to compare the runs on, in one file of HTML; a notebook shows it in a frame.

        Args:
            path: a file to write it to as well.

        Raises:
            RunError: the file cannot be written.
        """
        html: str = Displayed.page("sweep_report")(self, path)
        return html

    def to_json(self) -> dict[str, Any]:
        """Return the plain data of its JSON form."""
        names = ("number", "settings", "objective", "stopped", "seconds")
        plain = [{name: run[name] for name in names} for run in self.runs]
        best = self.best
        return {"runs": plain, "best": None if best is None else {name: best[name] for name in names}}


def has_value(run: Mapping[str, Any]) -> bool:
    """Whether a run came to something that can be compared."""
    return run["objective"] is not None and run["stopped"] != PRUNED


class _Hand(NamedTuple):
    task: Task
    worker: int
    tries: int


class _Running:
    """The runs in hand of one sweep."""

    def __init__(
        self,
        plan: SweepPlan,
        journal: Journal,
        workers: Processes | Cluster,
        observed: Sequence[str],
        *,
        checkpoints: bool,
    ) -> None:
        self.plan, self.journal, self.workers = plan, journal, workers
        self._observed, self._checkpoints = observed, checkpoints
        self.hands: dict[Future[dict[str, Any]], _Hand] = {}
        self._free = list(range(workers.count))[::-1]
        self._chooser: Any = None
        if plan.search == "tpe":
            from graphrun.run.sweep.optuna_search import Chooser

            self._chooser = Chooser(plan, journal)

    def fill(self) -> None:
        """Give each worker that is free a run, as long as there are some."""
        while self._free and (number := self.journal.claim(self.plan.runs)) is not None:
            pruning = None
            if self._chooser is None:
                settings = self.plan.settings(number)
            else:
                settings, pruning = self._chooser.ask(number)
            checkpoint = os.fspath(self.journal.checkpoint(number).absolute()) if self._checkpoints else None
            seeds, request = self.plan.seeds(number), self.plan.request
            task = Task(number, settings, seeds, self.plan.objective, request, checkpoint, pruning, self._observed)
            self._give(_Hand(task, self._free.pop(), 0))

    def _give(self, hand: _Hand) -> None:
        self.hands[self.workers.submit(hand.worker, hand.task)] = hand

    def take(self) -> list[dict[str, Any]]:
        """Wait a little, and write down what is done; return it."""
        found = []
        for future in wait(self.hands, SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED).done:
            hand = self.hands.pop(future)
            number = hand.task.number
            if future.cancelled():
                self.workers.check()
            error = None if future.cancelled() else future.exception()
            if future.cancelled() or (isinstance(error, self.workers.broken) and hand.tries < RETRIES):
                self._give(hand._replace(tries=hand.tries + 1))
                continue
            self._free.append(hand.worker)
            if error is None:
                line = future.result()
                if (content := line.pop(CHECKPOINT, None)) is not None:
                    write_atomically(Path(hand.task.checkpoint or ""), content)
            elif isinstance(error, self.workers.broken):
                line = _failed(hand, f"its worker died, {RETRIES + 1} times")
            else:
                line = _failed(hand, f"{type(error).__name__}: {error}")
            if line["stopped"] == "interrupted":
                self.journal.release(number)
                continue
            self.journal.add(line)
            found.append(line)
        return found


def _failed(hand: _Hand, why: str) -> dict[str, Any]:
    known = {"number": hand.task.number, "settings": dict(hand.task.settings), "objective": None}
    told = {"stopped": f"failed: {why}", "seconds": 0.0, "engine": None, "steps": None}
    return {**known, **told, "seed": hand.task.seeds[0], "host": None}


def sweep_graph(
    graph: Varied,
    plan: SweepPlan,
    *,
    workers: int | str = 1,
    folder: str | Path | None = None,
    checkpoints: bool = False,
    observed: Sequence[str] = (),
    on_run: Callable[[dict[str, Any]], None] = lambda _run: None,
    on_progress: Callable[[Sweep], None] = lambda _sweep: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Sweep:
    """Make the runs of a sweep that are not done yet, together with whoever has the folder open.

    Args:
        graph: what is run.
        plan: what is to be done.
        workers: as of `Graph.sweep`; so are `folder`, `checkpoints` and `observed`.
        on_run: called with each run that is done, also with those that were done before or by others.
        on_progress: called now and then with what there is.
        interrupted: asked now and then whether to end.
    """
    observed = [_observer(text, graph) for text in observed]
    with ExitStack() as stack:
        temporary = folder is None
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="graphrun-sweep-"))
        path = Path(folder)
        journal = stack.enter_context(open_folder(path, description(graph, plan), text_of(graph), plan.runs))
        told: set[int] = set()

        def so_far() -> Sweep:
            found = _done(journal, plan, graph.origin["file"])
            for run in found.runs:
                if run["number"] not in told:
                    told.add(run["number"])
                    on_run(run)
            return found

        on_progress(so_far())
        if next(journal.open_runs(plan.runs), None) is not None:
            # Whoever sees this file sees the folder, for checkpoints.
            kept = [os.fspath((path / PLAN).absolute())] if checkpoints else []
            named = [text for axis in plan.axes for text in _texts(axis.choices)]
            pool = stack.enter_context(open_workers(workers, graph, [*named, *kept]))
            running = _Running(plan, journal, pool, observed, checkpoints=checkpoints)
            _make(running, interrupted, lambda: on_progress(so_far()))
        found = so_far()
        if temporary:
            best = {run["number"] for run in found.ranked()[:MOST_COURSES]}
            found = replace(found, folder=None, _courses=read_courses(path, best))
        return replace(found, interrupted=len(found.runs) < plan.runs)


def _done(journal: Journal, plan: SweepPlan, file: str) -> Sweep:
    runs = [journal.done[number] for number in sorted(journal.done) if number < plan.runs]
    return Sweep(runs, plan.objective, plan.direction, plan.runs, journal.folder, graph=Path(file).name, axes=plan.axes)


def read_sweep(folder: Path) -> Sweep:
    """Return the sweep of a folder as far as it has come.

    Raises:
        UsageError: it is no sweep's.
        RunError: it cannot be used.
    """
    kept = read_plan(folder)
    with Journal(folder) as journal:
        # There may be more by now than there were to be.
        runs = max([kept["runs"] - 1, *journal.done]) + 1
        return _done(journal, SweepPlan.of(kept["plan"], runs), kept["graph"]["file"])


def _observer(text: str, graph: Varied) -> str:
    """Return what ``--observe`` says, so that it means the same in any working folder."""
    name, _, target = text.partition("=")
    graph.registry.observer(name)
    if name not in OF_ONE_RUN:
        return text
    if NUMBER not in target:
        raise UsageError(f"--observe {text}: each run needs a target of its own, as in {name}=runs/{NUMBER}")
    return f"{name}={Path(target).absolute()}"


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of a choice, which may be the names of files."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | Sequence):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)


def text_of(graph: Varied) -> str:
    """Return the text of the graph file; that of a graph without one holds what it holds."""
    return graph.document.source.text or dump_document(graph.document)


def description(graph: Varied, plan: SweepPlan) -> dict[str, Any]:
    """Return what a sweep's folder says of it."""
    return described(plan.identity, text_of(graph), graph.origin)


def default_folder(graph: Varied, plan: SweepPlan) -> Path:
    """Return the folder beside a graph file that is this sweep's, or will be: those of other sweeps have a number."""
    given = description(graph, plan)
    place = Path(graph.origin["file"])
    for number in itertools.count(1):
        folder = place.parent / f"{place.stem.strip('<>') or 'graph'}.sweep{'' if number == 1 else f'-{number}'}"
        if not folder.exists():
            return folder
        with suppress(UsageError):
            if is_same(read_plan(folder), given):
                return folder
    raise AssertionError


def _make(running: _Running, interrupted: Callable[[], bool], look: Callable[[], None]) -> None:
    """Make runs until all are done, by this process or by others."""
    is_ending, looked = False, 0.0
    while True:
        if not is_ending and interrupted():
            is_ending = True
            running.workers.end()
        if not is_ending:
            running.fill()
        if not running.hands:
            if is_ending or next(running.journal.open_runs(running.plan.runs), None) is None:
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)  # others have the rest in hand
            running.journal.read()
        elif isinstance(running.workers, Cluster) and is_ending:
            return
        else:
            running.take()
            running.workers.check()
        # Each look goes through all runs.
        if time.monotonic() - looked > SECONDS_BETWEEN_LOOKS:
            look()
            looked = time.monotonic()


def best_file(graph: Varied, sweep: Sweep, folder: Path) -> str:
    """Return the text of a graph file with the best settings in place, and the seed of that run.

    Raises:
        UsageError: no run has a value of the objective.
    """
    best = sweep.best
    if best is None:
        raise UsageError(f"no run has a value of {sweep.objective}: there is no best one")
    document = graph.varied(overrides(best["settings"])).document
    if best["seed"] is not None:
        document.seed = best["seed"]
    document.sweep = None
    data = document.data
    if data is not None:
        places = [
            None if file is None else _from(document.source.folder, file, folder)
            for file in (data.file, data.holdout.file)
        ]
        document.data = data._replace(file=places[0], holdout=data.holdout._replace(file=places[1]))
    return dump_document(document)


def _from(there: Path, file: str, here: Path) -> str:
    """Return the path of a file that another folder's file names, as it is from here."""
    path = Path(file)
    return file if path.is_absolute() else os.path.relpath(Path(there, path).absolute(), here.absolute())
