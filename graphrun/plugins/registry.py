"""Finding what plugins add: built in, in installed distributions, in folders of loose files.

A source is opened only when a name is asked for that no earlier source has, so a graph of built-in types imports no
plugin. The order never decides differently: a name that is taken stays with the first.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pluggy

from graphrun import nodes, updates
from graphrun.base.errors import UsageError
from graphrun.base.reads import located
from graphrun.base.streams import stdout_to_stderr
from graphrun.base.wording import did_you_mean, nearest
from graphrun.declare import hookspecs
from graphrun.declare.declaration import Declaration
from graphrun.declare.nodetype import NodeType
from graphrun.declare.updaterule import UpdateRule
from graphrun.nodes.calculus import derivative
from graphrun.nodes.synonyms import FREQUENT, SYNONYMS
from graphrun.plugins.files import declares, import_file, plugin_files, project_file, project_folders, relative_to_here
from graphrun.plugins.trust import why_not
from graphrun.solvers import SOLVERS

HOOKS: dict[str, type[Declaration]] = {"graphrun_node_types": NodeType, "graphrun_update_rules": UpdateRule}

BUILT_IN_OBSERVERS = "graphrun.observers"

NAMED = {
    "graphrun_observers": "an observer",
    "graphrun_commands": "a command",
    "graphrun_readers": "a reader of data files",
    "graphrun_languages": "a language",
    "graphrun_drawings": "a format of drawings",
}
"""Hooks whose functions return callables by name, and what each of those is."""
WITH_SUFFIX = ("graphrun_readers", "graphrun_drawings")
"""Those whose names are the suffixes of files."""

Declared = TypeVar("Declared", bound=Declaration)
ObserverType = Callable[[str], object]
"""Makes an observer of the target that ``--observe NAME=TARGET`` gives."""


@dataclass
class Plugin:
    """One plugin, loaded or failed.

    Attributes:
        name: ``graphrun.nodes``, the entry point's name, or the file's path.
        source: ``built-in``, ``distribution`` or ``folder``.
        location: where it comes from: distribution and version, or folder.
        seconds: how long loading took.
        declarations: the node types and update rules that it added.
        named: what else it added, as the hooks of `NAMED` and the names.
        error: why it failed; None where it did not.
        traceback: where in it that arose, as Python tells it.
        taken: the names of its node types that were taken.
    """

    name: str
    source: str
    location: str = ""
    seconds: float = 0.0
    declarations: list[Declaration] = field(default_factory=list)
    named: list[tuple[str, str]] = field(default_factory=list)
    error: str | None = None
    traceback: str = ""
    taken: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """All that it added."""
        return [*(declared.name for declared in self.declarations), *(name for _, name in self.named)]

    @property
    def failure(self) -> str:
        """A sentence about why it failed."""
        return f"plugin {self.name} failed to load: {self.error}"


class Registry:
    """The node types and update rules that a program can use, by name.

    Args:
        folders: folders of loose plugin files, as of ``--plugins``; they come before those of the nearest
            ``pyproject.toml`` at or above the working folder (``[tool.graphrun] plugins``).

    Raises:
        UsageError: a folder does not exist, or that pyproject.toml cannot be read.
    """

    def __init__(self, folders: Sequence[str | Path] = ()) -> None:
        self._manager = pluggy.PluginManager("graphrun")
        self._manager.add_hookspecs(hookspecs)
        self._folders = [Path(folder) for folder in folders]
        for folder in self._folders:
            if not located(folder).is_dir():
                raise UsageError(f"--plugins {folder}: there is no such folder")
        self._declared: dict[tuple[type[Declaration], str], tuple[Declaration, Plugin]] = {}
        self._given: list[Declaration] = []
        self._named: dict[tuple[str, str], Callable[..., Any]] = {}
        self._pending = iter((self._load_distributions, self._load_folders))
        self.plugins: list[Plugin] = []
        self.notes: list[str] = []
        """Which folders were opened that the user has not named."""
        for module in (nodes, updates):
            self._load_built_in(module.__name__)
        self._declared[NodeType, derivative.name] = derivative, self.plugins[0]

    def node_type(self, name: str) -> NodeType | None:
        """Return the node type of that name, opening plugins until it is found."""
        declared: NodeType | None = self._find(NodeType, name)
        return declared

    def has_loaded(self, name: str) -> bool:
        """Say whether there is a node type of that name among what was opened so far, as the built-in ones are."""
        return (NodeType, name) in self._declared

    def update_rule(self, name: str) -> UpdateRule | None:
        """Return the update rule of that name, opening plugins until it is found."""
        rule: UpdateRule | None = self._find(UpdateRule, name)
        return rule

    def observer(self, name: str) -> ObserverType:
        """Return what makes the observers of that name, opening plugins until it is found.

        Raises:
            UsageError: there is none.
        """
        self._load_observers()
        found = self.named("graphrun_observers", name)
        if found is None:
            known = self.names("graphrun_observers")
            there_are = f"there are: {', '.join(known)}"
            raise UsageError(f"observer {name!r} is unknown; {did_you_mean(name, known) or there_are}{self._failed()}")
        return found

    def named(self, hook: str, name: str) -> Callable[..., Any] | None:
        """Return what a hook of `NAMED` has by a name, opening plugins until it is found; None where none has it."""
        return self._named[hook, name] if self._is_found((hook, name), self._named) else None

    def names(self, hook: str) -> list[str]:
        """Return the names that a hook of `NAMED` has in all plugins."""
        self.load()
        return sorted(name for known, name in self._named if known == hook)

    def known(self, hook: str, name: str, others: Iterable[str]) -> str:
        """List the names of a hook of `NAMED` with the `others`, which are built in, where none of them is `name`."""
        known = [*others, *self.names(hook)]
        near = nearest(name, known)
        return f"{', '.join(known)}{f'; did you mean {near}?' if near else ''}{self._failed()}"

    def _failed(self) -> str:
        """Tell of the plugins that failed, below a message, for one of them may have what is missed."""
        return "".join(f"\n  {plugin.failure}" for plugin in self.failures)

    def reader(self, file: str) -> Callable[[Path], Mapping[str, Any]] | None:
        """Return what a plugin reads a data file of that name with."""
        suffix = Path(file).suffix.lower()
        return self.named("graphrun_readers", suffix) if suffix else None

    def all(self, kind: type[Declared]) -> dict[str, tuple[Declared, Plugin]]:
        """Return everything of one kind by name, with the plugin that each comes from."""
        self.load()
        entries: Mapping[tuple[Any, str], tuple[Any, Plugin]] = self._declared
        return {name: entry for (declared, name), entry in entries.items() if declared is kind}

    def load(self) -> list[Plugin]:
        """Open every source; return all plugins, those that failed included."""
        self._load_observers()
        for load in self._pending:
            load()
        return self.plugins

    def clashes(self, names: Iterable[str]) -> Iterator[str]:
        """Yield a sentence for each of these node types that a plugin declares too, of the folders that are named.

        A folder that needed not be opened is not opened for it: a declaration is known by its first line.
        """
        for name in names:
            if not self.has_loaded(name):
                continue
            used = self._declared[NodeType, name][1]
            others = [plugin.name for plugin in self.plugins if name in plugin.taken]
            files = [file for folder in self._folders for file in plugin_files(folder) if str(file) != used.name]
            others += [str(file) for file in files if declares(file, name)]
            for other in dict.fromkeys(others):
                yield f"{name} is that of {used.source} {used.name}: {other} declares one too, and a taken name stays"

    @property
    def folders(self) -> list[Path]:
        """The folders of loose plugin files that were named."""
        return [folder.absolute() for folder in self._folders]

    @property
    def every_folder(self) -> list[Path]:
        """The folders that were named, and the project's: where types are found in any working folder."""
        own = (folder for folder, _, reason in self._project_folders() if reason is None and folder.is_dir())
        return [*self.folders, *(folder.absolute() for folder in own)]

    @property
    def failures(self) -> list[Plugin]:
        """The plugins that failed so far."""
        return [plugin for plugin in self.plugins if plugin.error is not None]

    def __reduce__(self) -> tuple[Any, ...]:
        return _registry, (self.every_folder, self._given)

    def add(self, declarations: Iterable[Declaration]) -> None:
        """Take node types and update rules that a program declares itself, beside what was opened so far.

        Raises:
            UsageError: one is no declaration, or its name is taken.
            DeclarationError: one is declared wrongly.
        """
        for declared in declarations:
            kind = next((kind for kind in HOOKS.values() if isinstance(declared, kind)), None)
            if kind is None:
                raise UsageError(f"types: {declared!r} is no node type and no update rule: declare it by a decorator")
            known, owner = self._declared.get((kind, declared.name), (None, None))
            if known is declared:
                continue
            if owner is not None:
                raise UsageError(f"types: the name {declared.name!r} is taken: {owner.source} {owner.name} has it")
            if kind is UpdateRule and declared.name in SOLVERS:
                raise UsageError(f"types: the name {declared.name!r} is taken: a solver has it")
            declared.check_declaration()
            plugin = Plugin(declared.file, "program", declarations=[declared])
            self.plugins.append(plugin)
            self._declared[kind, declared.name] = declared, plugin
            self._given.append(declared)

    def add_module(self, module: ModuleType) -> Plugin:
        """Take what a module declares beside what was opened so far; return the plugin, with the error if it failed."""
        plugin = Plugin(module.__name__, "folder")
        self._add(plugin, lambda: module)
        return plugin

    def meant(self, name: str, kinds: Sequence[type[Declaration]], others: Iterable[str] = ()) -> str:
        """Say what may have been meant by a name that none of these kinds has, nor the `others` beside them.

        Every source is opened; those that failed are told, and where none brought a type, how to name one.
        """
        # Adam(lr=0.1) is a call in Python.
        name = name.partition("(")[0].strip()
        known = {name: None for kind in kinds for name in self.all(kind)}
        synonym = SYNONYMS.get(name.lower()) if NodeType in kinds else None
        frequent = [name for name in FREQUENT if name in known]
        hint = f"it is called {synonym!r} here" if synonym else did_you_mean(name, [*frequent, *known, *others])
        failures = [plugin.failure for plugin in self.failures]
        where = None
        if not hint and not failures and all(plugin.source != "folder" for plugin in self.plugins):
            where = "if a plugin has it, name the plugin's folder: --plugins DIR"
        return "\n  ".join(filter(None, [hint, where, *failures, *self.notes]))

    def _find(self, kind: type[Any], name: str) -> Any:
        return self._declared[kind, name][0] if self._is_found((kind, name), self._declared) else None

    def _is_found(self, key: Any, loaded: Mapping[Any, Any]) -> bool:
        """Open plugins until one has brought a key; say whether one has."""
        while key not in loaded:
            load = next(self._pending, None)
            if load is None:
                return False
            load()
        return True

    def _load_built_in(self, name: str) -> None:
        self._add(Plugin(name, "built-in", "graphrun"), partial(import_module, name))

    def _load_observers(self) -> None:
        """Add the observers that are built in, which only a run that names one imports."""
        if all(plugin.name != BUILT_IN_OBSERVERS for plugin in self.plugins):
            self._load_built_in(BUILT_IN_OBSERVERS)

    def _load_distributions(self) -> None:
        from importlib.metadata import distributions

        found: dict[tuple[str, str], tuple[str, Callable[[], Any]]] = {}
        for distribution in distributions():
            try:
                for entry in distribution.entry_points.select(group="graphrun"):
                    # Of a distribution that is installed twice the first is the one that Python imports.
                    location = f"{distribution.name} {distribution.version}"
                    found.setdefault((distribution.name, entry.name), (location, entry.load))
            except Exception as error:  # broken metadata of one distribution must not hide the others
                self.plugins.append(Plugin(str(distribution.name), "distribution", error=error_text(error)))
        for (_, name), (location, load) in sorted(found.items()):
            self._add(Plugin(name, "distribution", location), load)

    def _load_folders(self) -> None:
        named: dict[Path, Path] = {}
        for folder in self._folders:
            named.setdefault(folder.resolve(), folder)
        for folder in named.values():
            self._load_folder(folder)
        for folder, project, reason in self._project_folders():
            if reason is not None:
                error = f"it is not opened, for {reason}; --plugins {folder} opens it all the same"
                self.plugins.append(Plugin(str(folder), "folder", error=error))
                continue
            self._load_folder(folder)
            if folder.is_dir():
                named_by = relative_to_here(Path.cwd(), project)
                self.notes.append(f"the plugin folder {folder} was opened, which {named_by} names")

    def _project_folders(self) -> Iterator[tuple[Path, Path, str | None]]:
        """Yield the folders that a project names and the user does not, its file, and why one is not opened."""
        known, project = {folder.resolve() for folder in self._folders}, project_file()
        for folder in project_folders() if project is not None else ():
            if project is not None and folder.resolve() not in known:
                known.add(folder.resolve())
                yield folder, project, why_not([project, folder, *plugin_files(folder)]) if folder.is_dir() else None

    def _load_folder(self, folder: Path) -> None:
        if not located(folder).is_dir():
            self.plugins.append(Plugin(str(folder), "folder", error="there is no such folder"))
        for file in plugin_files(folder):
            self._add(Plugin(str(file), "folder", str(folder)), partial(import_file, file))

    def _add(self, plugin: Plugin, load: Callable[[], Any]) -> None:
        """Load one plugin and take what it declares: all of it or, where anything fails, nothing."""
        self.plugins.append(plugin)
        start = time.perf_counter()
        module: Any = None
        try:
            # What a plugin prints must not get between the lines of a result.
            with nullcontext() if plugin.source == "built-in" else stdout_to_stderr():
                module = load()
                if self._manager.is_registered(module):
                    raise ValueError(f"another plugin is this module {module.__name__!r} already")
                self._manager.register(module, f"{plugin.location} {plugin.name}")
                self._check_hooks(module)
                declared = list(self._declarations(module, check=plugin.source != "built-in"))
                named = {(hook, name): made for hook in NAMED for name, made in self._made_by_name(module, hook)}
            plugin.taken = [d.name for k, d in declared if (k, d.name) in self._declared]
            self._refuse_taken(declared, named)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: a plugin must not end the program
            plugin.error = error_text(error)
            plugin.traceback = traceback_of(error)
            if module is not None and self._manager.is_registered(module):
                self._manager.unregister(module)
        else:
            plugin.declarations = [declaration for _, declaration in declared]
            for kind, declaration in declared:
                self._declared[kind, declaration.name] = declaration, plugin
            plugin.named = list(named)
            self._named |= named
        plugin.seconds = time.perf_counter() - start

    def _declarations(self, module: Any, *, check: bool) -> Iterator[tuple[type[Declaration], Declaration]]:
        for hook, kind in HOOKS.items():
            for declaration in self._made(module, hook):
                if not isinstance(declaration, kind):
                    raise TypeError(f"{hook} returned {declaration!r}, which is no {kind.__name__}")
                if check:
                    declaration.check_declaration()
                yield kind, declaration

    def _made(self, module: Any, hook: str) -> Any:
        """Return what a plugin's own implementation of a hook does; pluggy's call of all ends at one that raises."""
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            if implementation.plugin is module:
                return implementation.function()
        return ()

    def _made_by_name(self, module: Any, hook: str) -> Iterator[tuple[str, Callable[..., Any]]]:
        made = self._made(module, hook) or {}
        if not isinstance(made, Mapping):
            raise TypeError(f"{hook} returned {made!r}, which is no mapping of names")
        for name, function in made.items():
            if not isinstance(name, str) or not callable(function):
                raise TypeError(f"{hook} returned {name!r}: {function!r}, where a name leads to what is called")
            if hook == "graphrun_commands" and not _is_command(name, function):
                raise TypeError(f"{hook} returned {name!r}: {function!r}, where a word leads to a click.Command")
            if hook in WITH_SUFFIX and not (name.startswith(".") and name == name.lower()):
                raise ValueError(f"{hook} returned {name!r}, which is no suffix in small letters, such as '.txt'")
            yield name, function

    def _check_hooks(self, module: Any) -> None:
        """Refuse a misspelt hook, and a plugin that implements none."""
        implemented = self._manager.get_hookcallers(module) or []
        known = [*HOOKS, *NAMED]
        for caller in implemented:
            if caller.name in known:
                continue
            if hasattr(hookspecs, caller.name):
                raise LookupError(f"{caller.name!r} is an event, which a method of an observer implements")
            hint = did_you_mean(caller.name, known)
            raise LookupError(f"the hook {caller.name!r} is unknown" + (f"; {hint}" if hint else ""))
        if not implemented:
            raise LookupError("it implements no hook: is @graphrun.hookimpl missing above graphrun_node_types?")

    def _refuse_taken(
        self, declared: Sequence[tuple[type[Declaration], Declaration]], named: Iterable[tuple[str, str]]
    ) -> None:
        for hook, name in named:
            if (hook, name) in self._named:
                raise ValueError(f"the name {name!r} of {NAMED[hook]} is taken")
        seen: set[tuple[type[Declaration], str]] = set()
        for kind, declaration in declared:
            key = kind, declaration.name
            if key in self._declared or key in seen:
                owner = (
                    "it declares it twice" if key in seen else f"plugin {self._declared[key][1].name} has it already"
                )
                raise ValueError(f"the name {declaration.name!r} is taken: {owner}")
            if kind is UpdateRule and declaration.name in SOLVERS:
                raise ValueError(f"the name {declaration.name!r} is taken: a solver has it")
            seen.add(key)


def _is_command(name: str, function: Any) -> bool:
    import click

    return name.split() == [name] and isinstance(function, click.Command)


def _registry(folders: Sequence[Path], declarations: Sequence[Declaration]) -> Registry:
    """Return a registry that was pickled: plugins by the names of their folders, others by reference."""
    registry = Registry(folders)
    registry.add(declarations)
    return registry


def error_text(error: BaseException) -> str:
    """Return an error's type and text on one line, for listings."""
    return ": ".join([type(error).__name__, *filter(None, [" ".join(str(error).split())])])


def traceback_of(error: BaseException) -> str:
    """Return an error's traceback from the first line on that is not this program's or Python's importing."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    own = str(Path(__file__).parents[1])
    first = next((k for k, f in enumerate(frames) if not f.filename.startswith((own, "<frozen"))), 0)
    lines = [*traceback.format_list(frames[first:]), *traceback.format_exception_only(error)]
    return "".join(["Traceback (most recent call last):\n", *lines]).rstrip()
