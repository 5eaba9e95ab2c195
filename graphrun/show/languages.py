"""`graphrun nodes --languages`: which node types each language of export has, and why it has not the others.

It is found by exporting: each type alone, with the first settings and inputs that the checker tries it with, is
something to minimize. So a plugin's types are told of too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphrun.base.errors import GraphrunError
from graphrun.check.subject import BrokenTypeError, Subject
from graphrun.check.trials import draw, input_count, shapes_of, trials
from graphrun.declare.nodetype import Example, NodeType
from graphrun.plugins.registry import Registry
from graphrun.run.loading import load
from graphrun.show.export import LANGUAGES


def language_listing(registry: Registry) -> Iterator[str]:
    """Yield a table of node types by language, how many each has, and what is said of those that it has not."""
    types = [declared for declared, _ in registry.all(NodeType).values()]
    width = max(len(declared.name) for declared in types)
    yield f"{'':{width}}  {'  '.join(LANGUAGES)}"
    counts = dict.fromkeys(LANGUAGES, 0)
    reasons: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
    for declared in types:
        cells = []
        for language in LANGUAGES:
            reason = why_not(declared, language, registry)
            counts[language] += reason is None
            cells.append(f"{'yes' if reason is None else '-':{len(language)}}")
            if reason is not None:
                reasons[language][declared.name] = reason
        yield f"{declared.name:{width}}  {'  '.join(cells)}".rstrip()
    for language, count in counts.items():
        yield ""
        yield f"{language}: {count} of {len(types)} types"
        by_reason: dict[str, list[str]] = {}
        for name, reason in reasons[language].items():
            by_reason.setdefault(reason, []).append(name)
        yield from (f"  {', '.join(names)}: {reason}" for reason, names in by_reason.items())


def why_not(declared: NodeType, language: str, registry: Registry) -> str | None:
    """Return why a language has not a node type; None where it has."""
    try:
        graph = load(_graph_of(*next(trials(declared))), registry=registry)
        # Every type has a place in a graph file: what is asked is whether its derivative has.
        gradient = {"gradient": True} if "gradient" in LANGUAGES[language].options else {}
        LANGUAGES[language].export(graph, **gradient)
    except (GraphrunError, BrokenTypeError) as error:
        text = str(error).partition("\n")[0].partition(", and x0 ")[0]
        for cut in (f"export to {language}: ", f"{declared.name} ({declared.file}) ", "node 'y': "):
            text = text.removeprefix(cut)
        return text
    return None


def _graph_of(subject: Subject, example: Example | None) -> dict[str, Any]:
    """Return a graph of one node, whose elements' sum is minimized; numbers where the type takes them."""
    declared = subject.type
    is_of_numbers = declared.is_elementwise and (example is None or not example.shapes)
    shapes = [()] * input_count(declared, example) if is_of_numbers else shapes_of(declared, example)
    random, values = np.random.default_rng(0), () if example is None else example.values
    inputs = draw(subject, shapes, random, (0.1, 10.0), values)[: len(shapes) or len(values)]
    names = [f"x{k}" for k in range(len(inputs))]
    if not values:
        # At 0 some have no finite derivative, which no step goes on from.
        inputs = [np.where(x == 0, 0.5, x) if np.asarray(x).dtype.kind == "f" else x for x in inputs]
    leaves: dict[str, Any] = {name: np.asarray(array).tolist() for name, array in zip(names, inputs, strict=True)}
    settings = {name: _plain(value) for name, value in subject.settings.items() if name != declared.takes_training}
    fixed = {names[k] for k in declared.index_inputs} if declared.derivative else set(names)
    text: dict[str, Any] = {
        "parameters": {name: leaf for name, leaf in leaves.items() if name not in fixed} | {"moved": 1.0},
        "constants": {name: leaf for name, leaf in leaves.items() if name in fixed},
        "nodes": {"y": {"type": declared.name, "inputs": names, **settings}},
    }
    text["nodes"]["loss"] = "y * moved" if is_of_numbers else "sum(y) * moved"
    return text | {"minimize": "loss"}


def _plain(value: Any) -> Any:
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
