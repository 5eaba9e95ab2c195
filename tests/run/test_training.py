"""Training on a data set: batches, rows kept back, states, rules and schedules, against independent computations."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrun
from graphrun.api import Graph
from graphrun.base.errors import GraphrunError, NotFiniteError
from graphrun.cli.entry import run_command
from graphrun.data.opening import open_data

ROWS = 23
LINE = """\
data: {file: d.csv, columns: {x: x, y: y}, batch_size: 5, shuffle: true, holdout: 0.2}
parameters: {a: 1.0, b: 0.0}
nodes: {e: a * x + b - y, f: mean(e ** 2)}
minimize: f
update: {type: sgd, step_size: 0.1}
steps: 40
"""
NETWORK = """\
data: {file: d.csv, columns: {x: [x, y], k: k}, batch_size: 8, shuffle: true, holdout: 0.25}
parameters:
  W: {shape: [2, 6], init: {type: he_normal}}
  b: {shape: [6], init: {type: zeros}}
  scale: {shape: [6], init: {type: ones}}
  shift: {shape: [6], init: {type: normal}}
  V: {shape: [6, 3], init: {type: glorot_uniform}}
nodes:
  h: x @ W + b
  n: {type: batch_norm, inputs: [h, scale, shift], momentum: 0.2}
  r: tanh(n)
  logits: {type: matmul, inputs: [r, V]}
  loss: {type: cross_entropy, inputs: [logits, k]}
minimize: loss
update: {type: adamw, step_size: {type: cosine, start: 0.05, steps: 30}, weight_decay: 0.1, clip_norm: 0.3}
steps: 40
seed: 5
"""

Write = Callable[[str], Graph]


def write_csv(path: Path, columns: Mapping[str, Any]) -> None:
    """Write columns by name."""
    rows = zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the working folder, with a data file: two features, a class, an index that is not whole, a zero."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(7)
    zero, half = np.ones(ROWS), np.ones(ROWS)
    zero[13], half[13] = 0.0, 0.5
    columns = {"x": rng.normal(size=ROWS), "y": rng.normal(size=ROWS), "k": rng.integers(0, 3, ROWS)}
    write_csv(tmp_path / "d.csv", {**columns, "zero": zero, "half": half})
    return tmp_path


@pytest.fixture
def load(folder: Path) -> Write:
    """Return a function that writes a graph file and loads it."""

    def write(text: str) -> Graph:
        (folder / "g.yaml").write_text(text, encoding="utf-8")
        return graphrun.load("g.yaml")

    return write


def batches(graph: Graph, seed: int = 0) -> tuple[Callable[[int], list[Any]], list[Any] | None]:
    """Return the batches by step and the held-back rows, from a data set that was opened for itself."""
    entry = graph.document.data
    assert entry is not None
    data = open_data(entry, "", seed)
    return data.batch, data.holdout()


# --- batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [True, False])
def test_row_k_is_evaluated_on_batch_k(load: Write, shuffle: bool) -> None:
    """Row k has the parameters after k updates and the rows that the next step takes; so do the final values."""
    graph = load(LINE.replace("shuffle: true", f"shuffle: {str(shuffle).lower()}"))
    batch, held = batches(graph)
    assert held is not None
    a, b = 1.0, 0.0
    rows = []
    for step in range(41):
        x, y = batch(step)
        e, kept = a * x + b - y, a * held[0] + b - held[1]
        rows.append((a, b, np.mean(e**2), np.mean(kept**2)))
        gradient = np.mean(2 * e * x), np.mean(2 * e)
        final = {"a": a, "b": b, "e": e, "gradients": gradient, "e held": kept}
        a, b = a - 0.1 * gradient[0], b - 0.1 * gradient[1]
    result = graph.run(every=1)
    assert result.history["step"].tolist() == list(range(41))
    for number, name in enumerate(("a", "b", "f", "holdout.f")):
        np.testing.assert_allclose(result.history[name], [row[number] for row in rows], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(result.values["e"], final["e"], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose([result.gradients["a"], result.gradients["b"]], final["gradients"], rtol=1e-10)
    assert result.parameters == pytest.approx({"a": final["a"], "b": final["b"]}, rel=1e-12)
    assert result.holdout == {"f": result.history["holdout.f"][-1]}


def test_each_epoch_takes_every_row_once(load: Write) -> None:
    """The batches are cut from one stream of epochs, and may span two of them."""
    text = LINE.replace(", holdout: 0.2", "")
    history = load(text).run(45, every=1, record=["x"]).history["x"]
    stream = history.ravel()
    all_rows = np.sort(stream[:ROWS])
    assert len(np.unique(all_rows)) == ROWS
    epochs = stream[: 46 * 5 // ROWS * ROWS].reshape(-1, ROWS)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(all_rows, (len(epochs), 1)))
    assert not np.array_equal(epochs[0], epochs[1])


def test_all_rows_without_a_batch_size(load: Write) -> None:
    """Every step takes the whole training part, in the order of the file."""
    text = LINE.replace(", batch_size: 5, shuffle: true, holdout: 0.2", "")
    result = load(text).run(500, record=["x"])
    x, y = np.loadtxt("d.csv", delimiter=",", skiprows=1, usecols=(0, 1)).T
    assert (result.history["x"] == x).all()
    slope, intercept = np.polyfit(x, y, 1)
    assert result.parameters == pytest.approx({"a": slope, "b": intercept}, rel=1e-6)


def test_the_seed_decides(load: Write) -> None:
    """Order, held-back rows and initial values are the seed's; a run repeats itself to the last bit."""
    graph = load(NETWORK)
    first, second, other = graph.run(9), load(NETWORK).run(9), graph.run(9, seed=6)
    np.testing.assert_array_equal(first.parameters["W"], second.parameters["W"])
    assert first.holdout == second.holdout
    assert not np.array_equal(first.parameters["W"], other.parameters["W"])
    assert first.holdout != other.holdout
    again = load(NETWORK.replace("seed: 5", "seed: 6")).run(9)
    np.testing.assert_array_equal(other.parameters["W"], again.parameters["W"])


