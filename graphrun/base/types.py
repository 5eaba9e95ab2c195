"""Small types that several rooms share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError, core_schema

if TYPE_CHECKING:
    import jax


def whole(value: Any) -> Any:
    """Return 1e6 as the integer that it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


MOST = 2**53
"""The largest count: every whole number up to it is a float, too."""

Seed = Annotated[int, Field(ge=0), BeforeValidator(whole)]
Natural = Annotated[Seed, Field(le=MOST)]


def _not_nan(value: float) -> float:
    if math.isnan(value):
        raise PydanticCustomError("not_a_number", "a number")
    return value


Positive = Annotated[Natural, Field(ge=1)]

Number = Annotated[float, AfterValidator(_not_nan)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
AboveZero = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
"""The share of itself that a running mean keeps; of 1 it would never hear of anything new."""


class NotBelow:
    """Annotates a setting that is not below another one, which is declared before it; None is no bound.

    Args:
        other: the other setting's name.
    """

    def __init__(self, other: str) -> None:
        self.other = other

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Return the schema of the setting, which is compared when both are read."""

        def compare(value: Any, info: Any) -> Any:
            least = info.data.get(self.other)
            if value is None or least is None or value >= least:
                return value
            given = {"other": self.other, "least": f"{least:g}"}
            raise PydanticCustomError("not_below", "a number not below {other}, {least}", given)

        return core_schema.with_info_after_validator_function(compare, handler(source))


Array: TypeAlias = "NDArray[np.floating[Any]] | jax.Array"
"""A float64 or float32 number or array, of the library that the engine works with."""
