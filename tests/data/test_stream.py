"""The stream of epochs and what is held back, against an independent implementation of what the README promises."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphrun.data.dataset import DataSet
from graphrun.data.memory import MemoryDataSet
from graphrun.data.opening import open_data
from graphrun.document import DataEntry
from graphrun.document.data_section import HoldoutEntry


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """Return a function from a number of rows to an archive whose column `x` numbers them."""
    folder = tmp_path_factory.mktemp("archives")

    def make(rows: int) -> str:
        path = folder / f"{rows}.npz"
        if not path.exists():
            np.savez(path, x=np.arange(rows), y=np.arange(2 * rows).reshape(rows, 2) / 4)
        return str(path)

    return make


def stream(data: MemoryDataSet) -> Iterator[int]:
    """Yield the rows of all epochs, one by one."""
    for epoch in itertools.count():
        yield from data.arrays[0][data.order(epoch)].tolist()


@given(
    rows=st.integers(1, 40),
    batch=st.floats(0, 1),
    share=st.floats(0, 0.9),
    shuffle=st.booleans(),
    seed=st.integers(0, 2**64),
)
def test_batches_are_the_stream_of_epochs_cut_into_pieces(
    archive: Callable[[int], str], rows: int, batch: float, share: float, shuffle: bool, seed: int
) -> None:
    """Whatever the sizes; every epoch has every training row once, and no row is both held back and trained on."""
    held = max(1, int(np.floor(share * rows + 0.5))) if share else 0
    if held == rows:
        return
    size = 1 + int(batch * (rows - held - 1))
    entry = DataEntry(archive(rows), None, size, shuffle, HoldoutEntry(share))
    data = open_data(entry, "", seed)
    assert isinstance(data, MemoryDataSet)
    assert (data.rows, data.holdout_rows, data.batch_size) == (rows - held, held, size)
    steps = -(-3 * data.rows // size)
    expected = list(itertools.islice(stream(data), steps * size))
    batches = [data.batch(step) for step in range(steps)]
    assert [x for b in batches for x in b[0].tolist()] == expected
    for x, y in batches:
        assert (x.shape, y.shape) == data.shapes
        assert np.array_equal(y, np.stack([x / 2, x / 2 + 0.25], axis=1))
    kept = data.holdout()
    held_rows = set() if kept is None else set(kept[0].tolist())
    assert len(held_rows) == held
    for epoch in range(3):
        assert Counter(expected[epoch * data.rows : (epoch + 1) * data.rows]) == Counter(set(range(rows)) - held_rows)
    if not shuffle:
        assert expected[: data.rows] == sorted(expected[: data.rows])
    # Any step first: nothing but the step decides.
    again = open_data(entry, "", seed)
    for step in (steps - 1, 0, steps // 2):
        assert np.array_equal(again.batch(step)[0], batches[step][0])
        assert isinstance(again, MemoryDataSet)
        assert np.array_equal(again.arrays[0][again.indices(step)], batches[step][0])
    assert [x for (x, _) in data.everything(7) for x in x.tolist()] == list(range(rows))
    assert [x for (x, _) in data.holdout_batches(3) for x in x.tolist()] == sorted(held_rows)


def test_orders_differ_by_seed_and_by_epoch(archive: Callable[[int], str]) -> None:
    """The same seed gives the same order; what is held back does not depend on the batches."""
    entry = DataEntry(archive(1000), None, 10, shuffle=True, holdout=HoldoutEntry(0.2))
    first, second, other = (open_data(entry, "", seed) for seed in (1, 1, 2))
    assert isinstance(first, MemoryDataSet)
    assert isinstance(second, MemoryDataSet)
    assert np.array_equal(first.order(5), second.order(5))
    assert not np.array_equal(first.order(5), first.order(6))
    assert not np.array_equal(first.arrays[0], other.arrays[0])  # type: ignore[attr-defined]
    whole = open_data(entry._replace(batch_size=None), "", 1)
    assert np.array_equal(whole.holdout()[0], first.holdout()[0])  # type: ignore[index]


@pytest.mark.campaign
def test_every_row_is_held_back_equally_often(archive: Callable[[int], str]) -> None:
    """A share of 0.3 holds each of ten rows back in three of ten seeds: 300 of 1,000, within five deviations."""
    entry = DataEntry(archive(10), None, 2, holdout=HoldoutEntry(0.3))
    counts = Counter(int(x) for seed in range(1000) for x in open_data(entry, "", seed).holdout()[0])  # type: ignore[index]
    assert all(abs(count - 300) < 5 * np.sqrt(1000 * 0.3 * 0.7) for count in counts.values())
    assert len(counts) == 10


def test_the_share_is_kept_in_every_part_of_a_large_file(archive: Callable[[int], str]) -> None:
    """Rows are drawn in blocks of 65,536."""
    data = open_data(DataEntry(archive(200_000), None, 1000, holdout=HoldoutEntry(0.1)), "", 0)
    assert data.holdout_rows == 20_000
    kept = data.holdout()
    assert kept is not None
    parts = np.bincount(kept[0] // 65536)
    assert np.abs(parts - 0.1 * np.array([65536, 65536, 65536, 3392])).max() <= 1
    gaps = np.diff(kept[0])
    assert 9.5 < gaps.mean() < 10.5
    assert gaps.std() > 8  # that of a geometric distribution is 9.5


def test_without_a_batch_size_each_step_takes_all_rows_in_their_order(archive: Callable[[int], str]) -> None:
    """Then there is nothing to shuffle, and steps are given the same rows."""
    data = open_data(DataEntry(archive(7), None, None, shuffle=True), "", 0)
    assert not data.feeds
    assert data.batch_size == data.rows == 7
    assert data.batch(0)[0].tolist() == data.batch(9)[0].tolist() == list(range(7))
    assert data.holdout() is None
    assert list(data.holdout_batches()) == []
    assert open_data(DataEntry(archive(7), None, 7, shuffle=True), "", 0).feeds
    assert not open_data(DataEntry(archive(7), None, 7), "", 0).feeds
    assert open_data(DataEntry(archive(7), None, 6), "", 0).feeds


def test_batches_are_not_to_be_written(archive: Callable[[int], str]) -> None:
    """Those that are views of the data refuse."""
    data = open_data(DataEntry(archive(7), None, 2), "", 0)
    with pytest.raises(ValueError, match="read-only"):
        data.batch(0)[0][0] = 5


@given(
    values=st.lists(
        st.lists(st.integers(-(10**6), 10**6).map(lambda number: number / 8) | st.just(3.0), min_size=3, max_size=3),
        min_size=2,
        max_size=30,
    ),
    share=st.sampled_from([0.0, 0.3]),
)
def test_standardizing_uses_the_training_part(
    values: list[list[float]], share: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Mean and deviation of the training rows are NumPy's; a constant stays finite; given ones are taken as given."""
    path = tmp_path_factory.getbasetemp() / "standardized.npz"
    array = np.array(values)
    np.savez(path, x=array, i=np.arange(len(array)))
    section = {"x": column("x", standardize=True), "i": column("i")}
    data = open_data(DataEntry(str(path), section, None, holdout=HoldoutEntry(share)), "", 3)
    x, i = data.batch(0)
    training = array[i]
    mean, std = training.mean(axis=0), training.std(axis=0)
    constant = training.min(axis=0) == training.max(axis=0)
    np.testing.assert_allclose(data.statistics["x.mean"], mean, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(data.statistics["x.std"][~constant], std[~constant], rtol=1e-6, atol=1e-9)
    assert (data.statistics["x.std"][constant] == 1).all()
    assert (x[:, constant] == 0).all()
    scaled = (array - data.statistics["x.mean"]) / data.statistics["x.std"]
    assert np.array_equal(np.concatenate([part for part, _ in data.everything(4)]), scaled)
    np.savez(path, x=array[:1] * 2)
    later = open_data(
        DataEntry(str(path), section, 5, holdout=HoldoutEntry(share)),
        "",
        3,
        statistics=data.statistics,
        needed=["x"],
        training=False,
    )
    (row,) = next(later.everything())
    assert np.array_equal(row, (array[:1] * 2 - data.statistics["x.mean"]) / data.statistics["x.std"])
    assert np.array_equal(later.statistics["x.mean"], data.statistics["x.mean"])


def column(*headers: str, **settings: Any) -> Any:
    """Return an entry of `columns`."""
    from graphrun.document import ColumnEntry

    return ColumnEntry(headers, **settings)


def test_files_relative_to_the_graph(archive: Callable[[int], str], tmp_path: Path) -> None:
    """The section's file is relative to the graph file's folder; another one to the working folder."""
    path = Path(archive(7))
    data: DataSet = open_data(DataEntry(path.name), path.parent, 0)
    assert data.rows == 7
    assert open_data(DataEntry("none.npz"), tmp_path, 0, file=path).rows == 7