def test_however_it_is_recorded(load: Write) -> None:
    """What is recorded, and how often, changes nothing in a run."""
    fine, coarse = load(NETWORK).run(every=1, record=["loss", "W", "n"]), load(NETWORK).run(every=17)
    np.testing.assert_array_equal(fine.parameters["W"], coarse.parameters["W"])
    assert coarse.history["step"].tolist() == [0, 17, 34, 40]
    np.testing.assert_array_equal(coarse.history["loss"], fine.history["loss"][[0, 17, 34, 40]])
    np.testing.assert_array_equal(coarse.history["holdout.loss"], fine.history["holdout.loss"][[0, 17, 34, 40]])


def test_float32(load: Write) -> None:
    """Everything but indices is of the graph's dtype, and the run stays near that of float64."""
    single, double = load(NETWORK).run(20, dtype="float32"), load(NETWORK).run(20)
    assert single.parameters["W"].dtype == single.values["logits"].dtype == np.float32
    np.testing.assert_allclose(single.parameters["W"], double.parameters["W"], rtol=1e-3, atol=1e-4)
    # By nature no nearer: the gradient of a bias before batch_norm is 0, and adamw steps by what rounding makes of it.
    assert single.holdout["loss"] == pytest.approx(double.holdout["loss"], rel=1e-2)


@pytest.mark.slow
def test_index_columns_are_exact(load: Write, folder: Path) -> None:
    """A column that only selects keeps its integers, also those that float32 does not hold."""
    large = 2**24 + 1
    write_csv(folder / "big.csv", {"i": [large, 1, large, 0]})
    table = "T: {type: broadcast_to, inputs: [c], shape: [16777219]}"
    text = (
        "data: {file: big.csv, columns: {i: i}}\nparameters: {p: 1.0}\nconstants: {c: 0.5}\n"
        f"nodes: {{{table}, t: {{type: take, inputs: [T, i], axis: 0}}, f: mean(t * p)}}\nminimize: f\ndtype: float32\n"
    )
    assert load(text).run(1).history["f"][0] == 0.5
    recorded = load(text).run(0, record=["i"]).history["i"][0]
    assert recorded.tolist() == [large, 1, large, 0]


# --- rows kept back --------------------------------------------------------------------------------------------------


