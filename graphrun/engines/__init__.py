"""Engines: each turns a plan into a program that holds the state of a run and advances it by k steps.

The NumPy engine is the specification; every other one is tested against it on the same graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from graphrun.base.errors import RunError
from graphrun.base.types import Array
from graphrun.plan.plan import Feed, Plan

Stop = Callable[[float, float], str | None]
"""A stop rule: takes the objective and the norm of the parameters' gradient, returns the reason to stop or None."""


class NotFinite(RunError):  # noqa: N818 (a signal between engine and run, which makes an error of it)
    """The pass after a step gave a value or a derivative that is not finite; the program went back to before it.

    Attributes:
        leaves: the values of the plan's leaves at which it arose.
    """

    def __init__(self, leaves: Sequence[Array]) -> None:
        super().__init__("a value or a derivative is not finite")
        self.leaves = leaves


class StepFailed(RunError):  # noqa: N818 (a signal, as NotFinite is)
    """A function of a node type or of the update rule raised; the program went back to before the step.

    Attributes:
        leaves: the values of the plan's leaves at which it did.
        error: what it raised.
    """

    def __init__(self, leaves: Sequence[Array], error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.leaves = leaves
        self.error = error


class Timed(NamedTuple):
    """Nodes of one type that were timed together.

    Attributes:
        slots: their slots, batch by batch.
        seconds: what both passes of all of them take; None where it cannot be told.
        backward: what of it is the backward pass; None where the passes were not told apart.
    """

    slots: Sequence[range]
    seconds: float | None = None
    backward: float | None = None


@dataclass(frozen=True)
class Timing:
    """The times of the nodes of a loop.

    Attributes:
        how: how they were taken, in words.
        nodes: the nodes, each of them once.
        divides: what they are the parts of: a step as it is run, a step that is made alone, or neither.
    """

    how: str
    nodes: Sequence[Timed]
    divides: Literal["step", "lone step"] | None = None


class Program(Protocol):
    """A plan made ready to run, with the state of the run: the forward and the backward pass are always up to date."""

    plan: Plan
    """What it was made of."""

    step_size: float | None
    """Put here, it is the step size of the steps that follow, where no schedule gives one by the step alone."""

    @property
    def step(self) -> int:
        """How many updates were made."""

    def evaluate(self) -> None:
        """Run the forward and the backward pass at the parameters as they are.

        Raises:
            NotFinite: the objective or a parameter's gradient is not finite.
            StepFailed: a function of a node type raised.
        """

    def advance(self, count: int, stop: Stop | None = None) -> str | None:
        """Make `count` steps, fewer if the stop rule gives a reason, which is returned.

        A step updates every parameter at once and runs the forward and the backward pass at the new values.

        Raises:
            NotFinite: the pass after a step gave something not finite; that step is undone.
            StepFailed: a function of a node type or of the update rule raised; that step is undone.
        """

    def set_parameters(self, parameters: Sequence[Array]) -> None:
        """Put the parameters elsewhere; `evaluate` has to follow."""

    def snapshot(self) -> dict[str, Array]:
        """Return what a run goes on from, by name: parameters, the rule's states, the nodes' states."""

    def restore(self, snapshot: Mapping[str, Array], step: int) -> None:
        """Go on from a snapshot, at some step; `evaluate` has to follow."""

    def evaluate_rows(self, columns: Sequence[Array], slots: Sequence[int]) -> list[Array]:
        """Return the values of some slots on other rows of the data set; nothing is changed by it."""

    def gradient_norm(self) -> float:
        """Return the Euclidean norm of the gradient of all parameters."""

    def values(self, slots: Sequence[int]) -> list[Array]:
        """Return the values of some slots, those that the loop leaves out included."""

    def gradients(self, slots: Sequence[int]) -> list[Array]:
        """Return the objective's derivatives by the values of some slots, 0 where it does not depend on one."""

    def form(self, steps: int) -> str:
        """Return how so many steps are run, in words."""

    def time_nodes(self, steps: int) -> Timing:
        """Time the nodes of the loop as so many steps run them; the state of the run stays as it is."""

    def cost(self) -> dict[str, float]:
        """Return what a compiler says of a step, by what it counts; nothing where none counts."""


@runtime_checkable
class Interruptible(Protocol):
    """A program whose steps may take any time: it asks within them whether to end, and gives ``interrupted`` then."""

    interrupted: Callable[[], bool]


class Engine(Protocol):
    """Makes programs of plans."""

    name: str

    def compile(self, plan: Plan, feed: Feed | None = None) -> Program:
        """Make a plan ready to run, on the rows of a data set where there is one."""

    def compilation(self, plan: Plan) -> str:
        """Return how `compile` would come to the code of a plan, in words."""
