"""Proving the derivatives of many elementwise types, each within a time limit.

SymPy may think for hours, and nothing but the end of its process stops it for certain. So the types are proven in
worker processes; one that takes too long is ended, and another goes on with the types that are left.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from graphrun.base.errors import RunError
from graphrun.base.streams import stdout_to_stderr
from graphrun.base.wording import counted
from graphrun.declare.nodetype import NodeType
from graphrun.plugins.registry import Registry, error_text

SECONDS = 20.0
"""The time limit for one type; the built-in ones take up to 0.2 s."""

TYPES_A_WORKER = 50
"""How many types make another worker worth its start, which takes as long as 100 proofs."""

WIDTH = 80
NO_BREAK = "\N{NO-BREAK SPACE}"


class Outcome(StrEnum):
    """What comes of a proof."""

    PROVEN = "proven"
    WRONG = "wrong"
    UNDECIDED = "not decided"
    NOTHING = "with nothing to prove"


@dataclass(frozen=True)
class Verdict:
    """What was found about a type; the text is a counterexample, or why it is not decided, or for which settings."""

    name: str
    outcome: Outcome
    text: str = ""


@dataclass(frozen=True)
class Proofs:
    """Verdicts as text, in lines of up to `WIDTH` characters; tensor types beside them are not proven."""

    verdicts: Sequence[Verdict]
    tensors: Sequence[str] = ()

    def of(self, outcome: Outcome) -> list[Verdict]:
        """Return the verdicts of one outcome."""
        return [verdict for verdict in self.verdicts if verdict.outcome is outcome]

    @property
    def wrong(self) -> Iterator[str]:
        """Yield the types whose derivatives are wrong, with a counterexample."""
        for verdict in self.of(Outcome.WRONG):
            yield from _wrap(f"{verdict.name}: wrong: {verdict.text}")

    @property
    def lines(self) -> Iterator[str]:
        """Yield everything else: what is proven, what is not, and how many."""
        texts = [f"{v.name} ({v.text})" if v.text else v.name for v in self.of(Outcome.PROVEN)]
        # What is in parentheses stays on a line that has room for it, by spaces that do not break.
        proven = [text.replace(" ", NO_BREAK) if len(text) < WIDTH // 2 else text for text in texts]
        if proven:
            yield from _wrap(f"proven: {', '.join(proven)}")
        for verdict in self.of(Outcome.UNDECIDED):
            yield from _wrap(f"not decided: {verdict.name}: {verdict.text}")
        nothing = [verdict.name for verdict in self.of(Outcome.NOTHING)]
        if nothing:
            yield from _wrap(f"nothing to prove, for no gradient is passed on: {', '.join(nothing)}")
        if self.tensors:
            yield from _wrap(f"not proven, for they are no elementwise types: {', '.join(self.tensors)}")
        counts = [f"{len(found)} {outcome}" for outcome in Outcome if (found := self.of(outcome))]
        types = counted(len(self.verdicts), "elementwise type")
        yield f"{types}: {', '.join(counts) or 'nothing to prove'}"


def _wrap(text: str) -> list[str]:
    lines = textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return [line.replace(NO_BREAK, " ") for line in lines]


def prove_type(declared: NodeType) -> Verdict:
    """Prove the derivatives of an elementwise type, without a time limit.

    What cannot be proven is compared with finite differences, which may show that it is wrong.

    Raises:
        UsageError: SymPy is not installed.
    """
    from graphrun.check.symbolic.proof import prove_derivatives

    if declared.derivative is None:
        return Verdict(declared.name, Outcome.NOTHING)
    try:
        findings = prove_derivatives(declared)
    except (Exception, SystemExit) as error:  # SymPy meets formulas of anybody's
        return compare(declared, f"SymPy fails on its formulas: {error_text(error)}")
    if findings.wrong:
        return Verdict(declared.name, Outcome.WRONG, findings.wrong[0])
    if findings.undecided:
        return compare(declared, findings.undecided[0])
    if not findings.derivatives:
        return Verdict(declared.name, Outcome.NOTHING)
    return Verdict(declared.name, Outcome.PROVEN, _extent(findings.settings, findings.symbols))


def _extent(settings: Sequence[dict[str, object]], symbols: Sequence[str]) -> str:
    if not settings:
        return f"every {', '.join(symbols)}" if symbols else ""
    return "only at " + "; ".join(", ".join(f"{k} = {v!r}" for k, v in one.items()) for one in settings)


def compare(declared: NodeType, reason: str) -> Verdict:
    """Compare a type that could not be proven with finite differences."""
    from graphrun.check.testing import slope_failures

    failures = slope_failures(declared)
    if failures:
        return Verdict(declared.name, Outcome.WRONG, failures[0].removeprefix(f"{declared.name}: "))
    return Verdict(declared.name, Outcome.UNDECIDED, f"{reason}; finite differences agree, which proves nothing")


def prove_all(names: Sequence[str], folders: Sequence[str] = (), seconds: float = SECONDS) -> Iterator[Verdict]:
    """Prove types by name, in worker processes; yield the verdicts in the order of the names.

    `folders` are those of loose plugin files, as of `Registry`, `seconds` is the time limit for one type.

    Raises:
        UsageError: SymPy is not installed.
    """
    import graphrun.check.symbolic  # noqa: F401 (it says what to install)

    if not names:
        return
    tasks = [Task(name) for name in reversed(names)]
    count = min(os.cpu_count() or 1, len(names) // TYPES_A_WORKER + 1)
    workers = [Worker(folders) for _ in range(count)]
    verdicts: dict[str, Verdict] = {}
    try:
        for name in names:
            while name not in verdicts:
                workers = [worker for worker in workers if worker.is_wanted(tasks)]
                for verdict in advance(workers, tasks, folders, seconds):
                    verdicts[verdict.name] = verdict
            yield verdicts[name]
    finally:
        for worker in workers:
            worker.end()


@dataclass(frozen=True)
class Task:
    """A type to prove; with a reason why it cannot be, to compare only."""

    name: str
    reason: str = ""


@dataclass
class Worker:
    """A process that proves types; it is ready once it has started, and has no task until then and between tasks."""

    folders: Sequence[str]
    task: Task | None = None
    deadline: float = float("inf")
    is_ready: bool = False
    process: BaseProcess = field(init=False)
    connection: Connection = field(init=False)

    def __post_init__(self) -> None:
        # Not forked: a plugin may have started threads, of which a fork would lack the locks' owners.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, list(self.folders)), daemon=True)
        with _ctrl_c_ignored():
            self.process.start()
        theirs.close()

    def is_wanted(self, tasks: Sequence[Task]) -> bool:
        """Whether it has something to do, now or next; it ends where it has not."""
        if self.task is None and self.is_ready and not tasks:
            self.end()
            return False
        return True

    def begin(self, task: Task, seconds: float) -> None:
        """Give it a task."""
        self.task, self.deadline = task, time.monotonic() + seconds
        self.connection.send(task)

    def end(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def advance(workers: list[Worker], tasks: list[Task], folders: Sequence[str], seconds: float) -> Iterator[Verdict]:
    """Wait until a worker answers, ends or takes too long; give out tasks; yield what is found."""
    soonest = min(worker.deadline for worker in workers)
    timeout = None if soonest == float("inf") else max(0.0, soonest - time.monotonic())
    answered = wait([worker.connection for worker in workers], timeout)
    for number, worker in enumerate(workers):
        failure = ""
        if worker.connection in answered:
            try:
                found = worker.connection.recv()
            except (EOFError, OSError):
                failure = "the process that proved it ended"
            else:
                if found is not None:
                    yield found
                worker.is_ready, worker.task, worker.deadline = True, None, float("inf")
        elif time.monotonic() >= worker.deadline:
            failure = f"there was no answer within {seconds:g} s"
        if failure:
            worker.end()
            workers[number] = Worker(folders)
            if not worker.is_ready:
                raise RunError("the processes that prove types do not start")
            if worker.task is not None and worker.task.reason:
                why = f"{worker.task.reason}, and then {failure}"
                yield Verdict(worker.task.name, Outcome.UNDECIDED, why)
            elif worker.task is not None:
                tasks.append(Task(worker.task.name, failure))
        elif worker.is_ready and worker.task is None and tasks:
            worker.begin(tasks.pop(), seconds)


@contextlib.contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Ignore Ctrl-C here and in processes that start here: it is the main process that ends the others."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(connection: Connection, folders: Sequence[str]) -> None:
    """Prove what is asked for, in a process of its own."""
    with _ctrl_c_ignored(), stdout_to_stderr():
        registry = Registry(folders)
        from graphrun.check.symbolic import proof  # noqa: F401 (before the first time limit begins)

        connection.send(None)
        while True:
            try:
                task: Task = connection.recv()
            except EOFError:
                return
            declared = registry.node_type(task.name)
            if declared is None:
                verdict = Verdict(task.name, Outcome.UNDECIDED, "its plugin did not load again")
            else:
                verdict = compare(declared, task.reason) if task.reason else prove_type(declared)
            connection.send(verdict)
