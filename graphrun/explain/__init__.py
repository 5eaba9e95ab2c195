"""Explaining one step of a run: both passes and the update, in numbers and in symbols."""

from __future__ import annotations

from graphrun.explain.board import Board
from graphrun.explain.lesson import lesson
from graphrun.explain.notation import BoardText
from graphrun.explain.step import Step, take_step
from graphrun.explain.text import render

__all__ = ["Board", "BoardText", "Step", "lesson", "render", "take_step"]
