"""`graphrun export FILE --to javascript`: an ES module that computes values, gradients and steps, and needs nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

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


class Passes(NamedTuple):
    """What computes both passes: the lines, and the names of values, gradients and following states, by slot."""

    lines: list[str]
    values: dict[int, str]
    gradients: dict[int, str]
    states: dict[int, str]


class PassScript:
    """Writes both passes of a plan: what every program in JavaScript has.

    Attributes:
        plan: in float64, as JavaScript's numbers are.
        trace: of the passes; the forward pass is traced at once.

    Raises:
        NotSupportedError: a node type cannot be traced; the text says which and why.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.notation = notation()
        self.trace = PlanTrace(plan)
        self.trace.forward(plan.batches)
        self._buffers: dict[str, int] = {}
        self._constants: dict[str, Any] = {}

    def key(self, slot: int) -> str:
        """Return what a value is called where it is given and given back."""
        return _text(self.plan.names[slot])

    def write(self, symbols: Mapping[str, str], prefix: str, roots: Sequence[Any]) -> tuple[list[str], list[str]]:
        """Return the lines that compute expressions, and the name of each; names begin with a prefix."""
        syntax = LoopSyntax(notation=self.notation, helpers=frozenset({"det", "inv", "solve", "cholesky"}), **SYNTAX)
        writer = LoopWriter(syntax, symbols, pattern=prefix + "{}")
        names = writer.write(roots)
        self._buffers |= writer.buffers
        self._constants |= writer.constants
        return list(indented(writer.lines)), names

    def passes(self) -> Passes:
        """Write what computes all values, gradients and states; the leaves are ``v`` and their slot."""
        plan, trace = self.plan, self.trace
        gradients = {} if plan.objective is None else trace.gradients(everywhere=True)
        states = trace.node_states()
        nodes = range(len(plan.leaves), len(plan.names))
        roots = [*[trace.values[slot] for slot in nodes], *gradients.values(), *states.values()]
        lines, names = self.write({f"v{slot}": f"v{slot}" for slot in trace.leaves}, "t", roots)
        values = {slot: f"v{slot}" for slot in trace.leaves} | dict(zip(nodes, names, strict=False))
        slopes = dict(zip(gradients, names[len(nodes) :], strict=False))
        return Passes(lines, values, slopes, dict(zip(states, names[len(nodes) + len(slopes) :], strict=True)))

    def declarations(self) -> Iterator[str]:
        """Yield what the lines that were written need before them."""
        used = set(self.notation.used)
        for name in list(used):
            used |= set(NEEDS.get(name, ()))
        if used & {"det", "inv", "solve", "cholesky"}:
            yield from LINEAR_ALGEBRA.splitlines()
        yield from (text for name, text in HELPERS.items() if name in used)
        yield from (f"const {name} = {_array(known)};" for name, known in self._constants.items())
        yield from (f"const {name} = new Float64Array({size});" for name, size in self._buffers.items())

    def read(self, slot: int, source: str) -> str:
        """Return the text of a value that is given by its key."""
        size = math.prod(self.plan.shapes[slot])
        text = f"{source}[{self.key(slot)}]"
        return f"{text}[0]" if self.plan.shapes[slot] and size == 1 else text

    def result(self, slot: int, name: str | None) -> str:
        """Return the text of a value as it is given back: a number, or a new array; nothing is 0."""
        shape = self.plan.shapes[slot]
        size = math.prod(shape)
        if not shape:
            return name or "0"
        if name is None:
            return f"new Float64Array({size})"
        return f"Float64Array.of({name})" if size == 1 else f"{name}.slice()"


def export(graph: Graph, *, steps: int | None = None) -> str:
    """Return a graph as an ES module, whose `main` makes so many steps, default the file's.

    Raises:
        NotSupportedError: something of it cannot be written in JavaScript; the text says what and why.
    """
    return "\n".join(_Module(graph, graph.steps if steps is None else steps).lines()) + "\n"


