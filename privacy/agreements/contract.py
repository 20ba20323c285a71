"""The contract: one a holder; maps its table to the schema and says what each column may be used for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from ringfence.privacy.agreements.columns import Column, Sensitivity, Source
from ringfence.privacy.agreements.date_forms import short_year_problems
from ringfence.privacy.agreements.event_source import EventSource, event_problems
from ringfence.privacy.agreements.input_sources import (
    AnySource,
    ItemsSource,
    NotesSource,
    PathsSource,
    source_problems,
)
from ringfence.privacy.agreements.law import Country
from ringfence.privacy.agreements.parties import HolderName
from ringfence.privacy.agreements.quorum import LEAST_CELL
from ringfence.privacy.agreements.schema import INPUT_KEYS, Feature, Schema, resolve_schema
from ringfence.privacy.agreements.zones import TimeZone
from ringfence.privacy.errors import N_, ContractError, RingfenceError
from ringfence.privacy.toml.canonical import DIGEST, Document, Slug, Text, Whole
from ringfence.privacy.toml.faults import Problem, need_entries, settle
from ringfence.privacy.toml.reading import TomlFile, read_toml
from ringfence.privacy.toml.validation import build, salvage, valid_entries

__all__ = ["Column", "Contract", "EventSource", "LoadedContract", "Sensitivity", "Source", "load_contract"]

Fingerprint: TypeAlias = Annotated[str, Field(pattern=r"^ed25519:[0-9a-f]{32}$")]


class Contract(Document):
    """What one holder brings and allows."""

    error: ClassVar[type[RingfenceError]] = ContractError

    id: Slug = Field(description="Name of the contract.", examples=["north-bank-crm"])
    holder: HolderName = Field(
        description="Name of the organisation that holds the rows.", examples=["north-bank"]
    )
    version: Whole = Field(ge=1, description="Version, from 1.", examples=[1])
    schema_ref: Text = Field(
        validation_alias="schema",
        serialization_alias="schema",
        description="The schema: its digest, or the path of its file relative to this one, or the schema "
        "itself as a `[schema]` table.",
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
    jurisdiction: Country = Field(description="Country (ISO 3166) whose law applies, or EU.", examples=["CN"])
    consent_time_zone: TimeZone | None = Field(
        default=None,
        description="Time zone (IANA) whose days consent files name; those of UTC when absent.",
        examples=["Asia/Shanghai"],
    )
    transfers: tuple[Country, ...] = Field(
        default=(),
        description="Countries outside the GDPR to which an adequacy decision or safeguards (GDPR, articles "
        "45 and 46) let data go, so that no consent to the transfer is asked for; for holders under the "
        "GDPR.",
        examples=[["JP"]],
    )
    max_customers: Whole = Field(
        ge=1, le=2**40, description="Public upper limit of the number of customers.", examples=[50000]
    )
    min_cohort: Whole = Field(
        default=1000, ge=1, description="Fewest customers a study may run on.", examples=[1000]
    )
    min_cell: Whole | None = Field(
        default=None,
        ge=LEAST_CELL,
        description="Fewest customers that a cell of a released table may stand for; a study without a label "
        "that allows smaller ones is refused.",
        examples=[30],
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
        description="What happens when a customer has several rows: the table is refused, or the first or "
        "last row is kept.",
        examples=["last"],
    )
    source: Source = Field(default_factory=Source, description="Where the rows are.")
    events: EventSource | None = Field(
        default=None,
        description="Where the events stand, if the file has one line an event; then there are no columns.",
    )
    columns: tuple[Column, ...] = Field(
        default=(),
        validation_alias="column",
        serialization_alias="column",
        max_length=10_000,
        description="The columns, one `[[column]]` table each; required unless there is `[events]` or an "
        "input.",
    )
    items: tuple[ItemsSource, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Where articles of baskets stand, one `[[items]]` table an input of the schema.",
    )
    paths: tuple[PathsSource, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Where touches of journeys stand, one `[[paths]]` table an input of the schema.",
    )
    notes: tuple[NotesSource, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Where service texts stand, one `[[notes]]` table an input of the schema.",
    )

    @property
    def consent_zone(self) -> ZoneInfo | None:
        """The zone whose days consent files name."""
        return None if self.consent_time_zone is None else ZoneInfo(self.consent_time_zone)

    @model_validator(mode="after")
    def _whole(self) -> Contract:
        given = self.columns if "columns" in self.model_fields_set else None
        settle(_content_problems(given, self.events is not None, bool(self.inputs)))
        if self.events is not None and self.duplicates != "refuse":
            settle([_DUPLICATES_OF_EVENTS])
        settle(contract_problems(tuple(enumerate(self.columns)), self.subject))
        settle(_peer_problems(self.peers))
        return self

    def digest(self) -> str:
        """`sha256:<hex>` over the canonical form, which binds the schema by its digest.

        Raises:
            ContractError: RF-C107 when the schema is still a path; load the contract from its file instead.
        """
        if not DIGEST.fullmatch(self.schema_ref):
            raise ContractError(
                "RF-C107",
                N_("The contract {contract} names its schema by a path; load it with its schema first."),
                contract=self.id,
            )
        return super().digest()

    def column(self, name: str) -> Column | None:
        """The column of a feature, or None when this holder does not have it."""
        if self.events is not None:
            return self.events.column(name)
        return next((column for column in self.columns if column.name == name), None)

    @property
    def inputs(self) -> dict[str, AnySource]:
        """Where items, paths and notes stand, by name."""
        groups = (self.items or (), self.paths or (), self.notes or ())
        return {source.name: source for group in groups for source in group}


_DUPLICATES_OF_EVENTS = Problem(
    code="RF-C117",
    path=("duplicates",),
    template=N_(
        "duplicates is for tables of one row a customer; what happens to equal lines of events says repeated."
    ),
)


def _content_problems(columns: object, events: bool, inputs: bool) -> Iterator[Problem]:
    """Whether a contract has columns, events or inputs; `columns` as they were given, None when they were
    not.
    """
    if not events:
        yield from () if inputs and not columns else need_entries(columns, "column")
    elif columns:
        yield Problem(
            code="RF-C116",
            path=("column",),
            template=N_("A contract has either [[column]] tables or [events], not both. Remove one of them."),
        )


def _cohort_problems(contract: Contract) -> Iterator[Problem]:
    if contract.min_cohort > contract.max_customers:
        yield Problem(
            code="RF-C118",
            path=("min_cohort",),
            values={"cohort": contract.min_cohort, "customers": contract.max_customers},
            template=N_(
                "A cohort of {cohort} can never be reached with max_customers = {customers}. Lower one or "
                "raise the other."
            ),
        )


def _peer_problems(peers: tuple[str, ...]) -> Iterator[Problem]:
    for position, peer in enumerate(peers):
        if peer in peers[:position]:
            yield Problem(code="RF-C108", path=("peers", position), template=N_("This peer is listed twice."))


def contract_problems(columns: Iterable[tuple[int, Column]], subject: str | None) -> Iterator[Problem]:
    """What is wrong between columns; faulty ones may be left out."""
    names: set[str] = set()
    sources: dict[str, str] = {}
    for position, column in columns:
        path = ("column", position)
        if column.name in names:
            yield Problem(
                code="RF-C109",
                path=(*path, "name"),
                values={"name": column.name},
                template=N_('The feature "{name}" is mapped twice.'),
            )
        names.add(column.name)
        if column.header in sources:
            yield Problem(
                code="RF-C110",
                path=(*path, "source"),
                values={"source": column.header, "other": sources[column.header]},
                template=N_('The column "{source}" of the file is already used for the feature "{other}".'),
            )
        sources.setdefault(column.header, column.name)
        if subject is not None and column.header == subject and column.sensitivity != "identifier":
            yield Problem(
                code="RF-C111",
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
                code="RF-C112",
                path=("column", position, "name"),
                values={"name": column.name, "schema": schema.id},
                template=N_('The schema {schema} has no feature "{name}".'),
            )
        else:
            yield from _values_problems(position, column, feature)


def _century_problems(form: str, columns: Iterable[tuple[int, Column]], schema: Schema) -> Iterator[Problem]:
    """Which bounds of dates do not tell the century of years of two digits."""
    mapped = {column.name for _, column in columns}
    for feature in schema.features:
        if feature.kind == "date" and feature.name in mapped:
            first, last = map(int, feature.limits)
            yield from short_year_problems(form, feature.name, first, last)


def _values_problems(position: int, column: Column, feature: Feature) -> Iterator[Problem]:
    if column.values and feature.categories is None:
        yield Problem(
            code="RF-C113",
            path=("column", position, "values"),
            values={"kind": feature.kind},
            template=N_("Only a category or a flag has codes to map; this is a {kind}."),
        )
        return
    for code, category in column.values.items():
        if category not in (feature.categories or ()):
            yield Problem(
                code="RF-C114",
                path=("column", position, "values", code),
                values={"category": category, "known": ", ".join(feature.categories or ())},
                template=N_('"{category}" is not a category of the schema; it has: {known}.'),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedContract:
    """A contract with its schema; the contract names the schema by digest.

    Attributes:
        contract: the contract.
        schema: the schema it is mapped to.
        path: the contract's file; what `[source] file` is relative to.
    """

    contract: Contract
    schema: Schema
    path: Path


def load_contract(path: str | Path, known: Sequence[Schema] = ()) -> LoadedContract:
    """A contract from its file, together with its schema.

    Args:
        path: the TOML file.
        known: schemas to look a digest up in; then `schema.toml` beside the contract is tried.

    Raises:
        ContractError: RF-C001, which lists every fault of the contract, and of its schema, with its line.
    """
    return contract_of(read_toml(Path(path), ContractError), known)


def contract_of(file: TomlFile, known: Sequence[Schema] = ()) -> LoadedContract:
    """A contract from a file that was read, together with its schema; as `load_contract` otherwise."""
    resolved = resolve_schema(file, known)
    data = {key: value for key, value in file.data.items() if key != "schema"}
    if resolved.reference is not None:
        data["schema"] = resolved.reference
    contract, problems = build(Contract, data)
    columns = valid_entries(Column, data.get("column"))
    problems += resolved.problems
    problems += () if contract is None else _cohort_problems(contract)
    if contract is None:
        problems += _content_problems(data.get("column"), "events" in data, bool(set(INPUT_KEYS) & set(data)))
        problems += contract_problems(columns, salvage(str, data.get("subject")))
    if resolved.schema is not None:
        problems += _fit(data, columns, resolved.schema)
    elif not resolved.problems and not resolved.faults and isinstance(resolved.reference, str):
        problems += _schema_missing(resolved.reference)
    file.settle(problems, ContractError, resolved.faults)
    assert contract is not None  # otherwise there was a problem
    assert resolved.schema is not None
    return LoadedContract(contract=contract, schema=resolved.schema, path=file.path)


def _fit(
    data: Mapping[str, object], columns: Iterable[tuple[int, Column]], schema: Schema
) -> Iterator[Problem]:
    """What in a contract's file does not fit the schema; faulty parts are left out."""
    events = salvage(EventSource, data.get("events"))
    yield from against_schema(columns, schema)
    source = salvage(Source, data.get("source"))
    if source is not None and source.date_format is not None:
        yield from _century_problems(source.date_format, columns, schema)
    if events is not None or "events" not in data:
        yield from event_problems(events, schema.events, salvage(str, data.get("subject")), schema.id)
    kinds: dict[str, type[AnySource]] = {"items": ItemsSource, "paths": PathsSource, "notes": NotesSource}
    entries = {key: valid_entries(kind, data.get(key)) for key, kind in kinds.items()}
    yield from source_problems(entries, schema.inputs, salvage(str, data.get("subject")), schema.id)


def _schema_missing(reference: str) -> Iterator[Problem]:
    if DIGEST.fullmatch(reference):
        yield Problem(
            code="RF-C073",
            path=("schema",),
            template=N_(
                "The schema of this digest is not at hand: put its file beside the contract as schema.toml, "
                "or name the file here."
            ),
        )
