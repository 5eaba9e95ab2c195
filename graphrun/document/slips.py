"""Slips of the first hours, mostly what other programs and languages write, and the advice that each gets."""

import math
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from graphrun.base.wording import quote

# What other programs call a section of a graph file.
SECTIONS = {
    **dict.fromkeys(("objective", "loss", "cost", "goal", "target"), "write minimize: f, or maximize: f"),
    **dict.fromkeys(("optimizer", "optimiser", "solver", "method", "trainer"), "write update: {type: sgd}"),
    **dict.fromkeys(
        ("learning_rate", "lr", "step_size", "rate", "eta", "alpha"), "write update: {type: sgd, step_size: 0.01}"
    ),
    **dict.fromkeys(
        (
            *("epochs", "epoch", "n_epochs", "num_epochs", "iterations", "iters", "max_iter", "maxiter", "n_iter"),
            *("n_steps", "num_steps", "max_steps", "iteration", "train_steps"),
        ),
        "write steps: 10, the number of updates",
    ),
    **dict.fromkeys(("variables", "vars", "params", "weights", "leaves", "trainable"), "write parameters: {a: 1}"),
    **dict.fromkeys(("consts", "inputs", "fixed"), "write constants: {c: 1}"),
    **dict.fromkeys(("dataset", "datasets", "file", "csv", "rows", "train"), "write data: {file: rows.csv}"),
    **dict.fromkeys(("batch_size", "shuffle", "holdout", "folds", "columns"), "it belongs under 'data'"),
    **dict.fromkeys(("patience", "tolerance", "tol", "early_stopping", "until"), "write stop: {change: 1e-9}"),
    **dict.fromkeys(("save_best", "best", "checkpoint", "restore_best_weights"), "write keep: best"),
    **dict.fromkeys(
        (
            "functions",
            "operations",
            "ops",
            "graph",
            "layers",
            "equations",
            "expressions",
            "model",
            "compute",
            "formulas",
        ),
        "write nodes: {f: a + b}",
    ),
    **dict.fromkeys(("errors", "std_errors", "stderr", "confidence", "covariance"), "write uncertainty: least_squares"),
    **dict.fromkeys(
        ("pretrained", "checkpoint", "warm_start", "init_from", "finetune", "fine_tune", "load", "restore"),
        "write start: checkpoint.safetensors",
    ),
    **dict.fromkeys(("random_seed", "random_state", "rng"), "write seed: 0"),
    **dict.fromkeys(("outputs", "output", "log", "monitor", "track", "print", "show"), "write record: [f]"),
    **dict.fromkeys(("imports", "import", "includes", "use"), "write include: [layers.yaml]"),
    **dict.fromkeys(("assert", "asserts", "test", "tests", "expected"), "write expect: {values: {f: 1}}"),
    **dict.fromkeys(("precision", "float"), "write dtype: float32"),
    **dict.fromkeys(("name", "title", "comment", "about"), "write description: ..."),
    **dict.fromkeys(("version", "format"), "write graphrun: 1"),
}

# What a type of one input is called for several.
OF_SEVERAL = {
    "max": "the larger of two inputs is maximum(a, b)",
    "min": "the smaller of two inputs is minimum(a, b)",
    "sum": "the sum of several inputs is a + b; sum adds up the elements of one",
    "mean": "the mean of two inputs is (a + b) / 2; mean is that of the elements of one",
    "prod": "the product of several inputs is a * b; prod multiplies the elements of one",
    "add": "write a + b + c",
    "multiply": "write a * b * c",
    "maximum": "write maximum(a, maximum(b, c))",
    "minimum": "write minimum(a, minimum(b, c))",
    "matmul": "write a @ b @ c",
    "exp": "a power of another base is a ** b",
    "log": "a logarithm to another base is log2(x), log10(x) or log(x) / log(b)",
    "sqrt": "another root is x ** (1 / n)",
    "atan": "the angle of a point is atan2(y, x)",
    "round": "to some digits: round(x * 100) / 100",
}

# What other programs call a key of a parameter.
OF_PARAMETER = {
    **dict.fromkeys(("min", "minimum", "low", "lb", "lower_bound", "ge"), "write lower: 0"),
    **dict.fromkeys(("max", "maximum", "high", "ub", "upper_bound", "le"), "write upper: 1"),
    **dict.fromkeys(("bounds", "range", "limits"), "write lower: 0, upper: 1"),
    **dict.fromkeys(("start", "initial", "init_value", "x0", "default", "guess", "val"), "write value: 1"),
    **dict.fromkeys(("initializer", "initialize", "distribution", "random"), "write init: {type: normal}"),
    **dict.fromkeys(("size", "dims", "dimensions", "sizes"), "write shape: [3, 4]"),
    **dict.fromkeys(("trainable", "requires_grad", "fixed", "freeze", "constant", "vary"), "write frozen: true"),
    **dict.fromkeys(("lr", "learning_rate", "lr_scale", "lr_mult"), "write step_size: 0.1, a factor of the rule's"),
    **dict.fromkeys(("decay", "l2", "decay_mult", "wd"), "write weight_decay: 0, a factor of the rule's"),
}

