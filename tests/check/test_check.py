"""`graphrun check`: local derivatives, the whole gradient, and what a file expects."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import lesson
import pytest

import graphrun
from graphrun.base.outcome import CheckReport
from graphrun.check.check import check_graph
from graphrun.cli.entry import run_command

NESTED = f"{lesson.NESTED}steps: 2\n"

CUBE = """\
import graphrun

@graphrun.elementwise
def scaled_cube(xp, x, scale):
    \"\"\"Cube of x, times a scale.\"\"\"
    return scale * x * x * x

@scaled_cube.local_derivatives
def _(xp, y, x, scale):
    return 3 * scale * x * x, x * x * x{error}

@graphrun.tensor
def total_square(xp, x):
    \"\"\"Sum of squares.\"\"\"
    return xp.sum(x * x)

@total_square.vjp
def _(xp, gradient, y, x):
    return (gradient * 2 * x{error},)

@graphrun.hookimpl
def graphrun_node_types():
    return [scaled_cube, total_square]
"""
USES_CUBE = "parameters: {x: 2, k: 3}\nnodes: {cube: {type: scaled_cube, inputs: [x, k]}}\nminimize: cube\n"
USES_TOTAL = "parameters: {x: [1, 2, 3]}\nnodes: {t: {type: total_square, inputs: [x]}}\nminimize: t\n"

BRANCH = """\
parameters: {x: -1}
nodes:
  l: {type: log, inputs: [x]}
  positive: {type: greater, inputs: [x, 0]}
  w: {type: where, inputs: [positive, l, x]}
minimize: w
"""

Check = Callable[..., CheckReport]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Return a function that checks a graph from its text, with a plugin whose derivatives are off by some factor."""
    monkeypatch.chdir(tmp_path)

    def check_text(text: str, error: str = "") -> CheckReport:
        Path("plugins").mkdir(exist_ok=True)
        Path("plugins/cube.py").write_text(CUBE.format(error=error), encoding="utf-8")
        Path("graph.yaml").write_text(text, encoding="utf-8")
        return check_graph(graphrun.load("graph.yaml", plugins=["plugins"]))

    return check_text


@pytest.mark.parametrize(
    ("text", "derivatives", "gradient"),
    [(NESTED, 4, 3), (USES_CUBE, 2, 2), (USES_TOTAL, 3, 3), ("parameters: {x: 1}\nminimize: x\n", 0, 1)],
)
def test_right_derivatives_pass(check: Check, text: str, derivatives: int, gradient: int) -> None:
    """Every local derivative is compared, and the objective's derivative by each element of the parameters."""
    report = check(text)
    assert report.failures == []
    assert (report.derivatives, report.gradient) == (derivatives, gradient)


@pytest.mark.parametrize("error", [" * 1.0005", " * 0.9995", " * -1", " * 0", " + 0.01", " / 0.0"])
@pytest.mark.parametrize(
    ("text", "node", "kind", "wrong"),
    [(USES_CUBE, "cube", "scaled_cube", "scale"), (USES_TOTAL, "t", "total_square", "x")],
    ids=["elementwise", "tensor"],
)
def test_a_derivative_that_is_slightly_wrong_fails(
    check: Check, text: str, node: str, kind: str, wrong: str, error: str
) -> None:
    """An error of 0.05% is found, and told by node, type and input; the right derivative beside it is not blamed."""
    failures = check(text, error).failures
    blamed = [failure for failure in failures if failure.startswith(f"node {node}: {kind}")]
    assert len(blamed) == 1 or "not finite" in failures[0]
    if blamed:
        assert f"'{wrong}'" in blamed[0]
        assert "finite differences give" in blamed[0]
    else:
        assert f"node {node!r} (type {kind}) by" in failures[0]


def test_the_gradient_is_checked_as_a_whole(check: Check) -> None:
    """A wrong local derivative also makes the objective's derivative wrong, which is told by parameter."""
    failures = check(USES_CUBE, " * 1.0005").failures
    assert any(failure.startswith("the derivative of cube by k is 8.004") for failure in failures)
    assert not any("by x" in failure for failure in failures)


def test_many_parameters_are_checked_in_random_directions(check: Check) -> None:
    """An array of a thousand elements takes ten directions, and a wrong derivative is found in them."""
    numbers = ", ".join(str(number / 1000) for number in range(1, 1001))
    text = f"parameters: {{x: [{numbers}]}}\nnodes: {{t: {{type: total_square, inputs: [x]}}}}\nminimize: t\n"
    assert check(text).failures == []
    assert check(text).gradient == 10
    assert any("random direction" in failure for failure in check(text, " * 1.0005").failures)


