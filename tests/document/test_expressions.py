"""Expressions: what nodes they make, and what is told about those that are none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pytest

from graphrun.document import NodeEntry, Source, load_document
from graphrun.document.expressions import MOST_CHARACTERS, MOST_IN_A_ROW, MOST_LEVELS, ExpressionError, parse_expression


def nodes_of(text: str, name: str = "f") -> dict[str, NodeEntry]:
    """Return the nodes that an expression makes, as plain entries."""
    document = load_document(Source("g.yaml", f"nodes:\n  {name}: |-\n    {text}\n"))
    assert str(document.problems) == ""
    return {key: entry._replace(origin=None) for key, entry in document.nodes.items()}


def shown(text: str) -> list[str]:
    """Return the nodes of an expression as ``name = type(inputs, settings)``."""
    lines = []
    for name, entry in nodes_of(text).items():
        settings = [f"{key}={value!r}" for key, value in (entry.settings or {}).items()]
        lines.append(f"{name} = {entry.type}({', '.join([*map(str, entry.inputs), *settings])})")
    return lines


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("(a + b) * c", ["f.1 = add(a, b)", "f = multiply(f.1, c)"]),
        ("a - b - c", ["f.1 = subtract(a, b)", "f = subtract(f.1, c)"]),
        ("a - (b - c)", ["f.1 = subtract(b, c)", "f = subtract(a, f.1)"]),
        ("a * b + c / d", ["f.1 = multiply(a, b)", "f.2 = divide(c, d)", "f = add(f.1, f.2)"]),
        ("-a ** 2", ["f.1 = pow(a, 2)", "f = negative(f.1)"]),
        ("a ** -2", ["f = pow(a, -2)"]),
        ("a ** b ** c", ["f.1 = pow(b, c)", "f = pow(a, f.1)"]),
        ("relu(x @ W + b)", ["f.1 = matmul(x, W)", "f.2 = add(f.1, b)", "f = relu(f.2)"]),
        ("exp(a) * sin(b)", ["f.1 = exp(a)", "f.2 = sin(b)", "f = multiply(f.1, f.2)"]),
        ("where(a, exp(b), exp(c))", ["f.1 = exp(b)", "f.2 = exp(c)", "f = where(a, f.1, f.2)"]),
        ("a", ["f = identity(a)"]),
        ("(((a)))", ["f = identity(a)"]),
        ("-(2) * a", ["f = multiply(-2, a)"]),
        ("- -a", ["f.1 = negative(a)", "f = negative(f.1)"]),
        ("h.1.w * 2", ["f = multiply(h.1.w, 2)"]),
        ("hidden.W+f.1e", ["f = add(hidden.W, f.1e)"]),
        ("1.5*x+.5", ["f.1 = multiply(1.5, x)", "f = add(f.1, 0.5)"]),
        ("1_000 * 0x10", ["f = multiply(1000, 16)"]),
        ("2 + 3", ["f = add(2, 3)"]),
        ("θ * \N{FULLWIDTH LATIN SMALL LETTER X}", ["f = multiply(θ, x)"]),
        ("noise()", ["f = noise()"]),
        ("9**9**9**9", ["f.1 = pow(9, 9)", "f.2 = pow(9, f.1)", "f = pow(9, f.2)"]),
    ],
)
def test_nodes_in_order_of_evaluation(text: str, nodes: list[str]) -> None:
    """Operands come first, left to right; the last node has the expression's own name."""
    assert shown(text) == nodes


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("(a + b) * (a + b)", ["f.1 = add(a, b)", "f = multiply(f.1, f.1)"]),
        (
            "exp(-x) / (1 + exp(-x))",
            ["f.1 = negative(x)", "f.2 = exp(f.1)", "f.3 = add(1, f.2)", "f = divide(f.2, f.3)"],
        ),
        ("a + b - (b + a)", ["f.1 = add(a, b)", "f.2 = add(b, a)", "f = subtract(f.1, f.2)"]),
        ("elu(x) + elu(x, alpha=2)", ["f.1 = elu(x)", "f.2 = elu(x, alpha=2)", "f = add(f.1, f.2)"]),
        ("a / 0.0 + a / -0.0", ["f.1 = divide(a, 0.0)", "f.2 = divide(a, -0.0)", "f = add(f.1, f.2)"]),
    ],
)
def test_equal_parts_are_one_node(text: str, nodes: list[str]) -> None:
    """Equal means the same type, inputs and settings: 0.0 and -0.0 differ, and so do a + b and b + a."""
    assert shown(text) == nodes


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", 1),
        ("-0.5", -0.5),
        ("1e-3", 0.001),
        ("'tanh'", "tanh"),
        ('"a # b"', "a # b"),
        ("'f.1 $ 2'", "f.1 $ 2"),
        ("[0, [1, -2]]", [0, [1, -2]]),
        ("(0, 1)", [0, 1]),
        ("True", True),
        ("true", True),
        ("FALSE", False),
        ("None", None),
        ("null", None),
    ],
)
def test_settings_are_literals(written: str, value: object) -> None:
    """In Python's spelling and in YAML's."""
    settings = nodes_of(f"pool(x, s={written})")["f"].settings
    assert settings == {"s": value}
    assert type(settings["s"]) is type(value)


