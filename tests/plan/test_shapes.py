"""The shape of every value: found by running the functions once, and refused where a node or a declaration is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graphrun
from graphrun.plan.shapes import as_index

Shapes = Callable[[str, str], dict[str, tuple[int, ...]]]


@pytest.fixture
def shapes(tmp_path: Path) -> Shapes:
    """Return a function that infers the shapes of a graph of some parameters and nodes, by name."""

    def infer(parameters: str, nodes: str) -> dict[str, tuple[int, ...]]:
        (tmp_path / "graph.yaml").write_text(f"parameters: {{{parameters}}}\nnodes: {{{nodes}}}\n", encoding="utf-8")
        plan = graphrun.load(tmp_path / "graph.yaml").plan()
        return {name: plan.shapes[slot] for name, slot in plan.slots.items()}

    return infer


@pytest.mark.parametrize(
    ("parameters", "node", "shape"),
    [
        ("x: 1, y: 2", "x * y", ()),
        ("x: [1, 2, 3], y: 2", "x * y", (3,)),
        ("x: [[1], [2]], y: [1, 2, 3]", "x + y", (2, 3)),
        ("x: [[1, 2, 3], [4, 5, 6]], y: [1, 2, 3]", "x @ y", (2,)),
        ("x: {shape: [4, 3], init: {type: zeros}}, y: {shape: [3, 5], init: {type: zeros}}", "x @ y", (4, 5)),
        ("x: [[1, 2, 3], [4, 5, 6]], y: 0", "{type: sum, inputs: [x], axis: 0}", (3,)),
        ("x: [[1, 2, 3], [4, 5, 6]], y: 0", "{type: sum, inputs: [x], axis: 1, keepdims: true}", (2, 1)),
        ("x: [[1, 2, 3], [4, 5, 6]], y: 0", "{type: reshape, inputs: [x], shape: [3, -1]}", (3, 2)),
    ],
)
def test_the_shape_of_a_node(shapes: Shapes, parameters: str, node: str, shape: tuple[int, ...]) -> None:
    """Elementwise types broadcast, tensor types have the shape that their function gives."""
    assert shapes(parameters, f"r: {node}")["r"] == shape


@pytest.mark.parametrize(
    ("parameters", "node", "text"),
    [
        (
            "x: [1, 2], y: [1, 2, 3]",
            "x * y",
            (
                r"node 'r' of type multiply cannot take the shapes x \(2,\), y \(3,\): "
                r"they do not broadcast: axis 0 of x has the size 2, axis 0 of y has 3"
            ),
        ),
        (
            "x: [[1, 2, 3], [4, 5, 6]], y: [[1], [2], [3]]",
            "x + y",
            r"x \(2, 3\), y \(3, 1\): they do not broadcast: axis 0 of x has the size 2, axis 0 of y has 3",
        ),
        ("x: [[1, 2]], y: [[1, 2]]", "x @ y", r"of type matmul cannot take the shapes x \(1, 2\), y \(1, 2\)"),
        ("x: [1, 2], y: 0.5", "{type: take, inputs: [x, y]}", "whole numbers are needed to select by, and 0.5 is not"),
    ],
)
def test_shapes_that_do_not_fit(shapes: Shapes, parameters: str, node: str, text: str) -> None:
    """The node is named, its type, its inputs with their shapes, and the axes that disagree."""
    with pytest.raises(graphrun.ShapeError, match=text) as error:
        shapes(parameters, f"r: {node}")
    assert "graph.yaml:2:" in str(error.value)


def test_the_objective_is_one_number(tmp_path: Path) -> None:
    """An array cannot be minimized; how it becomes a number is suggested."""
    file = tmp_path / "graph.yaml"
    file.write_text("parameters: {x: [1, 2]}\nnodes: {f: x * x}\nminimize: f\n", encoding="utf-8")
    with pytest.raises(graphrun.ShapeError, match=r"'f' has the shape \(2,\)") as error:
        graphrun.load(file).plan()
    assert "{type: sum, inputs: [f]}" in str(error.value)


PLUGIN = """\
import graphrun
from graphrun import elementwise


{source}

@graphrun.hookimpl
def graphrun_node_types():
    return [broken]
