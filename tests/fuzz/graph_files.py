"""Graph files of the campaign, each made of its number alone.

One is an example whose text or whose tree of values is changed, or it is drawn from the schema of graph files,
or it is a graph of random types and shapes that is nearly right, or one of formulas that mostly runs.
"""

from __future__ import annotations

import copy
import re
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import sound_graphs
import yaml

from graphrun.cli.schema import graph_file_schema
from graphrun.declare.nodetype import NodeType
from graphrun.plugins.registry import Registry

ROOT = Path(__file__).parents[2]
GRAPHS = ROOT / "graphs"
NAMES = ["a", "b", "x", "y", "w", "loss", "layer", "layer.1", "f"]
PIECES = [
    *" \t\n:,[]{}-?*&!%@`'\"|>#~.",
    *(": ", "- ", "\n  ", "<<: ", "*a", "&a ", "!!int ", "---\n", "\r", "\x85", "\u2028", "\ufeff", "\0", "\x1b[2J"),
    *("\u202e", "日本", "\ud800", "😀", "ﬁ", "null", "true", ".nan", ".inf", "1e400", "-1", "0", "1e-320", "$x", "..."),
    *(
        "type: ",
        "inputs: ",
        "shape: ",
        "repeat: ",
        "init: ",
        "share: true",
        "9" * 400,
        "0x10",
        "1_000",
        "2:30",
        "a" * 99,
    ),
    *("(", ")", "**", "@", "//", "==", " if ", "lambda x: x", "__import__('os')", "f''", "[0]", "a.b", "-a", "1j"),
]
NUMBERS: list[Any] = [
    *(0, 1, -1, 2, 3, 5, 7, 64, 1000, 100_000, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400, -(2**63)),
    *(0.0, -0.0, 0.5, 1e-320, 1e-10, 0.1, 1e10, 1e100, 1e308, -1e308, float("inf"), float("nan")),
]
VALUES: list[Any] = [
    *NUMBERS,
    None,
    True,
    "",
    "a",
    "x",
    "auto",
    "zeros",
    "add",
    [],
    {},
    [1, 2],
    [[1], [2, 3]],
    [[]],
    {"a": 1},
]


def graph(number: int) -> str:
    """Return the text of a graph file."""
    random = Random(f"graph {number}")
    ways = [edited_text, edited_text, edited_tree, edited_tree, from_schema, nearly_right, nearly_right, sound]
    return random.choice(ways)(random)


@cache
def examples() -> list[str]:
    """The graphs of the package, and those that these pages have."""
    files = sorted([*GRAPHS.glob("*.yaml"), *(ROOT / "plugins").glob("*.yaml")])
    pages = [ROOT / "README.md", GRAPHS / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    blocks = [block for page in pages for block in re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)]
    return [file.read_text("utf-8") for file in files] + [b for b in blocks if "nodes:" in b]


def edited_text(random: Random) -> str:
    """Change a few characters, words or lines."""
    text = random.choice(examples())
    for _ in range(random.randint(1, 4)):
        words = list(re.finditer(r"[\w.]+", text))
        lines = text.split("\n")
        at = random.randrange(len(text) + 1)
        match random.randrange(8):
            case 0:
                text = text[:at] + random.choice(PIECES) + text[at + random.randrange(4) :]
            case 1 if words:
                word = random.choice(words)
                text = text[: word.start()] + str(random.choice(NUMBERS)) + text[word.end() :]
            case 2 if words:
                word, other = random.choice(words), random.choice(words)
                text = text[: word.start()] + other[0] + text[word.end() :]
            case 3:
                line = random.randrange(len(lines))
                text = "\n".join(lines[:line] + lines[line + 1 :])
            case 4:
                line = random.randrange(len(lines))
                text = "\n".join([*lines[:line], random.choice(lines), *lines[line:]])
            case 5:
                other = random.choice(examples()).split("\n")
                start = random.randrange(len(other))
                text = "\n".join(lines[: random.randrange(len(lines))] + other[start : start + random.randint(1, 9)])
            case 6:
                text = text[:at] + text[at + random.randint(1, 40) :]
            case _ if words:
                word = random.choice(words)
                text = text[: word.start()] + random.choice(sorted(types())) + text[word.end() :]
    return text


def edited_tree(random: Random) -> str:
    """Change a few values of an example's tree."""
    return edited(random, copy.deepcopy(trees()[random.randrange(len(trees()))]))


def edited(random: Random, data: Any) -> str:
    """Change a few values of a tree."""
    for _ in range(random.randint(1, 4)):
        places = list(walk(data))
        if not places:
            break
        owner, key = random.choice(places)
        others = [o[k] for o, k in walk(random.choice(trees()))]
        match random.randrange(6):
            case 0:
                del owner[key]
            case 1:
                owner[key] = random.choice(VALUES)
            case 2:
                owner[key] = copy.deepcopy(random.choice(others))
            case 3 if isinstance(owner, dict):
                owner[random.choice([*NAMES, "type", "shape", "repeat", "axis", "init"])] = copy.deepcopy(owner[key])
            case 4 if isinstance(owner, dict):
                owner[random.choice([*map(str, owner), *NAMES])] = node(random)
            case _:
                owner[key] = [owner[key]] * random.randrange(4) if random.random() < 0.5 else {"a": owner[key]}
    return dumped(data)


