"""Repeated blocks of a model that was read: written once, as a subgraph, and used for each repetition.

Blocks follow each other, have the same expressions but for their own weights, and give others their last value alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from graphrun.document.names import is_name
from graphrun.show.onnx.reader import WEIGHTS, GraphText

LEAST = 3
"""Fewer nodes are no block."""

MOST = 4000
"""Of more nodes, no repetition is looked for: the time grows with the square."""

# What stands in quotes, is called or is a setting's name is no value.
NAME = re.compile(r'"[^"]*"|(?<![\w.])[^\W\d][\w.]*(?![\w.]*\s*[(=])')


def find_blocks(text: GraphText, outputs: Sequence[str], inputs: Sequence[str]) -> None:
    """Put a subgraph in place of the blocks that are repeated, the longest repetition first."""
    while len(text.nodes) <= MOST:
        found = _Blocks(text, {*outputs}, {*inputs})
        places = found.longest()
        if places is None:
            return
        found.put(*places)


class _Blocks:
    def __init__(self, text: GraphText, outputs: set[str], inputs: set[str]) -> None:
        self.text, self.outputs = text, outputs
        self.names = list(text.nodes)
        self.at = {name: k for k, name in enumerate(self.names)}
        leaves = {**text.parameters, **text.constants}
        self.leaves = {name: np.asarray(array) for name, array in leaves.items() if name not in inputs}
        self.uses = [list(self._read(name)) for name in self.names]
        self.readers: dict[str, list[int]] = {}
        for k, used in enumerate(self.uses):
            for name in used:
                self.readers.setdefault(name, []).append(k)
        self.signs = [self._sign(k) for k in range(len(self.names))]

    def _read(self, name: str) -> Iterator[str]:
        for found in NAME.findall(self.text.nodes[name]):
            if found in self.at or found in self.text.parameters or found in self.text.constants:
                yield found

    def _sign(self, k: int) -> str:
        """Return an expression with how far before it each node stands that it reads, and the shape of each leaf."""

        def placed(match: re.Match[str]) -> str:
            name = match[0]
            if name in self.at:
                return f"<{k - self.at[name]}>"
            kind = "parameter" if name in self.text.parameters else "constant"
            return f"<{kind} {self.leaves[name].shape}>" if name in self.leaves else name

        return NAME.sub(placed, self.text.nodes[self.names[k]])

    def longest(self) -> tuple[int, int, int] | None:
        """Return where the first block begins, how many nodes each has, and how many there are; None where none is."""
        numbers = {sign: k for k, sign in enumerate(dict.fromkeys(self.signs))}
        signs = np.array([numbers[sign] for sign in self.signs])
        found: list[tuple[int, int, int, int]] = []
        for length in range(LEAST, len(signs) // 2 + 1):
            ends = np.flatnonzero(np.append(signs[:-length] != signs[length:], True))
            starts = np.append(0, ends[:-1] + 1)
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                if end - start >= length:
                    found.append((-(end - start + length), length, start, end - start))
        for _, length, start, run in sorted(found):
            for shift in range(length):
                first, count = start + shift, (run - shift) // length + 1
                if count > 1 and self._is_closed(first, length, count):
                    # What the very first one reads stands elsewhere.
                    before = first - length
                    is_same = before >= 0 and self._form(before, length) == self._form(first, length)
                    if is_same and self._is_closed(before, length, 1):
                        first, count = before, count + 1
                    return first, length, count
        return None

    def _form(self, first: int, length: int) -> list[str]:
        """Return a block's expressions with numbers for names: equal ones compute the same."""
        block, own, given = self._parts(first, length)
        form = {self.names[k]: f"<{position}>" for position, k in enumerate(block)}
        form |= {name: f"<outside {k}>" for k, name in enumerate(given)}
        for k, name in enumerate(own):
            section = "parameter" if name in self.text.parameters else "constant"
            form[name] = f"<{section} {k} {self.leaves[name].shape}>"
        return [NAME.sub(lambda match: form.get(match[0], match[0]), self.text.nodes[self.names[k]]) for k in block]

    def _parts(self, first: int, length: int) -> tuple[range, list[str], list[str]]:
        """Return a block's nodes, its own leaves, and what it is given, each in the order of their use."""
        block = range(first, first + length)
        used = list(dict.fromkeys(name for k in block for name in self.uses[k]))
        own = [name for name in used if name in self.leaves]
        return block, own, [name for name in used if name not in self.leaves and self.at.get(name, -1) not in block]

    def _is_closed(self, start: int, length: int, count: int) -> bool:
        """Say whether each block gives others its last value alone, and has leaves, for itself."""
        for first in range(start, start + length * count, length):
            block, own, _ = self._parts(first, length)
            inner = {self.names[k] for k in block[:-1]}
            reached = {*block}
            if not own or not inner.isdisjoint(self.outputs):
                return False
            if any(not reached.issuperset(self.readers.get(name, ())) for name in (*inner, *own)):
                return False
            # The names inside will begin with that of the last value.
            begins = f"{self.names[block[-1]]}."
            if any(name.startswith(begins) for name in (self.at.keys() | self.leaves.keys()) - inner - {*own}):
                return False
        return True

    def put(self, start: int, length: int, count: int) -> None:
        """Put a subgraph in place of blocks."""
        text = self.text
        kind = "block" if not text.subgraphs else f"block_{len(text.subgraphs) + 1}"
        block, own, given = self._parts(start, length)
        leaves = _short_names(own)
        inner = {self.names[k]: f"n{position}" for position, k in enumerate(block, 1)}
        inner |= dict(zip(own, leaves, strict=True))
        inner |= {name: f"x{position}" for position, name in enumerate(given, 1)}
        stored = {name: {"file": WEIGHTS, "key": f"${leaf}_key"} for name, leaf in zip(own, leaves, strict=True)}
        texts = {self.names[k]: text.nodes[self.names[k]] for k in block}
        text.subgraphs[kind] = {
            "inputs": [inner[name] for name in given],
            "settings": {f"{leaf}_key": None for leaf in leaves},
            "parameters": {inner[name]: leaf for name, leaf in stored.items() if name in text.parameters},
            "constants": {inner[name]: leaf for name, leaf in stored.items() if name in text.constants},
            "nodes": {
                inner[name]: NAME.sub(lambda match: inner.get(match[0], match[0]), written)
                for name, written in texts.items()
            },
            "output": inner[self.names[block[-1]]],
        }
        nodes: dict[str, str] = {}
        for first in range(start, start + length * count, length):
            block, own, given = self._parts(first, length)
            keys = [f'{leaf}_key="{name}"' for leaf, name in zip(leaves, own, strict=True)]
            nodes[self.names[block[-1]]] = f"{kind}({', '.join([*given, *keys])})"
            for name in own:
                section = text.parameters if name in text.parameters else text.constants
                text.stored[name] = section.pop(name)
        before, behind = self.names[:start], self.names[start + length * count :]
        text.nodes = {
            **{name: text.nodes[name] for name in before},
            **nodes,
            **{name: text.nodes[name] for name in behind},
        }


def _short_names(names: Sequence[str]) -> list[str]:
    """Return what names end with, where that tells them apart; of layer_1_weight it is weight."""
    short = [re.split(r"[._]", name)[-1] for name in names]
    is_fit = len(set(short)) == len(short) and all(
        is_name(name) and not re.fullmatch("[nx][0-9]+", name) for name in short
    )
    return short if is_fit else [f"leaf{k}" for k in range(1, len(names) + 1)]
