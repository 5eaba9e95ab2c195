"""The JSON Schema of graph files, for editors: every installed node type, update rule and initializer is in it.

It is of draft 7, which all editors read. It says what a file may look like: names, shapes and cycles are seen when the
file is loaded. Where a choice hangs on a `type`, `if` and `then` make it, so that an editor tells of the one mistake
and not of all the alternatives.
"""

import keyword
from collections.abc import Iterable, Sequence
from typing import Any

from graphrun.cli.settings_schema import NUMBERS, Schema, settings_of, with_references
from graphrun.declare.declaration import Declaration
from graphrun.declare.initializers import INITIALIZERS
from graphrun.declare.nodetype import NodeType
from graphrun.declare.updaterule import UpdateRule
from graphrun.document.data_section import MISSING, TIMES
from graphrun.document.names import LITERALS
from graphrun.document.sweep_section import SETTINGS as SWEEP_SETTINGS
from graphrun.plugins.registry import Registry
from graphrun.solvers import SOLVERS, Solver
from graphrun.updates.schedule import SCHEDULES

DRAFT = "http://json-schema.org/draft-07/schema#"

# Not \w, which is ASCII in an editor and Unicode in Python: whatever is not ASCII is taken for a letter.
_LETTER, _DIGIT = r"[A-Za-z_\u0080-\uffff]", r"[A-Za-z0-9_\u0080-\uffff]"
_ANY_CASE = ("".join(f"[{letter}{letter.upper()}]" for letter in literal) for literal in LITERALS)
_RESERVED = "|".join([*(word for word in keyword.kwlist if word.lower() not in LITERALS), *_ANY_CASE])
NAME = rf"^(?!(?:{_RESERVED})$){_LETTER}{_DIGIT}*(?:\.{_DIGIT}+)*$"

NAMES = {
    "pattern": NAME,
    "patternErrorMessage": "A name has letters, digits and '_', begins with no digit, and is no keyword of Python.",
}
INPUTS: Schema = {"type": "array", "items": {"type": ["string", "number"]}}
COUNT: Schema = {"type": "integer", "minimum": 1}
TEXTS: Schema = {"type": "array", "items": {"type": "string"}}
ONE_OR_MORE: Schema = {"type": ["string", "array"], "items": {"type": "string"}}
WHOLE: Schema = {"type": "integer", "minimum": 0}
POSITIVE: Schema = {"type": "number", "exclusiveMinimum": 0}
NOT_NEGATIVE: Schema = {"type": "number", "minimum": 0}


def graph_file_schema(registry: Registry) -> Schema:
    """Return the schema of graph files that use the node types and update rules of a registry, all plugins included."""
    node_types = [declared for declared, _ in registry.all(NodeType).values()]
    rules = [*(declared for declared, _ in registry.all(UpdateRule).values()), *SOLVERS.values()]
    return {
        "$schema": DRAFT,
        "title": "graphrun",
        "description": "A computational graph: leaf values, the nodes computed from them, and how to optimize one.",
        "type": "object",
        "properties": sections(rules),
        "additionalProperties": False,
        "if": {"anyOf": [{"required": ["subgraphs"]}, {"required": ["include"]}]},
        "then": {"properties": {"nodes": _entries("nodeOrInstance")}},
        "else": {"properties": {"nodes": _entries("node")}},
        "dependencies": {
            "maximize": {
                "properties": {"minimize": False},
                "errorMessage": "A graph has one objective: keep either 'maximize' or 'minimize'.",
            }
        },
        "definitions": definitions(node_types),
    }


CLIPS = {
    "clip_norm": "The largest Euclidean norm of the whole gradient.",
    "clip_value": "The largest absolute value of an element of the gradient.",
}


