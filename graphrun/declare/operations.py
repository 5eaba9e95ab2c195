"""The elementary operations of traced functions: how each folds on known numbers, and how each is written.

A form is a template with {0}, {1}, ... for the arguments, and how tightly it binds, in the order of Python's
operators: an argument that binds less tightly is put in parentheses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

CHOICE, NOT, COMPARISON, OR, XOR, AND, SUM, PRODUCT, SIGN, POWER, ATOM = range(11)


class Form(NamedTuple):
    """How an operation is written.

    Attributes:
        template: the text, with places for the arguments.
        binding: how tightly it binds.
        arguments: how tightly each argument has to bind at least.
    """

    template: str
    binding: int
    arguments: tuple[int, ...]


COMPARISONS = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}
LOGICAL = {"logical_and", "logical_or", "logical_xor", "logical_not"}

UNARY = [
    "exp",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "sqrt",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "floor",
    "ceil",
    "trunc",
    "round",
    "sign",
    "abs",
]
BEYOND_NUMPY = {"erf": math.erf, "erfc": math.erfc}
BINARY = ["atan2", "hypot", "copysign", "logaddexp", "maximum", "minimum"]

FOLD: dict[str, Callable[..., Any]] = {name: getattr(np, name) for name in (*UNARY, *BINARY, *COMPARISONS, *LOGICAL)}
FOLD |= BEYOND_NUMPY
FOLD |= {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "floor_divide": np.floor_divide,
    "remainder": np.remainder,
    "pow": np.power,
    "negative": np.negative,
    "where": lambda condition, x, y: x if condition else y,
}

OF_UFUNCS = {
    name: name for name in ("add", "subtract", "multiply", "divide", "floor_divide", "remainder", *COMPARISONS)
}
OF_UFUNCS |= {"power": "pow", "bitwise_and": "logical_and", "bitwise_or": "logical_or", "bitwise_xor": "logical_xor"}
"""The operations that NumPy's numbers do with an operator, by the names of its ufuncs."""

OPERATORS = {
    "add": Form("{0} + {1}", SUM, (SUM, SUM + 1)),
    "subtract": Form("{0} - {1}", SUM, (SUM, SUM + 1)),
    "multiply": Form("{0} * {1}", PRODUCT, (PRODUCT, PRODUCT + 1)),
    "divide": Form("{0} / {1}", PRODUCT, (PRODUCT, PRODUCT + 1)),
    "negative": Form("-{0}", SIGN, (SIGN,)),
    "pow": Form("{0} ** {1}", POWER, (POWER + 1, POWER)),
    "equal": Form("{0} == {1}", COMPARISON, (OR, OR)),
    "not_equal": Form("{0} != {1}", COMPARISON, (OR, OR)),
    "less": Form("{0} < {1}", COMPARISON, (OR, OR)),
    "less_equal": Form("{0} <= {1}", COMPARISON, (OR, OR)),
    "greater": Form("{0} > {1}", COMPARISON, (OR, OR)),
    "greater_equal": Form("{0} >= {1}", COMPARISON, (OR, OR)),
    "logical_and": Form("{0} & {1}", AND, (AND, AND + 1)),
    "logical_or": Form("{0} | {1}", OR, (OR, OR + 1)),
    "logical_xor": Form("{0} ^ {1}", XOR, (XOR, XOR + 1)),
}


def call(name: str, arity: int) -> Form:
    """Return the form of a function's call."""
    return Form(f"{name}({', '.join(f'{{{k}}}' for k in range(arity))})", ATOM, (CHOICE,) * arity)
