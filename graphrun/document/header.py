"""The sections that are pydantic models: validated, with pydantic's errors put into plain words and places."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from graphrun.base.types import MOST
from graphrun.base.wording import describe, did_you_mean, quote
from graphrun.document.marks import Path
from graphrun.document.models import ExpectEntry, Header, StopEntry, StopHoldoutEntry, UncertaintyEntry
from graphrun.document.parameters import check_value
from graphrun.document.problems import Problems
from graphrun.document.slips import SECTIONS as SECTIONS_ELSEWHERE
from graphrun.document.slips import number_of

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# Their null stands for an empty section.
EMPTY: dict[str, Any] = {"stop": {}, "record": [], "expect": []}
OTHER_KEYS = ("include", "subgraphs", "parameters", "constants", "nodes", "update", "data", "sweep")

# Everything that a graph file can have at its top.
SECTIONS = (*Header.model_fields, *OTHER_KEYS)

MODELS: dict[tuple[str, ...], type[BaseModel]] = {
    (): Header,
    ("stop",): StopEntry,
    ("stop", "holdout"): StopHoldoutEntry,
    ("uncertainty",): UncertaintyEntry,
    ("expect",): ExpectEntry,
}

KINDS = ("least_squares", "likelihood")

# What the elements of a section are, where the section's own description tells of all of them.
ELEMENTS = {"record": "a name", "expect": "a mapping of 'at', 'values', 'gradients', 'tolerance'"}


def read_header(raw: dict[str, Any], problems: Problems) -> Header:
    """Return the sections of a file as one model; those with a problem are left at their defaults."""
    given = {key: EMPTY[key] if value is None and key in EMPTY else value for key, value in raw.items()}
    if "maximize" in given and "minimize" in given:
        message = "both 'maximize' and 'minimize' are given: a graph has one objective"
        problems.add(("minimize",), message, key=True, suggestion="keep one of the two")
        del given["minimize"]
    try:
        header = Header.model_validate(given)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False)
        for details in errors:
            _add(details, given, problems)
        failed = {details["loc"][0] for details in errors}
        header = Header.model_validate({key: value for key, value in given.items() if key not in failed})
    return header if _expectations_hold(header, given, problems) else header.model_copy(update={"expect": ()})


def _add(details: ErrorDetails, raw: dict[str, Any], problems: Problems) -> None:
    """Add one of pydantic's errors as a problem."""
    value, path = details["input"], _path(details["loc"], raw)
    names = tuple(str(part) for part in path if not isinstance(part, int))
    if details["type"] == "extra_forbidden":
        known = [*MODELS[names[:-1]].model_fields, *(OTHER_KEYS if len(names) == 1 else ())]
        # Not computed here: only 20 problems are shown, and there may be as many as keys.
        if names == ("expect", names[-1]) and not did_you_mean(names[-1], known):
            problems.add(path, f"unknown key {quote(names[-1])}", suggestion="write {values: {f: 1}}", key=True)
            return
        advice = SECTIONS_ELSEWHERE.get(names[-1].lower()) if len(names) == 1 else None
        suggestion = advice or partial(did_you_mean, names[-1], known)
        problems.add(path, f"unknown key {quote(names[-1])}", suggestion=suggestion, key=True)
        return
    if details["type"] == "missing" and names in MODELS:
        key = str(details["loc"][-1])
        expected = MODELS[names].model_fields[key].description
        problems.add(path, f"{quote(names[-1])} needs the key {quote(key)}, {expected}", key=True)
        return
    field = MODELS[names[:-1]].model_fields[names[-1]] if names[:-1] in MODELS else None
    if isinstance(path[-1], int):
        expected = ELEMENTS[names[-1]]
    else:
        expected = (field.description if field is not None else None) or "a name"
    if value is None:
        problems.add(path, f"a value is needed here: {quote(names[-1])} takes {expected}")
        return
    subject = f"an element of {quote(names[0])}" if isinstance(path[-1], int) else quote(names[-1])
    message = f"{subject} takes {expected}, not {describe(value)}"
    problems.add(path, message, suggestion=_way_out(names[-1], value, expected))


def _path(location: tuple[int | str, ...], raw: Any) -> Path:
    """Return the part of pydantic's location that consists of keys and indices of the file.

    An expectation that stands alone was made a list for validation, and keys of mappings are followed by "[key]".
    """
    path: list[int | str] = []
    for part in location:
        if part in raw if isinstance(raw, dict) else isinstance(raw, list) and isinstance(part, int):
            raw = raw[part]
            path.append(part)
    return tuple(path)


def _way_out(name: str, value: Any, expected: str) -> str | None:
    """Suggest what to write instead of a value of the wrong kind."""
    if name == "dtype" and isinstance(value, str):
        return did_you_mean(value, ("float64", "float32")) or "write float64 or float32"
    if name == "keep" and isinstance(value, str):
        return did_you_mean(value, ("best", "last")) or "write best or last"
    if name == "record" and isinstance(value, str):
        return f"write a list: [{', '.join(value.replace(',', ' ').split())}]" if len(value) < 60 else "write a list"
    if isinstance(value, int) and value > MOST:
        return f"the largest is {MOST:,}"
    if name in ("uncertainty", "kind") and isinstance(value, str):
        return did_you_mean(value, KINDS) or "least_squares is for residuals, likelihood for a sum of -log(p)"
    if name == "level" and isinstance(value, int | float) and 1 < value < 100:
        return f"write {value / 100:g}"
    if name == "stop" and isinstance(value, float) and value < 1:
        return f"write {{change: {value:g}}}"
    if isinstance(value, str) and "number" in expected:
        try:
            float(value)
        except ValueError:
            found = number_of(value)
            return f"write {found}" if found and (found.isdigit() or "whole" not in expected) else None
        return f"write {value.strip()} without quotes" if len(value) < 60 else None
    if expected in ("a name", "the name of a node or a parameter") and isinstance(value, list) and len(value) == 1:
        return f"write {value[0]}" if isinstance(value[0], str) and len(value[0]) < 60 else None
    return None


def _expectations_hold(header: Header, raw: dict[str, Any], problems: Problems) -> bool:
    """Check the numbers of the expectations, which pydantic would take too long for."""
    before = len(problems)
    for index, entry in enumerate(header.expect):
        path: Path = ("expect",) if isinstance(raw["expect"], dict) else ("expect", index)
        for key, values in (
            ("values", entry.values),
            ("gradients", entry.gradients),
            ("std_errors", entry.std_errors),
        ):
            for name, value in values.items():
                check_value((*path, key, name), value, problems)
    return len(problems) == before
