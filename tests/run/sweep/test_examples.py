"""The examples that have a section `sweep` find what others find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphrun
from tests.lesson import GRAPHS


@pytest.mark.campaign(seconds=15)
def test_cross_validation_chooses_scikit_learns_penalty() -> None:
    """On the same folds, each penalty has the held-back cross-entropy of scikit-learn's logistic regression."""
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    graph = graphrun.load(GRAPHS / "logistic.yaml")
    found = graph.sweep(workers=2)
    folded = graph.varied(["data.folds=5", "data.holdout.seed=0", "data.columns.cells.standardize=false"])

    def held_back(fold: int) -> Any:
        return folded.source.at_fold(fold).open(0).holdout()

    parts = [held_back(fold) for fold in range(5)]
    wanted = []
    for run in found.runs:
        scores = []
        for k, (cells, malignant) in enumerate(parts):
            others = [part for j, part in enumerate(parts) if j != k]
            x, y = (np.concatenate([part[i] for part in others]) for i in range(2))
            # The file's penalty is on the mean, without a half; C is one over it on the sum, with one.
            strength = 1 / (2 * len(y) * run["settings"]["constants.penalty"])
            fit = make_pipeline(StandardScaler(), LogisticRegression(C=strength, tol=1e-8, max_iter=10_000)).fit(x, y)
            scores.append(log_loss(malignant, fit.predict_proba(cells)))
        wanted.append(np.mean(scores))
    np.testing.assert_allclose([run["objective"] for run in found.runs], wanted, rtol=1e-4)
    assert found.best is not None
    assert found.best["number"] == np.argmin(wanted)
    assert 0 < found.best["number"] < len(wanted) - 1


@pytest.mark.campaign
def test_starts_at_random_find_the_certified_minimum() -> None:
    """NIST's, of a fit with many minima: no start ends below it, and others end above."""
    found = graphrun.load(GRAPHS / "oscillation.yaml").sweep(runs=10)
    ends = np.array([run["objective"] for run in found.runs])
    assert ends.min() == pytest.approx(788.53978668, rel=1e-9)
    assert len(set(np.round(ends, 3))) > 3


@pytest.mark.campaign(seconds=15)
def test_twenty_runs_of_digits_find_what_a_grid_by_hand_finds() -> None:
    """Peaks of a power of ten each; here with a thirtieth of the steps."""
    steps = ["steps=30", "update.step_size.steps=30"]
    graph = graphrun.load(GRAPHS / "digits.yaml", overrides=steps)
    by_hand = graph.sweep({"update.step_size.peak": [1e-4, 1e-3, 1e-2, 1e-1]}, workers=2)
    found = graph.sweep(workers=2)
    assert (len(found.runs), found.objective) == (20, "holdout.loss")
    assert found.best is not None
    assert by_hand.best is not None
    assert found.best["objective"] <= by_hand.best["objective"]
