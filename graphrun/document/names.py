"""What may be a name: a Python identifier in its normal form, so that expressions and generated code can use it."""

import itertools
import keyword
import re
import unicodedata
from typing import Any

from graphrun.base.wording import describe, quote
from graphrun.document.problems import Problems
from graphrun.document.slips import no_mapping, no_name

# Expressions read these as literals, in Python's spelling and in YAML's.
LITERALS = ("true", "false", "null", "none")

RESERVED = frozenset(keyword.kwlist) | {
    "".join(letters)
    for literal in LITERALS
    for letters in itertools.product(*((letter, letter.upper()) for letter in literal))
}


COMMAS = "within { } a text with commas needs quotes"

_NUMBER = re.compile("[1-9][0-9]*")


def normalize(name: str) -> str:
    """Return a name as Python reads identifiers: in Unicode's normal form NFKC, where "ﬁ" is "fi"."""
    return name if name.isascii() else unicodedata.normalize("NFKC", name)


def is_name(name: str) -> bool:
    """Say whether a normalized text can name a parameter, a constant or a node."""
    if name.isidentifier():
        return name not in RESERVED
    # A graph that is shown expanded has the names of what expressions and subgraphs made: f.1, hidden.W.
    first, *others = name.split(".")
    return bool(others) and all(
        (part.isidentifier() and part not in RESERVED) or (position > 0 and _NUMBER.fullmatch(part))
        for position, part in enumerate([first, *others])
    )


def why_no_name(name: str) -> tuple[str, str | None]:
    """Return what is wrong with a text that is no name, and a name to take instead."""
    if name.lower() in LITERALS:
        return f"{quote(name)} cannot be a name: it is a value in YAML or in Python", f"write {name.lower()}_"
    if name in RESERVED:
        return f"{quote(name)} cannot be a name: it is a keyword of Python", f"write {name}_"
    message = f"{quote(name)} cannot be a name: letters, digits and '_' are allowed, and no digit comes first"
    if not name.strip():
        return "an empty text cannot be a name", None
    advice = no_name(name)
    if advice:
        return message, advice
    if "(" in name or ")" in name:
        return message, COMMAS
    similar = re.sub(r"\W+", "_", name).strip("_")
    similar = similar if is_name(similar) else f"_{similar}"
    return message, f"write {quote(similar)[1:-1]}" if is_name(similar) and similar.strip("_") else None


def under_names(section: str, raw: Any, problems: Problems, broken: set[str], *, dotted: bool = True) -> dict[str, Any]:
    """Return a section under its normalized names, without those that cannot be names or stand twice; empty for null.

    `dotted` allows names as instances of subgraphs and expressions make them.
    """
    result: dict[str, Any] = {}
    if not isinstance(raw, dict):
        if raw is not None:
            advice, names = no_mapping(section, raw)
            broken.update(map(normalize, names))
            problems.add((section,), f"{section!r} is a mapping of names, not {describe(raw)}", suggestion=advice)
        return result
    for key, value in raw.items():
        name = key if key.isascii() else normalize(key)
        if not is_name(name) or not (dotted or name.isidentifier()):
            message, suggestion = why_no_name(name)
            problems.add((section, key), message, suggestion=suggestion, key=True)
            broken.update([name, *map(normalize, no_mapping(section, name)[1])])
        elif name in result:
            message = f"the name {quote(name)} stands twice: Unicode's normal form NFKC makes two keys one name"
            problems.add((section, key), message, key=True)
        else:
            result[name] = value
    return result
