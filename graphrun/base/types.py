"""Small types that several rooms share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def whole(value: Any) -> Any:
    """Return 1e6 as the integer that it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Natural = Annotated[int, Field(ge=0), BeforeValidator(whole)]
Positive = Annotated[Natural, Field(ge=1)]
