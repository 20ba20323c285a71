"""The parts of a contract: where the rows are, and what each column may be used for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from ringfence.privacy.agreements.date_forms import form_problems
from ringfence.privacy.agreements.purposes import catalogue, unknown_purpose
from ringfence.privacy.errors import N_
from ringfence.privacy.tables.cutting import WHITESPACE
from ringfence.privacy.toml.canonical import Document, Exact, Slug, Text
from ringfence.privacy.toml.faults import Problem, refuse, settle

Sensitivity: TypeAlias = Literal["identifier", "quasi", "sensitive", "plain"]


class Source(Document):
    """Where the rows are and how they are written."""

    file: Text | None = Field(
        default=None, description="CSV or Parquet file, relative to the contract.", examples=["customers.csv"]
    )
    url: Text | None = Field(
        default=None,
        description="Database URL without a password.",
        examples=["postgresql://reader@db.bank.example/crm"],
    )
    table: Text | None = Field(default=None, description="Table or view; with `url`.", examples=["customers"])
    delimiter: Annotated[str, Field(min_length=1)] = Field(
        default=",",
        description='Character between two cells of a CSV file; "whitespace" for any number of blanks.',
        examples=[";"],
    )
    header: tuple[Text, ...] | None = Field(
        default=None,
        min_length=1,
        description="Names of all columns, in order, of a CSV file that has no header line.",
        examples=[["customer_id", "date", "pieces", "dollars"]],
    )
    encoding: Literal["utf-8", "utf-8-sig", "gb18030", "gbk", "latin-1", "cp1252", "utf-16"] = Field(
        default="utf-8", description="Encoding of a CSV file.", examples=["gb18030"]
    )
    decimal: Literal[".", ","] = Field(default=".", description="Decimal mark of numbers.", examples=[","])
    thousands: Literal[",", ".", " ", "'"] | None = Field(
        default=None, description="Mark between thousands, if the file has one.", examples=["."]
    )
    date_format: Text | None = Field(
        default=None,
        description="Form of dates, as in `strftime`; ISO 8601 when absent.",
        examples=["%d.%m.%Y"],
    )
    null_values: tuple[Annotated[str, Field(max_length=200)], ...] = Field(
        default=("",), description="Cells that mean missing.", examples=[["", "NA"]]
    )

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str) -> str:
        if len(value) > 1 and value != WHITESPACE:
            refuse("RF-C023", N_("May have at most {max_length} characters."), max_length=1)
        return value

    @field_validator("thousands", mode="before")
    @classmethod
    def _as_typed(cls, value: object) -> object:
        """Blanks and apostrophes that look alike are one mark."""
        if value in {"\u00a0", "\u202f", "\u2009"}:
            return " "
        return "'" if value == "\u2019" else value

    @model_validator(mode="after")
    def _whole(self) -> Source:
        settle(_source_problems(self))
        return self


def _source_problems(source: Source) -> Iterator[Problem]:
    if source.file is not None and source.url is not None:
        yield Problem(
            code="RF-C100", path=("url",), template=N_("Give either a file or a database url, not both.")
        )
    if (source.table is None) != (source.url is None):
        yield Problem(
            code="RF-C101",
            path=("table" if source.url is None else "url",),
            template=N_("A database needs both url and table."),
        )
    if source.url is not None and _has_password(source.url):
        yield Problem(
            code="RF-C102",
            path=("url",),
            template=N_(
                "The url holds a password, and a contract is read by many people. Leave the password out "
                "and give it to the client by its environment or the database's own password file."
            ),
        )
    if source.thousands is not None and source.thousands == source.decimal:
        yield Problem(
            code="RF-C103",
            path=("thousands",),
            template=N_("The mark between thousands and the decimal mark must differ."),
        )
    for position, name in enumerate(source.header or ()):
        if name in (source.header or ())[:position]:
            yield Problem(
                code="RF-C115",
                path=("header", position),
                values={"name": name},
                template=N_('The name "{name}" stands in the header twice.'),
            )
    if source.date_format is not None:
        yield from form_problems(source.date_format)
    if not source.delimiter.isascii():
        yield Problem(
            code="RF-C304",
            path=("delimiter",),
            template=N_("Only a character of ASCII can stand between cells."),
        )
    if source.delimiter in {"\n", "\r", '"'}:
        yield Problem(
            code="RF-C104",
            path=("delimiter",),
            template=N_("A quotation mark or a line break cannot stand between cells."),
        )


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.password is not None or "password=" in parts.query.lower()
    except ValueError:
        return False


class Column(Document):
    """One column of the holder's table and what it may be used for."""

    name: Slug = Field(description="Name of the feature in the schema.", examples=["plan"])
    source: Text | None = Field(
        default=None,
        description="Name of the column in the file; the feature's name when absent.",
        examples=["PLAN_CD"],
    )
    values: dict[Annotated[str, Field(max_length=200)], Text] = Field(
        default_factory=dict,
        description="What the file's codes mean: code = category.",
        examples=[{"1": "basic", "2": "gold"}],
    )
    sensitivity: Sensitivity = Field(
        default="quasi",
        description="identifier: names one person, never a feature. quasi: may single a person out together "
        "with others. sensitive: needs separate consent. plain: none of these.",
        examples=["plain"],
    )
    purposes: tuple[Text, ...] = Field(
        default=(),
        description="Purposes of the catalogue this column may be used for; none when absent.",
        examples=[["churn-prediction"]],
    )
    max_missing: Exact | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Largest share of missing entries; above it the table is refused.",
        examples=["0.2"],
    )

    @model_validator(mode="after")
    def _whole(self) -> Column:
        settle(_column_problems(self))
        return self

    @property
    def header(self) -> str:
        """Name of the column in the file."""
        return self.source if self.source is not None else self.name


def purposes_problems(purposes: tuple[str, ...]) -> Iterator[Problem]:
    """What is wrong in a list of purposes."""
    for position, name in enumerate(purposes):
        if name not in catalogue():
            yield unknown_purpose(name, "purposes", position)
        if name in purposes[:position]:
            yield Problem(
                code="RF-C105",
                path=("purposes", position),
                values={"name": name},
                template=N_('The purpose "{name}" is listed twice.'),
            )


def _column_problems(column: Column) -> Iterator[Problem]:
    yield from purposes_problems(column.purposes)
    if column.sensitivity == "identifier" and column.purposes:
        yield Problem(
            code="RF-C106",
            path=("purposes",),
            template=N_("An identifier is never a feature, so it cannot have purposes. Remove them."),
        )
