"""ONNX: models written of graphs, and graph files made of models. The public `onnx` package is imported when asked."""

from __future__ import annotations

from typing import Any

from graphrun.base.errors import UsageError


def load_onnx() -> Any:
    """Return the `onnx` package, with the modules of it that are needed here.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import onnx
        import onnx.inliner
        import onnx.numpy_helper
        import onnx.reference
        import onnx.shape_inference
    except ImportError:
        raise UsageError("ONNX models need onnx: pip install 'graphrun[onnx]'") from None
    return onnx
