"""Checking node types, and proving their derivatives, for those who write them."""

from typing import TYPE_CHECKING, Any

from graphrun.check.testing import CheckError, LocalCheck, check_local_derivatives, check_node_type, load_plugin

if TYPE_CHECKING:
    from graphrun.check.prove import prove_type
    from graphrun.check.symbolic import formulas

__all__ = [
    "CheckError",
    "LocalCheck",
    "check_local_derivatives",
    "check_node_type",
    "formulas",
    "load_plugin",
    "prove_type",
]


def __getattr__(name: str) -> Any:
    """Import what proves derivatives when it is asked for, for SymPy is an extra."""
    from importlib import import_module

    where = {"prove_type": "graphrun.check.prove", "formulas": "graphrun.check.symbolic"}.get(name)
    if where is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(where), name)
