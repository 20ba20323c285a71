"""What a consent record is: kinds of events and the terms they were given under.

The shape follows ISO/IEC TS 27560:2023 (consent record information structure); purposes are those of the
catalogue, each with its identifier in the Data Privacy Vocabulary (DPV 2). A legal basis is judged per
jurisdiction (`agreements/law`).
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Final

import rfc8785

from ringfence.privacy.agreements.law import LEGAL_BASES, SEPARATE_CONSENTS, bases_of
from ringfence.privacy.toml.canonical import DIGEST


class EventKind(IntEnum):
    """What happened; the numbers stand in the database and never change."""

    GRANTED = 1
    RENEWED = 2
    REFUSED = 3
    WITHDRAWN = 4
    EXPIRED = 5
    OBJECTED = 6

    @property
    def permits(self) -> bool:
        """Whether a subject whose latest event this is may be used (within its validity)."""
        return self <= EventKind.RENEWED

    @property
    def word(self) -> str:
        """The word used in files, e.g. `granted`."""
        return self.name.lower()


KIND_BY_WORD: Final = {kind.word: kind for kind in EventKind}

ALL_PURPOSES: Final = "all"
"""Purpose of a refusal, withdrawal or objection that holds for every purpose."""

_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentTerms:
    """The terms that many subjects agreed to in the same words; stored once.

    Attributes:
        notice_id, notice_version, notice_language, notice_digest: the notice as it was shown.
        legal_basis: a key of `law.LEGAL_BASES`.
        recipients: names of organisations, sorted.
        column_groups: groups of personal data, sorted; empty means those the notice names.
        separate_consents: sorted subset of `law.SEPARATE_CONSENTS`.
        letter_digest: digest of the authorisation letter, or empty.
    """

    notice_id: str
    notice_version: str
    notice_language: str
    notice_digest: str
    legal_basis: str
    recipients: tuple[str, ...] = ()
    column_groups: tuple[str, ...] = ()
    separate_consents: tuple[str, ...] = ()
    letter_digest: str = ""

    def faults(self, jurisdiction: str | None) -> list[str]:
        """Names of the columns whose content is missing or malformed (the values are not repeated)."""
        wrong = [name for name in ("notice_id", "notice_version") if not getattr(self, name)]
        if not _LANGUAGE.fullmatch(self.notice_language):
            wrong.append("notice_language")
        if not DIGEST.fullmatch(self.notice_digest):
            wrong.append("notice_digest")
        if self.legal_basis not in bases_of(jurisdiction):
            wrong.append("legal_basis")
        if not set(self.separate_consents) <= set(SEPARATE_CONSENTS):
            wrong.append("separate_consents")
        if self.letter_digest and not DIGEST.fullmatch(self.letter_digest):
            wrong.append("letter_digest")
        return wrong

    def body(self) -> str:
        """Canonical JSON in the sections of ISO/IEC TS 27560:2023, clause 6.3."""
        values = asdict(self)
        record = {
            "notice": {part: values[f"notice_{part}"] for part in ("id", "version", "language", "digest")},
            "processing": {
                "legalBasis": self.legal_basis,
                "dpvLegalBasis": LEGAL_BASES[self.legal_basis].dpv,
                "personalData": list(self.column_groups),
                "separateConsents": list(self.separate_consents),
                "authorisationLetter": self.letter_digest,
            },
            "party": {"recipients": list(self.recipients)},
        }
        return rfc8785.dumps(record).decode()

    def digest(self) -> str:
        """`sha256:<hex>` over the canonical body."""
        return "sha256:" + sha256(self.body().encode()).hexdigest()
