"""The step loop as one program of XLA's: k steps, each an update and the two passes at the new values.

How many steps, at which step they begin, and whether the first pass comes after an update or without one are
arguments, so that a run compiles its loop once, and every pass of a run is computed by the same instructions: a
resumed run and one that was cut into other pieces give the same bits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from graphrun.base.norms import root_of_squares
from graphrun.base.random import uniform
from graphrun.base.types import Array
from graphrun.declare.clipping import clip, clip_mean
from graphrun.engines.jax.feed import StepRows
from graphrun.engines.jax.passes import PlanPart, tracing
from graphrun.engines.jax.vector import JaxPasses
from graphrun.plan.plan import Plan

WATCHED = 1024
"""So many steps at most are made at once where a stop rule watches: their objectives and norms are kept."""

FEW = 1024
"""Arrays of so many elements together take less time than a branch of XLA's."""

# What a round of the loop carries to the next goes through memory, which is most of the time of a few numbers' step:
# 8.9 ns for nested.yaml, and 4.8 where four passes make one round. A round of more nodes is worse than one of a single
# pass, for XLA takes it for a large program: 8 nodes take 95 ns a step, 214 by four passes.
PASSES_IN_A_ROUND = 4
NODES_IN_A_ROUND = 8


class LoopState(NamedTuple):
    """What a run goes on from, and the outcome of its last pass.

    Attributes:
        targets: the parameters, as the update rule takes them.
        rule: the rule's states of each target.
        nodes: the nodes' states; `following` what they become with the next update.
        gradients: the objective's derivatives by the targets.
        objective: its value.
    """

    targets: tuple[Array, ...]
    rule: tuple[tuple[Array, ...], ...]
    nodes: tuple[Array, ...]
    following: tuple[Array, ...]
    gradients: tuple[Array, ...]
    objective: Array


class LoopOutcome(NamedTuple):
    """What the loop comes back with.

    Attributes:
        state: that after the last pass, be it finite or not.
        passes: how many passes were run; of a loop that is not careful, only where they were all finite.
        finite: whether the last one gave an objective and gradients that are finite; of a loop that is not careful,
            whether all passes did for sure.
        watched: the objective and the norm of the gradient after each pass, where they were asked for.
    """

    state: LoopState
    passes: Array
    finite: Array
    watched: tuple[Array, ...]


class LoopKind(NamedTuple):
    """What a loop does besides the steps.

    Attributes:
        careful: it looks at every gradient after every pass, and ends at the first that is not finite. Looking takes
            up to a third of the time of a small step, so that by default it is done once, at the end: most update
            rules make of a gradient that is not finite a parameter that never is again.
        watch: it keeps the objective and the norm of the gradient after each pass, for a stop rule.
    """

    careful: bool
    watch: bool


class Request(NamedTuple):
    """What the loop is asked for: numbers, which change without a new compilation.

    So many passes are run after the steps made before; each comes after an update, or is the first one of all. The step
    size counts only where what the run looks at decides it.
    """

    step: Any
    count: Any
    updates: Any
    step_size: Any


Carried: TypeAlias = tuple[jax.Array, LoopState, jax.Array, tuple[Array, ...]]
"""What the loop carries from pass to pass: how many were run, the state, whether it is finite, what is watched."""


