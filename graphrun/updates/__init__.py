"""The built-in update rules; each is registered through the hook that everybody's plugins use."""

from __future__ import annotations

from collections.abc import Sequence

from graphrun.hookspecs import hookimpl
from graphrun.updaterule import UpdateRule
from graphrun.updates.gradient_descent import adam, momentum, nesterov, sgd


@hookimpl
def graphrun_update_rules() -> Sequence[UpdateRule]:
    """Return the built-in rules."""
    return [sgd, momentum, nesterov, adam]
