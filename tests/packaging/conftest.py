"""A wheel of the checkout, installed where the checkout is not."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Environment:
    """A virtual environment with its own graphrun.

    The libraries that graphrun needs are those of the environment that runs the tests, put on the path by a `.pth`
    file, so that nothing is downloaded. An editable graphrun among them is not seen: it is itself a `.pth` file, and
    those work in a site folder only. That the requirements are complete is shown by `.ci/run`, which installs from
    nothing.
    """

    def __init__(self, folder: Path) -> None:
        venv.create(folder)
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.scripts = self.python.parent
        variables = {"base": str(folder), "platbase": str(folder)}
        self.site = Path(sysconfig.get_path("purelib", "venv", variables))
        paths = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
        (self.site / "libraries_of_the_tests.pth").write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")

    def install(self, wheel: Path) -> None:
        """Install a wheel and nothing else."""
        run_pip(
            "--python",
            str(self.python),
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--ignore-installed",
            str(wheel),
        )

    def run(self, command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a command of this environment in a folder."""
        return subprocess.run(
            [str(self.scripts / command[0]), *command[1:]],
            cwd=folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )


def clean_environment() -> dict[str, str]:
    """Return the environment variables without those that would bring the checkout in."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}


def run_pip(*arguments: str) -> None:
    """Run pip; what it says is the message where it fails."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    result = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=600, check=False)
    if result.returncode:
        pytest.fail(f"pip {' '.join(arguments)} failed:\n{result.stdout}{result.stderr}", pytrace=False)


def build_wheel(source: Path, folder: Path) -> Path:
    """Build a wheel; pip fetches hatchling for it unless it is at hand."""
    run_pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source))
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of the checkout."""
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def example_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of the example of a distributed plugin."""
    return build_wheel(ROOT / "plugins" / "example_distribution", tmp_path_factory.mktemp("example_wheel"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Install graphrun, and nothing that extends it."""
    environment = Environment(tmp_path_factory.mktemp("installed") / "environment")
    environment.install(wheel)
    return environment


@pytest.fixture(scope="session")
def installed_with_plugin(wheel: Path, example_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Install graphrun and the distributed plugin."""
    environment = Environment(tmp_path_factory.mktemp("installed_with_plugin") / "environment")
    environment.install(wheel)
    environment.install(example_wheel)
    return environment
