"""How much of what runs came to is due to each setting by itself."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_GROUPS = 10


def importance(values: Sequence[Any], scores: Sequence[float]) -> float | None:
    """Return which share of the variance of the scores' ranks a setting explains by itself, without its ties to others.

    That is the correlation ratio, a first-order sensitivity index, estimated from whatever runs there are (Plischke,
    Borgonovo, Smith 2013, "Global sensitivity measures from given data"): runs with one value are a group, of many
    numbers as many neighbouring ones. Of ranks it is that of Kruskal and Wallis's test, with H; less what chance gives
    it is (H - k + 1) / (n - k) of k groups (Tomczak, Tomczak 2014). Ranks are of any scale, and have no outliers; a
    score that is infinite is the worst, or the best.

    Returns:
        A number from 0 to 1; None where there are too few runs for it.
    """
    groups, ranks = _groups(values), _ranks(np.asarray(scores, float))
    count, number = len(ranks), len(np.unique(groups))
    total = np.square(ranks - ranks.mean()).sum() if count else 0.0
    if number < 2 or count < 2 * number or not total:
        return None
    means = np.bincount(groups, ranks) / np.bincount(groups)
    within = np.square(ranks - means[groups]).sum()
    return max(0.0, 1.0 - float(within / total) * (count - 1) / (count - number))


def is_number(value: Any) -> bool:
    """Whether a setting is a number that has a place on an axis."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _groups(values: Sequence[Any]) -> NDArray[np.intp]:
    """Return the group of each run, from 0 on; of numbers neighbours are in one where there are many."""
    most = max(2, min(MOST_GROUPS, math.isqrt(len(values))))
    numeric = all(is_number(value) for value in values)
    kinds = np.asarray(values, float) if numeric else np.array([json.dumps(value) for value in values], str)
    found, groups = np.unique(kinds, return_inverse=True)
    if numeric and len(found) > most:
        shares = (_ranks(np.asarray(values, float)) - 0.5) / len(values)
        groups = np.unique(np.floor(shares * most), return_inverse=True)[1]
    return groups.astype(np.intp)


def _ranks(numbers: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the place of each number from 1 on, the mean one of those that are equal."""
    _, places, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[places], float)
