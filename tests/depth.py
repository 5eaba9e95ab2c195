"""How deep the tests of hypothesis go: the profile says it, for all of them (see `conftest.py`)."""

from __future__ import annotations

from hypothesis import settings


def examples(whole: int) -> int:
    """Return how many examples a test tries where a whole campaign tries so many, which without a word are 100."""
    return max(2, whole * settings().max_examples // 100)
