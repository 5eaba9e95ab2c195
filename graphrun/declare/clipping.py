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


def clip_mean(
    xp: Any,
    gradients: Sequence[Any],
    accumulated: Sequence[Any],
    count: int,
    due: Any,
    clip: Callable[..., Sequence[Any]],
) -> list[tuple[Any, Any]]:
    """Return gradients and what was accumulated before, in pairs, where what is clipped is the mean of `count` of them.

    Where an update is `due`, the gradient is `count` times the clipped mean, and nothing was accumulated; else both are
    as they are.
    """
    means = clip([(before + gradient) / count for before, gradient in zip(accumulated, gradients, strict=True)])
    return [
        (xp.where(due, mean * count, gradient), xp.where(due, 0.0, before))
        for mean, gradient, before in zip(means, gradients, accumulated, strict=True)
    ]


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
