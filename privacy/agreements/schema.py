"""The schema: the public meaning of columns, shared and signed by the holders; secure sums need equal cells.

Bounds and categories are public facts from the data dictionary, never computed from rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from pydantic import Field, model_validator

from ringfence.privacy.agreements.event_window import EventWindow
from ringfence.privacy.agreements.feature import Bounds, Feature, Kind
from ringfence.privacy.agreements.inputs import (
    AnyInput,
    ItemsInput,
    NotesInput,
    PathsInput,
    input_problems,
)
from ringfence.privacy.errors import N_, RingfenceError, SchemaError
from ringfence.privacy.toml.canonical import DIGEST, Document, Slug, Whole
from ringfence.privacy.toml.faults import Fault, Problem, faults_of, need_entries, settle
from ringfence.privacy.toml.reading import TomlFile, read_toml
from ringfence.privacy.toml.validation import build

__all__ = ["Bounds", "EventWindow", "Feature", "Kind", "Schema", "load_schema", "resolve_schema"]


INPUT_KEYS: Final = ("items", "paths", "notes")
"""Keys of a schema and of a contract under which inputs stand."""


class Schema(Document):
    """The features that holders agreed on."""

    error: ClassVar[type[RingfenceError]] = SchemaError

    id: Slug = Field(description="Name of the schema.", examples=["telco"])
    version: Whole = Field(
        ge=1, description="Version, from 1; a change of meaning is a new version.", examples=[1]
    )
    events: EventWindow | None = Field(
        default=None, description="The window of days, if the features are made from customers' events."
    )
    features: tuple[Feature, ...] = Field(
        default=(),
        validation_alias="feature",
        serialization_alias="feature",
        max_length=10_000,
        description="The features, one `[[feature]]` table each; none beside `[events]`, which stands for "
        "its own.",
    )
    items: tuple[ItemsInput, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Baskets of articles, one `[[items]]` table each.",
    )
    paths: tuple[PathsInput, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Journeys over channels, one `[[paths]]` table each.",
    )
    notes: tuple[NotesInput, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Service texts that become topics, one `[[notes]]` table each.",
    )

    @model_validator(mode="after")
    def _whole(self) -> Schema:
        given = self.features if "features" in self.model_fields_set else None
        settle(_content_problems(given, self.events, bool(self.inputs)))
        if self.events is not None:
            # Written out, as every default is: a program that expanded a window otherwise has another digest.
            object.__setattr__(self, "features", self.events.features())
        settle(schema_problems(feature.name for feature in self.features))
        settle(input_problems(self._by_kind(), self.names, self.events))
        return self

    def _by_kind(self) -> dict[str, tuple[AnyInput, ...]]:
        return {"items": self.items or (), "paths": self.paths or (), "notes": self.notes or ()}

    def feature(self, name: str) -> Feature:
        """The feature of that name.

        Raises:
            SchemaError: RF-C048 when the schema has no such feature.
        """
        for feature in self.features:
            if feature.name == name:
                return feature
        raise SchemaError(
            "RF-C048", N_("The schema {schema} has no feature {name}."), schema=self.id, name=name
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def inputs(self) -> dict[str, AnyInput]:
        """Items, paths and notes by name, in this order."""
        return {one.name: one for declared in self._by_kind().values() for one in declared}

    @property
    def future(self) -> tuple[str, ...]:
        """Names of what is made of days that features must not see: each can be a label and nothing else."""
        return () if self.events is None else self.events.label_names


def _content_problems(features: object, events: EventWindow | None, inputs: bool) -> Iterator[Problem]:
    """Whether a schema has features or inputs; `features` as they were given, None when they were not."""
    if events is None:
        yield from () if inputs and not features else need_entries(features, "feature")
    elif features and features != events.features():
        yield Problem(
            code="RF-C049",
            path=("feature",),
            template=N_(
                "Beside [events] there are no further features: the window stands for its own. Remove them."
            ),
        )


def schema_problems(names: Iterable[object]) -> Iterator[Problem]:
    """What is wrong between features, by their names as they stand in the file."""
    seen: set[str] = set()
    for position, name in enumerate(names):
        if isinstance(name, str):
            if name in seen:
                yield Problem(
                    code="RF-C047",
                    path=("feature", position, "name"),
                    values={"name": name},
                    template=N_('The feature "{name}" stands in the schema twice.'),
                )
            seen.add(name)


def build_schema(data: object) -> tuple[Schema | None, list[Problem]]:
    """A schema and all that is wrong with it, also between its features when some are faulty."""
    schema, problems = build(Schema, data)
    if schema is None and isinstance(data, Mapping):
        entries = data.get("feature")
        rows = entries if isinstance(entries, list) else []
        if not {"events", *INPUT_KEYS} & set(data):
            problems += need_entries(entries, "feature")
        problems += schema_problems(row.get("name") if isinstance(row, Mapping) else None for row in rows)
    return schema, problems


def load_schema(path: str | Path) -> Schema:
    """A schema from its file, or the one that a contract's or study's file holds as `[schema]`.

    Raises:
        SchemaError: RF-C001, which lists every fault with its line.
    """
    file = read_toml(Path(path), SchemaError)
    inline = file.data.get("schema")
    if isinstance(inline, Mapping) and "feature" not in file.data:
        schema, problems = build_schema(inline)
        # What else stands in that file is judged when that document is loaded.
        file = TomlFile(path=file.path, data={"schema": inline}, lines=file.lines)
        file.settle((problem.under("schema") for problem in problems), SchemaError)
    else:
        schema, problems = build_schema(file.data)
        file.settle(problems, SchemaError)
    assert schema is not None  # otherwise there was a problem
    return schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The schema a document refers to.

    Attributes:
        schema: the schema, if it is at hand and without fault.
        reference: what the document's `schema` key becomes: the digest where it is known.
        problems: what is wrong in the document itself.
        faults: what is wrong in the schema's own file.
    """

    schema: Schema | None
    reference: object
    problems: tuple[Problem, ...] = ()
    faults: tuple[Fault, ...] = ()


