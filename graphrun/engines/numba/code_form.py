"""The form in which a plan is compiled: straight-line code for a small graph, loops for a large one."""

from __future__ import annotations

from graphrun.engines.numba.loops import loops
from graphrun.engines.numba.source import StepsCode
from graphrun.engines.numba.straight import straight_line
from graphrun.engines.traced import check_supported
from graphrun.plan.plan import Plan

STRAIGHT_LINE_OPERATIONS = 2000
"""More operations than this are loops: Numba takes 1.2 s for 400 nodes of straight-line code, and ever more a node."""


def form_of(plan: Plan, *, masked: bool = False) -> StepsCode:
    """Return what is compiled of a plan; where it need not be masked, straight-line code is faster.

    Raises:
        NotSupportedError: the engine cannot run the plan; the text says why.
    """
    check_supported(plan)
    code = None
    if len(plan.names) <= STRAIGHT_LINE_OPERATIONS:
        code = straight_line(plan, masked=masked, limit=STRAIGHT_LINE_OPERATIONS)
    return code or loops(plan)
