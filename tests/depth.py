"""How deep the tests go that try many things: of examples the profile says it, for all of them (see `conftest.py`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings


def examples(whole: int) -> int:
    """Return how many examples a test tries where a whole campaign tries so many, which without a word are 100."""
    return max(2, whole * settings().max_examples // 100)


def one_of(count: int, names: Iterable[str]) -> list[Any]:
    """Return names as parameters: one of so many, and the others for a nightly run."""
    return [pytest.param(name, marks=[pytest.mark.nightly] * (k % count > 0)) for k, name in enumerate(names)]
