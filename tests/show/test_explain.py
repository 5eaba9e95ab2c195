"""Explaining a step: what is shown is right, in every format, for every example graph and for random graphs."""

from __future__ import annotations

import itertools
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pytest
import yaml
from depth import examples
from hypothesis import HealthCheck, given, settings
from languages import assert_is_latex
from lesson import LONG_NAMES, each_of
from random_graphs import graphs
from scipy import special

import graphrun
from graphrun.cli.entry import commands, run_command
from graphrun.show.explain import explain
from graphrun.show.explain.step import take_step

ROOT = Path(__file__).parents[2]
GRAPHS = sorted(ROOT.joinpath("graphs").glob("*.yaml"))
NESTED = ROOT / "graphs" / "nested.yaml"
FORMATS = ("text", "markdown", "latex", "html")

LESSON = """\
nested.yaml: f = (a + b) * c
  Step 0, before any update; f is maximized.

Forward pass: each value from those before it
  Parameters: a = 5, b = -3, c = -2
  d = a + b  = 5 + (-3)  = 2
  f = d * c  = 2 * (-2)  = -4

Backward pass: what comes in times the local derivative
  df/df   = 1                               the pass begins here
  f = d * c
    df/dd = c                        = -2
    df/dc = d                        = 2    raising c raises f
  d = a + b
    df/da = df/dd * dd/da  = -2 * 1  = -2   raising a lowers f
    df/db = df/dd * dd/db  = -2 * 1  = -2   raising b lowers f

Update by sgd, step_size 0.01: all parameters at once
  new x = x + step_size * df/dx
  a = 5 + 0.01 * (-2)   = 4.98    adds 0.04 to f
  b = -3 + 0.01 * (-2)  = -3.02   adds 0.04 to f
  c = -2 + 0.01 * 2     = -1.98   adds 0.04 to f

After the update: f rose by 0.1192
  d = 4.98 + (-3.02)  = 1.96
  f = 1.96 * (-1.98)  = -3.8808
  Why: a parameter adds its derivative times its change: for a,
  -2 * (-0.02) = 0.04. Together: 0.04 + 0.04 + 0.04 = 0.12. Each parameter moved
  the way that its derivative points, so every part raises f. The rest, -0.0008,
  is curvature: the derivatives change on the way.
"""

NUMPY = (
    "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh",
    "floor", "ceil", "trunc", "round", "sign", "where", "maximum", "minimum", "logaddexp", "hypot", "copysign",
    "sum", "mean",
)  # fmt: skip

FUNCTIONS: dict[str, Any] = {name: getattr(np, name) for name in NUMPY} | {
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "atan2": np.arctan2, "abs": abs, "number": np.float64, "inf": math.inf, "NaN": math.nan,
    "erf": np.vectorize(math.erf), "erfc": np.vectorize(math.erfc), "erfinv": special.erfinv,
    "lgamma": special.gammaln, "digamma": special.digamma, "trigamma": lambda x: special.zeta(2, x),
}  # fmt: skip