def make_loop(
    plan: Plan, passes: JaxPasses, rows: StepRows, kind: LoopKind, results: Any = None
) -> Callable[..., LoopOutcome]:
    """Return the compiled loop: (state, spare, fixed, columns, request) -> outcome.

    `spare` is a state whose memory the outcome may take; `results` is where JAX leaves it, default where the state is.
    """
    in_a_round = passes_in_a_round(plan, kind)

    def finite(state: LoopState) -> jax.Array:
        return all_finite(state.objective, *(state.gradients if kind.careful else ()))

    def loop(state: LoopState, spare: LoopState, fixed: Any, columns: Any, request: Request) -> LoopOutcome:
        del spare

        def one_pass(carried: Carried) -> Carried:
            number, before, good, watched = carried
            step = request.step + number
            within = (number >= 0) & (number < request.count) if in_a_round > 1 else jnp.ones((), bool)
            state = updated(plan, passes, before, step, request.updates & within, request.step_size)
            step = jnp.where(request.updates, step + 1, step)
            state = evaluated(plan, passes, state, step, rows.pick(columns, step), fixed)
            if in_a_round > 1:
                state = outcome_where(within, state, before)
            return number + 1, state, good & (finite(state) | ~within), noted(state, watched, number)

        def one_round(carried: Carried) -> Carried:
            for _ in range(in_a_round):
                carried = one_pass(carried)
            return carried

        def unfinished(carried: Carried) -> Any:
            return (carried[0] < request.count) & carried[2]

        # The pass after some step is always the same one of its round: every run computes it by the same instructions.
        number = -jnp.remainder(request.step + request.updates, in_a_round)
        watched = (jnp.zeros((WATCHED, 2), np.float64),) if kind.watch else ()
        start: Carried = jnp.asarray(number, jnp.int64), state, jnp.ones((), bool), watched
        made, state, good, noticed = jax.lax.while_loop(unfinished, one_round, start)
        if not kind.careful:
            good = good & all_finite(*state.gradients, *state.targets)
        return LoopOutcome(state, jnp.minimum(made, request.count), good, noticed)

    return jax.jit(loop, donate_argnums=1, keep_unused=True, out_shardings=results)


