"""What a run looks at in its recorded rows: whether to stop, what to keep, when to lower the step size.

A look is due in each recorded row: in each step that the stride of recording divides. So it is the same rows that are
looked at however a run is cut into parts, and what is remembered of them goes into checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from graphrun.base.types import Array
from graphrun.document import Document
from graphrun.document.marks import Path
from graphrun.document.names import normalize
from graphrun.engines import Program
from graphrun.plan.plan import Plan

HELD_BACK = "holdout."
"""What stands before the name of a value on held-back rows, in a history."""

KEPT = ("parameters/", "states/")


class Watched(NamedTuple):
    """A value that is looked at: its slot, what the history calls it, and -1 where the largest is the best, else 1."""

    slot: int
    name: str
    sign: float


class Watch:
    """Looks at the rows of a run, and remembers what it needs of them.

    Args:
        document: the graph file.
        plan: its plan.
        dependent: the slots that depend on the data set, where rows of it are held back; else none.
        every: how many steps there are from one look to the next.

    Attributes:
        values: what is looked at, by what for: ``holdout``, ``plateau``, ``keep``.
        best: the parameters and the nodes' states of the best row so far, as of `Program.snapshot`; none before.
        last: the step and the value of the last row of the run where no look was due in it and it is better than those.

    Raises:
        GraphFileError: a value is no number, or there are no held-back rows on which it could be computed.
    """

    def __init__(self, document: Document, plan: Plan, dependent: set[int], every: int) -> None:
        self.every = every
        self.best: dict[str, Array] = {}
        self.last: tuple[int, float] | None = None
        self.values: dict[str, Watched] = {}
        self._memory: dict[str, float] = {}
        self._document, self._plan, self._dependent = document, plan, dependent
        holdout = None if document.stop is None else document.stop.holdout
        self._patience = 0 if holdout is None else holdout.patience
        self._plateau: dict[str, Any] = {}
        if holdout is not None:
            self._watch("holdout", holdout.name, holdout.maximize, ("stop", "holdout"), "name")
        if plan.update.schedule is not None and plan.update.schedule is not plan.update.by_step:
            self._plateau = dict(plan.update.schedule[1])
            given = self._plateau["of"], self._plateau["maximize"]
            self._watch("plateau", *given, ("update", "step_size"), "of")
            self._memory |= {"plateau.rest": 0.0, "plateau.step_size": float(self._plateau["start"])}
        if document.keep == "best":
            name, maximize = (holdout.name, holdout.maximize) if holdout else (None, None)
            self._watch("keep", name, maximize, ("stop", "holdout") if holdout else ("keep",), "name")
            self._memory["keep.step"] = 0.0
        document.problems.raise_if_any()

    def _watch(self, what: str, name: str | None, maximize: bool | None, path: Path, key: str) -> None:
        plan, problems = self._plan, self._document.problems
        slot = plan.objective or 0 if name is None else plan.slots[normalize(name)]
        place = path if name is None else (*path, key)
        if plan.shapes[slot]:
            problems.add(
                place, f"a number is watched, and {plan.names[slot]!r} has the shape {list(plan.shapes[slot])}"
            )
        if what == "holdout" and not self._dependent:
            hint = "write holdout: 0.2 under 'data', or stop: {patience: 10} for the objective"
            problems.add(path, "no rows are held back that could be watched", suggestion=hint, key=True)
        elif what == "holdout" and slot not in self._dependent:
            problems.add(place, f"{plan.names[slot]!r} does not depend on the data: held-back rows tell nothing of it")
        before = HELD_BACK if slot in self._dependent else ""
        largest = plan.maximize if maximize is None else maximize
        self.values[what] = Watched(slot, f"{before}{plan.names[slot]}", -1.0 if largest else 1.0)
        self._memory |= {f"{what}.best": math.inf, f"{what}.since_best": 0.0}

    def memory(self) -> dict[str, float]:
        """Return what is remembered of the rows so far, for a checkpoint."""
        return dict(self._memory)

    def remember(self, memory: Mapping[str, float], best: Mapping[str, Array]) -> None:
        """Go on from what `memory` and `best` gave; what a checkpoint knows nothing of begins anew."""
        self._memory |= {name: value for name, value in memory.items() if name in self._memory or name == "looked"}
        self.best = dict(best)

    def begin(self, program: Program) -> None:
        """Give a program the step size that the looks so far have left."""
        if self._plateau:
            program.step_size = self._memory["plateau.step_size"]

    @property
    def kept(self) -> tuple[int, str, float]:
        """The step of the best row, what made it the best, and its value."""
        watched, memory = self.values["keep"], self._memory
        step, value = self.last or (int(memory["keep.step"]), memory["keep.best"])
        return step, watched.name, watched.sign * value

    def look(self, program: Program, row: Mapping[str, Any], *, last: bool = False) -> str | None:
        """Take a row in; return why to stop, if there is a reason.

        In the `last` row of a run, be a look due or not, it is only seen whether it is the best.
        """
        memory, step = self._memory, program.step
        if step <= memory.get("looked", -1) or (step % self.every and not last):
            return None
        seen = {what: sign * float(row[name]) for what, (_, name, sign) in self.values.items()}
        if last and step % self.every:
            self.last = (step, seen["keep"]) if seen.get("keep", math.nan) < memory.get("keep.best", math.nan) else None
            return None
        memory["looked"] = float(step)
        for what, value in seen.items():
            best = memory[f"{what}.best"]
            least = self._plateau["threshold"] * abs(best) if what == "plateau" and math.isfinite(best) else 0.0
            better = value < best - least
            memory[f"{what}.since_best"] = 0.0 if better else memory[f"{what}.since_best"] + 1
            if better:
                memory[f"{what}.best"] = value
            if better and what == "keep":
                memory["keep.step"] = float(step)
                self.best = {name: array for name, array in program.snapshot().items() if name.startswith(KEPT)}
        if "plateau" in seen:
            self._lower(program)
        return "holdout" if "holdout" in seen and memory["holdout.since_best"] >= self._patience else None

    def _lower(self, program: Program) -> None:
        """Lower the step size after too many rows without a better one: as PyTorch's ReduceLROnPlateau."""
        memory, given = self._memory, self._plateau
        if memory["plateau.rest"] > 0:
            memory["plateau.rest"] -= 1
            memory["plateau.since_best"] = 0.0
        if memory["plateau.since_best"] > given["patience"]:
            memory["plateau.rest"], memory["plateau.since_best"] = float(given["cooldown"]), 0.0
            memory["plateau.step_size"] = max(memory["plateau.step_size"] * given["factor"], float(given["end"]))
            program.step_size = memory["plateau.step_size"]
