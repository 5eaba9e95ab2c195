"""What the tests of the solvers share."""

from __future__ import annotations

import pytest

pytest.importorskip("scipy", minversion="1.16", reason="the solvers are SciPy's: pip install 'graphrun[scipy]'")
