"""What a graph would take is known before it is made, and refused with the node and the figure."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrun
from graphrun.base.memory import half_of_memory, limited, read_size, size_text
from graphrun.declare.nodetype import Example, NodeType
from graphrun.plan.hollow import HollowNamespace, Meter, TooMuchError
from graphrun.plugins.registry import Registry

TYPES = {name: declared for name, (declared, _) in Registry().all(NodeType).items() if not declared.is_elementwise}
EXAMPLES = [
    pytest.param(declared, e, id=f"{n}-{i}") for n, declared in TYPES.items() for i, e in enumerate(declared.examples)
]


def arrays_of(declared: NodeType, example: Example, settings: dict[str, Any]) -> list[Any]:
    """Return arrays for an example: its own values, else ones, and zeros to select by."""
    count = max(len(example.values), len(example.shapes))
    given = [np.ones(shape) for shape in example.shapes] or [np.ones(())] * count
    for number, value in enumerate(example.values):
        if value is not None and value is not ...:
            given[number] = np.asarray(value, float)
    for number in declared.index_inputs & set(range(count)):
        given[number] = np.zeros(given[number].shape, int)
    if declared.first_state is not None:
        return [*given, *declared.first_state(np, *given, **settings)]
    return [*given, *[np.full(given[0].shape, 0.5)] * len(declared.engine_inputs)]


@pytest.mark.parametrize(("declared", "example"), EXAMPLES)
def test_hollow_arrays_have_the_shapes_of_real_ones(declared: NodeType, example: Example) -> None:
    """Of every type that works on whole arrays: of its value, and of the gradient of each input."""
    settings = dict(declared.read_settings(example.settings))
    if declared.takes_training:
        settings[declared.takes_training] = True
    arrays = arrays_of(declared, example, settings)
    meter = Meter(10**9, 10**9)
    hollow = [meter.array(array.shape, array.dtype) for array in arrays]
    xp = HollowNamespace(meter)
    with np.errstate(all="ignore"):
        real = declared.function(np, *arrays, **settings)
    found = declared.function(xp, *hollow, **settings)
    assert np.shape(found) == np.shape(real)
    if declared.derivative is not None:
        parts = declared.derivative(xp, meter.array(np.shape(real)), found, *hollow, **settings)
        gradients = [part() if callable(part) else part for part in parts]
        assert all(g is None or np.shape(g) == a.shape for g, a in zip(gradients, arrays, strict=True))


def test_a_meter_counts_what_is_held() -> None:
    """An array counts until its last view is gone; what is too much is not made."""
    meter = Meter(10_000, 100)
    x = meter.array((100,))
    assert meter.bytes == 800
    view = (x + 1)[::2]
    assert meter.bytes == 1600
    del x, view
    assert meter.bytes == 0
    with pytest.raises(TooMuchError):
        meter.array((10**6, 10**6, 10**6))


X = "parameters: {x: {shape: [100, 100], init: {type: normal}}}\n"
LARGE = {
    "a parameter": ("parameters: {x: {shape: [1000000000], init: {type: zeros}}}\nnodes: {f: sum(x)}\n", "1:25"),
    "sizes whose product overflows": (
        "parameters: {x: {shape: [10000000000, 10000000000], init: {type: ones}}}\nnodes: {f: sum(x)}\n",
        "1:25",
    ),
    "many parameters": (
        "parameters:\n"
        + "".join(f"  p{i}: {{shape: [1000, 1000], init: {{type: zeros}}}}\n" for i in range(99))
        + "nodes: {f: sum(p1)}\n",
        "26:16",
    ),
    "broadcast_to": ("parameters: {x: 1}\nnodes: {f: 'sum(broadcast_to(x, shape=[1000000, 1000000]))'}\n", "2:17"),
    "tile": (X + "nodes: {f: 'sum(tile(x, repetitions=[1000, 1000]))'}\n", "2:17"),
    "pad": (X + "nodes: {f: 'sum(pad(x, widths=[[0, 1000000], [0, 1000]]))'}\n", "2:17"),
    "an outer sum": (
        "parameters: {x: {shape: [100000, 1], init: {type: zeros}}}\nnodes: {f: sum(x + matrix_transpose(x))}\n",
        "2:16",
    ),
    "outer": (
        "parameters: {x: {shape: [100000], init: {type: zeros}}}\nnodes: {f: 'sum(outer(x, x))'}\n",
        "2:17",
    ),
    "matmul": (
        "parameters: {x: {shape: [100000, 1], init: {type: zeros}}}\nnodes: {f: sum(x @ matrix_transpose(x))}\n",
        "2:16",
    ),
    "tensordot": (X + "nodes: {f: 'sum(tensordot(x, x, axes=0))'}\n", "2:17"),
    "einsum": (X + "nodes: {f: 'sum(einsum(x, x, x, subscripts=\"ij,kl,mn->ijklmn\"))'}\n", "2:17"),
    "an embedding": (
        X + "constants: {i: [0, 1, 2, 3]}\n"
        "nodes: {t: 'tile(i, repetitions=[1000, 200])', f: 'sum(embedding(x, t))'}\nminimize: f\n",
        "3:56",
    ),
    "pooling": (
        "parameters: {x: [[[[1]]]]}\nnodes: {f: 'sum(max_pool2d(x, kernel_size=2000, padding=1000))'}\n",
        "2:17",
    ),
    "the margins of a convolution": (
        "parameters: {x: [[[[1]]]], w: [[[[1]]]]}\nnodes: {f: 'sum(conv2d(x, w, padding=10000))'}\n",
        "2:17",
    ),
    "values together": (
        X + "nodes:\n" + "".join(f"  n{i}: 'tile(x, repetitions=[10, 10])'\n" for i in range(90)) + "  f: sum(n1)\n",
        "28:9",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused_before_it_is_made(load: Callable[[str], Any], name: str) -> None:
    """The message has the node or the parameter, its line and, where it is of memory, both figures."""
    text, place = LARGE[name]
    with limited(200 * 2**20):
        graph = load(text)
        with pytest.raises(graphrun.ShapeError) as caught:
            graph.plan()
    message = str(caught.value)
    assert message.startswith(f"graph.yaml:{place}: ")
    if name != "pooling":
        assert isinstance(caught.value, graphrun.MemoryLimitError)
        assert "of memory; the limit is 200 MiB" in message


def test_einsum_that_takes_for_ever_is_refused(load: Callable[[str], Any]) -> None:
    """Every pair of six letters: no order of the products spares any of the 60^6 terms."""
    pairs = [a + b for i, a in enumerate("abcdef") for b in "abcdef"[i + 1 :]]
    call = f'einsum({", ".join(["x"] * 15)}, subscripts="{",".join(pairs)}->")'
    graph = load(
        f"parameters: {{x: {{shape: [60, 60], init: {{type: normal}}}}}}\nnodes:\n  f: '{call}'\nminimize: f\n"
    )
    with pytest.raises(graphrun.MemoryLimitError, match=r"graph.yaml:3:7: .*of type einsum"):
        graph.plan()


def test_einsum_of_many_arrays_makes_arrays_on_the_way(load: Callable[[str], Any]) -> None:
    """NumPy by itself would make 60^5 terms for a gradient; the value is that of products taken one by one."""
    terms = "ab,bc,ca,cd,db,da,ae,ef->"
    graph = load(
        "parameters: {x: {shape: [60, 60], init: {type: normal}}}\n"
        f"nodes: {{f: 'einsum({', '.join(['x'] * 8)}, subscripts=\"{terms}\")'}}\nminimize: f\n"
    )
    x = graph.plan().leaves[0]
    ends = (x @ x).sum(axis=1)
    # For each d, a and b stand in a matrix, and c is what two matrices are multiplied over.
    expected = sum(np.sum((x * np.outer(ends * row, row)) * ((x * x[:, d]) @ x).T) for d, row in enumerate(x))
    assert graph.run(steps=0).values["f"] == pytest.approx(expected, rel=1e-9)


def test_the_limit_is_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of Python, and of each command on a graph file (see the tests of the command line)."""
    monkeypatch.chdir(tmp_path)
    Path("g.yaml").write_text("parameters: {x: {shape: [1000, 1000], init: {type: zeros}}}\nnodes: {f: sum(x)}\n")
    with pytest.raises(graphrun.MemoryLimitError, match="the limit is 10 MiB"):
        graphrun.load("g.yaml", memory="10MiB").run(steps=0)
    assert graphrun.load("g.yaml", memory=10**9).run(steps=0).values["f"] == 0
    assert half_of_memory() > 2**20


