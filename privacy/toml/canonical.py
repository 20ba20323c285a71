"""Canonical form of documents: RFC 8785 JSON in which decimals and dates are strings, and its digest.

Two files that mean the same have the same bytes here, whatever the order of their keys; defaults are written
out, absent optional fields are left out.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import weakref
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self, TypeAlias

import rfc8785
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ringfence.privacy.errors import N_, RingfenceError
from ringfence.privacy.toml.faults import as_fault, gather, kind_name, refuse
from ringfence.privacy.toml.validation import build, key_of

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
LARGEST = 2**53 - 1  # the largest integer RFC 8785 writes exactly


def to_decimal(value: object) -> Decimal:
    """A number of a document as an exact decimal: at most 30 digits before and after the point."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        refuse("RF-C027", N_("Must be a number; found {found}."), found=kind_name(value))
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except ArithmeticError:
        refuse("RF-C027", N_("Must be a number; found {found}."), found=kind_name(value))
    if not number.is_finite():
        refuse("RF-C028", N_("Must be a finite number."))
    exponent = number.as_tuple().exponent
    if number and (abs(number.adjusted()) > 30 or not isinstance(exponent, int) or exponent < -40):
        refuse("RF-C029", N_("Has too many digits; at most 30 before and 40 after the point are kept."))
    return number


def decimal_text(number: Decimal) -> str:
    """One spelling for one value: `0.10`, `1E-1` and `0.1` are all `0.1`."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def _exact_in_json(number: int) -> int:
    if abs(number) > LARGEST:
        refuse("RF-C074", N_("Too large; at most {limit} is kept exactly."), limit=LARGEST)
    return number


Exact: TypeAlias = Annotated[Decimal, BeforeValidator(to_decimal)]
Whole: TypeAlias = Annotated[int, Field(strict=True), AfterValidator(_exact_in_json)]
# Compiled, so that Python's notion of a letter holds here and in drafts alike.
Slug: TypeAlias = Annotated[str, Field(pattern=re.compile(r"\A[^\W_][\w.\-]{0,63}\Z"))]
Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]
Prose: TypeAlias = Annotated[str, Field(min_length=1, max_length=2000)]


def plain(value: object) -> Any:
    """Models, decimals, dates and tuples as what canonical JSON holds."""
    match value:
        case BaseModel():
            return plain(value.model_dump(by_alias=True, exclude_none=True))
        case Decimal():
            return decimal_text(value)
        case datetime.date():
            return value.isoformat()
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    return value


# By identity and not inside the document: a copy with other values must not inherit them, nor equality see
# them.
_CANONICAL: dict[int, tuple[weakref.ref[Document], bytes]] = {}


class Document(BaseModel):
    """What every model of a document shares: frozen, no unknown keys, one canonical form."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    error: ClassVar[type[RingfenceError]] = RingfenceError

    @classmethod
    def from_canonical(cls, body: bytes) -> Self:
        """The document of a verified signed body.

        Raises:
            SchemaError, ContractError or StudyError: RF-C072 not JSON, RF-C001 it does not fit the model,
                RF-C071 it is not in its one canonical form.
        """
        kind = cls.__name__.lower()
        try:
            data = json.loads(body)
        except (ValueError, RecursionError) as reason:
            raise cls.error(
                "RF-C072", N_("The signed {kind} is not JSON; ask its signer for it again."), kind=kind
            ) from reason
        found = cls._built(data)
        if found.canonical() != body:
            raise cls.error(
                "RF-C071",
                N_("The signed {kind} is not in canonical form; was it written by another version?"),
                kind=kind,
            )
        return found

    @classmethod
    def of(cls, **values: object) -> Self:
        """The document with these fields, checked as one that is read.

        Raises:
            SchemaError, ContractError or StudyError: RF-C001, which lists what is wrong with it.
        """
        return cls._built(values)

    @classmethod
    def _built(cls, data: object) -> Self:
        found, problems = build(cls, data)
        if found is None:
            faults = [as_fault(problem, "", 0, data) for problem in problems]
            raise gather(cls.error, cls.__name__.lower(), faults)
        return found

    def revised(self, **values: object) -> Self:
        """A copy with other values of some fields, by their Python names, checked anew.

        Raises:
            SchemaError, ContractError or StudyError: RF-C001, which lists what is wrong with it.
        """
        fields = type(self).model_fields
        unknown = set(values) - set(fields)
        if unknown:
            raise ValueError(f"no such field: {sorted(unknown)}")
        data = {key_of(name, info): values.get(name, getattr(self, name)) for name, info in fields.items()}
        return self._built(data)

    def canonical(self) -> bytes:
        """RFC 8785 bytes: what is signed and digested; computed once, since a document never changes."""
        kept = _CANONICAL.get(id(self))
        if kept is not None and kept[0]() is self:
            return kept[1]
        number, made = id(self), rfc8785.dumps(plain(self))
        _CANONICAL[number] = (weakref.ref(self, lambda _gone: _CANONICAL.pop(number, None)), made)
        return made

    def digest(self) -> str:
        """`sha256:<64 hex digits>` over the canonical bytes."""
        return "sha256:" + hashlib.sha256(self.canonical()).hexdigest()
