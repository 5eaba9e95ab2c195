"""The command line."""

from graphrun.cli.entry import main

__all__ = ["main"]
