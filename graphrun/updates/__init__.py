"""The built-in update rules; each is registered through the hook that everybody's plugins use."""

from __future__ import annotations

from collections.abc import Sequence

from graphrun.declare.hookspecs import hookimpl
from graphrun.declare.updaterule import UpdateRule
from graphrun.updates import adaptive, gradient_descent

FAMILIES = (gradient_descent, adaptive)


@hookimpl
def graphrun_update_rules() -> Sequence[UpdateRule]:
    """Return every rule that a family declares."""
    return [value for family in FAMILIES for value in vars(family).values() if isinstance(value, UpdateRule)]
