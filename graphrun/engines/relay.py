"""Two engines in turn: a run that a rule may end at any step begins on one that is ready at once.

Compiling for a run that ends after a few steps is lost, and going on without compiled code costs more the longer a run
is. Where compiling begins at the step at which the run has taken as long as compiling will, it takes at most twice as
long as it would if its end were known (the ski rental problem: R. Karp, On-line algorithms versus off-line algorithms,
1992). That step is part of the engine's name, so a run that goes on from a checkpoint changes where it would have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from graphrun.base.errors import UsageError
from graphrun.base.types import Array
from graphrun.engines import Engine, Program, Stop
from graphrun.plan.plan import Feed, Plan

NAME = re.compile(r"(\w+), from step (\d+) (\w+)")


@dataclass
class Relay:
    """Runs plans with one engine up to a step, and with another from there, which is imported then.

    Where the other cannot compile the plan, the first one goes on, and `tell` is told why. The name is as `named` gives
    it.
    """

    name: str
    first: Engine
    step: int
    then: Callable[[], Engine]
    tell: Callable[[str], object] = str  # nobody hears of it

    def compilation(self, plan: Plan) -> str:
        """Return how `compile` would come to the code of a plan, in words."""
        return self.first.compilation(plan)

    def compile(self, plan: Plan, feed: Feed | None = None) -> Program:
        """Make a plan ready to run on the first engine."""
        return cast("Program", _RelayProgram(self, plan, feed))


def named(first: str, step: int, then: str) -> str:
    """Return the name of a relay."""
    return f"{first}, from step {step} {then}"


class _RelayProgram:
    """A program that is the first engine's, then the other's; whatever it is asked for is asked of that."""

    def __init__(self, relay: Relay, plan: Plan, feed: Feed | None) -> None:
        self._program = relay.first.compile(plan, feed)
        self._feed = feed
        self._relay = relay
        self._waits = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._program, name)

    @property
    def step_size(self) -> float | None:
        return self._program.step_size

    @step_size.setter
    def step_size(self, size: float | None) -> None:
        self._program.step_size = size

    def restore(self, snapshot: Mapping[str, Array], step: int) -> None:
        if step >= self._relay.step:
            self._change()
        self._program.restore(snapshot, step)

    def advance(self, count: int, stop: Stop | None = None) -> str | None:
        left = self._relay.step - self._program.step
        if self._waits and left < count:
            reason = self._program.advance(left, stop) if left > 0 else None
            if reason is not None:
                return reason
            snapshot, step = self._program.snapshot(), self._program.step
            if self._change():
                self._program.restore(snapshot, step)
                self._program.evaluate()
            count -= max(left, 0)
        return self._program.advance(count, stop)

    def _change(self) -> bool:
        """Go over to the other engine, once; say whether that was done."""
        if not self._waits:
            return False
        self._waits = False
        before = self._program
        try:
            self._program = self._relay.then().compile(before.plan, self._feed)
        except UsageError as error:
            self._relay.tell(f"compiled code would be faster, but {str(error).partition(chr(10))[0]}")
            return False
        if before.step_size is not None:
            self._program.step_size = before.step_size
        return True
