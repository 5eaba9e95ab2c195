"""The documents leave nothing out: commands, options, the format of graph files, exceptions, graphs and plugins."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import click
import pytest
import yaml

import graphrun
from graphrun import hookspecs
from graphrun.check.check import check_graph
from graphrun.cli.completion import SHELLS
from graphrun.cli.entry import commands
from graphrun.cli.modeline import SCHEMA_FILE
from graphrun.declare.declaration import Declaration
from graphrun.declare.initializers import INITIALIZERS
from graphrun.declare.nodetype import NodeType
from graphrun.document import (
    anchors,
    data_section,
    expressions,
    includes,
    loader,
    names,
    parameters,
    problems,
    scalars,
    sizes,
)
from graphrun.document import source as sources
from graphrun.document import subgraphs as definitions
from graphrun.document.header import SECTIONS
from graphrun.document.models import ExpectEntry, StopEntry
from graphrun.graph.update import CLIPS
from graphrun.nodes import FAMILIES
from graphrun.solvers import SOLVERS
from graphrun.updates import graphrun_update_rules as built_in_rules
from graphrun.updates.schedule import SCHEDULES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
PYTHON = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
FORMAT = (ROOT / "graphs" / "README.md").read_text(encoding="utf-8")
GRAPHS = sorted((ROOT / "graphs").glob("*.yaml"))
LIBRARIES = ("layers.yaml",)
PLUGINS = sorted(file for file in (ROOT / "plugins").glob("*.py") if not file.name.startswith("test_"))

SET_UP = ("pip install -e . && graphrun graphs/nested.yaml --steps 10", "pip install -e '.[test]' && pytest")

LIMITS = (
    anchors.DEEPEST, anchors.MOST_VALUES, scalars.LONGEST_NUMBER, loader.MOST_TAG_DIRECTIVES,
    expressions.MOST_CHARACTERS, expressions.MOST_LEVELS, expressions.MOST_IN_A_ROW,
    sizes.MOST_NODES, sizes.DEEPEST_NESTING, sizes.MOST_USES,
    includes.DEEPEST, sources.MOST_INCLUDED, problems.MOST_SHOWN,
)  # fmt: skip


def test_set_up_is_two_commands() -> None:
    """The two commands of the set-up stand on lines of their own, as `.ci/run` reads them."""
    assert [line for line in README.splitlines() if line.startswith("pip install -e")] == list(SET_UP)


def test_readme_is_short() -> None:
    """What is more than a way in stands in docs/."""
    assert len(README.splitlines()) <= 250


def test_every_page_is_on_the_way() -> None:
    """Every page of docs/ is in a list of the first one, from which the built documents are made."""
    listed = re.findall(r"^[\w-]+$", (ROOT / "docs" / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(file.stem for file in (ROOT / "docs").glob("*.md")) == sorted({*listed, "index"})


def options() -> list[tuple[str, str]]:
    """Return each command with each of its options."""
    return [
        (name, max(parameter.opts, key=len))
        for name, command in commands.commands.items()
        for parameter in command.params
        if isinstance(parameter, click.Option)
    ]


@pytest.mark.parametrize("name", commands.commands)
def test_command_is_described(name: str) -> None:
    """The page about the command line has every command."""
    assert re.search(rf"`graphrun {name}\b", COMMANDS)


@pytest.mark.parametrize(("command", "option"), options())
def test_option_is_described(command: str, option: str) -> None:
    """The page about the command line has every option of every command."""
    assert re.search(rf"`(-\w`, `)?{option}\b", COMMANDS), f"{option} of {command}"


@pytest.mark.parametrize("shell", SHELLS)
def test_shell_is_described(shell: str) -> None:
    """The page about the command line says how each shell completes."""
    assert re.search(rf"\b{shell}\b", COMMANDS)


@pytest.mark.parametrize("key", SECTIONS)
def test_key_is_described(key: str) -> None:
    """The reference has every key of a graph file."""
    assert re.search(rf"^\| .*`{key}`.* \|", section("A file with most of the keys"), re.MULTILINE)


@pytest.mark.parametrize(
    ("heading", "keys"),
    [
        ("Parameters and constants", parameters.KEYS),
        ("Data", data_section.KEYS),
        ("Data", data_section.COLUMN_KEYS),
        ("Data", data_section.SUFFIXES),
        ("Subgraphs", definitions.KEYS),
        ("Subgraphs", definitions.INSTANCE_KEYS),
        ("Stop rules", StopEntry.model_fields),
        ("Expectations", ExpectEntry.model_fields),
    ],
    ids=["parameter", "data", "column", "file", "subgraph", "instance", "stop", "expect"],
)
def test_inner_key_is_described(heading: str, keys: Iterable[str]) -> None:
    """The reference has every key of what stands within a section."""
    assert [key for key in keys if not re.search(rf"`{key}\b", section(heading))] == []


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializer_is_described(name: str) -> None:
    """The reference has every initializer with its settings and their defaults."""
    row = re.search(rf"^\| `{name}` \|(.*)$", section("Parameters and constants"), re.MULTILINE)
    assert row
    for setting in INITIALIZERS[name].keyword:
        given = setting.default is setting.empty
        assert f"`{setting.name}`" in row[1] if given else f"`{setting.name}: {setting.default:.5g}" in row[1]


def in_words(value: object) -> str:
    """Return a default as a graph file would give it."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else str(value)


