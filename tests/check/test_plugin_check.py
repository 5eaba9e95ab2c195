"""What `check_node_type` finds of a plugin beyond its derivatives at the default settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphrun.testing import CheckError, check_node_type, load_plugin

HEAD = "import graphrun\nimport numpy as np\n\n"
HOOK = "\n\n@graphrun.hookimpl\ndef graphrun_node_types():\n    return [own]\n"


def failure(tmp_path: Path, body: str, hook: str = HOOK) -> str:
    """Return what is wrong with the type `own` of a plugin file; nothing where it passes."""
    file = tmp_path / "own.py"
    file.write_text(HEAD + body + hook, encoding="utf-8")
    try:
        check_node_type(load_plugin(file).own)
    except CheckError as error:
        return str(error)
    return ""


def elementwise(forward: str, derivative: str, settings: str = "", decorator: str = "@graphrun.elementwise") -> str:
    """Return the source of an elementwise type of one input."""
    names = ", ".join(["*", *(part.split(":")[0].strip() for part in settings.split(","))]) if settings else ""
    return (
        f"{decorator}\ndef own(xp, x{', *, ' + settings if settings else ''}):\n"
        f'    """Own."""\n    return {forward}\n\n\n'
        f"@own.local_derivatives\ndef _(xp, y, x{', ' + names if names else ''}):\n    return ({derivative},)\n"
    )


FINE = elementwise("x * 2", "2.0")


def test_a_good_plugin_passes(tmp_path: Path) -> None:
    """With its hook, its kink, and settings that mean something everywhere."""
    assert failure(tmp_path, FINE) == ""
    kinked = "@graphrun.elementwise(kinks=[graphrun.Kink({'x': 0}, (0,))])"
    assert failure(tmp_path, elementwise("xp.abs(x)", "xp.sign(x)", decorator=kinked)) == ""
    assert failure(tmp_path, elementwise("x * slope", "slope", "slope: float = 1.0")) == ""


@pytest.mark.parametrize(
    ("hook", "text"),
    [
        ("", "it implements no hook"),
        ("\n\ndef graphrun_node_types():\n    return [own]\n", "it implements no hook"),
        ("\n\n@graphrun.hookimpl\ndef graphrun_node_type():\n    return [own]\n", "'graphrun_node_type' is unknown"),
        ("\n\n@graphrun.hookimpl\ndef graphrun_node_types():\n    return []\n", "does not return it"),
        (HOOK.replace("[own]", "[own, own]"), "declares it twice"),
    ],
)
def test_a_plugin_that_would_not_be_loaded(tmp_path: Path, hook: str, text: str) -> None:
    """The reason is the one that a run would give."""
    assert text in failure(tmp_path, FINE, hook)


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    """Of another type of the plugin, too: a plugin is loaded whole or not at all."""
    other = "\n\n@graphrun.elementwise\ndef tanh(xp, x):\n    return x * 1.0\n"
    assert "'tanh' is taken" in failure(tmp_path, FINE + other, HOOK.replace("[own]", "[own, tanh]"))


@pytest.mark.parametrize("name", ["type", "inputs", "repeat", "share"])
def test_a_setting_that_is_a_key(tmp_path: Path, name: str) -> None:
    """A graph file could not give it."""
    assert f"cannot be called {name!r}" in failure(tmp_path, elementwise("x * 2", "2.0", f"{name}: float = 1.0"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_cast_to_another_dtype(tmp_path: Path, dtype: str) -> None:
    """The dtype is the graph's."""
    assert f"makes {dtype}: it casts" in failure(tmp_path, elementwise(f"xp.asarray(x, dtype=np.{dtype}) * 2", "2.0"))


@pytest.mark.parametrize(
    ("forward", "derivative", "place"),
    [
        ("xp.abs(x)", "xp.sign(x)", "x = 0"),
        ("xp.maximum(x, 0.7)", "xp.where(x > 0.7, 1.0, 0.0)", "x = 0.7"),
        ("xp.where(x < -1.3, 2 * x, x - 1.3)", "xp.where(x < -1.3, 2.0, 1.0)", "x = -1.3"),
        ("xp.sign(x) * x", "xp.sign(x)", "x = 0"),
    ],
)
def test_a_kink_that_is_not_declared(tmp_path: Path, forward: str, derivative: str, place: str) -> None:
    """It is found by the jump of the derivative, wherever it is."""
    text = failure(tmp_path, elementwise(forward, derivative))
    assert "jumps from" in text
    assert f"at {place}, where no kink is declared" in text


@pytest.mark.parametrize(
    ("forward", "derivative"),
    [
        ("xp.tan(x)", "1 + y * y"),
        ("xp.tanh(1e6 * x)", "1e6 * (1 - y * y)"),
        ("x ** 3", "3 * x * x"),
        ("x + 1e8", "1.0"),
    ],
)
def test_what_is_steep_is_no_kink(tmp_path: Path, forward: str, derivative: str) -> None:
    """Poles and slopes that are all but jumps have no neighbouring numbers with a difference between them."""
    assert "where no kink" not in failure(tmp_path, elementwise(forward, derivative))


@pytest.mark.parametrize(
    ("forward", "derivative", "settings"),
    [
        ("x * slope", "1.0", "slope: float = 1.0"),
        ("x * slope ** 2", "slope", "slope: float = 1.0"),
        ("-x if flip else x", "1.0", "flip: bool = False"),
    ],
)
def test_a_derivative_that_is_right_for_the_defaults_alone(
    tmp_path: Path, forward: str, derivative: str, settings: str
) -> None:
    """Each setting is tried with other values than its default."""
    assert "the derivative for 'x'" in failure(tmp_path, elementwise(forward, derivative, settings))


def test_numpy_in_the_place_of_xp(tmp_path: Path) -> None:
    """It would run on one engine alone."""
    assert "it calls numpy.exp; xp.exp works on every engine" in failure(tmp_path, elementwise("np.exp(x)", "y"))
