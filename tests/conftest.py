"""What all tests share."""

from __future__ import annotations

import os
from typing import Any

import pytest


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
