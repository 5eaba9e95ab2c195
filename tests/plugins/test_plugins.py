"""Plugins: where they come from, what they may do, and that a broken one stops only the graphs that need it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import graphrun
from graphrun.cli.entry import run_command
from graphrun.declare.nodetype import NodeType
from graphrun.declare.updaterule import UpdateRule
from graphrun.plugins.registry import Plugin, Registry

# A type that doubles its input; each test breaks one thing of it.
TWICE = '''\
"""A plugin."""
import graphrun

@graphrun.elementwise
def twice(xp, x):
    """Two times x."""
    return 2 * x

@twice.local_derivatives
def _(xp, y, x):
    return (2.0,)

@graphrun.hookimpl
def graphrun_node_types():
    return [twice]
'''
USES_TWICE = "parameters: {x: 3}\nnodes: {f: {type: twice, inputs: [x]}}\nminimize: f\n"
BUILT_IN_ONLY = "parameters: {x: 3}\nnodes: {f: {type: square, inputs: [x]}}\nminimize: f\n"

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the working folder, with a graph that needs the type `twice` and one that does not."""
    monkeypatch.chdir(tmp_path)
    Path("twice.yaml").write_text(USES_TWICE, encoding="utf-8")
    Path("built_in.yaml").write_text(BUILT_IN_ONLY, encoding="utf-8")
    return tmp_path