class _Module(PassScript):
    """Writes the module: `value_and_gradient`, `step` and `main`."""

    def __init__(self, graph: Graph, steps: int) -> None:
        plan = graph.plan("float64")
        if sum(math.prod(shape) for shape in plan.shapes) > LARGEST:
            raise NotSupportedError(f"its values are more than {LARGEST:,} numbers, which is nothing for a page")
        super().__init__(plan)
        self.graph, self.steps = graph, steps

    def lines(self) -> Iterator[str]:
        plan = self.plan
        both, updates = list(self.both_passes()), list(self.updates())
        objective = "null" if plan.objective is None else _text(plan.names[plan.objective])
        yield f"// {json.dumps(self.graph.name)} as a module, written by graphrun {__version__}."
        yield "// Arrays are Float64Arrays of their elements in row-major order."
        yield f"export const objective = {objective};"
        yield f"export const maximize = {json.dumps(plan.maximize)};"
        yield f"export const parameters = {_names(plan.names[: plan.parameters])};"
        yield "export const shapes = {"
        yield from (f"  {self.name(slot)}: {list(plan.shapes[slot])}," for slot in self.named())
        yield "};"
        yield "export const leaves = {"
        yield from (f"  {self.name(slot)}: {self.leaf(slot)}," for slot in self.trace.leaves)
        yield "};"
        yield ""
        if any(plan.shapes):
            yield from RUNTIME.splitlines()
        yield from self.declarations()
        yield from both
        yield from updates

    def named(self) -> Iterator[int]:
        """Yield the slots of what has a name."""
        return (slot for slot, name in enumerate(self.plan.names) if name is not None)

    def name(self, slot: int) -> str:
        """Return a name as the key in an object's literal; one is the prototype of it, unless it is computed."""
        return '["__proto__"]' if self.plan.names[slot] == "__proto__" else self.key(slot)

    def leaf(self, slot: int) -> str:
        value = self.plan.leaves[slot]
        if value is None:
            return f"new Float64Array({math.prod(self.plan.shapes[slot])})"
        return self.notation.constant(float(value), "float")[0] if np.ndim(value) == 0 else _array(np.asarray(value))

    def both_passes(self) -> Iterator[str]:
        plan, trace = self.plan, self.trace
        lines, values, slopes, following = self.passes()
        yield ""
        yield "// Values of all nodes, and the derivatives of the objective; what is not given is as in `leaves`."
        yield "export function value_and_gradient(given = {}) {"
        yield "  const all = { ...leaves, ...given };"
        yield from (f"  const v{slot} = {self.read(slot, 'all')};" for slot in trace.leaves)
        yield from (f"  {line}" for line in lines)
        nodes = [slot for slot in self.named() if slot >= len(plan.leaves)]
        moving = [] if plan.objective is None else [*range(plan.parameters), *nodes]
        yield "  return {"
        yield f"    value: {'undefined' if plan.objective is None else values[plan.objective]},"
        yield f"    values: {{ {self.results(values, nodes)} }},"
        yield f"    gradients: {{ {self.results(slopes, moving)} }},"
        yield f"    states: {{ {self.results(following, list(following))} }},"
        yield "  };"
        yield "}"

    def results(self, names: Mapping[int, str], slots: Sequence[int]) -> str:
        return ", ".join(f"{self.name(slot)}: {self.result(slot, names.get(slot))}" for slot in slots)

    def read(self, slot: int, source: str) -> str:
        """Return the text of a value that is given: a number, or what becomes an array of its size."""
        size = math.prod(self.plan.shapes[slot])
        if not self.plan.shapes[slot]:
            return super().read(slot, source)
        text = f"flat({source}[{self.key(slot)}], {size}, {self.key(slot)})"
        return f"{text}[0]" if size == 1 else text

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
        roots = [made.value for made in updated] + [updated[slot].states[state] for slot, state in kept]
        lines, names = self.write(symbols, "u", roots)
        yield ""
        yield "// The first state of a run, and what a step makes of one: every parameter moves at once."
        yield "export function start() {"
        copied = ", ".join(f"{self.name(s)}: {self.copy(s)}" for s in range(plan.parameters))
        zeros = ", ".join(f"{_text(self.state(slot, state))}: {self.result(slot, None)}" for slot, state in kept)
        yield f"  return {{ step: 0, parameters: {{ {copied} }}, rule: {{ {zeros} }}, states: {{}} }};"
        yield "}"
        yield "export function step(state, given = {}) {"
        yield "  const found = value_and_gradient({ ...given, ...state.states, ...state.parameters });"
        yield "  const number = state.step;"
        for slot in range(plan.parameters):
            yield f"  const v{slot} = {self.read(slot, 'state.parameters')};"
            yield f"  const g{slot} = {self.read(slot, 'found.gradients')};"
        for k, (slot, state) in enumerate(kept):
            key, shape = _text(self.state(slot, state)), plan.shapes[slot]
            text = f"state.rule[{key}]"
            yield f"  const s{slot}_{k} = {text}{'[0]' if shape and math.prod(shape) == 1 else ''};"
        yield from (f"  {line}" for line in lines)
        moved = self.results(dict(zip(range(plan.parameters), names, strict=False)), range(plan.parameters))
        rest = zip(kept, names[plan.parameters :], strict=True)
        rule = ", ".join(f"{_text(self.state(slot, state))}: {self.result(slot, name)}" for (slot, state), name in rest)
        yield f"  return {{ step: number + 1, parameters: {{ {moved} }}, rule: {{ {rule} }}, states: found.states }};"
        yield "}"
        yield f"export function main(steps = {self.steps}, print = console.log) {{"
        yield "  let state = start();"
        yield "  for (let k = 0; k < steps; k++) state = step(state);"
        yield "  const found = value_and_gradient({ ...state.states, ...state.parameters });"
        yield "  print(`${objective} = ${found.value}`);"
        yield "  for (const name of parameters) print(`${name} = ${state.parameters[name]}`);"
        yield "}"

    def state(self, slot: int, state: str) -> str:
        return f"{state}/{self.plan.names[slot]}"

    def copy(self, slot: int) -> str:
        text = f"leaves[{self.key(slot)}]"
        return f"{text}.slice()" if self.plan.shapes[slot] else text


def _text(text: str | None) -> str:
    """Return a text as a literal, whatever is in it."""
    return json.dumps(text)


def _names(names: Sequence[str | None]) -> str:
    return json.dumps(list(names))


def _array(array: Any) -> str:
    numbers = np.asarray(array, np.float64).ravel()
    return f"Float64Array.of({', '.join(_number(float(x), '')[0] for x in numbers)})"
