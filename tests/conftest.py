"""What all tests share: which of them are the campaign, how deep those of hypothesis go, that none may be skipped.

There are three tiers. The quick part runs by default. The campaign, which is marked, is for what takes long or needs
more than the extra `test`: `pytest -m "campaign and not nightly"` runs it. What is marked `nightly` besides goes deeper
into what the other parts show, in more sizes, forms and engines. `pytest -m ""` runs everything; the random tests then
have more examples, and other ones each time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import engine

# Each worker has a processor to itself at most: threads of BLAS that wait for each other take four times as long there.
# It is read when NumPy is imported, which is later.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A hundred is what the numbers in the tests are written for; `examples` in `depth.py` scales them by the profile's.
# What guards the main branch tries the same examples each time, so that who changes something else meets no old mistake
# by chance; new ones are tried where what is marked `nightly` runs too.
# A machine that is busy draws slowly, which is no fault of a test.
ON_ANY_MACHINE: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("guard", max_examples=10, derandomize=True, database=None, **ON_ANY_MACHINE)
settings.register_profile("nightly", max_examples=25, **ON_ANY_MACHINE)
# By hand: PYTEST_ADDOPTS=--hypothesis-profile=whole
settings.register_profile("whole", max_examples=100, **ON_ANY_MACHINE)
settings.register_profile("deep", max_examples=1000, **ON_ANY_MACHINE)

SECONDS_OF_SHRINKING = 20
"""For so long hypothesis looks for a smaller example that fails; by itself it does for five minutes, of each test."""
if hasattr(engine, "MAX_SHRINKING_SECONDS"):
    engine.MAX_SHRINKING_SECONDS = SECONDS_OF_SHRINKING

OF_THE_CAMPAIGN = {"browser", "torch"}
"""Fixtures whose packages are not in the extra `test`: tests that ask for one are the campaign's."""


def takes_in(part: str, config: pytest.Config) -> bool:
    """Whether the command line takes in the tests marked so; by default it takes in none of the campaign."""
    return not any(f"not {left_out}" in config.option.markexpr for left_out in ("campaign", part))


def pytest_configure(config: pytest.Config) -> None:
    """Choose the profile of hypothesis, unless the command line did; no test is told the width of a terminal."""
    os.environ.pop("COLUMNS", None)
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("nightly" if takes_in("nightly", config) else "guard")


def compares_with_pytorch(file: Path) -> bool:
    """Whether a file is one that imports PyTorch at its top."""
    return file.name.endswith("_against_pytorch.py")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files alone that could not be imported without PyTorch, where nothing of them would be run."""
    return True if compares_with_pytorch(collection_path) and not takes_in("campaign", config) else None


# Before all others: `-m` chooses by the marks of then. After them, what it chose is put in order.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Any:
    """Mark what needs a package beyond the extra `test`; put what takes longest first, for each worker some of it.

    Else one worker would be left alone with it at the end. Each begins with an equal part of the list, as xdist deals
    it out: the first ones are the shorter ones. The rest of a file stays together, for what its tests share (a server,
    an installation, what is imported and compiled) is made anew by each worker.
    """
    for item in items:
        needs_more = not OF_THE_CAMPAIGN.isdisjoint(getattr(item, "fixturenames", ()))
        if needs_more or compares_with_pytorch(item.path) or item.get_closest_marker("nightly"):
            item.add_marker("campaign")
    result = yield
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    if workers > 1 and takes_in("campaign", config):
        longest = sorted(filter(seconds_of, items), key=seconds_of, reverse=True)
        rest = iter([item for item in items if not seconds_of(item)])
        count = len(items)
        items.clear()
        for worker in reversed(range(workers)):
            first = longest[worker::workers]
            items += [*first, *islice(rest, max(0, (count - len(items)) // (worker + 1) - len(first)))]
    return result


def seconds_of(item: pytest.Item) -> float:
    """What its mark says that a test of the campaign takes; little, where it says nothing."""
    return max((mark.kwargs.get("seconds", 0) for mark in item.iter_markers("campaign")), default=0)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | Mapping[str, Any]], Any]:
    """Return what loads a graph from its text or its plain data, as graph.yaml in a working folder of its own."""
    import yaml

    import graphrun

    monkeypatch.chdir(tmp_path)

    def load_given(given: str | Mapping[str, Any]) -> graphrun.Graph:
        text = given if isinstance(given, str) else yaml.safe_dump(given, sort_keys=False)
        Path("graph.yaml").write_text(text, encoding="utf-8")
        return graphrun.load("graph.yaml")

    return load_given


@pytest.fixture(scope="session")
def torch() -> Any:
    """PyTorch, an oracle that shares no code with graphrun."""
    return pytest.importorskip("torch", reason="the oracle is PyTorch: pip install -e '.[oracles]'")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Turn a skipped test into a failed one where nothing may be skipped, as in `.ci/run`."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("GRAPHRUN_FORBID_SKIPS"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and GRAPHRUN_FORBID_SKIPS is set: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    """Turn a skipped file into a failed one where nothing may be skipped."""
    report = yield
    if report.skipped and os.environ.get("GRAPHRUN_FORBID_SKIPS"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped, and GRAPHRUN_FORBID_SKIPS is set: {reason}"
    return report
