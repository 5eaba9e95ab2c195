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
    norm: float | None,
    multiplier: Callable[[Sequence[Any], float], Any],
    cast: Callable[[float], Any],
) -> list[Any]:
    """Return the gradients brought to the largest value and then to the largest norm of all together.

    A limit of None is none; `multiplier` returns the root of `factor` of gradients for a limit, and `cast` a number,
    both in the graph's dtype. The factor itself may be too small for that, or for XLA, which takes subnormal numbers
    for 0, where the product of it and a gradient is a number like any other.
    """
    clipped = list(gradients)
    if value is not None:
        clipped = [within(xp, gradient, cast(value)) for gradient in clipped]
    if norm is not None:
        number = multiplier(clipped, norm)
        clipped = [gradient * number * number for gradient in clipped]
    return clipped
