"""The command line."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from graphrun.base.errors import INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process; Ctrl-C while modules are imported ends it at once, without a word."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # An import that is interrupted raises whatever its module makes of that.
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from graphrun.cli.entry import main as run

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run(arguments)
    finally:
        # What waits for threads at the very end has nothing to tell either.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


__all__ = ["main"]