@pytest.mark.parametrize(
    "text",
    [
        "parameters: {x: 0}\nnodes: {f: {type: relu, inputs: [x]}}\nminimize: f\n",
        "parameters: {x: 2, y: 2}\nnodes: {f: {type: maximum, inputs: [x, y]}}\nminimize: f\n",
        BRANCH,
        "parameters: {x: 1e-9}\nnodes: {f: {type: log, inputs: [x]}}\nminimize: f\n",
        "parameters: {x: 1e9}\nnodes: {f: {type: square, inputs: [x]}}\nminimize: f\n",
        "parameters: {x: 1e-9, y: 1e9}\nnodes: {l: {type: log, inputs: [x]}}\nminimize: l\n",
        "nodes: {f: {type: add, inputs: [1, 2]}}\n",
        "constants: {x: 2}\n",
        "parameters: {x: 2.5}\nnodes: {f: {type: floor, inputs: [x]}}\nminimize: f\n",
        f"parameters: {{x: {39 * math.tau}, y: {3900 * math.tau}}}\nnodes: {{f: cos(x) * cos(y)}}\nminimize: f\n",
    ],
    ids=["kink", "tie", "branch not taken", "small", "large", "both", "literals", "constants", "steps", "far tops"],
)
def test_conventions_and_corners_pass(check: Check, text: str) -> None:
    """A derivative at a kink is a convention, and numbers of any size are compared by their own scale."""
    assert check(text).failures == []


EXPECTED = {
    "expect: {at: 0, values: {d: 2, f: -4}, gradients: {a: -2, d: -2, f: 1}}": None,
    "expect: {values: {f: -3.7647522, a: 4.9602}, tolerance: 1e-6}": None,
    "expect: [{at: 0, values: {f: -4}}, {at: 1, values: {f: -3.8808, a: 4.98}}, {values: {c: -1.9604}}]": None,
    "expect: {at: 0, values: {f: -4.001}}": "expect at step 0: f is -4, not -4.001 within 1e-06",
    "expect: {at: 0, values: {f: -4.001}, tolerance: 1e-2}": None,
    "expect: {at: 0, values: {f: -4.0001}, tolerance: 1e-5}": "expect at step 0: f is -4, not -4.0001 within 1e-05",
    "expect: {at: 0, gradients: {c: -2}}": "expect at step 0: gradient of c is 2, not -2 within 1e-06",
    "expect: {at: 0, values: {f: [-4]}}": "expect at step 0: f is -4, not [-4.0] within 1e-06",
    "expect: {at: 5, values: {f: 0}}\nstop: {value: -3.9}": ("expect: the run stopped at step 1 (value), not at 5"),
}


@pytest.mark.parametrize("expect", EXPECTED, ids=lambda text: text[9:49])
def test_what_a_file_expects_is_asserted(check: Check, expect: str) -> None:
    """`expect` gives values and gradients in a row, the last one by default, within a tolerance."""
    wrong = EXPECTED[expect]
    report = check(f"{NESTED}{expect}\n")
    assert report.failures == ([] if wrong is None else [wrong])
    assert report.expected > 0 or wrong is not None


def test_every_wrong_expectation_is_told(check: Check) -> None:
    """One wrong number does not hide the next."""
    report = check(f"{NESTED}expect: [{{at: 0, values: {{f: 1, d: 1}}}}, {{at: 1, gradients: {{a: 0}}}}]\n")
    assert len(report.failures) == 3


def test_a_run_that_fails_fails_its_expectations(check: Check) -> None:
    """Where the run ends in a value that is not finite, the check says so."""
    text = "parameters: {x: 1}\nnodes: {f: {type: log, inputs: [x]}}\nminimize: f\n"
    assert check(f"{text}update: {{step_size: 1}}\nexpect: {{at: 9}}\n").failures == [
        (
            "expect: step 1: the value of node 'f' (type log) is -inf; "
            "its inputs are x = 0, outside the domain (0, inf) of x; reached by x → f"
        )
    ]


def test_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each file is checked whatever the others hold; the status is the worst, and failures are on stderr."""
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text(NESTED, encoding="utf-8")
    Path("wrong.yaml").write_text(f"{NESTED}expect: {{values: {{f: 0}}}}\n", encoding="utf-8")
    Path("bad.yaml").write_text("nodes: {f: {type: exp, inputs: [x]}}\n", encoding="utf-8")
    assert run_command(["check", "good.yaml", "wrong.yaml", "good.yaml"]) == 1
    out, err = capsys.readouterr()
    assert out == "good.yaml: ok (4 local derivatives; gradient in 3 directions; 0 expected values)\n" * 2
    assert err == "wrong.yaml: expect at step 2: f is -3.7647522, not 0 within 1e-06\n"
    assert run_command(["check", "bad.yaml", "nothing.yaml", "wrong.yaml", "good.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("good.yaml: ok")
    assert [line.split(":")[0] for line in err.splitlines() if ".yaml:" in line] == [
        "bad.yaml",
        "nothing.yaml",
        "wrong.yaml",
    ]
    assert run_command(["check", "-q", "good.yaml"]) == 0
    assert capsys.readouterr().out == ""
