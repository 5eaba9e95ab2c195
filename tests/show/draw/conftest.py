"""What the tests of drawings share."""

from __future__ import annotations

import pytest
from lesson import GRAPHS, each_of

from graphrun.show.draw import Box, Drawing, Frame, Line, Shape

HOSTILE = '</title><script>alert("1")</script> \' ]]> --> & \\N \u202e\u2066 \x1b[31m |"` %%{init} end\n}'


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give tests that ask for it the graphs of the repository."""
    if "example" in metafunc.fixturenames:
        metafunc.parametrize("example", each_of(sorted(GRAPHS.glob("*.yaml"))))


@pytest.fixture
def hostile() -> Drawing:
    """Return a drawing whose every text tries to get out of where it stands."""
    boxes = tuple(
        Box(HOSTILE.replace("\n", shape), HOSTILE, shape, HOSTILE, HOSTILE, HOSTILE, HOSTILE, frame=HOSTILE)
        for shape in Shape
    )
    lines = (Line(boxes[0].name, boxes[1].name, 0, HOSTILE, HOSTILE),)
    return Drawing(HOSTILE, HOSTILE, boxes, lines, (Frame(HOSTILE, HOSTILE, None),), HOSTILE)
