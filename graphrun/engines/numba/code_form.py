"""The form in which a plan is compiled: straight-line code for a small graph, loops for a large one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphrun.engines.numba.loops import Schedule, loops
from graphrun.engines.numba.source import Source
from graphrun.engines.numba.straight import straight_line
from graphrun.engines.traced import check_supported
from graphrun.plan.plan import Plan

STRAIGHT_LINE_OPERATIONS = 2000
"""More operations than this are loops: Numba takes 1.2 s for 400 nodes of straight-line code, and ever more a node."""

EMPTY = Schedule(np.zeros(0, np.int32), np.zeros(0, np.int32))


@dataclass(frozen=True)
class CodeForm:
    """What is compiled of a plan.

    Attributes:
        source: the text.
        schedule: the arrays that it reads.
        masked: a gradient of exactly 0 gives 0 in it, whatever the local derivative is.
    """

    source: Source
    schedule: Schedule
    masked: bool


def form_of(plan: Plan, *, masked: bool = False) -> CodeForm:
    """Return the form that a plan is compiled in.

    Args:
        plan: the plan.
        masked: a gradient of exactly 0 has to give 0; straight-line code is faster without.

    Raises:
        NotSupportedError: the engine cannot run the plan; the text says why.
    """
    check_supported(plan)
    if len(plan.names) <= STRAIGHT_LINE_OPERATIONS:
        source = straight_line(plan, masked=masked, limit=STRAIGHT_LINE_OPERATIONS)
        if source is not None:
            return CodeForm(source, EMPTY, masked)
    source, schedule = loops(plan)
    return CodeForm(source, schedule, masked=True)
