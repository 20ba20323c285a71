"""What a holder declares about itself to a coordinator: public facts of its signed contract, signed by its own key."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, TypeAlias

from pydantic import Field

from ringfence.privacy.documents.canonical import DIGEST, Document, Slug, Whole
from ringfence.privacy.errors import RingfenceError, StudyError

DECLARATION = "declaration"
"""The kind of the signed document."""

_Digest: TypeAlias = Annotated[str, Field(pattern=re.compile(rf"\A{DIGEST.pattern}\Z"))]
_Key: TypeAlias = Annotated[str, Field(pattern=re.compile(r"\A[0-9a-f]{64}\Z"))]


class Declaration(Document):
    """A holder as it enters studies.

    Attributes:
        name: the holder's name.
        key, log_key: public halves of its keys, hex.
        max_customers: at most so many customers, a public figure.
        overlap: in how many holders one customer may be; None for all.
        contract, schema_ref: digests of the contract in force and of its schema.
    """

    error: ClassVar[type[RingfenceError]] = StudyError

    name: Slug
    key: _Key
    log_key: _Key
    max_customers: Whole
    overlap: Whole | None = None
    contract: _Digest
    schema_ref: _Digest = Field(validation_alias="schema", serialization_alias="schema")
