"""Includes: which files are read, and what is told about those that cannot be."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from graphrun.base.errors import GraphFileError
from graphrun.document import load_document, source
from graphrun.graph.build import build_graph
from graphrun.plugins.registry import Registry

REGISTRY = Registry()
SUBGRAPH = "subgraphs: {NAME: {inputs: [x], parameters: {w: 2}, nodes: {y: x * w}, output: y}}\n"
MAIN = "include: [FILE]\nparameters: {a: 1}\nnodes: {f: s(a)}\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of its own."""
    monkeypatch.chdir(tmp_path)


def write(**files: str) -> None:
    """Write files; a double underscore in a name stands for a folder."""
    for name, text in files.items():
        path = Path(name.replace("__", "/") + ".yaml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def error(file: str = "main.yaml") -> str:
    """Return what is wrong with a graph file."""
    with pytest.raises(GraphFileError) as caught:
        build_graph(load_document(file), REGISTRY)
    return str(caught.value)


def test_subgraphs_of_other_files_become_available() -> None:
    """Names are relative to the file that includes, and what an included file includes is there too."""
    write(
        main="include: [lib/one.yaml]\nparameters: {a: 1}\nnodes: {f: one(a), g: two(f), h: three(g)}\n",
        lib__one="include: [deep/two.yaml, ../three.yaml]\nparameters: {b: 1}\nnodes: {y: b + 1}\nmaximize: y\n"
        + SUBGRAPH.replace("NAME", "one"),
        three=SUBGRAPH.replace("NAME", "three"),
    )
    Path("lib/deep").mkdir()
    Path("lib/deep/two.yaml").write_text("include: [../../three.yaml]\n" + SUBGRAPH.replace("NAME", "two"))
    for file in ("main.yaml", str(Path("main.yaml").absolute())):
        document = load_document(file)
        assert str(document.problems) == ""
        assert list(document.nodes) == ["f", "g", "h"]
        assert list(document.parameters) == ["a", "f.w", "g.w", "h.w"]


def test_a_file_that_is_included_twice_is_one_file() -> None:
    """Its subgraphs are not defined twice, by whatever names and links it is reached."""
    write(main="include: [one.yaml, ./one.yaml, link.yaml]\nparameters: {a: 1}\nnodes: {f: s(a)}\n")
    write(one=SUBGRAPH.replace("NAME", "s"))
    try:
        Path("link.yaml").symlink_to("one.yaml")
    except OSError:
        pytest.skip("no links here")
    assert str(load_document("main.yaml").problems) == ""


@pytest.mark.parametrize(
    ("main", "message"),
    [
        ("include: one.yaml\n", "main.yaml:1:10: 'include' is a list of files, not the text 'one.yaml'"),
        ("include: [5]\n", "main.yaml:1:11: 'include' takes names of files, not the number 5"),
        ("include: [null]\n", "main.yaml:1:11: 'include' takes names of files, not null"),
        ("include: ['']\n", "main.yaml:1:11: '' cannot be the name of a file"),
        ('include: ["a\\0b"]\n', "main.yaml:1:11: 'a\\x00b' cannot be the name of a file"),
        ("include: [oen.yaml]\n", "main.yaml:1:11: oen.yaml: there is no such file"),
        ("include: [no/one.yaml]\n", "main.yaml:1:11: no/one.yaml: there is no such file: the folder 'no' does not"),
        ("include: [.]\n", "main.yaml:1:11: .: this is a folder, not a graph file"),
        ("include: [main.yaml]\n", "main.yaml:1:11: the includes close a cycle: main.yaml → main.yaml"),
        ("include: ['https://x.org/a.yaml']\n", "main.yaml:1:11: 'https://x.org/a.yaml' is no local file"),
        ("include: ['file:///etc/passwd']\n", "main.yaml:1:11: 'file:///etc/passwd' is no local file"),
        ("include: ['data:text/plain,x']\n", "main.yaml:1:11: 'data:text/plain,x' is no local file"),
        ("include: [~user/one.yaml]\n", "main.yaml:1:11: ~user/one.yaml: there is no such file: the folder '~user'"),
        ("include: [$HOME/one.yaml]\n", "main.yaml:1:11: $HOME/one.yaml: there is no such file: the folder '$HOME'"),
        (f"include: [{'x' * 5000}]\n", f"main.yaml:1:11: {'x' * 299}…"),
        ("include: [one.yaml]\n" + SUBGRAPH.replace("NAME", "s"), "main.yaml:2:13: the subgraph 's' is defined twice"),
        ("include: [one.yaml, two.yaml]\n", "main.yaml:1:21: the subgraph 's' is defined twice: in one.yaml:1:13 too"),
        ("include: [list.yaml]\n", "list.yaml:1:1: an included file is a mapping of sections, not a list"),
        ("include: [empty.yaml]\n", "empty.yaml:1:1: the file is empty"),
        ("include: [syntax.yaml]\n", "syntax.yaml:1:4: this '[' is not closed by ']'"),
        ("include: [key.yaml]\n", "key.yaml:1:1: unknown key 'subgraph'"),
        ("include: [inside.yaml]\n", "inside.yaml:1:40: the expression ends too early"),
        ("include: [code.yaml]\n", "code.yaml:1:4: the tag '!!python/object/apply:os.system' is not supported"),
        ("include: [laugh.yaml]\n", "laugh.yaml:7:20: aliases multiply this file to more than 1,000,000 values"),
    ],
    ids=lambda text: text[:40].strip(),
)
def test_what_cannot_be_included(main: str, message: str) -> None:
    """It is one problem, at the place where it can be mended; types that the file may have are not called unknown."""
    write(
        one=SUBGRAPH.replace("NAME", "s"),
        two=SUBGRAPH.replace("NAME", "s"),
        list="[1]",
        empty="",
        syntax="a: [1",
        key="subgraph: {}\nsubgraphs: {s: {inputs: [x], nodes: {y: x}, output: y}}\n",
        inside="subgraphs: {s: {inputs: [x], nodes: {y: x +}, output: y}}\n",
        code="a: !!python/object/apply:os.system [echo run]",
        laugh="a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [" + f"*a{i - 1}, " * 10 + "]\n" for i in range(1, 99)),
    )
    used = "parameters: {a: 1}\nnodes: {f: s(a)}\n"
    write(main=main + used)
    found = error()
    message = message.replace("inside.yaml:1:40", f"inside.yaml:1:{found.split(':')[2]}")
    assert found.startswith(message)
    assert len([line for line in found.splitlines() if ".yaml:" in line and not line.startswith(" ")]) == 1
    assert "is unknown" not in found


