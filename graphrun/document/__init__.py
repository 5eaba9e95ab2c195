"""The document stage: YAML text with positions → plain values, with everything that is wrong told together."""

from graphrun.base.wording import did_you_mean, nearest
from graphrun.document.data_section import ColumnEntry, DataEntry
from graphrun.document.document import Document, UpdateEntry, load_document
from graphrun.document.marks import Mark, Path
from graphrun.document.models import ExpectEntry, StopEntry, UncertaintyEntry
from graphrun.document.nodes import NodeEntry
from graphrun.document.numbers import Shape, Value, shape_of
from graphrun.document.parameters import InitEntry, ParameterEntry
from graphrun.document.problems import Problems
from graphrun.document.settings import settings_problems
from graphrun.document.source import PlainSource, Source

__all__ = [
    "ColumnEntry",
    "DataEntry",
    "Document",
    "ExpectEntry",
    "InitEntry",
    "Mark",
    "NodeEntry",
    "ParameterEntry",
    "Path",
    "PlainSource",
    "Problems",
    "Shape",
    "Source",
    "StopEntry",
    "UncertaintyEntry",
    "UpdateEntry",
    "Value",
    "did_you_mean",
    "load_document",
    "nearest",
    "settings_problems",
    "shape_of",
]
