"""Random graphs over all elementwise types, as a strategy of hypothesis."""

from __future__ import annotations

import math

import numpy as np
import yaml
from hypothesis import assume
from hypothesis import strategies as st

import graphrun
from graphrun import nodes

TYPES = {declared.name: declared for declared in nodes.graphrun_node_types() if declared.is_elementwise}
ARITY = {name: declared.arity[0] for name, declared in TYPES.items()}


NAMES = sorted(TYPES)
NUMBERS = st.just(())
SHAPES = st.sampled_from([(), (3,), (2, 3), (1, 3), (2, 1)])
"""Shapes that mostly broadcast."""


@st.composite
def graphs(draw, shapes=NUMBERS, types=NAMES):
    """Draw a graph file as plain data: parameters, constants, and nodes whose inputs come before them."""
    number = st.floats(-3, 3, allow_nan=False).map(lambda x: round(x, 3))
    leaves = [f"x{k}" for k in range(draw(st.integers(1, 4)))]

    def value():
        shape = draw(shapes)
        return np.array(draw(st.lists(number, min_size=math.prod(shape), max_size=math.prod(shape)))).reshape(shape)

    parameters = {name: value().tolist() for name in leaves}
    constants = {"k": value().tolist()}
    names = [*leaves, "k"]
    nodes = {}
    for position in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(types))
        # Mostly the newest values, so that graphs grow deep, and repeated inputs now and then.
        source = st.one_of(st.sampled_from(names[-3:]), st.sampled_from(names), number)
        inputs = [draw(source) for _ in range(ARITY[kind])]
        if not any(isinstance(name, str) for name in inputs):
            inputs[0] = names[-1]
        nodes[f"n{position}"] = {"type": kind, "inputs": inputs}
        names.append(f"n{position}")
    nodes["total"] = {"type": "sum", "inputs": [names[-1]]}
    return {"parameters": parameters, "constants": constants, "nodes": nodes, "maximize": "total"}


def loaded(data, folder, steps=0):
    """Load a graph, and return it with its run of some steps; what does not fit or is not finite is no example."""
    file = folder / "graph.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    try:
        graph = graphrun.load(file)
        result = graph.try_run(steps, engine="numpy", record=[*data["parameters"], *data["nodes"]], every=1)
    except graphrun.ShapeError:
        assume(False)
    assume(result.error is None)
    return graph, result
