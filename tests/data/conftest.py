"""What the tests of data sets share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from data_files import write_columns

from graphrun.data.dataset import DataSet
from graphrun.data.opening import Limits, open_data
from graphrun.document import DataEntry, Source, load_document


def read_entry(section: str) -> DataEntry:
    """Return a `data` section, written as a YAML mapping."""
    document = load_document(Source("g.yaml", f"data: {section}\n"))
    document.problems.raise_if_any()
    assert document.data is not None
    return document.data


@pytest.fixture(scope="session")
def entry_of() -> Callable[[str], DataEntry]:
    """Return a function from a `data` section, written as a YAML mapping, to what is read from it."""
    return read_entry


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, so that messages name files shortly."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def opened(folder: Path) -> Callable[..., DataSet]:
    """Return a function from a section and files to the data set; arguments go to `open_data`."""

    def make(section: str, files: Mapping[str, str | bytes] | None = None, seed: int = 0, **arguments: Any) -> DataSet:
        for name, content in (files or {}).items():
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return open_data(read_entry(section), "", seed, **arguments)

    return make


# Every way in which a file is read: its kind, and sizes that lead there.
WAYS = {
    "csv": ("csv", Limits()),
    "csv by DuckDB": ("csv", Limits(csv=0)),
    "csv streamed": ("csv", Limits(budget=0, csv=0, range=100, window=300)),
    "npz": ("npz", Limits()),
    "parquet": ("parquet", Limits()),
    "parquet streamed": ("parquet", Limits(budget=0, range=100, window=300)),
}


@pytest.fixture(params=[pytest.param(way, marks=pytest.mark.slow if " " in way else ()) for way in WAYS])
def read_in_a_way(request: pytest.FixtureRequest, folder: Path) -> Callable[..., DataSet]:
    """Return a function from a section that names FILE, and columns of texts, to the data set: of each kind of file.

    An empty text is a cell with nothing in it. Columns are texts in a Parquet file where one of their cells is none.
    """
    kind, limits = WAYS[request.param]

    def make(section: str, columns: Mapping[str, list[str]], *, name: str = "d", **arguments: Any) -> DataSet:
        file = write_columns(folder / f"{name}.{kind}", columns)
        return open_data(
            read_entry(section.replace("FILE", file).replace("KIND", kind)), "", 0, limits=limits, **arguments
        )

    return make
