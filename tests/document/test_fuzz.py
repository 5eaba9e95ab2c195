"""Whatever a file holds, loading it ends with a document or with a GraphFileError."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from graphrun.base.errors import GraphFileError
from graphrun.document import Source, load_document, loader
from graphrun.document.lookahead import PythonParser

MISTAKES = Path(__file__).with_name("mistakes.txt").read_bytes().decode()
FILES = [case.split("-" * 60 + "\n")[0] for case in MISTAKES.split("=" * 60 + "\n")[1:]]
PIECES = st.sampled_from(
    [
        *" \t\n:,[]{}-?*&!%@`'\"|>#~.",
        *(
            ": ",
            "- ",
            "\n  ",
            "<<: ",
            "*a",
            "&a ",
            "!!int ",
            "! ",
            "---\n",
            "...\n",
            "\r",
            "\x85",
            "\u2028",
            "\ufeff",
            "\0",
            "\x1b",
        ),
        *("a", "b", "ﬁ", "1", "-1.5", ".nan", "null", "true", "日本", "\ud800", "😀"),
        *(
            "parameters:",
            "constants:",
            "nodes:",
            "type:",
            "inputs:",
            "value:",
            "lower:",
            "upper:",
            "maximize:",
            "update:",
        ),
        *("steps:", "stop:", "record:", "seed:", "dtype:", "expect:", "at:", "values:", "gradients:", "tolerance:"),
    ]
)
TEXTS = st.lists(PIECES, max_size=30).map("".join)
EDITED = st.builds(
    lambda text, at, piece, cut: text[: at % (len(text) + 1)] + piece + text[at % (len(text) + 1) + cut :],
    st.sampled_from(FILES),
    st.integers(0, 10_000),
    PIECES | st.just(""),
    st.integers(0, 4),
)


def outcome(text: str) -> str:
    """Return the text of the problems of a file, which may be none."""
    try:
        return str(load_document(Source("g.yaml", text)).problems)
    except GraphFileError as error:
        return str(error)


@given(TEXTS | EDITED)
def test_any_text_has_an_outcome(text: str) -> None:
    """Every problem has its place, and nothing of the file could steer a terminal."""
    message = outcome(text)
    assert not message or message.startswith("g.yaml:")
    assert all(character.isprintable() or character == "\n" for character in message)


@given(TEXTS | EDITED)
def test_the_python_parser_has_an_outcome_too(text: str) -> None:
    """Where PyYAML has no libyaml, mistakes are told as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "EventParser", PythonParser)
        assert not outcome(text) or outcome(text).startswith("g.yaml:")


@given(st.binary(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_have_an_outcome(tmp_path: Path, data: bytes) -> None:
    """A file of random bytes is refused or read."""
    file = tmp_path / "g.yaml"
    file.write_bytes(data)
    try:
        load_document(file)
    except GraphFileError as error:
        assert str(error).startswith(f"{file}:")  # noqa: PT017 (most files load, or fail otherwise)