def test_chains_of_includes_are_told() -> None:
    """A missing file and a cycle show by which files they were reached."""
    write(main=MAIN.replace("FILE", "b.yaml"), b="include: [c.yaml]", c="include: [missing.yaml]")
    assert error().splitlines()[0] == (
        "c.yaml:1:11: missing.yaml: there is no such file (included by main.yaml → b.yaml → c.yaml)"
    )
    write(c="include: [b.yaml]")
    assert error().splitlines()[0] == "c.yaml:1:11: the includes close a cycle: b.yaml → c.yaml → b.yaml"
    write(c="include: [main.yaml]")
    assert error().splitlines()[0] == (
        "c.yaml:1:11: the includes close a cycle: main.yaml → b.yaml → c.yaml → main.yaml"
    )


def test_a_long_chain_ends() -> None:
    """At a depth that no one needs."""
    write(**{f"f{i}": f"include: [f{i + 1}.yaml]\n" for i in range(300)})
    assert error("f0.yaml").splitlines()[0] == "f64.yaml:1:11: includes are nested deeper than 64 files"


@pytest.mark.skipif(sys.platform == "win32", reason="devices and pipes are files on POSIX systems only")
@pytest.mark.parametrize("name", ["/dev/zero", "/dev/urandom", "/dev/stdin", "/dev/tty", "fifo", "socket", "loop.yaml"])
def test_devices_pipes_and_loops_are_not_read(name: str) -> None:
    """Nothing is waited for, and nothing is read without end."""
    os.mkfifo("fifo")
    Path("loop.yaml").symlink_to("loop.yaml")
    write(main=MAIN.replace("FILE", name))
    start = time.process_time()
    found = error()
    assert time.process_time() - start < 1
    assert found.startswith(f"main.yaml:1:11: {name}: ")
    assert len(found) < 500


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such file")
def test_a_file_of_the_system_is_no_graph_file() -> None:
    """It is named by the graph, so it is read, and only told to be none."""
    write(main=MAIN.replace("FILE", "/etc/passwd"))
    assert error().startswith("/etc/passwd:1:1: ")


def test_a_file_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read to its end."""
    monkeypatch.setattr(source, "MOST_INCLUDED", 10)
    write(main=MAIN.replace("FILE", "one.yaml"), one=SUBGRAPH)
    assert error().startswith(
        "main.yaml:1:11: one.yaml: the file cannot be read: an included file has at most 10 bytes"
    )


def test_errors_in_an_included_subgraph_show_the_use() -> None:
    """The definition in its file, and the use in the other one."""
    write(main=MAIN.replace("FILE", "one.yaml"))
    write(one="subgraphs:\n  s: {inputs: [x], nodes: {y: foo(x)}, output: y}\n")
    assert (
        error()
        == """\
one.yaml:2:31: node type 'foo' is unknown
    s: {inputs: [x], nodes: {y: foo(x)}, output: y}
                                ^
  did you mean 'floor'?
  in the subgraph 's', used at main.yaml:3:9"""
    )


def test_a_subgraph_of_an_included_file_can_have_no_type_s_name() -> None:
    """The problem stands in the included file."""
    write(main=MAIN.replace("FILE", "one.yaml").replace("s(a)", "a + 1"), one=SUBGRAPH.replace("NAME", "add"))
    assert "one.yaml:1:13: the subgraph 'add' has the name of a node type\n" in error()
