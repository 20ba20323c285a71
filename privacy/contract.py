"""The contract: one a holder; maps its table to the schema and says what each column may be used for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from ringfence.privacy.canonical import DIGEST, Document, Exact, Slug, Text, Whole
from ringfence.privacy.errors import N_, ContractError
from ringfence.privacy.faults import Problem, settle
from ringfence.privacy.purposes import catalogue, unknown_purpose
from ringfence.privacy.schema import Feature, Schema

Sensitivity: TypeAlias = Literal["identifier", "quasi", "sensitive", "plain"]
Fingerprint: TypeAlias = Annotated[str, Field(pattern=r"^ed25519:[0-9a-f]{32}$")]


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
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = Field(
        default=",", description="Character between two cells of a CSV file.", examples=[";"]
    )
    encoding: Literal["utf-8", "utf-8-sig", "gb18030", "gbk", "latin-1"] = Field(
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

    @model_validator(mode="after")
    def _whole(self) -> Source:
        settle(_source_problems(self))
        return self


def _source_problems(source: Source) -> Iterator[Problem]:
    if source.file is not None and source.url is not None:
        yield Problem(
            code="RF-C050", path=("url",), template=N_("Give either a file or a database url, not both.")
        )
    if (source.table is None) != (source.url is None):
        yield Problem(
            code="RF-C051",
            path=("table" if source.url is None else "url",),
            template=N_("A database needs both url and table."),
        )
    if source.url is not None and _has_password(source.url):
        yield Problem(
            code="RF-C052",
            path=("url",),
            template=N_(
                "The url holds a password, and a contract is read by many people. Leave the password out "
                "and give it to the client by its environment or the database's own password file."
            ),
        )
    if source.thousands is not None and source.thousands == source.decimal:
        yield Problem(
            code="RF-C053",
            path=("thousands",),
            template=N_("The mark between thousands and the decimal mark must differ."),
        )
    if source.delimiter in {"\n", "\r", '"'}:
        yield Problem(
            code="RF-C054",
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


def _column_problems(column: Column) -> Iterator[Problem]:
    for position, name in enumerate(column.purposes):
        if name not in catalogue():
            yield unknown_purpose(name, "purposes", position)
        if name in column.purposes[:position]:
            yield Problem(
                code="RF-C055",
                path=("purposes", position),
                values={"name": name},
                template=N_('The purpose "{name}" is listed twice.'),
            )
    if column.sensitivity == "identifier" and column.purposes:
        yield Problem(
            code="RF-C056",
            path=("purposes",),
            template=N_("An identifier is never a feature, so it cannot have purposes. Remove them."),
        )


class Contract(Document):
    """What one holder brings and allows."""

    id: Slug = Field(description="Name of the contract.", examples=["north-bank-crm"])
    holder: Slug = Field(description="Name of the organisation that holds the rows.", examples=["north-bank"])
    version: Whole = Field(ge=1, description="Version, from 1.", examples=[1])
    schema_ref: Text = Field(
        validation_alias="schema",
        serialization_alias="schema",
        description="The schema: its digest, or the path of its file relative to this one, or the schema itself "
        "as a `[schema]` table.",
        examples=["schema.toml"],
    )
    subject: Text = Field(
        description="Column of the file that names the customer: the unit of privacy.",
        examples=["customer_id"],
    )
    population: Slug = Field(
        description="The customers counted by `subject`; all contracts over them share one privacy ledger.",
        examples=["retail-customers"],
    )
    jurisdiction: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = Field(
        description="Country (ISO 3166) whose law applies, or EU.", examples=["CN"]
    )
    max_customers: Whole = Field(
        ge=1, le=2**40, description="Public upper limit of the number of customers.", examples=[50000]
    )
    min_cohort: Whole = Field(
        default=1000, ge=1, description="Fewest customers a study may run on.", examples=[1000]
    )
    overlap: Whole | None = Field(
        default=None,
        ge=1,
        description="In how many holders of a study one customer may be; in all of them when absent.",
        examples=[2],
    )
    peers: tuple[Fingerprint, ...] = Field(
        default=(),
        description="Fingerprints of the holders' keys this holder vouches for; without them no study runs.",
        examples=[["ed25519:0123456789abcdef0123456789abcdef"]],
    )
    duplicates: Literal["refuse", "first", "last"] = Field(
        default="refuse",
        description="What happens when a customer has several rows: the table is refused, or the first or last "
        "row is kept.",
        examples=["last"],
    )
    source: Source = Field(default_factory=Source, description="Where the rows are.")
    columns: tuple[Column, ...] = Field(
        validation_alias="column",
        serialization_alias="column",
        min_length=1,
        max_length=10_000,
        description="The columns, one `[[column]]` table each.",
    )

    @model_validator(mode="after")
    def _whole(self) -> Contract:
        settle(contract_problems(tuple(enumerate(self.columns)), self.subject))
        settle(_peer_problems(self.peers))
        return self

    def digest(self) -> str:
        """`sha256:<hex>` over the canonical form, which binds the schema by its digest.

        Raises:
            ContractError: RF-C057 when the schema is still a path; load the contract from its file instead.
        """
        if not DIGEST.fullmatch(self.schema_ref):
            raise ContractError(
                "RF-C057",
                N_("The contract {contract} names its schema by a path; load it with its schema first."),
                contract=self.id,
            )
        return super().digest()

    def column(self, name: str) -> Column | None:
        """The column of a feature, or None when this holder does not have it."""
        return next((column for column in self.columns if column.name == name), None)


def _peer_problems(peers: tuple[str, ...]) -> Iterator[Problem]:
    for position, peer in enumerate(peers):
        if peer in peers[:position]:
            yield Problem(code="RF-C058", path=("peers", position), template=N_("This peer is listed twice."))


def contract_problems(columns: Iterable[tuple[int, Column]], subject: str | None) -> Iterator[Problem]:
    """What is wrong between columns; faulty ones may be left out."""
    names: set[str] = set()
    sources: dict[str, str] = {}
    for position, column in columns:
        path = ("column", position)
        if column.name in names:
            yield Problem(
                code="RF-C059",
                path=(*path, "name"),
                values={"name": column.name},
                template=N_('The feature "{name}" is mapped twice.'),
            )
        names.add(column.name)
        if column.header in sources:
            yield Problem(
                code="RF-C060",
                path=(*path, "source"),
                values={"source": column.header, "other": sources[column.header]},
                template=N_('The column "{source}" of the file is already used for the feature "{other}".'),
            )
        sources.setdefault(column.header, column.name)
        if subject is not None and column.header == subject and column.sensitivity != "identifier":
            yield Problem(
                code="RF-C061",
                path=(*path, "sensitivity"),
                values={"source": column.header},
                template=N_(
                    'The column "{source}" names the customer (subject), so it cannot be a feature. '
                    'Remove it here, or set sensitivity = "identifier".'
                ),
            )


def against_schema(columns: Iterable[tuple[int, Column]], schema: Schema) -> Iterator[Problem]:
    """What in the columns does not fit the schema."""
    features = {feature.name: feature for feature in schema.features}
    for position, column in columns:
        feature = features.get(column.name)
        if feature is None:
            yield Problem(
                code="RF-C062",
                path=("column", position, "name"),
                values={"name": column.name, "schema": schema.id},
                template=N_('The schema {schema} has no feature "{name}".'),
            )
        else:
            yield from _values_problems(position, column, feature)


def _values_problems(position: int, column: Column, feature: Feature) -> Iterator[Problem]:
    if column.values and feature.categories is None:
        yield Problem(
            code="RF-C063",
            path=("column", position, "values"),
            values={"kind": feature.kind},
            template=N_("Only a category or a flag has codes to map; this is a {kind}."),
        )
        return
    for code, category in column.values.items():
        if category not in (feature.categories or ()):
            yield Problem(
                code="RF-C064",
                path=("column", position, "values", code),
                values={"category": category, "known": ", ".join(feature.categories or ())},
                template=N_('"{category}" is not a category of the schema; it has: {known}.'),
            )
