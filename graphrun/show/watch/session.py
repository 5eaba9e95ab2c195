"""What a watched graph file comes to: loaded and run anew when a file changes; while one is wrong, the state before."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from graphrun.base.errors import GraphrunError
from graphrun.base.reads import told_of_reads
from graphrun.run.loading import load
from graphrun.run.request import RunRequest
from graphrun.show.report import page, page_of, record, to_json
from graphrun.show.report.contents import what_grows

if TYPE_CHECKING:
    from graphrun.run.api import Graph
    from graphrun.run.result import Result
    from graphrun.show.report.recording import Recording

SECONDS_BEFORE_FIRST = 0.12
"""A run that takes longer, or an engine that compiles, is shown at its first row meanwhile."""

SECONDS_BETWEEN = 0.3
SHARE = 8
"""A run that is under way is shown again after so many times as long as it took to make that."""

GROWING = ("run", "rows", "history", "worth", "columns", "live")
"""What of a page becomes more as a run goes on."""

Signature = tuple[Any, ...] | None


@dataclass(frozen=True)
class State:
    """What pages show.

    Attributes:
        turn: which loading of the files it is of; 0 before there is a good one.
        revision: how often there was something new to show.
        data, script: what its page is made of, as of `page_of`; nothing before there is a good one.
        problem: what is wrong with the files as they are now.
    """

    turn: int = 0
    revision: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)
    script: str = ""
    problem: str = ""

    @property
    def seen(self) -> str:
        """What tells it from others."""
        return f"{self.turn}.{self.revision}"

    def html(self, name: str) -> str:
        """Return the page; where there was no good state yet, that of a graph of nothing."""
        data, script = self.data, self.script
        if not data:
            recording, request = record(graph := load({}, name=name), RunRequest())
            data, script = page_of(graph, graph.answer(request), recording)
        return page({**data, "watched": self.seen}, script, more=("watching",), policy="connect-src 'self'; ")

    def news(self, seen: str) -> str:
        """Return as JSON what a page is told that shows the state `seen`: it is another graph, or more of a run."""
        turn, _, revision = seen.partition(".")
        is_other = turn != str(self.turn)
        grown = {name: self.data[name] for name in GROWING} if not is_other and revision != str(self.revision) else None
        return to_json({"isOther": is_other, "problem": self.problem, "grown": grown})


class Session:
    """Loads and runs a graph in threads; a turn that is not the newest any more ends, and has nothing to say.

    Attributes:
        state: what is shown now.
        settled: set when the first turn has come to something.
        error: what is wrong with the newest turn.
        on_change: called, in any thread, when there is a new state.
    """

    def __init__(self, load: Callable[[], Graph], request: RunRequest, depth: int | None = None) -> None:
        self.state = State()
        self.settled = threading.Event()
        self.error: GraphrunError | None = None
        self.on_change: Callable[[], None] = lambda: None
        self._load, self._request, self._depth = load, request, depth
        self._turn = 0
        self._signatures: dict[str, Signature] = {}
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Load and run the files as they are now."""
        with self._lock:
            self._turn += 1
            self._signatures = {file: signature(file) for file in list(self._signatures)}
        # With the limit of memory of whoever asks.
        threading.Thread(target=copy_context().run, args=(self._take, self._turn), daemon=True).start()

    def end(self) -> None:
        """Let the run end that is under way."""
        self._turn += 1

    def has_changed(self) -> bool:
        """Say whether a file is another than when it was read."""
        return any(signature(file) != known for file, known in list(self._signatures.items()))

    def folders(self) -> set[str]:
        """Return where the files are, behind links too."""
        files = list(self._signatures)
        around = {os.path.dirname(place) for file in files for place in (file, os.path.realpath(file))}  # noqa: PTH120
        return {folder for folder in around.union(files) if os.path.isdir(folder)}  # noqa: PTH112

    def _take(self, turn: int) -> None:
        read: set[str] = set()

        def note(file: str) -> None:
            read.add(file)
            self._signatures.setdefault(file, signature(file))

        with told_of_reads(note):
            try:
                graph = self._load()
                recording, request = record(graph, self._request)
                with self._lock:
                    # Files that are read no more: not before all is well, for a wrong file names fewer of them.
                    if turn == self._turn:
                        self._signatures = {file: self._signatures[file] for file in read & self._signatures.keys()}
                self._run(turn, graph, recording, request)
            except GraphrunError as error:
                self._fail(turn, error)
            except Exception as error:
                traceback.print_exc(file=sys.stderr)
                self._fail(turn, GraphrunError(f"{type(error).__name__}: {error}"))

    def _run(self, turn: int, graph: Graph, recording: Recording, request: RunRequest) -> None:
        due = time.monotonic() + SECONDS_BEFORE_FIRST

        def look(so_far: Callable[[], Result]) -> None:
            nonlocal due
            start = time.monotonic()
            if start >= due:
                self._show(turn, graph, recording, so_far())
                end = time.monotonic()
                due = end + max(SECONDS_BETWEEN, SHARE * (end - start))

        timer = threading.Timer(SECONDS_BEFORE_FIRST, copy_context().run, (self._show_start, turn, graph))
        timer.daemon = True
        timer.start()
        try:
            result = graph.answer(replace(request, on_look=look, interrupted=lambda: self._turn != turn))
        finally:
            timer.cancel()
        recording.finish()
        self._show(turn, graph, recording, result)

    def _show_start(self, turn: int, graph: Graph) -> None:
        """Show the first row, where the run has shown nothing yet; what is wrong with it, the run will tell."""
        with suppress(Exception):
            recording, request = record(graph, replace(self._request, steps=0, engine="numpy"))
            result = graph.answer(request)
            self._show(turn, graph, recording, replace(result, stopped="running"), is_first=True)

    def _show(self, turn: int, graph: Graph, recording: Recording, result: Result, *, is_first: bool = False) -> None:
        known, is_running = self.state, result.stopped == "running"
        if known.turn == turn and is_running:
            data, script = {**known.data, **what_grows(graph, result, recording)}, known.script
        else:
            data, script = page_of(graph, result, recording, self._depth)
        if is_running:
            data["run"]["asked"] = self._request.steps_of(graph.document)
        with self._lock:
            if turn != self._turn or (is_first and self.state.turn == turn):
                return
            self.error = None
            self.state = State(turn, self.state.revision + 1, data, script)
        self._tell()

    def _fail(self, turn: int, error: GraphrunError) -> None:
        with self._lock:
            if turn != self._turn:
                return
            self.error = error
            self.state = replace(self.state, problem=str(error))
        self._tell()

    def _tell(self) -> None:
        self.settled.set()
        self.on_change()


def signature(file: str) -> Signature:
    """Return what changes when a file does; of a folder of plugins, the names of those."""
    with suppress(OSError, ValueError):
        status = os.stat(file)  # noqa: PTH116 (a Path would raise other errors for odd names)
        if os.path.isdir(file):  # noqa: PTH112
            return tuple(sorted(name for name in os.listdir(file) if name.endswith(".py")))  # noqa: PTH208
        return status.st_mtime_ns, status.st_size, status.st_ino
    return None
