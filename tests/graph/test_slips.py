"""Slips of the first hours: each is told at its place, with what to write instead, and nothing that follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphrun
from graphrun.document.slips import number_of

A = "parameters: {a: 1}\n"
M = "\nminimize: f\n"

SLIPS = [
    ("parameters:\n  a:1\nnodes: {f: a * 2}" + M, "2:3", "a ':' needs a space after it: a: 1"),
    ("parameters:\n  - a: 5\n  - b: 3\nnodes: {f: a * b}" + M, "2:3", "leave out the '-'"),
    (A + "nodes:\n  - name: f\n    type: square\n    inputs: [a]" + M, "3:3", "leave out the '- name:': write f:"),
    (A + "nodes:\n  f = a * 2" + M, "3:3", "a name is followed by ':', not by '=': write f: a * 2"),
    (A + "nodes:\n  f = a * 2\n  g: f + 1" + M, "3:5", "write f: a * 2"),
    (A + "nodes:\n  g: a + 1\n  f = g * 2" + M, "4:5", "write f: g * 2"),
    (A + "nodes:\n  f: a * 2\n  a + 3" + M, "4:3", "write name: value"),
    ("parameters: {a = 1}\nnodes: {f: a}" + M, "1:14", "write a: 1"),
    (A + 'nodes: {f: "max(a, a)"}' + M, "2:13", "maximum(a, b)"),
    (A + 'nodes: {f: "min(a, 0)"}' + M, "2:13", "minimum(a, b)"),
    (A + 'nodes: {f: "sum(a, a)"}' + M, "2:13", "a + b"),
    (A + "nodes: {f: sin(tau * a)}" + M, "2:16", "write 6.283185307179586"),
    (A + "nodes: {f: np.pi * a}" + M, "2:12", "write 3.141592653589793"),
    (A + "nodes: {f: math.e ** a}" + M, "2:12", "or e in an expression"),
    ("parameters: {a: 1/3}\nnodes: {f: a}" + M, "1:17", "write 0.3333333333333333"),
    ("parameters: {a: {value: 1, upper: 2*pi}}\nnodes: {f: a}" + M, "1:35", "write 6.283185307179586"),
    (A + "nodes: {f: leaky_relu(a, slope=1/4)}" + M, "2:26", "commas needs quotes"),
    (A + 'nodes: {f: "leaky_relu(a, slope=1/4)"}' + M, "2:33", "write 0.25"),
    (A + "nodes: {f: {type: leaky_relu, inputs: [a], slope: 1/4}}" + M, "2:51", "write 0.25"),
    (A + "nodes: {f: a}\nupdate: {type: sgd, step_size: 1/100}" + M, "3:32", "write 0.01"),
    (A + "nodes: {f: a}\nobjective: f\n", "3:1", "write minimize: f, or maximize: f"),
    (A + "nodes: {f: a}\noptimizer: {type: sgd}" + M, "3:1", "write update: {type: sgd}"),
    (A + "nodes: {f: a}\nepochs: 3" + M, "3:1", "write steps: 10"),
    (A + "nodes: {f: a}\nminimize: f + a\n", "3:11", "write total: f + a under 'nodes', and total here"),
    (A + "nodes: {f: a}\nminimize: -f\n", "3:11", "write maximize: f"),
    (A + "nodes: {f: leaky_relu(x=a)}" + M, "2:25", "an input has no name: leaky_relu(a)"),
    (A + 'nodes: {f: "leaky_relu(x=1)"}' + M, "2:24", "'x' is an input: it is written without its name, leaky_relu(1)"),
    (A + 'nodes: {f: {type: "a + 1"}}' + M, "2:19", "an expression stands alone: write f: a + 1"),
    (A + 'nodes: {f: {expr: "a + 1"}}' + M, "2:19", "an expression stands alone: write f: a + 1"),
    (A + "nodes: {f: {type: add, inputs: a a}}" + M, "2:32", "write [a, a]"),
    (A + "nodes: {f: a}\nupdate: {type: sgd, momentum: 0.9}" + M, "3:21", "write {type: momentum, ...}"),
    (A + "nodes: {f: a}\nupdate: {sgd: {step_size: 0.1}}" + M, "3:10", "write {type: sgd, step_size: 0.1}"),
    (A + "nodes: {f: a}\nupdate: {type: Adam(lr=0.1)}" + M, "3:16", "did you mean 'adam'?"),
    (A + "nodes: {f: a}\nstop: 1e-6" + M, "3:7", "write {change: 1e-06}"),
    (A + "nodes: {f: a}\nexpect: {f: 1}" + M, "3:10", "write {values: {f: 1}}"),
    ("parameters: {a: 1;}\nnodes: {f: a}" + M, "1:17", "write 1"),
    ("parameters: {a: {value: 1, min: 0}}\nnodes: {f: a}" + M, "1:28", "write lower: 0"),
    (
        "parameters: {a: {shape: [2], init: {type: randn}}}\nnodes: {f: sum(a)}" + M,
        "1:43",
        "it is called 'normal' here",
    ),
    (A + "nodes: {f: 2 * lambda}" + M, "2:16", "it is a keyword of Python"),
    # A wrong setting within an expression is told where it stands.
    (A + 'nodes: {f: "a + leaky_relu(a, slop=3)"}' + M, "2:31", "did you mean 'slope'?"),
    (A + "nodes: {f: \"a + leaky_relu(a, slope='x')\"}" + M, "2:37", "takes a number, not the text 'x'"),
    # A cycle through subgraphs is told where the file itself closes it.
    (
        "subgraphs: {s: {inputs: [x], nodes: {y: x + 1}, output: y}}\nparameters: {p: 1}\n"
        "nodes:\n  a: s(f)\n  f: p + s(a)" + M,
        "5:10",
        "the inputs close a cycle: f → a → f.1 → f",
    ),
    (A + "data: {batch_size: 3}\nnodes: {f: mean(a * x)}" + M, "2:1", "no file is named"),
    (A + "data: x.csv\nnodes: {f: mean(a * x)}" + M, "2:7", "'data' is a mapping, not the text 'x.csv'"),
    (A + "data: {file: nohead.csv, columns: [x]}\nnodes: {f: mean(a * x)}" + M, "2:35", "a mapping"),
    (
        A + "data: {file: nohead.csv, columns: {x: x}}\nnodes: {f: mean(a * x)}" + M,
        "2:39",
        "its first row holds numbers",
    ),
    (A + "data: {file: nohead.csv}\nnodes: {f: mean(a * x)}" + M, "3:21", "is its first row a header"),
    (A + "data: {file: rows.csv}\nnodes: {f: mean(a * heigth)}" + M, "3:21", "did you mean 'height'?"),
    (
        A + "data: {file: rows.csv}\nnodes: {f: mean(a * zzz)}" + M,
        "3:21",
        "the data has the columns 'weight', 'height'",
    ),
    (
        "parameters: {W: [[1, 2], [3, 4]]}\nconstants: {v: [1, 2, 3]}\nnodes: {y: v @ W, f: sum(y)}" + M,
        "3:12",
        "of v has",
    ),
    (
        "parameters: {W: [[1, 2], [3, 4]]}\nconstants: {v: [1, 2, 3]}\nnodes: {f: 'concat(W, v)'}" + M,
        "3:13",
        "W has 2 axes",
    ),
]


@pytest.mark.parametrize(("text", "place", "advice"), SLIPS, ids=range(len(SLIPS)))
def test_a_slip_is_told_with_what_to_write(
    text: str, place: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File, line and column; the advice; and no second message about names that the slip would have declared."""
    monkeypatch.chdir(tmp_path)
    Path("nohead.csv").write_text("1.5,2\n3,4\n", encoding="utf-8")
    Path("rows.csv").write_text("weight,height\n3,4\n", encoding="utf-8")
    Path("g.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(graphrun.GraphrunError) as caught:
        graphrun.load("g.yaml").run(0)
    message = str(caught.value)
    assert f"g.yaml:{place}: " in message
    assert advice in message
    assert "'a' is unknown" not in message
    assert "'f' is unknown" not in message


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1/3", "0.3333333333333333"),
        ("10^-3", "0.001"),
        ("2 ** 10", "1024"),
        ("5%", "0.05"),
        ("pi", "3.141592653589793"),
        ("-1.5e3 * 2", "-3000"),
        ("1/0", None),
        ("9 ** 999", None),
        ("(-1) ** 0.5", None),
        ("a/3", None),
        ("0.1.2", None),
        ("3", None),
        ("nan + 1", None),
        ("inf * 2", None),
        ("1" * 200 + "/3", None),
    ],
)
def test_a_number_that_is_written_as_an_operation(text: str, number: str | None) -> None:
    """One operation on numbers is worked out for the advice; nothing else is, and nothing raises."""
    assert number_of(text) == number
