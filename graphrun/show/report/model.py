"""What a page computes with: both passes and the update rules as JavaScript, made from the declarations.

The script has no text of the graph file's author in it: values are known by their slots, settings by the names that
declarations give them. All else goes into the page's data.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from graphrun.data.memory import MemoryDataSet
from graphrun.declare.array_namespace import trace_arrays
from graphrun.declare.arrays import ArrayRecorder
from graphrun.declare.trace import WEAK, CannotTraceError, Expression
from graphrun.declare.updaterule import UpdateRule
from graphrun.engines.traced import NotSupportedError
from graphrun.plan.plan import Plan
from graphrun.run.api import Graph
from graphrun.show.export.javascript import PassScript
from graphrun.show.report.recording import Recording, Snapshot
from graphrun.updates import adaptive, gradient_descent

MOST_VALUES = 5_000
MOST_NUMBERS = 1 << 19
"""A graph of more values, or of more numbers in all of them, is replayed only: a step would take a page too long."""

MOST_BYTES = 2 << 20
"""Of a data set that takes more than this, a sample is embedded; so it is of the orders of its rows."""

MOST_KEPT = 60_000
"""So many numbers of the last state are embedded, so that a page can go on from there."""

BUILT_IN = [
    rule for module in (gradient_descent, adaptive) for rule in vars(module).values() if isinstance(rule, UpdateRule)
]

SYMBOL = re.compile(r"\b[vg]\d+\b")

Data = dict[str, Any]


class Model(NamedTuple):
    """The script that declares `model`, which is null where the page only replays, and the data that belongs to it."""

    script: str
    data: Data


def make_model(graph: Graph, recording: Recording) -> Model:
    """Return what a page about a run of a graph computes with; where it cannot, the data say `why`."""
    try:
        plan = _plan(graph, recording)
        writer = _Writer(plan, [*BUILT_IN, *_own_rule(plan)])
        script = "\n".join(writer.lines())
    except NotSupportedError as error:
        return Model("const model = null;", {"why": str(error)})
    return Model(script, {"rules": writer.settings, **_given(graph, plan, recording)})


def _plan(graph: Graph, recording: Recording) -> Plan:
    shapes = recording.plan.shapes
    if len(shapes) > MOST_VALUES:
        raise NotSupportedError(f"it has {len(shapes):,} values; a page computes with {MOST_VALUES:,} at most")
    numbers = sum(map(math.prod, shapes))
    if numbers > MOST_NUMBERS:
        raise NotSupportedError(f"its values are {numbers:,} numbers; a page computes with {MOST_NUMBERS:,} at most")
    update = recording.plan.update
    if update.by_step is not update.schedule or update.accumulate > 1:
        raise NotSupportedError("what it looks at or gathers over several steps decides its updates")
    if recording.first is None:
        raise NotSupportedError("its run has no first step")
    return graph.plan("float64", recording.plan.seed).holding(recording.plan.frozen_values)


def _own_rule(plan: Plan) -> list[UpdateRule]:
    """Return the rule of the file, if it is none of the built-in ones."""
    rule = plan.update.rule
    known = plan.objective is None or not isinstance(rule, UpdateRule) or rule in BUILT_IN
    return [] if known else [rule]  # type: ignore[list-item]


class _Symbols(ArrayRecorder):
    """Takes settings that are not known yet for such as matter: what they do is done by them being 0, too."""

    def decide(self, expression: Expression) -> bool:
        return True


class _Writer(PassScript):
    """Writes the script; values are called by their slots."""

    def __init__(self, plan: Plan, rules: list[UpdateRule]) -> None:
        super().__init__(plan)
        self.settings: list[Data] = []
        self._rules = rules
        self._reached: set[int] = set()

    def key(self, slot: int) -> str:
        """Return the slot."""
        return str(slot)

    def lines(self) -> Iterator[str]:
        """Yield the script."""
        parts = [*self.compute(), *self.edges(), *self.rules(), *self.schedule()]
        yield "const model = (() => {"
        yield from self.declarations()
        yield from parts
        yield "return { compute, edges, rules, schedule };"
        yield "})();"

    def compute(self) -> Iterator[str]:
        """Yield the function of the leaves that computes values, gradients and following states."""
        plan = self.plan
        lines, values, slopes, states = self.passes()
        self._reached = set(slopes)
        literals = {slot: self.number(slot) for slot in range(len(plan.leaves)) if plan.names[slot] is None}
        values |= literals
        yield "const compute = (v) => {"
        yield from (f"const v{slot} = {self.read(slot, 'v')};" for slot in self.trace.leaves)
        yield from lines
        results = (self.result(slot, values[slot]) for slot in range(len(plan.names)))
        yield f"const values = [{', '.join(results)}];"
        yield f"const gradients = [{self.list(slopes)}];"
        yield f"return {{ values, gradients, states: {self.mapping(states)} }};"
        yield "};"

    def edges(self) -> Iterator[str]:
        """Yield the function of values and gradients that computes what each edge has."""
        plan = self.plan
        numbers = {(target, k): n for n, (target, k) in enumerate(_positions(plan))}
        single = {slot for slot, uses in plan.uses.items() if len(uses) == 1 and slot != plan.objective}
        shown: dict[str, dict[int, tuple[int, Any]]] = {"locals": {}, "contributions": {}}
        for target, position, source, local, part in self.trace.edges() if plan.objective is not None else ():
            if plan.names[source] is None:
                continue
            number = numbers[target, position]
            if local is not None:
                shown["locals"][number] = target, local
            if target in self._reached:
                # What has no other use has this part alone as its gradient.
                gradient = self.trace.recorder.array(f"g{source}", plan.shapes[source])
                shown["contributions"][number] = source, gradient if source in single else part()
        symbols = {f"{kind}{slot}": f"{kind}{slot}" for kind in "vg" for slot in range(len(plan.names))}
        roots = [expression for found in shown.values() for _, expression in found.values()]
        lines, names = self.write(symbols, "e", roots)
        used = sorted(set(SYMBOL.findall(" ".join([*lines, *names]))))
        yield "const edges = (v, g) => {"
        yield from (f"const {name} = {self.read(int(name[1:]), name[0])};" for name in used)
        yield from lines
        given = iter(names)
        for what, found in shown.items():
            entries = (f"{number}: {self.result(slot, next(given))}" for number, (slot, _) in found.items())
            yield f"const {what} = {{ {', '.join(entries)} }};"
        yield "return { locals, contributions };"
        yield "};"

    def rules(self) -> Iterator[str]:
        """Yield the update rules, each a function of one element, with its settings by name."""
        yield "const rules = ["
        for rule in self._rules:
            found = list(self.rule(rule))
            if found:
                yield from found
        yield "];"

    def rule(self, rule: UpdateRule) -> Iterator[str]:
        described = [_setting(rule, parameter.name) for parameter in rule.keyword]
        flags = [setting["name"] for setting in described if setting["kind"] == "flag"]
        if any(setting["kind"] is None for setting in described) or len(flags) > 1:
            return
        try:
            bodies = [self.body(rule, dict.fromkeys(flags, flag)) for flag in ([False, True] if flags else [False])]
        except CannotTraceError:
            return
        self.settings.append(
            {
                "name": rule.name,
                "doc": rule.summary,
                "takesStep": rule.takes_step,
                "states": list(rule.state),
                "settings": described,
            }
        )
        yield "(x, g, step, s, c) => {"
        yield from (f"const s{k} = s[{k}];" for k in range(len(rule.state)))
        yield from (f"const c{k} = c.{parameter.name};" for k, parameter in enumerate(rule.keyword))
        if flags:
            yield f"if (c.{flags[0]}) {{"
            yield from bodies[1]
            yield "}"
        yield from bodies[0]
        yield "},"

    def body(self, rule: UpdateRule, flags: Mapping[str, bool]) -> list[str]:
        """Return the lines of a rule that its settings do not change."""
        make = _Symbols(self.plan.dtype)
        states = [make.array(f"s{k}", ()) for k in range(len(rule.state))]
        settings = {p.name: flags.get(p.name, make.array(f"c{k}", (), WEAK)) for k, p in enumerate(rule.keyword)}
        step = [make.array("step", (), WEAK)] if rule.takes_step else []
        found = trace_arrays(make, rule.function, [make.array("x", ()), make.array("g", ()), *step, *states], settings)
        roots = [make.cast(one) for one in (found if rule.state else [found])]
        names = ["x", "g", "step", *(f"s{k}" for k in range(len(states))), *(f"c{k}" for k in range(len(settings)))]
        lines, results = self.write({name: name for name in names}, "u", roots)
        return [*lines, f"return [{', '.join(results)}];"]

    def schedule(self) -> Iterator[str]:
        """Yield the function of the step that the file's schedule is."""
        if self.plan.update.schedule is None:
            yield "const schedule = null;"
            return
        schedule, given = self.plan.update.schedule
        make = ArrayRecorder(self.plan.dtype)
        try:
            found = trace_arrays(make, schedule.function, [make.array("step", (), WEAK)], dict(given))
        except CannotTraceError as error:
            raise NotSupportedError(f"its schedule {schedule.name} cannot be written out: {error}") from error
        lines, names = self.write({"step": "step"}, "u", [make.cast(found)])
        yield "const schedule = (step) => {"
        yield from lines
        yield f"return {names[0]};"
        yield "};"

    def number(self, slot: int) -> str:
        """Return the text of a number that is written in the file."""
        return self.notation.constant(float(self.plan.leaves[slot]), "float")[0]

    def list(self, names: Mapping[int, str]) -> str:
        return ", ".join(
            self.result(slot, names[slot]) if slot in names else "undefined" for slot in range(len(self.plan.names))
        )

    def mapping(self, names: Mapping[int, str]) -> str:
        return f"{{ {', '.join(f'{slot}: {self.result(slot, name)}' for slot, name in names.items())} }}"