def sections(rules: Sequence[Declaration]) -> dict[str, Schema]:
    """Return the schema of each key of a graph file."""
    objective = "the name of one scalar node or parameter. Give one of maximize and minimize, or none to only evaluate."
    expectation = _object(
        {
            "at": WHOLE | _told("The row of the history: 0 is before any update; default the last."),
            "values": _named(NUMBERS, "The values that nodes and leaves have in that row."),
            "gradients": _named(NUMBERS, "The derivatives of the objective in that row."),
            "std_errors": {"type": "object", "additionalProperties": {"type": "number"}}
            | _told("The standard errors of parameters; of elements as W[0,1]."),
            "tolerance": POSITIVE | _told("How far a number may be off."),
        }
    )
    return {
        "graphrun": {"const": 1} | _told("The format version, which is 1."),
        "description": _text("What the graph is; free text."),
        "include": {"type": ["array", "null"], "items": {"type": "string"}}
        | _told("Graph files whose subgraphs become available, relative to this file."),
        "data": data_section() | _told("The data set that feeds each step."),
        "parameters": _section("parameter", "Leaves that updates move: a number, a nested list, or a mapping."),
        "constants": _section("constant", "Leaves that are never moved: a number, a nested list, or {file, key}."),
        "subgraphs": _section("subgraph", "Reusable graphs by name, used as node types."),
        "nodes": _named(True, "What is computed, in any order: {type, inputs, settings} or an expression."),
        "maximize": _text(f"What updates make larger: {objective}", minLength=1),
        "minimize": _text(f"What updates make smaller: {objective}", minLength=1),
        "update": by_type("The update rule; default sgd.", rules, default="sgd")
        | _told("The rule that moves the parameters, and its settings; default {type: sgd, step_size: 0.01}."),
        "start": _text("A checkpoint whose parameters, those of the same name, the run begins with.", minLength=1),
        "steps": WHOLE | _told("How many steps to make; default 1. 0 only evaluates. --steps overrides it."),
        "stop": _object(
            {
                "gradient_norm": NOT_NEGATIVE | _told("Stop when the norm of the gradient is this small."),
                "change": NOT_NEGATIVE | _told("Stop when a step changes the objective by no more than this."),
                "value": {"type": "number"} | _told("Stop when the objective is as good as this."),
                "patience": COUNT | _told("Stop after so many steps without a better objective."),
                "holdout": stop_holdout(),
            },
            ["object", "null"],
        )
        | _told("When to end before the last step."),
        "uncertainty": {
            "if": {"type": "object"},
            "then": uncertainty(),
            "else": {"enum": ["least_squares", "likelihood"]},
        }
        | _told("What the fit is worth: standard errors and intervals of the parameters; a kind or a mapping."),
        "sweep": sweep(),
        "keep": {"enum": ["last", "best"]}
        | _told("Which parameters a run ends with; best: of the row whose objective on held-back rows is best."),
        "record": {"type": ["array", "null"], "items": {"type": "string", "minLength": 1}}
        | _told("Names shown and recorded at each step; default the objective and the scalar parameters."),
        "seed": WHOLE | _told("Every random draw derives from it, and from the name that it is for."),
        "dtype": {"enum": ["float64", "float32"]} | _told("The numbers' type; default float64."),
        "expect": {
            "type": ["object", "array", "null"],
            "if": {"type": "object"},
            "then": expectation,
            "else": {"items": expectation},
        }
        | _told("Values and gradients that `graphrun check` asserts: a mapping, or a list of them."),
    }


def stop_holdout() -> Schema:
    """Return the schema of stopping by a value on held-back rows."""
    keys = {
        "name": _text("The name of a number; default the objective.", minLength=1),
        "patience": COUNT | _told("How many recorded rows in a row may bring no better value."),
        "maximize": {"type": "boolean"} | _told("Whether the largest value is the best; default as the objective."),
    }
    told = _told("Stop when a value on held-back rows gets no better.")
    return _object(keys) | {"required": ["patience"]} | told


def sweep() -> Schema:
    """Return the schema of a sweep: its settings, and paths that are varied."""
    told = {name: _told(f"{words[0].upper()}{words[1:]}.") for name, (words, _) in SWEEP_SETTINGS.items()}
    keys: dict[str, Schema] = {}
    for name, (_, allowed) in SWEEP_SETTINGS.items():
        one: Schema = {"type": "integer", "minimum": allowed} if isinstance(allowed, int) else {"type": "string"}
        keys[name] = {**(one if isinstance(allowed, int) or not allowed else {"enum": list(allowed)}), **told[name]}
    varied = {"type": ["array", "string"], "minItems": 1} | _told("A list of values, or a range as 1e-4..1e-1:log.")
    described = _told("What `graphrun sweep` varies, by paths of --set, and how it searches.")
    return {"type": ["object", "null"], "properties": keys, "additionalProperties": varied} | described


def uncertainty() -> Schema:
    """Return the schema of what a fit is asked for beside its values."""
    return _object(
        {
            "kind": {"enum": ["least_squares", "likelihood"]}
            | _told("least_squares: from the derivatives of the residuals; likelihood: from the curvature."),
            "level": POSITIVE | {"exclusiveMaximum": 1} | _told("How likely intervals cover; default 0.95."),
            "absolute_sigma": {"type": "boolean"} | _told("Whether residuals are in units of known deviations."),
            "robust": {"type": "boolean"} | _told("Whether the sandwich of White and Huber is taken."),
        }
    ) | {"required": ["kind"]}


