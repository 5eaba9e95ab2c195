"""A gradient of exactly 0 gives 0 through tensor types too: the objective does not depend on that element.

A vector-Jacobian product is linear in the gradient, and a product of 0 and an infinite derivative is the only way in
which an element that is given 0 can show. So a part that is not finite is computed again from other numbers: what
comes out the same whatever stands in place of infinities, or 0 whatever the inputs are, does not depend on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from graphrun.base.types import Array

Vjp = Callable[..., Sequence[Any]]

GOLDEN = (math.sqrt(5) - 1) / 2
"""Multiples of it are spread over the numbers from 0 to 1 evenly, so that no two are alike."""


def masked_vjp(xp: Any, vjp: Vjp) -> Vjp:
    """Return a vjp of (gradient, output, *inputs) whose parts do not depend on what a gradient of 0 is multiplied by.

    Args:
        xp: the array namespace.
        vjp: the type's, bound to the namespace and to its settings.
    """

    def masked(gradient: Array, *arrays: Array) -> tuple[Any, ...]:
        given = vjp(gradient, *arrays)

        def part(k: int) -> Any:
            found = _evaluated(given[k])
            finite = xp.isfinite(found)
            if xp.__name__ == "numpy" and finite.all():
                return found

            def again(scale: float, everywhere: bool) -> Any:
                # Labels, indices and conditions, which have no derivative, stay what they are.
                all_of = (everywhere, *(everywhere and entry is not None for entry in given))
                others = (_stand_in(xp, x, scale, every) for x, every in zip(arrays, all_of, strict=True))
                return _evaluated(vjp(gradient, *others)[k])

            try:
                here, there = again(1.0, everywhere=False), again(-2.0, everywhere=False)
                zero, naught = again(1.0, everywhere=True), again(-2.0, everywhere=True)
            except ValueError:
                # A matrix of other numbers may have no inverse.
                return found
            found = xp.where(xp.equal(zero, 0) & xp.equal(naught, 0) & ~finite, 0.0, found)
            return xp.where(xp.equal(here, there) & ~xp.isfinite(found), here, found)

        return tuple(None if entry is None else (lambda k=k: part(k)) for k, entry in enumerate(given))

    return masked


def _evaluated(entry: Any) -> Any:
    return entry() if callable(entry) else entry


def _stand_in(xp: Any, x: Any, scale: float, everywhere: bool) -> Any:
    """Return an array with other numbers in place of all of its, or of those that are not finite."""
    x = xp.asarray(x)
    if not xp.isdtype(x.dtype, "real floating"):
        return x
    spread = xp.reshape((xp.arange(x.size) * GOLDEN) % 1, x.shape)
    others = xp.astype(scale * (0.5 + spread), x.dtype)
    return others if everywhere else xp.where(xp.isfinite(x), x, others)
