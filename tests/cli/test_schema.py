"""The JSON Schema takes what the program takes and catches mistakes of form; `--init` connects a file with it."""

from __future__ import annotations

import codecs
import json
import math
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

import graphrun
from graphrun.cli.entry import run_command
from graphrun.cli.schema import graph_file_schema, keys_of
from graphrun.declare.nodetype import NodeType
from graphrun.document import loader
from graphrun.document.header import OTHER_KEYS
from graphrun.document.models import Header
from graphrun.document.parameters import KEYS as PARAMETER_KEYS
from graphrun.document.subgraphs import KEYS as SUBGRAPH_KEYS
from graphrun.plugins.registry import Registry

ROOT = Path(__file__).parents[2]
GRAPHS = sorted((ROOT / "graphs").glob("*.yaml"))
DOCUMENTS = [ROOT / "README.md", ROOT / "graphs/README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(file.read_text(encoding="utf-8") for file in DOCUMENTS)
EXAMPLES = re.findall(r"^```yaml\n(?!# wrong)(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PLUGINS = re.findall(r"^```python\n# plugins/(\w+\.py)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)

VALID = {
    "nothing": "{}",
    "empty sections": "constants:\nnodes:\nparameters:\nsubgraphs:\ninclude:\nstop:\nrecord:\nexpect:\n",
    "header": "graphrun: 1\ndescription: d\nsteps: 1e6\nseed: 0\ndtype: float32\nstop: {change: 0, patience: 3}",
    "record": "parameters: {x: 1}\nrecord: [x]\nminimize: x",
    "values": "parameters: {a: [[1, 2], [3, 4]], b: {value: 1, upper: .inf}, θ: 1}\nconstants: {c: [], d.1: 2}",
    "shape": "parameters: {a: {shape: [2, 3], init: {type: normal, std: 0.1}, lower: -1}}",
    "expression": "parameters: {a: 1}\nnodes: {f: 2 * a}",
    "numbers as inputs": "nodes: {f: {type: add, inputs: [1, 2.5]}}",
    "no setting": "parameters: {a: 1}\nnodes: {f: {type: leaky_relu, inputs: [a]}}",
    "settings": "parameters: {a: [1]}\nnodes: {f: {type: sum, inputs: [a], axis: [0], keepdims: true}}",
    "null setting": "parameters: {a: [1]}\nnodes: {f: {type: sum, inputs: [a], axis: null}}",
    "merge": "parameters: {a: 1}\nnodes: {f: &f {type: exp, inputs: [a]}, g: {<<: *f, inputs: [f]}}",
    "default rule": "update: {step_size: 1}",
    "rule": "update: {type: adam, beta1: 0.5}",
    "uncertainty": "parameters: {a: 1}\nnodes: {f: a ** 2}\nminimize: f\nuncertainty: likelihood",
    "settings of the uncertainty": """\
parameters: {a: 1}
nodes: {r: a - 1, f: r ** 2}
minimize: f
update: {type: least_squares, residual: r}
uncertainty: {kind: least_squares, level: 0.9, absolute_sigma: true, robust: false}
expect: {std_errors: {a: 1}}
""",
    "expect alone": "parameters: {a: 1}\nexpect: {at: 0, values: {a: 1}, tolerance: 0.1}",
    "expect list": "parameters: {a: 1}\nminimize: a\nexpect: [{gradients: {a: 1}}]",
    "subgraph": """\
subgraphs:
  layer:
    description: a layer
    inputs: [x]
    settings: {n: null, slope: 0.1, start: zeros}
    parameters: {W: {shape: [$n, 2], init: {type: $start}}, b: {value: $slope, lower: -1}}
    constants: {c: [$slope]}
    nodes: {h: {type: leaky_relu, inputs: [x], slope: $slope}, y: sum(h * W) + b + c}
    output: y
parameters: {x: [1, 2]}
nodes:
  first: {type: layer, inputs: [x], n: 2}
  chain: {type: layer, inputs: [first], n: 2, repeat: 2, share: true}
""",
}

MISTAKES = {
    "unknown key": "node: {}",
    "version": "graphrun: 2",
    "description": "description: 3",
    "two objectives": "parameters: {a: 1, b: 1}\nmaximize: a\nminimize: b",
    "objective": "parameters: {a: 1}\nmaximize: [a]",
    "steps": "steps: -1",
    "fraction of a step": "steps: 1.5",
    "steps as text": "steps: '3'",
    "seed": "seed: true",
    "dtype": "dtype: float16",
    "record": "record: a",
    "stop rule": "stop: {gradientnorm: 1}",
    "kind of uncertainty": "parameters: {a: 1}\nminimize: a\nuncertainty: likelyhood",
    "level": "parameters: {a: 1}\nminimize: a\nuncertainty: {kind: likelihood, level: 95}",
    "no kind": "parameters: {a: 1}\nminimize: a\nuncertainty: {robust: true}",
    "another key of it": "parameters: {a: 1}\nminimize: a\nuncertainty: {kind: likelihood, sigma: true}",
    "patience": "stop: {patience: 0}",
    "include": "include: layers.yaml",
    "parameters": "parameters: [1]",
    "name": "parameters: {1a: 1}",
    "keyword": "parameters: {for: 1}",
    "literal as a name": "nodes: {'True': 1 + 2}",
    "text as a value": "parameters: {a: x}",
    "text in a list": "constants: {a: [1, x]}",
    "mapping as a constant": "constants: {a: {value: 1}}",
    "no value": "parameters: {a: {lower: 0}}",
    "misspelt value": "parameters: {a: {valeu: 1}}",
    "value and shape": "parameters: {a: {value: 1, shape: [2], init: {type: zeros}}}",
    "no init": "parameters: {a: {shape: [2]}}",
    "shape": "parameters: {a: {shape: 2, init: {type: zeros}}}",
    "init": "parameters: {a: {shape: [2], init: zeroes}}",
    "initializer": "parameters: {a: {shape: [2], init: {type: zero}}}",
    "setting of an initializer": "parameters: {a: {shape: [2], init: {type: normal, sd: 1}}}",
    "number as a node": "nodes: {f: 3}",
    "list as a node": "nodes: {f: [a]}",
    "no type": "nodes: {f: {inputs: [1]}}",
    "no inputs": "nodes: {f: {type: exp}}",
    "inputs": "nodes: {f: {type: exp, inputs: 1}}",
    "mapping as an input": "nodes: {f: {type: exp, inputs: [{}]}}",
    "type": "nodes: {f: {type: expp, inputs: [1]}}",
    "too few inputs": "nodes: {f: {type: add, inputs: [1]}}",
    "too many inputs": "nodes: {f: {type: exp, inputs: [1, 2]}}",
    "unknown setting": "nodes: {f: {type: leaky_relu, inputs: [1], slop: 1}}",
    "type of a setting": "nodes: {f: {type: leaky_relu, inputs: [1], slope: x}}",
    "choice of a setting": "nodes: {f: {type: gelu, inputs: [1], approximate: x}}",
    "required setting": "nodes: {f: {type: reshape, inputs: [1]}}",
    "repeat of a type": "nodes: {f: {type: exp, inputs: [1], repeat: 2}}",
    "rule": "update: {type: sdg}",
    "rule as a text": "update: sgd",
    "setting of the default rule": "update: {stepsize: 1}",
    "setting of a rule": "update: {type: adam, momentum: 1}",
    "no rule": "update:",
    "row": "expect: {at: -1}",
    "key of an expectation": "expect: [{value: {a: 1}}]",
    "tolerance": "expect: {tolerance: 0}",
    "subgraph": "subgraphs: {s: 3}",
    "subgraph without output": "subgraphs: {s: {nodes: {}}}",
    "key of a subgraph": "subgraphs: {s: {output: y, node: {}, nodes: {y: 1 + 2}}}",
    "inputs of a subgraph": "subgraphs: {s: {inputs: [x, x], output: x}}",
    "setting within a subgraph": "subgraphs: {s: {nodes: {y: {type: elu, inputs: [1], alfa: $a}}, output: y}}",
    "setting beside a subgraph": "subgraphs: {}\nnodes: {f: {type: elu, inputs: [1], alfa: 1}}",
    "repeat": "subgraphs: {s: {inputs: [x], output: x}}\nnodes: {f: {type: s, inputs: [1], repeat: 0}}",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that is the working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Return the types that come with graphrun and with the project's plugins."""
    return Registry()


@pytest.fixture(scope="module")
def errors(registry: Registry) -> Callable[[str], list[str]]:
    """Return a function that gives the errors in a graph file's text."""
    return checker(registry)


def checker(registry: Registry) -> Callable[[str], list[str]]:
    """Return a function that gives the errors in the text of a graph file that uses what a registry has."""
    schema = json.loads(json.dumps(graph_file_schema(registry), allow_nan=False))
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    return lambda text: [f"{error.json_path}: {error.message}" for error in validator.iter_errors(loader.load(text)[0])]


@pytest.mark.slow
def test_graphs_and_examples_are_valid(tmp_path: Path) -> None:
    """Every graph file of the repository and of its documents has the form that the schema describes."""
    for name, code in PLUGINS:
        (tmp_path / name).write_text(code, encoding="utf-8")
    errors = checker(Registry([tmp_path]))
    texts = [*(file.read_text(encoding="utf-8") for file in GRAPHS), *EXAMPLES]
    assert {text: errors(text) for text in texts if errors(text)} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", VALID)
def test_schema_takes_what_the_program_takes(name: str, errors: Callable[[str], list[str]], tmp_path: Path) -> None:
    """A file that loads is valid."""
    file = tmp_path / "graph.yaml"
    file.write_text(VALID[name], encoding="utf-8")
    graphrun.load(file)
    assert errors(VALID[name]) == []


@pytest.mark.parametrize("name", MISTAKES)
def test_schema_catches_a_mistake(name: str, errors: Callable[[str], list[str]], tmp_path: Path) -> None:
    """A mistake of form is one for the schema, as it is for the program."""
    file = tmp_path / "graph.yaml"
    file.write_text(MISTAKES[name], encoding="utf-8")
    with pytest.raises(graphrun.GraphrunError):
        graphrun.load(file)
    assert errors(MISTAKES[name])


def test_every_type_has_its_settings_and_inputs(registry: Registry) -> None:
    """Each node type, of plugins too, has its own keys, and no others."""
    for declared, _ in registry.all(NodeType).values():
        assert isinstance(declared, NodeType)
        schema = keys_of(declared)
        assert list(schema["properties"]) == ["type", "inputs", *(setting.name for setting in declared.keyword)]
        assert schema["properties"]["inputs"]["minItems"] == declared.arity[0]
        assert declared.description in schema["description"]


def test_every_key_is_there_and_described(registry: Registry) -> None:
    """The keys are those that the program reads, and an editor has something to say about each."""
    schema = graph_file_schema(registry)
    assert set(schema["properties"]) == {*Header.model_fields, *OTHER_KEYS}
    stop, expect = schema["properties"]["stop"], schema["properties"]["expect"]["then"]
    parameter, subgraph = schema["definitions"]["parameter"], schema["definitions"]["subgraph"]
    assert set(parameter["properties"]) == set(PARAMETER_KEYS)
    assert set(subgraph["properties"]) == set(SUBGRAPH_KEYS)
    for part in (schema, stop, expect, parameter, subgraph):
        assert all(described.get("description") for described in part["properties"].values())


class Point(BaseModel):
    """A setting of several values."""

    x: float
    next: Point | None = None


class Opaque:
    """A class that pydantic knows nothing about."""


@graphrun.tensor
def varied(
    xp: Any,
    x: Any,
    *rest: Any,
    point: Point,
    kind: Literal["a", "b", 3] = "a",
    size: Annotated[int, Field(ge=1, description="How large.")] = 1,
    pair: tuple[int, float] = (1, 2.0),
    largest: float = math.inf,
    names: list[str] | str | None = None,
) -> Any:
    """Has settings of every kind."""
    return x


def test_settings_of_every_kind() -> None:
    """What pydantic says about a setting is said in draft 7: references in place, tuples, bounds, infinite defaults."""
    schema = keys_of(varied)
    json.dumps(schema, allow_nan=False)
    assert "maxItems" not in schema["properties"]["inputs"]
    assert schema["required"] == ["point"]
    assert schema["properties"]["names"]["type"] == ["array", "string", "null"]
    assert schema["properties"]["size"]["description"] == "How large."
    assert schema["properties"]["kind"]["title"] == 'kind: "a" or "b" or 3, default "a"'
    validator = jsonschema.Draft7Validator(schema)
    good = {"type": "varied", "inputs": ["a", "b", "c"], "point": {"x": 1, "next": {"x": 2, "next": None}}}
    assert validator.is_valid(good | {"pair": [1, 2.5], "largest": 3, "names": ["a"], "kind": 3})
    for wrong in ({"pair": [1]}, {"pair": [1, "x"]}, {"size": 0}, {"point": {}}, {"names": 3}, {"kind": "c"}):
        assert not validator.is_valid(good | wrong), wrong


@graphrun.elementwise
def opaque(xp: Any, x: Any, *, setting: Annotated[Any, Opaque()] = None, other: float = 1.0) -> Any:
    """Has a setting that is anything."""
    return x


def test_a_setting_may_be_anything() -> None:
    """A setting about which nothing is known takes every value."""
    assert keys_of(opaque)["properties"]["setting"]["title"] == "setting: any value, default null"


def test_schema_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints the schema and nothing else."""
    assert run_command(["schema"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["title"] == "graphrun"
    assert captured.err == ""


def test_schema_has_plugins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Node types of a plugin folder are in it; a plugin that fails is told of on stderr."""
    assert run_command(["new-node", "thrice", "-o", str(tmp_path)]) == 0
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n", encoding="utf-8")
    capsys.readouterr()
    assert run_command(["schema", "--plugins", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert '"thrice"' in captured.out
    assert "broken.py failed to load: ModuleNotFoundError" in captured.err


MODELINE = "# yaml-language-server: $schema=.graphrun-schema.json"


WITH_ITS_LINE = [
    ("a: 1\n", f"{MODELINE}\na: 1\n"),
    ("a: 1\r\nb: 2\n", f"{MODELINE}\r\na: 1\r\nb: 2\n"),
    ("# text\n\na: 1", f"{MODELINE}\n# text\n\na: 1"),
    ("# yaml-language-server: $schema=x.json\na: 1\n", f"{MODELINE}\na: 1\n"),
    ("# text\r\n\r\n#  yaml-language-server : $schema=x\r\na: 1", f"# text\r\n\r\n{MODELINE}\r\na: 1"),
    ("a: |\n  # yaml-language-server: x\n", f"{MODELINE}\na: |\n  # yaml-language-server: x\n"),
    ("é: 1\n", f"{MODELINE}\né: 1\n"),
    ("", f"{MODELINE}{os.linesep}"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
def test_init_writes_one_line(mark: bytes, encoding: str, folder: Path) -> None:
    """The modeline comes first or replaces the one there; every other byte stays."""
    files = {folder / f"{k}.yaml": pair for k, pair in enumerate(WITH_ITS_LINE)}
    for file, (before, _) in files.items():
        file.write_bytes(mark + before.encode(encoding))
    for _ in range(2):
        assert run_command(["schema", "--init", *(file.name for file in files)]) == 0
        for file, (_, after) in files.items():
            assert file.read_bytes() == mark + after.encode(encoding)


def test_init_says_what_it_wrote(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files in one folder share one schema; what is up to date stays as it is."""
    (folder / "a.yaml").write_text("nodes: {}\n", encoding="utf-8")
    (folder / "b.yaml").write_text("nodes: {}\n", encoding="utf-8")
    (folder / "a.yaml").chmod(0o640)
    assert run_command(["schema", "--init", "a.yaml", "b.yaml"]) == 0
    assert capsys.readouterr().out == "wrote .graphrun-schema.json\nwrote a.yaml\nwrote b.yaml\n"
    assert stat.S_IMODE((folder / "a.yaml").stat().st_mode) == 0o640
    assert run_command(["schema", "--init", "a.yaml"]) == 0
    assert capsys.readouterr().out == "unchanged .graphrun-schema.json\nunchanged a.yaml\n"
    assert json.loads((folder / ".graphrun-schema.json").read_text(encoding="utf-8"))["title"] == "graphrun"
    assert sorted(file.name for file in folder.iterdir()) == [".graphrun-schema.json", "a.yaml", "b.yaml"]


def test_init_shares_the_schema_of_a_project(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A schema in a folder above is renewed within a project, and left alone outside of one."""
    inner = folder / "graphs" / "small"
    inner.mkdir(parents=True)
    file = inner / "a.yaml"
    (folder / ".graphrun-schema.json").write_text("{}", encoding="utf-8")
    for project, schema in ((False, ".graphrun-schema.json"), (True, "../../.graphrun-schema.json")):
        if project:
            (inner / ".graphrun-schema.json").unlink()
            (folder / "pyproject.toml").write_text("", encoding="utf-8")
        file.write_text("nodes: {}\n", encoding="utf-8")
        assert run_command(["schema", "--init", str(file)]) == 0
        assert file.read_text(encoding="utf-8") == f"# yaml-language-server: $schema={schema}\nnodes: {{}}\n"
        assert len((file.parent / schema).read_text(encoding="utf-8")) > 1000


def test_init_needs_files_that_can_be_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written when a file is missing, and --init and files go together."""
    (folder / "a.yaml").write_text("nodes: {}\n", encoding="utf-8")
    assert run_command(["schema", "--init", "a.yaml", "missing.yaml"]) == 2
    assert "missing.yaml: there is no such file" in capsys.readouterr().err
    assert [file.name for file in folder.iterdir()] == ["a.yaml"]
    assert run_command(["schema", "--init"]) == 2
    assert run_command(["schema", "a.yaml"]) == 2


def test_init_that_cannot_write_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A schema that cannot be written is a failure, after which no half-written file is left."""
    (folder / "a.yaml").write_text("nodes: {}\n", encoding="utf-8")
    (folder / ".graphrun-schema.json").mkdir()
    assert run_command(["schema", "--init", "a.yaml"]) == 1
    assert ".graphrun-schema.json cannot be written: " in capsys.readouterr().err
    assert (folder / "a.yaml").read_text(encoding="utf-8") == "nodes: {}\n"
    assert len(list(folder.iterdir())) == 2