def data_section() -> Schema:
    """Return the schema of the data set: its file, its columns, how its rows make batches."""
    headers: Schema = {"anyOf": [{"type": "string"}, TEXTS | {"minItems": 1}]}
    column = {
        "column": _text("The header of one column."),
        "columns": headers | _told("Headers of columns that make a matrix; p* matches headers."),
        "categories": {"anyOf": [{"const": "auto"}, TEXTS]}
        | _told("The texts that become 0, 1, ...; auto for those of the file, sorted."),
        "one_hot": {"type": "boolean"} | _told("Whether each category becomes a column of zeros and ones."),
        "time": {"enum": list(TIMES)} | _told("What a date or time becomes: counted since 1970, or a part of it."),
        "format": _text('How a time is written, as "%d.%m.%Y"; default as 2001-12-31 18:00.'),
        "standardize": {"type": "boolean"}
        | _told("Whether mean and deviation are brought to 0 and 1, by the training part."),
        "missing": {"enum": list(MISSING)}
        | _told("What becomes of a missing cell: the mean of the column, or that and a column that says so."),
    }
    settings = {"properties": column, "additionalProperties": False}
    entry = {"if": {"type": "object"}, "then": settings, "else": headers}
    share = {"type": "number", "minimum": 0, "exclusiveMaximum": 1} | _told("The share of the rows; not with a file.")
    holdout = _object(
        {
            "share": share,
            "stratify": _text("The header of a column whose values have the same shares in both parts."),
            "group": _text("The header of a column: rows that have the same there are in one part."),
            "time": _text("The header of a column of numbers or dates: the latest rows are kept back."),
            "file": _text("A data file whose rows are kept back, relative to this file."),
            "seed": WHOLE | _told("What the rows are drawn from; default the run's seed."),
        }
    )
    return _object(
        {
            "file": _text("A .csv, .tsv (also .gz, .bz2, .xz), .parquet or .npz file, relative to this file."),
            "columns": {"type": ["object", "null"], "additionalProperties": entry}
            | _told("The values that the columns of the file make, by name."),
            "batch_size": COUNT | _told("How many rows a step takes; default all."),
            "shuffle": {"type": "boolean"} | _told("Whether each epoch has an order of its own, by the seed."),
            "holdout": {"if": {"type": "object"}, "then": holdout, "else": share}
            | _told("The share of rows that is kept back, on which recorded values are computed too, or a mapping."),
            "folds": COUNT
            | {"minimum": 2}
            | _told("How many parts all rows are divided into, each of which is held back in a run of its own."),
            "missing": {"enum": list(MISSING[:-1])}
            | _told("What becomes of missing cells, where a column says nothing: drop leaves such rows out."),
            "header": {"anyOf": [{"type": "boolean"}, TEXTS | {"minItems": 1}]}
            | _told("false where the file has no row of names: x1, x2, ...; or the names."),
            "delimiter": _text('What stands between the cells of a CSV file, as ";".'),
            "decimal": {"enum": [".", ","]} | _told("What a number's fraction begins with."),
            "comment": _text('What lines begin with that are passed over, as "#".'),
        }
    )


def definitions(node_types: Sequence[NodeType]) -> dict[str, Schema]:
    """Return what the sections refer to; what stands within a subgraph may have ``$name`` in place of any value."""
    keys = keys_by_type(node_types)
    inputs = INPUTS | _told("The node's inputs in order: names of other values, and numbers.")
    instance: Schema = {
        "inputs": inputs,
        "repeat": COUNT | _told("How many copies are chained: what each gives are the first inputs of the next."),
        "share": {"type": "boolean"} | _told("Whether the copies share one set of parameters; default false."),
        # A subgraph may have a setting of that name, of any kind.
        **{key: _told(schema["description"]) for key, schema in training().items()},
        "over": ONE_OR_MORE | _told("The inputs that are sequences, of which each copy takes its slice along axis 0."),
        "collect": ONE_OR_MORE | _told("The values that are stacked over all copies, each under its name."),
    }
    instance_within = {name: with_references(schema) for name, schema in instance.items()}
    known, listed = types_known(node_types), types_listed(node_types, "The node's type.")
    any_type = {"anyOf": [{"$ref": "#/definitions/typesListed"}, {"type": "string"}]}

    def node(keys: str, listed: Schema, other: Schema) -> Schema:
        types = {
            "if": type_is([declared.name for declared in node_types]),
            "then": {"properties": {"type": {"$ref": "#/definitions/typesKnown"}}},
            "else": {"properties": {"type": listed} | other},
        }
        return {
            "type": ["object", "string"],
            "required": ["type", "inputs"],
            "properties": {"type": {"type": "string"}, "inputs": {"type": "array"}},
            "allOf": [{"$ref": f"#/definitions/{keys}"}, types],
        } | _told("A node: {type, inputs} and the type's settings, or an expression such as (a + b) * c.")

    return {
        "numbers": {"type": ["number", "array"], "items": NUMBERS},
        "numbersWithin": with_references({"type": ["number", "array"], "items": NUMBERS}),
        "constant": constant(),
        "constantWithin": with_references(constant()),
        "parameter": parameter(),
        "parameterWithin": with_references(parameter()),
        "subgraph": subgraph(),
        "node": node("keysByType", {"$ref": "#/definitions/typesListed"}, {"inputs": inputs}),
        "nodeOrInstance": node("keysByType", any_type, instance),
        "nodeWithin": node("keysByTypeWithin", any_type, instance_within),
        "typesKnown": known,
        "typesListed": listed,
        "keysByType": {"allOf": keys},
        "keysByTypeWithin": {"allOf": [branch | {"then": with_references(branch["then"])} for branch in keys]},
    }


