"""Node types as formulas of SymPy: their functions traced, and the trace lowered.

Importing it needs SymPy, the extra ``symbolic``.
"""

from __future__ import annotations

from graphrun.base.errors import UsageError

try:
    import sympy  # noqa: F401 (whether it is there)
except ModuleNotFoundError as missing:
    if missing.name != "sympy":
        raise
    raise UsageError("proofs and formulas need SymPy: pip install 'graphrun[symbolic]'") from None

from graphrun.check.symbolic.latex import latex
from graphrun.check.symbolic.lowering import Namespace, Number

__all__ = ["Namespace", "Number", "latex"]
