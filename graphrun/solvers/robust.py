"""Robust losses of squared residuals: large ones count less, so that a few outliers do not decide a fit."""

from __future__ import annotations

from typing import Any, Literal

from graphrun.base.types import AboveZero
from graphrun.declare.nodetype import tensor

Loss = Literal["linear", "soft_l1", "huber", "cauchy", "arctan"]

UNNOTICED = 1e-30
"""A z up to which every loss is z, to the last digit."""


def rho(xp: Any, loss: str, z: Any) -> tuple[Any, Any, Any]:
    """Return a loss of SciPy's least_squares and its first and second derivatives, free of cancellation.

    Args:
        xp: the array namespace.
        loss: its name.
        z: the squares of the residuals over the scale `f_scale`; the cost is f_scale² times the sum of the losses.
    """
    if loss == "soft_l1":
        root = xp.sqrt(1 + z)
        return 2 * (z / (1 + root)), 1 / root, -0.5 / root**3
    if loss == "huber":
        root = xp.sqrt(xp.maximum(z, 1.0))
        return xp.where(z <= 1, z, 2 * root - 1), 1 / root, xp.where(z <= 1, 0.0, -0.5 / root**3)
    if loss == "cauchy":
        return xp.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2
    if loss == "arctan":
        first = 1 / (1 + z**2)
        return xp.atan(z), first, -2 * z * first**2
    return z, xp.ones_like(z), xp.zeros_like(z)


@tensor
def robust_cost(xp: Any, residual: Any, *, loss: Loss, f_scale: AboveZero) -> Any:
    """f_scale² times the sum of the losses of (residual / f_scale)²: the sum of squares, where residuals are small."""
    z = (residual / f_scale) ** 2
    losses, _, _ = rho(xp, loss, z)
    # Where z is next to nothing, or vanishes, the residual's own square need not.
    return xp.sum(xp.where(z < UNNOTICED, residual**2, f_scale * (f_scale * losses)))


@robust_cost.vjp
def _(xp: Any, gradient: Any, y: Any, residual: Any, *, loss: str, f_scale: float) -> tuple[Any]:
    _, first, _ = rho(xp, loss, (residual / f_scale) ** 2)
    return (gradient * (2 * first * residual),)
