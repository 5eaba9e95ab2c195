"""A profile as text: tables that fit a terminal, or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from textwrap import wrap
from typing import Any

from graphrun.base.numbertext import count, seconds, size
from graphrun.show.profile import Part, Profile, TypeTotal
from graphrun.show.profile.work import LARGE_COPY, MATRIX, SMALLEST_COPY, Work
from graphrun.show.tables import WIDTH, align, cut

SHOWN_NODES = 15
LONGEST_NAME = 22


def to_json(profile: Profile) -> dict[str, Any]:
    """Return a profile as plain data: seconds, bytes, operations on numbers."""

    def entry(part: Part | TypeTotal) -> dict[str, Any]:
        fields = asdict(part)
        return {**fields, **fields.pop("work")}

    fields = asdict(profile)
    fields |= {"parts": [entry(part) for part in profile.parts], "types": [entry(total) for total in profile.types]}
    fields |= {"rest": profile.rest, "work": asdict(profile.work)}
    return fields | {"share_of_peaks": dict(shares_of_peaks(profile))}


def shares_of_peaks(profile: Profile) -> Iterator[tuple[str, float]]:
    """Yield how far a step is from what the machine does: 1 is as much."""
    machine, work = profile.machine, profile.work
    yield "copied", work.bytes / profile.seconds / machine.copied
    yield "copied_as_much", work.bytes / profile.seconds / machine.copied_as_much
    yield "multiplied", work.operations / profile.seconds / machine.multiplied


def profile_lines(profile: Profile) -> Iterator[str]:
    """Yield the lines of the tables."""
    yield from wrap(f"{profile.graph}: engine {profile.engine}, {profile.form}, {profile.dtype}", WIDTH)
    steps = f"median of {profile.rounds} rounds of {profile.steps:,} step{'s' * (profile.steps != 1)}"
    rows = [
        ["plan", seconds(profile.seconds_of_plan), ""],
        ["compile", seconds(profile.seconds_of_compilation), profile.compiled],
        ["step", seconds(profile.seconds), steps],
    ]
    if profile.seconds_divided is not None and profile.seconds_divided != profile.seconds:
        rows.append(["", seconds(profile.seconds_divided), "median of steps made one by one, which the tables divide"])
    yield from align(rows, left=3)
    yield ""
    yield from wrap(f"Nodes are timed: {profile.how}.", WIDTH)
    yield from _types(profile)
    yield ""
    yield from _nodes(profile)
    yield from _rates(profile)


def _types(profile: Profile) -> Iterator[str]:
    whole = sum(total.seconds or 0.0 for total in profile.types) + (profile.rest or 0.0)
    rows = [["type", "nodes", "time", "backward", "share", "operations", "bytes"]]
    rows += [[cut(t.type, LONGEST_NAME), f"{t.count:,}", *_times(t, whole), *_work(t.work)] for t in profile.types]
    together = seconds(whole) if whole else ""
    name, rest, share = "update", "", ""
    if profile.rest is not None:
        name, rest, share = "update and rest", seconds(profile.rest), f"{100 * profile.rest / whole:.1f}%"
    rows.append([name, "", rest, "", share, *_work(profile.update)])
    rows.append(["together", f"{sum(t.count for t in profile.types):,}", together, "", "", *_work(profile.work)])
    yield from _filled(rows, left=1)


def _nodes(profile: Profile) -> Iterator[str]:
    """Yield the slowest nodes; where times are those of whole types alone, there is nothing to tell."""
    timed = all(part.seconds is not None for part in profile.parts)
    if not timed and any(total.seconds is not None for total in profile.types):
        return
    whole = sum(part.seconds or 0.0 for part in profile.parts) + (profile.rest or 0.0)
    order = sorted(profile.parts, key=lambda part: (-(part.seconds or 0.0), -part.work.operations))
    rows = [["node", "type", "time", "backward", "share", "operations", "bytes"]]
    for part in order[:SHOWN_NODES]:
        name = part.name if part.count == 1 else f"{cut(part.name, 12)} + {part.count - 1:,}"
        rows.append([cut(name, LONGEST_NAME), cut(part.type, 16), *_times(part, whole), *_work(part.work)])
    if len(order) > SHOWN_NODES:
        what = "slowest" if timed else "largest"
        yield f"The {SHOWN_NODES} {what} of {len(order):,}; --format json has them all."
    yield from _filled(rows, left=2)
    yield ""


def _rates(profile: Profile) -> Iterator[str]:
    machine, work, shares = profile.machine, profile.work, dict(shares_of_peaks(profile))
    moved, done = work.bytes / profile.seconds, work.operations / profile.seconds
    yield from wrap(
        f"A step touches {size(profile.touched)}; its operations, one by one, read and write {size(work.bytes)} and do "
        f"{count(work.operations)} operations on numbers.",
        WIDTH,
    )
    copied, product = size(max(profile.touched // 2, SMALLEST_COPY)), f"product of {MATRIX} x {MATRIX} matrices"
    rates = {
        "memory": (size(moved), size(machine.copied), shares["copied"], f"copy of {size(LARGE_COPY)}"),
        "caches": (size(moved), size(machine.copied_as_much), shares["copied_as_much"], f"copy of {copied}"),
        "arithmetic": (count(done), count(machine.multiplied), shares["multiplied"], product),
    }
    rows = [[name, f"{own}/s", f"{most}/s", _percent(share), of] for name, (own, most, share, of) in rates.items()]
    yield from align([["", "this step", "this machine", "", ""], *rows], left=5)
    yield from wrap(
        "The machine's rates are those of NumPy's copy and product of matrices, on all cores that it takes, measured "
        "after the steps. More than 100% of a copy is what stays in registers or is fused.",
        WIDTH,
    )
    if profile.xla:
        parts = [f"{count(value)} {name}" for name, value in profile.xla.items()]
        yield from wrap(f"XLA's own count of a step, after fusing: {', '.join(parts)}.", WIDTH)


def _filled(rows: Sequence[Sequence[str]], left: int) -> Iterator[str]:
    """Align rows, without the columns in which there is nothing below the header."""
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    return align(zip(*columns, strict=True), left)


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%" if share < 10 else f"{100 * share:,.0f}%"


def _times(part: Part | TypeTotal, whole: float) -> Sequence[str]:
    if part.seconds is None:
        return "", "", ""
    share = f"{100 * part.seconds / whole:.1f}%" if whole else ""
    return seconds(part.seconds), "" if part.backward is None else seconds(part.backward), share


def _work(work: Work) -> Sequence[str]:
    return count(work.operations), size(work.bytes)
