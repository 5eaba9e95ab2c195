"""Checkpoints: everything that a run goes on from, as a safetensors file that is written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrun.base.errors import CheckpointError, UsageError
from graphrun.base.files import check_target, write_atomically
from graphrun.base.reads import is_read
from graphrun.base.wording import quote
from graphrun.declare.updaterule import UpdateRule
from graphrun.plan.plan import Plan
from graphrun.run.request import whole

OTHER = "\n  --start takes what parameters it has of the same name, and begins a new run with them"

KEY = "graphrun"
FORMAT = 1
BEFORE_CHECKSUMS = {"format", "step", "seed", "fingerprint", "engine", "watch"}
"""What a record without a checksum has: any other key is a damaged one."""

STOP_RULE = {"previous", "best", "since_best"}

LAST, BEST = "last/", "best/"
"""What stands before the names of a run's last parameters, where its own are the best, and else of its best."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after some step.

    Attributes:
        step: how many updates were made.
        seed: what the run's random draws derive from.
        fingerprint: what the checkpoint fits, as `fingerprint` gives it.
        arrays: the program's snapshot, what is frozen too, and the statistics of the data set as ``data/...``. Of a run
            that keeps the best, the parameters and the nodes' states are those, and the last ones ``last/...``.
        watch: what the stop rule and `Watch` remember.
        engine: which engine computed it, or "" where that is not known.
    """

    step: int
    seed: int
    fingerprint: str
    arrays: dict[str, NDArray[Any]]
    watch: dict[str, float]
    engine: str = ""

    @property
    def parameters(self) -> dict[str, NDArray[Any]]:
        """The parameters by name, those that are frozen among them."""
        return self._under("parameters/")

    @property
    def statistics(self) -> dict[str, NDArray[Any]]:
        """What it keeps of the training part of the data set."""
        return self._under("data/")

    def _under(self, prefix: str) -> dict[str, NDArray[Any]]:
        return {name.removeprefix(prefix): a for name, a in self.arrays.items() if name.startswith(prefix)}

    @property
    def folds(self) -> dict[str, NDArray[Any]]:
        """What was recorded on the folds that were held back before the one at hand."""
        return self._under("folds/")

    def has(self, prefix: str) -> bool:
        """Say whether there are arrays of such names."""
        return any(name.startswith(prefix) for name in self.arrays)

    @property
    def last(self) -> dict[str, NDArray[Any]]:
        """What a run goes on from, where the checkpoint's parameters are those of the best row, not of the last."""
        return {**self.arrays, **self._under(LAST)}

    @property
    def best(self) -> dict[str, NDArray[Any]]:
        """The parameters and the nodes' states of the best row that was looked at, where a run keeps it."""
        return self._under(BEST) or {name: self.arrays[name] for name in self._under(LAST) if name in self.arrays}

    def shape_of(self, name: str, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the shape of a parameter, for one that names columns of the data; otherwise what is given."""
        found = self.arrays.get(f"parameters/{name}") if any(isinstance(size, str) for size in shape) else None
        return shape if found is None else found.shape


def fingerprint(plan: Plan) -> str:
    """Return what has to agree between a checkpoint and a graph, as a digest.

    Names, the parameters' shapes, dtype, node types, inputs, settings, objective and update rule; not the step size,
    the schedule, the clipping, the leaves' values, nor steps, stop and record.
    """
    settings = [(name, value) for name, value in plan.update.settings if name != "step_size"]
    decays = {k: own["weight_decay"] for k, own in plan.factors.items() if "weight_decay" in own}
    content = [
        [str(plan.dtype), plan.objective, plan.maximize, plan.update.rule.name, repr(settings)],
        [list(plan.names), [list(shape) for shape in plan.shapes[: plan.parameters]]],
        [(batch.type.name, repr(batch.settings), batch.start, batch.count) for batch in plan.batches],
        hashlib.blake2b(plan.operands.tobytes()).hexdigest(),
        *([decays] if decays else []),
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
    record["checksum"] = checksum(record, checkpoint.arrays)
    # One entry: safetensors writes several in any order, and equal states should give equal files.
    metadata = {KEY: json.dumps(record)}
    data = save({name: np.asarray(array, order="C") for name, array in checkpoint.arrays.items()}, metadata)
    target = Path(path)
    try:
        write_atomically(target, data)
    except OSError as error:
        raise CheckpointError(f"the checkpoint {target} cannot be written: {error.strerror or error}") from None


def checksum(record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the digest of all that a checkpoint holds: a disk or a copy that changes a bit of it is noticed."""
    digest = hashlib.blake2b(json.dumps(record, sort_keys=True).encode(), digest_size=16)
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"{name}\n{array.dtype.str}\n{array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def check_writable(target: Path) -> None:
    """Refuse a place where no checkpoint can be written, before a run rather than after it.

    Raises:
        CheckpointError: there is no such folder, it is closed, or the target is no regular file.
    """
    try:
        check_target(target)
    except OSError as error:
        raise CheckpointError(f"the checkpoint {target} cannot be written: {error.strerror or error}") from None


def is_checkpoint(path: str | Path) -> bool:
    """Whether a file begins as those of safetensors do: the size of a header in eight bytes, and its brace."""
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as file:
        head = file.read(9)
    return head[8:] == b"{" and b"\0" in head[:8]


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        UsageError: there is no such file, or it is no checkpoint of graphrun's.
    """
    from safetensors import safe_open

    path = is_read(path)
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise UsageError(f"the checkpoint {path} cannot be read: it is {kind}")
        with safe_open(os.fspath(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            if KEY not in metadata:
                raise UsageError(f"{path} is no checkpoint of graphrun's: it is a safetensors file of another kind")
            text = metadata[KEY]
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except FileNotFoundError:
        raise UsageError(f"there is no checkpoint {path}") from None
    except OSError as error:
        raise UsageError(f"the checkpoint {path} cannot be read: {error.strerror or error}") from None
    except UsageError:
        raise
    except Exception as error:  # safetensors has an error of its own, and NumPy lacks some of its dtypes
        raise UsageError(f"{path} is no checkpoint, or is cut short: {error}") from None
    try:
        return _checkpoint(json.loads(text), arrays, path)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        raise UsageError(f"{path} is no checkpoint of graphrun's: its record is damaged") from None


def first_step(step: int | None, resume: str | Path | None) -> int:
    """Return the step that is looked at: the one that is named, else the first, or a checkpoint's.

    Raises:
        UsageError: there is no such checkpoint, or the step lies before it.
    """
    begun = 0 if resume is None else load_checkpoint(resume).step
    step = begun if step is None else whole("step", step, 0)
    if step < begun:
        raise UsageError(f"there is no step {step} in what follows the checkpoint {resume}, which is of step {begun}")
    return step


def _checkpoint(record: dict[str, Any], arrays: dict[str, NDArray[Any]], path: str | Path) -> Checkpoint:
    """Return the checkpoint of a record; raise nearly anything where it is damaged."""
    if record["format"] != FORMAT:
        number = quote(str(record["format"]))[1:-1]
        raise UsageError(f"{path} is a checkpoint of another version of graphrun: format {number}")
    watch = {name: float.fromhex(number) for name, number in record["watch"].items()}
    step, seed, engine, kept = record["step"], record["seed"], record.get("engine", ""), record["fingerprint"]
    if not (type(step) is type(seed) is int and 0 <= step < 2**63 and type(engine) is type(kept) is str):
        raise ValueError
    if not watch.get("keep.step", 0.0).is_integer() or ("best" in watch and not watch.keys() >= STOP_RULE):
        raise ValueError
    # Checkpoints of graphrun 1.0 have none.
    expected = record.pop("checksum", None)
    if expected is None and record.keys() - BEFORE_CHECKSUMS:
        raise ValueError
    if expected is not None and expected != checksum(record, arrays):
        raise UsageError(f"{path} is damaged: it is not what was written, as its checksum says")
    return Checkpoint(step, seed, kept, arrays, watch, engine)


def check_fits(checkpoint: Checkpoint, plan: Plan, path: str | Path, *, whole: bool = True) -> None:
    """Refuse a checkpoint of another graph; where the plan is not of the whole one, of other parameters and states.

    Raises:
        UsageError: names, shapes, node types, settings, the objective or the update rule differ.
    """
    leaves = plan.parameters + plan.frozen
    parameters = [(slot, f"parameters/{plan.names[slot]}") for slot in range(leaves)]
    states = [(slot, f"states/{plan.names[slot]}") for slot in plan.state_slots]
    for slot, name in parameters + states:
        found = checkpoint.arrays.get(name)
        if found is None:
            what = "parameter" if slot < leaves else "state"
            raise UsageError(f"the checkpoint {path} is of another graph: it has no {what} {plan.names[slot]!r}{OTHER}")
        if found.shape != tuple(plan.shapes[slot]):
            shapes = f"the shape {list(found.shape)}, not {list(plan.shapes[slot])}"
            raise UsageError(f"the checkpoint {path} is of another graph: its {plan.names[slot]!r} has {shapes}")
    if whole and checkpoint.fingerprint != fingerprint(plan):
        raise UsageError(
            f"the checkpoint {path} is of another graph: the names and shapes of parameters agree, but node types, "
            f"inputs, settings, the dtype, the objective or the update rule do not{OTHER}"
        )
    rule = plan.update.rule
    # The rest is the graph's: only damage can make it another, or a version whose rule kept something else.
    kept = [
        (slot, f"rule/{name}/{plan.names[slot]}")
        for name in (rule.state if whole and isinstance(rule, UpdateRule) else ())
        for slot in range(plan.parameters)
    ]
    moved = parameters[: plan.parameters] + states
    twice = [(slot, p + name) for p in (LAST, BEST) if checkpoint.has(p) for slot, name in moved]
    for slot, name in parameters + states + kept + twice:
        found = checkpoint.arrays.get(name)
        if found is None or found.shape != tuple(plan.shapes[slot]):
            what = "is damaged, or an earlier version wrote it"
            raise UsageError(f"the checkpoint {path} {what}: {name!r} is not there or has another shape")
        if found.dtype != plan.dtype if whole else found.dtype.kind != "f":
            raise UsageError(f"the checkpoint {path} is damaged: {name!r} holds {found.dtype}, not {plan.dtype}")
