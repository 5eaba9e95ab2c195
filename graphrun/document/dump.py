"""A document as a graph file again: expanded, with every override in place; running it gives the same result."""

import re
from collections.abc import Iterator, Mapping
from textwrap import indent
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml

from graphrun.document.data_section import ColumnEntry, DataEntry, HoldoutEntry
from graphrun.document.document import Document
from graphrun.document.nodes import NodeEntry
from graphrun.document.numbers import StoredValue
from graphrun.document.parameters import ParameterEntry, Training
from graphrun.document.scalars import resolve

if TYPE_CHECKING:
    from graphrun.document.sweep_section import SweepEntry

WIDTH = 120


def dump_document(document: Document, expressions: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the text of a graph file that holds what the document holds, and more nodes as expressions."""
    objective = "maximize" if document.maximize is not None else "minimize"
    sections: dict[str, Any] = {
        "graphrun": document.graphrun,
        "description": document.description or None,
        "data": None if document.data is None else _data(document.data),
        "parameters": {name: _parameter(entry) for name, entry in document.parameters.items()},
        "constants": {name: _flow(value) for name, value in document.constants.items()},
        "nodes": {**document.nodes, **expressions},
        objective: document.maximize if document.maximize is not None else document.minimize,
        "update": _Flow(type=document.update.type, **document.update.settings),
        "sweep": document.sweep and _sweep(document.sweep),
        "start": document.start,
        "steps": document.steps,
        "stop": document.stop and _Flow(document.stop.model_dump(exclude_none=True)),
        "keep": None if document.keep == "last" else document.keep,
        "uncertainty": document.uncertainty and _Flow(document.uncertainty.model_dump(exclude_defaults=True)),
        "record": None if document.record is None else _FlowList(document.record),
        "seed": document.seed,
        "dtype": document.dtype,
        "expect": [
            _flow({key: value for key, value in entry.model_dump(exclude_none=True).items() if value != {}})
            for entry in document.expect
        ],
    }
    # An empty record is not the same as none, which stands for the default.
    kept = {k: value for k, value in sections.items() if value is not None and (k == "record" or value not in ({}, []))}
    names = list(kept)
    before = {key: kept[key] for key in names[: names.index("nodes")]} if "nodes" in kept else kept
    after = {key: kept[key] for key in names[len(before) + 1 :]}
    parts = [_dump(before), "nodes:\n" if "nodes" in kept else "", *_lines(document.nodes)]
    parts += [indent(_dump({name: text}), "  ") for name, text in expressions.items()]
    parts.append(_dump(after))
    return "".join(parts)


def dump_data(sections: dict[str, Any]) -> str:
    """Return the text of a graph file whose sections are plain data."""
    return _dump({key: _entries(part, 2 if key == "subgraphs" else 0) for key, part in sections.items()})


def _entries(part: Any, levels: int) -> Any:
    """Return a section with a line for each entry, as deep as there are so many levels more."""
    if not isinstance(part, dict):
        return _flow(part)
    return {key: _entries(value, levels - 1) if levels else _flow(value) for key, value in part.items()}


def _dump(data: dict[str, Any]) -> str:
    text = str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)) if data else ""
    if text.isascii():
        return text
    # PyYAML leaves bidirectional controls as they are; `_represent_text` sees to it that they stand in double quotes.
    return "".join(c if c.isprintable() or c == "\n" else f"\\U{ord(c):08x}" for c in text)


# What YAML 1.1 and 1.2 both read as a text, unless it is a word of theirs.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{,60}(?:\.[A-Za-z0-9_]+){,4}")
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])


def _lines(nodes: dict[str, NodeEntry]) -> Iterator[str]:
    """Yield the lines of the nodes; PyYAML takes about 60 microseconds for each, and most are plain."""
    plain: dict[Any, str | None] = {}
    for name, entry in nodes.items():
        words = [_plain(word, plain) for word in (name, entry.type, *entry.inputs)]
        line = f"  {words[0]}: {{type: {words[1]}, inputs: [{', '.join(map(str, words[2:]))}]}}\n"
        if None in words or entry.settings or len(line) > WIDTH:
            node = _flow({"type": entry.type, "inputs": entry.inputs, **(entry.settings or {})})
            line = indent(_dump({name: node}), "  ")
        yield line


def _plain(word: Any, known: dict[Any, str | None]) -> str | None:
    """Return a name or a whole number as it is written, None where that takes more thought."""
    if not isinstance(word, str):
        return str(word) if isinstance(word, int) else None
    if word not in known:
        known[word] = word if _PLAIN.fullmatch(word) and word.lower() not in _WORDS else None
    return known[word]


class _Flow(dict[str, Any]):
    """A mapping on one line."""


class _FlowList(list[Any]):
    """A list on one line."""


# PyYAML can be built without libyaml.
_Base: Any = yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper


class _Dumper(_Base):  # type: ignore[misc]
    """Writes texts so that YAML 1.2 reads them as texts, and repeated values in full rather than by aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    plain = text == text.strip() and isinstance(resolve(text[:1000]), str) and text.isprintable()
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


def _represent_flow(dumper: yaml.SafeDumper, value: dict[str, Any]) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=True)