REFUSED = [
    ("", "the expression is empty"),
    ("a b", "'b' cannot stand here"),
    ("a +", "the expression ends too early"),
    ("(a", "'(' was never closed"),
    ("a)", "unmatched ')'"),
    ("2x", "'2x' cannot stand here"),
    ("2(x)", "only node types can be called"),
    ("np.exp(x)", "only node types can be called"),
    ("5", "a number is no node"),
    ("a % b", "'%' is not part of expressions"),
    ("a // b", "'//' is not part of expressions"),
    ("a ^ 2", "'^' is not part of expressions"),
    ("+a", "'+ in front of a value' is not part of expressions"),
    ("a < b", "'<' is not part of expressions"),
    ("a < b < c", "'<' is not part of expressions"),
    ("a is b", "'is' is not part of expressions"),
    ("a in b", "'in' is not part of expressions"),
    ("not a", "'not' is not part of expressions"),
    ("a and b", "'and' is not part of expressions"),
    ("a if b else c", "'if ... else' is not part of expressions"),
    ("x[0]", "'[...]' is not part of expressions"),
    ("a = b", "'=' is not part of expressions"),
    ("'a' + b", "an input is a name or a number, not 'a'"),
    ("True + b", "an input is a name or a number, not 'True'"),
    ("1j * b", "an input is a name or a number, not '1j'"),
    ("... + b", "an input is a name or a number, not '...'"),
    ("a # b", "'#' has no meaning in an expression"),
    ("a \\ b", "'\\' has no meaning in an expression"),
    ("a \N{MINUS SIGN} b", "the character '\N{MINUS SIGN}' (U+2212) cannot stand in an expression"),
    ("x²", "the character '²' (U+00B2) cannot stand in an expression"),
    ("f(x, s=a)", "a setting is a literal, not the name 'a'"),
    ("f(x, s=1 + 2)", "a setting is a number, a text, a list, true, false or null"),
    ("f(x, s=1, s=2)", "the setting 's' stands twice"),
    ("f(x, type=1)", "'type' is no setting"),
    ("f(x, inputs=1)", "'inputs' is no setting"),
    ("f(s=1, x)", "positional argument follows keyword argument"),
    ("$a * 2", "'$a' is unknown"),
    ("f(x, s=[$a])", "'$a' is unknown"),
    ("$", "'$' stands in front of a setting's name"),
    ("a$b", "'$' stands in front of a setting's name"),
    ("$$a", "'$' stands in front of a setting's name"),
    ("0777 * x", "a number does not begin with 0"),
    ("1e999 * x", "the number is too large"),
    ("f(x, s=1e999)", "the number is too large"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_no_expression(text: str, message: str, problems_of: Callable[[str], str]) -> None:
    """Each is one problem in plain words."""
    quoted = text.replace("'", "''")
    problems = problems_of(f"nodes:\n  f: '{quoted}'\n")
    assert problems.startswith("g.yaml:2:")
    assert problems.split(": ", 1)[1].startswith(message)
    assert problems.count("g.yaml") == 1


HOSTILE = [
    "__import__('os').system('true')",
    "().__class__.__bases__[0].__subclasses__()",
    "x.__class__.__init__.__globals__()",
    "eval('1')(x)",
    "f'{x}'",
    "f'{__import__(\"os\")}' + x",
    "(x := 1)",
    "lambda: x",
    "[x for x in y]",
    "{x: y for x in y}",
    "(x for x in y)",
    "f(*x)",
    "f(**x)",
    "await x",
    "(yield)",
    "{x}",
    "{x: y}",
    "[x, y]",
    "x, y",
    "x; import os",
    "import os",
    "b'x' * y",
    "'''x\n'''",
    "\0",
    "a\0b",
    "a \N{FULLWIDTH PLUS SIGN} b",
    "x * \N{FULLWIDTH DIGIT TWO}",
    "\N{FULLWIDTH LEFT PARENTHESIS}x\N{FULLWIDTH RIGHT PARENTHESIS}",
    "a\N{ZERO WIDTH SPACE}b",
    "\N{RIGHT-TO-LEFT OVERRIDE}a + b",
    "a\N{LATIN LETTER RETROFLEX CLICK}",
    "a\N{LATIN LETTER ALVEOLAR CLICK}1",
    "\ud800",
    "-" * 99_999 + "x",
    "-" * 1_000 + "x",
    "(" * 300 + "x" + ")" * 300,
    "x ** " * 300 + "x",
    "x ** " * 20_000 + "x",
    "x + " * 24_000 + "x",
    "f(" * 300 + "x" + ")" * 300,
    "f" + "(x)" * 30_000,
    "[" * 50_000,
    "{" * 50_000,
    "x" + "[0]" * 30_000,
    "x." * 49_000 + "x",
    "x if y else " * 8_000 + "z",
    "lambda:" * 14_000 + "x",
    "not " * 24_000 + "x",
    "x and " * 16_000 + "y",
    "x < " * 24_000 + "y",
    "f(x, s=" + "-" * 1_500 + "1)",
    "f(x, s=" + "[" * 199 + "]" * 199 + ")",
    "f(x, s=" + "[" * 250 + "]" * 250 + ")",
    "f(x, s=0x" + "f" * 90_000 + ")",
    "f(x, s=" + "9" * 5_000 + ")",
    "x * 0x" + "f" * 90_000,
    "x * " + "9" * 90_000,
    "x" * (MOST_CHARACTERS + 1),
    "'" * 99_999,
    "$" * 99_999,
    "é" * 50_000 + " + ) ",
]


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:30]))
def test_hostile_expressions_end_quickly(text: str) -> None:
    """With an error or with nodes, within a second; nothing is evaluated."""
    start = time.process_time()
    outcome: object
    try:
        outcome = parse_expression(text)
    except ExpressionError as error:
        outcome = error
    assert time.process_time() - start < 1
    if isinstance(outcome, ExpressionError):
        assert len(outcome.message) < 300
        assert 0 <= outcome.offset <= len(text)
    else:
        # What passes is names and calls, which the next stage looks up.
        assert {type(node.type) for node in outcome} == {str}  # type: ignore[attr-defined]


