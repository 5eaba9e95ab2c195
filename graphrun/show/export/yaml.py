"""`graphrun export FILE --to yaml`: the expanded graph file, with ``--gradient`` and its backward pass as nodes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from graphrun.document.dump import dump_document
from graphrun.engines.backward_nodes import BackwardNodes
from graphrun.engines.traced import NotSupportedError
from graphrun.run.api import Graph


def export(graph: Graph, *, gradient: bool = False) -> str:
    """Return a graph as a graph file; the derivative of f by x is the node ``df_dx``.

    Raises:
        NotSupportedError: there is no objective, or a derivative cannot be written with node types.
    """
    document = graph.document
    if not gradient:
        return dump_document(document)
    plan = graph.plan("float64")
    if plan.objective is None:
        raise NotSupportedError("--gradient: the graph has no objective: write maximize or minimize")
    written = BackwardNodes(plan, {name for name in plan.names if name})
    called = partial(written.called, plan.objective)
    given = written.differentiate(plan.objective, plan.moving, called)
    missing = [slot for slot in range(plan.parameters) if slot not in given]
    written.write([(written.new(called(slot)), written.zero(slot)) for slot in missing])
    return dump_document(replace(document, constants=document.constants | written.constants), written.nodes)
