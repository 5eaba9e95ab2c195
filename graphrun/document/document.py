"""The document stage: a graph file → a Document, with everything that is wrong with the file's form."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from graphrun.base.memory import paused_collection
from graphrun.base.wording import describe, quote
from graphrun.document.data_section import DataEntry, Readers, no_reader, read_data
from graphrun.document.expansion import Expansion
from graphrun.document.header import read_header
from graphrun.document.includes import read_definitions
from graphrun.document.marks import Path
from graphrun.document.models import ExpectEntry, Header, StopEntry, UncertaintyEntry
from graphrun.document.names import normalize, under_names
from graphrun.document.nodes import NodeEntry, read_nodes
from graphrun.document.numbers import Value
from graphrun.document.overrides import apply_overrides
from graphrun.document.parameters import ParameterEntry, read_constants, read_parameters
from graphrun.document.problems import Problems, Use
from graphrun.document.source import Source
from graphrun.document.subgraphs import Subgraph

if TYPE_CHECKING:
    from graphrun.document.sweep_section import SweepEntry


class UpdateEntry(NamedTuple):
    """The update rule and its settings, which are checked by the rule itself."""

    type: str
    settings: dict[str, Any]


@dataclass(slots=True)
class Document:
    """A graph file as plain values: names are normalized, numbers finite, entries with a problem left out.

    `problems` holds what is wrong so far; the graph stage adds what it finds and raises all of it together.
    `broken` names what was declared with a mistake, so that it is not reported again as unknown; with
    `lacks_subgraphs`, a file that is included could not be read, and it may have any subgraph. `instances` are the
    entries of `nodes` that stood for subgraphs and were expanded. `started` holds what parameters are by the checkpoint
    `start` in place of what the file says, and `start_note` says which.
    """

    source: Source
    problems: Problems
    graphrun: int
    description: str
    parameters: dict[str, ParameterEntry]
    constants: dict[str, Value]
    nodes: dict[str, NodeEntry]
    maximize: str | None
    minimize: str | None
    update: UpdateEntry
    start: str | None
    steps: int | None
    stop: StopEntry | None
    keep: str
    uncertainty: UncertaintyEntry | None
    record: tuple[str, ...] | None
    seed: int | None
    dtype: str
    expect: tuple[ExpectEntry, ...]
    broken: set[str]
    data: DataEntry | None = None
    sweep: "SweepEntry | None" = None
    subgraphs: dict[str, Subgraph] = field(default_factory=dict)
    lacks_subgraphs: bool = False
    leaf_origins: dict[str, tuple[Problems, str, Use]] = field(default_factory=dict)
    instances: dict[str, NodeEntry] = field(default_factory=dict)
    expects_list: bool = False
    started: dict[str, Any] = field(default_factory=dict)
    start_note: str = ""

    def leaf_problems(self, section: str, name: str) -> Problems:
        """Return where problems with a parameter or a constant are added: in its subgraph if an instance made it."""
        if name not in self.leaf_origins:
            return self.problems.at((section, name))
        definition, own, use = self.leaf_origins[name]
        return definition.at((section, own)).used(use)

    def names_read(self) -> set[str]:
        """Return the names of values that something reads: columns of data that are none of them need not be there."""
        read = {source for entry in self.nodes.values() for source in entry.inputs if isinstance(source, str)}
        read.update(size for entry in self.parameters.values() for size in entry.shape if isinstance(size, str))
        looked_at = {*(self.record or ()), *self.names_watched().values(), self.minimize, self.maximize}
        for entry in self.expect:
            looked_at.update(entry.values, entry.gradients)
        # What is looked at is the node of that name where there is one, not the column.
        read.update(name for name in looked_at if name and name not in self.nodes)
        return read

    @property
    def watches(self) -> bool:
        """Whether a run looks at its recorded rows: to stop, to keep the best, to lower the step size."""
        step_size = self.update.settings.get("step_size")
        is_plateau = isinstance(step_size, dict) and step_size.get("type") == "plateau"
        return self.keep == "best" or is_plateau or (self.stop is not None and self.stop.holdout is not None)

    def names_watched(self) -> dict[Path, str]:
        """Return the names that a run looks at beside its objective, by where they stand; none where nothing is run."""
        if self.minimize is None and self.maximize is None:
            return {}
        step_size = self.update.settings.get("step_size")
        of = step_size.get("of") if isinstance(step_size, dict) and step_size.get("type") == "plateau" else None
        stop = self.stop and self.stop.holdout and self.stop.holdout.name
        found = {("update", "step_size", "of"): of, ("stop", "holdout", "name"): stop}
        return {path: normalize(name) for path, name in found.items() if isinstance(name, str)}

    def expect_path(self, position: int) -> Path:
        """Return the path of an expectation, which may stand alone or in a list."""
        return ("expect", position) if self.expects_list else ("expect",)


def load_document(
    file: str | os.PathLike[str] | Source, overrides: Sequence[str] = (), readers: Readers = no_reader
) -> Document:
    """Read a graph file, with some of its values overridden by texts ``PATH=VALUE``; `readers` are those of plugins.

    Raises UsageError when an override makes no sense.
    Raises GraphFileError when the file cannot be read or is not YAML, so that nothing can be built from it. All other
    mistakes are in the document's `problems`.
    """
    source = file if isinstance(file, Source) else Source.read(file)
    with paused_collection():
        return _document(source, overrides, readers)


def _document(source: Source, overrides: Sequence[str], readers: Readers) -> Document:
    problems = Problems(source)
    data, errors = source.load(None if overrides else NodeEntry)
    for error in errors:
        problems.add_at(error.mark, error.message, suggestion=error.suggestion)
    if not isinstance(data, dict):
        if data is not None or not errors:
            _add_wrong_top(data, problems)
        problems.fail()

    apply_overrides(data, overrides, source)
    broken: set[str] = set()
    subgraphs, lacks_subgraphs = read_definitions(data, problems, broken)
    sections = {
        name: under_names(name, data.pop(name, None), problems, broken) for name in ("parameters", "constants", "nodes")
    }
    update = _read_update(data.pop("update"), problems) if "update" in data else None
    data_set = read_data(data.pop("data"), problems, broken, readers) if "data" in data else None
    sweep = data.pop("sweep", None)
    if sweep is not None:
        from graphrun.document.sweep_section import read_sweep

        sweep = read_sweep(sweep, problems)
    for key in data.keys() - Header.model_fields.keys():
        broken.update(_unread_names(data[key]))
    header = read_header(data, problems)
    parameters = read_parameters(sections["parameters"], problems, broken)
    constants = read_constants(sections["constants"], problems, broken)
    nodes = read_nodes(sections["nodes"], problems, broken)
    expansion = Expansion(subgraphs, problems, parameters, constants, broken)
    instances: dict[str, NodeEntry] = {}
    if subgraphs:
        expansion.expand(nodes)
        instances = {name: entry for name, entry in nodes.items() if entry.type in subgraphs}
        nodes = expansion.nodes
    return Document(
        source=source,
        problems=problems,
        parameters=parameters,
        constants=constants,
        nodes=nodes,
        update=update or UpdateEntry("sgd", {"step_size": 0.01}),
        broken=broken,
        data=data_set,
        sweep=sweep,
        subgraphs=subgraphs,
        lacks_subgraphs=lacks_subgraphs,
        leaf_origins=expansion.origins,
        instances=instances,
        expects_list=isinstance(data.get("expect"), list),
        **dict(header),
    )


def _add_wrong_top(data: Any, problems: Problems) -> None:
    if data is None:
        problems.add((), "the file is empty")
        return
    glued = isinstance(data, str) and ":" in data
    suggestion = "a ':' needs a space after it" if glued else "write 'nodes:' and below it the nodes, indented"
    problems.add((), f"a graph file is a mapping of sections, not {describe(data)}", suggestion=suggestion)


def _unread_names(raw: Any) -> Iterator[str]:
    """Yield the names in sections that are unknown or not yet supported, where a misspelt section declares them."""
    if isinstance(raw, dict):
        for key, value in raw.items():
            yield normalize(key)
            yield from _unread_names(value)


def _read_update(raw: Any, problems: Problems) -> UpdateEntry | None:
    if isinstance(raw, dict):
        kind = raw.get("type", "sgd")
        if isinstance(kind, str):
            return UpdateEntry(kind, {key: value for key, value in raw.items() if key != "type"})
        problems.add(("update", "type"), f"the type of an update rule is a name, not {describe(kind)}")
    elif raw is None:
        problems.add(("update",), "a value is needed here: 'update' takes a mapping", suggestion="write {type: sgd}")
    else:
        suggestion = f"write {{type: {quote(raw)[1:-1]}}}" if isinstance(raw, str) else "write {type: sgd}"
        problems.add(("update",), f"'update' is a mapping, not {describe(raw)}", suggestion=suggestion)
    return None