def test_a_name_with_underscores_is_a_name() -> None:
    """An attribute is never looked up: `x.__class__` is the name of a value that there is not."""
    assert shown("x.__class__") == ["f = identity(x.__class__)"]


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("x" * (MOST_CHARACTERS + 1), f"at most {MOST_CHARACTERS:,} characters"),
        ("-" * (MOST_LEVELS + 2) + "x", f"at most {MOST_LEVELS} levels"),
        ("x + " * (MOST_IN_A_ROW + 1) + "x", f"at most {MOST_IN_A_ROW:,} operators in a row"),
    ],
)
def test_limits_and_their_messages(text: str, limit: str) -> None:
    """Each limit is named in its message."""
    with pytest.raises(ExpressionError, match=limit):
        parse_expression(text)


def test_within_the_limits() -> None:
    """As much as the limits allow is read, from a deep stack too."""

    def deeper(levels: int) -> int:
        return len(parse_expression("x + " * MOST_IN_A_ROW + "x")) if levels == 0 else deeper(levels - 1)

    assert deeper(50) == MOST_IN_A_ROW
    assert len(parse_expression("-" * (MOST_LEVELS - 1) + "x")) == MOST_LEVELS - 1
    calls = "f(" * 150 + "x" + ")" * 150
    assert len(parse_expression(calls)) == 150
    assert sys.getrecursionlimit() >= 1000


