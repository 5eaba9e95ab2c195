"""Where loose plugin files are: the folders that a project names, their files, and how one is imported."""

from __future__ import annotations

import importlib.util
import re
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from graphrun.base.errors import UsageError
from graphrun.base.reads import is_read

PLUGIN_MODULE = "graphrun_plugin_"
"""How the modules of loose files are called, before the file's own name."""


def project_folders(start: Path | None = None) -> list[Path]:
    """Return the plugin folders that the nearest ``pyproject.toml`` at or above the working folder names.

    Raises:
        UsageError: that file is no TOML, or ``[tool.graphrun] plugins`` is no list of strings.
    """
    import tomllib

    working_folder = start or Path.cwd()
    file = project_file(working_folder)
    if file is None:
        return []
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("graphrun", {})
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: {error}") from None
    names = settings.get("plugins", []) if isinstance(settings, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) and "\0" not in name for name in names):
        raise UsageError(f"{file}: [tool.graphrun] plugins is a list of folders")
    return [relative_to_here(working_folder, file.parent / name) for name in names]


def project_file(start: Path | None = None) -> Path | None:
    """Return the nearest ``pyproject.toml`` at or above the working folder."""
    working_folder = start or Path.cwd()
    files = (folder / "pyproject.toml" for folder in (working_folder, *working_folder.parents))
    return next((file for file in files if file.is_file()), None)


def plugin_files(folder: Path) -> list[Path]:
    """Return the plugin files of a folder; those of tests, and what begins with an underscore, are none."""
    return [file for file in sorted(is_read(folder).glob("*.py")) if not file.name.startswith(("_", "test_"))]


def declares(file: Path, name: str) -> bool:
    """Say whether a file has a declaration of that name, without running it."""
    with suppress(OSError):
        text = file.read_text(encoding="utf-8", errors="replace")
        return (
            re.search(rf"^@[\w.]*(?:elementwise|tensor)\b[^\n]*\ndef {re.escape(name)}_?\(", text, re.MULTILINE)
            is not None
        )
    return False


def relative_to_here(working_folder: Path, folder: Path) -> Path:
    """Return a path from the working folder, where it is inside of that."""
    return folder.relative_to(working_folder) if folder.is_relative_to(working_folder) else folder


def import_file(file: Path) -> ModuleType:
    """Import a loose file as a module of its own name, leaving no compiled file beside it."""
    file = is_read(file)
    stem = "".join(c if c.isalnum() else "_" for c in file.stem)
    name = f"{PLUGIN_MODULE}{stem}"
    while name in sys.modules and getattr(sys.modules[name], "__file__", None) != str(file.absolute()):
        name += "_"
    specification = importlib.util.spec_from_file_location(name, file.absolute())
    if specification is None or specification.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        specification.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.dont_write_bytecode = writes_bytecode
    return module
