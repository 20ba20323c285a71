"""What a holder declares to a coordinator: public facts of its contract, signed by its own key."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, TypeAlias

from pydantic import Field

from ringfence.privacy.agreements.law import Country
from ringfence.privacy.agreements.parties import HolderName
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.public_files import read_public
from ringfence.privacy.crypto.signed import read_signed
from ringfence.privacy.errors import N_, RingfenceError, StudyError, told
from ringfence.privacy.toml.canonical import DIGEST, Document, Slug, Whole
from ringfence.privacy.toml.faults import Problem
from ringfence.privacy.toml.validation import build

DECLARATION = "declaration"
"""The kind of the signed document."""

_Digest: TypeAlias = Annotated[str, Field(pattern=re.compile(rf"\A{DIGEST.pattern}\Z"))]
_Key: TypeAlias = Annotated[str, Field(pattern=re.compile(r"\A[0-9a-f]{64}\Z"))]


class Declaration(Document):
    """A holder as it enters studies.

    Attributes:
        name: the holder's name.
        key: public half of its identity, hex.
        log_key: public half of the key of its log in the federation that the declaration is for, hex: the log
            that this coordinator anchors, never the house's own. None where it is for no federation yet.
        max_customers: at most so many customers, a public figure.
        overlap: in how many holders one customer may be; None for all.
        jurisdiction: whose law applies to it; None in a declaration of an earlier form.
        contract, schema_ref: digests of the contract in force and of its schema.
        allows: by purpose, the features of the schema that the contract gives to it, in the schema's order.
    """

    error: ClassVar[type[RingfenceError]] = StudyError

    name: HolderName
    key: _Key
    log_key: _Key | None = None
    max_customers: Whole
    overlap: Whole | None = None
    jurisdiction: Country | None = None
    contract: _Digest
    schema_ref: _Digest = Field(validation_alias="schema", serialization_alias="schema")
    allows: dict[Slug, Annotated[tuple[Slug, ...], Field(max_length=10_000)]]


def read_declaration(path: Path) -> Declaration:
    """A holder's declaration, signed by the very key that it names; whose key that is, is not yet shown.

    Raises:
        KeyFault: it is not a signed declaration, or the signature does not hold.
        StudyError: RF-S210 it is malformed, RF-S421 no holder may have its name.
    """
    document = read_signed(path)
    found = _parse(path, document.body)
    document.verify(DECLARATION, [PublicIdentity.from_hex(found.key)])
    return found


def _parse(path: Path, body: bytes) -> Declaration:
    problems: list[Problem] = []
    with suppress(ValueError, RecursionError):
        found, problems = build(Declaration, json.loads(body))
        if found is not None:
            return found
    if problems and all(problem.path == ("name",) for problem in problems):
        raise StudyError(
            "RF-S421",
            N_("The declaration {file} names a holder in a way that no holder may be called. {why}"),
            file=path.name,
            why=" ".join(told(problem.template, problem.values) for problem in problems),
        )
    raise StudyError(
        "RF-S210",
        N_(
            "The file {file} is not a holder's declaration; ask the holder for: ringfence-client contract "
            "declare"
        ),
        file=path.name,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A key as a file shows it, before anybody has compared it.

    Attributes:
        public: the key.
        said: whose it says it is: the name in a declaration, or the name of a `.pub` file.
    """

    public: PublicIdentity
    said: str


def shown_holder(path: Path) -> Shown:
    """The key of a holder in its declaration, or in the `.pub` file beside its key.

    Raises:
        KeyFault or StudyError: it is neither.
    """
    if path.suffix == ".pub":
        return Shown(public=read_public(path, "holder"), said=path.as_posix())
    found = read_declaration(path)
    return Shown(public=PublicIdentity.from_hex(found.key), said=found.name)
