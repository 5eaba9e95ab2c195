"""What `.ci/run` promises: a test that is skipped there is a failure."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.campaign

CONFTEST = Path(__file__).parents[1] / "conftest.py"

SKIPPED = """
import pytest

def test_passes(): pass
def test_skips(): pytest.skip("not today")
@pytest.mark.skipif(True, reason="never")
def test_marked(): pass
@pytest.mark.xfail
def test_is_known_to_fail(): assert False
"""
SKIPPED_FILE = 'import pytest; pytest.importorskip("no_such_library"); raise AssertionError'


@pytest.mark.parametrize(
    ("variable", "summary", "status"),
    [({}, "1 passed, 3 skipped, 1 xfailed", 0), ({"GRAPHRUN_FORBID_SKIPS": "1"}, "1 error", 2)],
    ids=["allowed", "forbidden"],
)
def test_skipped_tests(tmp_path: Path, variable: dict[str, str], summary: str, status: int) -> None:
    """Skipped tests and files fail when skips are forbidden, and only then; known failures never do."""
    result = run_pytest(tmp_path, {"test_some.py": SKIPPED, "test_file.py": SKIPPED_FILE}, variable)
    assert summary in result.stdout
    assert result.returncode == status


def test_reason_is_told(tmp_path: Path) -> None:
    """The failure says why the test was skipped."""
    result = run_pytest(tmp_path, {"test_some.py": SKIPPED}, {"GRAPHRUN_FORBID_SKIPS": "1"})
    assert "1 failed, 1 passed, 1 xfailed, 1 error" in result.stdout
    assert "not today" in result.stdout
    assert "never" in result.stdout


def run_pytest(folder: Path, files: dict[str, str], variable: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run pytest on some files beside a copy of the tests' conftest."""
    shutil.copy(CONFTEST, folder)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    ours = ("GRAPHRUN_FORBID_SKIPS", "PYTEST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | variable
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