def passes_in_a_round(plan: Plan, kind: LoopKind) -> int:
    """Return how many passes a round of the loop makes: several of a graph of a few numbers that nobody watches."""
    if kind.careful or kind.watch or plan.has_arrays or plan.data or plan.noise or plan.states:
        return 1
    nodes = sum(batch.count for batch in plan.in_loop)
    return max(1, min(PASSES_IN_A_ROUND, NODES_IN_A_ROUND // max(nodes, 1)))


def must_be_careful(plan: Plan) -> bool:
    """Whether a parameter may be finite again after a gradient that was not: by its bounds, by clipping, by the rule.

    A rule is tried with numbers that show it: those of a rule that takes the sign of the gradient do.
    """
    update, rule = plan.update, plan.rule
    if update.clips or any(plan.bounds):
        return True
    bad, good = (math.inf, -math.inf, math.nan), (-2.5, 0.0, 1.0)
    tried = itertools.chain(itertools.product(good, bad), itertools.product(bad, good + bad))
    for (value, gradient), state, step in itertools.product(tried, (0.0, 1.0), (1, 100)):
        steps = (step,) if rule.takes_step else ()
        states = [np.float64(state)] * len(rule.state)
        try:
            given = rule.function(np, np.float64(value), np.float64(gradient), *steps, *states, **dict(update.settings))
        except (Exception, SystemExit):
            return True
        if math.isfinite(given[0] if rule.state else given):
            return True
    return False


def updated(
    plan: Plan, passes: JaxPasses, state: LoopState, step: Array, wanted: Array, step_size: Array | float = math.nan
) -> LoopState:
    """Return the state after an update, or as it is where none is wanted."""
    update, rule, settings = plan.update, plan.rule, dict(plan.update.settings)
    if update.by_step is not None:
        schedule, given = update.by_step
        settings["step_size"] = jnp.asarray(schedule.function(jnp, step, **dict(given))).astype(plan.dtype)
    elif update.schedule is not None:
        settings["step_size"] = jnp.asarray(step_size).astype(plan.dtype)
    steps = (step + 1,) if rule.takes_step else ()
    targets, states = [], []
    clipped = partial(
        clip,
        jnp,
        value=update.clip_value,
        limit=update.clip_norm,
        norm=norm,
        numbers=jnp,
        cast=partial(jnp.asarray, dtype=plan.dtype),
    )
    sign, kept_before = -1.0 if plan.maximize else 1.0, state.rule
    if not update.clips_means:
        gradients: Sequence[Any] = clipped(state.gradients)
    else:
        sums = [sign * own[-1] for own in state.rule]
        due = (step + 1) % update.accumulate == 0
        pairs = clip_mean(jnp, state.gradients, sums, update.accumulate, due, clipped)
        gradients = [gradient for gradient, _ in pairs]
        kept_before = tuple((*own[:-1], sign * kept) for own, (_, kept) in zip(state.rule, pairs, strict=True))
    each = zip(passes.rules(), state.targets, gradients, kept_before, state.rule, passes.bounds(), strict=True)
    for function, value, gradient, before, own, bounds in each:
        signed = -gradient if plan.maximize else gradient
        with tracing("update rule", rule):
            result = function(jnp, value, signed, *steps, *before, **settings)
        following, *kept = result if rule.state else (result,)
        if bounds is not None:
            following = jnp.minimum(jnp.maximum(following, bounds[0]), bounds[1])
        targets.append(jnp.where(wanted, jnp.asarray(following).astype(plan.dtype), value))
        states.append(
            tuple(jnp.where(wanted, jnp.asarray(k).astype(plan.dtype), o) for k, o in zip(kept, own, strict=True))
        )
    nodes = tuple(jnp.where(wanted, new, old) for new, old in zip(state.following, state.nodes, strict=True))
    return state._replace(targets=tuple(targets), rule=tuple(states), nodes=nodes)


def evaluated(
    plan: Plan, passes: JaxPasses, state: LoopState, step: Array, columns: Sequence[Array], fixed: Any
) -> LoopState:
    """Return the state with the outcome of both passes at its values."""
    given = given_to(plan, step, columns, state.nodes)
    values = passes.forward(passes.begin(state.targets, given, fixed), PlanPart.LOOP)
    gradients = passes.backward(values, PlanPart.LOOP)
    assert plan.objective is not None  # noqa: S101 (for the type checker: a plan without one makes no steps)
    objective = jnp.asarray(passes.value(values, plan.objective)).astype(plan.dtype)
    return state._replace(
        following=tuple(next_states(plan, passes, values)),
        gradients=passes.target_gradients(gradients),
        objective=jnp.reshape(objective, ()),
    )


def outcome_where(wanted: Array, state: LoopState, before: LoopState) -> LoopState:
    """Return a state with the outcome of its pass where that is wanted, else with the one before."""
    objective, *gradients = (
        jnp.where(wanted, new, old)
        for new, old in zip((state.objective, *state.gradients), (before.objective, *before.gradients), strict=True)
    )
    return state._replace(objective=objective, gradients=tuple(gradients))


def given_to(plan: Plan, step: Array, columns: Sequence[Array], nodes: Sequence[Array]) -> dict[int, Array]:
    """Return by slot what a step is given: its rows of the data set, its random numbers, the nodes' states."""
    given = dict(zip(plan.data, columns, strict=True)) if plan.feeds else {}
    for noise in plan.noise:
        given[noise.slot] = uniform(jnp, noise.key, step, noise.shape).astype(plan.dtype)
    return given | dict(zip(plan.state_slots, nodes, strict=True))


def next_states(plan: Plan, passes: JaxPasses, values: Any) -> list[Array]:
    """Return the nodes' states after the step of a forward pass."""
    following: list[Array] = []
    for node in plan.states:
        batch = node.batch
        assert batch.type.next_state is not None  # noqa: S101 (for the type checker: a declaration is checked)
        inputs = [passes.value(values, slot) for slot in plan.inputs_of(batch.start)]
        with tracing("node type", batch.type):
            given = batch.type.next_state(jnp, passes.value(values, batch.start), *inputs, **dict(batch.settings))
            following += [jnp.asarray(value).astype(plan.dtype) for value in given]
    return following


def norm(*arrays: Array) -> Any:
    """Return the Euclidean norm of all elements of some arrays, in double precision."""

    def squares(factor: Any) -> Array:
        scaled = (array.astype(np.float64) * factor for array in arrays)
        return sum((jnp.sum(x * x) for x in scaled), jnp.zeros((), np.float64))

    if all(array.dtype == np.float32 for array in arrays):
        return jnp.sqrt(squares(1.0))
    # Of a few numbers all three sums are faster than a branch.
    few = sum(array.size for array in arrays) <= FEW
    return root_of_squares(jnp, squares, lambda c, x, y: jnp.where(c, x(), y()) if few else jax.lax.cond(c, x, y))


def noted(state: LoopState, watched: tuple[Array, ...], number: Array) -> tuple[Array, ...]:
    """Note the objective and the norm of the gradient, where a stop rule watches."""
    rows = [jnp.stack([state.objective.astype(np.float64), norm(*state.gradients)])[None] for _ in watched]
    return tuple(jax.lax.dynamic_update_slice(w, row, (number, 0)) for w, row in zip(watched, rows, strict=True))


def all_finite(*arrays: Array) -> jax.Array:
    """Whether every element of some arrays is finite."""
    finite = jnp.ones((), bool)
    for array in arrays:
        finite = finite & jnp.all(jnp.isfinite(array))
    return finite
