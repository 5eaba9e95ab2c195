"""`graphrun export FILE --to LANGUAGE`: what a graph becomes in other languages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from graphrun.base.errors import UsageError

if TYPE_CHECKING:
    from graphrun.run.api import Graph


@dataclass(frozen=True)
class Language:
    """A language that graphs are exported to.

    Attributes:
        name: what ``--to`` takes, and a module of this package, whose function ``export(graph, **options)`` gives the
            text, or bytes.
        options: what it takes beside the graph, by the names of the command's options.
        title: what is made, in a line for the help.
    """

    name: str
    options: tuple[str, ...]
    title: str

    def export(self, graph: Graph, **options: Any) -> str | bytes:
        """Return a graph in this language.

        Raises:
            UsageError: something of it cannot be said in this language; the text says what and why.
        """
        from graphrun.engines.traced import NotSupportedError

        write: Callable[..., str | bytes] = import_module(f"graphrun.show.export.{self.name}").export
        try:
            return write(graph, **options)
        except NotSupportedError as error:
            raise UsageError(f"export to {self.name}: {error}") from error


LANGUAGES: dict[str, Language] = {
    language.name: language
    for language in (
        Language("c", ("steps",), "C99: values, gradients, steps, and a main"),
        Language("javascript", ("steps",), "an ES module: values, gradients, steps"),
        Language("latex", (), "an article: the derivation in symbols"),
        Language("python", ("steps",), "a program that needs nothing of graphrun"),
        Language(
            "onnx",
            ("output", "resume", "training", "dtype", "tell"),
            "a model for ONNX Runtime and others: the forward pass, or with --training a step",
        ),
        Language("yaml", ("gradient",), "a graph file: expanded, with --gradient its backward pass too"),
    )
}
"""The languages by their names."""
