"""Files on disk: encodings, positions in them, and files that cannot be read."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from graphrun.base.errors import GraphFileError
from graphrun.document import Mark, Problems, Source, load_document

TEXT = "parameters: {θ: 1}\r\nnodes:\r\n  f: {type: add, inputs: [θ, 😀]}\r\n"


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
def test_unicode_files_load_with_positions_in_characters(tmp_path: Path, mark: bytes, encoding: str) -> None:
    """UTF-8 and UTF-16 give the same document, and the same places in it."""
    file = tmp_path / "graph.yaml"
    file.write_bytes(mark + TEXT.encode(encoding))
    document = load_document(file)
    assert list(document.parameters) == ["θ"]
    assert document.source.name == str(file)
    assert document.source.mark(("parameters", "θ")) == Mark(1, 17)
    assert document.source.mark(("nodes", "f", "inputs", 1)) == Mark(3, 30)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a: 1".encode("utf-32"), "1:1: a file in UTF-32 is not supported (byte 0)\n  save it as UTF-8"),
        (b"a: 1\r\nb: \xe9", "2:4: byte 9 is not valid in UTF-8\n  save the file as UTF-8 text"),
        ("θ: ".encode() + b"\xff", "1:4: byte 4 is not valid in UTF-8\n  save the file as UTF-8 text"),
        (codecs.BOM_UTF8 + b"ab\xff", "1:3: byte 5 is not valid in UTF-8\n  save the file as UTF-8 text"),
        (codecs.BOM_UTF16_LE + b"a\0\x00\xdc", "1:2: byte 4 is not valid in UTF-16\n  save the file as UTF-8 text"),
        (
            "a: 1".encode("utf-16-le"),
            (
                "1:2: a NUL character (byte 1): this is no text, or UTF-16 without a byte order mark\n"
                "  save the file as UTF-8 text"
            ),
        ),
        (b"\x7fELF\x02\x01\x01\x00", None),
        (bytes(range(256)), None),
    ],
)
def test_other_encodings_are_refused(tmp_path: Path, data: bytes, message: str | None) -> None:
    """The message names the first byte that is not text, by line, column and offset."""
    file = tmp_path / "graph.yaml"
    file.write_bytes(data)
    with pytest.raises(GraphFileError) as caught:
        load_document(file)
    assert str(caught.value).startswith(f"{file}:")
    if message is not None:
        assert str(caught.value) == f"{file}:{message}"


def test_a_missing_file_suggests_a_near_one(tmp_path: Path) -> None:
    """The near name is one of the same folder."""
    (tmp_path / "nested.yaml").touch()
    with pytest.raises(GraphFileError) as caught:
        load_document(tmp_path / "nestd.yaml")
    near = tmp_path / "nested.yaml"
    assert str(caught.value) == f"{tmp_path / 'nestd.yaml'}: there is no such file\n  did you mean '{near}'?"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A folder, a missing folder, a name that the system does not take."""
    with pytest.raises(GraphFileError, match="this is a folder, not a graph file"):
        load_document(tmp_path)
    with pytest.raises(GraphFileError, match=r"there is no such file: the folder '.*missing' does not exist"):
        load_document(tmp_path / "missing" / "graph.yaml")
    with pytest.raises(GraphFileError, match="the file cannot be read"):
        load_document("a\0b")
    (tmp_path / "file").touch()
    with pytest.raises(GraphFileError):
        load_document(tmp_path / "file" / "graph.yaml")


def test_the_name_cannot_steer_a_terminal(tmp_path: Path) -> None:
    """Control characters in the name of a file are shown as escapes."""
    with pytest.raises(GraphFileError) as caught:
        load_document(Source("a\x1b[31m.yaml", ""))
    assert str(caught.value) == "a\\x1b[31m.yaml:1:1: the file is empty"


POSITIONS = """\
update: &rule
  type: "sgd"
  'quoted key': [1, {x: y}, "z"]
  block: |
    text
  ? asked
  : value
  empty:
nodes:
  base: &base {type: add, inputs: [a, b]}
  same: *base
  merged:
    <<: *base
    inputs:
    - c
    -   d
  ﬁ: {type: x, inputs: []}
"""


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ((), (1, 1), (1, 1)),
        (("update",), (1, 1), (1, 9)),
        (("update", "type"), (2, 3), (2, 9)),
        (("update", "quoted key"), (3, 3), (3, 17)),
        (("update", "quoted key", 0), (3, 18), (3, 18)),
        (("update", "quoted key", 1, "x"), (3, 22), (3, 25)),
        (("update", "quoted key", 2), (3, 29), (3, 29)),
        (("update", "block"), (4, 3), (4, 10)),
        (("update", "asked"), (6, 5), (7, 5)),
        (("update", "empty"), (8, 3), (8, 9)),
        (("nodes", "base", "inputs", 1), (10, 39), (10, 39)),
        (("nodes", "same"), (11, 3), (11, 9)),
        (("nodes", "same", "type"), (11, 3), (11, 9)),
        (("nodes", "merged", "type"), (13, 5), (13, 9)),
        (("nodes", "merged", "inputs"), (14, 5), (15, 5)),
        (("nodes", "merged", "inputs", 1), (16, 9), (16, 9)),
        (("nodes", "ﬁ", "type"), (17, 7), (17, 13)),
        (("nodes", "fi", "type"), (17, 7), (17, 13)),
        (("nodes", "base", "missing", 3), (10, 3), (10, 9)),
        (("missing",), (1, 1), (1, 1)),
    ],
)
def test_positions_of_keys_and_values(
    path: tuple[str | int, ...], key: tuple[int, int], value: tuple[int, int]
) -> None:
    """Aliased values stand where the alias stands, merged ones where the merge does; else the nearest parent counts."""
    source = Source("g.yaml", POSITIONS)
    assert source.mark(path, key=True) == key
    assert source.mark(path) == value


def test_positions_are_found_together() -> None:
    """Many paths cost one reading of the text, and equal names in different forms stay apart."""
    source = Source("g.yaml", "nodes:\n  ﬁ: 1\n  fi: 2\n")
    assert source.marks([("nodes", "fi"), ("nodes", "ﬁ")]) == [Mark(3, 7), Mark(2, 6)]
    assert source.mark(("nodes", "fi"), key=True) == Mark(3, 3)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x85", "\u2028", "\u2029"])
def test_lines_are_those_of_yaml(end: str) -> None:
    """The lines that messages show are counted as the parser counts them."""
    source = Source("g.yaml", end.join(["a: 1", "b: 2", "c: 3"]))
    assert source.lines == ["a: 1", "b: 2", "c: 3"]
    assert source.mark(("c",)) == Mark(3, 4)


def test_a_description_of_one_problem() -> None:
    """Later stages report a single problem with its place."""
    source = Source("g.yaml", "nodes:\n  f: {type: add}\n")
    expected = "g.yaml:2:13: wrong\n    f: {type: add}\n              ^\n  try sum"
    assert Problems(source).describe(("nodes", "f", "type"), "wrong", "try sum") == expected