PLACES = [
    ("nodes:\n  f: a + b % c\n", "2:12"),
    ("nodes: {f: a + b % c}\n", "1:18"),
    ("nodes:\n  f: 'a + b % c'\n", "2:13"),
    ('nodes:\n  f: "a + b % c"\n', "2:13"),
    ("nodes:\n  f: 'f(x, s=''t'') % c'\n", "2:21"),
    ('nodes:\n  f: "f(x, s=\\"t\\") % c"\n', "2:21"),
    ('nodes:\n  f: "\\u03b8 \\x25 c"\n', "2:14"),
    ('nodes:\n  f: "a\\tb % c"\n', "2:10"),
    ('nodes:\n  f: "a\\t\\n + b\\x20% c"\n', "2:20"),
    ('nodes:\n  f: "a + \\\n    b % c"\n', "3:7"),
    ("nodes:\n  f: a\n    + b\n    % c\n", "4:5"),
    ("nodes:\n  f: 'a\n\n    + b\n    % c'\n", "5:5"),
    ("nodes:\n  f: |\n    a\n    + b % c\n", "4:9"),
    ("nodes:\n  f: |2-  # why\n    a + b % c\n", "3:11"),
    ("nodes:\n  f: >\n    a\n    + b\n\n    % c\n", "6:5"),
    ("nodes:\n  f: !!str a + b % c\n", "2:18"),
    ("nodes:\n  f: &e a + b % c\n", "2:15"),
    ("nodes:\n  f: &e !!str 'a + b % c'\n", "2:22"),
    ("nodes:\r\n  f: a\r\n    + b % c\r\n", "3:9"),
    ("nodes:\n  θ: \N{FULLWIDTH LATIN SMALL LETTER A} + \N{FULLWIDTH LATIN SMALL LETTER B} % c\n", "2:12"),
    ("description: &e a % c\nnodes:\n  f: *e\n", "3:6"),
    ("nodes:\n  f: a + b +\n", "2:13"),
    ("nodes:\n  f: a + (b\n", "2:10"),
]


@pytest.mark.parametrize(("text", "place"), PLACES)
def test_errors_stand_at_their_characters(text: str, place: str, problems_of: Callable[[str], str]) -> None:
    """Line and column are those of the file, however the text is written in it."""
    assert problems_of(text).splitlines()[0].startswith(f"g.yaml:{place}: ")


def test_a_made_name_that_is_taken_is_refused(problems_of: Callable[[str], str]) -> None:
    """Neither of the two nodes may take the other's place."""
    text = "nodes:\n  f: a * b + c\n  f.1: a - b\n"
    assert problems_of(text).splitlines()[0] == (
        "g.yaml:3:3: the name 'f.1' stands twice: the expression 'f' makes it too"
    )


def test_the_names_of_nodes_do_not_depend_on_other_nodes() -> None:
    """A node of its own before or after changes no name."""
    alone = nodes_of("a * b + c")
    text = "nodes:\n  d: a - b\n  f: a * b + c\n  g: f ** 2 + 1\n"
    among = load_document(Source("g.yaml", text)).nodes
    assert [name for name in among if name.partition(".")[0] == "f"] == list(alone)