def _positions(plan: Plan) -> Iterator[tuple[int, int]]:
    """Yield the edges as the page counts them: the node, and the position among its inputs."""
    return ((target, k) for _, target, given in plan.nodes() for k in range(len(given)))


def _whole(plan: Plan) -> set[int]:
    """Return the leaves that select elements, and are whole numbers."""
    return {given[k] for node, _, given in plan.nodes() for k in node.type.index_inputs if k < len(given)} & set(
        range(len(plan.leaves))
    )


def _setting(rule: UpdateRule, name: str) -> Data:
    """Return what a setting of a rule takes; its kind is None where a page has no field for it."""
    schema = rule.settings_model.model_json_schema()["properties"][name]
    kind = {"boolean": "flag", "number": "number", "integer": "number"}.get(schema.get("type", ""))
    described = {"name": name, "kind": kind, "default": schema.get("default")}
    for end, keys in {"least": ("minimum", "exclusiveMinimum"), "most": ("maximum", "exclusiveMaximum")}.items():
        described[end] = next((schema[key] for key in keys if key in schema), None)
    return described


# --- what the page is given beside the script ------------------------------------------------------------------------


def _given(graph: Graph, plan: Plan, recording: Recording) -> Data:
    update = plan.update
    rule: Data | None = None
    if plan.objective is not None and isinstance(update.rule, UpdateRule):
        rule = {"type": update.rule.name, "settings": dict(update.settings)}
        rule |= {"clip_norm": update.clip_norm, "clip_value": update.clip_value}
    return {
        "update": rule,
        "factors": {slot: dict(factors) for slot, factors in plan.factors.items()} or None,
        "bounds": {slot: [encoded(bound) for bound in bounds] for slot, bounds in enumerate(plan.bounds) if bounds},
        "whole": sorted(_whole(plan)) or None,
        "leaves": {
            slot: encoded(plan.leaves[slot])
            for slot in range(len(plan.leaves))
            if plan.names[slot] is not None and slot not in plan.changing_leaves and plan.leaves[slot] is not None
        },
        "noise": [[n.slot, n.key & 0xFFFFFFFF, n.key >> 32, math.prod(n.shape)] for n in plan.noise],
        "rows": _rows(graph, plan, recording) if plan.feeds else None,
        "first": _state(plan, recording.first),
        "last": _state(plan, recording.last),
    }


