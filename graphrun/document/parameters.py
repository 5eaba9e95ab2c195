"""The `parameters` and `constants` sections: leaf values and their bounds."""

from typing import Any, NamedTuple

from graphrun.base.wording import describe
from graphrun.document.marks import Path
from graphrun.document.names import is_name, normalize
from graphrun.document.numbers import LARGEST, MOST_AXES, NotANumberError, Shape, StoredValue, Value, shape_of
from graphrun.document.problems import Problems
from graphrun.document.slips import OF_PARAMETER
from graphrun.document.stored import KEYS as OF_FILE
from graphrun.document.stored import read_stored

FACTORS = ("step_size", "weight_decay")
TRAINING = ("frozen", *FACTORS)
"""What a parameter says of the update, or an instance of a subgraph for all that it has."""
ANOTHER_NAME = "under another name it begins as the file says"
KEYS = ("value", "lower", "upper", "shape", "init", "file", "key", *TRAINING)


class InitEntry(NamedTuple):
    """How a parameter of some shape is drawn: the name of an initializer and its settings, which are checked later."""

    type: str
    settings: dict[str, Any]


class Training(NamedTuple):
    """What an update does with some parameters: nothing, or what the factors of the rule's two settings make of it."""

    frozen: bool = False
    step_size: float = 1.0
    weight_decay: float = 1.0

    def within(self, outer: "Training") -> "Training":
        """Return what it is inside an instance that says something too."""
        factors = self.step_size * outer.step_size, self.weight_decay * outer.weight_decay
        return Training(self.frozen or outer.frozen, *factors)


class ParameterEntry(NamedTuple):
    """A parameter's start and its bounds; a bound may be a number or broadcast to the value's shape.

    The start is a value, or a shape and how to draw it. A name in a shape is that of a column of the data: the number
    of its categories, or of the columns of a matrix.
    """

    value: Value | None
    lower: Value | None = None
    upper: Value | None = None
    shape: tuple[Any, ...] = ()
    init: InitEntry | None = None
    training: Training = Training()


def read_training(path: Path, raw: dict[str, Any], problems: Problems) -> Training:
    """Return what a mapping says of the update; what is wrong is left out after it is told."""
    given: dict[str, Any] = {}
    for key in TRAINING:
        value = raw.get(key, Training._field_defaults[key])
        if key == "frozen" and not isinstance(value, bool):
            problems.add((*path, key), f"'frozen' is true or false, not {describe(value)}")
        elif key != "frozen" and (
            isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST
        ):
            hint = "the schedule stands under 'update'" if isinstance(value, dict) else None
            message = f"{key!r} of a parameter is what the update rule's is multiplied by, 0 or more"
            problems.add((*path, key), f"{message}, not {describe(value)}", suggestion=hint)
        else:
            given[key] = value
    return Training(**given)


def read_parameters(raw: dict[str, Any], problems: Problems, broken: set[str]) -> dict[str, ParameterEntry]:
    """Return the parameters; one with a problem is left out, and its name is added to `broken`."""
    result = {}
    for name, value in raw.items():
        entry = _read_parameter(("parameters", name), value, problems)
        if entry is None:
            broken.add(name)
        else:
            result[name] = entry
    return result


def read_constants(raw: dict[str, Any], problems: Problems, broken: set[str]) -> dict[str, Value]:
    """Return the constants; one with a problem is left out, and its name is added to `broken`."""
    result: dict[str, Value] = {}
    for name, value in raw.items():
        if isinstance(value, dict) and not {*OF_FILE}.isdisjoint(value):
            before = len(problems)
            problems.refuse_unknown(("constants", name), value, OF_FILE)
            stored = read_stored(("constants", name), value, problems) if len(problems) == before else None
            if stored is None:
                broken.add(name)
            else:
                result[name] = stored
        elif isinstance(value, dict) and "value" in value:
            message = "a constant is a number or a nested list of numbers, not a mapping"
            problems.add(("constants", name), message, suggestion="bounds are for 'parameters'")
            broken.add(name)
        elif check_value(("constants", name), value, problems) is None:
            broken.add(name)
        else:
            result[name] = value
    return result


def check_value(path: Path, value: Any, problems: Problems, *, infinite: bool = False) -> Shape | None:
    """Return the shape of a number or a nested list, or None after telling where it is neither."""
    try:
        return shape_of(value, infinite=infinite)
    except NotANumberError as error:
        problems.add((*path, *error.path), error.message, suggestion=error.suggestion)
        return None


