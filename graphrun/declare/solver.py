"""Declaring a solver: a function that minimizes a problem, its keyword-only parameters the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from graphrun.base.errors import DeclarationError
from graphrun.declare.declaration import Declaration, Function

if TYPE_CHECKING:
    from collections.abc import Callable

Vector = NDArray[np.float64]


class Problem(Protocol):
    """What a solver is given: an objective to minimize, a function of one vector, all parameters end to end.

    Where the objective or a derivative is not finite, the objective is infinite and the residuals are not numbers;
    the gradient there means nothing.
    """

    start: Vector
    """Where to begin; the objective is finite there."""

    lower: Vector
    upper: Vector
    """The bounds of each element, infinite where there are none."""

    scale: Vector
    """The size of each element at the start, as `scale_at` has it."""

    epsilon: float
    """The relative rounding of the graph's numbers."""

    random: np.random.Generator
    """Where random numbers come from: others for each start, the same ones in each run of a seed."""

    @property
    def has_bounds(self) -> bool:
        """Whether any element has a bound."""

    def begin_at(self, point: Vector) -> bool:
        """Make a point the start; return whether the objective is finite there."""

    def scale_at(self, point: Vector) -> Vector:
        """Return the size of each element at a point: the root mean square of its parameter, or 1 where that is 0.

        Where the objective does not notice a move by that, it is the way to an objective of 0 along the slope. It is
        rounded to a power of two, by which numbers are multiplied without an error.
        """

    def objective(self, point: Vector) -> tuple[float, Vector]:
        """Return the objective and its gradient."""

    def residuals(self, point: Vector) -> Vector:
        """Return the residuals, end to end; the objective is the sum of their squares times a constant."""

    def jacobian(self, point: Vector) -> Vector:
        """Return the derivatives of the residuals: a row a residual, a column a parameter."""

    def iteration(self, point: Vector, *, always: bool = False) -> None:
        """Hand over the point that an iteration came to; a solver calls it once an iteration.

        One that is where the last one was counts for none, but `always`.
        """


class Solved(Exception):  # noqa: N818 (no error: a way out of a library's loop)
    """Ends a solver from within a function that it calls; the text is the reason."""


class Solver(Declaration):
    """A solver: a function ``(problem, *, settings) -> reason``, which says why it ended.

    It works on all rows at once. A setting called ``residual`` names the node whose squares the objective sums up.

    A setting ``loss`` beside it, with ``f_scale``, has the robust cost of these residuals take the objective's place.

    Attributes:
        takes_bounds: whether it keeps the parameters within bounds; one that does not is refused where there are any.
        needs_bounds: whether every parameter must have a lower and an upper bound.
    """

    keys = ("type", "starts")

    first_parameter = "the problem, `problem`"
    takes_bounds = True
    needs_bounds = False

    def __init__(
        self,
        function: Function,
        name: str | None = None,
        *,
        takes_bounds: bool = True,
        needs_bounds: bool = False,
    ) -> None:
        super().__init__(function, name)
        self.takes_bounds, self.needs_bounds = takes_bounds, needs_bounds

    def check_declaration(self) -> None:
        """Read the whole declaration once."""
        super().check_declaration()
        if self.positional:
            raise DeclarationError(f"{self.name}: a solver is (problem, *, settings)")


def solver(*, takes_bounds: bool = True, needs_bounds: bool = False) -> Callable[[Function], Solver]:
    """Declare a solver by its function, as ``@Solver`` does, with what else there is to say about it."""
    return lambda function: Solver(function, takes_bounds=takes_bounds, needs_bounds=needs_bounds)
