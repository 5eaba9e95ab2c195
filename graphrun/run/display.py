"""What notebooks show of graphs and results: by a function that the package hands in, for a run knows no drawing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar


class Displayed:
    """Something that a notebook shows.

    Attributes:
        display: returns what is shown, by MIME type; `graphrun` itself sets it.
    """

    display: ClassVar[Callable[[Any], Mapping[str, str]]]

    def _repr_html_(self) -> str:
        return self._repr_mimebundle_()["text/html"]

    def _repr_mimebundle_(self, **_: object) -> Mapping[str, str]:
        return type(self).display(self)