@pytest.mark.parametrize(
    ("heading", "declared"),
    [
        *(("Update rules", rule) for rule in built_in_rules()),
        *(("Update rules", schedule) for schedule in SCHEDULES.values()),
        *(("Solvers", solver) for solver in SOLVERS.values()),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_rule_schedule_or_solver_is_described(heading: str, declared: Declaration) -> None:
    """The reference has every update rule, schedule and solver with its settings and their defaults."""
    row = re.search(rf"^\| `{declared.name}` \|(.*)$", section(heading), re.MULTILINE)
    assert row
    for setting in declared.keyword:
        default = "" if setting.default is setting.empty else f": {in_words(setting.default)}"
        assert f"`{setting.name}{default}`" in row[1]


@pytest.mark.parametrize("clip", CLIPS)
def test_clipping_is_described(clip: str) -> None:
    """The reference has every way to clip gradients."""
    assert f"`{clip}`" in section("Update rules")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__.rpartition(".")[2])
def test_node_types_are_listed(family: ModuleType) -> None:
    """The reference lists every node type."""
    found = [value.name for value in vars(family).values() if isinstance(value, NodeType)]
    assert [name for name in found if f"`{name}`" not in section("Node types")] == []


@pytest.mark.parametrize("kind", expressions.OPERATORS.values())
def test_operator_is_described(kind: str) -> None:
    """The reference has the node type of every operator."""
    assert re.search(rf"\b{kind}\b", section("Expressions"))


@pytest.mark.parametrize("sign", [sign for sign, _ in expressions.INSTEAD.values() if " " not in sign])
def test_what_to_write_instead_is_described(sign: str) -> None:
    """The reference has what expressions refuse."""
    written = r"x\[0\]" if sign == "[...]" else rf"(?:[^`\n]* )?{re.escape(sign)}(?: [^`\n]*)?"
    assert re.search(f"`{written}`", section("Expressions"))


@pytest.mark.parametrize("word", names.LITERALS)
def test_reserved_word_is_described(word: str) -> None:
    """The reference has the words that cannot be names."""
    assert f"`{word}`" in section("Names")


@pytest.mark.parametrize("limit", LIMITS)
def test_limit_is_described(limit: int) -> None:
    """The reference has every limit."""
    assert re.search(rf"(?<![\d,]){limit:,}(?![\d,])", section("Limits"))


def test_schema_file_is_described() -> None:
    """The pages about the command line and the format name the file that `graphrun schema --init` writes."""
    assert f"`{SCHEMA_FILE}`" in COMMANDS
    assert f"`{SCHEMA_FILE}`" in FORMAT


def section(heading: str) -> str:
    """Return the part of the reference under a heading."""
    match = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", FORMAT, re.MULTILINE | re.DOTALL)
    assert match, f"the reference has no heading {heading!r}"
    return match[1]


@pytest.mark.parametrize("name", graphrun.__all__)
def test_public_name_is_described(name: str) -> None:
    """The README, the page on Python or the one on plugins has every public name of the package."""
    plugins = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"\b{name}\b", README + PYTHON + plugins)


@pytest.mark.parametrize("hook", [name for name in vars(hookspecs) if name.startswith("graphrun_")])
def test_hook_is_described(hook: str) -> None:
    """The page on plugins has every hook."""
    assert re.search(rf"\b{hook}\b", (ROOT / "plugins" / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("folder", ["graphs", "plugins"])
def test_example_is_described(folder: str) -> None:
    """Every example has its line in the page of its folder."""
    page = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    for file in GRAPHS if folder == "graphs" else PLUGINS:
        assert file.name in page, f"{folder}/README.md has no line for {file.name}"


@pytest.mark.parametrize("file", GRAPHS, ids=lambda file: file.name)
def test_graph_has_expectations(file: Path) -> None:
    """Every graph is valid and has expectations; a library has no nodes."""
    document = graphrun.load(file).document
    assert bool(document.expect) == bool(document.nodes) == (file.name not in LIBRARIES)


@pytest.mark.nightly  # in the campaign, `graphs/README.md` has all of them checked by the command
@pytest.mark.parametrize("file", GRAPHS, ids=lambda file: file.name)
def test_graph_holds_what_it_expects(file: Path) -> None:
    """Every graph keeps its expectations, and its derivatives are right."""
    assert check_graph(graphrun.load(file)).failures == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_library_is_used(library: str) -> None:
    """Every subgraph of a library is used by a graph that includes it, so that it is checked."""
    used = set()
    for file in GRAPHS:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
        if library in data.get("include", []):
            used.update(re.findall(r"\w+", str(data["nodes"])))
    library_names = graphrun.load(ROOT / "graphs" / library).document.subgraphs
    assert library_names
    assert set(library_names) <= used


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["depth", "network"])
def test_expectations_hold_whatever_is_drawn(name: str, seed: int) -> None:
    """What graphs with random initial values expect does not depend on the seed."""
    graph = graphrun.load(ROOT / "graphs" / f"{name}.yaml", overrides=[f"seed={seed}"])
    assert check_graph(graph).failures == []


def test_change_log_has_the_version() -> None:
    """The change log tells of the version at hand."""
    assert f"## {graphrun.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
