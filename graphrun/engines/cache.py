"""Where engines keep compiled code: the user's cache folder, which may be deleted at any time."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(engine: str) -> Path:
    """Return the folder of an engine's compiled code: in ``$XDG_CACHE_HOME/graphrun`` or ``~/.cache/graphrun``.

    Where there is neither, it is one that cannot be written to: code in a folder of everybody's could be anybody's.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "graphrun" / engine
    except RuntimeError:
        # A user without a home, as in a container that runs under a number of its own.
        return Path(os.devnull) / "graphrun" / engine
