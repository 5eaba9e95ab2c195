"""The JSON Schema of a declaration's settings: pydantic's own, in draft 7 and in words that an editor shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema

from graphrun.declare.declaration import Declaration

Schema = dict[str, Any]

NUMBERS = {"$ref": "#/definitions/numbers"}
REFERENCE = {"type": "string", "pattern": r"^\$"}


class _Settings(GenerateJsonSchema):
    """Leaves out in silence the defaults that JSON cannot hold."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 (pydantic's own interface)


def settings_of(declared: Declaration) -> tuple[dict[str, Schema], list[str]]:
    """Return the schema of each setting, and the names of those that must be given."""
    required = [p.name for p in declared.keyword if p.default is p.empty]
    try:
        model = declared.settings_model.model_json_schema(schema_generator=_Settings)
    except PydanticUserError:
        # A plugin's own class as an annotation: pydantic can check it, but it has no JSON Schema.
        model = {}
    result: dict[str, Schema] = {}
    for setting in declared.keyword:
        name = setting.name
        schema = _plain(model.get("properties", {}).get(name, {}), model.get("$defs", {}))
        default = json.dumps(schema.get("default", setting.default), default=str)
        schema["title"] = f"{name}: {_kind(schema)}, {'required' if name in required else f'default {default}'}"
        schema.setdefault("description", f"A setting of {declared.name}.")
        result[name] = schema
    return result, required


def _plain(schema: Any, named: Mapping[str, Any], within: tuple[str, ...] = ()) -> Any:
    """Return one of pydantic's schemas in draft 7, without titles, with what it refers to in place."""
    if not isinstance(schema, dict):
        return schema
    name = schema.get("$ref", "").rpartition("/")[2]
    if name:
        # What contains itself is taken as it is at its second turn.
        inner = {} if name in within else _plain(named[name], named, (*within, name))
        return inner | {key: value for key, value in schema.items() if key != "$ref"}
    result: Schema = {}
    for key, value in schema.items():
        if key in {"properties", "patternProperties"}:
            result[key] = {inner: _plain(item, named, within) for inner, item in value.items()}
        elif key in {"default", "const", "enum", "examples"}:
            if _is_json(value):
                result[key] = value
        elif isinstance(value, list):
            result["items" if key == "prefixItems" else key] = [_plain(item, named, within) for item in value]
        elif key not in {"title", "discriminator"}:
            result[key] = _plain(value, named, within)
    return _merged(result)


def _merged(schema: Schema) -> Schema:
    """Return alternatives of different types as one schema of several types, about which an editor speaks plainly."""
    alternatives = schema.get("anyOf", [])
    types = [alternative.get("type") for alternative in alternatives]
    keys = [key for alternative in alternatives for key in alternative if key != "type"]
    plain = all(isinstance(kind, str) for kind in types) and len({*types, *keys}) == len(types) + len(keys)
    if not alternatives or not plain or not {"enum", "const", "anyOf", "allOf"}.isdisjoint(keys):
        return schema
    together = {key: value for alternative in alternatives for key, value in alternative.items()}
    return together | {"type": types} | {key: value for key, value in schema.items() if key != "anyOf"}


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _kind(schema: Schema) -> str:
    """Say in words what a setting takes."""
    if "enum" in schema or "const" in schema:
        return " or ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    types = schema.get("type", [])
    words = {"array": "list", "object": "mapping"}
    named = [words.get(kind, kind) for kind in ([types] if isinstance(types, str) else types)]
    return " or ".join(named or dict.fromkeys(_kind(choice) for choice in schema.get("anyOf", []))) or "any value"


def with_references(schema: Schema) -> Schema:
    """Return a schema that takes ``$name`` too, in place of every value."""
    result = _with_references_inside(schema)
    if "enum" in schema:
        # An editor offers the choices of `anyOf`, but none of `else`.
        return {"anyOf": [result, REFERENCE]}
    if schema.keys() & {"type", "anyOf", "$ref"} and schema.get("type") != "string":
        told = {key: result.pop(key) for key in ("title", "description", "default") if key in result}
        return told | {"if": REFERENCE, "else": result}
    return result


def _with_references_inside(schema: Schema) -> Schema:
    result = dict(schema)
    for key in ("properties", "patternProperties"):
        if key in schema:
            result[key] = {
                name: item if name == "inputs" or isinstance(item, bool) else with_references(item)
                for name, item in schema[key].items()
            }
    for key in ("items", "additionalProperties", "then", "else"):
        if isinstance(schema.get(key), dict):
            result[key] = with_references(schema[key])
    for key in ("anyOf", "allOf"):
        if key in schema:
            result[key] = [_with_references_inside(item) for item in schema[key]]
    if schema.get("$ref") == NUMBERS["$ref"]:
        # The only definition that is referred to from within what is changed here.
        result["$ref"] = "#/definitions/numbersWithin"
    return result
