"""What is shown of graphs and results: by functions that the package hands in, for a run knows no drawing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from graphrun.base.outcome import CheckReport


class Displayed:
    """Something that a notebook shows.

    Attributes:
        page: returns what makes a page, by the name of the method; `graphrun` itself sets it.
    """

    page: ClassVar[Callable[[str], Callable[..., Any]]]

    def _repr_html_(self) -> str:
        return self._repr_mimebundle_()["text/html"]

    def _repr_mimebundle_(self, **_: object) -> Mapping[str, str]:
        shown: Mapping[str, str] = type(self).page("bundle")(self)
        return shown


class Shown(Displayed):
    """Something that is explained, drawn, reported, checked and exported, as the commands of these names do."""

    def explain(
        self,
        step: int | None = None,
        *,
        node: str | None = None,
        sensitivity: bool = False,
        format: str = "text",  # noqa: A002 (the command's name)
        seed: int | None = None,
        resume: str | Path | None = None,
        path: str | Path | None = None,
    ) -> str:
        """Explain a step: the forward pass, the backward pass and the update, in symbols and in numbers.

        Args:
            step: how many updates come before, default 0 or the checkpoint's step.
            node: one value instead: its formula, its neighbours, its influence.
            sensitivity: the leaves instead, ranked by what they do to the objective.
            format: ``text``, ``markdown``, ``latex`` or ``html``.
            seed, resume: as of `Graph.run`.
            path: a file to write it to as well.

        Raises:
            UsageError: there is no such step, value or format.
            NotFiniteError: the run failed before that step; of a step that broke there is a page as far as it came.
            RunError: the file cannot be written.
        """
        asked = {"node": node, "ranked": sensitivity, "seed": seed, "resume": resume}
        text: str = type(self).page("explain")(self, path, step, format, **asked)
        return text

    def draw(
        self,
        path: str | Path | None = None,
        *,
        format: str | None = None,  # noqa: A002 (the command's name)
        step: int | None = None,
        depth: int | None = None,
        direction: str = "auto",
        seed: int | None = None,
        resume: str | Path | None = None,
    ) -> str | bytes:
        """Draw the graph: return a text or, of a picture, bytes.

        Args:
            path: a file to write it to as well.
            format: ``svg``, ``dot``, ``mmd``, ``png`` or ``pdf``, default that of the file's suffix, else ``svg``.
            step: show values and gradients after so many updates.
            depth: open so many levels of subgraphs and expressions, default what fits.
            direction: where values flow: ``auto``, ``right`` or ``down``.
            seed, resume: as of `Graph.run`; a checkpoint is shown at its own step where none is given.

        Raises:
            UsageError: there is no such step or format, or what it needs is not installed.
            RunError: the file cannot be written.
        """
        asked = {"step": step, "depth": depth, "direction": direction, "seed": seed, "resume": resume}
        content: str | bytes = type(self).page("draw")(self, path, format, **asked)
        return content

    def report(
        self,
        path: str | Path | None = None,
        *,
        depth: int | None = None,
        compare: Self | str | Path | None = None,
        **asked: Any,
    ) -> str:
        """Run the graph, and return one page of HTML to step through; a notebook shows it in a frame.

        Args:
            path: a file to write it to as well.
            depth: how many frames to open, default what fits.
            compare: another graph, or a checkpoint of this one, whose run is shown beside this one's.
            asked: as of `Graph.run`: ``steps``, ``engine``, ``dtype``, ``seed``, ``record``, ``every``, ``resume``.

        Raises:
            UsageError: the graph is too large for a page, or an argument makes no sense.
            RunError: the file cannot be written; a run that fails has a page of what there is.
        """
        html: str = type(self).page("report")(self, path, depth, compare, **asked)
        return html

    def check(self) -> CheckReport:
        """Compare every local derivative and the gradient with differences, and assert what the file expects.

        Raises:
            GraphrunError: the graph cannot be run at all; what is wrong otherwise is in the report's `failures`.
        """
        found: CheckReport = type(self).page("check")(self)
        return found

    def export(self, to: str = "python", path: str | Path | None = None, **options: Any) -> str | bytes:
        """Return the graph in another language.

        Args:
            to: the language, as ``python``: a program that needs nothing of graphrun.
            path: a file to write it to as well.
            options: of the language, as of the command: ``steps``, how many steps a program makes.

        Raises:
            UsageError: there is no such language, or it cannot say what the graph does.
            RunError: the file cannot be written.
        """
        content: str | bytes = type(self).page("export")(self, to, path, options)
        return content
