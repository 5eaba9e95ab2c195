"""What a node type is tried with: its settings and examples, and random inputs within its domain."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from graphrun.check.subject import BrokenTypeError, Subject
from graphrun.declare.declaration import Noise, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from graphrun.check.subject import Array
    from graphrun.declare.domain import Domain
    from graphrun.declare.nodetype import Example, NodeType

GUESSED_SHAPE = (3, 3)
ASK_FOR_EXAMPLES = "declare examples=[Example(shapes=[...], settings={...})] that it can be tried with"


def trials(node_type: NodeType) -> Iterator[tuple[Subject, Example | None]]:
    """The settings and examples to try: the defaults, then each example."""
    defaults = node_type.default_settings
    guessed = node_type.is_elementwise or not node_type.examples
    if defaults is None and not node_type.examples:
        required = ", ".join(p.name for p in node_type.keyword if p.default is p.empty)
        raise BrokenTypeError(f"{node_type.name}: its settings {required} have no default: {ASK_FOR_EXAMPLES}")
    if defaults is not None and guessed:
        yield from _subjects(node_type, dict(defaults), None)
    for example in node_type.examples:
        try:
            settings = node_type.read_settings(example.settings)
        except ValueError as error:
            given = dict(example.settings)
            raise BrokenTypeError(f"{node_type.name}: an example's settings {given} fail: {error}") from error
        count = len(example.values) or len(example.shapes)
        least, most = node_type.arity
        if count and not least <= count <= (count if most is None else most):
            raise BrokenTypeError(f"{node_type.name}: an example gives {count} inputs to {node_type.signature}")
        yield from _subjects(node_type, dict(settings), example)


def _subjects(
    node_type: NodeType, settings: dict[str, Any], example: Example | None
) -> Iterator[tuple[Subject, Example | None]]:
    """The type in a step and, where it tells the two apart, in an evaluation."""
    yield Subject(node_type, settings), example
    if node_type.takes_training:
        yield Subject(node_type, settings | {node_type.takes_training: False}), example


def input_count(node_type: NodeType, example: Example | None) -> int:
    """Return how many inputs the engine does not give."""
    given = example and (len(example.values) or len(example.shapes))
    least, most = node_type.arity
    return given or (most if most is not None else max(least, 2))


def shapes_of(node_type: NodeType, example: Example | None) -> Sequence[tuple[int, ...]]:
    """The shapes of the inputs that the engine does not give."""
    if example and example.shapes:
        return example.shapes
    if example and example.values:
        return [np.shape(value) for value in example.values]
    return [GUESSED_SHAPE] * input_count(node_type, example)


def draw(
    subject: Subject,
    shapes: Sequence[tuple[int, ...]],
    random: np.random.Generator,
    magnitudes: tuple[float, float],
    values: Sequence[Any] = (),
) -> list[Array]:
    """Random inputs within the domain, representable as float32, some of them 0; indices are 0 or 1.

    Values that are not None stand for the numbers that would be drawn; those that the engine gives come last.
    """
    inputs = [
        random.integers(0, 2, shape)
        if i in subject.type.index_inputs
        else _draw_numbers(subject.domain(i), shape, random, magnitudes)
        for i, shape in enumerate(shapes)
    ]
    fixed = [value if value is not None else inputs[i] for i, value in enumerate(values)]
    return _with_engine_inputs(subject, subject.arrays(fixed or inputs), random)


def _with_engine_inputs(subject: Subject, inputs: Sequence[Array], random: np.random.Generator) -> list[Array]:
    """Inputs followed by those that the engine gives: noise, and the states after one step on other numbers."""
    markers = [marker for _, marker in subject.type.engine_inputs]
    noise = [random.uniform(size=inputs[0].shape).astype(np.float32).astype(np.float64) for _ in markers]
    states: list[Array] = []
    if State in markers:
        states = subject.states([*inputs], noise[: markers.count(Noise)])
    drawn, kept = iter(noise), iter(states)
    return [*inputs, *(next(drawn) if marker is Noise else next(kept) for marker in markers)]


def _draw_numbers(
    domain: Domain | None, shape: tuple[int, ...], random: np.random.Generator, magnitudes: tuple[float, float]
) -> Array:
    size = np.exp(random.uniform(math.log(magnitudes[0]), math.log(magnitudes[1]), shape))
    sign = random.choice([-1.0, 1.0], shape)
    share = 0.5 * size / magnitudes[1]
    numbers = size * sign
    if domain is not None:
        which = random.integers(0, len(domain.intervals), shape)
        for i, interval in enumerate(domain.intervals):
            low, high = interval.low, interval.high
            if math.isfinite(low) and math.isfinite(high):
                # Near both ends and, by as many, far from them.
                inside = random.choice([share, 0.5 * random.uniform(size=shape)])
                drawn = np.where(sign > 0, low + (high - low) * inside, high - (high - low) * inside)
            elif math.isfinite(low):
                drawn = low + size
            elif math.isfinite(high):
                drawn = high - size
            else:
                drawn = numbers
            numbers = np.where(which == i, drawn, numbers)
    if domain is None or 0.0 in domain:
        numbers = np.where(random.uniform(size=shape) < 1 / 8, 0.0, numbers)
    return np.asarray(numbers).astype(np.float32).astype(np.float64)
