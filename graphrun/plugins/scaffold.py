"""Writing a new plugin: a node type that works, and its test, ready to edit; or a whole distribution of it."""

import sys
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

from graphrun.base.errors import RunError, UsageError
from graphrun.base.files import write_output
from graphrun.base.version import __version__
from graphrun.document.names import is_name, normalize
from graphrun.plugins.files import project_folders
from graphrun.plugins.registry import Registry

PLUGIN = '''"""The node type {name}: say what it computes."""

import graphrun


{declaration}


@graphrun.hookimpl
def graphrun_node_types():
    """Return the node types of this plugin."""
    return [{name}]
'''

ELEMENTWISE = '''@graphrun.elementwise
def {name}(xp, x, *, scale: float = 1.0):
    """Square of x, times a scale: scale * x^2."""
    return scale * x * x


@{name}.local_derivatives
def _(xp, y, x, *, scale):
    """Give one partial derivative an input, from the output y and the inputs."""
    return (2 * scale * x,)'''

TENSOR = '''@graphrun.tensor(examples=[graphrun.Example(shapes=[(3, 4)])])
def {name}(xp, x):
    """Sum of the squares of all elements of x, a scalar."""
    return xp.sum(x * x)


@{name}.vjp
def _(xp, gradient, y, x):
    """Give the gradient of each input, from the gradient of the output, the output y and the inputs."""
    return (gradient * 2 * x,)'''

TAKEN = ("graphrun", "graphrun_node_types", "conftest")
"""Names that mean something else in the files that are written, or to pytest."""

TEST = '''"""The node type {name} keeps what it declares."""

from pathlib import Path

from graphrun.testing import check_node_type, load_plugin

plugin = load_plugin(Path(__file__).with_name("{name}.py"))


def test_{name}_keeps_its_declaration():
    """Arity, shapes, dtypes, and every derivative against finite differences."""
    check_node_type(plugin.{name})
'''


DISTRIBUTION = {
    "pyproject.toml": """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "0.1.0"
description = "The node type {name} for graphrun."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["graphrun>={version}"]

[project.optional-dependencies]
test = ["graphrun[jax,numba]", "pytest"]

[project.entry-points.graphrun]
{name} = "graphrun_{name}"

[tool.hatch.build.targets.wheel]
only-include = ["graphrun_{name}.py"]

[tool.pytest.ini_options]
pythonpath = ["."]
testpaths = ["tests"]
""",
    "README.md": """# {distribution}

The node type `{name}` for graphrun: say what it computes, and for what.

```
pip install {distribution}
graphrun nodes {name}
```

```yaml
{example}```

To work on it: `pip install -e '.[test]' && pytest`. What a node type may declare is told in graphrun's plugin guide.
""",
    "example.yaml": "{example}",
    "tests/test_{name}.py": '''"""The node type {name} keeps what it declares, and every engine runs it alike."""

from importlib.util import find_spec
from pathlib import Path

import graphrun_{name} as plugin
import pytest

import graphrun
from graphrun.testing import check_node_type

EXAMPLE = Path(__file__).parent.parent / "example.yaml"
ENGINES = [engine for engine in {engines} if engine == "numpy" or find_spec(engine)]


def test_{name}_keeps_its_declaration():
    """Arity, shapes, dtypes, and every derivative against finite differences."""
    check_node_type(plugin.{name})


@pytest.mark.parametrize("engine", ENGINES)
def test_{name}_runs_on(engine):
    """The example comes to what it expects, and to the same on every engine."""
    graph = graphrun.load(EXAMPLE, types=[plugin.{name}])
    graph.check()
    result, wanted = graph.run(steps=3, engine=engine), graph.run(steps=3, engine="numpy")
    assert result.objective.value == pytest.approx(wanted.objective.value, rel=1e-12)
''',
    ".github/workflows/test.yml": """name: test
on: [push, pull_request]
jobs:
  test:
    runs-on: ubuntu-latest
    strategy:
      matrix:
        python: ["3.11", "3.12", "3.13", "3.14"]
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: ${{{{ matrix.python }}}}
      - run: pip install -e '.[test]'
      - run: pytest
""",
    ".gitignore": "__pycache__/\n.pytest_cache/\ndist/\n",
}
"""The files of a distribution, beside the module itself."""

