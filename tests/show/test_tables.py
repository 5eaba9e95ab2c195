"""The four formats: a table for people, JSON, JSON lines and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import lesson
import numpy as np
import pytest

import graphrun
from graphrun.base.numbertext import format_value
from graphrun.cli.entry import run_command
from graphrun.document.excerpt import cells
from graphrun.show.tables import align, fitted

NESTED = f"{lesson.NESTED}steps: 2\n"
ARRAYS = """\
parameters: {W: [[1, 2, 3], [4, 5, 6]]}
nodes:
  s: {type: square, inputs: [W]}
  f: {type: sum, inputs: [s]}
minimize: f
update: {type: sgd, step_size: 0.25}
record: [f, W]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the working folder, with the nested lesson and a graph of arrays."""
    monkeypatch.chdir(tmp_path)
    Path("nested.yaml").write_text(NESTED, encoding="utf-8")
    Path("arrays.yaml").write_text(ARRAYS, encoding="utf-8")
    return tmp_path


def output(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """Run graphrun and return what it writes to stdout."""
    assert run_command(arguments) == status
    return capsys.readouterr().out


def strict_json(text: str) -> Any:
    """Read JSON as its standard has it, without Python's NaN and Infinity."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_table_shows_the_rows_and_the_final_values(capsys: pytest.CaptureFixture[str]) -> None:
    """The nested lesson's table: a row for each step, then value and gradient of every name, then the reason."""
    assert output(capsys, "nested.yaml") == (
        "step           f       a        b        c\n"
        "   0          -4       5       -3       -2\n"
        "   1     -3.8808    4.98    -3.02    -1.98\n"
        "   2  -3.7647522  4.9602  -3.0398  -1.9604\n"
        "\n"
        "        value  gradient\n"
        "a      4.9602   -1.9604\n"
        "b     -3.0398   -1.9604\n"
        "c     -1.9604    1.9204\n"
        "d      1.9204   -1.9604\n"
        "f  -3.7647522         1\n"
        "\n"
        "stopped: steps\n"
    )