def parameter() -> Schema:
    """Return the schema of a parameter: its value, or a mapping with its value, or its shape and how it is drawn."""
    return _object(
        {
            "value": NUMBERS | _told("The start: a number or a nested list."),
            **stored(),
            "lower": NUMBERS | _told("The lower bound, which every update keeps; broadcast to the value's shape."),
            "upper": NUMBERS | _told("The upper bound, which every update keeps; broadcast to the value's shape."),
            "shape": {"type": "array", "items": {"anyOf": [WHOLE, {"type": "string"}]}}
            | _told("The shape of a value that is drawn: numbers, and columns for how many categories or columns."),
            "init": {"anyOf": [{"enum": list(INITIALIZERS)}, by_type("The initializer.", list(INITIALIZERS.values()))]}
            | _told("How the value is drawn: the name of an initializer, or a mapping with its settings."),
            **training(),
        },
        ["number", "array", "object"],
    ) | {
        "items": NUMBERS,
        "if": {"type": "object", "anyOf": [{"required": ["shape"]}, {"required": ["init"]}]},
        "then": {"required": ["shape", "init"], "properties": {"value": False}},
        "else": {
            "if": {"type": "object", "anyOf": [{"required": ["file"]}, {"required": ["key"]}]},
            "then": {"required": ["file", "key"], "properties": {"value": False}},
            "else": {"required": ["value"]},
        },
    }


def training() -> Schema:
    """Return the schema of what a parameter, or an instance for all of its own, says of the update."""
    factor = "What the update rule's is multiplied by; default 1."
    return {
        "frozen": {"type": "boolean"} | _told("Whether no update moves it; default false."),
        "step_size": NOT_NEGATIVE | _told(f"{factor} 0.1 is a tenth of the others'."),
        "weight_decay": NOT_NEGATIVE | _told(f"{factor} 0 is none."),
    }


def constant() -> Schema:
    """Return the schema of a constant: its value, or the array of a file."""
    return _object(stored(), ["number", "array", "object"]) | {"items": NUMBERS, "required": ["file", "key"]}


def stored() -> Schema:
    """Return the keys of a value that stands in a file of arrays."""
    return {
        "file": _text("A .safetensors or .npz file that holds the value, relative to this file."),
        "key": _text("The name of the array in that file."),
    }


def subgraph() -> Schema:
    """Return the schema of a subgraph's definition."""
    return _object(
        {
            "description": _told("What the subgraph is; free text."),
            "inputs": {"type": ["array", "null"], "items": {"type": "string"} | NAMES, "uniqueItems": True}
            | _told("The names by which the subgraph's nodes know what an instance is given."),
            "settings": _named(True, "The settings of an instance and their defaults; null where it must be given."),
            "parameters": _section("parameterWithin", "Parameters, of which each instance has its own."),
            "constants": _section("constantWithin", "Constants."),
            "nodes": _section("nodeWithin", "Nodes, which see the inputs, the settings ($name) and own names only."),
            "output": ONE_OR_MORE | _told("The value that an instance stands for; of several, copies hand on all."),
        }
    ) | {"required": ["output"]}


def by_type(text: str, declared: Sequence[Declaration], *, default: str | None = None) -> Schema:
    """Return a schema of mappings whose `type` says which other keys there are.

    A mapping that names no type has the `default` one.
    """
    types = {
        "if": type_is([declaration.name for declaration in declared]),
        "then": {"properties": {"type": types_known(declared)}},
        "else": {"properties": {"type": types_listed(declared, text)}},
    }
    return {
        "type": "object",
        "required": [] if default else ["type"],
        "properties": {"type": {"type": "string"}},
        "allOf": [*keys_by_type(declared, default), types],
    }


