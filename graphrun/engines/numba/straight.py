"""A small graph's steps as straight-line code: each node a line or two, every number in a register.

The names in the text are made of slots, never of a graph file's words: v0 is a value, g0 its gradient; a0 and b0_0 are
a parameter and its states as they were accepted last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphrun.engines.numba.loops import finish
from graphrun.engines.numba.source import Lines, StepsCode, sum_of
from graphrun.engines.straight_line import PassWriter, adding
from graphrun.engines.traced import Functions, Known, Tracer
from graphrun.plan.plan import Batch, Plan

MOST_CARRIED = 12
"""With more parameters and states than this, a step reads them from memory and writes them there: what Numba takes to
compile grows with the square of the numbers that a loop carries."""


def straight_line(plan: Plan, *, masked: bool, limit: int) -> StepsCode | None:
    """Write the steps of a plan of numbers; None where they have more operations than the limit.

    Raises:
        NotSupportedError: a node type or the update rule cannot be written as arithmetic.
    """
    writer = _StraightLine(plan, masked=masked)
    size = sum(batch.count * writer.functions(batch, (None,) * batch.arity).size for batch in plan.in_loop)
    size += plan.parameters
    if size > limit:
        return None
    writer.write()
    return StepsCode(writer.out.module(), size, masked)


class _StraightLine:
    def __init__(self, plan: Plan, *, masked: bool) -> None:
        self.plan = plan
        self.masked = masked
        self.tracer = Tracer(plan)
        self.out = Lines(self.tracer)
        self.code = PassWriter(
            plan=plan, add=self.out.add, value="v{}".format, gradient="g{}".format, gets=adding("{0} = {0} + ({1})")
        )

    def functions(self, batch: Batch, known: Known, *, seed: bool = False) -> Functions:
        return self.tracer.functions(batch, known, seed=seed, masked=self.masked)

    def write(self) -> None:
        plan, out, parameters = self.plan, self.out, range(self.plan.parameters)
        few = plan.parameters * (1 + len(plan.rule.state)) <= MOST_CARRIED
        in_registers = few and not plan.update.clips_means
        out.add("watching = not math.isnan(memory[3])")
        if in_registers:
            self.carry()
        nodes = [slot for batch in plan.in_loop for slot in batch.slots]
        read = {plan.objective or 0}.union(*(inputs for _, _, inputs in plan.nodes(plan.in_loop)))
        outside = read - {*parameters, *nodes, *self.tracer.literals}
        out.add(*(f"v{slot} = values[{slot}]" for slot in sorted(outside)))
        out.add("last = step + count", "code = 0", "first = True", "while True:")
        out.indent += 1
        if not in_registers:
            out.add(*(f"v{k} = values[{k}]" for k in parameters))
        self.code.forward(plan.in_loop, self.forward)
        given = self.code.backward(out.literal(1.0), self.contributions)
        gradients = [f"gradients[{k}] = {self.gradient(k, given)}" for k in parameters]
        at_end = [f"values[{slot}] = v{slot}" for slot in nodes]
        at_end += [f"gradients[{slot}] = {self.gradient(slot, given)}" for slot in nodes]
        if in_registers:
            self.finish(given, gradients, [*gradients, *at_end])
        else:
            out.add(*gradients)
            finish(plan, out, f"v{plan.objective}", at_end)

    def gradient(self, slot: int, given: set[int]) -> str:
        """Return what the gradient of a value is called, of which some are given any."""
        return f"g{slot}" if slot in given else self.out.literal(0.0)

    def carry(self) -> None:
        """Write what is carried from step to step."""
        for k in range(self.plan.parameters):
            self.out.add(f"v{k} = a{k} = values[{k}]")
            self.out.add(*(f"s{i}_{k} = b{i}_{k} = states[{i}, {k}]" for i in range(len(self.plan.rule.state))))
            if self.plan.bounds[k] is not None:
                self.out.add(f"lower{k} = bounds[0, {k}]", f"upper{k} = bounds[1, {k}]")

    def finish(self, given: set[int], gradients: Sequence[str], at_end: Sequence[str]) -> None:
        """Write what follows the passes of a step, as `loops.finish` does."""
        plan, out, parameters = self.plan, self.out, range(self.plan.parameters)
        states = range(len(plan.rule.state))
        # Zero times a number is zero unless it is infinite or none.
        zero, objective = out.literal(0.0), f"v{plan.objective}"
        checked = [objective, *(f"g{k}" for k in parameters if k in given)]
        out.add(f"if not ({sum_of(f'{zero} * {name}' for name in checked)} == {zero}):")
        out.add(*(f"    trial[{k}] = v{k}" for k in parameters))
        out.add("    code = 1", "    if not first:", "        step -= 1", "    break")
        for k in parameters:
            out.add(f"a{k} = v{k}", *(f"b{i}_{k} = s{i}_{k}" for i in states))
        out.add("if watching and not first:", *(f"    {line}" for line in gradients))
        out.watch(plan.parameters, objective)
        out.add("first = False", "if step == last or code != 0:", *(f"    {line}" for line in at_end))
        out.add("    break", "step += 1")
        self.update(given)
        out.indent -= 1
        for k in parameters:
            out.add(f"values[{k}] = a{k}", *(f"states[{i}, {k}] = b{i}_{k}" for i in states))
        out.add("return step, code")

    def forward(self, batch: Batch, inputs: list[int]) -> str:
        """Write the forward function of a node."""
        functions = self.functions(batch, self.tracer.known(inputs))
        return self.out.write([functions.forward], self.names(inputs))[0]

    def contributions(self, batch: Batch, output: int, inputs: list[int]) -> Iterator[tuple[int, str]]:
        """Write what a node gives to its inputs."""
        functions = self.functions(batch, self.tracer.known(inputs), seed=output == self.plan.objective)
        given = [
            (slot, contribution)
            for slot, contribution in zip(inputs, functions.contributions, strict=True)
            if self.plan.moving[slot] and contribution is not None
        ]
        names = self.names(inputs) | {"y": f"v{output}", "g": f"g{output}"}
        texts = self.out.write([contribution for _, contribution in given], names)
        return zip((slot for slot, _ in given), texts, strict=True)

    def update(self, given: set[int]) -> None:
        """Write the update of every parameter, of which all read the gradients of the same pass."""
        plan, out = self.plan, self.out
        out.step_size()
        if plan.update.clips:
            out.add(*(f"gradients[{k}] = {self.gradient(k, given)}" for k in range(plan.parameters)))
            out.clip(plan.parameters)
        for k in range(plan.parameters):
            gradient = f"gradients[{k}]" if plan.update.clips else self.gradient(k, given)
            states = [f"s{i}_{k}" for i in range(len(plan.rule.state))]
            out.add(f"{', '.join([f'v{k}', *states])} = {out.updated(plan.rules[k], f'v{k}', gradient, states)}")
            if plan.bounds[k] is not None:
                out.add(f"v{k} = np.minimum(np.maximum(v{k}, lower{k}), upper{k})")

    def names(self, inputs: list[int]) -> dict[str, str]:
        return {f"x{k}": f"v{slot}" for k, slot in enumerate(inputs)}