def _state(plan: Plan, taken: Snapshot | None) -> Data | None:
    """Return the step, the leaves that the run has changed, and what the rule remembers."""
    if taken is None or sum(np.size(array) for array in taken.arrays.values()) > MOST_KEPT:
        return None
    leaves: Data = {}
    memory: Data = {}
    for name, array in taken.arrays.items():
        section, _, rest = name.partition("/")
        if section in {"parameters", "states"}:
            leaves[str(plan.slots[rest])] = encoded(array)
        elif section == "rule" and np.any(array):
            state, _, parameter = rest.partition("/")
            memory.setdefault(state, {})[str(plan.slots[parameter])] = encoded(array)
    return {"step": taken.step, "leaves": leaves, "memory": memory}


def _rows(graph: Graph, plan: Plan, recording: Recording) -> Data:
    """Return the rows that steps are given: all of them with the order of the first epochs, or a sample."""
    data = graph.source.open(plan.seed)
    assert data is not None  # noqa: S101 (for the type checker: a plan that feeds has a data set)
    arrays: list[Any]
    sampled = order = None
    if isinstance(data, MemoryDataSet) and sum(map(_bytes, data.arrays)) <= MOST_BYTES:
        arrays = data.arrays
        if data.shuffled:
            steps = recording.last.step if recording.last else 0
            wanted = -(-(steps + 1) * data.batch_size // data.rows) + 1
            epochs = range(max(1, min(wanted, MOST_BYTES // (8 * data.rows))))
            order = encoded(np.concatenate([data.order(number) for number in epochs]))
    else:
        # The batches that come first, as many as there is room for.
        batches = [data.batch(0)]
        most = min(MOST_BYTES // sum(map(_bytes, batches[0])), data.rows // data.batch_size)
        batches += [data.batch(step) for step in range(1, most)]
        arrays = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
        sampled = f"{len(arrays[0]):,} of {data.rows:,} rows"
    return {
        "batch": data.batch_size,
        "count": len(arrays[0]),
        "columns": {slot: encoded(array) for slot, array in zip(plan.data, arrays, strict=True)},
        "order": order,
        "sampled": sampled,
    }


def encoded(value: Any) -> Any:
    """Return a number as JSON has it, and an array as its little-endian elements in base64, as small as they can be."""
    array = np.asarray(value)
    if array.ndim == 0:
        number = float(array)
        return number if math.isfinite(number) else str(number).replace("inf", "Infinity").replace("nan", "NaN")
    for dtype in ("uint8", "uint16", "int32", "float32"):
        with np.errstate(all="ignore"):
            small = array.astype(dtype)
        if np.array_equal(small.astype(np.float64), array.astype(np.float64), equal_nan=True) and not (
            dtype != "float32" and np.any(np.signbit(array) & (array == 0))
        ):
            return {dtype: _text(small)}
    return {"float64": _text(array.astype(np.float64))}


def _text(array: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()).decode()


def _bytes(array: Any) -> int:
    return int(np.size(array)) * 8