@cache
def trees() -> list[Any]:
    """The examples as plain data."""
    loaded = []
    for text in examples():
        try:
            data = yaml.load(text, yaml.CSafeLoader)
        except yaml.YAMLError:
            continue
        if isinstance(data, dict):
            loaded.append(data)
    return loaded


def walk(data: Any) -> Any:
    """Yield each place in nested lists and mappings: what holds it, and its key."""
    pairs = list(data.items()) if isinstance(data, dict) else list(enumerate(data)) if isinstance(data, list) else []
    for key, value in pairs:
        yield data, key
        yield from walk(value)


def dumped(data: Any) -> str:
    """Write plain data as YAML."""
    return yaml.dump(data, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, default_flow_style=None)


@cache
def registry() -> Registry:
    """The built-in declarations."""
    return Registry()


@cache
def types() -> dict[str, NodeType]:
    """The node types by name."""
    return {name: declared for name, (declared, _) in registry().all(NodeType).items()}


@cache
def schema() -> dict[str, Any]:
    """The schema of graph files."""
    return graph_file_schema(registry())


def from_schema(random: Random) -> str:
    """Draw a file that the schema allows, with names of a few."""
    top = schema()["properties"]
    keys = ["parameters", "nodes", *random.sample(sorted(top), random.randint(0, 6))]
    data = {key: drawn(random, top[key], 0) for key in dict.fromkeys(keys)}
    if not isinstance(data["nodes"], dict) or random.random() < 0.8:
        data["nodes"] = {name: drawn(random, {"$ref": "#/definitions/node"}, 0) for name in random.sample(NAMES, 3)}
    return dumped(data)


def drawn(random: Random, of: Any, depth: int) -> Any:
    """Draw a value that a schema allows, or nearly so; where a choice hangs on a `type`, one is drawn."""
    if not isinstance(of, dict) or random.random() < 0.01 or depth > 9:
        return random.choice(VALUES)
    if "$ref" in of:
        return drawn(random, schema()["definitions"][of["$ref"].rpartition("/")[2]], depth)
    if "const" in of or "enum" in of:
        return of.get("const", random.choice(of.get("enum", [None])))
    for key in ("anyOf", "oneOf"):
        if key in of:
            return drawn(random, random.choice(of[key]), depth)
    if "if" in of and "type" not in of:
        return drawn(random, of.get(random.choice(["then", "else"]), {}), depth)
    kinds = of.get("type", "object" if "properties" in of else None)
    kind = random.choice(kinds) if isinstance(kinds, list) else kinds
    match kind:
        case "object":
            return drawn_object(random, of, depth)
        case "array":
            count = random.randint(of.get("minItems", 0), max(of.get("minItems", 0), of.get("maxItems", 3)))
            inner = of.get("items", {"type": ["string", "number"]})
            return [drawn(random, inner, depth + 1) for _ in range(min(count, 6))]
        case "string":
            return random.choice([*NAMES, "a + b", "tanh(x) * w", "auto", "ij,jk->ik", "rows.csv", ""])
        case "number" | "integer":
            number = random.choice(NUMBERS)
            return max(number, of.get("minimum", number)) if kind == "number" else random.choice([0, 1, 2, 3, 5, 10**6])
        case "boolean":
            return random.random() < 0.5
    return None if kind == "null" else random.choice(VALUES)


def drawn_object(random: Random, of: dict[str, Any], depth: int) -> Any:
    """Draw a mapping."""
    choices = [part["then"] for part in of.get("allOf", ()) if "then" in part and "if" in part]
    for part in of.get("allOf", ()):
        if "$ref" in part:
            inner = schema()["definitions"][part["$ref"].rpartition("/")[2]]
            choices += [c["then"] | {"name": c["if"]} for c in inner.get("allOf", ()) if "then" in c]
    if of.get("required") == ["type", "inputs"]:
        return node(random)
    if choices:
        chosen = random.choice(choices)
        made = {"type": chosen.get("title", "a").partition("(")[0]}
        for key, inner in chosen.get("properties", {}).items():
            if key != "type" and (key in chosen.get("required", ()) or random.random() < 0.4):
                made[key] = drawn(random, inner, depth + 1)
        return made
    properties = of.get("properties", {})
    made = {k: drawn(random, inner, depth + 1) for k, inner in properties.items() if random.random() < 0.4}
    if isinstance(of.get("additionalProperties"), dict):
        for name in random.sample(NAMES, random.randint(1, 4)):
            made[name] = drawn(random, of["additionalProperties"], depth + 1)
    return made