@pytest.mark.parametrize("steps", [19, 20, 500, 5000])
def test_the_table_shows_at_most_twenty_rows(steps: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The first and the last row are always among them, and a note says how many there are."""
    text = output(capsys, "nested.yaml", "--steps", str(steps))
    rows = text.split("\n\n")[0].splitlines()[1:]
    numbers = [int(row.split()[0]) for row in rows if not row.startswith("(")]
    assert len(numbers) == min(20, steps + 1)
    assert numbers == sorted(set(numbers))
    assert (numbers[0], numbers[-1]) == (0, steps)
    assert ("20 of" in rows[-1]) is (steps > 19)


def test_a_wide_table_is_cut_with_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    """More columns and more values than fit are counted, not printed."""
    names = [f"p{number}" for number in range(60)]
    Path("wide.yaml").write_text(
        f"parameters: {{{', '.join(f'{name}: 1' for name in names)}}}\n"
        "nodes: {f: {type: add, inputs: [p0, p1]}}\nminimize: f\n",
        encoding="utf-8",
    )
    text = output(capsys, "wide.yaml")
    assert "9 of 62 columns" in text
    assert "(40 of 61 values; --format json gives all)" in text
    assert max(map(len, text.splitlines())) < 120


def test_json_is_one_object_of_documented_keys(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON form of the nested lesson after one step, whole."""
    data = strict_json(output(capsys, "nested.yaml", "--steps", "1", "--format", "json"))
    assert list(data) == [
        "graph", "steps", "stopped", "engine", "objective", "parameters", "values", "gradients", "history",
    ]  # fmt: skip
    assert (data["graph"], data["steps"], data["stopped"], data["engine"]) == ("nested.yaml", 1, "steps", "numpy")
    assert data["objective"] == {"name": "f", "direction": "maximize", "value": pytest.approx(-3.8808)}
    assert data["parameters"] == pytest.approx({"a": 4.98, "b": -3.02, "c": -1.98})
    assert data["values"] == pytest.approx({"d": 1.96, "f": -3.8808})
    assert data["gradients"] == pytest.approx({"a": -1.98, "b": -1.98, "c": 1.96, "d": -1.98, "f": 1})
    assert list(data["history"]) == ["step", "f", "a", "b", "c"]
    assert data["history"]["step"] == [0, 1]
    assert data["history"]["f"] == pytest.approx([-4, -3.8808])


def test_json_gives_numbers_back_to_the_last_bit(capsys: pytest.CaptureFixture[str]) -> None:
    """What a program reads from JSON is what the Python interface gives."""
    data = strict_json(output(capsys, "nested.yaml", "--steps", "7", "--format", "json"))
    result = graphrun.load("nested.yaml").run(7)
    assert data["parameters"] == result.parameters
    assert data["gradients"] == result.gradients
    assert data["history"]["f"] == result.history["f"].tolist()


def test_json_holds_arrays_as_nested_lists(capsys: pytest.CaptureFixture[str]) -> None:
    """A matrix is a list of lists, and its history a list of those."""
    data = strict_json(output(capsys, "arrays.yaml", "--format", "json"))
    assert data["parameters"]["W"] == [[0.5, 1, 1.5], [2, 2.5, 3]]
    assert data["gradients"]["W"] == [[1, 2, 3], [4, 5, 6]]
    assert data["history"]["W"] == [[[1, 2, 3], [4, 5, 6]], [[0.5, 1, 1.5], [2, 2.5, 3]]]


LARGE = """\
constants: {half: 0.5}
parameters: {w: {shape: [2000], init: {type: ones}}, b: 1}
nodes:
  residual: w * half - b
  same: residual * 1
  small: slice(residual, stop=1000)
  spread: std(same)
  loss: sum(small ** 2) + sum(same ** 2)
minimize: loss
steps: 1
record: [loss, same]
"""


def test_json_leaves_out_what_is_large_and_was_not_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Nodes of more than a thousand elements; parameters and what is recorded are in it, and `--all` has everything."""
    Path("large.yaml").write_text(LARGE, encoding="utf-8")
    result = graphrun.load("large.yaml").run()
    data = strict_json(output(capsys, "large.yaml", "--format", "json"))
    everything = strict_json(output(capsys, "large.yaml", "--format", "json", "--all"))
    assert "left_out" not in everything
    assert list(everything["values"]) == list(result.values)
    for name, gradient in result.gradients.items():
        np.testing.assert_array_equal(everything["gradients"][name], gradient)
    left = {"residual.1", "residual", "same", "loss.3"}
    assert data["left_out"].keys() == left
    assert data["left_out"]["residual"] == [2000]
    assert data["values"].keys() == everything["values"].keys() - (left - {"same"})
    assert data["gradients"].keys() == everything["gradients"].keys() - left
    for part in ("values", "gradients"):
        assert all(everything[part][name] == value for name, value in data[part].items())
    assert data["history"] == everything["history"]
    assert run_command(["large.yaml", "--all"]) == 2
    assert "--all goes with --format json" in capsys.readouterr().err


def test_the_table_shows_coefficients(capsys: pytest.CaptureFixture[str]) -> None:
    """A parameter of five to twenty elements has a row for each, with its gradient; a larger one is summarized."""
    text = "parameters: {w: [[1.5, 2, 3], [4, 5, 6]], v: {shape: [21], init: {type: ones}}}\n"
    text += "nodes: {s: w * 2, f: sum(s * w) + sum(v)}\nminimize: f\nsteps: 0\n"
    Path("fit.yaml").write_text(text, encoding="utf-8")
    lines = output(capsys, "fit.yaml").split("\n\n")[1].splitlines()
    rows = [line.split() for line in lines]
    assert rows[1:7] == [
        [f"w[{i},{j}]", f"{value:g}", f"{4 * value:g}"]
        for i, row in enumerate([[1.5, 2, 3], [4, 5, 6]])
        for j, value in enumerate(row)
    ]
    assert rows[7] == ["v", "(21,)", "in", "[1,", "1]", "(21,)", "in", "[1,", "1]"]
    assert [row[0] for row in rows[8:]] == ["s", "f.1", "f.2", "f.3", "f"]


def test_json_of_a_graph_without_objective(capsys: pytest.CaptureFixture[str]) -> None:
    """Without an objective there is none in the JSON, no step is made, and there are no gradients."""
    Path("forward.yaml").write_text(
        "constants: {x: 2}\nnodes: {y: {type: square, inputs: [x]}}\nsteps: 5\n", encoding="utf-8"
    )
    data = strict_json(output(capsys, "forward.yaml", "--format", "json"))
    assert data["objective"] is None
    assert data["gradients"] == {}
    assert data["values"] == {"y": 4}
    assert data["history"] == {"step": [0], "y": [4]}


@pytest.mark.parametrize(
    ("value", "node", "text"),
    [
        ("0", "{type: log, inputs: [x]}", "-Infinity"),
        ("-1", "{type: log, inputs: [x]}", "NaN"),
        ("1e308", "{type: multiply, inputs: [x, 10]}", "Infinity"),
        ("[1, 0]", "{type: log, inputs: [x]}", [0, "-Infinity"]),
    ],
)
@pytest.mark.parametrize("output_format", ["json", "jsonl"])
def test_what_is_not_finite_is_text_in_json(
    value: str, node: str, text: Any, output_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON has no NaN and no infinities, so they are the strings "NaN", "Infinity" and "-Infinity"."""
    Path("bad.yaml").write_text(
        f"parameters: {{x: {value}}}\nnodes:\n  y: {node}\n  f: {{type: sum, inputs: [y]}}\n"
        "minimize: f\nrecord: [f, y]\n",
        encoding="utf-8",
    )
    written = output(capsys, "bad.yaml", "--format", output_format, status=1)
    data = strict_json(written)
    assert data["history"]["y"] == [text] if output_format == "json" else data["y"] == text
    if output_format == "json":
        assert data["values"]["y"] == text
        assert data["stopped"].startswith("not finite: step 0: the value of node 'y'")


def test_json_lines_are_the_recorded_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line is an object with the step and what is recorded, and they are the rows of the history."""
    text = output(capsys, "nested.yaml", "--format", "jsonl", "--steps", "5", "--every", "2", "--record", "f,d")
    rows = [strict_json(line) for line in text.splitlines()]
    history = graphrun.load("nested.yaml").run(5, every=2, record=["f", "d"]).history
    assert [row["step"] for row in rows] == [0, 2, 4, 5]
    assert [list(row) for row in rows] == [["step", "f", "d"]] * 4
    assert [row["d"] for row in rows] == history["d"].tolist()


def test_csv_is_the_recorded_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """A header and a line for each row, with all digits; each element of an array has a column of its own."""
    rows = list(csv.reader(io.StringIO(output(capsys, "arrays.yaml", "--format", "csv"))))
    assert rows[0] == ["step", "f", "W[0,0]", "W[0,1]", "W[0,2]", "W[1,0]", "W[1,1]", "W[1,2]"]
    assert [[float(cell) for cell in row] for row in rows[1:]] == [
        [0, 91, 1, 2, 3, 4, 5, 6],
        [1, 22.75, 0.5, 1, 1.5, 2, 2.5, 3],
    ]
    text = output(capsys, "nested.yaml", "--format", "csv", "--steps", "9")
    result = graphrun.load("nested.yaml").run(9)
    assert float(text.splitlines()[-1].split(",")[1]) == result.objective.value  # type: ignore[union-attr]


@pytest.mark.parametrize("command", [[], ["draw"], ["report", "-o", "x.html"]])
def test_a_library_is_nothing_to_run(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A file of subgraphs alone has nothing to show, which is said in place of an empty table."""
    Path("blocks.yaml").write_text(
        "subgraphs:\n  half: {inputs: [x], nodes: {y: x / 2}, output: y}\n", encoding="utf-8"
    )
    assert run_command([*command, "blocks.yaml"]) == 2
    message = "graphrun: blocks.yaml is a library of the subgraphs half, for other files to include: nothing to run\n"
    assert capsys.readouterr() == ("", message)


@pytest.mark.parametrize("output_format", ["table", "json", "jsonl", "csv"])
def test_every_format_takes_an_empty_graph(output_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A graph of constants alone has a row with the step and nothing else."""
    Path("constants.yaml").write_text("constants: {x: 2}\n", encoding="utf-8")
    text = output(capsys, "constants.yaml", "--format", output_format)
    assert "step" in text
    assert "0" in text


def test_an_empty_record_leaves_the_steps(capsys: pytest.CaptureFixture[str]) -> None:
    """`--record ""` records nothing but the numbers of the steps."""
    assert output(capsys, "nested.yaml", "--record", "", "--format", "csv") == "step\n0\n1\n2\n"


def test_recorded_names_are_normalized(capsys: pytest.CaptureFixture[str]) -> None:
    """A name on the command line is the same as in the file, in whichever of Unicode's forms a keyboard gives it."""
    Path("accent.yaml").write_text("parameters: {\u00e9: 1}\nminimize: \u00e9\n", encoding="utf-8")
    text = output(capsys, "accent.yaml", "--record", "e\u0301", "--format", "csv")
    assert text.startswith("step,\u00e9\n")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (1 / 3, "0.33333333"),
        (-1.23456789e-7, "-1.2345679e-07"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (np.int64(3), "3"),
        (np.array([1.0, 1 / 3]), "[1.0, 0.3333]"),
        (np.array([[1.0, math.nan], [math.inf, 2.0]]), "[[1.0, NaN], [Infinity, 2.0]]"),
        (np.zeros((0, 3)), "[]"),
        (np.arange(6.0).reshape(2, 3), "(2, 3) in [0, 5]"),
    ],
)
def test_values_are_shown_short(value: Any, text: str) -> None:
    """Numbers have eight digits, small arrays are whole, large ones a shape and a range."""
    assert format_value(value) == text


def test_columns_are_aligned() -> None:
    """Cells are padded to the widest of their column, without blanks at the ends of lines."""
    assert list(align([["a", "b"], ["long", ""]], left=1)) == ["a     b", "long"]


JAPANESE = """\
parameters: {重み: 1.23456789e-12, バイアス: 3, theta_long_name_of_something: 1e-30, W: [0.123, 0.234, 1.2e-7]}
nodes: {損失: (重み * 1e20 - バイアス) ** 2 + theta_long_name_of_something, g: sum(W), f: 損失 + g}
minimize: f
steps: 3
"""


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize(
    "command",
    [["run", "wide.yaml"], ["show", "wide.yaml", "--format", "table"], ["nodes"], ["nodes", "conv2d"], ["plugins"]],
    ids=" ".join,
)
def test_what_is_printed_fits_the_terminal(
    columns: int, command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line is wider than the terminal; wide characters take two columns."""
    Path("wide.yaml").write_text(JAPANESE, encoding="utf-8")
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = output(capsys, *command).splitlines()
    assert max(map(cells, lines)) <= columns


@pytest.mark.parametrize("columns", range(20, 60))
def test_numbers_keep_their_exponents(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However narrow the terminal is, each number has an exponent, and it is the right one."""
    Path("one.yaml").write_text(
        "parameters: {重み: 1.23456789e-12}\nnodes: {f: 重み * -1e200}\nminimize: f\n", encoding="utf-8"
    )
    monkeypatch.setenv("COLUMNS", str(columns))
    for command in (["run", "one.yaml", "--steps", "0"], ["show", "one.yaml", "--format", "table"]):
        lines = output(capsys, *command).splitlines()
        numbers = [float(word) for line in lines for word in line.split() if re.fullmatch(r"-?[\d.]+e[-+]?\d+", word)]
        assert {round(math.log10(abs(number))) for number in numbers} <= {-12, 188, 200}
        assert [number for number in numbers if number == pytest.approx(1.23456789e-12, rel=0.2)]


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        ("-1.2345678e-123", 9, "-1.2e-123"),
        ("-1.2345678e-123", 7, "-1e-123"),
        ("0.123456", 5, "0.123"),
        ("784", 8, "784"),
        ("[0.123456, -1.2345e-7, 3]", 20, "[0.123, -1.23e-7, 3]"),
        ("[0.123456, -1.2345e-7, 3]", 19, "[0.123, -1.23e-7, …"),
        ("[0.123456, -1.2345e-7, 3]", 12, "[0.123, …"),
    ],
)
def test_a_number_loses_digits_first(text: str, most: int, shown: str) -> None:
    """Then an array loses elements, and never a part of one."""
    assert fitted(text, most) == shown


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lbfgs", ["a solver, built in", "update: {type: lbfgs}", "memory: int, 1 or more, default 10"]),
        ("cosine", ["a schedule, built in", "start: float, 0 or more, required", "steps: int, 1 or more, required"]),
        ("he_normal", ["an initializer, built in", "init: {type: he_normal}"]),
        ("constant", ["a schedule, built in", "an initializer, built in"]),
    ],
)
def test_solvers_schedules_and_initializers_are_told_of(
    name: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """As node types are, with how they are used; and misspelt ones are found."""
    text = output(capsys, "nodes", name)
    for word in words:
        assert word in text
    assert f"\n  {name}(" in output(capsys, "nodes")
    assert run_command(["nodes", f"{name}x"]) == 2
    assert f"did you mean {name!r}?" in capsys.readouterr().err


def test_every_row_that_was_asked_for_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """`--every 1` is a wish for every row; without it, 20 of them show the way."""
    assert output(capsys, "nested.yaml", "--steps", "100", "--every", "1").split("\n\n")[0].count("\n") == 101
    assert "20 of 101" in output(capsys, "nested.yaml", "--steps", "100")
