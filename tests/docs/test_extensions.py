"""What makes the pages of the documents: broken links are found, and a node type's page has what is known of it.

That the documents build at all is a part of `.ci/run`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from graphrun.check.prove import Outcome, Verdict
from graphrun.declare.initializers import INITIALIZERS
from graphrun.nodes.activation import leaky_relu
from graphrun.nodes.arithmetic import identity
from graphrun.plugins.registry import Registry

EXTENSIONS = Path(__file__).parents[2] / "docs" / "extensions"

pytestmark = pytest.mark.campaign  # they need the extra `docs`


@pytest.fixture
def extension(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import an extension as Sphinx does."""
    monkeypatch.syspath_prepend(str(EXTENSIONS))
    monkeypatch.delitem(sys.modules, request.param, raising=False)
    return __import__(request.param)


@pytest.mark.parametrize("extension", ["links"], indirect=True)
def test_links_that_lead_nowhere_are_found(extension: ModuleType, tmp_path: Path) -> None:
    """A file that is not there and an anchor that a page lacks; what leads outside is left alone."""
    (tmp_path / "a.html").write_text(
        '<h1 id="here"></h1><a href="b.html#there">1</a><a href="#here">2</a><a href="c.html">3</a>'
        '<img src="no.svg"><a href="b.html#no">4</a><a href="https://example.org/no">5</a>'
    )
    (tmp_path / "b.html").write_text('<p id="there">')
    assert list(extension.broken(tmp_path)) == [
        "a.html: b.html#no is no anchor",
        "a.html: c.html is no file",
        "a.html: no.svg is no file",
    ]


@pytest.mark.parametrize("extension", ["node_types"], indirect=True)
def test_page_of_a_type_has_formula_derivative_proof_and_accuracy(extension: ModuleType) -> None:
    """Formula and derivative are the declaration's, the proof SymPy's, the error the worst that was measured."""
    errors = extension.worst_errors(
        "| leaky_relu | numpy | float64 | 0.5 | 1.0 | 0 |  |\n| leaky_relu | jax | float32 | 0.25 | 1.0 | 1.5 | 2.0 |\n"
    )
    proven = {"leaky_relu": Verdict("leaky_relu", Outcome.PROVEN, "every slope > 0")}
    facts = [*extension.proof(leaky_relu, proven), *extension.accuracy(leaky_relu, errors)]
    text = "\n".join(extension.entry(Registry(), leaky_relu, facts))
    for part in (
        "## leaky_relu",
        "y = where(x > 0, x, slope * x)",
        "dy/dx = where(x > 0, 1, slope)",
        "**proven** for all inputs, every slope > 0.",
        "0.5 ulp in its value, 1.5 in its derivatives.",
    ):
        assert part in text


@pytest.mark.parametrize("extension", ["node_types"], indirect=True)
def test_page_of_a_name_that_two_kinds_have(extension: ModuleType) -> None:
    """The identity that is a node type and the one that makes a matrix each have their own facts alone."""
    matrix = "\n".join(extension.entry(Registry(), INITIALIZERS["identity"], [], "initializer"))
    assert "init: {type: identity}" in matrix
    assert "dy/dx" not in matrix
    node = "\n".join(extension.entry(Registry(), identity, []))
    assert "dy/dx = 1" in node
    assert "init:" not in node
