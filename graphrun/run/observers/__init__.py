"""Observers: objects that are told of a run's events, by pluggy's hooks.

An observer implements some of the hooks `graphrun_started`, `graphrun_recorded`, `graphrun_finished`, `graphrun_failed`
(see `graphrun.hookspecs`), as methods. Those that are built in register themselves by the hook of everybody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pluggy

from graphrun.base.errors import GraphrunError, RunError, UsageError
from graphrun.base.outcome import RunDescription
from graphrun.base.wording import did_you_mean
from graphrun.declare import hookspecs
from graphrun.declare.hookspecs import hookimpl
from graphrun.run.request import Row
from graphrun.run.result import Result

EVENTS = ("graphrun_started", "graphrun_recorded", "graphrun_finished", "graphrun_failed")


class ObserverError(RunError):
    """An observer raised; the run itself came to its end."""


class Observers:
    """The observers of one run. One that raises is told nothing more; the run goes on and ends with its error.

    Raises:
        UsageError: an object implements none of the events, or one that there is not.
    """

    def __init__(self, observers: Iterable[object]) -> None:
        self._managers: list[pluggy.PluginManager] = []
        self.error: ObserverError | None = None
        for observer in observers:
            manager = pluggy.PluginManager("graphrun")
            manager.add_hookspecs(hookspecs)
            name = type(observer).__name__
            try:
                manager.register(observer)
            except pluggy.PluginValidationError as error:
                raise UsageError(f"observer {name}: {error}") from None
            callers = manager.get_hookcallers(observer) or []
            for caller in callers:
                if caller.name not in EVENTS:
                    hint = did_you_mean(caller.name, EVENTS)
                    unknown = f"observer {name}: the event {caller.name!r} is unknown"
                    raise UsageError(f"{unknown}; {hint}" if hint else unknown)
            if not callers:
                raise UsageError(
                    f"observer {name} implements no event: is @graphrun.hookimpl missing above graphrun_recorded?"
                )
            self._managers.append(manager)

    def started(self, run: RunDescription) -> None:
        """Tell of the start; what an observer raises there ends no run either.

        Raises:
            UsageError: an observer cannot begin, and says why; nothing was computed yet.
        """
        self._tell("graphrun_started", run=run)
        if self.error is not None and isinstance(self.error.__cause__, UsageError):
            raise self.error.__cause__

    def also(self, on_row: Row | None) -> Row | None:
        """Return what tells of a recorded row, after `on_row` was called with it."""
        if not self._managers:
            return on_row

        def recorded(step: int, values: dict[str, Any]) -> None:
            if on_row is not None:
                on_row(step, values)
            self._tell("graphrun_recorded", step=step, values=values)

        return recorded

    def ended(self, result: Result) -> Result:
        """Tell of the end, and return the result with the error of an observer that failed, where the run has none."""
        self._tell("graphrun_finished" if result.error is None else "graphrun_failed", result=result)
        return replace(result, error=self.error) if self.error is not None and result.error is None else result

    def _tell(self, event: str, **what: Any) -> None:
        for manager in list(self._managers):
            try:
                getattr(manager.hook, event)(**what)
            except (Exception, SystemExit) as error:
                self._managers.remove(manager)
                name = type(manager.list_name_plugin()[0][1]).__name__
                kind = "" if isinstance(error, GraphrunError | OSError) else f"{type(error).__name__}: "
                self.error = self.error or ObserverError(
                    f"observer {name} failed and was told nothing more: {kind}{error}"
                )
                self.error.__cause__ = error


@hookimpl
def graphrun_observers() -> Mapping[str, Callable[[str], object]]:
    """Return the observers that are built in."""
    from graphrun.run.observers.files import CsvFile, JsonLinesFile, TensorBoard
    from graphrun.run.observers.mlflow import MLflow

    return {"csv": CsvFile, "jsonl": JsonLinesFile, "tensorboard": TensorBoard, "mlflow": MLflow}
