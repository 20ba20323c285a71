"""A feature of the schema: one column's public meaning, its bounds never computed from rows."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import Literal, TypeAlias

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ringfence.privacy.errors import N_, SchemaError
from ringfence.privacy.toml.canonical import Document, Prose, Slug, Text, to_decimal
from ringfence.privacy.toml.faults import Problem, refuse, settle

Kind: TypeAlias = Literal["number", "category", "flag", "date", "text"]
Bounds: TypeAlias = tuple[Decimal, Decimal] | tuple[datetime.date, datetime.date]


class Feature(Document):
    """One column as everybody understands it."""

    name: Slug = Field(description="Name of the feature, unique in the schema.", examples=["age"])
    kind: Kind = Field(
        description="What it is: a number, one of some categories, a flag of two values, a date, or free "
        "text.",
        examples=["number"],
    )
    bounds: Bounds | None = Field(
        default=None,
        description="Smallest and largest value, from the data dictionary; values outside are clipped to "
        "them. Required for a number and for a date.",
        examples=[[0, 120]],
    )
    categories: tuple[Text, ...] | None = Field(
        default=None,
        max_length=4096,
        description='The values of a category (at least two), in their natural order. A flag has two, "no" '
        "and "
        '"yes" unless given; the second is the positive one.',
        examples=[["basic", "gold"]],
    )
    scale: Literal["linear", "log"] = Field(
        default="linear",
        description="How a number's cells are spaced; `log` needs bounds above zero.",
        examples=["log"],
    )
    whole: bool | None = Field(
        default=None,
        description="Whether the numbers are whole, as counts are; then its cells are cut between whole "
        "numbers.",
        examples=[True],
    )
    missing: Literal["value", "category", "refuse"] = Field(
        default="category",
        description="A missing entry becomes `missing_value`, or a cell of its own, or the table is refused.",
        examples=["value"],
    )
    missing_value: Decimal | datetime.date | Text | None = Field(
        default=None,
        description='What stands for a missing entry when `missing = "value"`.',
        examples=[0],
    )
    unknown: Literal["other", "missing", "exclude"] = Field(
        default="other",
        description="A category that is not listed counts as other, as missing, or its row is left out.",
        examples=["missing"],
    )
    title: Prose | None = Field(default=None, description="Label for people.", examples=["Age in years"])
    title_zh: Prose | None = Field(default=None, description="Label for people, Chinese.", examples=["年龄"])

    @field_validator("bounds", mode="before")
    @classmethod
    def _read_bounds(cls, value: object, info: ValidationInfo) -> object:
        kind = info.data.get("kind")
        if value is None or kind is None:
            return None
        if not isinstance(value, list | tuple) or len(value) != 2:
            refuse("RF-C030", N_("Bounds are two values in square brackets: [smallest, largest]."))
        if kind not in {"number", "date"}:
            refuse("RF-C031", N_("Only a number or a date has bounds; this is a {kind}."), kind=kind)
        return tuple(_read_scalar(kind, item) for item in value)

    @field_validator("missing_value", mode="before")
    @classmethod
    def _read_missing_value(cls, value: object, info: ValidationInfo) -> object:
        kind = info.data.get("kind")
        return None if value is None or kind is None else _read_scalar(kind, value)

    @model_validator(mode="after")
    def _whole(self) -> Feature:
        settle(_feature_problems(self))
        if self.kind == "flag" and self.categories is None:
            object.__setattr__(self, "categories", ("no", "yes"))
        return self

    @property
    def limits(self) -> tuple[float, float]:
        """Bounds as floats; a date counts its days as in `date.toordinal`."""
        if self.bounds is None:
            raise SchemaError("RF-C032", N_("The feature {name} has no bounds."), name=self.name)
        low, high = (float(b) if isinstance(b, Decimal) else float(b.toordinal()) for b in self.bounds)
        return low, high


def _read_scalar(kind: str, value: object) -> object:
    if kind == "number":
        return to_decimal(value)
    if kind == "date":
        if isinstance(value, str):
            try:
                return datetime.date.fromisoformat(value)
            except ValueError:
                refuse("RF-C033", N_("Must be a date such as 1990-12-31."))
        if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
            refuse("RF-C033", N_("Must be a date such as 1990-12-31."))
    return value


def _feature_problems(feature: Feature) -> Iterator[Problem]:
    yield from _bounds_problems(feature)
    yield from _category_problems(feature)
    yield from _missing_problems(feature)


def _bounds_problems(feature: Feature) -> Iterator[Problem]:
    if feature.kind in {"number", "date"} and feature.bounds is None:
        yield Problem(
            code="RF-C034",
            template=N_(
                "A {kind} needs bounds = [smallest, largest], taken from the data dictionary, never from "
                "rows."
            ),
            values={"kind": feature.kind},
        )
    if feature.bounds is not None and not feature.bounds[0] < feature.bounds[1]:  # type: ignore[operator]
        yield Problem(
            code="RF-C035", template=N_("The first bound must be below the second."), path=("bounds",)
        )
    if feature.kind != "number" and (feature.scale == "log" or feature.whole):
        yield Problem(
            code="RF-C036",
            template=N_("Only a number can have a logarithmic scale, or be whole."),
            path=("scale" if feature.scale == "log" else "whole",),
        )
    elif feature.scale == "log" and feature.bounds is not None:
        lowest = feature.bounds[0]
        if isinstance(lowest, Decimal) and lowest <= 0:
            yield Problem(
                code="RF-C037",
                path=("bounds",),
                template=N_(
                    "A logarithmic scale needs a smallest bound above zero; smaller values are clipped to it."
                ),
            )


def _category_problems(feature: Feature) -> Iterator[Problem]:
    categories = feature.categories
    if feature.kind == "category" and categories is None:
        yield Problem(
            code="RF-C038",
            template=N_(
                "A category needs categories = [...], taken from the data dictionary, never from rows."
            ),
        )
    if categories is None:
        return
    if feature.kind not in {"category", "flag"}:
        yield Problem(
            code="RF-C039",
            path=("categories",),
            values={"kind": feature.kind},
            template=N_("Only a category or a flag has categories; this is a {kind}."),
        )
    if feature.kind == "flag" and len(categories) != 2:
        yield Problem(
            code="RF-C040",
            path=("categories",),
            template=N_('A flag has exactly two values, such as ["no", "yes"].'),
        )
    if feature.kind == "category" and len(categories) < 2:
        yield Problem(
            code="RF-C041", path=("categories",), template=N_("A category needs at least two values.")
        )
    for position, category in enumerate(categories):
        if category in categories[:position]:
            yield Problem(
                code="RF-C042",
                path=("categories", position),
                values={"category": category},
                template=N_('The category "{category}" is listed twice.'),
            )


def _missing_problems(feature: Feature) -> Iterator[Problem]:
    value = feature.missing_value
    if feature.missing == "value" and value is None:
        yield Problem(
            code="RF-C043",
            path=("missing",),
            template=N_('With missing = "value", missing_value says what stands for a missing entry.'),
        )
    if feature.missing != "value" and value is not None:
        yield Problem(
            code="RF-C044", path=("missing_value",), template=N_('missing_value needs missing = "value".')
        )
    if value is None:
        return
    categories = ("no", "yes") if feature.kind == "flag" else ()
    if feature.kind in {"category", "flag"} and value not in (feature.categories or categories):
        yield Problem(
            code="RF-C045",
            path=("missing_value",),
            template=N_("missing_value is not one of the categories."),
        )
    if feature.bounds is not None and not feature.bounds[0] <= value <= feature.bounds[1]:  # type: ignore[operator]
        yield Problem(
            code="RF-C046", path=("missing_value",), template=N_("missing_value lies outside the bounds.")
        )