def keys_by_type(declared: Iterable[Declaration], default: str | None = None) -> list[Schema]:
    """Return a schema for each type, which says what keys a mapping of that type has."""
    return [
        {"if": type_is([declaration.name], required=declaration.name != default), "then": keys_of(declaration)}
        for declaration in declared
    ]


def type_is(names: Sequence[str], *, required: bool = True) -> Schema:
    """Return the schema of mappings with one of these types.

    Not by `const` or `enum`: while a word is being typed, an editor takes it for each of those that begin with it, and
    it shows all that an `enum` lists beside the one that stands there.
    """
    is_one = {"type": "string", "pattern": f"^(?:{'|'.join(names)})$"}
    return {"type": "object", "properties": {"type": is_one}} | ({"required": ["type"]} if required else {})


def types_known(declared: Iterable[Declaration]) -> Schema:
    """Return the schema of a type that is one of these: an editor describes the one that it is, and offers all."""
    return {"anyOf": [{"const": declaration.name} | _told(_description(declaration)) for declaration in declared]}


def types_listed(declared: Iterable[Declaration], text: str) -> Schema:
    """Return the schema of a type that is none of these yet: an editor lists and describes them all."""
    told = {declaration.name: _description(declaration) for declaration in declared}
    return {"enum": list(told), "enumDescriptions": list(told.values())} | _told(text)


def scheduled(step_size: Schema) -> Schema:
    """Return the schema of a step size that may be a schedule."""
    told = {key: value for key, value in step_size.items() if key in ("description", "markdownDescription", "default")}
    schedule = by_type("The schedule.", list(SCHEDULES.values()))
    return {"if": {"type": "object"}, "then": schedule, "else": {"type": "number"}} | told


def keys_of(declared: Declaration) -> Schema:
    """Return the schema of the keys beside a declaration's name: its settings and, for a node type, its inputs."""
    properties, required = settings_of(declared)
    keys: dict[str, Schema] = {"type": {"type": "string"}}
    if isinstance(declared, NodeType):
        least, most = declared.arity
        names = ", ".join(("*" if p.kind is p.VAR_POSITIONAL else "") + p.name for p in declared.given)
        keys["inputs"] = INPUTS | {"minItems": least} | ({} if most is None else {"maxItems": most})
        keys["inputs"] |= _told(f"The inputs of {declared.name}, {names}: names of values, and numbers.")
    if isinstance(declared, UpdateRule):
        if "step_size" in properties:
            properties["step_size"] = scheduled(properties["step_size"])
        properties |= {key: POSITIVE | _told(text) for key, text in CLIPS.items()}
        properties["accumulate"] = COUNT | _told(
            "How many batches an update takes: it is made in each so many-th step, by the mean of the gradients."
        )
    if isinstance(declared, Solver):
        properties["starts"] = COUNT | _told(
            "How many starts the solver makes, the file's own first; the best is kept."
        )
    told = {"title": _signature(declared), "description": _description(declared), "required": required}
    return told | {"properties": keys | properties, "additionalProperties": False}


def _description(declared: Declaration) -> str:
    return f"{_signature(declared)}\n\n{declared.description}".strip()


def _signature(declared: Declaration) -> str:
    """Return what a graph file can give: for a node type its inputs too, for all others the settings."""
    if isinstance(declared, NodeType):
        return declared.signature
    words = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in declared.keyword]
    return f"{declared.name}({', '.join(words)})"


def _told(text: str) -> Schema:
    return {"description": text}


def _text(text: str, **more: Any) -> Schema:
    return {"type": "string", **more, "description": text}


def _object(properties: Schema, kind: Any = "object") -> Schema:
    """Return the schema of a mapping with no other keys than these."""
    return {"type": kind, "properties": properties, "additionalProperties": False}


def _named(value: Schema | bool, text: str) -> Schema:
    """Return the schema of a mapping of names to values."""
    return {"type": ["object", "null"], "propertyNames": NAMES, "additionalProperties": value} | _told(text)


def _section(definition: str, text: str) -> Schema:
    return _named({"$ref": f"#/definitions/{definition}"}, text)


def _entries(definition: str) -> Schema:
    """Return what the entries of a section are, for a section that is described elsewhere."""
    return {"additionalProperties": {"$ref": f"#/definitions/{definition}"}, "doNotSuggest": True}