def _represent_flow_list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(_Flow, _represent_flow)
_Dumper.add_representer(_FlowList, _represent_flow_list)


def _flow(value: Any) -> Any:
    """Return plain data whose mappings and lists are written on one line."""
    if isinstance(value, dict):
        return _Flow({key: _flow(item) for key, item in value.items()})
    if isinstance(value, StoredValue):
        return _Flow(file=value.file, key=value.key)
    return _FlowList(map(_flow, value)) if isinstance(value, list | tuple) else value


def _parameter(entry: ParameterEntry) -> Any:
    bounds = {key: _flow(bound) for key, bound in (("lower", entry.lower), ("upper", entry.upper)) if bound is not None}
    usual = Training._field_defaults
    bounds |= {key: given for key, given in entry.training._asdict().items() if given != usual[key]}
    if entry.init is not None:
        init = _flow({"type": entry.init.type, **entry.init.settings})
        return _Flow(shape=_flow(entry.shape), init=init, **bounds)
    if isinstance(entry.value, StoredValue):
        return _Flow(_flow(entry.value) | bounds)
    return _Flow(value=_flow(entry.value), **bounds) if bounds else _flow(entry.value)


def _data(entry: DataEntry) -> dict[str, Any]:
    columns = None if entry.columns is None else {name: _column(column) for name, column in entry.columns.items()}
    given: dict[str, Any] = {"file": entry.file, "columns": columns, "batch_size": entry.batch_size}
    given |= {"shuffle": entry.shuffle or None, "holdout": _holdout(entry.holdout)}
    given |= {"folds": entry.holdout.folds or None}
    given |= {"missing": entry.missing} if entry.missing != "error" else {}
    given |= {key: _flow(value) for key, value in _changed(entry.form).items()}
    return {key: value for key, value in given.items() if value is not None}


def _changed(entry: Any) -> dict[str, Any]:
    """Return the fields of an entry that are not as they are by default."""
    return {key: value for key, value in entry._asdict().items() if value != entry._field_defaults.get(key, ())}


def _sweep(entry: "SweepEntry") -> dict[str, Any]:
    given = {key: value for key, value in entry._asdict().items() if key != "axes" and value is not None}
    return {**{", ".join(axis.paths): _flow(axis.text) for axis in entry.axes}, **given}


def _holdout(entry: HoldoutEntry) -> Any:
    given = _changed(entry._replace(folds=0, fold=0))
    by, column = given.pop("by", ""), given.pop("column", "")
    if not by:
        return given.get("share") if given.keys() <= {"share"} else _Flow(given)
    return _Flow(given | ({} if entry.folds else {"share": entry.share}) | {by: column})


def _column(entry: ColumnEntry) -> Any:
    headers = _FlowList(entry.headers) if entry.matrix else entry.headers[0]
    told = _changed(entry._replace(headers=(), path=(), listed=False))
    named = "columns" if told.pop("matrix", False) else "column"
    exact = told.pop("exact", False)
    return _Flow({named: headers} | _flow(told)) if exact or told else headers
