"""`graphrun check --prove`: declared derivatives are shown to be right, or shown to be wrong."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import graphrun
from graphrun import Kink, nodes
from graphrun.check.prove import Outcome, prove_all, prove_type
from graphrun.cli.entry import run_command

pytest.importorskip("sympy")

BUILT_IN = [declared for declared in nodes.graphrun_node_types() if declared.is_elementwise]
WITHOUT_GRADIENT = {"stop_gradient"}
CONSTANT = {
    "sign",
    "floor",
    "ceil",
    "round",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "logical_not",
}

TYPE = """\
import graphrun
from graphrun import Kink

@graphrun.elementwise{options}
def subject(xp, {inputs}):
    \"\"\"What is proven.\"\"\"
    {forward}

@subject.local_derivatives
def _(xp, output, {bare}):
    {derivatives}

@graphrun.hookimpl
def graphrun_node_types():
    return [subject]
"""

Declare = Callable[..., Any]


def source(inputs: str, forward: str, derivatives: str, options: str = "") -> str:
    """Write a plugin of one elementwise type named `subject`."""
    bare = ", ".join(part.split(":")[0].split("=")[0].strip() for part in inputs.split(", "))
    return TYPE.format(inputs=inputs, bare=bare, forward=forward, derivatives=derivatives, options=options)


@pytest.fixture
def declare(tmp_path: Path) -> Declare:
    """Return a function that declares an elementwise type from the text of its functions."""

    def make(*arguments: str) -> graphrun.NodeType:
        file = tmp_path / "subject.py"
        file.write_text(source(*arguments), encoding="utf-8")
        from graphrun.testing import load_plugin

        declared = load_plugin(file).subject
        declared.check_declaration()
        return declared

    return make


@pytest.mark.slow
@pytest.mark.parametrize("declared", BUILT_IN, ids=lambda declared: declared.name)
def test_every_built_in_type_is_proven(declared: graphrun.NodeType) -> None:
    """SymPy decides each of them; the one that passes no gradient on has nothing to prove."""
    expected = Outcome.NOTHING if declared.name in WITHOUT_GRADIENT else Outcome.PROVEN
    verdict = prove_type(declared)
    assert (verdict.outcome, verdict.text) == (expected, verdict.text)


@pytest.mark.campaign
def test_settings_are_proven_for_every_value() -> None:
    """A setting that is a number stands for all of its sign, and one that is a choice for each of its values."""
    extents = {declared.name: prove_type(declared).text for declared in BUILT_IN if declared.keyword}
    assert extents == {
        "leaky_relu": "every slope > 0",
        "elu": "every alpha > 0",
        "celu": "every alpha > 0",
        "softplus": "every beta > 0",
        "clip": "every min, max",
        "gelu": "",
        "selu": "every alpha > 0, gamma > 0",
        # Both its kinks and its slope are where two settings meet, which is too much for SymPy.
        "hard_sigmoid": "only at alpha = 0.16666666666666666, beta = 0.5; alpha = 0.25, beta = 0.75",
    }


MUTATIONS = {
    "a factor 1.0005": lambda _, derivative, __: derivative * 1.0005,
    "one point": lambda xp, derivative, x: xp.where(xp.equal(x, 0.375), derivative + 1, derivative),
}


def changes(declared: graphrun.NodeType, mutation: str) -> bool:
    """Whether a mutation makes a type's derivatives others: 0 times a factor is 0, and some have no such point."""
    unchanged = {"a factor 1.0005": CONSTANT, "one point": {"acosh"}}[mutation]
    return declared.name not in WITHOUT_GRADIENT | unchanged


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("mutation", "declared"),
    [
        pytest.param(
            mutation, declared, id=f"{declared.name}, {mutation}", marks=[pytest.mark.nightly] * ((k + j) % 8 > 0)
        )
        for j, mutation in enumerate(MUTATIONS)
        for k, declared in enumerate(BUILT_IN)
        if changes(declared, mutation)
    ],
)
def test_a_wrong_derivative_of_every_built_in_type_is_caught(mutation: str, declared: graphrun.NodeType) -> None:
    """Whatever is wrong with it: nothing that differs is taken for proven, and a point of the domain shows it."""
    for position in range(len(declared.inputs)):
        if (declared.name, position) == ("where", 0):
            continue

        def wrong(xp: Any, output: Any, *inputs: Any, position: int = position, **keys: Any) -> tuple[Any, ...]:
            parts = list(declared.derivative(xp, output, *inputs, **keys))
            parts[position] = MUTATIONS[mutation](xp, parts[position], inputs[position])
            return tuple(parts)

        planted = copy.copy(declared)
        planted.derivative = wrong
        verdict = prove_type(planted)
        assert verdict.outcome is Outcome.WRONG
        assert f"the derivative for {declared.inputs[position]!r} at " in verdict.text


