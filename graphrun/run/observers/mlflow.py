"""The observer that logs a run to MLflow, to the server or the database that ``MLFLOW_TRACKING_URI`` names."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.base.outcome import RunDescription, RunOutcome
from graphrun.declare.hookspecs import hookimpl

ROWS_TOGETHER = 100
"""So many rows go to the server in one request."""


class MLflow:
    """Logs a run: its description as parameters, each recorded number as a metric, of an array the mean.

    Args:
        target: the name of the experiment, made where there is none; "" for MLflow's default.
    """

    def __init__(self, target: str) -> None:
        try:
            from mlflow import MlflowClient, entities
        except ModuleNotFoundError:
            raise UsageError("it needs MLflow: pip install 'graphrun[mlflow]'") from None
        self._entities = entities
        self._client = MlflowClient()
        self.target = target or "Default"
        self._metrics: list[Any] = []
        self._rows = 0

    @hookimpl
    def graphrun_started(self, run: RunDescription) -> None:
        """Begin a run of the experiment."""
        client = self._client
        experiment = client.get_experiment_by_name(self.target)
        identity = client.create_experiment(self.target) if experiment is None else experiment.experiment_id
        tags = {"mlflow.runName": run.graph, "mlflow.note.content": run.description}
        self._run = client.create_run(identity, tags={name: text for name, text in tags.items() if text}).info.run_id
        described = {
            "graph": run.graph,
            "objective": f"{run.direction} {run.objective}" if run.objective else "none",
            "steps": run.steps,
            "engine": run.engine,
            "dtype": run.dtype,
            "seed": run.seed,
            **{f"update.{name}": value for name, value in run.update.items()},
            **{path.replace(",", " "): value for path, value in run.settings.items()},
        }
        client.log_batch(
            self._run, params=[self._entities.Param(name, str(value)) for name, value in described.items()]
        )

    @hookimpl
    def graphrun_recorded(self, step: int, values: Mapping[str, Any]) -> None:
        """Keep a row, and log rows together."""
        now = int(time.time() * 1000)
        for name, value in values.items():
            key = name if np.ndim(value) == 0 else f"{name}.mean"
            self._metrics.append(self._entities.Metric(key, float(np.mean(value)), now, step))
        self._rows += 1
        if self._rows % ROWS_TOGETHER == 0:
            self._log()

    @hookimpl
    def graphrun_finished(self, result: RunOutcome) -> None:
        """End the run of the experiment."""
        self._end(result, "KILLED" if result.stopped == "interrupted" else "FINISHED")

    @hookimpl
    def graphrun_failed(self, result: RunOutcome) -> None:
        """End the run of the experiment as one that failed."""
        self._end(result, "FAILED")

    def _end(self, result: RunOutcome, status: str) -> None:
        self._log()
        self._client.set_tag(self._run, "graphrun.stopped", result.stopped)
        self._client.set_terminated(self._run, status)

    def _log(self) -> None:
        """Log what was kept; a request takes 1,000 metrics at most."""
        for start in range(0, len(self._metrics), 1000):
            self._client.log_batch(self._run, metrics=self._metrics[start : start + 1000])
        self._metrics.clear()
