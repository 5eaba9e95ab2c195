"""graphrun as users have it: a wheel, installed where no checkout is."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Environment

pytestmark = pytest.mark.campaign

ROOT = Path(__file__).parents[2]

OPTIONAL = tuple(
    "networkx safetensors rich numba jax scipy sympy duckdb torch pandas polars pytest hypothesis".split()  # noqa: SIM905
)
"""What a plain run must not import, be it installed or not: it would cost everybody its start-up time."""

LATE = (
    "graphrun.run.checkpoint",
    "graphrun.graph.ordering",
    "graphrun.data.opening",
    "graphrun.run.distributed",
    "graphrun.show.export.python",
    "graphrun.check.check",
    "graphrun.show.notebook",
    "graphrun.show.draw",
    "graphrun.cli.schema",
    "graphrun.run.predict",
    "graphrun.engines.numba.engine",
    "graphrun.engines.numba.compiler",
    "graphrun.engines.jax",
    "graphrun.engines.scipy.program",
)
"""Modules of graphrun that only some files, options or commands need."""

SNAKE_GRAPH = """\
parameters: {x: 0.5}
nodes:
  y: {type: snake, inputs: [x], frequency: 2}
minimize: y
update: {type: sgd, step_size: 0.1}
expect:
  at: 0
  values: {y: 0.8540367091367856}             # 0.5 + sin(1)^2 / 2
  gradients: {x: 1.9092974268256817}          # 1 + sin(2)
  tolerance: 1e-12
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder far from the checkout with the lesson in it."""
    shutil.copy(ROOT / "graphs" / "nested.yaml", tmp_path)
    return tmp_path


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Every module, py.typed, the page of reports and the license; no tests, graphs or example plugins."""
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "graphrun").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and not file.name.endswith("LICENSE")
    }
    assert {
        "graphrun/py.typed",
        "graphrun/show/report/template.html",
    } <= files
    assert {name for name in names if ".dist-info/" not in name} == files
    assert {name.rpartition("/")[2] for name in names if name.endswith("LICENSE")} == {"LICENSE", "DejaVu.LICENSE"}


def test_run_away_from_the_checkout(installed: Environment, folder: Path) -> None:
    """The lesson gives its result."""
    result = installed.run(["graphrun", "nested.yaml", "--steps", "1", "--format", "json"], folder)
    assert (result.returncode, result.stderr) == (0, "")
    data = json.loads(result.stdout)
    assert data["history"]["f"] == pytest.approx([-4, -3.8808], abs=1e-12)


def test_it_is_the_installed_package_that_runs(installed: Environment, folder: Path) -> None:
    """The environment does not see the checkout."""
    result = installed.run(["python", "-c", "import graphrun; print(graphrun.__file__)"], folder)
    assert Path(result.stdout.strip()).is_relative_to(installed.site), result.stdout + result.stderr


@pytest.mark.parametrize(
    "command", [["-m", "graphrun", "check", "nested.yaml"], ["-P", "-m", "graphrun", "nodes", "add"]]
)
def test_module_is_the_command(installed: Environment, folder: Path, command: list[str]) -> None:
    """`python -m graphrun` works as `graphrun` does."""
    result = installed.run(["python", *command], folder)
    assert (result.returncode, result.stderr) == (0, "")


def test_plain_run_imports_no_optional_package(installed: Environment, folder: Path) -> None:
    """A run with NumPy alone loads none of the packages that only some commands or engines need."""
    program = (
        "import sys; from graphrun.cli.entry import run_command; "
        "status = run_command(['nested.yaml', '--steps', '10']); "
        "print(sorted(sys.modules), file=sys.stderr); sys.exit(status)"
    )
    result = installed.run(["python", "-c", program], folder)
    assert result.returncode == 0, result.stderr
    for name in OPTIONAL:
        assert f"'{name}'" not in result.stderr
    for name in LATE:
        assert importlib.util.find_spec(name), "the list names a module that is no more"
        assert f"'{name}'" not in result.stderr


def test_requirements_are_what_is_imported(installed: Environment) -> None:
    """Every package that graphrun imports at a module's top is in its list of requirements, and the other way round.

    One of the core is imported only where it is needed: a run that writes no checkpoint does without it. The modules of
    an extra import it at their top, and are imported themselves when it is asked for.
    """
    required = {
        name.partition(">")[0]
        for name in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    }
    late = {"safetensors"}
    package = installed.site / "graphrun"
    of_extras = {"numba", "jax", "symbolic", "dask"}
    imported, anywhere = set(), set()
    for file in package.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        anywhere |= {(s.module or "").partition(".")[0] for s in ast.walk(tree) if isinstance(s, ast.ImportFrom)}
        for statement in tree.body if of_extras.isdisjoint(file.relative_to(package).parts) else ():
            if isinstance(statement, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in statement.names}
            elif isinstance(statement, ast.ImportFrom):
                imported.add((statement.module or "").partition(".")[0])
    names = {"yaml": "pyyaml", "click_default_group": "click-default-group"}
    own = {"graphrun", "pydantic_core", *sys.stdlib_module_names}
    assert {names.get(name, name) for name in imported - own} == required - late
    assert late <= required & anywhere


def test_nothing_is_written(installed: Environment, folder: Path) -> None:
    """A run leaves no file that was not asked for."""
    installed.run(["graphrun", "nested.yaml"], folder)
    assert [file.name for file in folder.iterdir()] == ["nested.yaml"]


def test_distributed_plugin_is_found(installed_with_plugin: Environment, folder: Path) -> None:
    """A plugin that is installed is found by its entry point: listed, shown and run."""
    (folder / "snake.yaml").write_text(SNAKE_GRAPH, encoding="utf-8")
    shown = installed_with_plugin.run(["graphrun", "nodes", "snake"], folder)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "snake(x, frequency=1.0)" in shown.stdout
    assert "graphrun-snake 0.1.0" in shown.stdout
    listed = installed_with_plugin.run(["graphrun", "plugins"], folder)
    assert "FAILED" not in listed.stdout
    assert "graphrun-snake 0.1.0" in listed.stdout
    checked = installed_with_plugin.run(["graphrun", "check", "snake.yaml"], folder)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_without_the_plugin_its_type_is_unknown(installed: Environment, folder: Path) -> None:
    """The same graph is refused where the distribution is not installed: it names no code itself."""
    (folder / "snake.yaml").write_text(SNAKE_GRAPH, encoding="utf-8")
    result = installed.run(["graphrun", "snake.yaml"], folder)
    assert (result.returncode, result.stdout) == (2, "")
    assert "'snake' is unknown" in result.stderr


def test_distributed_plugin_is_the_file_of_the_folder(example_wheel: Path) -> None:
    """The distribution holds the loose file itself, not a second text of it."""
    packed = zipfile.ZipFile(example_wheel).read("graphrun_snake.py")
    assert packed == (ROOT / "plugins" / "snake.py").read_bytes()
