"""The elementary operations of traced functions, and how each folds on known numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

COMPARISONS = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}
LOGICAL = {"logical_and", "logical_or", "logical_xor", "logical_not"}

EXPONENTIAL = ["exp", "expm1", "log", "log1p", "log2", "log10", "sqrt"]
TRIGONOMETRIC = ["sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"]
UNARY = [*EXPONENTIAL, *TRIGONOMETRIC, "floor", "ceil", "trunc", "round", "sign", "abs"]
BEYOND_NUMPY = {"erf": math.erf, "erfc": math.erfc}
FORMULAS = {"erfinv", "lgamma", "digamma", "trigamma"}
"""What formulas have a name for; programs compute it of the others."""
BINARY = ["atan2", "hypot", "copysign", "logaddexp", "maximum", "minimum"]
ARITHMETIC = ["add", "subtract", "multiply", "divide", "floor_divide", "remainder", "pow", "negative"]

FOLD: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in (*UNARY, *BINARY, *ARITHMETIC, *COMPARISONS, *LOGICAL)},
    **BEYOND_NUMPY,
    "where": lambda condition, x, y: x if condition else y,
}

OF_UFUNCS = {name: name for name in (*ARITHMETIC, *COMPARISONS)} | {
    "power": "pow",
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "bitwise_xor": "logical_xor",
}
"""The operations that NumPy's numbers do with an operator, by the names of its ufuncs."""
