"""Attention: averages of values, weighted by how queries and keys match."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graphrun.declare.nodetype import Example, tensor
from graphrun.nodes.axes import check_axes, check_broadcast, check_same_size, undo_broadcast
from graphrun.nodes.normalization import shares, through_shares

if TYPE_CHECKING:
    from graphrun.base.types import Finite


def attention_weights(xp, query, key, mask, *, causal, scale):
    """The weight of each key for each query; all 0 where a query may look at none."""
    scores = xp.matmul(query * scale, xp.matrix_transpose(key))
    if causal:
        behind = xp.expand_dims(xp.arange(query.shape[-2]), axis=1) >= xp.arange(key.shape[-2])
        scores = xp.where(behind, scores, -math.inf)
    if mask is not None:
        scores = xp.where(xp.not_equal(mask, 0), scores, -math.inf)
    return shares(xp, scores, scores.ndim - 1)


def default_scale(query, scale):
    """The scale, by default 1 over the root of the length of a query."""
    return 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else scale


def check_attention(query, key, value, mask):
    """Refuse shapes that do not fit."""
    for name, array in (("query", query), ("key", key), ("value", value)):
        check_axes(array, 2, name)
    check_same_size(query, query.ndim - 1, key, key.ndim - 1, ("query", "key"))
    check_same_size(key, key.ndim - 2, value, value.ndim - 2, ("key", "value"))
    check_broadcast(query, key, ("query", "key"), but=2)
    check_broadcast(query, value, ("query", "value"), but=2)
    check_broadcast(key, value, ("key", "value"), but=2)
    if mask is not None:
        wanted = (*query.shape[:-1], key.shape[-2])
        if mask.ndim > len(wanted) or any(
            size not in (1, other) for size, other in zip(mask.shape[::-1], wanted[::-1], strict=False)
        ):
            raise ValueError(f"the mask has the shape {mask.shape}, the weights have {wanted}")


@tensor(
    formula="w @ value, where w = softmax(scale * query @ key.T)",
    gradients=[
        "scale * s @ key, where s = w * (g - sum(g * w)) and g = gradient @ value.T",
        "scale * s.T @ query, with the same s",
        "w.T @ gradient",
        None,
    ],
    examples=[
        Example(shapes=[(3, 2), (4, 2), (4, 5)]),
        Example(shapes=[(2, 3, 2), (2, 4, 2), (2, 4, 1)], settings={"scale": 0.5}),
        Example(shapes=[(2, 2, 3, 2), (1, 3, 2), (2, 1, 3, 2)], settings={"causal": True}),
        Example(
            shapes=[(2, 3, 2), (3, 2), (3, 2), (3, 3)], values=[None, None, None, [[1, 0, 1], [1, 1, 0], [0, 0, 0]]]
        ),
    ],
    cost=lambda z, query, key, value, mask=None, **_: 2 * (query.size + z.size) * key.shape[-2],
)
def scaled_dot_product_attention(
    xp, query, key, value, mask=None, *, causal: bool = False, scale: Finite | None = None
):
    """Attention: softmax(scale query key^T) value; a mask is 0 where a query may not look, causal hides later keys."""
    return attention_keeping(xp, query, key, value, mask, causal=causal, scale=scale)[0]


@scaled_dot_product_attention.keeping
def attention_keeping(xp, query, key, value, mask=None, *, causal, scale):
    """The output, and the weights."""
    check_attention(query, key, value, mask)
    weights = attention_weights(xp, query, key, mask, causal=causal, scale=default_scale(query, scale))
    return xp.matmul(weights, value), weights


@scaled_dot_product_attention.vjp
def _(xp, gradient, y, query, key, value, mask=None, *, causal, scale, kept=None):
    scale = default_scale(query, scale)
    weights = attention_weights(xp, query, key, mask, causal=causal, scale=scale) if kept is None else kept
    match = xp.matmul(gradient, xp.matrix_transpose(value))
    slopes = scale * through_shares(xp, match, weights, weights.ndim - 1)
    gradients = (
        lambda: undo_broadcast(xp, xp.matmul(slopes, key), query.shape),
        lambda: undo_broadcast(xp, xp.matmul(xp.matrix_transpose(slopes), query), key.shape),
        lambda: undo_broadcast(xp, xp.matmul(xp.matrix_transpose(weights), gradient), value.shape),
    )
    return gradients if mask is None else (*gradients, None)