def run(*arguments: str) -> str:
    """Run the command, which has to succeed, and return what it prints."""
    result = click.testing.CliRunner().invoke(commands, ["explain", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def write(folder: Path, text: str) -> str:
    """Write a graph file."""
    file = folder / "g.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


class Tables(HTMLParser):
    """The tables of a page: header and rows, as texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.cell: list[str] | None = None

    def handle_starttag(self, tag: str, _attributes: Any) -> None:
        """Begin a table, a row or a cell."""
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.cell = []

    def handle_endtag(self, tag: str) -> None:
        """End a cell."""
        if tag in {"td", "th"} and self.cell is not None:
            self.tables[-1][-1].append("".join(self.cell))
            self.cell = None

    def handle_data(self, data: str) -> None:
        """Take the text of a cell."""
        if self.cell is not None:
            self.cell.append(data)


def rows_of(html: str, column: str) -> list[dict[str, str]]:
    """Return the rows of the tables that have a column."""
    parser = Tables()
    parser.feed(html)
    return [dict(zip(table[0], row, strict=True)) for table in parser.tables if column in table[0] for row in table[1:]]


def is_number(text: str) -> bool:
    """Whether a cell shows a number rather than the summary of an array."""
    return re.fullmatch(r"-?[0-9.]+(e-?[0-9]+)?|-?inf|NaN", text) is not None


def assert_adds_up(html: str, result: graphrun.Result) -> None:
    """Assert that the parts that are shown add up to the derivatives that are shown, and these are the gradients."""
    assert result.objective is not None
    gradients, objective = result.gradients, result.objective.name
    parts: dict[str, list[float]] = {}
    whole: dict[str, float] = {}
    for row in rows_of(html, "derivative"):
        symbol = row["derivative"].removesuffix(" gets")
        if not is_number(row.get("result", "")):
            continue
        if row["derivative"].endswith(" gets"):
            parts.setdefault(symbol, []).append(float(row["result"]))
        else:
            whole[symbol] = float(row["result"])
    assert not set(parts) - set(whole)
    for symbol, shown in parts.items():
        if not np.isfinite(shown).all():
            continue
        assert sum(shown) == pytest.approx(whole[symbol], rel=1e-4, abs=1e-5 * max(map(abs, shown)))
    for symbol, shown_whole in whole.items():
        name = symbol.removeprefix(f"d{objective}/d")
        if name in gradients and not np.isnan(gradients[name]):
            assert shown_whole == pytest.approx(float(gradients[name]), rel=1e-5, abs=1e-300, nan_ok=True)
    free = result.parameters.keys() & gradients.keys()
    moved = {name for name in free if np.ndim(gradients[name]) == 0 and gradients[name] != 0}
    assert {f"d{objective}/d{name}" for name in moved} <= set(whole)


def assert_numbers_compute(html: str) -> None:
    """Assert that what stands in numbers computes to the result beside it."""
    for row in rows_of(html, "in numbers"):
        result = row.get("result") or row.get("new value", "")
        numbers = row["in numbers"]
        if (
            not numbers
            or not is_number(result)
            or " xor " in numbers
            or re.search("held at|0 comes in", row.get("", ""))
        ):
            continue
        assert may_compute_to(numbers, float(result)), row


def may_compute_to(numbers: str, result: float) -> bool:
    """Whether a calculation gives a result, for some numbers that round to those that are shown."""
    random = np.random.default_rng(0)
    shown = r"(?<![\w.])[0-9.]+(?:e-?[0-9]+)?"
    scale = max([abs(float(x)) for x in re.findall(shown, numbers)], default=0.0)

    def vary(match: re.Match[str]) -> str:
        number = float(match[0])
        # A minus zero is shown as 0.
        varied = number * (1 + random.uniform(-2e-6, 2e-6)) if number else random.choice([0.0, -0.0])
        return f"number({float(varied)!r})"

    outcomes = []
    for text in (re.sub(shown, r"number(\g<0>)", numbers), *(re.sub(shown, vary, numbers) for _ in range(50))):
        with np.errstate(all="ignore"):
            outcomes.append(float(eval(text, {"__builtins__": {}}, FUNCTIONS)))  # noqa: S307 (the text under test)
        if outcomes[-1] == pytest.approx(result, rel=1e-5, abs=1e-5 * scale, nan_ok=True):
            return True
    tolerance = 1e-4 * max(abs(result), scale)
    return min(outcomes) - tolerance <= result <= max(outcomes) + tolerance or not np.isfinite(outcomes).all()


def test_the_lesson() -> None:
    """The page that everything starts from, as it stands."""
    assert run(str(NESTED)) == LESSON


@pytest.mark.slow
@pytest.mark.parametrize("step", [pytest.param(0, marks=pytest.mark.nightly), 2])
@pytest.mark.parametrize("file", each_of(GRAPHS))
def test_examples_in_every_format(file: Path, step: int) -> None:
    """Each example graph is explained in each format; as text it fits a terminal, as HTML its numbers add up."""
    graph = graphrun.load(file)
    if graph.structure.objective is None or graph.document.update.type in {"newton_cg", "least_squares"}:
        step = 0
    taken = take_step(graph, step)
    text = explain(taken)
    assert [line for line in text.splitlines() if len(line) > 80 or line != line.rstrip()] == []
    html = explain(taken, "html")
    # A large graph is summed up: of what adds up, only what is on one path is there.
    if "Backward pass" in html:
        assert_adds_up(html, graph.run(step))
    assert_numbers_compute(html)
    assert_is_latex(explain(taken, "latex"))
    markdown = explain(taken, "markdown")
    for table in re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
@given(data=graphs())
def test_random_graphs(tmp_path_factory: Any, data: dict[str, Any]) -> None:
    """On random graphs what is shown adds up to the gradients, and what stands in numbers computes to the result."""
    file = write(tmp_path_factory.mktemp("graph"), yaml.safe_dump(data))
    graph = graphrun.load(file)
    try:
        taken = take_step(graph, 0)
    except graphrun.GraphrunError:
        return  # a value that is not finite
    html = explain(taken, "html")
    assert_adds_up(html, graph.run(0))
    assert_numbers_compute(html)
    assert_is_latex(explain(taken, "latex"))
    for name in taken.before.plan.slots:
        explain(taken, node=name)
    explain(taken, ranked=True)


def test_tensor_types(tmp_path: Path) -> None:
    """The texts of tensor types are told in the names of the graph, as text; where they do not hold, symbols are."""
    text = f"{'constants: {x: [[1, 2], [3, 4], [5, 6]]}'}\nparameters: {{W: [[1, 2], [3, 4]], v: [1, 2]}}\n"
    nodes = "nodes:\n  h: x @ W\n  p: x @ v\n  m: mean(h)\n  f: mean_squared_error(p, 3) + m\nminimize: f\n"
    page = run(write(tmp_path, text + nodes))
    assert re.search(r"df/dh +(gets)? *= df/dm / 6", page)
    assert re.search(r"df/dW += x.T @ df/dh", page)
    assert re.search(r"df/dp += df/df.1 \* 2 \* \(p - 3\) / 3", page)
    assert re.search(r"df/dv += df/dp \* dp/dv", page)


def test_a_value_used_twice(tmp_path: Path) -> None:
    """Each use has its part, and the parts are added."""
    text = run(write(tmp_path, "parameters: {a: 3}\nnodes: {f: {type: multiply, inputs: [a, a]}}\nminimize: f\n"))
    assert (
        "    df/da gets a      = 3\n    df/da gets a      = 3\n    df/da    = 3 + 3  = 6   raising a raises f" in text
    )
    assert "raising a raises f" in text
    assert "After the update: f fell by" in text


def test_sums_have_the_order_of_the_backward_pass(tmp_path: Path) -> None:
    """What a value is given stands above its sum in the order of its terms, on the whole page and on its own."""
    file = write(tmp_path, "parameters: {a: 3}\nnodes: {p: 2 * a, q: a * p, f: p * q + a ** 2 + q}\nminimize: f\n")
    for name, terms in {"a": 3, "p": 2, "q": 2}.items():
        for text in (run(file), run(file, "--node", name)):
            lines = [line.strip() for line in text.splitlines() if line.strip().startswith(f"df/d{name} ")]
            *given, total = (line.removeprefix(f"df/d{name}").strip() for line in lines[: terms + 1])
            parts = [re.split(" = |gets ", line)[-1].split()[0] for line in given]
            assert len(parts) == terms
            assert total.removeprefix("= ").startswith(f"{' + '.join(parts)} ")


def test_broadcasting(tmp_path: Path) -> None:
    """A number that meets an array is given the sum over the elements."""
    text = run(write(tmp_path, "parameters: {a: 3}\nconstants: {x: [1, 2]}\nnodes: {f: sum(a * x)}\nminimize: f\n"))
    assert "df/da   = sum(df/df.1 * x)  = 3" in text


@pytest.mark.parametrize(
    ("update", "shown"),
    [
        ("{type: sgd, step_size: 0.1, clip_norm: 1}", "clip_norm 1: the gradient's norm is 6, so all of it is"),
        ("{type: sgd, step_size: 0.1, clip_norm: 9}", "so it does not act here."),
        ("{type: sgd, step_size: 0.1, clip_value: 2}", "clip_value 2 cuts 1 of the derivatives."),
        ("{type: sgd, step_size: {type: linear, start: 0.5, steps: 9}}", "step_size 0.5 (of the schedule linear)"),
        ("{type: adam, step_size: 0.1}", "root = hypot(0.9995 * root, 0.0316228 * df/dx)"),
        ("{type: momentum, momentum: 0.5}", "velocity = 0.5 * velocity + df/dx"),
        ("{type: sgd, step_size: 1.5}", "After the update: f rose by 27, though it is to be minimized"),
        ("{type: lbfgs}", "A solver chooses each step itself"),
    ],
)
def test_updates(tmp_path: Path, update: str, shown: str) -> None:
    """Clipping, schedules, memory, steps that are too long and solvers are told."""
    file = write(tmp_path, f"parameters: {{a: 3}}\nnodes: {{f: a ** 2}}\nminimize: f\nupdate: {update}\n")
    assert shown in " ".join(run(file).split())


def test_clipped_numbers_are_those_of_the_run(tmp_path: Path) -> None:
    """The clipped gradient in the formula gives the engine's new value."""
    update = "{type: sgd, step_size: 0.5, clip_value: 3, clip_norm: 2}"
    file = write(tmp_path, f"parameters: {{a: 3, b: 1}}\nnodes: {{f: a ** 2 + b}}\nminimize: f\nupdate: {update}\n")
    html = explain(take_step(graphrun.load(file), 0), "html")
    assert_numbers_compute(html)
    rows = rows_of(html, "new value")
    assert float(rows[0]["new value"]) == pytest.approx(graphrun.load(file).run(1).parameters["a"], rel=1e-5)


def test_bounds(tmp_path: Path) -> None:
    """A parameter that a bound holds is said to be held."""
    start, update = "parameters: {a: {value: 1, lower: 0}}", "update: {type: sgd, step_size: 2}"
    text = f"{start}\nnodes: {{f: a ** 2 + a}}\nminimize: f\n{update}\n"
    assert "a = 1 - 2 * 3  = 0   held at its lower bound, adds -3 to f" in run(write(tmp_path, text))


def test_without_an_objective(tmp_path: Path) -> None:
    """A graph that is only evaluated has a forward pass, and no step after the first."""
    file = write(tmp_path, "parameters: {a: 2}\nnodes: {b: exp(a)}\n")
    text = run(file)
    assert "there is no objective" in text
    assert "b = exp(a)  = exp(2)  = 7.38906" in text
    assert run_command(["explain", file, "--step", "1"]) == 2


def test_of_constants_alone(tmp_path: Path) -> None:
    """Where there is no parameter, the derivatives by the constants are shown."""
    text = run(write(tmp_path, "constants: {a: 2, b: 3}\nnodes: {f: a * b}\nmaximize: f\n"))
    assert "df/da = b  = 3" in text
    assert "No update: there are no parameters" in text


def test_a_step_that_fails(tmp_path: Path) -> None:
    """Where the update leads to something not finite, the passes before it are shown, and why there is no update."""
    update = "{type: sgd, step_size: 1e200}"
    text = run(write(tmp_path, f"parameters: {{a: 1e100}}\nnodes: {{f: a ** 2}}\nmaximize: f\nupdate: {update}\n"))
    assert "No update: the run ends here (not finite" in text


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_numbers_near_the_largest(tmp_path: Path, dtype: str) -> None:
    """What overflows on the way of an explanation is shown as infinite, without a warning."""
    data = {
        "dtype": dtype,
        "parameters": {"a": 0},
        "constants": {"steep": 1e200 if dtype == "float64" else 1e30},
        "nodes": {"f": "minimum(steep * a, 5)"},
        "maximize": "f",
        "update": {"type": "sgd", "step_size": 1},
    }
    page = run(write(tmp_path, yaml.safe_dump(data)))
    assert "After the update: f rose by 5" in page
    assert "= inf" in page
    assert "steep" in run(str(tmp_path / "g.yaml"), "--sensitivity")


def test_random_numbers(tmp_path: Path) -> None:
    """Where each step has other random numbers, before and after are not compared."""
    file = write(tmp_path, "parameters: {a: [1, 2, 3]}\nnodes: {f: 'sum(dropout(a, rate=0.5))'}\nminimize: f\n")
    text = " ".join(run(file).split())
    assert "Each step has other random numbers" in text
    assert "Why" not in text


def test_one_value() -> None:
    """A value is shown with what it is computed from, what uses it, and the paths of largest influence."""
    text = run(str(NESTED), "--node", "d")
    assert "d = a + b  = 5 + (-3)  = 2" in text
    assert "    df/dd = c  = -2" in text
    assert "df/da = df/dd * dd/da  = -2 * 1  = -2" in text
    assert "On to the objective: d (-2) -> f (1)" in text
    assert "Back to a leaf: d (-2) -> a (-2)" in text


@pytest.mark.slow
@pytest.mark.parametrize("file", each_of(GRAPHS))
def test_every_value_of_the_examples(file: Path) -> None:
    """Each value of each example can be asked for, in 80 columns."""
    taken = take_step(graphrun.load(file), 0)
    for name in taken.before.plan.slots:
        text = explain(taken, node=name)
        assert name in text
        assert [line for line in text.splitlines() if len(line) > 80] == []


@pytest.mark.slow
def test_large_graph(tmp_path: Path) -> None:
    """A large graph is summed up, with the path of largest influence."""
    nodes = {"n0": "tanh(x)"} | {f"n{k}": f"1.01 * n{k - 1} - 0.001 * y" for k in range(1, 500)}
    data = {"parameters": {"x": 0.3, "y": 2}, "nodes": nodes, "maximize": "n499"}
    text = run(write(tmp_path, yaml.safe_dump(data)))
    assert "1,498 nodes, 2 parameters of 2 numbers" in text
    assert "--node NAME" in text
    assert "n0 = tanh(x)" in text
    assert "more edges" in text
    assert len(text.splitlines()) < 80
    node = run(str(tmp_path / "g.yaml"), "--node", "y")
    assert "The 12 largest of 499 uses are shown." in node
    assert "the sum over its 499 uses" in node or "raising y lowers n499" in node


def test_many_uses_are_counted_in_thousands(tmp_path: Path) -> None:
    """Of the values that use another one the first are named, the others counted as every other number is."""
    nodes = {f"n{k}": f"c + {k}" for k in range(1013)} | {"f": "x * x"}
    data = {"parameters": {"x": 1}, "constants": {"c": 2}, "nodes": nodes, "minimize": "f"}
    node = run(write(tmp_path, yaml.safe_dump(data)), "--node", "c")
    assert "Used by n0, n1, " in node
    assert "and 1,001 more." in " ".join(node.split())


def test_a_description_cannot_steer_the_terminal(tmp_path: Path) -> None:
    """It is made harmless as in messages and reports: a tab is a space, a control character its number."""
    text = 'description: "a\\tb\\e[2J\\u202e"\nparameters: {x: 1}\nnodes: {f: x * x}\nminimize: f\n'
    assert run(write(tmp_path, text)).splitlines()[0] == "g.yaml: a b\\x1b[2J\\u202e"


def test_vanishing(tmp_path: Path) -> None:
    """A deep chain of sigmoids is said to vanish, and the worst edge is named."""
    nodes = {"h0": "sigmoid(w)"} | {f"h{k}": f"sigmoid(h{k - 1})" for k in range(1, 12)} | {"z": "0.01 * h11"}
    file = write(tmp_path, yaml.safe_dump({"parameters": {"w": 1}, "nodes": nodes, "minimize": "z"}))
    text = " ".join(run(file, "--sensitivity").split())
    assert "The gradient vanishes: from 1 to" in text
    assert "It drops most from z to h11, times 0.01: z = 0.01 * h11." in text


def test_exploding_and_dead(tmp_path: Path) -> None:
    """A chain of large factors explodes; what a relu cuts off is named, and the leaf that nothing reaches."""
    nodes = {"h0": "x * 9", "dead": "relu(y)"} | {f"h{k}": f"h{k - 1} * 9" for k in range(1, 8)} | {"z": "h7 + dead"}
    file = write(tmp_path, yaml.safe_dump({"parameters": {"x": 1, "y": -1}, "nodes": nodes, "minimize": "z"}))
    text = " ".join(run(file, "--sensitivity").split())
    assert "The gradient explodes: from 1 to" in text
    assert "It grows most" in text
    assert "times 9" in text
    assert "No gradient reaches y." in text
    assert "It ends at 1 edge, whose local derivative is 0: from dead to y." in text


def test_ranking() -> None:
    """Leaves are ranked by the size of gradient times value."""
    rows = rows_of(run(str(NESTED), "--sensitivity", "--format", "html"), "leaf")
    assert [(row["leaf"], row["|gradient * value|"], row["share"]) for row in rows] == [
        ("a", "10", "50.0 %"),
        ("b", "6", "30.0 %"),
        ("c", "4", "20.0 %"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--node", "from_y1"], "there is no value 'from_y1' to explain; did you mean 'from_x1'?"),
        (["--step", "-1"], "'-1' is not a whole number of 0 or more"),
        (["--node", "z", "--sensitivity"], "--node and --sensitivity are two different pages"),
        (["--format", "pdf"], "'pdf' is not one of"),
        (["--set", "stop={value: 0.2}", "--step", "99"], "there is no step 99: the run ends after 1 (value)"),
        (["--set", "parameters.b=1e308", "--set", "constants.target=-1e308", "--sensitivity"], "loss"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A user's mistake ends as a message, without a page."""
    status = run_command(["explain", str(ROOT / "graphs" / "neuron.yaml"), *arguments])
    captured = capsys.readouterr()
    assert status in {1, 2}
    assert message in captured.err
    assert captured.out == ""


def test_a_step_that_broke_is_explained_as_far_as_it_came(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At step 0 and later ones; the culprit is told on the page and at the end, and the exit status is 1."""
    graph = "parameters: {x: 0.3}\nnodes: {y: log(x), f: y * y}\nmaximize: f\nupdate: {type: sgd, step_size: 0.1}\n"
    file = write(tmp_path, graph)
    culprit = "the value of node 'y' (type log) is nan"
    # The gradient of (log x)² at 0.3 is 2 log(0.3) / 0.3: x becomes 0.3 - 0.1 * 8.03 < 0.
    assert run_command(["explain", str(file), "--step", "1"]) == 1
    out, err = capsys.readouterr()
    assert "Parameter: x = -0.502" in out
    assert re.search(r"y = log\(x\) +=.*= NaN", out)
    assert culprit in " ".join(out.split())
    assert "raising x" not in out
    assert culprit in err
    for command in (["draw", str(file), "--step", "1"], ["show", str(file), "--step", "1"]):
        assert run_command(command) == 1
        out, err = capsys.readouterr()
        assert "-0.502" in out
        assert "NaN" in out
        assert culprit in err
    assert run_command(["explain", str(file), "--set", "parameters.x=0"]) == 1
    assert "Parameter: x = 0" in capsys.readouterr().out
    # A later step than the one that broke was never made.
    assert run_command(["explain", str(file), "--step", "2"]) == 1
    assert capsys.readouterr().out == ""


HOSTILE = "<script>alert(1)</script> ]]> \"'` | $x$ \\\\input{x} & % # _a_ \u202e {y} <img src=x>"


@pytest.mark.parametrize("output_format", FORMATS)
def test_injection(tmp_path: Path, output_format: str) -> None:
    """A description is text in every format, whatever it says."""
    data = {"description": HOSTILE, "parameters": {"a": 1}, "nodes": {"f": "a ** 2"}, "minimize": "f"}
    page = run(write(tmp_path, yaml.safe_dump(data)), "--format", output_format)
    assert "\u202e" not in page
    if output_format == "html":
        assert "<script" not in page
        assert "<img" not in page
        assert "http" not in page.replace("http-equiv", "")
    if output_format == "markdown":
        assert not re.search(r"(?<!\\)[<`]script|(?<!\\)<img|\$x\$", page)
    if output_format == "latex":
        assert "\\input" not in page
        assert_is_latex(page)


def test_names_in_latex(tmp_path: Path) -> None:
    """Greek letters and digits become mathematics, words stay words, a letter that LaTeX has not is text."""
    data = {"parameters": {"λ": 1, "Ω_2": 2, "w1": 3, "ж": 4, "rate_x": 5}, "nodes": {"f": "λ * Ω_2 * w1 * ж * rate_x"}}
    page = write(tmp_path, yaml.safe_dump(data | {"minimize": "f"}, allow_unicode=True, sort_keys=False))
    page = run(page, "--format", "latex")
    assert r"\lambda = 1$, $\Omega_{2} = 2$, $w_{1} = 3$, $\text{ж} = 4$, $\text{rate\_x} = 5$" in page


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
@pytest.mark.parametrize("options", [(), ("--node", "prediction"), ("--sensitivity",)], ids=["all", "node", "leaves"])
def test_long_names_at_any_width(
    options: tuple[str, ...], columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line is wider than the terminal, none has a scrap of a word, and what is told is the same at every width."""
    file = tmp_path / "long.yaml"
    file.write_text(LONG_NAMES)
    monkeypatch.setenv("COLUMNS", str(columns))
    text = run(str(file), *options)
    assert max(map(len, text.splitlines())) <= columns
    assert not [line for line in text.splitlines() if re.fullmatch(r"\s*[a-z_]{1,3}\s*", line)]
    monkeypatch.setenv("COLUMNS", "10000")
    if "--sensitivity" not in options:
        assert "".join(text.split()) == "".join(run(str(file), *options).split())


def test_generations_are_compared_with_the_one_above_in_the_table(tmp_path: Path) -> None:
    """Of fifty generations sixteen are shown: each is so many times the one that stands above it."""
    file = tmp_path / "chain.yaml"
    nodes = "".join(f"  t{k}: {{type: multiply, inputs: [t{k - 1}, 1.{k}]}}\n" for k in range(2, 51))
    file.write_text(f"parameters: {{a: 0.5}}\nnodes:\n  t1: a * 1.1\n{nodes}minimize: t50\n")
    lines = run(str(file), "--sensitivity").splitlines()
    start = next(k for k, line in enumerate(lines) if "times the one above" in line)
    rows = [line.split() for line in lines[start + 1 : start + 17]]
    assert "16 of 50 generations are shown." in "".join(lines[start + 17])
    for above, row in itertools.pairwise(rows):
        assert float(row[3]) == pytest.approx(float(row[2]) / float(above[2]), rel=1e-4)
