"""Calculations as tables, for formats that have no columns of equal letters: Markdown and HTML."""

from __future__ import annotations

from collections.abc import Sequence

from graphrun.show.explain.page import Equations, Math, Prose, Table


def cells(block: Equations | Table) -> tuple[Sequence[str], Sequence[Sequence[Prose]]]:
    """Return the header and the rows of a block; columns that are empty throughout are left out."""
    if isinstance(block, Table):
        return block.header, [[[cell] for cell in row] for row in block.rows]
    header = ["node", *block.columns, "note"]
    rows: list[list[Prose]] = []
    for group in block.groups:
        for position, row in enumerate(group.rows):
            title = [Math(group.title)] if group.title and not position else []
            left = [Math(row.left), " gets"] if row.gets else [Math(row.left)]
            parts = [[Math(part)] if part else [] for part in (row.formula, row.numbers, row.result)]
            rows.append([title, left, *parts, row.note])
    used = [k for k in range(len(header)) if any(row[k] for row in rows)]
    names = {"note": ""}
    return [names.get(header[k], header[k]) for k in used], [[row[k] for k in used] for row in rows]
