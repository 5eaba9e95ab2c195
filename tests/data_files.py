"""The same rows as a file of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def write_columns(path: Path, columns: Mapping[str, list[str]]) -> str:
    """Write columns of texts as a CSV file, an archive or a Parquet file; return its name."""
    if path.suffix == ".npz":
        np.savez(path, allow_pickle=False, **{name: _array(cells) for name, cells in columns.items()})  # type: ignore[arg-type]
        return path.name
    table = path.with_suffix(".csv")
    rows = [columns.keys(), *zip(*columns.values(), strict=True)]
    table.write_text("".join(",".join(row) + "\n" for row in rows), encoding="utf-8")
    if path.suffix == ".parquet":
        import duckdb

        duckdb.execute(
            f"COPY (FROM read_csv('{table}', header = true, nullstr = ['', 'NA'])) TO '{path}' (ROW_GROUP_SIZE 2048)"
        )
    return path.name


def _array(cells: list[str]) -> np.ndarray[Any, Any]:
    try:
        return np.array([cell if cell not in {"", "NA"} else "nan" for cell in cells], np.float64)
    except ValueError:
        return np.array(cells)
