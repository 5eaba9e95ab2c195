"""Expressions: ``(a + b) * c`` becomes plain nodes. The text is parsed by Python's `ast` and never evaluated.

Made nodes are numbered in the order of evaluation, operands first, left to right; equal parts of one expression are
one node; the last node has the expression's own name.
"""

import ast
import re
import unicodedata
import warnings
from keyword import kwlist
from typing import Any, NamedTuple

from graphrun.base.wording import did_you_mean, quote
from graphrun.document.names import normalize
from graphrun.document.references import Reference
from graphrun.document.slips import number_of

MOST_CHARACTERS = 100_000
MOST_LEVELS = 200

# Python's parser follows a + b + c + ... into a depth that depends on its version and on the caller's stack.
MOST_IN_A_ROW = 2000

OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "pow",
    ast.MatMult: "matmul",
    ast.USub: "negative",
}

# What has no operator here is a node type that is called.
INSTEAD: dict[type[ast.AST], tuple[str, str | None]] = {
    ast.Mod: ("%", "write remainder(x, y)"),
    ast.FloorDiv: ("//", "write floor(x / y)"),
    ast.BitXor: ("^", "write x ** y for a power, logical_xor(x, y) for the logical operation"),
    ast.BitAnd: ("&", "write logical_and(x, y)"),
    ast.BitOr: ("|", "write logical_or(x, y)"),
    ast.LShift: ("<<", "write x * 2 ** n"),
    ast.RShift: (">>", "write floor(x / 2 ** n)"),
    ast.UAdd: ("+ in front of a value", "leave it out"),
    ast.Invert: ("~", "write logical_not(x)"),
    ast.Not: ("not", "write logical_not(x)"),
    ast.And: ("and", "write logical_and(x, y)"),
    ast.Or: ("or", "write logical_or(x, y)"),
    ast.Lt: ("<", "write less(x, y)"),
    ast.LtE: ("<=", "write less_equal(x, y)"),
    ast.Gt: (">", "write greater(x, y)"),
    ast.GtE: (">=", "write greater_equal(x, y)"),
    ast.Eq: ("==", "write equal(x, y)"),
    ast.NotEq: ("!=", "write not_equal(x, y)"),
    ast.IfExp: ("if ... else", "write where(condition, x, y)"),
    ast.Subscript: ("[...]", "write take(x, 0) for an element, slice(x, start=0, stop=2) for a part"),
    ast.Lambda: ("lambda", "write a subgraph"),
    ast.NamedExpr: (":=", "give the value a node of its own"),
    ast.Is: ("is", "write equal(x, y)"),
    ast.IsNot: ("is not", "write not_equal(x, y)"),
    ast.In: ("in", None),
    ast.NotIn: ("not in", None),
}

# What Python has besides: a word for it.
NOTHING_OF_THE_KIND: dict[type[ast.AST], str] = {
    ast.JoinedStr: "a formatted text",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.Await: "'await'",
    ast.Yield: "'yield'",
    ast.YieldFrom: "'yield'",
    ast.List: "a list",
    ast.Tuple: "a list with commas",
    ast.Set: "a set",
    ast.Dict: "a mapping",
    ast.Starred: "'*' in front of a value",
}

# What text processors and keyboards put in place of an operator.
LOOKALIKES = {
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{FULLWIDTH HYPHEN-MINUS}": "-",
    "\N{FULLWIDTH PLUS SIGN}": "+",
    "\N{MULTIPLICATION SIGN}": "*",
    "\N{MIDDLE DOT}": "*",
    "\N{DOT OPERATOR}": "*",
    "\N{ASTERISK OPERATOR}": "*",
    "\N{FULLWIDTH ASTERISK}": "*",
    "\N{DIVISION SIGN}": "/",
    "\N{DIVISION SLASH}": "/",
    "\N{SUPERSCRIPT TWO}": "** 2",
    "\N{SUPERSCRIPT THREE}": "** 3",
    "\N{SQUARE ROOT}": "sqrt(x)",
    "\N{FULLWIDTH LEFT PARENTHESIS}": "(",
    "\N{FULLWIDTH RIGHT PARENTHESIS}": ")",
}