# What other programs give an update rule.
OF_RULE = {
    "momentum": "write {type: momentum, ...}, which is a rule of its own",
    "nesterov": "write {type: nesterov, ...}, which is a rule of its own",
    "amsgrad": "no rule has it; adam is without",
    "betas": "they are called 'beta1' and 'beta2' here",
    "decay": "a step size that falls is a schedule, as in step_size: {type: cosine, start: 0.1, steps: 1000}",
    "rate": "it is called 'step_size' here",
    "alpha": "it is called 'step_size' here",
    "rho": "it is called 'decay' here",
    "steps": "it stands at the top of the file: steps: 10",
    "tol": "it stands at the top of the file: stop: {change: 1e-9}",
}

# The keys under which some would put an expression.
EXPRESSION_KEYS = ("expr", "expression", "formula", "equation", "eq", "value", "function", "f", "op", "operation")

NUMBERS = {"pi": math.pi, "e": math.e, "tau": math.tau}

OPERATIONS: dict[str, Callable[[float, float], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "^": operator.pow,
}

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_SUM = re.compile(rf"\s*({_NUMBER}|\w+)\s*(?:(\*\*|\^|[-+*/])\s*({_NUMBER}|\w+))?\s*(%?)\s*")
_GLUED = re.compile(r"(?<!\S)([^\W\d]\w*):(?=[^\s:/])")
_ASSIGNED = re.compile(r"(?<!\S)([^\W\d]\w*)\s*:?=(?!=)\s*")


def number_of(text: str) -> str | None:
    """Return the number that a text of one operation stands for, as 1/3, 2*pi, 10^-3, 5%; None for any other."""
    if text.rstrip().endswith((";", ",")):
        # Other languages end lines by them.
        text = text.rstrip()[:-1]
        if re.fullmatch(_NUMBER, text.strip()):
            return text.strip()
    found = _SUM.fullmatch(text[:100])
    if found is None or len(text) > 100:
        return None
    left, sign, right, percent = found.groups()
    if (not sign and not percent and left.lower() not in NUMBERS) or (percent and sign):
        return None
    try:
        x = NUMBERS[left.lower()] if left.lower() in NUMBERS else float(left)
        y = 1.0 if not right else NUMBERS[right.lower()] if right.lower() in NUMBERS else float(right)
        value = x / 100 if percent else OPERATIONS[sign](x, y) if sign else x
    except (ValueError, ArithmeticError):
        return None
    if isinstance(value, complex) or not math.isfinite(value):
        return None
    return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def known_number(name: str) -> str | None:
    """Say how the number that a name stands for in other languages is written: pi, math.e, np.inf."""
    own = name.rpartition(".")[2].lower()
    if own in NUMBERS:
        instead = "put it under 'constants'" if own == "tau" else f"{own} in an expression"
        return f"write {NUMBERS[own]!r}, or {instead}"
    if own in ("inf", "infinity", "nan"):
        return "a number is finite; write the limit itself"
    return None


def no_mapping(section: str, raw: Any) -> tuple[str | None, list[str]]:
    """Return what to write in place of a section that is no mapping, and the names that it was meant to declare."""
    if isinstance(raw, str):
        assigned, glued = list(_ASSIGNED.finditer(raw)), list(_GLUED.finditer(raw))
        if assigned:
            rest = raw[assigned[0].end() : assigned[1].start() if len(assigned) > 1 else len(raw)].strip()
            written = f"{assigned[0][1]}: {rest}"
            return f"a name is followed by ':', not by '=': write {quote(written)[1:-1]}", [m[1] for m in assigned]
        if glued:
            rest = raw[glued[0].end() : glued[1].start() if len(glued) > 1 else len(raw)].strip()
            written = f"{glued[0][1]}: {rest}"
            return f"a ':' needs a space after it: {quote(written)[1:-1]}", [m[1] for m in glued]
        return f"write {section}: and below it names with their values, as in a: 1, indented", [raw]
    if isinstance(raw, list):
        entries = [entry for entry in raw if isinstance(entry, dict)]
        if entries and all("name" in entry and len(entry) > 1 for entry in entries):
            names = [str(entry["name"]) for entry in entries]
            return f"leave out the '- name:': write {quote(names[0])[1:-1]}: and below it the others, indented", names
        advice = "leave out the '-': each name stands once, as a key" if entries else None
        return advice, list(_names_in(raw))
    return None, []


def no_name(text: str) -> str | None:
    """Return what to write in place of a key that is a whole line: ``f = a * 2``, ``a:1``."""
    return no_mapping("", text)[0] if _ASSIGNED.match(text) or _GLUED.match(text) else None


def assignment(line: str) -> tuple[int, str] | None:
    """Return where a line of a file has '=' in place of ':', and what to write; None where it has not."""
    found = re.match(r"[\s-]*([^\W\d]\w*)\s*(=)(?!=)\s*(?=\S)", line)
    if found is None:
        return None
    written = f"{found[1]}: {line[found.end() :].strip()}"
    return found.start(2), f"write {quote(written)[1:-1]}"


def expression_in_mapping(name: str, node: dict[str, Any]) -> str | None:
    """Return what to write in place of a mapping that holds an expression: {type: a + 1}, {expr: a + 1}."""
    for key in ("type", *EXPRESSION_KEYS):
        text = node.get(key)
        is_alone = set(node) <= {key, "inputs", "type"} and not node.get("inputs")
        if isinstance(text, str) and is_alone and re.search(r"[-+*/@()]", text):
            return f"an expression stands alone: write {name}: {quote(text)[1:-1]}"
    return None


def _names_in(raw: list[Any]) -> Iterator[str]:
    for entry in raw:
        if isinstance(entry, dict):
            yield from entry
        elif isinstance(entry, str):
            yield re.split(r"[:=\s]", entry, maxsplit=1)[0]
