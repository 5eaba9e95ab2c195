"""Straight-line code of a plan, in any language: the order of both passes, and how what a value is given adds up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from graphrun.plan.plan import Batch, Plan


@dataclass(frozen=True, kw_only=True)
class PassWriter:
    """Writes the passes of a plan, each node a line or two.

    Attributes:
        plan: the plan.
        add: takes a line.
        value: names a slot's value.
        gradient: names the derivative of the objective by it.
        gets: how something is added to a gradient, with {0} for its name and {1} for what is added.
    """

    plan: Plan
    add: Callable[[str], None]
    value: Callable[[int], str]
    gradient: Callable[[int], str]
    gets: str

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
        given = {objective}
        self.add(f"{self.gradient(objective)} = {one}")
        for batch, output, inputs in reversed(list(self.plan.nodes(self.plan.in_loop))):
            if output not in given:
                continue
            for slot, text in contributions(batch, output, inputs):
                self.add((self.gets if slot in given else "{0} = {1}").format(self.gradient(slot), text))
                given.add(slot)
        return given
