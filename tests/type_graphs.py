"""A small graph of each node type in each form that it is tried with: what every language is tried on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphrun import nodes
from graphrun.check.subject import Subject
from graphrun.check.trials import draw, input_count, shapes_of, trials
from graphrun.declare.declaration import Noise
from graphrun.declare.nodetype import Example, NodeType

TYPES: dict[str, NodeType] = {node_type.name: node_type for node_type in nodes.graphrun_node_types()}


def graphs_of(name: str) -> Iterator[dict[str, Any]]:
    """Yield the graph files of a type as plain data; none of one that draws random numbers."""
    declared = TYPES[name]
    if Noise in dict(declared.engine_inputs).values():
        return
    for subject, example in trials(declared):
        if declared.takes_training and subject.settings[declared.takes_training] is False:
            continue
        yield _graph(subject, inputs_for(subject, example), np.random.default_rng(1))


def inputs_for(subject: Subject, example: Example | None) -> list[Any]:
    """Random inputs within the domain, as the checker draws them; of an elementwise type three numbers each."""
    shapes = shapes_of(subject.type, example)
    if subject.type.is_elementwise and not example:
        shapes = [(3,)] * input_count(subject.type, example)
    return draw(subject, shapes, np.random.default_rng(0), (0.1, 10.0), example.values if example else ())


def _graph(subject: Subject, inputs: list[Any], random: np.random.Generator) -> dict[str, Any]:
    declared = subject.type
    output = subject.forward(inputs)
    given = inputs[: len(inputs) - len(declared.engine_inputs)]
    leaves: dict[str, dict[str, Any]] = {"parameters": {"unread": 1.0}, "constants": {"factors": 1.0}}
    for k, x in enumerate(given):
        value: Any = x.tolist()
        if not x.size:
            value = {"shape": list(x.shape), "init": {"type": "zeros"}}
        section = "constants" if k in declared.index_inputs and x.size else "parameters"
        leaves[section][f"x{k}"] = value
    leaves["constants"]["factors"] = random.standard_normal(output.shape).tolist() if output.size else 1.0
    settings = {key: _plain(value) for key, value in subject.settings.items() if key != declared.takes_training}
    node = {"type": declared.name, "inputs": [f"x{k}" for k in range(len(given))], **settings}
    product = {"type": "multiply", "inputs": ["y", "factors"]}
    total = {"type": "sum", "inputs": ["product"]}
    update = {"type": "sgd", "step_size": 1e-3}
    return {**leaves, "nodes": {"y": node, "product": product, "total": total}, "minimize": "total", "update": update}


def _plain(value: Any) -> Any:
    return [_plain(part) for part in value] if isinstance(value, tuple | list) else value
