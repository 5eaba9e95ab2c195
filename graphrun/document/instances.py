"""A use of a subgraph: its inputs, its settings, and the keys of every instance, read and checked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from graphrun.base.wording import counted, describe, did_you_mean, quote
from graphrun.document.marks import Path
from graphrun.document.nodes import NodeEntry
from graphrun.document.parameters import TRAINING, read_training
from graphrun.document.problems import Problems
from graphrun.document.references import substitute
from graphrun.document.sizes import TooLargeError, check_extent
from graphrun.document.subgraphs import INSTANCE_KEYS, Instance, Subgraph, listed


def read_instance(subgraph: Subgraph, entry: NodeEntry, at: Problems) -> Instance | None:
    """Check the use of a subgraph: its inputs, its settings, and the keys of every instance."""
    before = len(at)
    given = dict(entry.settings or {})
    repeat, share = given.pop("repeat", 1), given.pop("share", False)
    over = _names_of(given, "over", subgraph, subgraph.inputs, at)
    collect = _names_of(given, "collect", subgraph, (*subgraph.inputs, *subgraph.nodes), at)
    repeat = int(repeat) if isinstance(repeat, float) and repeat.is_integer() else repeat
    if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 1:
        at.add(("repeat",), f"'repeat' is a whole number, 1 or more, not {describe(repeat)}")
    elif repeat > 1 and not subgraph.inputs:
        at.add(("repeat",), f"{subgraph.name!r} cannot be repeated: it has no input to chain the copies by")
    elif repeat > 1 and len(subgraph.outputs) > len(subgraph.inputs):
        what = f"it hands on {', '.join(subgraph.outputs)}, and takes {', '.join(subgraph.inputs)}"
        at.add(("repeat",), f"{subgraph.name!r} cannot be repeated: {what}")
    for name in over:
        if name in subgraph.inputs[: len(subgraph.outputs)]:
            fed = counted(len(subgraph.outputs), "input")
            hint = f"the first {fed} of {subgraph.name!r} come from the copy before; put it behind them"
            at.add(("over",), f"{quote(name)} cannot be cut into slices", suggestion=hint)
    if (over or collect) and "repeat" not in (entry.settings or {}):
        key = "over" if over else "collect"
        at.add((key,), f"{key!r} goes with 'repeat'", suggestion="write repeat: 100, how many copies there are")
    if not isinstance(share, bool):
        at.add(("share",), f"'share' is true or false, not {describe(share)}")
    if len(entry.inputs) != len(subgraph.inputs):
        takes = f"{subgraph.name}({', '.join(subgraph.inputs)}) takes {counted(len(subgraph.inputs), 'input')}"
        at.add(("inputs",), f"{takes}, not {len(entry.inputs)}")
    training = {key: given.pop(key) for key in TRAINING if key in given and key not in subgraph.settings}
    for key in given:
        if key not in subgraph.settings:
            near = did_you_mean(key, [*subgraph.settings, *INSTANCE_KEYS, *TRAINING])
            message = f"the subgraph {subgraph.name!r} has no setting {quote(key)}"
            at.add((key,), message, suggestion=near or _all_settings(subgraph), key=True)
    settings: dict[str, Any] = {}
    for key, default in subgraph.settings.items():
        value = given.get(key)
        settings[key] = substitute(default, settings) if value is None else value
        if settings[key] is None:
            name = subgraph.name
            hint = f"write {name}(..., {key}=...)" if at.expression else f"write {{type: {name}, ..., {key}: ...}}"
            at.add((), f"the subgraph {subgraph.name!r} needs the setting {key!r}", suggestion=hint, key=True)
    is_small(settings, at, key=True)
    said = read_training((), training, at)
    if len(at) > before:
        return None
    return Instance(subgraph, settings, repeat, share, over, collect, said)


def _names_of(
    given: dict[str, Any], key: str, subgraph: Subgraph, known: Sequence[str], at: Problems
) -> tuple[str, ...]:
    """Take the names out of the settings that a key of an instance has, and check them."""
    raw = given.pop(key, ())
    names = listed(raw)
    if names is None:
        at.add((key,), f"{key!r} is a list of names, not {describe(raw)}", suggestion=f"write [{known[-1]}]")
    for name in names or ():
        if name not in known:
            what = "input" if key == "over" else "input or node"
            shown = [own for own in known if "." not in own][:8]
            hint = partial(_near_or_all, name, known, shown)
            at.add((key,), f"the subgraph {subgraph.name!r} has no {what} {quote(name)}", suggestion=hint)
    return names or ()


def is_small(value: Any, at: Problems, path: Path = (), *, key: bool = False) -> bool:
    """Say whether a value is not too large, after telling that it is."""
    try:
        check_extent(value)
    except TooLargeError as error:
        at.add(path, str(error), key=key)
        return False
    return True


def _near_or_all(name: str, known: Sequence[str], shown: Sequence[str]) -> str:
    return did_you_mean(name, known) or f"there are: {', '.join(shown)}"


def _all_settings(subgraph: Subgraph) -> str:
    return f"its settings are: {', '.join(subgraph.settings)}" if subgraph.settings else "it has no settings"
