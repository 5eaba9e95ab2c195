"""Checkpoints: everything that a run goes on from, as a safetensors file that is written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrun.base.errors import CheckpointError, UsageError
from graphrun.base.files import write_atomically
from graphrun.plan.plan import Plan

KEY = "graphrun"
FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after some step.

    Attributes:
        step: how many updates were made.
        seed: what the run's random draws derive from.
        fingerprint: what the checkpoint fits, as `fingerprint` gives it.
        arrays: the program's snapshot, and the statistics of the data set as ``data/...``.
        watch: what the stop rule remembers.
        engine: which engine computed it, or "" where that is not known.
    """

    step: int
    seed: int
    fingerprint: str
    arrays: dict[str, NDArray[Any]]
    watch: dict[str, float]
    engine: str = ""

    @property
    def statistics(self) -> dict[str, NDArray[Any]]:
        """What it keeps of the training part of the data set."""
        prefix = "data/"
        return {name.removeprefix(prefix): a for name, a in self.arrays.items() if name.startswith(prefix)}


def fingerprint(plan: Plan) -> str:
    """Return what has to agree between a checkpoint and a graph, as a digest.

    Names, the parameters' shapes, dtype, node types, inputs, settings, objective and update rule; not the step size,
    the schedule, the clipping, the leaves' values, nor steps, stop and record.
    """
    settings = [(name, value) for name, value in plan.update.settings if name != "step_size"]
    content = [
        [str(plan.dtype), plan.objective, plan.maximize, plan.update.rule.name, repr(settings)],
        [list(plan.names), [list(shape) for shape in plan.shapes[: plan.parameters]]],
        [(batch.type.name, repr(batch.settings), batch.start, batch.count) for batch in plan.batches],
        hashlib.blake2b(plan.operands.tobytes()).hexdigest(),
    ]
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def save_checkpoint(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write a checkpoint: to a temporary file beside it, flushed to the disk, then renamed.

    Raises:
        CheckpointError: the file cannot be written.
    """
    from safetensors.numpy import save

    record = {
        "format": FORMAT,
        "step": checkpoint.step,
        "seed": checkpoint.seed,
        "fingerprint": checkpoint.fingerprint,
        "engine": checkpoint.engine,
        "watch": {name: value.hex() for name, value in checkpoint.watch.items()},
    }
    # One entry: safetensors writes several in any order, and equal states should give equal files.
    metadata = {KEY: json.dumps(record)}
    data = save({name: np.asarray(array, order="C") for name, array in checkpoint.arrays.items()}, metadata)
    target = Path(path)
    try:
        write_atomically(target, data)
    except OSError as error:
        raise CheckpointError(f"the checkpoint {target} cannot be written: {error.strerror or error}") from None


def check_writable(target: Path) -> None:
    """Refuse a place where no checkpoint can be written, before a run rather than after it.

    Raises:
        CheckpointError: there is no such folder, it is closed, or the target is a folder itself.
    """
    number = None
    if target.is_dir():
        number = errno.EISDIR
    elif not target.parent.is_dir():
        number = errno.ENOENT
    elif not os.access(target.resolve().parent, os.W_OK | os.X_OK):
        number = errno.EACCES
    if number is not None:
        raise CheckpointError(f"the checkpoint {target} cannot be written: {os.strerror(number)}")


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        UsageError: there is no such file, or it is no checkpoint of graphrun's.
    """
    from safetensors import SafetensorError, safe_open

    if Path(path).is_dir():
        raise UsageError(f"the checkpoint {path} cannot be read: it is a folder")
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            if KEY not in metadata:
                raise UsageError(f"{path} is no checkpoint of graphrun's: it is a safetensors file of another kind")
            text = metadata[KEY]
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except FileNotFoundError:
        raise UsageError(f"there is no checkpoint {path}") from None
    except OSError as error:
        raise UsageError(f"the checkpoint {path} cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        raise UsageError(f"{path} is no checkpoint, or is cut short: {error}") from None
    try:
        record = json.loads(text)
        if record["format"] != FORMAT:
            raise UsageError(f"{path} is a checkpoint of another version of graphrun: format {record['format']}")
        watch = {name: float.fromhex(number) for name, number in record["watch"].items()}
        step, seed, engine = int(record["step"]), int(record["seed"]), str(record.get("engine", ""))
        return Checkpoint(step, seed, record["fingerprint"], arrays, watch, engine)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{path} is no checkpoint of graphrun's: its record is damaged") from None


def check_fits(checkpoint: Checkpoint, plan: Plan, path: str | Path, *, whole: bool = True) -> None:
    """Refuse a checkpoint of another graph; where the plan is not of the whole one, of other parameters and states.

    Raises:
        UsageError: names, shapes, node types, settings, the objective or the update rule differ.
    """
    parameters = [(slot, f"parameters/{plan.names[slot]}") for slot in range(plan.parameters)]
    states = [(slot, f"states/{plan.names[slot]}") for slot in plan.state_slots]
    for slot, name in parameters + states:
        found = checkpoint.arrays.get(name)
        if found is None:
            what = "parameter" if slot < plan.parameters else "state"
            raise UsageError(f"the checkpoint {path} is of another graph: it has no {what} {plan.names[slot]!r}")
        if found.shape != tuple(plan.shapes[slot]):
            shapes = f"the shape {list(found.shape)}, not {list(plan.shapes[slot])}"
            raise UsageError(f"the checkpoint {path} is of another graph: its {plan.names[slot]!r} has {shapes}")
    if whole and checkpoint.fingerprint != fingerprint(plan):
        raise UsageError(
            f"the checkpoint {path} is of another graph: the names and shapes of parameters agree, but node types, "
            "inputs, settings, the dtype, the objective or the update rule do not"
        )
