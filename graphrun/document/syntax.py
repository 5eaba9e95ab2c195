"""libyaml's errors in plain words.

libyaml says what its scanner was doing; a user needs to know what to change. The texts it uses are few; PyYAML's own
parser words some of them differently, so that both are matched by the part that they share.
"""

import re
from typing import Any

import yaml

from graphrun.base.wording import quote
from graphrun.document.marks import LINE_BREAK, GraphSyntaxError, Mark, mark_at
from graphrun.document.slips import assignment

NOT_ALLOWED = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A limit of the parser's own, in whatever context it is met.
LIMIT = re.compile(r"exceed|maximum|limit|too (?:long|large|big|deep|many)")
MISSING_SPACE = re.compile(r"^[\s-]*[\w.]+(:)[^\s:/]")


def explain(error: yaml.YAMLError, text: str) -> GraphSyntaxError:
    """Return a parser's error as a place in the text, a message and a suggestion."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        found = NOT_ALLOWED.search(text)
        if found is None:
            return GraphSyntaxError(Mark(1, 1), f"not readable as YAML: {error}")
        message = f"the character U+{ord(found[0]):04X} is not allowed in YAML"
        return GraphSyntaxError(mark_at(text, found.start()), message, "write it as an escape in double quotes")
    return _Explanation(error, text).find()


class _Explanation:
    """What is known of one error: libyaml's words, where it gave up, and where the thing it was reading began."""

    def __init__(self, error: yaml.MarkedYAMLError, text: str) -> None:
        problem: Any = error.problem_mark
        begin: Any = error.context_mark or problem
        self.lines = lines = LINE_BREAK.split(text)
        self.words = f"{error.context or ''}: {error.problem or ''}"
        self.here = Mark(problem.line + 1, problem.column + 1)
        if problem.index >= len(text.rstrip()):
            # What is missing at the end is missing after the last thing there is.
            self.here = mark_at(text, len(text.rstrip()))
        self.begin = Mark(begin.line + 1, begin.column + 1)
        self.line = lines[problem.line] if problem.line < len(lines) else ""
        self.above = lines[problem.line - 1] if problem.line else ""
        self.character = self.line[problem.column : problem.column + 1]
        self.opening = lines[begin.line][begin.column : begin.column + 1] if begin.line < len(lines) else ""
        self.starts_line = not self.line[: problem.column].strip()

    def find(self) -> GraphSyntaxError:
        """Return the first explanation that knows these words."""
        if LIMIT.search(self.words):
            # Nothing is wrong with the text; the parser takes no more of it.
            return self.refused()
        for words, explanation in EXPLANATIONS.items():
            if words in self.words:
                return explanation(self)
        return self.refused()

    def refused(self) -> GraphSyntaxError:
        return GraphSyntaxError(self.here, f"not readable as YAML: {self.words.removeprefix(': ')}")

    def bad_start(self) -> GraphSyntaxError:
        if self.character == "\t":
            message = "a tab cannot indent a line or stand before a key: YAML is indented with spaces"
            return GraphSyntaxError(self.here, message, "replace the tab by spaces")
        message = f"a text cannot start with {quote(self.character)} unless it is in quotes"
        return GraphSyntaxError(self.here, message, "put it in quotes")

    def misplaced_colon(self) -> GraphSyntaxError:
        column = self.here.column - 1
        if column > 1024:
            return GraphSyntaxError(self.here, "a key can have 1,024 characters at most")
        key_starts_line = re.fullmatch(r"[\s-]*[^\s:]*\s*", self.line[:column]) is not None
        glued = MISSING_SPACE.match(self.above)
        if key_starts_line and glued is not None:
            mark = Mark(self.here.line - 1, glued.start(1) + 1)
            return GraphSyntaxError(mark, "a space is missing after this ':'")
        assigned = assignment(self.above)
        if key_starts_line and assigned is not None:
            mark = Mark(self.here.line - 1, assigned[0] + 1)
            return GraphSyntaxError(mark, "a name is followed by ':', not by '='", assigned[1])
        if key_starts_line:
            message = "a key cannot stand here: the line above holds a value already, or is a key that lacks its ':'"
            return GraphSyntaxError(self.here, message, "indent the keys of one mapping alike, and end each with ':'")
        message = "a second ':' in one line: a text that contains ': ' needs quotes, an inner mapping needs braces"
        return GraphSyntaxError(self.here, message, "write {key: value}, or put the text in quotes")

    def missing_colon(self) -> GraphSyntaxError:
        line = self.lines[self.begin.line - 1]
        assigned = assignment(line)
        if assigned is not None:
            mark = Mark(self.begin.line, assigned[0] + 1)
            return GraphSyntaxError(mark, "a name is followed by ':', not by '='", assigned[1])
        glued = MISSING_SPACE.match(line)
        if glued is not None:
            return GraphSyntaxError(Mark(self.begin.line, glued.start(1) + 1), "a space is missing after this ':'")
        message = "this line is no key with its value: a key ends with ':'"
        return GraphSyntaxError(
            self.begin, message, "write name: value, or indent it if it goes on with the line above"
        )

    def glued_colon(self) -> GraphSyntaxError:
        return GraphSyntaxError(self.here, "a space is missing after this ':'")

    def unclosed_flow(self) -> GraphSyntaxError:
        closing = {"[": "]", "{": "}"}.get(self.opening, "]")
        if self.here.line == self.begin.line and self.character:
            message = f"',' or '{closing}' is missing before this {quote(self.character)}"
            return GraphSyntaxError(self.here, message)
        return GraphSyntaxError(self.begin, f"this {quote(self.opening or '[')} is not closed by '{closing}'")

    def unclosed_quote(self) -> GraphSyntaxError:
        return GraphSyntaxError(self.begin, f"this quote ({self.opening}) is not closed")

    def key_expected(self) -> GraphSyntaxError:
        if self.character in ("]", "}"):
            return self.content_expected()
        if self.character == "-" and self.starts_line:
            message = "a list item cannot stand among the keys of a mapping"
            return GraphSyntaxError(self.here, message, "indent the list under its key")
        if self.starts_line:
            message = "the indentation of this line fits no line above it"
            return GraphSyntaxError(self.here, message, "indent the keys of one mapping alike")
        message = f"the value ended before this {quote(self.character)}"
        return GraphSyntaxError(self.here, message, "put the whole text in quotes")

    def item_expected(self) -> GraphSyntaxError:
        message = "a key cannot stand among the items of a list"
        return GraphSyntaxError(self.here, message, "begin each item with '- ', or remove the indentation")

    def content_expected(self) -> GraphSyntaxError:
        if not self.character:
            return GraphSyntaxError(self.here, "the file ends where a value is expected: a bracket is not closed")
        if self.character in ("]", "}"):
            return GraphSyntaxError(self.here, f"this {quote(self.character)} closes nothing")
        return GraphSyntaxError(self.here, f"a value is missing before this {quote(self.character)}")

    def nameless(self) -> GraphSyntaxError:
        kind = "an alias" if "alias" in self.words else "an anchor"
        message = f"{quote(self.opening)} begins {kind} here, and a name of letters and digits must follow it"
        return GraphSyntaxError(self.begin, message, "put a text that starts with it in quotes")

    def bad_tag(self) -> GraphSyntaxError:
        message = "this tag is not supported: a graph file holds plain data and names no code"
        return GraphSyntaxError(self.begin, message, "put a text that starts with '!' in quotes")

    def bad_escape(self) -> GraphSyntaxError:
        message = "this escape is not one that YAML has in double quotes"
        return GraphSyntaxError(self.here, message, "write \\\\ for a backslash, or use single quotes")

    def bad_block(self) -> GraphSyntaxError:
        message = f"{quote(self.opening)} begins a text of several lines here: nothing may follow it in its own line"
        return GraphSyntaxError(self.begin, message, "put a text that starts with it in quotes")

    def tab_in_block(self) -> GraphSyntaxError:
        return GraphSyntaxError(self.here, "a tab cannot indent a line: YAML is indented with spaces")

    def directive(self) -> GraphSyntaxError:
        mark = Mark(self.here.line, 1) if self.begin.line == self.here.line else self.begin
        message = "a line that starts with '%' is a YAML directive, and this one is not known"
        return GraphSyntaxError(mark, message, "remove it, or put the text in quotes")

    def version(self) -> GraphSyntaxError:
        return GraphSyntaxError(self.here, "this version of YAML is not supported", "remove the line")

    def second_top(self) -> GraphSyntaxError:
        if self.here.column > 1:
            return GraphSyntaxError(
                self.here, "the value ends before this", "put it into quotes or, of several, brackets"
            )
        return GraphSyntaxError(self.here, "the file's mapping ended before this line", "put all keys into one mapping")

    def inline_item(self) -> GraphSyntaxError:
        message = "a list item ('- ') cannot stand in the line of its key"
        return GraphSyntaxError(self.here, message, "write [a, b], or put each item on its own line")


# In this order: the first whose words occur in libyaml's text explains it.
EXPLANATIONS = {
    "cannot start any token": _Explanation.bad_start,
    "mapping values are not allowed": _Explanation.misplaced_colon,
    "could not find expected ':'": _Explanation.missing_colon,
    "unexpected ':'": _Explanation.glued_colon,
    "sequence entries are not allowed": _Explanation.inline_item,
    "scanning a quoted scalar: found unexpected": _Explanation.unclosed_quote,
    "-quoted scalar: found unexpected": _Explanation.unclosed_quote,
    "escape": _Explanation.bad_escape,
    "hexdecimal number": _Explanation.bad_escape,
    "an alias": _Explanation.nameless,
    "an anchor": _Explanation.nameless,
    "tag": _Explanation.bad_tag,
    "found a tab character": _Explanation.tab_in_block,
    "block scalar": _Explanation.bad_block,
    "incompatible YAML": _Explanation.version,
    "directive": _Explanation.directive,
    "<document start>": _Explanation.second_top,
    "node content": _Explanation.content_expected,
    "expected ',' or": _Explanation.unclosed_flow,
    "block mapping": _Explanation.key_expected,
    "block collection": _Explanation.item_expected,
    "block sequence": _Explanation.item_expected,
}