_UNRESOLVED = "sha256:" + 64 * "0"  # stands in while the document is refused anyway


def resolve_schema(file: TomlFile, known: Sequence[Schema] = ()) -> Resolved:
    """The schema of a document that names it by a table, a path or a digest.

    A digest is looked up among `known`, then in a `schema.toml` beside the document.
    """
    value = file.data.get("schema")
    if isinstance(value, Mapping):
        schema, problems = build_schema(value)
        return Resolved(
            schema=schema,
            reference=_UNRESOLVED if schema is None else schema.digest(),
            problems=tuple(problem.under("schema") for problem in problems),
        )
    if not isinstance(value, str) or not value.strip("? "):
        return Resolved(schema=None, reference=value)
    if DIGEST.fullmatch(value):
        return Resolved(schema=_by_digest(file, value, known), reference=value)
    try:
        schema = load_schema(file.path.parent / value)
    except SchemaError as error:
        return _path_failed(value, error)
    return Resolved(schema=schema, reference=schema.digest())


def _by_digest(file: TomlFile, digest: str, known: Sequence[Schema]) -> Schema | None:
    found = next((schema for schema in known if schema.digest() == digest), None)
    beside = file.path.parent / "schema.toml"
    if found is None and beside.is_file():
        try:
            schema = load_schema(beside)
        except SchemaError:
            return None  # faults of a schema that may not even be meant are not this document's
        found = schema if schema.digest() == digest else None
    return found


def _path_failed(value: str, error: SchemaError) -> Resolved:
    faults = faults_of(error)
    if any(fault.code in {"RF-C002", "RF-C003"} for fault in faults):
        problem = Problem(
            code="RF-C070",
            path=("schema",),
            values={"file": value},
            template=N_("The schema file {file} cannot be read; its path is relative to this file."),
        )
        return Resolved(schema=None, reference=_UNRESOLVED, problems=(problem,))
    return Resolved(schema=None, reference=_UNRESOLVED, faults=faults)
