"""Clipping: what becomes of the gradient before the update rule is given it. Every engine lowers these functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def within(xp: Any, gradient: Any, limit: Any) -> Any:
    """Return a gradient whose elements are at most `limit` in size."""
    return xp.minimum(xp.maximum(gradient, -limit), limit)


def factor(xp: Any, norm: Any, limit: float) -> Any:
    """Return what a gradient is multiplied by, so that its norm is at most `limit`: as PyTorch's clip_grad_norm_."""
    return xp.minimum(1.0, limit / (norm + 1e-6))


def clip(
    xp: Any,
    gradients: Sequence[Any],
    *,
    value: float | None,
    limit: float | None,
    norm: Callable[..., Any],
    numbers: Any,
    cast: Callable[[Any], Any],
) -> list[Any]:
    """Return the gradients brought to the largest value and then to the largest norm of all together.

    A largest value or a limit of the norm that is None is none. `norm` is the norm of some arrays, `numbers` the array
    namespace of what it gives, and `cast` makes a number one of the graph's dtype.

    They are multiplied twice by the root of the factor, which may itself be too small for the dtype, or for XLA, which
    takes subnormal numbers for 0, where the product of it and a gradient is a number like any other.
    """
    clipped = list(gradients)
    if value is not None:
        clipped = [within(xp, gradient, cast(value)) for gradient in clipped]
    if limit is not None:
        root = cast(numbers.sqrt(factor(numbers, norm(*clipped), limit)))
        clipped = [gradient * root * root for gradient in clipped]
    return clipped
