"""What a name, a type and settings in a graph file mean, and what was meant by those that mean nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from graphrun.base.wording import listed, quote
from graphrun.declare.declaration import Declaration, Settings
from graphrun.declare.nodetype import NodeType
from graphrun.document import Document, Path, Problems, did_you_mean, settings_problems
from graphrun.document.names import is_name
from graphrun.document.slips import known_number
from graphrun.plugins.registry import Registry
from graphrun.solvers import SOLVERS


class Lookup:
    """What the names of a document stand for; what is unknown becomes a problem with a suggestion.

    Attributes:
        numbers: the number of each value that has a name, filled while the graph is built.
        columns: the names of the data set's columns.
    """

    def __init__(self, document: Document, registry: Registry, columns: Sequence[str]) -> None:
        self.document = document
        self.registry = registry
        self.columns = columns
        self.problems = document.problems
        self.numbers: dict[str, int] = {}
        self._settings_seen: dict[tuple[Declaration, str], Settings] = {}

    def settings(
        self, declared: Declaration, raw: dict[str, Any], at: Callable[[], Problems], other: Sequence[str]
    ) -> Settings:
        """Return the settings of a declaration as a file gives them; `other` are the keys beside them."""
        if not raw and declared.default_settings is not None:
            return declared.default_settings
        key = declared, repr(raw)
        if key not in self._settings_seen:
            from pydantic import ValidationError

            try:
                self._settings_seen[key] = declared.read_settings(raw)
            except ValidationError as error:
                known = [parameter.name for parameter in declared.keyword]
                inputs = declared.inputs if isinstance(declared, NodeType) else ()
                settings_problems(at(), (), error, owner=declared.name, settings=known, other=other, inputs=inputs)
                return ()
        return self._settings_seen[key]

    def check_name(self, name: str, path: Path, role: str, *, key: bool = False, at: Problems | None = None) -> bool:
        """Report an unknown name; one whose own declaration is broken is not reported again."""
        if name in self.numbers:
            return True
        if name not in self.document.broken and name.partition(".")[0] not in self.document.broken:
            suggestion = partial(self._known_name, name)
            (self.problems if at is None else at).add(
                path, f"{role} {name!r} is unknown", suggestion=suggestion, key=key
            )
        return False

    def _known_name(self, name: str) -> str | None:
        """Suggest what was meant by an unknown name."""
        if name in self.document.subgraphs or self.registry.node_type(name) is not None:
            return f"{name!r} is a node type: write {name}(...)"
        other = {self.document.minimize: "maximize", self.document.maximize: "minimize"}.get(name)
        if other and name[:1] == "-" and name[1:].strip() in self.numbers:
            return f"write {other}: {name[1:].strip()}"
        if not is_name(name):
            text = quote(name)[1:-1]
            return f"an expression is a node: write total: {text} under 'nodes', and total here"
        instance, _, inner = name.partition(".")
        entry = self.document.instances.get(instance)
        if entry is not None and "repeat" in (entry.settings or {}):
            subgraph = self.document.subgraphs[entry.type]
            if inner in subgraph.inputs or inner in subgraph.nodes:
                return f"{instance!r} is several copies: collect: [{inner}] stacks what they have of {inner!r}"
        return known_number(name) or did_you_mean(name, [*self.numbers, *self.columns]) or self._columns()

    def _columns(self) -> str | None:
        """Say which columns a data file has that names none in the graph file."""
        if self.document.data is None or self.document.data.columns is not None:
            return None
        if self.columns:
            return f"the data has the columns {listed(self.columns)}"
        return "no header of the data file can be a name: is its first row a header, with commas between the names?"

    def unknown_type(self, at: Problems, path: Path, name: str, role: str, kind: type[Declaration]) -> None:
        """Report an unknown type; one whose declaration is broken, or may be in an include that is, is not reported."""
        if kind is NodeType and (name in self.document.broken or self.document.lacks_subgraphs):
            return
        at.add(path, f"{role} {name!r} is unknown", suggestion=partial(self._known_type, name, kind))

    def _known_type(self, name: str, kind: type[Declaration]) -> str:
        """Suggest what was meant by an unknown type."""
        others = self.document.subgraphs if kind is NodeType else SOLVERS
        return self.registry.meant(name, [kind], others)
