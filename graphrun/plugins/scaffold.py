"""Writing a new plugin: a node type that works, and its test, ready to edit."""

from pathlib import Path

from graphrun.base.errors import RunError, UsageError
from graphrun.base.files import write_output
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


def write_plugin(name: str, folder: str | None = None, *, tensor: bool = False) -> list[Path]:
    """Write a plugin file and its test; return their paths.

    Args:
        name: the name of the node type.
        folder: where to write, made if need be; default the project's plugin folder, else the working folder.
        tensor: declare a tensor type, not an elementwise one.

    Raises:
        UsageError: the name is no identifier or is taken, or a file of that name is there.
        RunError: a file cannot be written.
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
    target = Path(folder) if folder is not None else next(iter(project_folders()), Path())
    declaration = (TENSOR if tensor else ELEMENTWISE).format(name=name)
    texts = {
        target / f"{name}.py": PLUGIN.format(name=name, declaration=declaration),
        target / f"test_{name}.py": TEST.format(name=name),
    }
    for file in texts:
        if file.exists():
            raise UsageError(f"{file} is there already")
    try:
        target.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            write_output(file, text)
    except OSError as error:
        raise RunError(f"the plugin cannot be written: {error}") from None
    return list(texts)
