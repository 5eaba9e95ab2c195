"""Graph files of the campaign that mostly run: copies, sequences, derivatives, and the sections beside the nodes."""

from __future__ import annotations

from random import Random
from typing import Any

ROWS = 4
SMOOTH = [
    "{} + {}",
    "{} * {}",
    "{} - 0.5 * {}",
    "tanh({}) * {}",
    "sin({} - {})",
    "softplus({} + {})",
    "maximum({}, {})",
]
RULES = ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "lion"]
SOLVERS = ["lbfgs", "newton_cg", "least_squares", "differential_evolution"]
SCHEDULES: list[dict[str, Any]] = [
    {"type": "step", "every": 2},
    {"type": "exponential", "factor": 0.9},
    {"type": "linear", "steps": 3, "warm_up": 1},
    {"type": "cosine", "steps": 3},
    {"type": "plateau", "patience": 1},
]


def sound(random: Random) -> dict[str, Any]:
    """Draw a graph of numbers and vectors of ROWS elements."""
    vectors, numbers = ["x", "y"], ["a", "b", "k"]
    nodes: dict[str, Any] = {}
    data = {"parameters": parameters(random), "constants": {"x": vector(random), "y": vector(random), "k": 0.5}}
    data["subgraphs"] = {"s": subgraph(random)}
    for number in range(random.randint(1, 6)):
        name = f"n{number}"
        one, other = random.choice(vectors + numbers), random.choice(vectors + numbers)
        kind = random.choice(["formula", "formula", "copies", "sequence", "derivative"])
        if kind == "formula":
            nodes[name] = random.choice(SMOOTH).format(one, other)
        elif kind == "copies":
            nodes[name] = {"type": "s", "inputs": [one, other], "repeat": random.choice([1, 2, 5])}
            nodes[name] |= some(random, share=True, frozen=True, step_size=0.5, weight_decay=0)
        elif kind == "sequence":
            one, other = random.choice(numbers), random.choice(vectors)
            nodes[name] = {"type": "s", "inputs": [one, other], "repeat": ROWS, "share": True, "over": ["z"]}
            if random.random() < 0.6:
                nodes[name]["collect"] = random.choice([["e"], ["h", "z"]])
                vectors.append(f"{name}.{nodes[name]['collect'][0]}")
        else:
            nodes[name] = f"derivative(tanh({one} * {other}), {other})"
        is_vector = other in vectors if kind == "derivative" else kind != "sequence" and bool({one, other} & {*vectors})
        (vectors if is_vector else numbers).append(name)
    nodes["r"] = f"y - {random.choice(vectors)} * a - {random.choice(numbers)} * b"
    nodes["loss"] = random.choice(["sum(r ** 2)", "2 * sum(r ** 2)", "mean(abs(r))", "sum(r ** 2) + a ** 2 + b ** 2"])
    data |= {"nodes": nodes, "minimize": "loss", "steps": random.choice([0, 1, 2, 5]), "update": update(random)}
    stop = {"gradient_norm": 1e-3, "value": 0.1, "change": 1e-6, "patience": 2}
    name = random.choice(sorted(stop))
    data |= some(random, stop={name: stop[name]}, keep="best", seed=3, record=["loss", random.choice([*nodes])])
    data |= some(random, dtype="float32", uncertainty=random.choice(["least_squares", {"kind": "likelihood"}]))
    paths: dict[str, Any] = {"parameters.a": "-1..1", "update.type": ["sgd", "adam"], "steps,seed": [1, 2]}
    path = random.choice(sorted(paths))
    return data | some(random, sweep={path: paths[path], "runs": 2}, expect={"at": 0, "values": {"k": 0.5}})


def some(random: Random, **entries: Any) -> dict[str, Any]:
    """Return about a third of some entries."""
    return {key: value for key, value in entries.items() if random.random() < 0.35}


def vector(random: Random) -> list[float]:
    """Draw a constant."""
    return [random.choice([0, 1, -1.5, 0.25, 3]) for _ in range(ROWS)]


def parameters(random: Random) -> dict[str, Any]:
    """Draw the parameters, with bounds and groups."""
    more = {"lower": -2, "upper": 2, "frozen": True, "step_size": 0.1, "weight_decay": 2}
    return {name: {"value": random.choice([0, 0.5, -1])} | some(random, **more) for name in ("a", "b")}


def subgraph(random: Random) -> dict[str, Any]:
    """Draw a subgraph of two inputs, whose copies hand on one value or two."""
    weights: Any = random.choice([0.5, {"shape": [], "init": "normal"}])
    nodes = {"e": random.choice(SMOOTH).format("h", "z"), "next": random.choice(SMOOTH).format("e", "w")}
    return {"inputs": ["h", "z"], "parameters": {"w": weights}, "nodes": nodes, "output": "next"}


def update(random: Random) -> dict[str, Any]:
    """Draw an update rule or a solver."""
    if random.random() < 0.3:
        made: dict[str, Any] = {"type": random.choice(SOLVERS)} | some(random, starts=2)
        return made | ({"residual": "r"} if made["type"] == "least_squares" else {})
    step_size = random.choice([0.01, 0.5, {"start": 0.1} | random.choice(SCHEDULES)])
    return {"type": random.choice(RULES), "step_size": step_size} | some(
        random, clip_norm=1, clip_value=0.5, accumulate=2
    )