PLANTED = {
    "a factor": ("x", "return xp.tanh(x)", "return (1.0005 * (1 - output * output),)", ""),
    "an offset": ("x", "return xp.exp(x)", "return (output + 1e-6,)", ""),
    "one side of a kink": (
        "x",
        "return xp.where(x > 0, x, 0.1 * x)",
        "return (xp.where(x > 0, 1.0, 0.11),)",
        '(kinks=[Kink({"x": 0}, (0.11,))])',
    ),
    "far away": ("x", "return x * x", "return (xp.where(x > 1e6, 2.001 * x, 2 * x),)", ""),
    "a single point": ("x", "return x * x", "return (xp.where(x == 3, 7.0, 2 * x),)", ""),
    "one choice of a setting": (
        'x, *, kind: str = "sine"',
        'return xp.sin(x) if kind == "sine" else xp.cos(x)',
        'return (xp.cos(x) if kind == "sine" else xp.sin(x),)',
        '(examples=[graphrun.Example(settings={"kind": "cosine"})])',
    ),
    "one value of a setting": (
        "x, *, beta: float = 1.0",
        "return beta * x",
        "return (2.5 if beta == 2.0 else beta,)",
        "",
    ),
    "every value of a setting but the default": (
        "x, *, width: float = 1.0",
        "return xp.exp(-x * x / width)",
        "return (-2 * x * output,)",
        "",
    ),
    "the second input": ("x, y", "return xp.hypot(x, y)", "return x / output, x / output", ""),
    "a sign": ("x", "return xp.cos(x)", "return (xp.sin(x),)", ""),
    "exchanged inputs": ("x, y", "return x * xp.log1p(y * y)", "return 2 * x * y / (1 + y * y), xp.log1p(y * y)", ""),
    "a narrow band": ("x", "return x", "return (xp.where(xp.abs(x - 7) < 1e-9, 1.5, 1.0),)", ""),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_wrong_derivative_is_caught(planted: str, declare: Declare) -> None:
    """Each is caught with a counterexample: on one side, far away, at a point, for some settings only."""
    declared = declare(*PLANTED[planted])
    verdict = prove_type(declared)
    assert verdict.outcome is Outcome.WRONG
    assert "the true one is" in verdict.text


def test_a_counterexample_is_a_point_with_both_numbers(declare: Declare) -> None:
    """The text names input, point, settings, the declared value, the true one and how far it is off."""
    declared = declare("x, *, scale: float = 1.0", "return scale * x * x", "return (2.002 * scale * x,)")
    text = prove_type(declared).text
    place, declared_value = text.split(" is ")[0], float(text.split(" is ")[1].split(",")[0])
    point = dict(part.split(" = ") for part in place.split(" at ")[1].split(", "))
    x, scale = float(point["x"]), float(point["scale"])
    assert scale > 0
    assert declared_value == pytest.approx(2.002 * scale * x)
    assert text.endswith(f"the true one is {2 * scale * x:.10g} (off by 0.1%)")


RIGHT = {
    "cases that meet smoothly": (
        "x, *, delta: float = 1.0",
        "return xp.where(xp.abs(x) <= delta, 0.5 * x * x, delta * (xp.abs(x) - 0.5 * delta))",
        "return (xp.minimum(xp.maximum(x, -delta), delta),)",
        "",
    ),
    "a removable singularity": (
        "x",
        "return xp.where(x == 0, 1.0, xp.sin(x) / xp.where(x == 0, 1.0, x))",
        "return (xp.where(x == 0, 0.0, (xp.cos(x) - output) / xp.where(x == 0, 1.0, x)),)",
        "",
    ),
    "a trigonometric identity": ("x", "return xp.sin(x) ** 2", "return (xp.sin(2 * x),)", ""),
    "hyperbolic against exponential": ("x", "return xp.tanh(x)", "return (4 / (xp.exp(x) + xp.exp(-x)) ** 2,)", ""),
    "a sawtooth": (
        "x",
        "return x - xp.floor(x)",
        "return (1.0,)",
        '(kinks=[Kink({"x": lambda xp, x: xp.round(x)}, (1,), label="integers")])',
    ),
    "a power of itself": ("x", "return x**x", "return (output * (xp.log(x) + 1),)", '(domain={"x": "(0, inf)"})'),
    "constants that were rounded": (
        "x",
        "return xp.log(x) / 0.6931471805599453",
        "return (1.4426950408889634 / x,)",
        '(domain={"x": "(0, inf)"})',
    ),
    "numbers of NumPy": ("x", "import numpy\n    return numpy.float64(3.0) * x", "return (3.0,)", ""),
    "any number of inputs": ("*inputs", "return sum(x * x for x in inputs)", "return [2 * x for x in inputs]", ""),
    "a decision by a setting": (
        "x, *, beta: float = 1.0",
        "return x if beta == 0 else xp.expm1(beta * x) / beta",
        "return (1.0 if beta == 0 else xp.exp(beta * x),)",
        '(examples=[graphrun.Example(settings={"beta": 0})])',
    ),
    "a cubic's sign": (
        "x",
        "return xp.where(x * x * x > x, 2.0, 1.0) * 0 + x",
        "return (xp.where(x * x * x > x, 1.0, 1.0),)",
        "",
    ),
}


@pytest.mark.parametrize("right", RIGHT)
def test_a_right_derivative_is_proven(right: str, declare: Declare) -> None:
    """Whether by cases, identities or limits."""
    verdict = prove_type(declare(*RIGHT[right]))
    assert (verdict.outcome, verdict.text) == (Outcome.PROVEN, verdict.text)


def pieces(border: float, slopes: tuple[float, float], offset: float, *, has_kink: bool) -> graphrun.NodeType:
    """Two parabolas that meet at a border; the declared slope of the upper one is off by an offset."""
    low, high = slopes

    @graphrun.elementwise(kinks=[Kink({"x": border}, (...,))] if has_kink else [])
    def two(xp, x):
        """Two parabolas."""
        beyond = x - border
        return xp.where(beyond > 0, high * beyond, low * beyond) + beyond * beyond

    @two.local_derivatives
    def _(xp, y, x):
        return (2 * (x - border) + xp.where(x > border, high + offset, low),)

    return two


QUARTERS = st.integers(-400, 400).map(lambda number: number / 4)


@settings(deadline=None, max_examples=examples(30))
@given(border=st.floats(-1e6, 1e6), slopes=st.tuples(QUARTERS, QUARTERS), offset=st.floats(1e-3, 1e3))
def test_pieces_that_meet(border: float, slopes: tuple[float, float], offset: float) -> None:
    """Wherever they meet and however steep they are: right is proven, and wrong on one side is not."""
    assert prove_type(pieces(border, slopes, 0.0, has_kink=True)).outcome is Outcome.PROVEN
    assert prove_type(pieces(border, slopes, offset, has_kink=True)).outcome is Outcome.WRONG
    undeclared = prove_type(pieces(border, slopes, 0.0, has_kink=False))
    assert undeclared.outcome is (Outcome.PROVEN if slopes[0] == slopes[1] else Outcome.WRONG)


def test_a_loop_over_a_setting_is_proven_for_the_settings_at_hand(declare: Declare) -> None:
    """The default and the examples' are named, as nothing was shown for others."""
    declared = declare(
        "x, *, n: int = 2",
        "output = 1.0\n    for _ in range(n):\n        output = output * x\n    return output",
        "return (n * x ** (n - 1),)",
        '(examples=[graphrun.Example(settings={"n": 3})])',
    )
    verdict = prove_type(declared)
    assert (verdict.outcome, verdict.text) == (Outcome.PROVEN, "only at n = 2; n = 3")


def test_a_kink_has_to_be_declared(declare: Declare) -> None:
    """Where there is no derivative, or a jump, the declaration must say what is taken there."""
    ramp = ("x", "return xp.maximum(x, 0.0)", "return (xp.where(x > 0, 1.0, 0.0),)")
    verdict = prove_type(declare(*ramp))
    assert verdict.outcome is Outcome.WRONG
    assert verdict.text == (
        "the derivative for 'x' at x = 0 is 0, but there is none: the slope is 0 below and 1 above, "
        "and no kink is declared"
    )
    assert prove_type(declare(*ramp, '(kinks=[Kink({"x": 0}, (0,))])')).outcome is Outcome.PROVEN
    step = prove_type(declare("x", "return x > 2", "return (0.0,)"))
    assert step.outcome is Outcome.WRONG
    assert step.text == "the derivative for 'x' at x = 2 is 0, but the function jumps there, and no kink is declared"


UNDECIDED = {
    "zeros without end": ("x", "return xp.abs(xp.sin(x))", "return (xp.sign(xp.sin(x)) * xp.cos(x),)", "sin(x)"),
    "another library": ("x", "import numpy\n    return numpy.exp(x)", "return (output,)", "it calls numpy.exp"),
    "a decision by an input": (
        "x",
        "return x * (1 if getattr(x, 'ndim', 0) or x * 0 == 0 else 1) if not hasattr(x, 'namespace') or x > 0 else x",
        "return (1.0,)",
        "it decides by the value of a number",
    ),
}


@pytest.mark.parametrize("undecided", UNDECIDED)
def test_what_cannot_be_shown_is_not_called_proven(undecided: str, declare: Declare) -> None:
    """Numbers that agree are said to prove nothing."""
    *texts, reason = UNDECIDED[undecided]
    verdict = prove_type(declare(*texts))
    assert verdict.outcome is Outcome.UNDECIDED
    assert reason in verdict.text
    assert verdict.text.endswith("finite differences agree, which proves nothing")


def test_what_cannot_be_read_may_still_be_found_wrong(declare: Declare) -> None:
    """Then finite differences find it."""
    verdict = prove_type(declare("x", "import numpy\n    return numpy.exp(x)", "return (1.0005 * output,)"))
    assert verdict.outcome is Outcome.WRONG
    assert "finite differences give" in verdict.text


def test_formulas_that_numpy_contradicts_prove_nothing(declare: Declare) -> None:
    """A function that computes something else for symbols than for numbers is not proven by its formulas."""
    declared = declare("x", "return x if hasattr(x, 'namespace') else 1.0 * x + 1e-3 * x", "return (1.0,)")
    verdict = prove_type(declared)
    assert verdict.outcome is Outcome.WRONG
    assert "finite differences give" in verdict.text


# --- processes and the command line ----------------------------------------------------------------------------------

SLOW = source("x", "while hasattr(x, 'namespace'):\n        pass\n    return 2 * x", "return (2.0,)")
ENDS = source("x", "import os\n    return os._exit(3) if hasattr(x, 'namespace') else 2 * x", "return (2.0,)")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a folder of plugins."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins").mkdir()
    return tmp_path / "plugins"


