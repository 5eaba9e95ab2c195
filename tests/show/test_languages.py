"""Which node types each language of export has."""

from __future__ import annotations

import re

import pytest

from graphrun.plugins.registry import Registry
from graphrun.show.export import LANGUAGES
from graphrun.show.languages import language_listing


@pytest.mark.campaign
def test_most_types_can_be_written_in_the_languages_of_arrays() -> None:
    """A row for each type, and a reason for each that a language has not."""
    lines = list(language_listing(Registry()))
    assert lines[0].split() == list(LANGUAGES)
    counts = {
        name: (int(has), int(of)) for name, has, of in re.findall(r"(\w+): (\d+) of (\d+) types", "\n".join(lines))
    }
    assert counts.keys() == LANGUAGES.keys()
    for language in ("javascript", "latex", "onnx", "yaml"):
        has, of = counts[language]
        assert has / of >= 0.95
    assert "  inv: ONNX has no operator for inv" in lines
    assert any(re.match("softmax +- +yes", line) for line in lines)
