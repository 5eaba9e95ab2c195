"""Drawings of graphs: what is to be seen as data, where it goes, and how each format writes it.

``draw_graph`` makes the `Drawing` of a graph, with the values and gradients of a step where its `Passes` are given;
``lay_out`` places it, and ``to_svg`` writes what is placed.
"""

from graphrun.show.draw.contents import draw_graph
from graphrun.show.draw.drawing import Box, Drawing, Frame, Line, Shape
from graphrun.show.draw.layout import Layout, NodeBox, Route, lay_out
from graphrun.show.draw.svg import to_svg

__all__ = ["Box", "Drawing", "Frame", "Layout", "Line", "NodeBox", "Route", "Shape", "draw_graph", "lay_out", "to_svg"]
