"""Graphs of arrays on fixed rows, as texts, and the same losses in the words of JAX and of PyTorch, for benchmarks.

Whoever runs one begins at the numbers that graphrun drew for it, so that all compute the same; `peer` asserts it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from graphrun.plan.plan import Plan

Steps = Callable[[int], object]
Loss = Callable[[Any, Mapping[str, Any]], Any]
"""Of a `Words` and the leaves by name."""

STEP_SIZE = 0.0001
MINIMIZED = ("minimize: loss", f"update: {{type: adam, step_size: {STEP_SIZE}}}", "")


def dense(*sizes: int, batch: int, dtype: str = "float32") -> str:
    """A multilayer perceptron on fixed rows."""
    lines = [f"dtype: {dtype}", "parameters:"]
    lines += [f"  x: {{shape: [{batch}, {sizes[0]}], init: {{type: normal}}, frozen: true}}"]
    lines += [f"  y: {{shape: [{batch}, {sizes[-1]}], init: {{type: normal}}, frozen: true}}"]
    for k, pair in enumerate(itertools.pairwise(sizes)):
        lines.append(f"  w{k}: {{shape: {list(pair)}, init: {{type: glorot_uniform}}}}")
        lines.append(f"  b{k}: {{shape: [{pair[1]}], init: {{type: zeros}}}}")
    lines.append("nodes:")
    last = "x"
    for k in range(len(sizes) - 1):
        formula = f"{last} @ w{k} + b{k}"
        lines.append(f"  h{k}: {formula if k == len(sizes) - 2 else f'tanh({formula})'}")
        last = f"h{k}"
    return "\n".join([*lines, f"  loss: mean_squared_error({last}, y)", *MINIMIZED])


def convolutional(channels: int, more: int, size: int, batch: int) -> str:
    """Two convolutions, each halved by pooling."""
    flat = more * (size // 4) ** 2
    return "\n".join(
        [
            "dtype: float32",
            "parameters:",
            f"  x: {{shape: [{batch}, 1, {size}, {size}], init: {{type: normal}}, frozen: true}}",
            f"  y: {{shape: [{batch}, 10], init: {{type: normal}}, frozen: true}}",
            f"  k1: {{shape: [{channels}, 1, 3, 3], init: {{type: he_normal}}}}",
            f"  k2: {{shape: [{more}, {channels}, 3, 3], init: {{type: he_normal}}}}",
            f"  w: {{shape: [{flat}, 10], init: {{type: glorot_uniform}}}}",
            "nodes:",
            "  a: max_pool2d(relu(conv2d(x, k1, padding=1)), kernel_size=2)",
            "  b: max_pool2d(relu(conv2d(a, k2, padding=1)), kernel_size=2)",
            f"  loss: 'mean_squared_error(reshape(b, shape=[-1, {flat}]) @ w, y)'",
            *MINIMIZED,
        ]
    )


def transformer(batch: int, length: int, width: int, dtype: str = "float32") -> str:
    """A block: attention and a perceptron, each normalized and added to what it was given."""
    weights = {"q": (width, width), "k": (width, width), "v": (width, width), "u": (width, 4 * width)}
    weights["d"] = (4 * width, width)
    return "\n".join(
        [
            f"dtype: {dtype}",
            "parameters:",
            f"  x: {{shape: [{batch}, {length}, {width}], init: {{type: normal}}, frozen: true}}",
            f"  y: {{shape: [{batch}, {length}, {width}], init: {{type: normal}}, frozen: true}}",
            *(f"  {n}: {{shape: {list(s)}, init: {{type: glorot_uniform}}}}" for n, s in weights.items()),
            f"  g1: {{shape: [{width}], init: {{type: ones}}}}",
            f"  g2: {{shape: [{width}], init: {{type: ones}}}}",
            f"  o: {{shape: [{width}], init: {{type: zeros}}}}",
            "nodes:",
            "  n1: layer_norm(x, g1, o)",
            "  a: x + scaled_dot_product_attention(n1 @ q, n1 @ k, n1 @ v)",
            "  f: a + gelu(layer_norm(a, g2, o) @ u) @ d",
            "  loss: mean_squared_error(f, y)",
            *MINIMIZED,
        ]
    )


def recurrent(length: int, batch: int, hidden: int) -> str:
    """A recurrence by `repeat` and `share`, as gated as one can write in two lines."""
    return "\n".join(
        [
            "parameters:",
            f"  xs: {{shape: [{length}, {batch}, {hidden}], init: {{type: normal}}, frozen: true}}",
            f"  start: {{shape: [{batch}, {hidden}], init: {{type: zeros}}, frozen: true}}",
            "subgraphs:",
            "  cell:",
            "    inputs: [h, x]",
            "    parameters:",
            *(f"      {n}: {{shape: [{hidden}, {hidden}], init: {{type: glorot_uniform}}}}" for n in ("u", "v")),
            "    nodes: {z: sigmoid(h @ u + x), n: tanh(h @ v + x), y: z * h + (1 - z) * n}",
            "    output: y",
            "nodes:",
            f"  last: {{type: cell, inputs: [start, xs], repeat: {length}, share: true, over: [x]}}",
            "  loss: mean(last * last)",
            *MINIMIZED,
        ]
    )


def lstm(length: int, batch: int, hidden: int, dtype: str = "float32") -> str:
    """A recurrence with a cell of memory, by `repeat` and `share`; the state is both, side by side."""
    gates = [f"      {n}: slice(z, start={k * hidden}, stop={(k + 1) * hidden}, axis=1)" for k, n in enumerate("ifgo")]
    return "\n".join(
        [
            f"dtype: {dtype}",
            "parameters:",
            f"  xs: {{shape: [{length}, {batch}, {hidden}], init: {{type: normal}}, frozen: true}}",
            f"  start: {{shape: [{batch}, {2 * hidden}], init: {{type: zeros}}, frozen: true}}",
            "subgraphs:",
            "  cell:",
            "    inputs: [s, x]",
            "    parameters:",
            *(f"      {n}: {{shape: [{hidden}, {4 * hidden}], init: {{type: glorot_uniform}}}}" for n in ("u", "v")),
            "    nodes:",
            f"      h: slice(s, start=0, stop={hidden}, axis=1)",
            f"      c: slice(s, start={hidden}, stop={2 * hidden}, axis=1)",
            "      z: x @ u + h @ v",
            *gates,
            "      d: sigmoid(f) * c + sigmoid(i) * tanh(g)",
            "      y: concat(sigmoid(o) * tanh(d), d, axis=1)",
            "    output: y",
            "nodes:",
            f"  last: {{type: cell, inputs: [start, xs], repeat: {length}, share: true, over: [x]}}",
            "  loss: mean(last * last)",
            *MINIMIZED,
        ]
    )


def fit(rows: int) -> str:
    """A curve through many points."""
    return "\n".join(
        [
            "parameters:",
            f"  t: {{shape: [{rows}], init: {{type: uniform}}, frozen: true}}",
            f"  y: {{shape: [{rows}], init: {{type: uniform}}, frozen: true}}",
            *("  a: 1.0", "  b: 0.5", "  c: 0.1"),
            "nodes: {p: a * exp(-b * t) + c * sin(t), loss: 'mean_squared_error(p, y)'}",
            *MINIMIZED,
        ]
    )


def formula(nodes: int) -> str:
    """A chain of numbers."""
    lines = ["parameters: {a: 0.3, b: 0.7}", "nodes:", "  n0: a * b"]
    lines += [f"  n{k}: {('tanh(n{} + a)', 'n{} * b + a', 'sin(n{})')[k % 3].format(k - 1)}" for k in range(1, nodes)]
    return "\n".join([*lines, f"  loss: n{nodes - 1} * n{nodes - 1}", *MINIMIZED])


def wide(nodes: int) -> str:
    """Numbers side by side, and their sum."""
    lines = ["parameters:", *(f"  p{k}: {0.1 + k % 7 / 10}" for k in range(nodes)), "nodes:"]
    lines += [f"  n{k}: tanh(p{k})" for k in range(nodes)]
    names = ", ".join(f"n{k}" for k in range(nodes))
    return "\n".join([*lines, f"  loss: sum(stack({names}))", *MINIMIZED])


class Words:
    """What the two libraries call differently."""

    def __init__(self, library: str) -> None:
        if library == "jax":
            import jax
            import jax.numpy as jnp

            self.mean, self.tanh, self.sigmoid, self.relu = jnp.mean, jnp.tanh, jax.nn.sigmoid, jax.nn.relu
            self.gelu = lambda x: jax.nn.gelu(x, approximate=False)
            self.softmax = lambda x: jax.nn.softmax(x, axis=-1)
            self.conv2d = lambda x, k: jax.lax.conv_general_dilated(x, k, (1, 1), "SAME")
            self.max_pool2d = lambda x: jax.lax.reduce_window(
                x, -np.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID"
            )
            self.concat = lambda parts: jnp.concatenate(parts, axis=1)
            self.transpose = lambda x: jnp.swapaxes(x, -1, -2)
            self.over = lambda function, start, xs: jax.lax.scan(lambda s, x: (function(s, x), None), start, xs)[0]
            self.variance = lambda x: jnp.var(x, axis=-1, keepdims=True)
            self.average = lambda x: jnp.mean(x, axis=-1, keepdims=True)
        else:
            import functools

            import torch
            from torch.nn import functional

            self.mean, self.tanh, self.sigmoid, self.relu = torch.mean, torch.tanh, torch.sigmoid, functional.relu
            self.gelu = functional.gelu
            self.softmax = lambda x: torch.softmax(x, -1)
            self.conv2d = lambda x, k: functional.conv2d(x, k, padding=1)
            self.max_pool2d = lambda x: functional.max_pool2d(x, 2)
            self.concat = lambda parts: torch.cat(parts, 1)
            self.transpose = lambda x: x.transpose(-1, -2)
            self.over = lambda function, start, xs: functools.reduce(function, xs, start)
            self.variance = lambda x: x.var(-1, correction=0, keepdim=True)
            self.average = lambda x: x.mean(-1, keepdim=True)


def dense_loss(words: Any, p: Mapping[str, Any]) -> Any:
    """That of `dense`."""
    x, layers = p["x"], sum(name.startswith("w") for name in p)
    for k in range(layers):
        x = x @ p[f"w{k}"] + p[f"b{k}"]
        x = x if k == layers - 1 else words.tanh(x)
    return words.mean((x - p["y"]) ** 2)


def convolutional_loss(words: Any, p: Mapping[str, Any]) -> Any:
    """That of `convolutional`."""
    x = p["x"]
    for kernel in ("k1", "k2"):
        x = words.max_pool2d(words.relu(words.conv2d(x, p[kernel])))
    return words.mean((x.reshape(len(x), -1) @ p["w"] - p["y"]) ** 2)


def transformer_loss(words: Any, p: Mapping[str, Any]) -> Any:
    """That of `transformer`."""

    def normal(x: Any, gain: Any) -> Any:
        return (x - words.average(x)) / (words.variance(x) + 1e-5) ** 0.5 * gain + p["o"]

    x = p["x"]
    n = normal(x, p["g1"])
    q, k, v = n @ p["q"], n @ p["k"], n @ p["v"]
    a = x + words.softmax(q @ words.transpose(k) / x.shape[-1] ** 0.5) @ v
    return words.mean((a + words.gelu(normal(a, p["g2"]) @ p["u"]) @ p["d"] - p["y"]) ** 2)


def lstm_loss(words: Any, p: Mapping[str, Any]) -> Any:
    """That of `lstm`."""
    u, v = p["last.u"], p["last.v"]
    n = u.shape[0]

    def cell(s: Any, x: Any) -> Any:
        z, c = x @ u + s[:, :n] @ v, s[:, n:]
        i, f, g, o = (z[:, k * n : (k + 1) * n] for k in range(4))
        d = words.sigmoid(f) * c + words.sigmoid(i) * words.tanh(g)
        return words.concat([words.sigmoid(o) * words.tanh(d), d])

    last = words.over(cell, p["start"], p["xs"])
    return words.mean(last * last)


def leaves_of(plan: Plan) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return copies of the parameters and of what is fixed, by name."""
    named = {name: np.array(leaf) for name, leaf in zip(plan.names, plan.leaves, strict=False) if name is not None}
    moving = set(plan.names[: plan.parameters])
    return (
        {name: leaf for name, leaf in named.items() if name in moving},
        {name: leaf for name, leaf in named.items() if name not in moving},
    )


