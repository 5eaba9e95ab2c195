"""Small types that several rooms share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

if TYPE_CHECKING:
    import jax


def whole(value: Any) -> Any:
    """Return 1e6 as the integer that it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


MOST = 2**53
"""The largest count: every whole number up to it is a float, too."""

Seed = Annotated[int, Field(ge=0), BeforeValidator(whole)]
Natural = Annotated[Seed, Field(le=MOST)]
Positive = Annotated[Natural, Field(ge=1)]

Array: TypeAlias = "NDArray[np.floating[Any]] | jax.Array"
"""A float64 or float32 number or array, of the library that the engine works with."""
