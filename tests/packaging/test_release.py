"""The script that makes a release, on a repository of its own, whose packages are not built."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHANGES = "# Changes\n\n## Unreleased\n\n- What is new.\n\n## 1.0.0 (2026-01-01)\n\n- What was.\n"

pytestmark = pytest.mark.slow


def git(*arguments: str) -> str:
    """Run Git here; return what it says."""
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()  # noqa: S607


def release(version: str) -> subprocess.CompletedProcess[str]:
    """Run the script here."""
    return subprocess.run([".ci/release", version], capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in a repository that has what the script changes."""
    if not (shutil.which("git") and shutil.which("bash")):
        pytest.skip("needs Git and Bash")
    monkeypatch.chdir(tmp_path)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Somebody")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "somebody@example.org")
    for file in (".ci/release", "graphrun/base/version.py"):
        Path(file).parent.mkdir(parents=True)
        shutil.copy(ROOT / file, file)
    packages("true")
    Path("CHANGELOG.md").write_text(CHANGES, encoding="utf-8")
    git("init", "--quiet", "--initial-branch=main")
    git("add", ".")
    git("commit", "--quiet", "--message=Begin")


def packages(command: str) -> None:
    """Let a command stand for what builds the packages."""
    file = Path(".ci/packages")
    file.write_text(f"#!/usr/bin/env bash\n{command}\n", encoding="utf-8")
    file.chmod(0o755)


def test_a_release() -> None:
    """It is a commit and a tag, in which the version is the new one and what was unreleased has its heading."""
    made = release("1.1.0")
    assert made.returncode == 0, made.stderr
    assert git("status", "--porcelain") == ""
    assert git("describe", "HEAD") == "v1.1.0"
    assert git("cat-file", "-t", "v1.1.0") == "tag"
    assert '__version__ = "1.1.0"' in Path("graphrun/base/version.py").read_text(encoding="utf-8")
    changes = Path("CHANGELOG.md").read_text(encoding="utf-8")
    assert re.sub(r"\d{4}-\d\d-\d\d", "DAY", changes) == re.sub(
        r"\d{4}-\d\d-\d\d", "DAY", CHANGES.replace("## Unreleased\n", "## Unreleased\n\n## 1.1.0 (2026-01-01)\n")
    )
    assert release("1.2.0").stderr == "CHANGELOG.md has nothing new\n"


@pytest.mark.parametrize(
    ("before", "version", "why"),
    [
        ("true", "1.1", "a version has three numbers, as 1.2.0"),
        ("true", "1.1.0rc1", "a version has three numbers, as 1.2.0"),
        ("true", "1.0.0", "1.0.0 does not come after 1.0.0"),
        ("true", "0.9.12", "0.9.12 does not come after 1.0.0"),
        ("git tag v1.1.0", "1.1.0", "v1.1.0 is there already"),
        ("git checkout --quiet -b work", "1.1.0", "a release is made of main; this is work"),
        ("git checkout --quiet --detach", "1.1.0", "a release is made of main; this is HEAD"),
        ("touch new.py", "1.1.0", "there is something that is not committed"),
        ("echo >>CHANGELOG.md", "1.1.0", "there is something that is not committed"),
    ],
)
def test_no_release(before: str, version: str, why: str) -> None:
    """It says why there is none, and leaves all as it is."""
    subprocess.run(["bash", "-c", before], check=True)  # noqa: S607
    state = git("rev-parse", "HEAD"), git("tag"), git("status", "--porcelain")
    made = release(version)
    assert made.returncode
    assert made.stderr == f"{why}\n"
    assert (git("rev-parse", "HEAD"), git("tag"), git("status", "--porcelain")) == state


def test_packages_that_cannot_be_built() -> None:
    """There is no release then, and the files are those before."""
    packages("exit 3")
    git("commit", "--quiet", "--all", "--message=Break")
    assert release("1.1.0").returncode == 3
    assert git("status", "--porcelain") == ""
    assert git("tag") == ""
    assert Path("CHANGELOG.md").read_text(encoding="utf-8") == CHANGES
