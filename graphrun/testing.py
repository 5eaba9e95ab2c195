"""Checking node types, and proving their derivatives, for those who write them."""

from graphrun.check.formulas import formulas
from graphrun.check.local_check import LocalCheck, check_local_derivatives
from graphrun.check.prove import prove_type
from graphrun.check.testing import CheckError, check_node_type, load_plugin

__all__ = [
    "CheckError",
    "LocalCheck",
    "check_local_derivatives",
    "check_node_type",
    "formulas",
    "load_plugin",
    "prove_type",
]
