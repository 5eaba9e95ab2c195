"""A drawing as data: boxes, the lines between them, and the frames around those that belong together.

It says what is to be seen and nothing of where; layouts place it, and renderers write it in one format each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Shape(StrEnum):
    """What a box stands for; each has a shape and a colour of its own, so that neither is needed to tell them apart."""

    PARAMETER = "parameter"
    CONSTANT = "constant"
    DATA = "data"
    NOISE = "noise"
    STATE = "state"
    NODE = "node"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Box:
    """A value, or a group of them that is folded.

    Attributes:
        name: the full name of the value or of the group; no two boxes have the same.
        title: the name as it stands in its frame, where the frame's name goes without saying.
        shape: what it stands for.
        formula: what computes it, or what it holds; empty for what has only a value.
        value: the value, in few characters; empty where none is known.
        gradient: the derivative of the objective by it; empty where none is known.
        detail: all of it at length, for who points at the box.
        frame: the name of the innermost frame around it, or None.
        is_objective: whether it is the value that is maximized or minimized.
        is_culprit: whether what is not finite arose here: its inputs are finite, or what comes in on the way back.
        names: the names of the values that it stands for: its own, or those of a folded group.
    """

    name: str
    title: str
    shape: Shape
    formula: str = ""
    value: str = ""
    gradient: str = ""
    detail: str = ""
    frame: str | None = None
    is_objective: bool = False
    is_culprit: bool = False
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """The use of a value by a node, or several uses between the same two boxes, where one of them is folded.

    Attributes:
        source: the name of the box that is used.
        target: the name of the box that uses it.
        position: which input of the node it is, from 0; -1 for several uses.
        label: the local derivative as a factor, or how many uses it stands for; may be empty.
        detail: all of it at length.
    """

    source: str
    target: str
    position: int
    label: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """A line around the boxes of one subgraph or expression.

    Its title is its name as it stands in the frame around it, `outer`; a box may have the same name.
    """

    name: str
    title: str
    outer: str | None


@dataclass(frozen=True)
class Drawing:
    """What is to be seen of a graph.

    Attributes:
        title: what the graph is.
        description: the same in a sentence, for who cannot see the picture.
        boxes: in the order of the file, inputs mostly before what uses them.
        lines: in the order of the nodes and their inputs.
        frames: outer ones before inner ones.
        note: what is folded, and how to see it; empty where nothing is.
    """

    title: str
    description: str
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    frames: tuple[Frame, ...]
    note: str = ""