@pytest.fixture
def write() -> Write:
    """Return a function that writes a plugin's file, by default in the folder plugins."""

    def write_text(text: str, name: str = "twice.py", folder: str = "plugins") -> Path:
        file = Path(folder, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    return write_text


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a function that installs a distribution with one module and its entry point, for this test alone."""

    def install_distribution(name: str, module: str, text: str, entry_points: str | None = None) -> None:
        site = Path("site").absolute()
        information = site / f"{name}-1.0.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        entry_points = f"[graphrun]\n{module} = {module}\n" if entry_points is None else entry_points
        (information / "entry_points.txt").write_text(entry_points, encoding="utf-8")
        (site / f"{module}.py").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(site)
        modules.append(module)

    modules: list[str] = []
    yield install_distribution
    for module in modules:
        sys.modules.pop(module, None)


def project(text: str = '[tool.graphrun]\nplugins = ["plugins"]\n', folder: str = ".") -> None:
    """Write a pyproject.toml."""
    Path(folder, "pyproject.toml").write_text(text, encoding="utf-8")


def loaded(folders: list[str] | None = None) -> dict[str, Plugin]:
    """Load every plugin; return those that are not built in, by name."""
    return {plugin.name: plugin for plugin in Registry(folders or []).load() if plugin.source != "built-in"}


# --- the three sources -----------------------------------------------------------------------------------------------


def test_built_in_types_come_by_the_same_hook() -> None:
    """The package's own node types and update rules are two plugins like any other."""
    registry = Registry()
    assert [(plugin.name, plugin.source, plugin.error) for plugin in registry.plugins] == [
        ("graphrun.nodes", "built-in", None),
        ("graphrun.updates", "built-in", None),
    ]
    add, sgd = registry.node_type("add"), registry.update_rule("sgd")
    assert add is not None
    assert sgd is not None
    assert (add.name, sgd.name) == ("add", "sgd")


def test_a_folder_given_by_an_option(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """`--plugins DIR` makes the types of the files in it available, and may be given again."""
    write(TWICE, folder="one")
    write(TWICE.replace("twice", "thrice").replace("2", "3"), "thrice.py", folder="two")
    Path("both.yaml").write_text(
        "parameters: {x: 3}\nnodes: {t: {type: twice, inputs: [x]}, f: {type: thrice, inputs: [t]}}\nminimize: f\n",
        encoding="utf-8",
    )
    assert run_command(["both.yaml", "--plugins", "one", "--plugins", "two", "--steps", "0", "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["values"], result["gradients"]["x"]) == ({"t": 6, "f": 18}, 6)
    assert run_command(["check", "both.yaml", "--plugins", "one", "--plugins", "two"]) == 0


def test_a_folder_named_by_the_project(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest pyproject.toml at or above the working folder names folders, relative to itself."""
    write(TWICE)
    project()
    assert graphrun.load("twice.yaml").run(0).values["f"] == 6
    Path("below/deep").mkdir(parents=True)
    monkeypatch.chdir("below/deep")
    assert graphrun.load("../../twice.yaml").run(0).values["f"] == 6


def test_only_the_nearest_project_counts(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pyproject.toml that says nothing of graphrun hides those above it: they are other projects'."""
    write(TWICE)
    project()
    Path("below").mkdir()
    project("[project]\n", "below")
    monkeypatch.chdir("below")
    with pytest.raises(graphrun.GraphFileError, match="node type 'twice' is unknown"):
        graphrun.load("../twice.yaml")


def test_opening_somebodys_graph_runs_nothing_of_theirs(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies beside a graph file, a pyproject.toml and plugins, is not looked at."""
    Path("theirs").mkdir()
    write("raise SystemExit('their code was run')\n" + TWICE, folder="theirs/plugins")
    project(folder="theirs")
    Path("theirs/graph.yaml").write_text(USES_TWICE, encoding="utf-8")
    with pytest.raises(graphrun.GraphFileError) as caught:
        graphrun.load("theirs/graph.yaml")
    assert "their code" not in str(caught.value)
    Path("mine").mkdir()
    monkeypatch.chdir("mine")
    with pytest.raises(graphrun.GraphFileError):
        graphrun.load("../theirs/graph.yaml")


IS_ROOT = os.name == "posix" and os.geteuid() == 0
"""Only root can give a file to somebody else."""


@pytest.mark.parametrize("what", ["pyproject.toml", "plugins", "plugins/twice.py"])
@pytest.mark.parametrize("how", ["writable", *(["theirs", "their group's", "their link"] if IS_ROOT else [])])
def test_a_project_of_somebody_else_is_not_opened(
    what: str, how: str, write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither where others can write it, or made the link to it; the message says why, and how to open it."""
    write("open('opened', 'w').close()\n" + TWICE)
    project()
    path = Path(what)
    if how == "their link":
        moved = path.rename(path.with_name(f"_moved_{path.name}"))
        path.symlink_to(moved.name)
        os.chown(path, 4242, -1, follow_symlinks=False)
    elif how == "theirs":
        os.chown(path, 4242, -1)
    elif how == "their group's":
        path.chmod(path.stat().st_mode | 0o020)
        os.chown(path, -1, 4242)
    else:
        path.chmod(path.stat().st_mode | 0o002)
    Path("below").mkdir()
    monkeypatch.chdir("below")
    assert run_command(["../twice.yaml"]) == 2
    error = capsys.readouterr().err
    assert "is not opened" in error
    assert "--plugins" in error
    assert path.name in error
    assert not Path("opened").exists()
    assert run_command(["../twice.yaml", "--plugins", "../plugins"]) == 0
    assert Path("opened").exists()


def test_a_project_that_is_opened_is_said(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """With its folder and with what named it; where the name is not found there either, too, and not with -q."""
    write(TWICE)
    project()
    said = "the plugin folder plugins was opened, which pyproject.toml names"
    assert run_command(["twice.yaml"]) == 0
    assert said in capsys.readouterr().err
    assert run_command(["built_in.yaml"]) == 0
    assert run_command(["twice.yaml", "-q"]) == 0
    assert said not in capsys.readouterr().err
    Path("slip.yaml").write_text(USES_TWICE.replace("twice", "thrice"), encoding="utf-8")
    assert run_command(["slip.yaml"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "[tool.graphrun\n",
        '[tool.graphrun]\nplugins = "plugins"\n',
        "[tool.graphrun]\nplugins = [1]\n",
        "[tool]\ngraphrun = 1\n",
    ],
)
def test_a_project_that_cannot_be_read(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken pyproject.toml is told by its name, where a plugin is needed at all."""
    project(text)
    assert run_command(["built_in.yaml"]) == 0
    capsys.readouterr()
    assert run_command(["twice.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "pyproject.toml" in err
    assert "Traceback" not in err


def test_a_project_folder_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """It is recorded as a plugin that failed, and stops nothing else."""
    project()
    assert run_command(["built_in.yaml"]) == 0
    assert loaded()["plugins"].error == "there is no such folder"


def test_an_installed_distribution(install: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    """A distribution with an entry point in the group graphrun is found, and listed with its version."""
    install("graphrun-twice", "graphrun_twice_plugin", TWICE)
    assert graphrun.load("twice.yaml").run(0).values["f"] == 6
    assert run_command(["plugins"]) == 0
    assert re.search(r"graphrun_twice_plugin +distribution +graphrun-twice 1\.0 .* twice\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("text", "entry_points", "error"),
    [
        (TWICE, "[graphrun]\nbroken = no_such_module_anywhere\n", "No module named 'no_such_module_anywhere'"),
        (TWICE, "[graphrun]\nbroken = broken_plugin:nothing\n", "has no attribute 'nothing'"),
        ("raise RuntimeError('broken')\n", None, "RuntimeError: broken"),
        (TWICE, "[graphrun]\nthis is no entry point\n", "Error"),
    ],
)
def test_a_broken_distribution_does_not_hide_another(
    install: Callable[..., None], text: str, entry_points: str | None, error: str
) -> None:
    """Distributions are loaded one by one: the second one works whatever the first does."""
    install("a-broken", "broken_plugin", text, entry_points)
    install("b-works", "works_plugin", TWICE)
    plugins = loaded()
    assert any(error in (plugin.error or "") for plugin in plugins.values())
    assert plugins["works_plugin"].error is None
    assert graphrun.load("twice.yaml").run(0).values["f"] == 6


def test_two_distributions_may_name_their_entry_points_alike(install: Callable[..., None]) -> None:
    """The name of an entry point is a distribution's own affair."""
    for name, kind in (("a", "twice"), ("b", "thrice")):
        install(f"dist-{name}", f"plugin_{name}", TWICE.replace("twice", kind), f"[graphrun]\nnodes = plugin_{name}\n")
    registry = Registry()
    assert registry.node_type("twice") is not None
    assert registry.node_type("thrice") is not None
    assert registry.failures == []


# --- a broken plugin -------------------------------------------------------------------------------------------------

# What is wrong with the plugin, and what is said of it.
NO_HOOK = "LookupError: it implements no hook: is @graphrun.hookimpl missing above graphrun_node_types?"
FAILS_TO_LOAD: dict[str, tuple[str, str]] = {
    "raises": ("raise RuntimeError('no')\n" + TWICE, "RuntimeError: no"),
    "raises in two lines": ("raise RuntimeError('one\\ntwo')\n", "RuntimeError: one two"),
    "raises nothing of use": ("raise RuntimeError\n", "RuntimeError"),
    "exits": ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    "syntax": ("def (:\n", "SyntaxError: invalid syntax (broken.py, line 1)"),
    "imports what is not there": ("import no_such_module_anywhere\n", "ModuleNotFoundError: No module named"),
    "misspelt hook": (
        TWICE.replace("graphrun_node_types", "graphrun_node_typs"),
        "the hook 'graphrun_node_typs' is unknown; did you mean 'graphrun_node_types'?",
    ),
    "no hook": (TWICE.replace("@graphrun.hookimpl", ""), NO_HOOK),
    "hook with an argument": (
        TWICE.replace("graphrun_node_types()", "graphrun_node_types(x)"),
        "PluginValidationError",
    ),
    "hook raises": (TWICE.replace("return [twice]", "raise ValueError('hook')"), "ValueError: hook"),
    "hook returns nothing": (TWICE.replace("return [twice]", "return None"), "TypeError: 'NoneType'"),
    "hook returns a function": (TWICE.replace("return [twice]", "return [len]"), "which is no NodeType"),
    "a built-in name": (TWICE.replace("twice", "relu"), "the name 'relu' is taken: plugin graphrun.nodes has it"),
    "a solver's name": (
        TWICE.replace(
            "@graphrun.elementwise\ndef twice(xp, x)", "@graphrun.update_rule\ndef lbfgs(xp, value, gradient)"
        )
        .replace("return 2 * x", "return value")
        .replace("@twice.local_derivatives\ndef _(xp, y, x):\n    return (2.0,)\n", "")
        .replace("node_types", "update_rules")
        .replace("[twice]", "[lbfgs]"),
        "the name 'lbfgs' is taken: a solver has it",
    ),
    "twice the same": (TWICE.replace("[twice]", "[twice, twice]"), "it declares it twice"),
    "wrong parameters of the derivative": (
        TWICE.replace("def _(xp, y, x):", "def _(xp, x):"),
        "its local_derivatives takes (xp, output, inputs...), 3 positional parameters, not 2",
    ),
    "no namespace": (TWICE.replace("def twice(xp, x)", "def twice()"), "the first parameter is the array namespace"),
    "an annotation that is none": (
        TWICE.replace('xp, x):\n    """Two', 'xp, x, *, k: \'nothing\' = 1):\n    """Two'),
        "annotation",
    ),
    "not text": ("\udcff", "SyntaxError"),
}


@pytest.mark.slow
@pytest.mark.parametrize("broken", FAILS_TO_LOAD)
def test_a_plugin_that_fails_stops_only_the_graphs_that_need_it(
    broken: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is recorded with its error, which the message for an unknown type shows; other plugins and graphs go on."""
    text, error = FAILS_TO_LOAD[broken]
    Path("plugins").mkdir()
    Path("plugins/broken.py").write_bytes(text.encode("utf-8", "surrogateescape"))
    write(TWICE.replace("twice", "works"), "works.py")
    project()

    plugins = loaded()
    assert error in (plugins["plugins/broken.py"].error or "")
    assert plugins["plugins/broken.py"].declarations == []
    assert plugins["plugins/works.py"].error is None

    Path("works.yaml").write_text(USES_TWICE.replace("twice", "works"), encoding="utf-8")
    assert run_command(["built_in.yaml"]) == 0
    assert run_command(["works.yaml"]) == 0
    capsys.readouterr()

    assert run_command(["twice.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "node type 'twice' is unknown" in err
    assert "plugin plugins/broken.py failed to load: " in err
    assert error in err
    assert "Traceback" not in err

    assert run_command(["nodes", "twice"]) == 2
    assert error in capsys.readouterr().err
    assert run_command(["plugins"]) == 0
    listing = capsys.readouterr().out
    assert error in listing
    assert len(listing.splitlines()) == 6


def test_a_graph_of_built_in_types_opens_no_plugin(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    """Plugins are imported only when a type is asked for that is not built in."""
    file = write("from pathlib import Path\nPath('imported').touch()\n" + TWICE)
    assert run_command(["built_in.yaml", "--plugins", "plugins"]) == 0
    assert not Path("imported").exists()
    assert run_command(["twice.yaml", "--plugins", str(file.parent)]) == 0
    assert Path("imported").exists()


# What the plugin does when it is run, and what is said of it.
FAILS_TO_RUN: dict[str, tuple[str, str]] = {
    "raises": (TWICE.replace("return 2 * x", "raise KeyError('no')"), "it raises KeyError: 'no'"),
    "derivative raises": (TWICE.replace("return (2.0,)", "raise KeyError('no')"), "it raises KeyError: 'no'"),
    "too many derivatives": (
        TWICE.replace("(2.0,)", "2.0, 2.0"),
        "its local_derivatives gives 2 entries, not a tuple of 1",
    ),
    "no tuple": (TWICE.replace("(2.0,)", "2.0"), "its local_derivatives gives a float, not a tuple of 1"),
    "wrong shape": (TWICE.replace("return 2 * x", "return xp.ones((3,))"), "its forward function gives the shape (3,)"),
    "wrong shape of the derivative": (
        TWICE.replace("(2.0,)", "(xp.ones((3,)),)"),
        "its local_derivatives gives the shape (3,) for the input x, not ()",
    ),
    "no number": (TWICE.replace("return 2 * x", "return 'two'"), "its forward function gives <U3 values, not numbers"),
    "nothing": (TWICE.replace("return 2 * x", "pass"), "its forward function gives object values, not numbers"),
}


@pytest.mark.parametrize("broken", FAILS_TO_RUN)
def test_a_type_that_breaks_its_declaration(broken: str, write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the node, the type, its file and what it gives; status 1, for a plugin failed."""
    text, error = FAILS_TO_RUN[broken]
    write(text)
    assert run_command(["twice.yaml", "--plugins", "plugins"]) == 1
    err = capsys.readouterr().err
    assert error in err
    assert "node 'f'" in err
    assert "the type twice (" in err
    assert "twice.py)" in err
    assert "Traceback" not in err
    assert run_command(["check", "twice.yaml", "--plugins", "plugins"]) == 1
    assert error in capsys.readouterr().err
    with pytest.raises(graphrun.PluginError):
        graphrun.load("twice.yaml", plugins=["plugins"]).run()


LATER = "2 * x if x == 1 or x > 2.95 else LATE"


@pytest.mark.parametrize("late", ["{}['no']", "'text'"])
@pytest.mark.parametrize("every", ["1", "1000"])
def test_a_type_that_fails_after_some_steps(
    late: str, every: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run ends with status 1, says which node failed at which step, and prints what it has."""
    write(TWICE.replace("2 * x", LATER.replace("LATE", late)))
    assert run_command(["twice.yaml", "--plugins", "plugins", "--steps", "500", "--every", every]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("step")
    assert re.search(r"stopped: failed: step \d+: node 'f' \(type twice\) \(.*twice\.py\)", out)
    assert "its inputs are x = " in err
    assert "Traceback" not in err


@pytest.mark.parametrize("node", ["{type: twice, inputs: [x]}", "{type: twice, inputs: [2]}"])
@pytest.mark.parametrize("objective", ["{type: multiply, inputs: [c, x]}", "{type: multiply, inputs: [x, 2]}"])
def test_a_type_that_fails_anywhere(
    node: str, objective: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    """In compiled steps, off the way to the objective, on constants: what a function raises is told in the same way."""
    write(TWICE.replace("2 * x", "2 * x if x == 1 or x > 2.5 else {}['no']"))
    Path("late.yaml").write_text(
        f"parameters: {{x: 3}}\nnodes: {{c: {node}, f: {objective}}}\nminimize: f\nupdate: {{step_size: 1e-4}}\n",
        encoding="utf-8",
    )
    assert run_command(["late.yaml", "--plugins", "plugins", "--steps", "5000"]) == 1
    out, err = capsys.readouterr()
    assert "stopped: failed: step " in out
    assert "node 'c' (type twice)" in err
    assert "raises KeyError: 'no'; its inputs are" in err
    assert "Traceback" not in err


def test_a_derivative_that_fails_for_constants(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """No step needs the derivatives of nodes that depend on no parameter; the result does."""
    write(TWICE.replace("return (2.0,)", "return (2.0 if x == 1 else {}['no'],)"))
    Path("late.yaml").write_text(
        "parameters: {x: 3}\nminimize: f\n"
        "nodes: {c: {type: twice, inputs: [2]}, f: {type: multiply, inputs: [c, x]}}\n",
        encoding="utf-8",
    )
    assert run_command(["late.yaml", "--plugins", "plugins"]) == 1
    assert "node 'c' (type twice)" in capsys.readouterr().err
    assert run_command(["check", "late.yaml", "--plugins", "plugins"]) == 1


def test_a_type_without_a_derivative(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """It runs forward; between a parameter and the objective it is a mistake of the graph file, told at the node."""
    write(re.sub(r"@twice.*\n.*\n.*\n", "", TWICE))
    assert run_command(["twice.yaml", "--plugins", "plugins"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("twice.yaml:2:19: the objective needs a derivative of 'f', and its type twice")
    assert "declare it with @twice.local_derivatives in " in err
    Path("twice.yaml").write_text(USES_TWICE.replace("minimize: f\n", ""), encoding="utf-8")
    assert run_command(["twice.yaml", "--plugins", "plugins"]) == 0


def test_a_type_without_a_derivative_on_constants(write: Write) -> None:
    """No parameter reaches it, so it may stand before the objective; what lies behind it has no known gradient."""
    write(re.sub(r"@twice.*\n.*\n.*\n", "", TWICE))
    Path("constants.yaml").write_text(
        "parameters: {x: 3}\nconstants: {k: [2, 3]}\nnodes:\n  b: {type: square, inputs: [k]}\n"
        "  c: {type: twice, inputs: [b]}\n  s: {type: sum, inputs: [c]}\n"
        "  f: {type: multiply, inputs: [s, x]}\nminimize: f\n",
        encoding="utf-8",
    )
    result = graphrun.load("constants.yaml", plugins=["plugins"]).run(0)
    assert (result.values["f"], result.gradients["x"]) == (78, 26)
    assert result.gradients["c"].tolist() == [3, 3]
    assert np.isnan(result.gradients["b"]).all()


RULE = '''\
import graphrun

@graphrun.update_rule
def rule(xp, value, gradient, *, step_size: float = 0.5):
    """A rule."""
    return RESULT

@graphrun.hookimpl
def graphrun_update_rules():
    return [rule]
'''
USES_RULE = BUILT_IN_ONLY + "update: {type: rule}\nsteps: 2\n"


def test_an_update_rule_of_a_plugin(write: Write) -> None:
    """A rule is declared like a type, and used by its name and settings."""
    write(RULE.replace("RESULT", "value - step_size * xp.sign(gradient)"))
    Path("rule.yaml").write_text(USES_RULE, encoding="utf-8")
    assert graphrun.load("rule.yaml", plugins=["plugins"]).run().history["x"].tolist() == [3, 2.5, 2]


@pytest.mark.parametrize("result", ["None", "(value, gradient)", "xp.ones((2,))", "{}['no']", "'text'"])
def test_an_update_rule_that_breaks_its_declaration(
    result: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rule that raises or returns something else than a new value ends with status 1 and its name."""
    write(RULE.replace("RESULT", result))
    Path("rule.yaml").write_text(USES_RULE, encoding="utf-8")
    assert run_command(["rule.yaml", "--plugins", "plugins"]) == 1
    err = capsys.readouterr().err
    assert "rule" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("output_format", ["json", "jsonl"])
def test_what_a_plugin_prints_goes_to_stderr(
    output_format: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether a plugin prints while it is loaded or while it runs, stdout holds the result alone."""
    write("print('loading')\n" + TWICE.replace("return 2 * x", "print('running'); return 2 * x"))
    assert run_command(["twice.yaml", "--plugins", "plugins", "--format", output_format]) == 0
    out, err = capsys.readouterr()
    assert all(isinstance(json.loads(line), dict) for line in out.splitlines())
    assert "loading" in err
    assert "running" in err
    assert run_command(["check", "twice.yaml", "--plugins", "plugins"]) == 0
    assert capsys.readouterr().out.startswith("twice.yaml: ok")


# --- names and files -------------------------------------------------------------------------------------------------


def test_a_name_that_is_taken_stays_with_the_first(install: Callable[..., None], write: Write) -> None:
    """Built-ins come first, then distributions by name, then folders by file name."""
    install("b-dist", "plugin_b", TWICE.replace("2 * x", "20 * x"))
    install("a-dist", "plugin_a", TWICE.replace("2 * x", "10 * x"))
    write(TWICE, "a.py")
    plugins = loaded(["plugins"])
    assert list(plugins) == ["plugin_a", "plugin_b", "plugins/a.py"]
    assert plugins["plugin_a"].error is None
    for second in ("plugin_b", "plugins/a.py"):
        assert plugins[second].error == "ValueError: the name 'twice' is taken: plugin plugin_a has it already"
    assert graphrun.load("twice.yaml", plugins=["plugins"]).run(0).values["f"] == 30


def test_files_of_a_folder_are_loaded_by_name(write: Write) -> None:
    """Of two files with the same type the one whose name sorts first has it, whichever was written first."""
    write(TWICE.replace("2 * x", "4 * x"), "b.py")
    write(TWICE, "a.py")
    assert graphrun.load("twice.yaml", plugins=["plugins"]).run(0).values["f"] == 6


def test_a_folder_that_is_named_twice_is_loaded_once(write: Write) -> None:
    """Named by an option and by the project, or by two spellings, it is one folder."""
    write(TWICE)
    project()
    registry = Registry(["plugins", "./plugins/", str(Path("plugins").absolute())])
    assert [plugin.name for plugin in registry.load() if plugin.source != "built-in"] == ["plugins/twice.py"]
    assert registry.failures == []


def test_which_files_are_plugins(write: Write) -> None:
    """Tests and files that begin with an underscore are none; a file without a hook is one that failed."""
    for name in ("test_a.py", "_helper.py", "__init__.py"):
        write("raise RuntimeError('loaded')\n", name)
    write("x = 1\n", "empty.py")
    write(TWICE, "with-dash and blank.py")
    plugins = loaded(["plugins"])
    assert list(plugins) == ["plugins/empty.py", "plugins/with-dash and blank.py"]
    empty, other = plugins.values()
    assert empty.error == NO_HOOK
    assert other.error is None


def test_files_of_one_name_in_two_folders(write: Write) -> None:
    """Modules of the same file name do not take each other's place."""
    write(TWICE, "same.py", "one")
    write(TWICE.replace("twice", "thrice"), "same.py", "two")
    registry = Registry(["one", "two"])
    assert registry.node_type("twice") is not None
    assert registry.node_type("thrice") is not None


def test_a_changed_file_is_loaded_anew(write: Write) -> None:
    """A second load in the same process sees what the file says then."""
    write(TWICE)
    assert graphrun.load("twice.yaml", plugins=["plugins"]).run(0).values["f"] == 6
    write(TWICE.replace("2 * x", "5 * x"))
    assert graphrun.load("twice.yaml", plugins=["plugins"]).run(0).values["f"] == 15


def test_loading_leaves_no_file(folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """No __pycache__ is made beside a plugin, whatever the environment says about bytecode."""
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    write(TWICE)
    before = sorted(folder.rglob("*"))
    assert run_command(["twice.yaml", "--plugins", "plugins"]) == 0
    assert run_command(["plugins", "--plugins", "plugins"]) == 0
    assert sorted(folder.rglob("*")) == before


# --- the listings ----------------------------------------------------------------------------------------------------


def test_nodes_lists_every_type_and_rule(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """`graphrun nodes` shows signature and description of all of them, and where a plugin's come from."""
    write(TWICE)
    assert run_command(["nodes", "--plugins", "plugins"]) == 0
    out = capsys.readouterr().out
    registry = Registry()
    for kind in (graphrun.NodeType, graphrun.UpdateRule):
        for name in registry.all(kind):
            assert re.search(rf"^  {name}\(", out, re.MULTILINE)
    assert re.search(r"^  twice\(x\) +Two times x\. \[folder plugins/twice\.py\]$", out, re.MULTILINE)


@pytest.mark.slow
def test_nodes_shows_every_type_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    """`graphrun nodes TYPE` works for each: signature first, origin last."""
    registry = Registry()
    for kind in (graphrun.NodeType, graphrun.UpdateRule):
        for name, (declared, _) in registry.all(kind).items():
            assert run_command(["nodes", name]) == 0
            lines = capsys.readouterr().out.splitlines()
            assert lines[0] == declared.signature
            assert any(line.startswith("from built-in") for line in lines)


def test_nodes_shows_what_an_author_declared(capsys: pytest.CaptureFixture[str]) -> None:
    """Inputs and their domains, the derivative's formula, conventions at kinks and settings are all there."""
    assert run_command(["nodes", "leaky_relu"]) == 0
    out = capsys.readouterr().out
    for text in ("leaky_relu(x, slope=0.01)", "local derivatives:", "at x = 0", "slope: float, default 0.01"):
        assert text in out
    assert run_command(["nodes", "log"]) == 0
    assert "x: in (0, inf)" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "hint"), [("reul", "did you mean 'relu'?"), ("power", "it is called 'pow' here")])
def test_nodes_suggests_a_type(name: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown type is an error with status 2 and a suggestion."""
    assert run_command(["nodes", name]) == 2
    assert hint in capsys.readouterr().err


def test_plugins_lists_what_was_loaded(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """Each plugin has a line: name, source, place, the time it took, and what it adds or why it failed."""
    write(TWICE)
    write("import sys\nsys.exit()\n", "exits.py")
    write("", "nothing.py")
    assert run_command(["plugins", "--plugins", "plugins"]) == 0
    rows = [line.split(maxsplit=4) for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["plugin", "source", "from", "ms", "adds"]
    assert [(row[0], row[1], row[4]) for row in rows[4:]] == [
        ("plugins/exits.py", "folder", "FAILED SystemExit"),
        ("plugins/nothing.py", "folder", f"FAILED {NO_HOOK}"),
        ("plugins/twice.py", "folder", "twice"),
    ]
    assert all(float(row[3]) >= 0 for row in rows[1:])


def test_what_was_meant_by_an_unknown_type(write: Write) -> None:
    """Frequent names first; without a near one, how to name a folder of plugins, unless there is one."""
    types = [NodeType]
    assert Registry().meant("ad", types) == "did you mean 'add' or 'pad'?"
    assert Registry().meant("tahn", types) == "did you mean 'tanh' or 'tan'?"
    assert Registry().meant("mse", types) == "it is called 'mean_squared_error' here"
    assert Registry().meant("sdg", [UpdateRule]) == "did you mean 'sgd'?"
    assert "--plugins DIR" in Registry().meant("twice", types)
    write(TWICE, folder="own")
    assert Registry(["own"]).meant("gauss_bump", types) == ""
    assert Registry(["own"]).meant("twcie", types) == "did you mean 'twice'?"


def test_a_taken_name_that_matters_is_said(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the graph's own types, whether the folder had to be opened or not; of other names not a word is said."""
    write(TWICE.replace("twice", "tanh"), folder="own")
    Path("tanh.yaml").write_text("parameters: {a: 1}\nnodes: {f: tanh(a)}\nminimize: f\n", encoding="utf-8")
    Path("sin.yaml").write_text("parameters: {a: 1}\nnodes: {f: sin(a)}\nminimize: f\n", encoding="utf-8")
    assert run_command(["tanh.yaml", "--plugins", "own"]) == 0
    assert "own/twice.py declares one too" in capsys.readouterr().err
    assert run_command(["sin.yaml", "--plugins", "own"]) == 0
    assert capsys.readouterr().err == ""
    assert run_command(["tanh.yaml"]) == 0
    assert capsys.readouterr().err == ""


def test_verbose_says_what_was_loaded(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """And how long it took; of a plugin that failed or raised, the traceback with the line."""
    write(TWICE, folder="own")
    Path("twice.yaml").write_text(USES_TWICE, encoding="utf-8")
    assert run_command(["twice.yaml", "--plugins", "own", "-v"]) == 0
    err = capsys.readouterr().err
    assert re.search(r"loaded <Graph twice.yaml: .*> in [\d.]+ m?s", err)
    assert re.search(r"plugin own/twice.py: twice, in [\d.]+ [mu]?s", err)
    for text, line in ((TWICE + "\nraise ValueError('oops')\n", "raise ValueError"), (RAISES, "1 / int(0 * x)")):
        write(text, folder="own")
        assert run_command(["twice.yaml", "--plugins", "own"]) != 0
        assert "Traceback" not in capsys.readouterr().err
        assert run_command(["twice.yaml", "--plugins", "own", "-v"]) != 0
        err = capsys.readouterr().err
        assert err.count("Traceback") == 1
        assert re.search(r'own/twice.py", line \d+', err)
        assert line in err
        assert "graphrun/engines" not in err


RAISES = TWICE.replace("return 2 * x", "return 1 / int(0 * x)")
