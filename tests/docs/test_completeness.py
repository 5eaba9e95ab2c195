"""The documents leave nothing out: commands, options, keys of a graph file, exceptions, graphs and plugins."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

import graphrun
from graphrun.check import check_graph
from graphrun.cli import commands
from graphrun.hookspecs import graphrun_node_types, graphrun_update_rules

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GRAPHS = sorted((ROOT / "graphs").glob("*.yaml"))
PLUGINS = sorted(file for file in (ROOT / "plugins").glob("*.py") if not file.name.startswith("test_"))

SET_UP = ("pip install -e . && graphrun graphs/nested.yaml --steps 10", "pip install -e '.[test]' && pytest")

KEYS = (
    "graphrun", "description", "parameters", "constants", "nodes", "maximize", "minimize", "update", "steps", "stop",
    "record", "seed", "dtype", "expect",
)  # fmt: skip


def test_set_up_is_two_commands() -> None:
    """The two commands of the set-up stand on lines of their own, as `.ci/run` reads them."""
    assert [line for line in README.splitlines() if line.startswith("pip install -e")] == list(SET_UP)


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
    """The README has every command."""
    assert re.search(rf"`graphrun {name}\b", README)


@pytest.mark.parametrize(("command", "option"), options())
def test_option_is_described(command: str, option: str) -> None:
    """The README has every option of every command."""
    assert re.search(rf"`(-\w`, `)?{option}\b", README), f"{option} of {command}"


@pytest.mark.parametrize("key", KEYS)
def test_key_is_described(key: str) -> None:
    """The README has every key of a graph file."""
    assert re.search(rf"^\| .*`{key}`.* \|", README, re.MULTILINE)


@pytest.mark.parametrize("name", graphrun.__all__)
def test_public_name_is_described(name: str) -> None:
    """The README or the page on plugins has every public name of the package."""
    plugins = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"\b{name}\b", README + plugins)


@pytest.mark.parametrize("hook", [graphrun_node_types, graphrun_update_rules], ids=lambda hook: hook.__name__)
def test_hook_is_described(hook: object) -> None:
    """The page on plugins has every hook."""
    assert hook.__name__ in (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")  # type: ignore[attr-defined]


@pytest.mark.parametrize("folder", ["graphs", "plugins"])
def test_example_is_described(folder: str) -> None:
    """Every example has its line in the page of its folder."""
    page = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    for file in GRAPHS if folder == "graphs" else PLUGINS:
        assert file.name in page, f"{folder}/README.md has no line for {file.name}"


@pytest.mark.parametrize("file", GRAPHS, ids=lambda file: file.name)
def test_graph_holds_what_it_expects(file: Path) -> None:
    """Every graph has expectations, and keeps them."""
    graph = graphrun.load(file)
    assert graph.document.expect
    assert check_graph(graph).failures == []


def test_change_log_has_the_version() -> None:
    """The change log tells of the version at hand."""
    assert f"## {graphrun.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