def plug(folder: Path, **texts: str) -> None:
    """Write plugin files, each with the type `subject` under the file's name."""
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text.replace("subject", name), encoding="utf-8")


@pytest.mark.campaign
def test_a_type_that_takes_too_long_or_ends_its_process_stops_no_other(folder: Path) -> None:
    """Each is reported in the order asked for, with what happened."""
    plug(folder, slow=SLOW, ends=ENDS)
    verdicts = list(prove_all(["slow", "relu", "ends", "tanh"], [str(folder)], seconds=2))
    assert [(verdict.name, verdict.outcome) for verdict in verdicts] == [
        ("slow", Outcome.UNDECIDED),
        ("relu", Outcome.PROVEN),
        ("ends", Outcome.UNDECIDED),
        ("tanh", Outcome.PROVEN),
    ]
    assert "there was no answer within 2 s" in verdicts[0].text
    assert "the process that proved it ended" in verdicts[2].text


@pytest.mark.campaign
def test_all_types_are_proven_without_a_file(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plugins' types too; a wrong one is told on stderr with status 1; no line is wider than a terminal."""
    built_in = [declared.name for declared in BUILT_IN]
    # Each of them is proven by itself in other tests.
    few = ["leaky_relu", *WITHOUT_GRADIENT, *built_in[::8], "right", "wrong"]

    def prove_few(names: list[str], folders: list[str]) -> Any:
        assert sorted(names) == sorted([*built_in, "right", "wrong"])
        return prove_all(list(dict.fromkeys(few)), folders, 300.0)  # a busy machine takes longer than the limit

    monkeypatch.setattr("graphrun.check.prove.prove_all", prove_few)
    wrong = source("x, *, scale: float = 1.0", "return scale * x * x", "return (2.001 * scale * x,)")
    plug(folder, right=source("x", "return x * x", "return (2 * x,)"), wrong=wrong)
    assert run_command(["check", "--prove", "--plugins", "plugins"]) == 1
    out, err = capsys.readouterr()
    assert max(map(len, [*out.splitlines(), *err.splitlines()])) <= 80
    assert err.startswith("wrong: wrong: the derivative for 'x' at x = ")
    assert "leaky_relu (every slope > 0), " in out.replace("\n  ", " ")
    assert out.splitlines()[-1] == (
        f"{len(set(few))} elementwise types: {len(set(few)) - 2} proven, 1 wrong, 1 with nothing to prove"
    )


@pytest.mark.campaign
def test_the_types_of_a_file_are_proven(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After the file's own check; tensor types are named as what they are."""
    plug(folder, cube=source("x", "return x * x * x", "return (3 * x * x,)"))
    file = folder.parent / "graph.yaml"
    file.write_text(
        "parameters: {a: [1, 2]}\nnodes:\n  c: {type: cube, inputs: [a]}\n  s: {type: sum, inputs: [c]}\nminimize: s\n",
        encoding="utf-8",
    )
    assert run_command(["check", "--prove", "graph.yaml", "--plugins", "plugins"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1:] == [
        "proven: cube",
        "not proven, for they are no elementwise types: sum",
        "1 elementwise type: 1 proven",
    ]
    assert not err
    assert run_command(["check", "--prove", "-q", "graph.yaml", "--plugins", "plugins"]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_file_is_needed_without_prove(capsys: pytest.CaptureFixture[str]) -> None:
    """`graphrun check` alone is a mistake, and a file that fails is not proven."""
    assert run_command(["check"]) == 2
    assert "Missing argument 'FILE...'" in capsys.readouterr().err
    assert run_command(["check", "--prove", "missing.yaml"]) == 2
    assert "missing.yaml" in capsys.readouterr().err


def test_without_sympy_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the formulas of `graphrun nodes` need none."""
    for name in [
        name for name in sys.modules if name.partition(".")[0] == "sympy" or "graphrun.check.symbolic" in name
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sympy", None)
    assert run_command(["check", "--prove"]) == 2
    assert "pip install 'graphrun[symbolic]'" in capsys.readouterr().err
    assert run_command(["nodes", "leaky_relu"]) == 0
    assert "dy/dx = where(x > 0, 1, slope)" in capsys.readouterr().out