# A word of settings' literals that YAML and Python spell differently.
WORDS = {"true": True, "false": False, "null": None, "none": None}

# Keywords that have no meaning in an expression, not even a wrong one.
NO_WORDS = frozenset(kwlist) - {"and", "or", "not", "in", "is", "if", "else", "for", "await", "yield"}

# `$name` of a subgraph and the dot of `f.1` are no Python: while parsing, letters of the same length stand for them.
DOLLAR_LETTER = "\N{LATIN LETTER RETROFLEX CLICK}"
DOT_LETTER = "\N{LATIN LETTER ALVEOLAR CLICK}"
_DOTTED_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*(?:\.\w+)+")
_DOT_OF_NUMBER = re.compile(r"\.(?=\d)")
# Texts in quotes are passed over; what else it finds cannot stand in an expression.
_TEXT_OR_OFFENDER = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|(#|\\|(?<=\w)\$|\$(?![^\W\d]))")
_PRODUCT_WITHOUT_SIGN = re.compile(r"\d\s*[A-Za-z_(]|\)\s*[\w(]")
_INVALID_CHARACTER = re.compile(r"invalid (?:non-printable )?character .*?\(?U\+([0-9A-F]+)")


class ExpressionError(ValueError):
    """Something that an expression cannot have; `offset` counts characters of the expression."""

    def __init__(self, message: str, offset: int, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.suggestion = suggestion


class MadeNode(NamedTuple):
    """A node that an expression makes.

    Attributes:
        type: the name of its type.
        inputs: names, numbers, references, and made nodes as ``(number,)``, counted from 0.
        settings: settings by name.
        offsets: where the node, and each of its inputs, stands in the expression, in characters.
        places: where the name and the value of each setting stand.
    """

    type: str
    inputs: tuple[Any, ...]
    settings: dict[str, Any]
    offsets: tuple[int, ...]
    places: dict[str, tuple[int, int]] = {}  # noqa: RUF012 (shared on purpose: nobody changes it)


def parse_expression(text: str) -> list[MadeNode]:
    """Turn an expression into nodes, operands before the nodes that use them.

    Raises:
        ExpressionError: the text is no expression of the grammar.
    """
    if len(text) > MOST_CHARACTERS:
        raise ExpressionError(f"an expression has at most {MOST_CHARACTERS:,} characters, this one {len(text):,}", 0)
    return _Parser(text).parse()


class _Parser:
    """Walks the syntax tree, which is as deep as the text nests, and gathers nodes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.made: list[MadeNode] = []
        self.known: dict[Any, tuple[int]] = {}

    def parse(self) -> list[MadeNode]:
        tree = self.tree()
        result = self.value(tree, 0)
        if isinstance(result, float | int):
            raise ExpressionError("a number is no node: put it under 'constants' or 'parameters'", 0)
        if not isinstance(result, tuple):
            self.make("identity", (result,), {}, (self.offset(tree), self.offset(tree)))
        return self.made

    def tree(self) -> ast.expr:
        """Parse the text by Python's grammar."""
        for match in _TEXT_OR_OFFENDER.finditer(self.text):
            if match[1] == "$":
                raise ExpressionError("'$' stands in front of a setting's name", match.start())
            if match[1]:
                raise ExpressionError(f"'{match[1]}' has no meaning in an expression", match.start())
        for letter in (DOLLAR_LETTER, DOT_LETTER):
            if letter in self.text:
                raise ExpressionError(f"{letter!r} cannot stand in an expression", self.text.index(letter))
        # Line ends of a folded or quoted scalar are blanks, and Python takes blanks in front for indentation.
        self.text = re.sub(r"[\s\0]", " ", self.text).replace("$", DOLLAR_LETTER)
        self.text = _DOTTED_NAME.sub(lambda name: _DOT_OF_NUMBER.sub(DOT_LETTER, name[0]), self.text)
        indent = len(self.text) - len(self.text.lstrip())
        if indent == len(self.text):
            raise ExpressionError("the expression is empty", 0)
        self.line = self.text[indent:]
        self.indent = indent
        self.ascii = self.line.isascii()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(self.line, mode="eval").body
        except SyntaxError as error:
            raise self.syntax_error(error) from None
        except (RecursionError, MemoryError):
            raise ExpressionError("the expression is too deep or too long: split it into several nodes", 0) from None
        except ValueError:
            raise ExpressionError("the expression has characters that stand for nothing", 0) from None

    def syntax_error(self, error: SyntaxError) -> ExpressionError:
        """Say in plain words what Python's parser did not like."""
        message = _written(error.msg or "invalid syntax")
        if not error.offset:
            # Python tells no place where the text ends too early.
            return ExpressionError("the expression ends too early", len(self.text.rstrip()))
        offset = min(max(error.offset - 1, 0) + self.indent, max(len(self.text) - 1, 0))
        if "too many nested" in message:
            return ExpressionError(f"an expression nests at most {MOST_LEVELS} levels: split it", offset)
        if "integer string conversion" in message:
            return ExpressionError("the number is too large", offset)
        invalid = _INVALID_CHARACTER.match(message)
        if invalid:
            character = chr(int(invalid[1], 16))
            instead = LOOKALIKES.get(character) or unicodedata.normalize("NFKC", character)
            is_other = instead != character and instead.isprintable()
            what = f"the character {quote(character)} (U+{invalid[1]}) cannot stand in an expression"
            return ExpressionError(what, offset, f"write {instead}" if is_other else None)
        keyword_found = next((m for m in re.finditer(r"(?<![\w.$])[a-z]+(?!\w)", self.text) if m[0] in NO_WORDS), None)
        if keyword_found is not None:
            what = f"{quote(keyword_found[0])} cannot be a name: it is a keyword of Python"
            return ExpressionError(what, keyword_found.start(), f"write {keyword_found[0]}_")
        if "leading zeros" in message:
            return ExpressionError("a number does not begin with 0", offset)
        if message.startswith(("invalid syntax", "invalid decimal literal", "cannot assign")):
            return self.misplaced(offset)
        hint = "write where(condition, x, y)" if "'if'" in message else None
        return ExpressionError(message[0].lower() + message[1:], offset, hint)

    def misplaced(self, offset: int) -> ExpressionError:
        """Say that what stands here cannot stand here."""
        rest = self.text[offset:].lstrip()
        equals = re.search(r"(?<![=<>!])=(?!=)", self.text)
        product = _PRODUCT_WITHOUT_SIGN.match(self.text, offset) or re.match(r"[\w(]", rest)
        if equals and "(" not in self.text[: equals.start()]:
            return ExpressionError("'=' is not part of expressions", equals.start(), "the name stands before the ':'")
        suggestion = "an operator or parentheses are missing: write a * b, or sin(a)" if product else None
        if rest[:1] == ";":
            suggestion = "leave it out"
        return ExpressionError(f"{quote(_written(rest.split(' ')[0]))} cannot stand here", offset, suggestion)

    def offset(self, node: ast.AST, *, end: bool = False) -> int:
        """Return where a part of the tree stands, or where it ends; `ast` counts bytes of UTF-8."""
        column: int = getattr(node, "end_col_offset" if end else "col_offset", None) or 0
        return self.indent + (column if self.ascii else len(self.line.encode()[:column].decode()))

    def value(self, node: ast.expr, level: int) -> Any:
        """Return what stands for a part: a name, a number, a reference, or a made node's ``(number,)``."""
        self.check_level(node, level)
        if isinstance(node, ast.BinOp):
            return self.chain(node, level)
        if isinstance(node, ast.UnaryOp):
            return self.unary(node, level)
        if isinstance(node, ast.Call):
            return self.call(node, level)
        if isinstance(node, ast.Constant):
            return self.number(node)
        if isinstance(node, ast.Name | ast.Attribute):
            return self.name(node)
        raise self.refused(node)

    def check_level(self, node: ast.expr, level: int) -> None:
        if level > MOST_LEVELS:
            raise ExpressionError(f"an expression nests at most {MOST_LEVELS} levels: split it", self.offset(node))

    def chain(self, node: ast.BinOp, level: int) -> Any:
        """Make the nodes of a + b + c + ..., whose left side may be thousands long, without recursion."""
        links: list[ast.BinOp] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp):
            links.append(left)
            left = left.left
        if len(links) > MOST_IN_A_ROW:
            message = f"an expression has at most {MOST_IN_A_ROW:,} operators in a row: split it into several nodes"
            raise ExpressionError(message, self.offset(node))
        result, offset = self.value(left, level + 1), self.offset(left)
        for link in reversed(links):
            kind = self.operator(link.op, link)
            right = self.value(link.right, level + 1)
            result = self.make(kind, (result, right), {}, (self.offset(link), offset, self.offset(link.right)))
            offset = self.offset(link)
        return result

    def unary(self, node: ast.UnaryOp, level: int) -> Any:
        kind = self.operator(node.op, node)
        operand = self.value(node.operand, level + 1)
        if isinstance(operand, int | float):
            return -operand
        return self.make(kind, (operand,), {}, (self.offset(node), self.offset(node.operand)))

    def call(self, node: ast.Call, level: int) -> Any:
        if not isinstance(node.func, ast.Name):
            raise self.no_type(node.func)
        inputs, offsets = [], [self.offset(node)]
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                raise ExpressionError("inputs are written one by one", self.offset(argument))
            inputs.append(self.value(argument, level + 1))
            offsets.append(self.offset(argument))
        settings: dict[str, Any] = {}
        places: dict[str, tuple[int, int]] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise ExpressionError("settings are written one by one", self.offset(keyword.value))
            key = normalize(_written(keyword.arg))
            if key in settings:
                raise ExpressionError(f"the setting {quote(key)} stands twice", self.offset(keyword))
            if key in ("type", "inputs"):
                raise ExpressionError(f"{key!r} is no setting", self.offset(keyword), "inputs stand before settings")
            places[key] = self.offset(keyword), self.offset(keyword.value)
            try:
                settings[key] = self.literal(keyword.value, level + 1)
            except ExpressionError as error:
                written = _written(self.text[self.offset(keyword.value) : self.offset(keyword.value, end=True)])
                number = number_of(written)
                call = f"{_written(node.func.id)}({quote(written)[1:-1]})"
                advice = [error.suggestion, f"write {number}" if number else f"an input has no name: {call}"]
                # Where there is an input already, a text without quotes is the likelier slip.
                error.suggestion = "; ".join(filter(None, advice if inputs else reversed(advice)))
                raise
        is_reference = node.func.id.startswith(DOLLAR_LETTER)
        name = normalize(node.func.id[1:] if is_reference else _written(node.func.id))
        return self.make(Reference(name) if is_reference else name, tuple(inputs), settings, tuple(offsets), places)

    def no_type(self, node: ast.expr) -> ExpressionError:
        """Make the error of a call of something else than a name."""
        hint = None
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            hint = f"write {_written(node.attr)}(...)"
        elif isinstance(node, ast.Constant | ast.BinOp | ast.Call):
            hint = "a product is written a * (b)"
        return ExpressionError("only node types can be called", self.offset(node), hint)

    def number(self, node: ast.Constant) -> int | float:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            written = quote(_written(self.text[self.offset(node) : self.offset(node, end=True)]).strip("'\""))
            hint = f"write {int(value)}" if isinstance(value, bool) else None
            if isinstance(value, str):
                hint = "names are written without quotes"
            raise ExpressionError(f"an input is a name or a number, not {written}", self.offset(node), hint)
        return self.finite(value, node)

    def finite(self, value: float, node: ast.AST) -> int | float:
        try:
            is_finite = abs(float(value)) != float("inf")
        except OverflowError:
            is_finite = False
        if not is_finite:
            raise ExpressionError("the number is too large", self.offset(node))
        return value

    def name(self, node: ast.expr) -> str:
        """Return a name, dotted or not, or a reference to a setting."""
        parts: list[str] = []
        part = node
        while isinstance(part, ast.Attribute):
            parts.append(part.attr)
            part = part.value
        if not isinstance(part, ast.Name):
            raise ExpressionError("a dot stands between names only", self.offset(node))
        parts.append(part.id)
        if part.id.startswith(DOLLAR_LETTER):
            if len(parts) > 1:
                raise ExpressionError("a setting stands alone: no dot follows it", self.offset(node))
            return Reference(normalize(part.id[1:]))
        return normalize(_written(".".join(reversed(parts))))

    def literal(self, node: ast.expr, level: int) -> Any:
        """Return a setting's value: a number, a text, a list, true, false, null, or a reference."""
        self.check_level(node, level)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return _written(node.value)
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float | None):
            return node.value if isinstance(node.value, bool | None) else self.finite(node.value, node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            number = self.literal(node.operand, level + 1)
            if isinstance(number, int | float) and not isinstance(number, bool):
                return -number
        if isinstance(node, ast.List | ast.Tuple):
            return [self.literal(item, level + 1) for item in node.elts]
        if isinstance(node, ast.Name):
            if node.id.startswith(DOLLAR_LETTER):
                return Reference(normalize(node.id[1:]))
            if node.id.lower() in WORDS:
                return WORDS[node.id.lower()]
            near = did_you_mean(node.id, ["true", "false", "null"])
            hint = f"a text needs quotes: '{_written(node.id)}'"
            message = f"a setting is a literal, not the name {quote(node.id)}"
            raise ExpressionError(message, self.offset(node), near or hint)
        raise ExpressionError("a setting is a number, a text, a list, true, false or null", self.offset(node))

    def operator(self, operator: ast.AST, node: ast.expr) -> str:
        if type(operator) in OPERATORS:
            return OPERATORS[type(operator)]
        raise self.refused(node, operator)

    def refused(self, node: ast.expr, operator: ast.AST | None = None) -> ExpressionError:
        """Make the error of a part that Python has and expressions have not; it points at the sign of an operator."""
        first: ast.expr | None = None
        if isinstance(node, ast.Compare):
            operator, first = node.ops[0], node.left
        elif isinstance(node, ast.BoolOp):
            operator, first = node.op, node.values[0]
        elif isinstance(node, ast.BinOp):
            first = node.left
        sign, suggestion = INSTEAD.get(type(operator or node), ("", None))
        offset = self.offset(node)
        if first is not None and sign:
            offset = max(self.text.find(sign, self.offset(first, end=True)), offset)
        what = repr(sign) if sign else NOTHING_OF_THE_KIND.get(type(node), "this")
        return ExpressionError(f"{what} is not part of expressions", offset, suggestion)

    def make(
        self,
        kind: str,
        inputs: tuple[Any, ...],
        settings: dict[str, Any],
        offsets: tuple[int, ...],
        places: dict[str, tuple[int, int]] | None = None,
    ) -> tuple[int]:
        """Add a node, or find the one that is equal."""
        # By their texts, for 0.0 and -0.0 are equal and not the same; a name and a made node have a type of their own.
        key = kind, tuple((type(part), repr(part)) for part in inputs), repr(settings)
        if key not in self.known:
            self.known[key] = (len(self.made),)
            self.made.append(MadeNode(kind, inputs, settings, offsets, places or {}))
        return self.known[key]


def _written(text: str) -> str:
    """Return a part of the text as its author wrote it."""
    return text.replace(DOLLAR_LETTER, "$").replace(DOT_LETTER, ".")
