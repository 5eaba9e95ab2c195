"""Traced expressions, computed with NumPy: what other languages' texts of them are compared with, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphrun.declare.array_operations import evaluate
from graphrun.declare.trace import inputs_first

DTYPES = {"float": np.float64, "weak": np.float64, "int": np.int64, "bool": np.bool_}


def computed(roots: Sequence[Any], given: Mapping[str, Any]) -> list[Any]:
    """Compute expressions with NumPy, and look at each shape and kind on the way."""
    values: dict[int, Any] = {}
    for expression in inputs_first(roots):
        dtype = np.dtype(DTYPES[expression.kind])
        arguments = [values[id(argument)] for argument in expression.arguments]
        if expression.operation == "input":
            value = np.asarray(given[expression.value], dtype)
        elif expression.is_constant:
            value = np.asarray(expression.value, dtype)
        else:
            with np.errstate(all="ignore"):
                value = np.asarray(evaluate(expression.operation, expression.value, arguments, dtype))
        assert value.shape == expression.shape
        assert value.dtype == dtype
        values[id(expression)] = value
    return [values[id(root)] for root in roots]
