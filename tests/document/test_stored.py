"""Leaves whose values stand in a file beside the graph file: ``{file, key}``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import graphrun
from graphrun.base.errors import GraphFileError
from graphrun.document import load_document
from graphrun.document.dump import dump_document

W = np.array([[1.5, -2.0], [0.25, 4.0]])
GRAPH = """
parameters:
  W: {file: w.safetensors, key: W, lower: -3}
constants:
  x: {file: arrays.npz, key: x}
  s: {file: arrays.npz, key: s}
nodes:
  y: sum(W @ x) * s
minimize: y
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with arrays of both formats."""
    save_file({"W": W, "large": np.array([1e300]), "half": np.ones(2, np.float16)}, tmp_path / "w.safetensors")
    np.savez(
        tmp_path / "arrays.npz", x=np.array([1, 2]), s=np.array(3.0), nan=np.array([1, np.nan]), text=np.array(["a"])
    )
    (tmp_path / "damaged.npz").write_bytes((tmp_path / "arrays.npz").read_bytes()[:200])
    (tmp_path / "damaged.safetensors").write_bytes(b"\xff" * 30)
    (tmp_path / "folder.npz").mkdir()
    return tmp_path


def load(folder: Path, text: str, **asked: Any) -> Any:
    """Load a text as a graph file in a folder."""
    (folder / "g.yaml").write_text(text)
    return graphrun.load(folder / "g.yaml", **asked)


def test_values_from_files(folder: Path) -> None:
    """They are taken as if they were written out, of numbers too, and relative to the graph file."""
    result = load(folder, GRAPH).run(1)
    assert result.history["y"][0] == (W @ [1, 2]).sum() * 3
    np.testing.assert_array_equal(result.parameters["W"], W - 0.01 * 3 * np.array([[1, 2], [1, 2]]))


def test_a_setting_of_the_command_line_changes_the_key(folder: Path) -> None:
    """A part of the mapping, or all of it."""
    changed = load(folder, GRAPH, overrides=["constants.x.key=s", "parameters.W={file: w.safetensors, key: half}"])
    assert changed.structure.leaves[1] == 3.0
    assert changed.structure.leaves[0].tolist() == [1, 1]
    assert load(folder, GRAPH, overrides=["parameters.W=[[1, 2], [3, 4]]"]).run(0).values["y"] == 48


def test_each_instance_of_a_subgraph_reads_its_own(folder: Path) -> None:
    """The name of the array is a setting."""
    graph = load(
        folder,
        """
subgraphs:
  scaled:
    inputs: [x]
    settings: {key: x}
    parameters: {w: {file: arrays.npz, key: $key}}
    nodes: {y: x * w}
    output: y
nodes: {a: scaled(2.0), b: 'scaled(2.0, key="s")'}
""",
    )
    values = graph.run(0).values
    assert (values["a"].tolist(), values["b"]) == ([2, 4], 6)


def test_a_document_is_written_with_the_files_that_it_names(folder: Path) -> None:
    """Arrays are not written out."""
    graph = load(folder, GRAPH)
    text = dump_document(graph.document)
    assert "W: {file: w.safetensors, key: W, lower: -3}" in text
    (folder / "again.yaml").write_text(text)
    assert dump_document(load_document(folder / "again.yaml")) == text


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("{file: w.safetensors, key: w}", r"g.yaml:2:33: w.safetensors: it has no array 'w'\n.*\n.*\n.*'W'"),
        ("{file: arrays.npz, key: y}", "it has: x, s, nan, text"),
        ("{file: w.safetensors}", "has a 'key'"),
        ("{key: W}", "has a 'file'"),
        ("{file: 3, key: W}", "'file' is a text, not the number 3"),
        ("{file: w.safetensors, key: [W]}", "'key' is a text, not a list"),
        ("{file: w.pt, key: W}", "'w.pt' is no file of arrays"),
        ('{file: "\\0.npz", key: W}', "is no file of arrays"),
        ("{file: none.npz, key: W}", "there is no file .*none.npz"),
        ("{file: folder.npz, key: W}", "it is no regular file"),
        ("{file: damaged.npz, key: W}", "cannot be read"),
        ("{file: damaged.safetensors, key: W}", "cannot be read"),
        ("{file: arrays.npz, key: nan}", r"the element \[1\] of the array 'nan' is not finite"),
        ("{file: arrays.npz, key: text}", "holds <U1, not numbers"),
        ("{file: w.safetensors, key: W, value: 1}", "'value' is for one without"),
        ("{file: w.safetensors, key: W, upper: 1}", "the start 1.5 is above its upper bound 1"),
        ("{file: w.safetensors, key: W, upper: [1, 2, 3]}", "does not fit a value of the shape"),
    ],
)
def test_what_cannot_be_read(folder: Path, written: str, told: str) -> None:
    """The message says where, what is wrong and what was meant."""
    with pytest.raises(GraphFileError, match=told):
        load(folder, f"parameters:\n  v: {written}\nnodes: {{y: sum(v)}}\nminimize: y\n")


def test_a_number_too_large_for_the_dtype(folder: Path) -> None:
    """As of one that is written out."""
    graph = load(folder, "parameters: {v: {file: w.safetensors, key: large}}\nnodes: {y: sum(v)}\n")
    with pytest.raises(graphrun.UsageError, match="too large for float32"):
        graph.run(0, dtype="float32")
