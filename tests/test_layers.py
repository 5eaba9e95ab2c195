"""A module imports its own room and those above it in the table, no modules import each other in a ring."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).parent.parent / "graphrun"
# In the order in which a graph file travels; the rooms of one row do not know each other.
TABLE = """base, declare, nodes/updates/solvers, document, data, plugins, graph, plan, engines, run, check, show, cli"""
ROW = {room: row for row, rooms in enumerate(TABLE.split(", ")) for room in rooms.split("/")}
FACADES = ["api", "hookspecs", "observers", "testing"]


def texts() -> dict[str, str]:
    """Return the text of each file of the package, by its path."""
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in ROOT.rglob("*.py")}


@cache
def statements(text: str) -> list[ast.Import | ast.ImportFrom]:
    """Return the imports anywhere in a text; each is parsed once, for it takes seconds for all of them."""
    return [found for found in ast.walk(ast.parse(text)) if isinstance(found, ast.Import | ast.ImportFrom)]


def imports(files: dict[str, str]) -> networkx.DiGraph:
    """Return the modules of some files, each with an edge to those that it imports, anywhere in its text."""
    modules = {
        f"graphrun/{path}".removesuffix(".py").removesuffix("/__init__").replace("/", "."): text
        for path, text in files.items()
    }
    graph = networkx.DiGraph()
    for module, text in modules.items():
        for found in statements(text):
            names = [alias.name for alias in found.names]
            if isinstance(found, ast.ImportFrom):
                assert not found.level, f"{module} imports by dots"
                names = [name if (name := f"{found.module}.{last}") in modules else found.module for last in names]
            graph.add_edges_from((module, name) for name in names if name in modules)
    return graph


def mistakes(graph: networkx.DiGraph) -> set[str]:
    """Return the imports that run against the table, and the rings; what stands above the rooms may import them all."""

    def room(module: str) -> str:
        return name if (name := f"{module}.".split(".")[1]) in ROW else ""

    against = {
        f"{one} -> {other}"
        for one, other in graph.edges
        if room(one) != room(other) and ROW.get(room(one), len(ROW)) <= ROW.get(room(other), len(ROW))
    }
    return against | {" <-> ".join(sorted(r)) for r in networkx.strongly_connected_components(graph) if len(r) > 1}


def test_every_import_runs_with_the_table_and_there_is_no_ring() -> None:
    """Those of types only and those within functions, too."""
    assert mistakes(imports(texts())) == set()


@pytest.mark.slow
def test_a_planted_import_is_found() -> None:
    """At a module's top, for types only, within a function, by a name of the package, between two rooms of a row."""
    files = texts()
    planted = {
        "base/random.py": "import graphrun.declare.domain",
        "data/split.py": "if TYPE_CHECKING:\n    from graphrun.plan.plan import Plan",
        "run/predict.py": "def late():\n    from graphrun.show import notebook",
        "check/finite_differences.py": "from graphrun import __version__",
        "updates/adaptive.py": "from graphrun.nodes.axes import count",
        "show/draw/items.py": "from graphrun.show.draw.layout import NodeBox",
    }
    for file, line in planted.items():
        files[file] += f"\n{line}\n"
    found = mistakes(imports(files))
    assert {text for text in found if "<->" not in text} == {
        "graphrun.base.random -> graphrun.declare.domain",
        "graphrun.data.split -> graphrun.plan.plan",
        "graphrun.run.predict -> graphrun.show.notebook",
        "graphrun.check.finite_differences -> graphrun",
        "graphrun.updates.adaptive -> graphrun.nodes.axes",
    }
    assert any({"graphrun.show.draw.items", "graphrun.show.draw.layout"} <= set(text.split(" <-> ")) for text in found)


def test_few_entries_stand_above_the_rooms() -> None:
    """At most 22, each a room or named here."""
    entries = {entry.name for entry in ROOT.iterdir() if entry.name != "__pycache__"}
    assert len(entries) <= 22
    assert entries - set(ROW) == {"__init__.py", "__main__.py", "py.typed", *(f"{name}.py" for name in FACADES)}


@pytest.mark.parametrize("name", FACADES)
def test_facades_re_export_without_logic(name: str) -> None:
    """A docstring, imports and ``__all__``, in at most 30 lines."""
    text = (ROOT / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 30
    docstring, *imported, names = ast.parse(text).body
    assert isinstance(docstring, ast.Expr)
    assert all(isinstance(statement, ast.ImportFrom) for statement in imported)
    assert ast.unparse(names).startswith("__all__ = ")
