"""Numbers and nested lists of numbers, as parameters, constants and expected values have them."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from graphrun.base.wording import counted, describe
from graphrun.document.marks import Path
from graphrun.document.slips import number_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class StoredValue:
    """An array that was read from a file; NumPy takes it as an array.

    Attributes:
        file, key: the file, as the graph file names it, and the array's name there.
        array: its elements.
    """

    file: str
    key: str
    array: NDArray[Any]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        import numpy as np

        return np.array(self.array, dtype) if copy else np.asarray(self.array, dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.array.shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredValue) and self.array.tobytes() == other.array.tobytes()

    def __hash__(self) -> int:
        return hash((self.file, self.key))


# A number, or lists of equal lengths around numbers: JSON's way to write an array; or an array from a file.
Value: TypeAlias = int | float | list[Any] | StoredValue
Shape: TypeAlias = tuple[int, ...]

MOST_AXES = 32
"""NumPy broadcasts so many."""

LARGEST = sys.float_info.max
LOOKS_LIKE_NUMBER = re.compile(r"\s*[-+]?[0-9.][0-9_.,\s]*([eE][-+]?[0-9]+)?\s*")


@dataclass(eq=False)
class NotANumberError(Exception):
    """A value that is no number or no array of numbers; `path` leads to the culprit within it."""

    path: Path
    message: str
    suggestion: str | None = None


def shape_of(value: Any, *, infinite: bool = False, what: str = "a number or a nested list of numbers") -> Shape:
    """Return the shape of a number (), or of a nested list; raise NotANumberError for anything else.

    `infinite` allows infinities, as bounds have them.
    """
    if isinstance(value, StoredValue):
        return value.shape
    if not isinstance(value, list):
        check_number(value, infinite=infinite, what=what)
        return ()
    if not value:
        return (0,)
    if not isinstance(value[0], list):
        _check_row(value, infinite)
        return (len(value),)
    shapes = []
    for index, part in enumerate(value):
        if not isinstance(part, list):
            raise NotANumberError((index,), f"{describe(part)} stands among lists: all elements need the same shape")
        try:
            shapes.append(shape_of(part, infinite=infinite))
        except NotANumberError as error:
            raise NotANumberError((index, *error.path), error.message, error.suggestion) from None
        if shapes[index] != shapes[0]:
            here, first = (_shape_in_words(shape) for shape in (shapes[index], shapes[0]))
            raise NotANumberError((index,), f"this list has {here}, the first one beside it has {first}")
    if len(shapes[0]) >= MOST_AXES:
        raise NotANumberError((), f"an array has at most {MOST_AXES} axes, and these lists are nested deeper")
    return (len(value), *shapes[0])


def check_number(value: Any, *, infinite: bool = False, what: str = "a number") -> None:
    """Raise NotANumberError for anything but a number that a 64-bit float can hold."""
    if value.__class__ is float or value.__class__ is int:
        if -LARGEST <= value <= LARGEST or (infinite and value.__class__ is float and math.isinf(value)):
            return
        if value.__class__ is int:
            raise NotANumberError((), f"this integer of {len(str(abs(value)))} digits is too large for a float")
        raise NotANumberError((), f"the number {value} is not finite")
    if value is None:
        raise NotANumberError((), f"a value is needed here: {what}")
    raise NotANumberError((), f"{what} is needed here, not {describe(value)}", _as_number(value))


def _check_row(row: list[Any], infinite: bool) -> None:
    """Raise NotANumberError for the first element of an innermost list that is no number."""
    # In C and for all elements at once; a sum is finite only if each of its terms is.
    if {*map(type, row)} <= {int, float} and not infinite:
        try:
            if math.isfinite(sum(row)) and min(row) >= -LARGEST and max(row) <= LARGEST:
                return
        except OverflowError:
            pass
    for index, element in enumerate(row):
        if isinstance(element, list):
            raise NotANumberError((index,), "a list stands among numbers: all elements need the same shape")
        try:
            check_number(element, infinite=infinite)
        except NotANumberError as error:
            raise NotANumberError((index,), error.message, error.suggestion) from None


def _shape_in_words(shape: Shape) -> str:
    if len(shape) == 1:
        return counted(shape[0], "element")
    return f"the shape {list(shape)}"


def _as_number(value: Any) -> str | None:
    """Suggest the number that a text was meant to be."""
    if isinstance(value, bool):
        return f"write {int(value)}"
    found = number_of(value) if isinstance(value, str) else None
    if found:
        return f"write {found}"
    if not isinstance(value, str) or not LOOKS_LIKE_NUMBER.fullmatch(value[:100]):
        return None
    text = value.strip()
    # One comma is a decimal comma, unless three digits follow: that may be thousands.
    decimal = re.fullmatch(r"[-+]?[0-9]*,([0-9]+)", text)
    plain = text.replace(",", "." if decimal and len(decimal[1]) != 3 else "").replace("_", "")
    plain = "".join(plain.split())
    try:
        float(plain)
    except ValueError:
        return None
    quotes = " without quotes" if plain == text else ""
    return f"write {plain}{quotes}"