def torch_peer(plan: Plan, loss: Loss) -> tuple[float, Steps]:
    """Return PyTorch's loss at the start, and its steps: eager, with its own Adam."""
    import torch

    words, (moving, fixed) = Words("torch"), leaves_of(plan)
    parameters = {name: torch.tensor(leaf, requires_grad=True) for name, leaf in moving.items()}
    leaves = {**parameters, **{name: torch.tensor(leaf) for name, leaf in fixed.items()}}
    optimizer = torch.optim.Adam(parameters.values(), lr=STEP_SIZE)

    def steps(count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            loss(words, leaves).backward()
            optimizer.step()

    return float(loss(words, leaves).detach()), steps


def jax_peer(plan: Plan, loss: Loss, device: Any = None) -> tuple[float, Steps]:
    """Return the loss of JAX by hand at the start, and its steps: one `fori_loop` with `jax.grad` and Adam, donated."""
    import jax
    import jax.numpy as jnp

    words, (moving, fixed) = Words("jax"), leaves_of(plan)

    def body(step: Any, state: Any, fixed: Any) -> Any:
        parameters, first, second = state
        gradients = jax.grad(lambda given: loss(words, {**given, **fixed}))(parameters)
        each = jax.tree.map
        first = each(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = each(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
        a, b = 1 - 0.9 ** (step + 1.0), 1 - 0.999 ** (step + 1.0)

        def moved(p: Any, m: Any, v: Any) -> Any:
            return p - (STEP_SIZE * (m / a) / (jnp.sqrt(v / b) + 1e-8)).astype(p.dtype)

        return each(moved, parameters, first, second), first, second

    with jax.enable_x64(plan.dtype == np.float64):
        loop = jax.jit(
            lambda state, fixed, count: jax.lax.fori_loop(0, count, lambda k, s: body(k, s, fixed), state),
            donate_argnums=0,
        )
        zeros = {name: np.zeros_like(leaf) for name, leaf in moving.items()}
        state = jax.device_put((moving, zeros, dict(zeros)), device)
        placed = jax.device_put(fixed, device)
        start = float(loss(words, {**state[0], **placed}))

    def steps(count: int) -> None:
        nonlocal state
        with jax.enable_x64(plan.dtype == np.float64):
            state = jax.block_until_ready(loop(state, placed, count))

    return start, steps
