"""The importance of settings: SciPy's Kruskal and Wallis, and what holds for all runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graphrun.run.sweep.importance import importance


@pytest.mark.parametrize("levels", [2, 3, 7])
def test_it_is_that_of_kruskal_and_wallis(levels: int) -> None:
    """Of groups it is (H - k + 1) / (n - k), ties and runs that came to nothing included."""
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(levels)
    given = random.integers(0, levels, 60)
    scores = np.round(random.normal(size=60) + given, 1)
    scores[random.integers(0, 60, 5)] = 1e300  # SciPy knows no infinity
    statistic = stats.kruskal(*(scores[given == level] for level in range(levels))).statistic
    expected = (statistic - levels + 1) / (60 - levels)
    texts = ["abcdefg"[level] for level in given]
    assert importance(texts, scores) == pytest.approx(expected, rel=1e-12)
    assert importance(texts, np.where(scores > 1e299, math.inf, scores)) == pytest.approx(expected, rel=1e-12)


def test_what_decides_alone_and_what_does_nothing() -> None:
    """Of a range, whatever the scale of the objective is, and whichever way is up."""
    random = np.random.default_rng(0)
    decides, nothing = 10 ** random.uniform(-5, -1, 400), random.uniform(size=400)
    scores = (np.log10(decides) + 3) ** 2 + 0.01 * nothing
    share = importance(decides, scores)
    assert share is not None
    assert share > 0.9
    assert importance(decides, np.exp(50 * scores)) == importance(list(decides), -scores) == pytest.approx(share)
    assert importance(nothing, scores) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    "values", [[], [1.0], [1.0, 2.0], [3, 3, 3, 3], ["a", "b", "c", "d"], [[1], 10**400, math.nan, True, "x"]]
)
def test_of_few_runs_it_says_nothing(values: list[object]) -> None:
    """There is no number where no group has runs to compare."""
    assert importance(values, list(range(len(values)))) is None
    assert importance([*values, 0.5, 0.7], [1.0] * (len(values) + 2)) is None