def setting(random: Random, name: str, of: Any) -> Any:
    """Draw a setting, small enough to fit where it is a size."""
    known: dict[str, list[Any]] = {
        "axis": [0, 1, -1, -2, None, [0, 1], [0], 5],
        "axes": [0, 1, 2, [[0], [1]], [1, 0], [0, 2, 1]],
        "shape": [[2, 3], [-1], [6], [3, 1, 2], [], [1, 0], [1000, 1000, 1000], [10**6, 10**6]],
        "subscripts": [
            "ij,jk->ik",
            "ij->",
            "i,j->ij",
            "...i,...i",
            "ii",
            "ij,kl,mn->ijklmn",
            "ab,bc,ca,cd,db->",
            "->",
            "é",
        ],
        "kernel_size": [1, 2, [2, 1], 2000, 0],
        "padding": [0, 1, 1000, [1, 0]],
        "widths": [[[1, 1]], [[1, 0], [0, 2]], [[100000, 100000], [100000, 0]]],
        "repetitions": [[2, 2], [1000, 1000], [0], [2]],
    }
    if name in known and random.random() < 0.8:
        return random.choice(known[name])
    if isinstance(of, dict) and of.get("type") == "array" and random.random() < 0.5:
        return [random.choice([0, 1, 2, -1, 10**5]) for _ in range(random.randint(0, 3))]
    return drawn(random, of, 3)


@cache
def settings_of(name: str) -> tuple[dict[str, Any], list[str]]:
    """The schemas of a type's settings, and which of them are needed."""
    model = types()[name].settings_model.model_json_schema()
    return model.get("properties", {}), model.get("required", [])


def node(random: Random, names: list[str] | None = None) -> Any:
    """Draw a node of any type, with about the right number of inputs."""
    names = names or NAMES
    kind = random.choice(sorted(types()))
    least, most = types()[kind].arity
    count = random.randint(least, least + 2 if most is None else most)
    if random.random() < 0.02:
        count = random.randint(0, 4)
    made = {"type": kind, "inputs": [random.choice(names) if random.random() < 0.9 else random.choice([0, 1.5, -2])
                                     for _ in range(count)]}  # fmt: skip
    schemas, needed = settings_of(kind)
    for name, of in schemas.items():
        if name in needed or random.random() < 0.4:
            made[name] = setting(random, name, of)
    if random.random() < 0.15:
        words = [f"{k}={v!r}" for k, v in made.items() if k not in ("type", "inputs")]
        return f"{kind}({', '.join([*map(str, made['inputs']), *words])})"
    return made


def sound(random: Random) -> str:
    """Draw a graph that mostly runs, as it is or with one of its values changed."""
    data = sound_graphs.sound(random)
    return dumped(data) if random.random() < 0.7 else edited(random, data)


def nearly_right(random: Random) -> str:
    """Draw a graph of random types on small arrays, with an update and perhaps a subgraph."""
    shapes: list[list[int]] = [[], [2], [3], [2, 3], [3, 2], [3, 3], [1, 1, 4, 4], [2, 2, 3], [0], [2, 0], [1, 3]]
    parameters: dict[str, Any] = {}
    for name in random.sample(["a", "b", "x", "w"], random.randint(1, 4)):
        shape = random.choice(shapes[: random.choice([3, len(shapes)])])
        if random.random() < 0.5:
            values = np.reshape(
                [random.choice([0.5, -1.0, 2.0, 0.0, 1e-5, 300.0, 1]) for _ in range(int(np.prod(shape)))], shape
            )
            parameters[name] = values.tolist()
        else:
            kinds = [
                "zeros",
                "ones",
                "normal",
                "uniform",
                "glorot_normal",
                "orthogonal",
                "identity",
                "truncated_normal",
            ]
            parameters[name] = {"shape": shape, "init": {"type": random.choice(kinds)}}
            if random.random() < 0.3:
                parameters[name]["lower"] = random.choice([0, -1, [0], 5])
    names, nodes = list(parameters), {}
    for number in range(random.randint(1, 6)):
        nodes[f"n{number}"] = node(random, names)
        names.append(f"n{number}")
    last = random.choice(list(nodes)[-2:])
    nodes["loss"] = random.choice(
        [f"sum({last})", f"mean({last} ** 2)", f"sum({last} * {last}) + sum({random.choice(names)})"]
    )
    data: dict[str, Any] = {"parameters": parameters, "nodes": nodes}
    if random.random() < 0.9:
        data["minimize"] = "loss"
    if random.random() < 0.6:
        rules = [part for part in schema()["properties"]["update"]["allOf"] if "title" in part["then"]]
        data["update"] = drawn_object(random, {"allOf": rules}, 3)
    if random.random() < 0.2:
        data["dtype"] = "float32"
    if random.random() < 0.2:
        data["subgraphs"] = {"s": {"inputs": ["x"], "nodes": {"y": node(random, ["x"]), "z": "y + x"}, "output": "z"}}
        nodes["t"] = {"type": "s", "inputs": [random.choice(names)], "repeat": random.choice([1, 2, 3, 50])}
    return dumped(data)
