"""The writer of expressions: a language is a table; lines of programs and formulas for readers come from one trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from graphrun import nodes
from graphrun.declare.notation import (
    AS_IT_IS,
    ATOM,
    CHOICE,
    NOT,
    OPERATORS,
    TEXT,
    Form,
    Notation,
    python,
    signed,
)
from graphrun.declare.trace import Expression, Recorder, trace
from graphrun.declare.writer import DEEPEST, Writer, write_line

TYPES = {declared.name: declared for declared in nodes.graphrun_node_types()}

JAVASCRIPT = Notation(
    forms=OPERATORS
    | {
        "where": Form("{0} ? {1} : {2}", CHOICE, (NOT, NOT, CHOICE)),
        "logical_not": Form("!{0}", ATOM, (ATOM,)),
        "cast": AS_IT_IS,
        "number": AS_IT_IS,
    },
    functions={"round": "Math.round", "maximum": "Math.max", "exp": "Math.exp"},
    number=lambda value, _: signed(f"{value:g}"),
    truths=("false", "true"),
)


def traced(function: Callable[..., Any], names: str = "x", **settings: Any) -> Expression:
    """Trace a function of some inputs."""
    recorder = Recorder(np.dtype(np.float64))
    return recorder.lift(trace(recorder, function, [recorder.input(name) for name in names], settings))


def lines(root: Expression, notation: Notation, names: Mapping[str, str] | None = None) -> list[str]:
    """Write an expression as the lines of a program; the last one is its value."""
    written: list[str] = []
    texts = Writer(notation, written.append, lambda: f"t{len(written) + 1}").write(
        [root], names or {"x": "x", "y": "y"}
    )
    return [*written, *texts]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sigmoid", ["1 / (1 + Math.exp(-x))"]),
        ("abs", ["abs(x)"]),
        ("logical_xor", ["(x != 0) ^ (y != 0)"]),
        ("maximum", ["Math.max(x, y)"]),
        ("hypot", ["hypot(x, y)"]),
    ],
)
def test_another_language_is_another_table(name: str, text: list[str]) -> None:
    """Operators that it shares with Python need no entry."""
    declared = TYPES[name]
    root = traced(declared.function, "xy"[: declared.arity[0]])
    assert lines(root, JAVASCRIPT) == text


def test_a_choice_of_another_language() -> None:
    """Its parts are put in parentheses by the order of operators."""
    root = traced(lambda xp, x: xp.where(xp.logical_not((x > 0) & (x < 1)), x, 2 * x) + 1)
    assert lines(root, JAVASCRIPT) == ["(!((x > 0) & (x < 1)) ? x : 2 * x) + 1"]


@pytest.mark.parametrize("name", ["sigmoid", "gelu", "softplus", "clip", "remainder", "pow", "round", "where", "mish"])
def test_lines_of_python_compute(name: str) -> None:
    """What is written computes what is declared."""
    declared = TYPES[name]
    inputs = dict(zip("xyz", (0.75, 2.5, -1.25), strict=False))
    names = "xyz"[: declared.arity[0]]
    settings = dict(declared.default_settings or ())
    root = traced(declared.function, names, **settings)
    *assignments, result = lines(root, python(), {name: name for name in names})
    known = vars(math) | inputs | {
        "logaddexp": np.logaddexp, "rint": round, "sign": np.sign, "max": max, "min": min, "abs": abs, "float": float,
    }  # fmt: skip
    for line in assignments:
        exec(line, known)  # noqa: S102 (the text under test)
    expected = declared.function(np, *(np.float64(inputs[n]) for n in names), **settings)
    assert eval(result, known) == pytest.approx(float(expected), rel=1e-14)  # noqa: S307


def test_what_is_used_twice_has_a_name_in_a_program() -> None:
    """And is written twice for a reader, up to a length."""

    def function(xp: Any, x: Any) -> Any:
        gate = xp.exp(x)
        return gate * gate + gate

    root = traced(function)
    assert lines(root, python()) == ["t1 = exp(x)", "t1 * t1 + t1"]
    assert write_line(root, {"x": ("x", ATOM)}, TEXT) == ("exp(x) ** 2 + exp(x)", OPERATORS["add"].binding)
    assert write_line(root, {"x": ("x", ATOM)}, TEXT, most=5) is None


def test_what_has_a_name_is_not_taken_apart() -> None:
    """Neither in lines nor, of a product, by its factors."""
    recorder = Recorder(np.dtype(np.float64))
    x = recorder.input("x")
    known = x * 0.5
    root = known * x
    assert write_line(root, {"x": ("x", ATOM)}, TEXT) == ("x * 0.5 * x", OPERATORS["multiply"].binding)
    assert write_line(root, {"x": ("x", ATOM)}, TEXT, {known: ("v", ATOM)}) == ("v * x", OPERATORS["multiply"].binding)
    assert Writer(python(), print, str).write([root], {"x": "x"}, {known: "v"}) == ["v * x"]


def test_signs_stand_in_parentheses_for_readers() -> None:
    """Python needs none after an operator."""
    root = traced(lambda xp, x: xp.maximum(x, 0.0) / xp.negative(xp.exp(x)) ** 2.0 - (-2.5) ** x)
    assert lines(root, python())[-1] == "max(x, 0) / (-exp(x)) ** 2 - pow(-2.5, x)"
    assert write_line(root, {"x": ("x", ATOM)}, TEXT) == (
        "maximum(x, 0) / (-exp(x)) ** 2 - (-2.5) ** x",
        OPERATORS["subtract"].binding,
    )
    program, formula = lines(traced(lambda _, x: 3.0 + (-2.5) / x), python()), traced(lambda _, x: 3.0 + (-2.5) / x)
    assert program == ["3 + -2.5 / x"]
    assert write_line(formula, {"x": ("x", ATOM)}, TEXT) == ("3 + (-2.5 / x)", OPERATORS["add"].binding)


def test_deep_expressions_are_cut() -> None:
    """Python's parser takes 200 levels of parentheses."""

    def function(xp: Any, x: Any) -> Any:
        for _ in range(3 * DEEPEST):
            x = xp.exp(x)
        return x

    written = lines(traced(function), python())
    assert len(written) > 3
    assert all(line.count("(") <= DEEPEST for line in written)
