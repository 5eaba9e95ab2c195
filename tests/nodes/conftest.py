"""What the tests of the node types share."""

from __future__ import annotations

import importlib
from typing import Any

import pytest


@pytest.fixture(scope="session")
def torch() -> Any:
    """PyTorch, an oracle that shares no code with graphrun; CI fails on its absence, a laptop need not have it."""
    try:
        return importlib.import_module("torch")
    except ImportError:
        pytest.skip("PyTorch is missing: pip install torch --index-url https://download.pytorch.org/whl/cpu")