def test_held_back_rows_are_evaluated(load: Write) -> None:
    """On them dropout is off and batch_norm takes its running statistics; training rows are not among them."""
    text = NETWORK.replace("  logits:", "  d: {type: dropout, inputs: [r], rate: 0.4}\n  logits:").replace(
        "inputs: [r, V]", "inputs: [d, V]"
    )
    graph = load(text)
    batch, held = batches(graph, seed=5)
    assert held is not None
    result = graph.run(12, every=1, record=["loss", "W", "b", "scale", "shift", "V", "h", "r", "d"])
    history = result.history
    assert [name for name in history if name.startswith("holdout.")] == [
        f"holdout.{n}" for n in ("loss", "h", "r", "d")
    ]
    mean, variance = np.zeros(6), np.ones(6)
    for step in range(13):
        W, b, scale, shift, V = (history[name][step] for name in ("W", "b", "scale", "shift", "V"))  # noqa: N806
        n = (held[0] @ W + b - mean) / np.sqrt(variance + 1e-5) * scale + shift
        logits = np.tanh(n) @ V
        losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(n)), held[1]]
        assert history["holdout.loss"][step] == pytest.approx(losses.mean(), rel=1e-10)
        np.testing.assert_array_equal(history["holdout.d"][step], history["holdout.r"][step])
        assert (history["d"][step] == 0).any()
        h = batch(step)[0] @ W + b
        mean, variance = 0.8 * mean + 0.2 * h.mean(0), 0.8 * variance + 0.2 * h.var(0, ddof=1)
    held_back = {tuple(row) for row in held[0].tolist()}
    assert len(held_back) == round(0.25 * ROWS)
    assert not any(tuple(row) in held_back for step in range(40) for row in batch(step)[0].tolist())


