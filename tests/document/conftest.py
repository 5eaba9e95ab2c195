"""What the tests of the document stage share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphrun.base.errors import GraphFileError
from graphrun.document import Source, load_document


@pytest.fixture
def problems_of() -> Callable[[str], str]:
    """Return a function from the text of a graph file to the text of its problems, fatal ones or not."""

    def find(text: str) -> str:
        try:
            return str(load_document(Source("g.yaml", text)).problems)
        except GraphFileError as error:
            return str(error)

    return find
