"""`graphrun export FILE --to javascript`: an ES module that computes values, gradients and steps, and needs nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrun.base.version import __version__
from graphrun.declare.notation import ATOM, CHOICE, NOT, Bound, Form, Notation, signed
from graphrun.declare.operations import UNARY
from graphrun.declare.trace import BOOL, Expression
from graphrun.declare.updaterule import UpdateRule
from graphrun.engines.array_trace import PlanTrace
from graphrun.engines.traced import NotSupportedError
from graphrun.show.export.loops import C_FORMS, LoopSyntax, LoopWriter, indented

if TYPE_CHECKING:
    from graphrun.plan.plan import Plan
    from graphrun.run.api import Graph

LARGEST = 1 << 22
"""Modules of more numbers than this are nothing that a page can hold."""

HELPERS = {
    "place": "const place = (index, size) => (index < 0 ? index + size : index);",
    "round": "const round = (x) => { const r = Math.round(x); return r - x === 0.5 && r % 2 !== 0 ? r - 1 : r; };",
    "copysign": "const copysign = (x, y) => (y < 0 || Object.is(y, -0) ? -Math.abs(x) : Math.abs(x));",
    "pow": "const pow = (x, y) => (x === 1 || y === 0 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y);",
    "remainder": (
        "const remainder = (x, y) => { const r = x % y; return r !== 0 ? (r < 0 !== y < 0 ? r + y : r) : "
        "y < 0 ? -0 : 0 * r; };"
    ),
    "floor_divide": (
        "const floor_divide = (x, y) => { if (y === 0) return x / y; const r = remainder(x, y); "
        "const q = (x - r) / y; const f = Math.floor(q); return q - f > 0.5 ? f + 1 : f; };"
    ),
    "logaddexp": (
        "const logaddexp = (x, y) => (x === y ? x + Math.LN2 : "
        "Math.max(x, y) + Math.log1p(Math.exp(-Math.abs(x - y))));"
    ),
    # Series and continued fraction of Abramowitz and Stegun, 7.1.6 and 7.1.14; both sum up what has one sign.
    "erf": (
        "const erf = (x) => { const t = Math.abs(x); if (t > 2.5) return Math.sign(x) * (1 - erfc(t)); "
        "let term = x, total = x; for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total); n++) "
        "{ term *= (2 * x * x) / (2 * n + 1); total += term; } "
        "return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total; };"
    ),
    "erfc": (
        "const erfc = (x) => { if (!(x > 0.5)) return 1 - erf(x); if (x > 27) return 0; "
        "const n = Math.ceil(60 + 240 / (x * x)); let f = x; for (let k = n; k > 0; k--) f = x + k / 2 / f; "
        "return Math.exp(-x * x) / Math.sqrt(Math.PI) / f; };"
    ),
}
NEEDS = {"floor_divide": ["remainder"], "erf": ["erfc"], "erfc": ["erf"]}


def _number(value: float, _kind: str) -> Bound:
    if not math.isfinite(value):
        return signed("NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity")
    return signed(repr(float(value)).removesuffix(".0") if value or math.copysign(1, value) > 0 else "-0")


def _cast(x: Expression) -> Form:
    return Form("({0} ? 1 : 0)", ATOM, (NOT,)) if x.kind == BOOL else Form("{0}", CHOICE, (CHOICE,))


def notation() -> Notation:
    """Return how JavaScript writes numbers and functions of them."""
    forms = {**C_FORMS, "cast": _cast, "number": _cast}
    own = set(HELPERS) | {"remainder", "pow"}
    names = {name: f"Math.{name}" for name in UNARY if name not in own}
    names |= {"maximum": "Math.max", "minimum": "Math.min", "atan2": "Math.atan2", "hypot": "Math.hypot"}
    return Notation(forms=forms, functions=names, number=_number, truths=("false", "true"))


SYNTAX = {
    "language": "JavaScript",
    "number": "const {name} = {text};",
    "changing": "let {name} = {text};",
    "loop": "for (let {index} = 0; {index} < {count}; {index}++)",
}

LINEAR_ALGEBRA = """\
const eliminate = (n, k, given, right) => {
  // Gaussian elimination with partial pivoting: the solution in place of the right side; the determinant.
  const a = given.slice();
  let product = 1;
  for (let c = 0; c < n; c++) {
    let best = c;
    for (let r = c + 1; r < n; r++) if (Math.abs(a[r * n + c]) > Math.abs(a[best * n + c])) best = r;
    if (best !== c) {
      product = -product;
      for (let j = 0; j < n; j++) [a[c * n + j], a[best * n + j]] = [a[best * n + j], a[c * n + j]];
      for (let j = 0; j < k; j++) [right[c * k + j], right[best * k + j]] = [right[best * k + j], right[c * k + j]];
    }
    const pivot = a[c * n + c];
    product *= pivot;
    for (let r = c + 1; r < n; r++) {
      const factor = a[r * n + c] / pivot;
      for (let j = c; j < n; j++) a[r * n + j] -= factor * a[c * n + j];
      for (let j = 0; j < k; j++) right[r * k + j] -= factor * right[c * k + j];
    }
  }
  for (let r = n - 1; r >= 0; r--) for (let j = 0; j < k; j++) {
    let total = right[r * k + j];
    for (let c = r + 1; c < n; c++) total -= a[r * n + c] * right[c * k + j];
    right[r * k + j] = total / a[r * n + r];
  }
  return product;
};
const det = (result, count, n, m, x) => {
  for (let b = 0; b < count; b++) result[b] = eliminate(n, 0, x.subarray(b * n * n, (b + 1) * n * n), []);
};
const solve = (result, count, n, k, x, y) => {
  result.set(y);
  for (let b = 0; b < count; b++) {
    eliminate(n, k, x.subarray(b * n * n, (b + 1) * n * n), result.subarray(b * n * k, (b + 1) * n * k));
  }
};
const inv = (result, count, n, m, x) => {
  const ones = new Float64Array(count * n * n);
  for (let i = 0; i < count * n; i++) ones[i * n + (i % n)] = 1;
  solve(result, count, n, n, x, ones);
};
const cholesky = (result, count, n, m, x) => {
  for (let b = 0; b < count * n * n; b += n * n) for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) {
    let total = x[b + i * n + j];
    for (let k = 0; k < j; k++) total -= result[b + i * n + k] * result[b + j * n + k];
    result[b + i * n + j] = i < j ? 0 : i === j ? Math.sqrt(total) : total / result[b + j * n + j];
  }
};
"""

RUNTIME = """\
const flat = (value, size, name) => {
  const array = ArrayBuffer.isView(value) ? value : Float64Array.from([value].flat(Infinity));
  if (array.length !== size) throw new RangeError(`${name} takes ${size} numbers, not ${array.length}`);
  return array;
};
"""


def export(graph: Graph, *, steps: int | None = None) -> str:
    """Return a graph as an ES module, whose `main` makes so many steps, default the file's.

    Raises:
        NotSupportedError: something of it cannot be written in JavaScript; the text says what and why.
    """
    return "\n".join(_Module(graph, graph.steps if steps is None else steps).lines()) + "\n"


class _Module:
    """Writes the module: `value_and_gradient`, `step` and `main`."""

    def __init__(self, graph: Graph, steps: int) -> None:
        self.graph, self.steps = graph, steps
        self.plan: Plan = graph.plan("float64")
        self.notation = notation()
        if sum(math.prod(shape) for shape in self.plan.shapes) > LARGEST:
            raise NotSupportedError(f"its values are more than {LARGEST:,} numbers, which is nothing for a page")
        self.trace = PlanTrace(self.plan)
        self.trace.forward(self.plan.batches)
        self.buffers: dict[str, int] = {}
        self.constants: dict[str, Any] = {}

    def lines(self) -> Iterator[str]:
        plan = self.plan
        passes, updates = list(self.passes()), list(self.updates())
        objective = "null" if plan.objective is None else _text(plan.names[plan.objective])
        yield f"// {json.dumps(self.graph.name)} as a module, written by graphrun {__version__}."
        yield "// Arrays are Float64Arrays of their elements in row-major order."
        yield f"export const objective = {objective};"
        yield f"export const maximize = {json.dumps(plan.maximize)};"
        yield f"export const parameters = {_names(plan.names[: plan.parameters])};"
        yield "export const shapes = {"
        yield from (f"  {_key(name)}: {list(plan.shapes[slot])}," for slot, name in self.named())
        yield "};"
        yield "export const leaves = {"
        yield from (f"  {_key(plan.names[slot])}: {self.leaf(slot)}," for slot in self.trace.leaves)
        yield "};"
        yield from self.helpers()
        yield from (f"const {name} = {_array(known)};" for name, known in self.constants.items())
        yield from (f"const {name} = new Float64Array({size});" for name, size in self.buffers.items())
        yield from passes
        yield from updates

    def named(self) -> Iterator[tuple[int, str]]:
        """Yield what has a name: the slot, and the name."""
        return ((slot, name) for slot, name in enumerate(self.plan.names) if name is not None)

    def leaf(self, slot: int) -> str:
        value = self.plan.leaves[slot]
        if value is None:
            return f"new Float64Array({math.prod(self.plan.shapes[slot])})"
        return self.notation.constant(float(value), "float")[0] if np.ndim(value) == 0 else _array(np.asarray(value))

    def writer(self, symbols: Mapping[str, str], prefix: str) -> LoopWriter:
        syntax = LoopSyntax(notation=self.notation, helpers=frozenset({"det", "inv", "solve", "cholesky"}), **SYNTAX)
        return LoopWriter(syntax, symbols, pattern=prefix + "{}")

    def write(self, writer: LoopWriter, roots: Sequence[Any]) -> list[str]:
        names = writer.write(roots)
        self.buffers |= writer.buffers
        self.constants |= writer.constants
        return names

    def passes(self) -> Iterator[str]:
        plan, trace = self.plan, self.trace
        symbols = {f"v{slot}": f"v{slot}" for slot in trace.leaves}
        writer = self.writer(symbols, "t")
        gradients = {} if plan.objective is None else trace.gradients(everywhere=True)
        nodes = [(slot, name) for slot, name in self.named() if slot >= len(plan.leaves)]
        states = trace.node_states()
        roots = [trace.values[slot] for slot, _ in nodes]
        names = self.write(writer, [*roots, *gradients.values(), *states.values()])
        values = dict(zip((slot for slot, _ in nodes), names, strict=False))
        slopes = dict(zip(gradients, names[len(nodes) :], strict=False))
        following = dict(zip(states, names[len(nodes) + len(slopes) :], strict=True))
        values |= {slot: f"v{slot}" for slot in trace.leaves}
        yield ""
        yield "// Values of all nodes, and the derivatives of the objective; what is not given is as in `leaves`."
        yield "export function value_and_gradient(given = {}) {"
        yield "  const all = { ...leaves, ...given };"
        yield from (f"  const v{slot} = {self.read(slot, 'all')};" for slot in trace.leaves)
        yield from (f"  {line}" for line in indented(writer.lines))
        objective = "undefined" if plan.objective is None else values[plan.objective]
        yield "  return {"
        yield f"    value: {objective},"
        yield f"    values: {{ {self.results(values, [slot for slot, _ in nodes])} }},"
        moving = [
            slot
            for slot, name in self.named()
            if plan.objective is not None and (slot < plan.parameters or slot >= len(plan.leaves))
        ]
        yield f"    gradients: {{ {self.results(slopes, moving)} }},"
        yield f"    states: {{ {self.results(following, list(following))} }},"
        yield "  };"
        yield "}"

    def results(self, names: Mapping[int, str], slots: Sequence[int]) -> str:
        return ", ".join(f"{_key(self.plan.names[slot])}: {self.result(slot, names.get(slot))}" for slot in slots)

    def result(self, slot: int, name: str | None) -> str:
        """Return the text of a value as it is given back: a number, or a new array."""
        shape = self.plan.shapes[slot]
        size = math.prod(shape)
        if not shape:
            return name or "0"
        if name is None:
            return f"new Float64Array({size})"
        return f"Float64Array.of({name})" if size == 1 else f"{name}.slice()"

    def read(self, slot: int, source: str) -> str:
        key, shape = _text(self.plan.names[slot]), self.plan.shapes[slot]
        if not shape:
            return f"{source}[{key}]"
        text = f"flat({source}[{key}], {math.prod(shape)}, {key})"
        return f"{text}[0]" if math.prod(shape) == 1 else text

    def updates(self) -> Iterator[str]:
        plan = self.plan
        if plan.objective is None or not isinstance(plan.update.rule, UpdateRule):
            return
        make = self.trace.recorder
        slopes = {slot: make.array(f"g{slot}", plan.shapes[slot]) for slot in range(plan.parameters)}
        updated = self.trace.updates(slopes)
        kept = [(slot, state) for slot in range(plan.parameters) for state in plan.rule.state]
        symbols = {f"v{slot}": f"v{slot}" for slot in range(plan.parameters)} | {"step": "number"}
        symbols |= {f"g{slot}": f"g{slot}" for slot in slopes} | {
            f"{s}.{slot}": f"s{slot}_{k}" for k, (slot, s) in enumerate(kept)
        }
        writer = self.writer(symbols, "u")
        roots = [made.value for made in updated] + [updated[slot].states[state] for slot, state in kept]
        names = self.write(writer, roots)
        yield ""
        yield "// The first state of a run, and what a step makes of one: every parameter moves at once."
        yield "export function start() {"
        copied = ", ".join(f"{_key(plan.names[s])}: {self.copy(s)}" for s in range(plan.parameters))
        zeros = ", ".join(f"{_text(self.key(slot, state))}: {self.result(slot, None)}" for slot, state in kept)
        yield f"  return {{ step: 0, parameters: {{ {copied} }}, rule: {{ {zeros} }}, states: {{}} }};"
        yield "}"
        yield "export function step(state, given = {}) {"
        yield "  const found = value_and_gradient({ ...given, ...state.states, ...state.parameters });"
        yield "  const number = state.step;"
        for slot in range(plan.parameters):
            yield f"  const v{slot} = {self.read(slot, 'state.parameters')};"
            yield f"  const g{slot} = {self.read(slot, 'found.gradients')};"
        for k, (slot, state) in enumerate(kept):
            key, shape = _text(self.key(slot, state)), plan.shapes[slot]
            text = f"state.rule[{key}]"
            yield f"  const s{slot}_{k} = {text}{'[0]' if shape and math.prod(shape) == 1 else ''};"
        yield from (f"  {line}" for line in indented(writer.lines))
        moved = self.results(dict(zip(range(plan.parameters), names, strict=False)), range(plan.parameters))
        rest = zip(kept, names[plan.parameters :], strict=True)
        rule = ", ".join(f"{_text(self.key(slot, state))}: {self.result(slot, name)}" for (slot, state), name in rest)
        yield f"  return {{ step: number + 1, parameters: {{ {moved} }}, rule: {{ {rule} }}, states: found.states }};"
        yield "}"
        yield f"export function main(steps = {self.steps}, print = console.log) {{"
        yield "  let state = start();"
        yield "  for (let k = 0; k < steps; k++) state = step(state);"
        yield "  const found = value_and_gradient({ ...state.states, ...state.parameters });"
        yield "  print(`${objective} = ${found.value}`);"
        yield "  for (const name of parameters) print(`${name} = ${state.parameters[name]}`);"
        yield "}"

    def key(self, slot: int, state: str) -> str:
        return f"{state}/{self.plan.names[slot]}"

    def copy(self, slot: int) -> str:
        text = f"leaves[{_text(self.plan.names[slot])}]"
        return f"{text}.slice()" if self.plan.shapes[slot] else text

    def helpers(self) -> Iterator[str]:
        """Yield what the lines call."""
        yield ""
        if any(self.plan.shapes):
            yield from RUNTIME.splitlines()
        used = set(self.notation.used)
        for name in list(used):
            used |= set(NEEDS.get(name, ()))
        if used & {"det", "inv", "solve", "cholesky"}:
            yield from LINEAR_ALGEBRA.splitlines()
        yield from (text for name, text in HELPERS.items() if name in used)


def _text(text: str | None) -> str:
    """Return a text as a literal, whatever is in it."""
    return json.dumps(text)


def _key(name: str | None) -> str:
    """Return a name as the key of an object; one name is the prototype of it, unless it is computed."""
    return '["__proto__"]' if name == "__proto__" else _text(name)


def _names(names: Sequence[str | None]) -> str:
    return json.dumps(list(names))


def _array(array: Any) -> str:
    numbers = np.asarray(array, np.float64).ravel()
    return f"Float64Array.of({', '.join(_number(float(x), '')[0] for x in numbers)})"
