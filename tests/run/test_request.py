"""One request: what `Graph.run`, `RunRequest` and the options of the commands have in common."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import graphrun
from graphrun.base.errors import UsageError
from graphrun.cli.commands.options import OPTIONS, GraphCommand
from graphrun.cli.entry import commands
from graphrun.run.request import RunRequest

REQUESTED = {"steps", "engine", "device", "dtype", "seed", "record", "every", "save", "save_every", "resume"}
"""The options that make a request."""
DEFAULTS = {field.name: field.default for field in fields(RunRequest)}


def test_keywords_of_run_are_the_request() -> None:
    """`Graph.run` has no keyword and no default of its own."""
    parameters = list(inspect.signature(graphrun.Graph.run).parameters.values())[1:]
    assert {p.name: p.default for p in parameters} == {p.name: DEFAULTS[p.name] for p in parameters}


def test_options_of_a_run_are_of_the_request() -> None:
    """Each is a field of the request, and each is declared once."""
    assert set(DEFAULTS) >= REQUESTED
    assert set(OPTIONS) >= REQUESTED


@pytest.mark.parametrize("name", [n for n, c in commands.commands.items() if isinstance(c, GraphCommand)])
def test_a_command_is_handed_one_request(name: str) -> None:
    """No function of a command lists what a request has."""
    command = commands.commands[name]
    assert isinstance(command, GraphCommand)
    taken = set(inspect.signature(command.callback or (lambda: None)).parameters)
    assert taken.isdisjoint(REQUESTED | {"overrides", "folders", "data"})
    assert ("request" in taken) == any(p.name in REQUESTED for p in command.params if isinstance(p, click.Option))


@pytest.mark.parametrize(
    "asked",
    [{"steps": -1}, {"steps": 1.5}, {"every": 0}, {"save": "c", "save_every": 0}, {"save_every": 1}],
    ids=str,
)
def test_numbers_that_make_no_sense_are_refused(asked: dict[str, object]) -> None:
    """Before anything is loaded or written."""
    with pytest.raises(UsageError, match="whole number"):
        RunRequest(**asked).check()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"seed": -1}, "seed is a whole number of 0 or more, not -1"),
        ({"seed": 1.5}, "seed is a whole number of 0 or more, not 1.5"),
        ({"steps": "3"}, "steps is a whole number of 0 or more, not 3"),
        ({"steps": True}, "steps is a whole number of 0 or more, not True"),
        ({"every": float("inf")}, "every is a whole number of 1 or more, not inf"),
    ],
    ids=str,
)
def test_numbers_of_another_kind(asked: dict[str, Any], message: str, load: Callable[[str], graphrun.Graph]) -> None:
    """Each is refused by its name; what is whole is taken in whatever type, as 1e3 is in a graph file."""
    graph = load("parameters: {W: {shape: [2], init: {type: normal}}}\nnodes: {f: sum(W)}\nminimize: f\n")
    with pytest.raises(UsageError) as caught:
        graph.run(**asked)
    assert message in str(caught.value)
    if "seed" in asked:
        with pytest.raises(UsageError, match="seed is"):
            graph.plan(seed=asked["seed"])
    assert graph.run(2e0, seed=np.int64(3)).steps == 2


def test_one_text_in_place_of_a_list(tmp_path: Path) -> None:
    """One override, one folder of plugins; and what is no path is told."""
    file = tmp_path / "g.yaml"
    file.write_text("parameters: {a: 1}\nminimize: a\n", encoding="utf-8")
    assert graphrun.load(file, overrides="steps=3", plugins=str(tmp_path)).steps == 3
    assert graphrun.load(file, plugins=tmp_path).steps == 1
    for wrong, message in ((file.read_text(), "looks like its text"), (["a"], "not a list")):
        with pytest.raises(UsageError, match=message):
            graphrun.load(wrong)
