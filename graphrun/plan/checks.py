"""What is refused before the first step: a type without a derivative, an update rule that breaks its declaration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphrun.base.errors import PluginError
from graphrun.base.types import Array
from graphrun.declare.updaterule import UpdateRule
from graphrun.graph.graph import ComputationalGraph, Update


def check_derivatives(graph: ComputationalGraph, needed: list[bool], moving: list[bool]) -> None:
    """Refuse a type without a derivative between a parameter and the objective."""
    for number, node in enumerate(graph.nodes, len(graph.leaves)):
        if node.type.derivative is None and needed[number] and moving[number]:
            name = graph.names[number] or ""
            graph.document.problems.add(
                ("nodes", name, "type"),
                f"the objective needs a derivative of {name!r}, and its type {node.type.name} declares none",
                suggestion=f"declare it with @{node.type.name}.{node.type.derivative_decorator} in {node.type.file}",
            )
    graph.document.problems.raise_if_any()


def check_rule(update: Update, parameters: Sequence[Array]) -> None:
    """Try the update rule once on a parameter of each shape, with a gradient of zero."""
    rule, settings = update.rule, update.settings
    if not isinstance(rule, UpdateRule):
        return
    for value in {np.shape(value): value for value in parameters}.values():
        zero = np.zeros_like(value)[()]
        step = (1,) if rule.takes_step else ()
        given = tuple(zero for _ in rule.state)
        try:
            with np.errstate(all="ignore"):
                result = rule.function(np, value, zero, *step, *given, **dict(settings))
        except (Exception, SystemExit) as error:
            raise _broken_rule(rule, f"it raises {type(error).__name__}: {error}") from error
        results = result if rule.state else (result,)
        if not isinstance(results, tuple) or len(results) != 1 + len(rule.state):
            what = "a tuple of the value and the states " + ", ".join(rule.state)
            raise _broken_rule(rule, f"it gives {type(result).__name__}, not {what}")
        for part in results:
            if np.asarray(part).dtype.kind not in "fiu" or np.shape(part) != np.shape(value):
                given_shape = f"{type(part).__name__} of shape {np.shape(part)}"
                raise _broken_rule(rule, f"for a value of shape {np.shape(value)} it gives a {given_shape}")


def _broken_rule(rule: UpdateRule, reason: str) -> PluginError:
    return PluginError(f"the update rule {rule.name} ({rule.file}): {reason}")
