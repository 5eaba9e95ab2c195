"""Straight-line code of a plan, in any language: the order of both passes, and how what a value is given adds up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from graphrun.plan.plan import Batch, Plan


def adding(form: str) -> Callable[[str, str, int], str]:
    """Return how a gradient gets something, by how the second and what follows is added: {0} to the name, {1} what."""
    return lambda gradient, given, before: (form if before else "{0} = {1}").format(gradient, given)


@dataclass(frozen=True, kw_only=True)
class PassWriter:
    """Writes the passes of a plan, each node a line or two.

    Attributes:
        plan: the plan.
        add: takes a line.
        value: names a slot's value.
        gradient: names the derivative of the objective by it.
        gets: how a gradient gets something: of its name, what it is given, and how many times it was before.
    """

    plan: Plan
    add: Callable[[str], None]
    value: Callable[[int], str]
    gradient: Callable[[int], str]
    gets: Callable[[str, str, int], str]

    def forward(self, batches: Iterable[Batch], text: Callable[[Batch, list[int]], str]) -> None:
        """Write the forward pass; `text` writes what a node's forward function gives of the slots of its inputs."""
        for batch, output, inputs in self.plan.nodes(batches):
            self.add(f"{self.value(output)} = {text(batch, inputs)}")

    def backward(
        self, one: str, contributions: Callable[[Batch, int, list[int]], Iterable[tuple[int, str]]]
    ) -> set[int]:
        """Write the backward pass, in which what a value is given adds up; return the slots that are given a gradient.

        Args:
            one: the derivative of the objective by itself.
            contributions: yields, for a batch, a node's slot and those of its inputs, the slots of the inputs that the
                node gives something, with the text of that.
        """
        objective = self.plan.objective or 0
        given = Counter({objective: 1})
        self.add(f"{self.gradient(objective)} = {one}")
        for batch, output, inputs in reversed(list(self.plan.nodes(self.plan.in_loop))):
            if output not in given:
                continue
            for slot, text in contributions(batch, output, inputs):
                self.add(self.gets(self.gradient(slot), text, given[slot]))
                given[slot] += 1
        return set(given)
