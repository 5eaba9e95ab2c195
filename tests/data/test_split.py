"""Which rows are held back where a column decides, or a file of their own: in memory and streamed, of every format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from data_files import write_columns
from hypothesis import given
from hypothesis import strategies as st

import graphrun
from graphrun.base.errors import GraphFileError
from graphrun.data.dataset import DataSet
from graphrun.data.split import arranged, share_of
from graphrun.document import Source, load_document
from graphrun.document.dump import dump_document

SECTION = "{file: FILE, columns: {x: x}, batch_size: 3, holdout: HOLDOUT}"


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**64),
)
def test_every_stratum_has_the_share(labels: list[int], share: float, seed: int) -> None:
    """To one row, in any beginning of the order; and each row is in it once."""
    order, cuts = arranged("stratify", np.array(labels), seed)
    assert sorted(order) == list(range(len(labels)))
    assert cuts.tolist() == list(range(1, len(labels)))
    count = share_of(len(labels), share)
    held = Counter(labels[row] for row in order[:count])
    for label, rows in Counter(labels).items():
        assert abs(held[label] - rows * count / len(labels)) <= 1


@given(labels=st.lists(st.integers(0, 9), min_size=1, max_size=60), by=st.sampled_from(["group", "time"]))
def test_groups_and_times_are_not_cut(labels: list[int], by: str) -> None:
    """Between two cuts all rows have one label; the latest are first."""
    order, cuts = arranged(by, np.array(labels), 0)
    parts = [[labels[row] for row in order[a:b]] for a, b in pairwise([0, *cuts.tolist(), len(labels)])]
    assert [set(part) for part in parts] == [{part[0]} for part in parts]
    assert len({part[0] for part in parts}) == len(parts)
    if by == "time":
        assert [part[0] for part in parts] == sorted(set(labels), reverse=True)


ROWS = {
    "x": [str(k) for k in range(20)],
    "species": ["a"] * 10 + ["b"] * 10,
    "patient": [f"p{k // 3}" for k in range(20)],
    "day": [f"2001-01-{31 - k:02}" for k in range(20)],
    "t": [str(k * 7 % 20) for k in range(20)],
}


def held(data: DataSet) -> list[int]:
    """Return the rows that are held back, after a look at the others."""
    back = data.held_back()
    assert back is not None
    rows = [int(x) for part in back() for x in part[0]]
    trained = {int(x) for step in range(20) for x in data.batch(step)[0]}
    assert trained.isdisjoint(rows)
    assert len(trained) == data.rows
    return rows


def test_a_column_decides(read_in_a_way: Callable[..., DataSet]) -> None:
    """In every way of reading; the column need not be a value of the graph."""
    species = held(read_in_a_way(SECTION.replace("HOLDOUT", "{share: 0.2, stratify: species}"), ROWS))
    assert [row < 10 for row in species] == [True, True, False, False]
    patients = held(read_in_a_way(SECTION.replace("HOLDOUT", "{share: 0.3, group: patient}"), ROWS))
    assert len(patients) in {5, 6}
    assert {row // 3 for row in patients}.isdisjoint({row // 3 for row in range(20)} - {row // 3 for row in patients})
    assert len({row // 3 for row in patients}) == 2
    assert held(read_in_a_way(SECTION.replace("HOLDOUT", "{share: 0.2, time: day}"), ROWS)) == [0, 1, 2, 3]
    assert held(read_in_a_way(SECTION.replace("HOLDOUT", "{share: 0.1, time: t}"), ROWS)) == [17, 14][::-1]


def test_a_seed_of_its_own(read_in_a_way: Callable[..., DataSet]) -> None:
    """It makes other rows held back, whatever the seed of the run."""
    asked = [
        SECTION.replace("HOLDOUT", f"{{share: 0.3, seed: {seed}{by}}}")
        for by in ("", ", stratify: species")
        for seed in (1, 2)
    ]
    found = [held(read_in_a_way(section, ROWS)) for section in asked]
    assert len({*map(tuple, found)}) == 4
    assert found == [held(read_in_a_way(section, ROWS)) for section in asked]


def test_a_file_of_its_own(read_in_a_way: Callable[..., DataSet], folder: Path) -> None:
    """Its rows are treated by the statistics of the training rows, all of which are trained on."""
    write_columns(folder / "test.csv", {"x": ["100", "101"], "k": ["b", "a"]})
    section = SECTION.replace("HOLDOUT", "{file: test.csv}").replace(
        "{x: x}", "{x: x, s: {column: k, categories: auto}}"
    )
    data = read_in_a_way(section, {"x": ["0", "1", "2"], "k": ["a", "b", "c"]})
    back = data.held_back()
    assert back is not None
    assert [[part.tolist() for part in parts] for parts in back()] == [[[100, 101], [1, 0]]]
    assert (data.rows, sorted(data.batch(0)[0].tolist())) == (3, [0, 1, 2])
    data.close()


MISTAKES = {
    "{share: 0.2, stratify: specie}": "'d.csv' has no column 'specie'(.|\n)*did you mean 'species'",
    "{share: 0.2, group: x}": None,
    "{share: 0.2, time: species}": "g.yaml:1:\\d+: the column 'species' does not have a number, or a date as 20",
    "{share: 0.2, group: same}": "the column 'same' has the same in each row: none can be held back",
    "{share: 0.2, stratify: species, group: x}": "both 'stratify' and 'group' are given",
    "{file: test.csv, share: 0.2}": "nothing is drawn where the rows have a file: 'share'",
    "{stratify: species}": "no 'share' is given(.|\n)*  write {share: 0.2}, or {file: test.csv}",
    "{share: 1.2}": "'share' takes a share, 0 or more and below 1",
    "{share: 0.5, time: 3}": "'time' takes the header of a column, not the number 3",
    "{share: 0.5, seed: -1}": "'seed' takes a whole number, 0 or more",
    "{share: 20}": "write 0.2",
    "{shar: 0.2}": "did you mean 'share'",
    "{file: tests.csv}": "g.yaml:1:\\d+: there is no such file: 'tests.csv'(.|\n)*did you mean 'test.csv'",
    "{file: other.csv}": "'other.csv' has no column 'x'",
    "[0.2]": "'holdout' takes a share, 0 or more and below 1, not a list",
}


@pytest.mark.parametrize("holdout", MISTAKES)
def test_mistakes(holdout: str, folder: Path) -> None:
    """They are told at their places in the graph file."""
    write_columns(folder / "d.csv", ROWS | {"same": ["1"] * 20})
    for name in ("test", "other"):
        (folder / f"{name}.csv").write_text(f"{'x' if name == 'test' else 'y'}\n1\n", encoding="utf-8")
    text = "data: {file: d.csv, columns: {x: x}, holdout: " + holdout + "}\nnodes: {m: mean(x)}\nrecord: [m]\n"
    message = MISTAKES[holdout]
    if message is None:
        graphrun.loads(text, name="g.yaml").run(0)
        return
    with pytest.raises(GraphFileError, match=message):
        graphrun.loads(text, name="g.yaml").run(0)


def test_it_is_dumped_and_in_the_schema(folder: Path) -> None:
    """What is dumped reads as the same."""
    for holdout in (
        "{share: 0.2, stratify: species, seed: 3}",
        "{file: test.csv}",
        "{share: 0.5, time: day}",
        "0.25",
        "{share: 0, group: g}",
    ):
        document = load_document(Source("g.yaml", "data: {file: d.csv, holdout: " + holdout + "}\n"))
        again = load_document(Source("g.yaml", dump_document(document)))
        assert again.data == document.data


def test_a_run_records_and_resumes(folder: Path) -> None:
    """On the rows of another file, bit for bit after a checkpoint."""
    write_columns(folder / "d.csv", ROWS)
    (folder / "test.csv").write_text("x\n3\n5\n", encoding="utf-8")
    for holdout in ("{file: test.csv}", "{share: 0.2, time: day}"):
        text = (
            "data: {file: d.csv, columns: {x: {columns: [x], standardize: true}}, batch_size: 4, shuffle: true, "
            f"holdout: {holdout}}}\nparameters: {{w: 1}}\nnodes: {{loss: mean((w - x) ** 2)}}\nminimize: loss\n"
        )
        graph = graphrun.loads(text, name="g.yaml")
        whole = graph.run(6)
        graph.run(3, save="c")
        again = graphrun.loads(text, name="g.yaml").run(6, resume="c")
        assert whole.holdout.keys() == {"loss"}
        assert again.holdout == whole.holdout
        assert again.parameters == whole.parameters
