"""A small graph's steps as straight-line code: each node a line or two, every number in a register.

The names in the text are made of slots, never of a graph file's words: v0 is a value, g0 its gradient; a0 and b0_0 are
a parameter and its states as they were accepted last.
"""

from __future__ import annotations

import numpy as np

from graphrun.declare.trace import Expression
from graphrun.engines.numba.functions import Functions, Known, Tracer
from graphrun.engines.numba.source import Lines, Source, sum_of
from graphrun.plan.plan import Batch, Plan


def straight_line(plan: Plan, *, masked: bool, limit: int) -> Source | None:
    """Write the steps of a plan of numbers.

    Args:
        plan: the plan.
        masked: a gradient of exactly 0 gives 0, whatever the local derivative is.
        limit: with more operations than this, None is returned.

    Raises:
        NotSupportedError: a node type or the update rule cannot be written as arithmetic.
    """
    writer = _StraightLine(plan, masked=masked)
    size = sum(batch.count * writer.functions(batch, (None,) * batch.arity).size for batch in plan.in_loop)
    size += plan.parameters
    if size > limit:
        return None
    writer.write()
    return Source(writer.out.module(), size)


class _StraightLine:
    def __init__(self, plan: Plan, *, masked: bool) -> None:
        self.plan = plan
        self.masked = masked
        self.tracer = Tracer(plan)
        self.out = Lines(self.tracer)
        # A number that the file writes where it is used is part of the text; a named one may change between runs.
        self.literals = {
            slot: float(plan.leaves[slot])
            for slot in range(plan.parameters, len(plan.leaves))
            if plan.names[slot] is None
        }

    def functions(self, batch: Batch, known: Known, *, seed: bool = False) -> Functions:
        return self.tracer.functions(batch, known, seed=seed, masked=self.masked)

    def write(self) -> None:
        plan, out = self.plan, self.out
        parameters = range(plan.parameters)
        states = range(len(plan.rule.state))
        rule = self.tracer.update()
        for k in parameters:
            out.add(f"v{k} = a{k} = values[{k}]")
            out.add(*(f"s{i}_{k} = b{i}_{k} = states[{i}, {k}]" for i in states))
            if plan.bounds[k] is not None:
                out.add(f"lower{k} = bounds[0, {k}]", f"upper{k} = bounds[1, {k}]")
        moving = set(parameters).union(*(range(batch.start, batch.stop) for batch in plan.in_loop))
        read = {slot for batch in plan.in_loop for slot in np.unique(plan.inputs(batch)).tolist()} | {
            plan.objective or 0
        }
        out.add(*(f"v{slot} = values[{slot}]" for slot in sorted(read - moving - set(self.literals))))
        out.add("last = step + count", "code = 0", "first = True", "while True:")
        out.indent += 1
        self.forward()
        given = self.backward(moving)
        objective = f"v{plan.objective}"
        # Zero times a number is zero unless it is infinite or none.
        zero = out.literal(0.0)
        checked = [objective, *(f"g{k}" for k in parameters if k in given)]
        out.add(f"if not ({sum_of(f'{zero} * {name}' for name in checked)} == {zero}):")
        out.add(*(f"    trial[{k}] = v{k}" for k in parameters))
        out.add("    code = 1", "    if not first:", "        step -= 1", "    break")
        for k in parameters:
            out.add(f"a{k} = v{k}", *(f"b{i}_{k} = s{i}_{k}" for i in states))
        gradients = [f"gradients[{k}] = {f'g{k}' if k in given else zero}" for k in parameters]
        out.add("if watching and not first:", *(f"    {line}" for line in gradients))
        out.watch(plan.parameters, objective)
        out.add("first = False", "if step == last or code != 0:")
        stored = [slot for slot in sorted(moving) if slot >= plan.parameters]
        out.add(*(f"    values[{slot}] = v{slot}" for slot in stored))
        out.add(*(f"    {line}" for line in gradients))
        out.add(*(f"    gradients[{slot}] = {f'g{slot}' if slot in given else zero}" for slot in stored))
        out.add("    break", "step += 1")
        self.update(rule, given)
        out.indent -= 1
        for k in parameters:
            out.add(f"values[{k}] = a{k}", *(f"states[{i}, {k}] = b{i}_{k}" for i in states))
        out.add("return step, code")
        out.lines.insert(0, "    watching = not math.isnan(memory[3])")

    def forward(self) -> None:
        """Write the forward pass."""
        writer = self.out.writer()
        for batch, output, inputs in self.plan.nodes(self.plan.in_loop):
            functions = self.functions(batch, self.known(inputs))
            (text,) = writer.write([functions.forward], self.names(inputs))
            self.out.add(f"v{output} = {text}")

    def backward(self, moving: set[int]) -> set[int]:
        """Write the backward pass: each node gives to its inputs, what an input is given adds up.

        Returns:
            The slots that are given a gradient.
        """
        plan, out = self.plan, self.out
        writer = out.writer()
        given = {plan.objective or 0}
        out.add(f"g{plan.objective} = {out.literal(1.0)}")
        for batch in reversed(plan.in_loop):
            inputs_of = plan.inputs(batch).T.tolist()
            for output, inputs in reversed(list(enumerate(inputs_of, batch.start))):
                if output not in given:
                    continue
                functions = self.functions(batch, self.known(inputs), seed=output == plan.objective)
                given_to = [
                    (slot, contribution)
                    for slot, contribution in zip(inputs, functions.contributions, strict=True)
                    if slot in moving and contribution is not None
                ]
                names = self.names(inputs) | {"y": f"v{output}", "g": f"g{output}"}
                texts = writer.write([contribution for _, contribution in given_to], names)
                for (slot, _), text in zip(given_to, texts, strict=True):
                    out.add(f"g{slot} = g{slot} + ({text})" if slot in given else f"g{slot} = {text}")
                    given.add(slot)
        return given

    def update(self, rule: tuple[Expression, ...], given: set[int]) -> None:
        """Write the update of every parameter, of which all read the gradients of the same pass."""
        plan, out = self.plan, self.out
        out.step_size()
        zero = out.literal(0.0)
        if plan.update.clips:
            out.add(*(f"gradients[{k}] = {f'g{k}' if k in given else zero}" for k in range(plan.parameters)))
            out.clip(plan.parameters)
        for k in range(plan.parameters):
            gradient = f"gradients[{k}]" if plan.update.clips else f"g{k}" if k in given else zero
            names = {"value": f"v{k}", "gradient": gradient, "step": "float(step)", "step_size": out.step_size_name}
            names |= {name: f"s{i}_{k}" for i, name in enumerate(plan.rule.state)}
            texts = out.writer().write(rule, names)
            targets = [f"v{k}", *(f"s{i}_{k}" for i in range(len(plan.rule.state)))]
            out.add(f"{', '.join(targets)} = {', '.join(texts)}")
            if plan.bounds[k] is not None:
                out.add(f"v{k} = np.minimum(np.maximum(v{k}, lower{k}), upper{k})")

    def known(self, inputs: list[int]) -> Known:
        return tuple(self.literals.get(slot) for slot in inputs)

    def names(self, inputs: list[int]) -> dict[str, str]:
        return {f"x{k}": f"v{slot}" for k, slot in enumerate(inputs)}
