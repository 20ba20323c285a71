"""The study: what is asked, why and at what price; signed by the coordinator, approved at every holder.

`h`, the number of honest shares in a sum, is fixed here and recomputed by each holder; it is never taken from
a message (ALGORITHMS, section 1).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator, model_validator

from ringfence.privacy.agreements.inputs import asked_problems
from ringfence.privacy.agreements.law import Country, LegalBasis
from ringfence.privacy.agreements.parties import alike
from ringfence.privacy.agreements.purposes import catalogue, unknown_purpose
from ringfence.privacy.agreements.quorum import ReleaseTerms, quorum_problems, quorums
from ringfence.privacy.agreements.schema import Schema, resolve_schema
from ringfence.privacy.agreements.series import SeriesTerms, series_problems
from ringfence.privacy.agreements.terms import Evaluation, Participant, PrivacyTerms, Setting, setting
from ringfence.privacy.errors import N_, RingfenceError, StudyError
from ringfence.privacy.toml.canonical import (
    DIGEST,
    Document,
    Prose,
    Slug,
    Text,
)
from ringfence.privacy.toml.faults import Problem, kind_name, refuse, settle
from ringfence.privacy.toml.reading import read_toml
from ringfence.privacy.toml.validation import build, salvage, valid_entries

__all__ = [
    "Evaluation",
    "LegalBasis",
    "Participant",
    "PrivacyTerms",
    "ReleaseTerms",
    "SeriesTerms",
    "Setting",
    "Study",
    "load_study",
    "positive_category",
]


class Study(Document):
    """One question to the holders."""

    error: ClassVar[type[RingfenceError]] = StudyError

    id: Slug = Field(description="Name of the study.", examples=["churn-2027-1"])
    schema_ref: Text = Field(
        validation_alias="schema",
        serialization_alias="schema",
        description="The schema: its digest, or the path of its file (or of a contract that holds it) "
        "relative to this one, or the schema itself as a `[schema]` table.",
        examples=["schema.toml"],
    )
    purpose: Text = Field(description="A purpose of the catalogue.", examples=["churn-prediction"])
    legal_basis: LegalBasis = Field(
        description="On what legal basis customers' data are used. PIPL knows no legitimate interest.",
        examples=["consent"],
    )
    jurisdiction: Country | None = Field(
        default=None,
        description="Country (ISO 3166) of the coordinator, who receives what is released, or EU. Without "
        "it, holders in China ask their customers' consent to cross-border transfer.",
        examples=["CN"],
    )
    task: Slug = Field(description="What is computed.", examples=["scorecard"])
    label: Slug | None = Field(
        default=None, description="The feature to predict, a flag or a category.", examples=["churn"]
    )
    positive: Text | None = Field(
        default=None,
        description="The category of the label that counts as positive; a flag's second value when absent.",
        examples=["yes"],
    )
    features: tuple[Slug, ...] | None = Field(
        default=None,
        min_length=1,
        description="Features to use; when absent, all but the label that every holder's contract gives "
        "to the purpose.",
        examples=[["age", "plan"]],
    )
    inputs: tuple[Slug, ...] | None = Field(
        default=None,
        min_length=1,
        description="Items, paths or notes of the schema to use; then no feature is used that is not named.",
        examples=[["basket"]],
    )
    expires: datetime.date = Field(description="Last day of the study (UTC).", examples=["2027-12-31"])
    dpia: Prose = Field(
        description="Reference of the data protection impact assessment.", examples=["DPIA-2027-004"]
    )
    privacy: PrivacyTerms = Field(description="The price of the study.")
    model: dict[Slug, Setting] = Field(
        default_factory=dict,
        description="Settings of the task: whole numbers, texts or lists of them; see the task's page.",
        examples=[{"iterations": 8}],
    )
    evaluation: Evaluation = Field(default_factory=Evaluation, description="How the result is measured.")
    release: ReleaseTerms = Field(
        default_factory=ReleaseTerms, description="Who cosigns before the result is released."
    )
    series: SeriesTerms | None = Field(default=None, description="How often it is run; once when absent.")
    holders: tuple[Participant, ...] = Field(
        default=(),
        max_length=10_000,
        description="The holders; left out in a file written by hand, entered by the coordinator.",
    )

    @field_validator("expires", mode="before")
    @classmethod
    def _read_expires(cls, value: object) -> object:
        if isinstance(value, int | float | datetime.datetime):
            refuse("RF-S004", N_("Must be a date such as 2027-12-31; found {found}."), found=kind_name(value))
        return value

    @field_validator("model", mode="before")
    @classmethod
    def _read_model(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        problems: list[Problem] = []
        read = {key: setting(item, problems, key) for key, item in value.items()}
        settle(problems)
        return read

    @model_validator(mode="after")
    def _whole(self) -> Study:
        settle(
            chain(
                study_problems(
                    self.purpose, self.label, self.positive, self.features, self.privacy, self.holders
                ),
                quorum_problems(self.release, self.privacy, len(self.holders)),
                series_problems(self.series, self.expires),
            )
        )
        return self

    @property
    def distributed(self) -> bool:
        """Whether shares of noise add up under a secure sum."""
        return self.privacy.noise == "distributed"

    def honest(self) -> int:
        """The least number h of honest shares in a sum; 1 for local noise."""
        if not self.distributed:
            return 1
        return self.privacy.min_holders - 1 - self.privacy.colluders

    @property
    def runs(self) -> int:
        """How many runs a series has; 0 for a study that is run once."""
        return 0 if self.series is None else self.series.runs

    def quorums(self) -> tuple[int, int]:
        """How many holders cosign a release, and how many suffice once its waiting time has passed."""
        return quorums(self.release, self.privacy, len(self.holders))

    def overlap(self) -> int:
        """In how many holders of this study one customer may be, k.

        Raises:
            StudyError: RF-S005 while the study has no holders.
        """
        if not self.holders:
            raise StudyError(
                "RF-S005",
                N_("The study {study} has no holders yet; the coordinator enters them."),
                study=self.id,
            )
        count = len(self.holders)
        return max(min(count, count if h.overlap is None else h.overlap) for h in self.holders)

    def digest(self) -> str:
        """`sha256:<hex>` over the canonical form, which binds the schema by its digest.

        Raises:
            StudyError: RF-S006 when the schema is still a path; load the study from its file instead.
        """
        if not DIGEST.fullmatch(self.schema_ref):
            raise StudyError(
                "RF-S006",
                N_("The study {study} names its schema by a path; load it with its schema first."),
                study=self.id,
            )
        return super().digest()


def study_problems(
    purpose: str | None,
    label: str | None,
    positive: str | None,
    features: tuple[str, ...] | None,
    privacy: PrivacyTerms | None,
    holders: tuple[Participant, ...] | None,
) -> Iterator[Problem]:
    """What is wrong between the fields of a study; None for a field that is itself faulty."""
    if purpose is not None and purpose not in catalogue():
        yield unknown_purpose(purpose, "purpose")
    if positive is not None and label is None:
        yield Problem(code="RF-S008", path=("positive",), template=N_("positive needs a label."))
    for position, name in enumerate(features or ()):
        if name == label:
            yield Problem(
                code="RF-S009",
                path=("features", position),
                values={"name": name},
                template=N_('"{name}" is the label, so it cannot be a feature.'),
            )
        if name in (features or ())[:position]:
            yield Problem(
                code="RF-S010",
                path=("features", position),
                values={"name": name},
                template=N_('The feature "{name}" is listed twice.'),
            )
    yield from _holder_problems(holders or (), privacy)


def _holder_problems(holders: tuple[Participant, ...], privacy: PrivacyTerms | None) -> Iterator[Problem]:
    for position, holder in enumerate(holders):
        before = holders[:position]
        if any(holder.name == other.name for other in before):
            yield Problem(
                code="RF-S011",
                path=("holders", position, "name"),
                values={"name": holder.name},
                template=N_('The holder "{name}" is listed twice.'),
            )
        twin = next(
            (o.name for o in before if o.name != holder.name and alike(o.name) == alike(holder.name)), None
        )
        if twin is not None:
            yield Problem(
                code="RF-S420",
                path=("holders", position, "name"),
                values={"name": holder.name, "other": twin},
                template=N_('The holders "{other}" and "{name}" read alike; one of them needs another name.'),
            )
        if any(holder.key == other.key for other in before):
            yield Problem(
                code="RF-S012",
                path=("holders", position, "key"),
                values={"name": holder.name},
                template=N_('The holder "{name}" has the key of another holder; each has its own.'),
            )
        if privacy is not None and privacy.delta * holder.max_customers >= 1:
            yield Problem(
                code="RF-S013",
                path=("privacy", "delta"),
                values={"name": holder.name, "count": holder.max_customers},
                template=N_('delta must be below 1/{count}, one over the max_customers of "{name}".'),
            )
    if holders and privacy is not None and len(holders) < privacy.min_holders:
        yield Problem(
            code="RF-S014",
            path=("privacy", "min_holders"),
            values={"count": len(holders), "needed": privacy.min_holders},
            template=N_("Holders in the study: {count}; min_holders asks for {needed}."),
        )


def study_against_schema(
    label: str | None, positive: str | None, features: tuple[str, ...] | None, schema: Schema
) -> Iterator[Problem]:
    """What in a study does not fit the schema."""
    known = {feature.name: feature for feature in schema.features}
    for position, name in enumerate(features or ()):
        if name not in known:
            yield Problem(
                code="RF-S015",
                path=("features", position),
                values={"name": name, "schema": schema.id},
                template=N_('The schema {schema} has no feature "{name}".'),
            )
        elif known[name].kind == "text":
            yield Problem(
                code="RF-S016",
                path=("features", position),
                values={"name": name},
                template=N_('"{name}" is free text, which is never a feature.'),
            )
        elif name in schema.future:
            yield Problem(
                code="RF-S550",
                path=("features", position),
                values={"name": name},
                template=N_('"{name}" is made of days from the cutoff on, so it can only be the label.'),
            )
    if label is None:
        return
    feature = known.get(label)
    if feature is None:
        yield Problem(
            code="RF-S015",
            path=("label",),
            values={"name": label, "schema": schema.id},
            template=N_('The schema {schema} has no feature "{name}".'),
        )
    elif feature.categories is None:
        yield Problem(
            code="RF-S017",
            path=("label",),
            values={"name": label, "kind": feature.kind},
            template=N_('The label must be a flag or a category; "{name}" is a {kind}.'),
        )
    elif positive is None and feature.kind == "category":
        yield Problem(
            code="RF-S018",
            path=("label",),
            values={"name": label, "known": ", ".join(feature.categories)},
            template=N_('Say which category of "{name}" is positive: positive = one of {known}.'),
        )
    elif positive is not None and positive not in feature.categories:
        yield Problem(
            code="RF-S019",
            path=("positive",),
            values={"name": label, "known": ", ".join(feature.categories)},
            template=N_('Not a category of the label "{name}"; it has: {known}.'),
        )


def positive_category(study: Study, schema: Schema) -> str:
    """The category of the label that counts as 1.

    Raises:
        StudyError: RF-S020 when the study has no label that has one.
    """
    categories = () if study.label is None else schema.feature(study.label).categories or ()
    positive = (
        study.positive if study.positive is not None else (categories[1] if len(categories) == 2 else None)
    )
    if positive is None or positive not in categories:
        raise StudyError(
            "RF-S020", N_("The study {study} has no label with a positive category."), study=study.id
        )
    return positive


def load_study(
    path: str | Path, known: Sequence[Schema] = (), *, today: datetime.date | None = None
) -> Study:
    """A study from its file; a schema given by path or table is checked and replaced by its digest.

    Args:
        path: the TOML file.
        known: schemas to look a digest up in, so that names of features are checked too.
        today: refuse a study that has expired by this day.

    Raises:
        StudyError: RF-C001, which lists every fault with its line.
    """
    file = read_toml(Path(path), StudyError)
    resolved = resolve_schema(file, known)
    data = {key: value for key, value in file.data.items() if key != "schema"}
    if resolved.reference is not None:
        data["schema"] = resolved.reference
    study, problems = build(Study, data)
    problems += resolved.problems
    label, positive, features = (
        salvage(str, data.get("label")),
        salvage(str, data.get("positive")),
        salvage(tuple[str, ...], data.get("features")),
    )
    if study is None:
        purpose, holders = salvage(str, data.get("purpose")), valid_entries(Participant, data.get("holders"))
        privacy = salvage(PrivacyTerms, data.get("privacy"))
        problems += study_problems(purpose, label, positive, features, privacy, tuple(h for _, h in holders))
    if resolved.schema is not None:
        problems += study_against_schema(label, positive, features, resolved.schema)
        asked = salvage(tuple[str, ...], data.get("inputs"))
        problems += asked_problems(asked, tuple(resolved.schema.inputs), resolved.schema.id)
    problems += _expired(salvage(datetime.date, data.get("expires")), today)
    file.settle(problems, StudyError, resolved.faults)
    assert study is not None  # otherwise there was a problem
    return study


def _expired(expires: datetime.date | None, today: datetime.date | None) -> Iterator[Problem]:
    if expires is not None and today is not None and expires < today:
        yield Problem(
            code="RF-S021",
            path=("expires",),
            values={"day": expires.isoformat()},
            template=N_("The study expired on {day}; ask for a new one."),
        )