"""

# Each: a plugin's node type, and what is said of it on two numbers or arrays of two.
BROKEN = {
    "another shape": (
        "@elementwise\ndef broken(xp, x, y):\n    return xp.sum(x) + 0 * xp.sum(y)\n",
        r"its forward function gives the shape \(\), not \(2,\)",
    ),
    "no numbers": ("@elementwise\ndef broken(xp, x, y):\n    return x + y + 1j\n", "gives complex128 values"),
    "raises": ("@elementwise\ndef broken(xp, x, y):\n    raise KeyError('no')\n", "it raises KeyError: 'no'"),
    "too few derivatives": (
        (
            "@elementwise\ndef broken(xp, x, y):\n    return x + y\n\n\n"
            "@broken.local_derivatives\ndef _(xp, z, x, y):\n    return (1.0,)\n"
        ),
        "its local_derivatives gives 1 entries, not a tuple of 2",
    ),
    "a derivative of another shape": (
        (
            "@elementwise\ndef broken(xp, x, y):\n    return x + y\n\n\n"
            "@broken.local_derivatives\ndef _(xp, z, x, y):\n    return xp.ones(3), 1.0\n"
        ),
        r"its local_derivatives gives the shape \(3,\) for the input x, not \(2,\)",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_declaration_that_is_not_kept(tmp_path: Path, name: str) -> None:
    """A type that gives what it must not is refused before the first step, with the node and the file."""
    source, text = BROKEN[name]
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "broken.py").write_text(PLUGIN.format(source=source), encoding="utf-8")
    file = tmp_path / "graph.yaml"
    file.write_text(
        "parameters: {x: [1, 2], y: [3, 4]}\nnodes: {r: {type: broken, inputs: [x, y]}}\n",
        encoding="utf-8",
    )
    with pytest.raises(graphrun.PluginError, match=rf"node 'r': the type broken \(.*broken.py.*\).*{text}"):
        graphrun.load(file, plugins=[plugins]).plan()


def test_what_selects_is_made_whole() -> None:
    """Whole numbers become integers, whatever their dtype; integers stay as they are."""
    assert as_index(np.array([2.0, 0.0])).dtype.kind == "i"
    given = np.array([1, 2], dtype=np.int8)
    assert as_index(given) is given
    with pytest.raises(ValueError, match=r"1\.5 is not"):
        as_index([1.0, 1.5])


IMPURE = {
    "x[0] = 7; return x": "its forward function changes x in place",
    "return x + np.random.rand()": "its forward function gives something else when it is called again",
    "memory.append(0); return x * len(memory)": "its forward function gives something else",
}
IMPURE_SECOND = {
    "gradient[0] = 0; return (gradient,)": "its vjp changes the gradient in place",
    "y[0] = 0; return (gradient,)": "its vjp changes the output in place",
    "x[0] = 0; return (gradient,)": "its vjp changes x in place",
    "return (gradient * np.random.rand(),)": "its vjp gives something else when it is called again",
    "return (lambda: gradient * np.random.rand(),)": "its vjp gives something else when it is called again",
}


@pytest.mark.parametrize("engine", ["numpy", "jax", "auto"])
@pytest.mark.parametrize(("body", "text"), [*IMPURE.items(), *IMPURE_SECOND.items()])
def test_a_plugin_that_is_not_pure(tmp_path: Path, body: str, text: str, engine: str) -> None:
    """Node and type are named before the run, whatever engine would have made of it, and the parameter stays."""
    bodies = (body, "return (gradient,)") if body in IMPURE else ("return x * 1.0", body)
    (tmp_path / "impure.py").write_text(
        "import graphrun\nimport numpy as np\n\nmemory = []\n\n"
        "@graphrun.tensor(examples=[graphrun.Example(shapes=[(3,)])])\n"
        f"def impure(xp, x):\n    {bodies[0]}\n\n"
        f"@impure.vjp\ndef _(xp, gradient, y, x):\n    {bodies[1]}\n\n"
        "@graphrun.hookimpl\ndef graphrun_node_types():\n    return [impure]\n",
        encoding="utf-8",
    )
    (tmp_path / "graph.yaml").write_text(
        "parameters: {v: [1, 2, 3]}\nnodes: {h: impure(v), f: sum(h)}\nminimize: f\n", encoding="utf-8"
    )
    graph = graphrun.load(tmp_path / "graph.yaml", plugins=[tmp_path])
    with pytest.raises(graphrun.PluginError, match=rf"^node 'h': the type impure .*{text}"):
        graph.run(2, engine=engine)


@pytest.mark.parametrize("body", list(IMPURE)[1:])
def test_a_plugin_that_is_not_pure_with_numbers(tmp_path: Path, body: str) -> None:
    """A graph of numbers, whose shapes need no look at every node, is looked at all the same."""
    (tmp_path / "impure.py").write_text(
        "import graphrun\nimport numpy as np\n\nmemory = []\n\n"
        f"@graphrun.elementwise\ndef impure(xp, x):\n    {body}\n\n"
        "@impure.local_derivatives\ndef _(xp, y, x):\n    return (1.0,)\n\n"
        "@graphrun.hookimpl\ndef graphrun_node_types():\n    return [impure]\n",
        encoding="utf-8",
    )
    (tmp_path / "graph.yaml").write_text("parameters: {a: 3}\nnodes: {h: impure(a)}\nminimize: h\n", encoding="utf-8")
    with pytest.raises(graphrun.PluginError, match=r"^node 'h': the type impure .*something else"):
        graphrun.load(tmp_path / "graph.yaml", plugins=[tmp_path]).run(2)
