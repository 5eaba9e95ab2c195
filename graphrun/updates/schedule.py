"""Step-size schedules: the step size as a pure function of the step, which every engine runs inside its loop.

Where PyTorch's ``torch.optim.lr_scheduler`` has a schedule, this one gives the same step sizes. A schedule that has
come to its end stays there. With `warm_up`, the schedule begins that many steps later, and the steps before it lead up
to its start in equal parts: 1/(warm_up + 1), 2/(warm_up + 1), ... of it, so that no step is lost to a step size of 0.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from graphrun.base.errors import DeclarationError
from graphrun.base.types import AboveZero, Natural, NotNegative, Positive, Share
from graphrun.declare.declaration import Declaration


class Schedule(Declaration):
    """A schedule: a function ``(xp, step, *, settings) -> step size``; `step` counts the steps made before, from 0."""

    def check_declaration(self) -> None:
        """Read the whole declaration once."""
        super().check_declaration()
        if [parameter.name for parameter in self.positional] != ["step"]:
            raise DeclarationError(f"{self.name}: a schedule is (xp, step, *, settings)")


def warmed_up(xp, value_at, step, warm_up):
    """Return a schedule's value at a step, its beginning put off by a linear warm-up."""
    if not warm_up:
        return value_at(step)
    return value_at(xp.maximum(step - warm_up, 0)) * xp.minimum((step + 1) / (warm_up + 1), 1.0)


def halfwave(xp, start, end, share):
    """Go from start to end along half a wave of the cosine, the share from 0 to 1."""
    return end + (start - end) * (1 + xp.cos(math.pi * share)) / 2


@Schedule
def constant(xp, step, *, start: NotNegative, warm_up: Natural = 0):
    """The same in every step; there for its warm-up."""
    return warmed_up(xp, lambda _: start, step, warm_up)


@Schedule
def step_(xp, step, *, start: NotNegative, every: Positive, factor: NotNegative = 0.1, warm_up: Natural = 0):
    """Multiplied by a factor every so many steps: start * factor^floor(step / every) (PyTorch's StepLR)."""
    return warmed_up(xp, lambda step: start * factor ** (step // every), step, warm_up)


@Schedule
def exponential(xp, step, *, start: NotNegative, factor: NotNegative, every: Positive = 1, warm_up: Natural = 0):
    """Multiplied by a factor every so many steps, smoothly: start * factor^(step / every) (ExponentialLR)."""
    return warmed_up(xp, lambda step: start * factor ** (step / every), step, warm_up)


@Schedule
def linear(xp, step, *, start: NotNegative, steps: Positive, end: NotNegative = 0.0, warm_up: Natural = 0):
    """A straight line from start to end in so many steps (PyTorch's LinearLR)."""
    return warmed_up(xp, lambda step: start + (end - start) * (xp.minimum(step, steps) / steps), step, warm_up)


@Schedule
def cosine(xp, step, *, start: NotNegative, steps: Positive, end: NotNegative = 0.0, warm_up: Natural = 0):
    """Half a wave of the cosine from start to end in so many steps (Loshchilov and Hutter, 2017; CosineAnnealingLR)."""
    return warmed_up(xp, lambda step: halfwave(xp, start, end, xp.minimum(step, steps) / steps), step, warm_up)


@Schedule
def one_cycle(
    xp,
    step,
    *,
    peak: NotNegative,
    steps: Annotated[Natural, Field(ge=2)],
    rise: Share = 0.3,
    start_divisor: AboveZero = 25.0,
    end_divisor: AboveZero = 1e4,
):
    """Up to the peak and down again in half waves of the cosine (Smith and Topin, 2018; PyTorch's OneCycleLR).

    It begins at peak / start_divisor, the share `rise` of the steps leads to the peak, the last of them has the start
    divided by end_divisor.
    """
    start = peak / start_divisor
    top, last = max(rise * steps - 1, 0.0), steps - 1
    up = xp.minimum(step / top, 1.0) if top else 1.0
    down = xp.minimum(xp.maximum((step - top) / (last - top), 0.0), 1.0) if last > top else 0.0
    # In this order nothing small is lost: the second term is exactly 0 on the way down.
    return halfwave(xp, peak, start / end_divisor, down) + (halfwave(xp, start, peak, up) - peak)


@Schedule
def plateau(
    xp,
    step,
    *,
    start: NotNegative,
    factor: Share = 0.1,
    patience: Natural = 10,
    of: str | None = None,
    maximize: bool | None = None,
    threshold: NotNegative = 1e-4,
    cooldown: Natural = 0,
    end: NotNegative = 0.0,
):
    """Multiplied by a factor after more than `patience` recorded rows without a better value (ReduceLROnPlateau).

    The value is that of the objective or of the number `of`, on held-back rows where there are any. One is better that
    is so by the share `threshold`; after a reduction, `cooldown` rows are not counted. It ends at `end`.
    """
    return start


SCHEDULES = {schedule.name: schedule for schedule in (constant, step_, exponential, linear, cosine, one_cycle, plateau)}
"""The schedules by name."""
