"""Numbers as a reader sees them: single ones, arrays by shape, range and norm, sizes and times in units that fit."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrun.base.norms import norm
from graphrun.base.rows import encode_nested

SHOWN_ELEMENTS = 4
"""Arrays of more elements are summarized."""


_WITH_POINT = re.compile(r"(?<![\w.])-?\d+\.\d+(?:e[-+]?\d+)?(?![\w.])")

ARRAY_DIGITS = 4
"""How many digits the range and the norm of an array are shown with."""


def number(value: Any, digits: int = 6) -> str:
    """Show a number with six significant digits; minus zero is 0, and no exponent has zeros in front or a plus."""
    x = float(value)
    if not math.isfinite(x):
        return "NaN" if math.isnan(x) else "inf" if x > 0 else "-inf"
    mantissa, _, exponent = f"{x or 0.0:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def shortened(text: str, digits: int) -> str:
    """Show every number of a text that has a point with fewer digits; exponents and whole numbers stay as they are."""
    return _WITH_POINT.sub(lambda found: number(found[0], digits), text)


def describe(value: Any) -> str:
    """Show a value on one line: a number, a small array whole, any other by its shape, range and norm."""
    array = np.asarray(value)
    if array.ndim == 0:
        return number(array)
    if 0 < array.size <= SHOWN_ELEMENTS:
        return _nested(array.tolist())
    return f"{shape_text(array.shape)}: {_content(array)}"


def shape_text(shape: tuple[int, ...]) -> str:
    """Name a shape: ``vector of 3``, ``matrix 2x3``, ``array 4x2x3``."""
    if len(shape) == 1:
        return f"vector of {shape[0]}"
    return f"{'matrix' if len(shape) == 2 else 'array'} {'x'.join(map(str, shape))}"


def format_value(value: Any) -> str:
    """Show a number with 8 digits, a small array whole, a large one by its shape and range."""
    array = np.asarray(value)
    if array.ndim == 0:
        return f"{int(array)}" if array.dtype.kind == "i" else f"{float(array) + 0.0:.8g}"  # + 0.0: no -0
    if array.size <= SHOWN_ELEMENTS:
        return json.dumps(_rounded(array.tolist())).replace('"', "")
    return f"{array.shape} in [{array.min():.4g}, {array.max():.4g}]"


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value + 0.0:.4g}") if math.isfinite(value) else encode_nested(value)


def seconds(time: float) -> str:
    """Return a time in the unit that fits."""
    return _in_units(time * 1e9, ("ns", "us", "ms", "s"))


def size(number: float) -> str:
    """Return a number of bytes in the unit that fits."""
    return _in_units(number, ("B", "kB", "MB", "GB", "TB"))


def count(number: float) -> str:
    """Return a number of operations in thousands, millions, ..."""
    return _in_units(number, ("", "k", "M", "G", "T")).rstrip()


def _in_units(number: float, units: Sequence[str]) -> str:
    for unit in units[:-1]:
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} {units[-1]}"


def _nested(value: Any) -> str:
    return f"[{', '.join(map(_nested, value))}]" if isinstance(value, list) else number(value)


def _content(array: NDArray[Any]) -> str:
    if not array.size:
        return "empty"
    finite = array[np.isfinite(array)]
    if finite.size < array.size:
        unknown = f"{array.size - finite.size} of {array.size} not finite"
        return f"{unknown}, the others {_range(finite)}" if finite.size else unknown
    # The norm of labels and positions says nothing.
    says_nothing = array.dtype.kind in "iu" or not array.any()
    return _range(array) if says_nothing else f"{_range(array)}, norm {number(norm(array), ARRAY_DIGITS)}"


def _range(array: NDArray[Any]) -> str:
    least, most = (number(limit, ARRAY_DIGITS) for limit in (array.min(), array.max()))
    return f"all {least}" if least == most else f"{least} to {most}"
