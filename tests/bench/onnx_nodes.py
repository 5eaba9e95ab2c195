"""ONNX's own backend tests of nodes, read by `graphrun import` and run: by operator, how many pass and what is refused.

    python tests/bench/onnx_nodes.py [WORD]

A case counts if all its operators have node types. A number beyond the case's own tolerance is wrong; what is refused,
while it is read or when the graph is run, is told by name.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import graphrun
from graphrun.base.errors import GraphrunError
from graphrun.show.onnx.converters import CONVERTERS
from graphrun.show.onnx.importing import import_model, read_model
from graphrun.show.onnx.node import clean_name, operator_name


class Outcome(NamedTuple):
    """What became of a case: ``pass``, ``wrong``, ``refused``, ``crash``; not counted are ``other`` and ``types``.

    Of the one an operator has no node type, of the other an input or an output is no array of plain numbers: texts,
    sequences, numbers of 8 or 4 bits with a point and the like.
    """

    name: str
    operators: tuple[str, ...]
    kind: str
    told: str = ""


def cases() -> Iterator[Any]:
    """ONNX's cases of single nodes, and of the functions that such nodes are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        yield from load_model_tests(kind="node")


def operators_of(model: Any) -> tuple[str, ...]:
    """The operators of a model, each once."""
    return tuple(dict.fromkeys(map(operator_name, model.graph.node)))


def is_plain(item: Any) -> bool:
    """Whether an input or an output is an array of numbers that NumPy has."""
    import onnx

    tensor = item.type.tensor_type
    strange = ("BFL", "STR", "COM", "FLOAT8", "FLOAT4", "INT4", "UINT4", "INT2", "UINT2")
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
    return item.type.WhichOneof("value") == "tensor_type" and not kind.startswith(strange)


def array_of(given: Any) -> Any:
    """An array of a case, some of which are messages."""
    import onnx

    return onnx.numpy_helper.to_array(given) if isinstance(given, onnx.TensorProto) else np.asarray(given)


def outcome_of(case: Any, folder: Path) -> Outcome:
    """Import a case's model with its inputs, run the graph and compare what it gives."""
    path = folder / "model.onnx"
    path.write_bytes(case.model.SerializeToString())
    operators = operators_of(case.model)
    try:
        written_out = set(operators_of(read_model(path)))
    except GraphrunError:
        written_out = set(operators)
    if not written_out <= CONVERTERS.keys():
        return Outcome(case.name, operators, "other")
    if not all(map(is_plain, (*case.model.graph.input, *case.model.graph.output))):
        return Outcome(case.name, operators, "types")
    for given, expected in case.data_sets:
        names = [item.name for item in case.model.graph.input]
        try:
            arrays = {name: array_of(array) for name, array in zip(names, given, strict=False)}
            np.savez(folder / "inputs.npz", **arrays)
            import_model(path, folder / "graph.yaml", folder / "inputs.npz" if arrays else None)
            values = graphrun.load(folder / "graph.yaml").run(0, engine="numpy").values
        except GraphrunError as error:
            return Outcome(case.name, operators, "refused", str(error))
        except Exception as error:
            return Outcome(case.name, operators, "crash", f"{type(error).__name__}: {error}")
        for item, wanted in zip(case.model.graph.output, expected, strict=True):
            found = values.get(clean_name(item.name))
            try:
                assert found is not None
                array = array_of(wanted)
                assert np.shape(found) == array.shape
                assert np.allclose(found, array.astype(np.float64), rtol=case.rtol, atol=case.atol, equal_nan=True)
            except (AssertionError, ValueError, TypeError):
                return Outcome(case.name, operators, "wrong", f"{item.name}: {found} is not {wanted}"[:200])
    return Outcome(case.name, operators, "pass")


def outcomes(word: str = "", every: int = 1) -> list[Outcome]:
    """What became of all cases whose names hold a word, or of one of so many of them."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        chosen = [case for case in cases() if word in case.name][::every]
        return [outcome_of(case, Path(folder)) for case in chosen]


def main() -> None:
    """Print the table, and what was refused."""
    found = outcomes(*sys.argv[1:2])
    table: dict[str, Counter[str]] = {}
    for outcome in found:
        if outcome.kind not in {"other", "types"}:
            single = outcome.operators[0] if len(outcome.operators) == 1 else "several (functions written out)"
            table.setdefault(single, Counter())[outcome.kind] += 1
    print(f"{'operator':40} cases  pass  refused  wrong")
    total = sum(table.values(), Counter[str]())
    for name, counts in (*sorted(table.items()), ("all", total)):
        wrong = counts["wrong"] + counts["crash"]
        print(f"{name:40} {counts.total():5} {counts['pass']:5} {counts['refused']:8} {wrong:6}")
    kinds = Counter(outcome.kind for outcome in found)
    share = total["pass"] / max(total.total(), 1)
    print(f"{share:.1%} pass; not counted: {kinds['other']} cases have an operator without a node type,")
    print(f"{kinds['types']} have inputs or outputs of types that NumPy's numbers are not (float8, int4, texts, ...)")
    for outcome in found:
        if outcome.kind in {"refused", "wrong", "crash"}:
            print(f"{outcome.kind:8} {outcome.name}: {' '.join(outcome.told.split())[:170]}")


if __name__ == "__main__":
    main()