def _read_parameter(path: Path, raw: Any, problems: Problems) -> ParameterEntry | None:
    if not isinstance(raw, dict):
        return None if check_value(path, raw, problems) is None else ParameterEntry(raw)
    before = len(problems)
    problems.refuse_unknown(path, raw, KEYS, advice=OF_PARAMETER)
    raw, stored = _with_stored(path, raw, problems) if not {*OF_FILE}.isdisjoint(raw) else (raw, None)
    drawn, training = _read_init(path, raw, problems), read_training(path, raw, problems)
    if "value" not in raw and stored is None and drawn is None and len(problems) == before:
        hint = "write {value: 1.0, lower: 0.0}, or {shape: [3, 4], init: {type: normal}}"
        problems.add(path, "the parameter has no 'value'", key=True, suggestion=hint)
    shapes: dict[str, Shape | None] = {
        key: check_value((*path, key), raw[key], problems, infinite=key != "value")
        for key in ("value", "lower", "upper")
        if key in raw
    }
    if len(problems) > before:
        return None
    value = raw.get("value") if stored is None else stored
    size, init = drawn or ((), None)
    entry = ParameterEntry(value, raw.get("lower"), raw.get("upper"), size, init, training)
    if stored is not None:
        shapes["value"] = stored.shape
    if drawn is not None:
        shapes["value"] = drawn[0]
    for key in ("lower", "upper"):
        shape, target = shapes.get(key), shapes["value"]
        if shape is not None and target is not None and not _broadcasts(shape, target):
            message = f"{key!r} of the shape {list(shape)} does not fit a value of the shape {list(target)}"
            problems.add((*path, key), message)
    if len(problems) == before:
        check_bounds(problems.at(path), entry)
    return entry if len(problems) == before else None


def _with_stored(path: Path, raw: dict[str, Any], problems: Problems) -> tuple[dict[str, Any], StoredValue | None]:
    """Return what a parameter has beside a value from a file, and that value."""
    for key in ("value", "shape", "init"):
        if key in raw:
            problems.add((*path, key), f"the parameter has a 'file': {key!r} is for one without", key=True)
            return raw, None
    return {key: value for key, value in raw.items() if key not in OF_FILE}, read_stored(path, raw, problems)


def _read_init(path: Path, raw: dict[str, Any], problems: Problems) -> tuple[Shape, InitEntry] | None:
    """Return a parameter's shape and how it is drawn; None where it has neither, or where something is wrong."""
    if "shape" not in raw and "init" not in raw:
        return None
    if "value" in raw:
        key = "shape" if "shape" in raw else "init"
        problems.add((*path, key), f"the parameter has a 'value': {key!r} is for one without", key=True)
        return None
    missing = "shape" if "shape" not in raw else "init" if "init" not in raw else None
    if missing is not None:
        hint = "write {shape: [3, 4], init: {type: normal}}"
        problems.add(path, f"the parameter has no {missing!r}", key=True, suggestion=hint)
        return None
    shape, init = raw["shape"], raw["init"]
    sizes = shape if isinstance(shape, list) else [None]
    if not all(is_name(size) if isinstance(size, str) else is_count(size) for size in sizes):
        hint = f"write [{shape}]" if isinstance(shape, int) else "write shape: [3, 4]"
        problems.add((*path, "shape"), "'shape' is a list of whole numbers, 0 or more", suggestion=hint)
        return None
    sizes = [normalize(size) if isinstance(size, str) else size for size in sizes]
    if len(sizes) > MOST_AXES:
        problems.add((*path, "shape"), f"an array has at most {MOST_AXES} axes, and these are {len(sizes):,}")
        return None
    if isinstance(init, str):
        return tuple(sizes), InitEntry(init, {})
    if not isinstance(init, dict) or not isinstance(init.get("type"), str):
        message = "'init' is a mapping with the 'type' of an initializer, or its name"
        problems.add((*path, "init"), message, suggestion="write init: {type: normal}")
        return None
    return tuple(sizes), InitEntry(init["type"], {key: value for key, value in init.items() if key != "type"})


def is_count(size: Any) -> bool:
    """Say whether something is a whole number, 0 or more."""
    return isinstance(size, int) and not isinstance(size, bool) and size >= 0


def _broadcasts(shape: Shape, target: Shape) -> bool:
    pairs = zip(reversed(shape), reversed(target), strict=False)
    return len(shape) <= len(target) and all(size in (1, wanted) for size, wanted in pairs)


def check_bounds(problems: Problems, entry: ParameterEntry, of: str = "") -> None:
    """Report crossed bounds, or the first element whose start is beyond them."""
    value, lower, upper = entry[:3]
    if lower is not None and upper is not None and _first_greater(lower, upper) is not None:
        shown = f": {lower} > {upper}" if not isinstance(lower, list) and not isinstance(upper, list) else ""
        problems.add(("lower",), f"'lower' is above 'upper'{shown}")
        return
    for key, word, bound in (("lower", "below", lower), ("upper", "above", upper)):
        if bound is None or value is None:
            continue
        index = _first_greater(bound, value) if key == "lower" else _first_greater(value, bound)
        if index is not None:
            start: Any = value.array if isinstance(value, StoredValue) else value
            for position in index:
                start = start[position]
            limit = "" if isinstance(bound, list) else f" {bound}"
            problems.add(("value", *index), f"the start {start}{of} is {word} its {key} bound{limit}")


def _first_greater(left: Value, right: Value) -> tuple[int, ...] | None:
    """Return the index of the first element of `left` that is above that of `right`, broadcast, or None."""
    if isinstance(left, int | float) and isinstance(right, int | float):
        return () if left > right else None
    # Imported here because NumPy takes longer to load than a file of scalars to be read.
    import numpy as np

    found = np.argwhere(np.asarray(left, dtype=float) > np.asarray(right, dtype=float))
    return tuple(int(index) for index in found[0]) if len(found) else None