def test_holdout_in_json(load: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """The last row's held-back values stand in `holdout`; without held-back rows there is no such key."""
    load(LINE)
    assert run_command(["g.yaml", "--format", "json", "--steps", "3"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["holdout"] == {"f": result["history"]["holdout.f"][-1]}
    assert list(result["history"]) == ["step", "f", "a", "b", "holdout.f"]
    assert run_command(["g.yaml", "--format", "json", "--set", "data.holdout=0"]) == 0
    assert "holdout" not in json.loads(capsys.readouterr().out)
    assert run_command(["g.yaml", "--format", "csv", "--steps", "0", "--record", "a,f"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "step,a,f,holdout.f"


def test_held_back_rows_that_a_node_does_not_take(load: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """A node that fixes the size of the batch is named before the first step."""
    text = LINE.replace("e: a * x + b - y", "s: {type: reshape, inputs: [x], shape: [5, 1]}, e: a * s + b")
    load(text.replace("holdout: 0.2", "holdout: 0.3"))
    assert run_command(["g.yaml"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    shape = "x has 7 elements, which the shape [5, 1] does not hold"
    assert captured.err == f"graphrun: node 's' cannot be evaluated on 7 rows: {shape}\n"


@pytest.mark.parametrize(
    ("engine", "who"), [("numpy", "node 'r.1.v'"), pytest.param("jax", "the nodes", marks=pytest.mark.slow)]
)
def test_held_back_rows_of_a_sequence(load: Write, engine: str, who: str) -> None:
    """Copies over the rows of a step are as many as those: other rows are told so by every engine."""
    cell = "subgraphs: {c: {inputs: [h, v], parameters: {w: 0.5}, nodes: {n: w * h + v}, output: n}}\n"
    text = LINE.replace(
        "nodes: {", "nodes: {r: {type: c, inputs: [0, x], repeat: 5, share: true, over: [v], collect: [n]}, "
    )
    graph = load(cell + text.replace("a * x", "a * r.n").replace("holdout: 0.2", "holdout: 0.3"))
    with pytest.raises(
        GraphrunError, match=rf"^{who} cannot be evaluated on 7 rows: x has 7 slices along axis 0, not 5"
    ):
        graph.run(engine=engine)


# --- against PyTorch -------------------------------------------------------------------------------------------------


def test_training_against_pytorch(load: Write, torch: Any) -> None:
    """A network with batch_norm, trained by adamw with a cosine schedule and clipping, step by step to 1e-9."""
    graph = load(NETWORK)
    batch, held = batches(graph, seed=5)
    assert held is not None
    names = ("W", "b", "scale", "shift", "V")
    result = graph.run(every=1, record=["loss", *names])
    history = result.history
    tensors = {name: torch.tensor(history[name][0], requires_grad=True) for name in names}
    norm = torch.nn.BatchNorm1d(6, momentum=0.2, dtype=torch.float64)
    norm.weight, norm.bias = (torch.nn.Parameter(tensors[name].detach().clone()) for name in ("scale", "shift"))
    tensors |= {"scale": norm.weight, "shift": norm.bias}
    optimizer = torch.optim.AdamW(list(tensors.values()), lr=0.05, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30)

    def loss(x: Any, k: Any) -> Any:
        h = torch.tensor(x) @ tensors["W"] + tensors["b"]
        return torch.nn.functional.cross_entropy(torch.tanh(norm(h)) @ tensors["V"], torch.tensor(k))

    for step in range(41):
        for name in names:
            np.testing.assert_allclose(history[name][step], tensors[name].detach().numpy(), rtol=1e-9, atol=1e-9)
        norm.eval()
        with torch.no_grad():
            assert history["holdout.loss"][step] == pytest.approx(loss(*held).item(), rel=1e-9)
        norm.train()
        optimizer.zero_grad()
        value = loss(*batch(step))
        assert history["loss"][step] == pytest.approx(value.item(), rel=1e-9)
        value.backward()
        torch.nn.utils.clip_grad_norm_(list(tensors.values()), 0.3)
        optimizer.step()
        if step < 30:
            schedule.step()


def test_running_statistics_against_pytorch(load: Write, folder: Path, torch: Any) -> None:
    """After 20 steps of images in batches they are those of BatchNorm2d, and the checkpoint has them."""
    images = np.random.default_rng(1).normal(2, 3, size=(14, 3, 4, 5))
    np.savez(folder / "images.npz", image=images)
    graph = load(
        "data: {file: images.npz, batch_size: 4, shuffle: true}\n"
        "parameters: {scale: [1, 1, 1], shift: [0, 0, 0]}\n"
        "nodes:\n  n: {type: batch_norm, inputs: [image, scale, shift]}\n  f: mean(n ** 2)\n"
        "minimize: f\nupdate: {type: sgd, step_size: 0.0}\nsteps: 20\n"
    )
    batch, _ = batches(graph)
    norm = torch.nn.BatchNorm2d(3, dtype=torch.float64)
    for step in range(20):
        norm(torch.tensor(batch(step)[0]))
    graph.run(save="c.safetensors")
    from graphrun.run.checkpoint import load_checkpoint

    arrays = load_checkpoint("c.safetensors").arrays
    for name, tensor in (("running_mean", norm.running_mean), ("running_variance", norm.running_var)):
        np.testing.assert_allclose(arrays[f"states/n.{name}"], tensor.numpy(), rtol=1e-12)


# --- when a run ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("value: 0.9", "value"),
        ("patience: 4", "patience"),
        ("gradient_norm: 0.3", "gradient_norm"),
        ("change: 0.1", "change"),
    ],
)
def test_stop_rules_watch_the_batches(load: Write, rule: str, reason: str) -> None:
    """They see what each row has: the objective and the gradient on its own batch."""
    history = load(LINE).run(40, every=1).history
    objective = history["f"].tolist()
    graph = load(LINE + f"stop: {{{rule}}}\n")
    batch, _ = batches(graph)
    best, since, expected = np.inf, 0, None
    for step, value in enumerate(objective):
        x, y = batch(step)
        e = history["a"][step] * x + history["b"][step] - y
        norm = np.hypot(np.mean(2 * e * x), np.mean(2 * e))
        since = 0 if value < best else since + 1
        best = min(best, value)
        met = {
            "value": value <= 0.9,
            "patience": since >= 4,
            "gradient_norm": norm <= 0.3,
            "change": step > 0 and abs(value - objective[step - 1]) <= 0.1,
        }
        if met[reason]:
            expected = step
            break
    result = graph.run()
    assert expected is not None
    assert (result.steps, result.stopped) == (expected, reason)


def test_what_is_not_finite_in_a_batch(load: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """The node is named with the rows of its batch, and the run is back where all was finite."""
    graph = load(
        "data: {file: d.csv, columns: {z: zero}, batch_size: 5}\nparameters: {a: 1.0}\n"
        "nodes: {q: a / z, f: mean(q)}\nminimize: f\nupdate: {type: momentum, step_size: 0.1}\nsteps: 9\n"
    )
    result = graph.try_run(save="c.safetensors", record=["z", "f", "a"])
    assert isinstance(result.error, NotFiniteError)
    text = str(result.error)
    assert text.startswith("step 2: the value of node 'q' (type divide) is [")
    assert "z = [1., 1., 1., 0., 1.]" in text
    assert "reached by a → q" in text
    assert result.steps == 1
    ended = graph.run(1)
    assert result.parameters == ended.parameters
    np.testing.assert_array_equal(result.values["q"], ended.values["q"])
    np.testing.assert_array_equal(result.history["z"][-1], np.ones(5))
    assert run_command(["g.yaml"]) == 1
    assert "step 2: the value of node 'q'" in capsys.readouterr().err


def test_batch_norm_goes_back_too(load: Write) -> None:
    """The running statistics after a failed step are those before it."""
    text = (
        "data: {file: d.csv, columns: {x: [x, y], z: zero}, batch_size: 5}\n"
        "parameters: {a: 1.0, scale: [1, 1], shift: [0, 0]}\n"
        "nodes:\n  n: {type: batch_norm, inputs: [x, scale, shift]}\n  f: mean(sum(n ** 2, axis=1) + a / z)\n"
        "minimize: f\nsteps: 9\n"
    )
    assert load(text).try_run(save="failed").steps == 1
    load(text).run(1, save="ended")
    assert Path("failed").read_bytes() == Path("ended").read_bytes()


def test_an_index_that_is_not_whole(load: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused before the first step where it is there, else at the step whose batch has it."""
    text = (
        "data: {{file: d.csv, columns: {{i: half}}{}}}\nparameters: {{W: [1, 2, 3]}}\n"
        "nodes:\n  t: {{type: take, inputs: [W, i], axis: 0}}\n  f: mean(t)\nminimize: f\nsteps: 9\n"
    )
    load(text.format(""))
    assert run_command(["g.yaml"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("g.yaml:4:31: whole numbers are needed to select by, and 0.5 is not\n")
    load(text.format(", batch_size: 5"))
    assert run_command(["g.yaml", "-q"]) == 1
    captured = capsys.readouterr()
    assert "step 2: node 't' (type take)" in captured.err
    assert "whole numbers are needed to select by, and 0.5 is not" in captured.err


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            LINE.replace("nodes: {e: a * x + b - y,", "nodes: {x: a * y, e: x - y,"),
            "g.yaml:3:9: 'x' is already the name of one of the data",
        ),
        (LINE.replace("{a: 1.0, b: 0.0}", "{x: 1.0, a: 1.0, b: 1}"), "g.yaml:1:31: 'x' is already the name of one of"),
        (LINE.replace("minimize: f", "minimize: x"), "the objective is one number, and 'x' has the shape (5,)"),
        (LINE.replace("a: 1.0", "a: [1, 2]"), "axis 0 of a has the size 2, axis 0 of x has 5"),
        (LINE.replace("x: x", "x: [x, k]"), "has the size 2, axis 0 of y has 5"),
        (
            LINE.replace("x: x", "x: [x, k]").replace("a * x", "x @ a").replace("a: 1.0", "a: [[1], [2], [3]]"),
            "cannot take the shapes x (5, 2), a (3, 1): axis 1 of x has 2 elements, axis 0 of a has 3",
        ),
        (LINE + "expect: {at: 0, values: {x: 1}}\n", "a result has no values of 'x': it is a column of the data"),
        (LINE + "expect: {at: 0, gradients: {x: 1}}\n", "a result has no gradients of 'x': it is a column of the data"),
        (LINE + "record: [z]\n", "name to record 'z' is unknown"),
        (LINE.replace("batch_size: 5", "batch_size: 30"), "a batch of 30 rows is larger than the training part"),
        (LINE.replace("sgd, step_size: 0.1", "lbfgs"), "a solver works on all rows at once: leave out batch_size"),
    ],
)
def test_mistakes(load: Write, text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is told before the first step, with exit status 2 and nothing on stdout."""
    Path("g.yaml").write_text(text, encoding="utf-8")
    assert run_command(["g.yaml", "-q"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    with pytest.raises(GraphrunError, match=r".") as caught:
        graphrun.load("g.yaml").run()
    assert caught.value.exit_status == 2


def test_a_number_too_large_for_float32(load: Write, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told by the name of its column."""
    write_csv(folder / "big.csv", {"x": [1.0, 1e300]})
    load("data: {file: big.csv, columns: {x: x}}\nparameters: {a: 1.0}\nnodes: {f: mean(a * x)}\nminimize: f\n")
    assert run_command(["g.yaml", "--steps", "0"]) == 0
    assert run_command(["g.yaml", "--steps", "0", "--dtype", "float32"]) == 2
    assert "'x' has a number that is too large for float32" in capsys.readouterr().err


def test_check_with_data(load: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """`graphrun check` compares derivatives on the first batch, and asserts what the file expects of a run."""
    value = load(LINE).run(3).objective
    assert value is not None
    load(LINE + f"expect: {{at: 3, values: {{f: {value.value!r}}}}}\n")
    assert run_command(["check", "g.yaml"]) == 0
    assert "1 expected value" in capsys.readouterr().out
    load(LINE + f"expect: {{at: 3, values: {{f: {value.value + 1!r}}}}}\n")
    assert run_command(["check", "g.yaml"]) == 1
    assert "expect at step 3: f is" in capsys.readouterr().err
    load(NETWORK)
    assert run_command(["check", "g.yaml"]) == 0


def test_another_data_file(load: Write, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--data` takes the place of the file that the graph names; a graph without data has no place for one."""
    write_csv(folder / "other.csv", {"x": np.arange(30), "y": 3 * np.arange(30)})
    load(LINE.replace("step_size: 0.1", "step_size: 0.001"))
    assert run_command(["g.yaml", "--data", "other.csv", "--steps", "2000", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"]["a"] == pytest.approx(3, rel=1e-2)
    assert run_command(["g.yaml", "--data", "absent.csv"]) == 2
    assert "absent.csv" in capsys.readouterr().err
    load("parameters: {a: 1.0}\nnodes: {f: a ** 2}\nminimize: f\n")
    assert run_command(["g.yaml", "--data", "other.csv"]) == 2
    assert "no 'data' section" in capsys.readouterr().err


# --- solvers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["lbfgs", "newton_cg", "least_squares"])
def test_solvers_by_the_command_line(load: Write, solver: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They end with their own reason, each iteration is a row, and held-back rows are evaluated as in any run."""
    pytest.importorskip("scipy", reason="the solvers are SciPy's: pip install 'graphrun[scipy]'")
    update = f"{{type: {solver}{', residual: e' if solver == 'least_squares' else ''}}}"
    text = LINE.replace("{type: sgd, step_size: 0.1}", update).replace(", batch_size: 5, shuffle: true", "")
    graph = load(text.replace("mean(e ** 2)", "sum(e ** 2)"))
    batch, held = batches(graph)
    assert held is not None
    assert run_command(["g.yaml", "--format", "json", "--every", "1", "--save", "c.safetensors"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["stopped"].startswith(f"{solver}: ")
    assert result["engine"] == "scipy"
    assert result["history"]["step"] == list(range(result["steps"] + 1))
    slope, intercept = np.polyfit(*batch(0), 1)
    assert result["parameters"] == pytest.approx({"a": slope, "b": intercept}, rel=1e-6)
    kept = slope * held[0] + intercept - held[1]
    assert result["holdout"]["f"] == pytest.approx(np.sum(kept**2), rel=1e-5)
    assert run_command(["g.yaml", "--steps", "1", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["stopped"] == "steps"
    assert run_command(["g.yaml", "--resume", "c.safetensors", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == pytest.approx(result["parameters"], rel=1e-6)