EXAMPLE = """parameters: {{x: {x}}}
nodes: {{f: {{type: {name}, inputs: [x]}}}}
minimize: f
update: {{step_size: 0.1}}
expect: {{at: 0, values: {{f: {value}}}}}
"""


def write_plugin(name: str, folder: str | None = None, *, tensor: bool = False) -> list[Path]:
    """Write a plugin file and its test; return their paths.

    Args:
        name: the name of the node type.
        folder: where to write, made if need be; default the project's plugin folder, else the working folder.
        tensor: declare a tensor type, not an elementwise one.

    Raises:
        UsageError: the name is no identifier or is taken, by a module too, or a file of that name is there.
        RunError: a file cannot be written.
    """
    name = free_name(name)
    if name in sys.stdlib_module_names or name in packages_distributions():
        # Pytest and Python look into the file's folder before they look for modules.
        raise UsageError(f"{name!r} is a module, which a file {name}.py would hide: take another name, as {name}_node")
    target = Path(folder) if folder is not None else next(iter(project_folders()), Path())
    texts = {f"{name}.py": plugin_text(name, tensor=tensor), f"test_{name}.py": TEST.format(name=name)}
    return _write(target, texts)


def write_distribution(name: str, folder: str | None = None, *, tensor: bool = False) -> list[Path]:
    """Write a distribution with a node type: what builds it, a page about it, an example, tests, a workflow.

    Args:
        name: the name of the node type.
        folder: where to write, made if need be; default a folder of the distribution's name.
        tensor: declare a tensor type, not an elementwise one.

    Raises:
        UsageError: the name is no identifier of ASCII letters or is taken, or a file is there.
        RunError: a file cannot be written.
    """
    name = free_name(name)
    if not name.isascii():
        raise UsageError(f"{name!r} is no name for a distribution, which has ASCII letters, digits and underscores")
    distribution = f"graphrun-{name.replace('_', '-')}"
    x, value, engines = ("[3, 4]", 25, ("numpy", "jax")) if tensor else ("3", 9, ("numpy", "numba", "jax"))
    given = {"name": name, "distribution": distribution, "version": __version__, "engines": engines}
    given["example"] = EXAMPLE.format(name=name, x=x, value=value)
    texts = {file.format(name=name): text.format(**given) for file, text in DISTRIBUTION.items()}
    texts[f"graphrun_{name}.py"] = plugin_text(name, tensor=tensor)
    return _write(Path(folder or distribution), texts)


def free_name(name: str) -> str:
    """Return a name for a node type as it is written.

    Raises:
        UsageError: it is no identifier, means something else, or is taken.
    """
    name = normalize(name)
    if (
        not (name.isidentifier() and is_name(name))
        or name.startswith(("_", "test_"))
        or name.endswith("_")
        or name in TAKEN
    ):
        raise UsageError(f"{name!r} is no name for a node type: write letters, digits and underscores between them")
    taken = Registry().node_type(name)
    if taken is not None:
        raise UsageError(f"the node type {name!r} is there already, in {taken.file}")
    return name


def plugin_text(name: str, *, tensor: bool) -> str:
    """Return the module that declares a node type of that name."""
    return PLUGIN.format(name=name, declaration=(TENSOR if tensor else ELEMENTWISE).format(name=name))


def _write(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write files, none of which may be there; return their paths."""
    files = {folder / name: text for name, text in texts.items()}
    for file in files:
        if file.exists():
            raise UsageError(f"{file} is there already")
    try:
        for file, text in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_output(file, text)
    except OSError as error:
        raise RunError(f"the plugin cannot be written: {error}") from None
    return list(files)
