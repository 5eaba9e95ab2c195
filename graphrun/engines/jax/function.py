"""A plan as a function of its parameters, compiled by XLA: the objective, its gradient, products with its Hessian."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from graphrun.base.types import Array
from graphrun.engines.jax.devices import Placement, double_precision, find_device, keep_compiled_programs
from graphrun.engines.jax.passes import ArrayPasses, PlanPart
from graphrun.engines.jax.vector import JaxPasses, make_passes
from graphrun.plan.plan import Plan

DIRECTIONS_AT_ONCE = 32


class JaxFunction:
    """A plan whose leaves but for the parameters stay as they are; any number of threads may call it.

    Raises:
        UsageError: a node type's function cannot be traced by JAX.
    """

    def __init__(self, plan: Plan) -> None:
        keep_compiled_programs()
        self._plan = plan
        passes: list[JaxPasses] = [make_passes(plan)]
        if isinstance(passes[0], ArrayPasses):
            # A gradient of zero gives zero through tensor types only in the second one, which takes longer.
            passes = [ArrayPasses(plan, masked=masked, declared=True) for masked in (False, True)]
        with double_precision(), np.errstate(all="ignore"):
            fixed = passes[0].fixed(Placement(find_device(None)))
            gradients = [self._gradient(each, fixed) for each in passes]
            self._gradients = [jax.jit(gradient) for gradient in gradients]
            self._products = [jax.jit(_products(gradient)) for gradient in gradients]
            vector = np.zeros(sum(self._sizes), plan.dtype)
            jax.eval_shape(gradients[-1], vector)

    @property
    def _sizes(self) -> list[int]:
        return [math.prod(shape) for shape in self._plan.shapes[: self._plan.parameters]]

    def at(self, vector: Array) -> tuple[float, Array]:
        """Return the objective and its gradient at some values of all parameters, end to end."""
        value, gradient = self._first_finite(self._gradients, vector)
        return float(value), np.array(gradient)

    def __call__(self, vector: Array, directions: Array) -> Array:
        """Return the product of the Hessian at a point with each direction, a row each."""
        return np.array(self._first_finite(self._products, vector, directions.astype(vector.dtype)))

    def _first_finite(self, functions: Sequence[Callable[..., Any]], *given: Array) -> Any:
        with double_precision(), np.errstate(all="ignore"):
            for function in functions:
                found = function(*given)
                if all(np.isfinite(array).all() for array in jax.tree.leaves(found)):
                    break
        return found

    def _gradient(self, passes: JaxPasses, fixed: Any) -> Callable[[Array], tuple[Array, Array]]:
        """Return the function of the vector that gives objective and gradient."""
        plan, ends = self._plan, np.cumsum(self._sizes)

        def gradient(vector: Array) -> tuple[Array, Array]:
            targets: Any = (vector,)
            if isinstance(passes, ArrayPasses):
                parts = zip(jnp.split(vector, ends[:-1]), plan.shapes, strict=False)
                targets = [part.reshape(shape) for part, shape in parts]
            values = passes.forward(passes.begin(targets, {}, fixed), PlanPart.LOOP)
            gradients = passes.target_gradients(passes.backward(values, PlanPart.LOOP))
            return passes.value(values, plan.objective or 0), jnp.concatenate([jnp.ravel(part) for part in gradients])

        return gradient


def _products(gradient: Callable[[Array], tuple[Array, Array]]) -> Callable[[Array, Array], Array]:
    """Return what gives the products of the Hessian with directions: forward mode through the backward pass."""

    def products(vector: Array, directions: Array) -> Array:
        def product(direction: Array) -> Array:
            moved: Array = jax.jvp(lambda at: gradient(at)[1], (vector,), (direction,))[1]
            return moved

        found: Array = jax.lax.map(product, directions, batch_size=min(len(directions), DIRECTIONS_AT_ONCE))
        return found

    return products
