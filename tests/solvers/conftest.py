"""What the tests of the solvers share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import graphrun
from graphrun.api import Graph

pytest.importorskip("scipy", minversion="1.16", reason="the solvers are SciPy's: pip install 'graphrun[scipy]'")

Load = Callable[[dict[str, Any]], Graph]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that writes a graph file and loads it."""

    def load_data(data: dict[str, Any]) -> Graph:
        file = tmp_path / "graph.yaml"
        file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        return graphrun.load(file)

    return load_data