def test_a_history_that_is_too_large_is_refused(load: Callable[[str], Any]) -> None:
    """Arrays that are recorded, times rows; fewer rows fit."""
    graph = load(X + "nodes: {f: sum(x * x)}\nminimize: f\nrecord: [x, f]\n")
    with limited(100 * 2**20):
        with pytest.raises(graphrun.UsageError, match=r"recording .x. in 100,001 rows takes 7.45 GiB of memory"):
            graph.run(steps=100_000, every=1)
        assert len(graph.run(steps=20, every=2).history["x"]) == 11


@pytest.mark.parametrize(
    ("text", "size"),
    [("1024", 1024), ("4GiB", 2**32), ("1.5 mb", 3 * 2**19), ("2t", 2**41), (77, 77), ("8 KiB", 2**13)],
)
def test_a_size_is_read(text: str | int, size: int) -> None:
    """As people write one."""
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "4 GiBs", "1e9", "inf", 0, -5, True])
def test_what_is_no_size_is_refused(text: Any) -> None:
    """With an example of one."""
    with pytest.raises(graphrun.UsageError, match="4GiB"):
        read_size(text)


def test_a_size_is_shown() -> None:
    """In three digits and its unit."""
    assert [size_text(2.0**power) for power in (0, 10, 29, 45)] == ["1 bytes", "1 KiB", "512 MiB", "32 TiB"]


def test_an_archive_that_expands_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """80 MB of zeros are 80 kB of a file: what they take is read from the archive's own list."""
    monkeypatch.chdir(tmp_path)
    np.savez_compressed("rows.npz", x=np.zeros(10**6))
    Path("g.yaml").write_text("data: {file: rows.npz, columns: {x: x}}\nparameters: {a: 1}\nnodes: {f: mean(a * x)}\n")
    assert Path("rows.npz").stat().st_size < 10**5
    assert zipfile.ZipFile("rows.npz").infolist()[0].file_size > 8 * 10**6
    with pytest.raises(
        graphrun.GraphrunError, match=r"array 'x' the file takes 15.3 MiB of memory; the limit is 10 MiB"
    ):
        graphrun.load("g.yaml", memory="10MiB").plan()


def test_a_parquet_file_that_expands_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is read in parts."""
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(tmp_path)
    duckdb.execute("COPY (SELECT 0.0::DOUBLE AS x FROM range(1000000)) TO 'rows.parquet' (FORMAT parquet)")
    Path("g.yaml").write_text(
        "data: {file: rows.parquet, columns: {x: x}}\nparameters: {a: 1}\nnodes: {f: mean(a * x)}\n"
    )
    assert Path("rows.parquet").stat().st_size < 10**5
    with pytest.raises(graphrun.GraphrunError, match=r"g.yaml:1:14: the columns of the file take 15.3 MiB of memory"):
        graphrun.load("g.yaml", memory="10MiB").plan()
