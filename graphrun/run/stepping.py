"""A run step by step, in the hands of whoever asks for the next row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from graphrun.base.errors import UsageError
from graphrun.base.numbertext import describe
from graphrun.engines import NotFinite, Program, StepFailed
from graphrun.run.function import known, shaped
from graphrun.run.loop import History, Job, failure, look_at_start
from graphrun.run.result import plain


class Iteration(Iterator["Row"]):
    """The rows of a run, each made when it is asked for; the run ends with the last of them, or when it is closed.

    Attributes:
        stopped: why there are no more rows, as of `Result.stopped`; None while there may be.
    """

    def __init__(self, program: Program, job: Job) -> None:
        self.stopped: str | None = None
        self._program: Program | None = program
        self._job = job
        self._row: Row | None = None
        self._history = None if job.watch is None else History(program.plan, job)

    def __next__(self) -> Row:
        program, row = self._program, self._row
        if program is None:
            raise StopIteration
        try:
            if row is None:
                program.evaluate()
                self.stopped = look_at_start(program, self._job)
                self._look(program)
            else:
                self._advance(program)
                if program.step == row.step:
                    raise StopIteration
                row.end()
        except (NotFinite, StepFailed) as signal:
            error, self.stopped = failure(program.plan, program.step if row is None else row.step + 1, signal)
            self.close()
            raise error from error.__cause__
        except BaseException:
            self.close()
            raise
        self._row = Row(program, self._job)
        return self._row

    def _advance(self, program: Program) -> None:
        if self.stopped is None and program.step >= self._job.steps:
            self.stopped = "steps"
        if self.stopped is None:
            self.stopped = program.advance(1, self._job.stop)
            self._look(program)

    def _look(self, program: Program) -> None:
        """Have a row looked at as a run does."""
        if self._history is not None:
            self._history.take_if_due(program)
            self.stopped = self._history.look(program) or self.stopped

    def close(self) -> None:
        """End the run where it is; the last row keeps everything."""
        if self._row is not None:
            self._row.end(whole=True)
        self.stopped = self.stopped or "closed"
        self._program = self._row = None

    def __enter__(self) -> Iteration:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Row:
    """What a run has after a step: it is read before the next row is asked for, and keeps what was read.

    Attributes:
        step: how many updates were made.
    """

    def __init__(self, program: Program, job: Job) -> None:
        self.step = program.step
        self._program: Program | None = program
        self._job = job

    def __repr__(self) -> str:
        return f"<Row of step {self.step}>"

    @cached_property
    def parameters(self) -> Mapping[str, Any]:
        """The value of each parameter: floats and arrays."""
        return self._read("values", self._job.parameters)

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """The value of each node."""
        return self._read("values", self._job.nodes)

    @cached_property
    def gradients(self) -> Mapping[str, Any]:
        """The derivatives of the objective by each parameter but frozen ones and by each node, if it has one."""
        if self._current().plan.objective is None:
            return {}
        return self._read("gradients", [*self._parameters, *self._job.nodes])

    def set(self, values: Mapping[str, ArrayLike] | None = None, **named: ArrayLike) -> None:
        """Put parameters elsewhere, by name: the row is that of there, and the next step goes on from there.

        What an update rule remembers of them stays; a solver begins anew.

        Raises:
            UsageError: there is no such parameter, or it has another shape, or other bounds; or the run has gone on.
            NotFiniteError, PluginError: of the passes there.
        """
        if not isinstance(values, Mapping | None):
            raise UsageError(
                f"set takes parameters by name, as Function.mapping gives them, not {type(values).__name__}"
            )
        program = self._current()
        plan, current = program.plan, dict(self._read("values", self._parameters))
        for given, value in {**(values or {}), **named}.items():
            name = known(given, self._parameters, "parameter")
            slot = plan.slots[name]
            current[name] = array = shaped(given, value, plan.shapes[slot], plan.dtype)
            lower, upper = plan.bounds[slot] or (-np.inf, np.inf)
            if np.any(array < lower) or np.any(array > upper):
                bounds = f"{describe(lower)} and {describe(upper)}"
                raise UsageError(f"{name!r} stays between {bounds}: {describe(array)} is beyond them")
        program.set_parameters([np.array(value, plan.dtype)[()] for value in current.values()])
        for kept in ("parameters", "values", "gradients"):
            self.__dict__.pop(kept, None)
        try:
            program.evaluate()
        except (NotFinite, StepFailed) as signal:
            error, _ = failure(plan, self.step, signal)
            raise error from error.__cause__

    def end(self, *, whole: bool = False) -> None:
        """Keep what was read, or the `whole` row, and no more of the run."""
        if whole and self._program is not None:
            with suppress(StepFailed):
                _ = self.parameters, self.values, self.gradients
        self._program = None

    @property
    def _parameters(self) -> list[str]:
        plan = self._current().plan
        return [name for name in plan.names[: plan.parameters] if name is not None]

    def _read(self, what: str, names: Sequence[str]) -> Mapping[str, Any]:
        program = self._current()
        found = getattr(program, what)([program.plan.slots[name] for name in names])
        return {name: plain(np.array(value)[()]) for name, value in zip(names, found, strict=True)}

    def _current(self) -> Program:
        if self._program is None:
            raise UsageError(f"the run has gone on: read the row of step {self.step} before you ask for the next one")
        return self._program
