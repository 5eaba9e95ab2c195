"""`graphrun export FILE --to LANGUAGE`: what a graph becomes in other languages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphrun.run.api import Graph


@dataclass(frozen=True)
class Language:
    """A language that graphs are exported to.

    Attributes:
        module: of this package, whose function ``export(graph, **options)`` gives the text, or bytes.
        options: what it takes beside the graph, by the names of the command's options.
        title: what is made, in a line for the help.
    """

    module: str
    options: tuple[str, ...]
    title: str

    def export(self, graph: Graph, **options: Any) -> str | bytes:
        """Return a graph in this language."""
        write: Callable[..., str | bytes] = import_module(f"graphrun.show.export.{self.module}").export
        return write(graph, **options)


LANGUAGES: dict[str, Language] = {
    "c": Language("c", ("steps",), "C99: values, gradients, steps, and a main"),
    "javascript": Language("javascript", ("steps",), "an ES module: values, gradients, steps"),
    "latex": Language("latex", (), "an article: the derivation in symbols"),
    "python": Language("python", ("steps",), "a program that needs nothing of graphrun"),
    "onnx": Language(
        "onnx",
        ("output", "resume", "training", "dtype", "tell"),
        "a model for ONNX Runtime and others: the forward pass, or with --training a step",
    ),
    "yaml": Language("graph_file", ("gradient",), "a graph file: expanded, with --gradient its backward pass too"),
}
"""The languages by the names that ``--to`` takes."""
