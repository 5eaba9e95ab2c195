"""The sections of a graph file that are small: pydantic models, each field described in words that errors repeat."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from graphrun.base.types import MOST, Natural, NotNegative, Seed, whole
from graphrun.document.names import normalize


def _not_null(value: Any) -> Any:
    """Refuse a null that was written; a field that was left out has its default."""
    if value is None:
        raise ValueError("null")
    return value


def _as_list(value: Any) -> Any:
    """Return one expectation as a list of one."""
    return [value] if isinstance(value, dict) else value


def _as_kind(value: Any) -> Any:
    """Return a kind of uncertainty that stands alone as the mapping that it is short for."""
    return {"kind": value} if isinstance(value, str) else value


def _names_once(names: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


Given = BeforeValidator(_not_null)
Name = Annotated[str, Field(min_length=1), AfterValidator(normalize)]


class Section(BaseModel):
    """A mapping with fixed keys, whose values are taken as they are: "1" is no number and true is not 1."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class StopHoldoutEntry(Section):
    """How long a run goes on without a better value on held-back rows."""

    name: Annotated[Name | None, Given] = Field(None, description="the name of a number, by default the objective")
    patience: Annotated[int, BeforeValidator(whole)] = Field(description="a whole number, 1 or more", ge=1, le=MOST)
    maximize: Annotated[bool | None, Given] = Field(None, description="true or false, by default as the objective")


class StopEntry(Section):
    """When a run ends before its last step."""

    gradient_norm: Annotated[NotNegative | None, Given] = Field(None, description="a number, 0 or more")
    change: Annotated[NotNegative | None, Given] = Field(None, description="a number, 0 or more")
    value: Annotated[float | None, Given] = Field(None, description="a finite number", allow_inf_nan=False)
    holdout: Annotated[StopHoldoutEntry | None, Given] = Field(
        None, description="a mapping with 'patience', and perhaps 'name' and 'maximize'"
    )
    patience: Annotated[int | None, Given, BeforeValidator(whole)] = Field(
        None, description="a whole number, 1 or more", ge=1, le=MOST
    )

    @property
    def has_rules(self) -> bool:
        """Whether a step by itself may end the run."""
        return any(getattr(self, name) is not None for name in ("gradient_norm", "change", "value", "patience"))


class UncertaintyEntry(Section):
    """What a fit is asked for beside its values: how far the data determine the parameters."""

    kind: Literal["least_squares", "likelihood"] = Field(description="least_squares or likelihood")
    level: float = Field(0.95, description="a number between 0 and 1", gt=0, lt=1)
    absolute_sigma: bool = Field(False, description="true or false")
    robust: bool = Field(False, description="true or false")


class ExpectEntry(Section):
    """Values and gradients that `graphrun check` asserts in one row of the history (`at`; None is the last)."""

    at: Natural | None = Field(None, description="a whole number, 0 or more")
    values: Annotated[dict[Name, Any], Given] = Field({}, description="a mapping of names to numbers or nested lists")
    gradients: Annotated[dict[Name, Any], Given] = Field(
        {}, description="a mapping of names to numbers or nested lists"
    )
    std_errors: Annotated[dict[str, Any], Given] = Field({}, description="a mapping of names to numbers")
    tolerance: Annotated[float | None, Given] = Field(None, description="a number above 0", gt=0, allow_inf_nan=False)


class Header(Section):
    """Everything in a graph file but its parameters, constants, nodes and update rule, which are read by hand."""

    # Not Literal[1], which takes true for 1.
    graphrun: int = Field(1, description="the format version, which is 1", ge=1, le=1)
    description: str = Field("", description="a text")
    maximize: Annotated[Name | None, Given] = Field(None, description="the name of a node or a parameter")
    minimize: Annotated[Name | None, Given] = Field(None, description="the name of a node or a parameter")
    start: Annotated[str | None, Given] = Field(None, description="the path of a checkpoint", min_length=1)
    steps: Annotated[Natural | None, Given] = Field(None, description="a whole number, 0 or more")
    stop: StopEntry | None = Field(None, description="a mapping")
    keep: Literal["last", "best"] = Field("last", description="best or last")
    uncertainty: Annotated[UncertaintyEntry | None, Given, BeforeValidator(_as_kind)] = Field(
        None, description="least_squares, likelihood or a mapping with 'kind'"
    )
    record: Annotated[list[Name], AfterValidator(_names_once)] | None = Field(None, description="a list of names")
    seed: Annotated[Seed | None, Given] = Field(None, description="a whole number, 0 or more")
    dtype: Literal["float64", "float32"] = Field("float64", description="float64 or float32")
    expect: Annotated[list[ExpectEntry], BeforeValidator(_as_list), AfterValidator(tuple)] = Field(
        [],
        validate_default=True,
        description="a mapping of 'at', 'values', 'gradients', 'tolerance', or a list of them",
    )
