"""Every node type within a few units in the last place of the true value and derivative, on every engine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from audit import ENGINES, LIMIT, TENSOR_ENGINES, TYPES, audit_elementwise, audit_tensor
from references import ELEMENTWISE, TENSOR

POINTS = 8


def test_every_type_has_a_reference() -> None:
    """A new type is in the audit, or fails here."""
    assert {name for name, node_type in TYPES.items() if node_type.is_elementwise} == set(ELEMENTWISE)
    assert {name for name, node_type in TYPES.items() if not node_type.is_elementwise} == set(TENSOR)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "silu", "add"])
def test_a_few_types_are_accurate(name: str) -> None:
    """The quick part of the audit: what once lost its digits in the tails, with the engine that is always there."""
    for dtype in ("float64", "float32"):
        for row in audit_elementwise(name, "numpy", dtype, 8):
            assert row.error <= LIMIT, row


def in_both_dtypes(names: Iterable[str], one_of: int) -> list[Any]:
    """Return types with each dtype: one of so many in the one, as many in the other; the rest is for a nightly run."""
    return [
        pytest.param(name, dtype, marks=[pytest.mark.nightly] * (k % one_of != remainder))
        for k, name in enumerate(names)
        for remainder, dtype in enumerate(("float64", "float32"))
    ]


@pytest.mark.campaign
@pytest.mark.parametrize(("name", "dtype"), in_both_dtypes(ELEMENTWISE, 8))
def test_an_elementwise_type_is_accurate(name: str, dtype: str) -> None:
    """Over the whole range: tails, tiny and huge numbers, equal inputs, both signs, mixed scales."""
    for engine in ENGINES:
        for row in audit_elementwise(name, engine, dtype, POINTS):
            assert row.error <= LIMIT, row


@pytest.mark.campaign
@pytest.mark.parametrize(("name", "dtype"), in_both_dtypes(TENSOR, 12))
def test_a_tensor_type_is_accurate(name: str, dtype: str) -> None:
    """Plain, large, tiny, equal, mixed numbers, and one that stands out."""
    for engine in TENSOR_ENGINES:
        for row in audit_tensor(name, engine, dtype):
            assert row.error <= LIMIT, row


def test_the_page_has_every_type() -> None:
    """docs/accuracy.md is written by tests/bench/accuracy.py, which takes minutes: a new type is missed here."""
    page = (Path(__file__).parents[2] / "docs" / "accuracy.md").read_text(encoding="utf-8")
    for name, node_type in TYPES.items():
        for engine in ENGINES if node_type.is_elementwise else TENSOR_ENGINES:
            assert f"| {name} | {engine} |" in page
