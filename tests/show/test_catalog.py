"""What `graphrun nodes NAME` says of each name."""

from __future__ import annotations

import re

import pytest

from graphrun.plugins.registry import Registry
from graphrun.show.catalog import describe, kinds


@pytest.mark.slow
def test_settings_are_told_in_words() -> None:
    """Whatever a graph file can name, nothing is told as Python's own text of a type or of an object."""
    registry = Registry()
    for title, entries in kinds(registry).items():
        for name in entries:
            text = "\n".join(describe(registry, name, title))
            assert not re.search(r"typing\.|Annotated|<\w+ | at 0x", text), text
