"""What node types and update rules have in common: a function whose signature is the declaration.

Positional parameters are the inputs, keyword-only parameters are the settings. Everything but the name is read when
it is first asked for, so that a type which a graph does not use costs nothing at start-up.
"""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Self

from graphrun.base.errors import DeclarationError

if typing.TYPE_CHECKING:
    from pydantic import BaseModel

Function = Callable[..., Any]
Settings = tuple[tuple[str, Any], ...]
"""A node's settings in the order of their declaration; hashable, so that equal nodes can be found and batched."""


class Index:
    """Annotates an input that holds whole numbers which select (class labels, positions) and has no derivative."""


class Noise:
    """Annotates an input that the engine gives, not the graph file, numbers drawn uniformly from [0, 1).

    They have the shape of the first input and are drawn anew for each step, from the seed, the node's name and the
    step; the backward pass sees the same ones.
    """


class State:
    """Annotates an input that the engine keeps from step to step, not the graph file, as running statistics."""


class Training:
    """Annotates a setting that the engine gives, not the graph file.

    It is true in steps, false where data is only evaluated, which are held-back rows and those of a prediction.
    """


class Declaration:
    """A function of (xp, inputs, settings), declared by its own signature.

    Attributes:
        name: the function's name; a trailing underscore, there to spare a builtin or a keyword, is dropped.
        function: the declared function itself.
    """

    keys: tuple[str, ...] = ("type",)
    """What a graph file's mapping has beside the settings, so that none can be called this."""

    first_parameter = "the array namespace, `xp`"

    def __init__(self, function: Function, name: str | None = None) -> None:
        self.function = function
        self.name = name or function.__name__.rstrip("_")
        # Pickled as its function is: by the name of its module and its own there.
        self.__module__ = function.__module__

    def __reduce__(self) -> str:
        return self.function.__qualname__

    def __copy__(self) -> Self:
        copied = object.__new__(type(self))
        vars(copied).update(vars(self))
        return copied

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        """Call the declared function, as in ``relu(numpy, x)``."""
        return self.function(*arguments, **settings)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.signature}>"

    @cached_property
    def description(self) -> str:
        """The docstring of the declared function."""
        return inspect.getdoc(self.function) or ""

    @property
    def summary(self) -> str:
        """The first line of the description."""
        return self.description.partition("\n")[0]

    @property
    def file(self) -> str:
        """The file that declares it."""
        return str(inspect.unwrap(self.function).__code__.co_filename)

    @cached_property
    def parameters(self) -> tuple[inspect.Parameter, ...]:
        """The parameters of the function without the leading one, the namespace ``xp``."""
        parameters = tuple(inspect.signature(self.function).parameters.values())
        if not parameters or parameters[0].kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
            raise DeclarationError(f"{self.name}: the first parameter is {self.first_parameter}")
        if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
            raise DeclarationError(f"{self.name}: settings are named one by one, so **settings cannot be declared")
        return parameters[1:]

    @cached_property
    def positional(self) -> tuple[inspect.Parameter, ...]:
        """The parameters that are inputs, in order; the last one may be variadic (``*arrays``)."""
        return tuple(p for p in self.parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY)

    @property
    def given(self) -> tuple[inspect.Parameter, ...]:
        """The inputs that a graph file gives."""
        return self.positional

    @cached_property
    def keyword(self) -> tuple[inspect.Parameter, ...]:
        """The parameters that are settings of the graph file."""
        named = (p for p in self.parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)
        return tuple(p for p in named if self.marker(p) is not Training)

    @cached_property
    def takes_training(self) -> str | None:
        """The name of the setting that tells steps from evaluations, if there is one."""
        return next((p.name for p in self.parameters if self.marker(p) is Training), None)

    def marker(self, parameter: inspect.Parameter) -> Any:
        """Return the annotation of a parameter, evaluated where it is one."""
        return self.annotations.get(parameter.name) if parameter.annotation is not parameter.empty else None

    @cached_property
    def annotations(self) -> dict[str, Any]:
        """The evaluated annotations of all parameters."""
        # They are known without an import, for which `--help` would wait for NumPy and pydantic.
        from graphrun.base import types as types_of_settings

        known = {**vars(types_of_settings), **self.function.__globals__}
        try:
            return typing.get_type_hints(self.function, known, include_extras=True)
        except Exception as error:
            raise DeclarationError(f"{self.name}: an annotation cannot be evaluated: {error}") from error

    def kinds(self, setting: str) -> tuple[Any, ...]:
        """Return the types that a setting takes, without the ranges that their annotations give."""
        return _members(self.annotations.get(setting, Any))

    @cached_property
    def settings_model(self) -> type[BaseModel]:
        """The pydantic model of the settings: the same that the graph file's keys and the JSON Schema come from."""
        from pydantic import ConfigDict, create_model

        fields: dict[str, Any] = {
            parameter.name: (
                self.annotations.get(parameter.name, Any),
                ... if parameter.default is inspect.Parameter.empty else parameter.default,
            )
            for parameter in self.keyword
        }
        config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())
        try:
            return create_model(self.name, __config__=config, **fields)
        except Exception as error:
            raise DeclarationError(f"{self.name}: its settings cannot be declared: {error}") from error

    @cached_property
    def default_settings(self) -> Settings | None:
        """The settings of a node that gives none; None where a setting has no default."""
        if any(parameter.default is inspect.Parameter.empty for parameter in self.keyword):
            return None
        return tuple((parameter.name, freeze(parameter.default)) for parameter in self.keyword)

    def read_settings(self, raw: Mapping[str, Any]) -> Settings:
        """Check settings as a graph file gives them, plain data by name, and fill in the defaults.

        Raises:
            pydantic.ValidationError: a setting is unknown, missing or of the wrong type.
        """
        if not raw and self.default_settings is not None:
            return self.default_settings
        # By way of JSON, for a strict model takes a list for a tuple there, and nowhere else.
        model = self.settings_model.model_validate_json(json.dumps(dict(raw)))
        return tuple((parameter.name, freeze(getattr(model, parameter.name))) for parameter in self.keyword)

    @cached_property
    def signature(self) -> str:
        """The declaration as a reader writes it: ``leaky_relu(x, slope=0.01)``."""
        words = [("*" if p.kind is inspect.Parameter.VAR_POSITIONAL else "") + p.name for p in self.given]
        for parameter in self.keyword:
            required = parameter.default is inspect.Parameter.empty
            words.append(parameter.name if required else f"{parameter.name}={parameter.default!r}")
        return f"{self.name}({', '.join(words)})"

    def check_declaration(self) -> None:
        """Read the whole declaration once.

        Raises:
            DeclarationError: it is not one that graphrun can use.
        """
        if not self.name.isidentifier():
            raise DeclarationError(f"{self.name!r} is no name for a type: names are identifiers")
        for parameter in self.keyword:
            if parameter.name in self.keys:
                raise DeclarationError(
                    f"{self.name}: a setting cannot be called {parameter.name!r}, which is a key of graph files"
                )
        _ = self.settings_model, self.default_settings


def _members(annotation: Any) -> tuple[Any, ...]:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _members(parts[0])
    if origin in (types.UnionType, typing.Union):
        return tuple(member for part in parts for member in _members(part))
    return (annotation,)


def freeze(value: Any) -> Any:
    """Turn nested lists into nested tuples, which can be hashed."""
    return tuple(freeze(item) for item in value) if isinstance(value, list | tuple) else value
