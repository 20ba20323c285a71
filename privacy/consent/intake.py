"""Reads a file of consent events strictly: every fault with its line at once, or arrays ready to be stored.

Low-cardinality columns are checked once per distinct value, so a million rows take a few seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from ringfence.privacy.consent import cells
from ringfence.privacy.consent.cells import Coded, Codes
from ringfence.privacy.consent.eligibility import permits, refuses
from ringfence.privacy.consent.records import ALL_PURPOSES, KIND_BY_WORD, ConsentTerms
from ringfence.privacy.consent.tables import FOREVER
from ringfence.privacy.consent.times import BAD, BLANK, EARLIEST, Flags, TimeColumn
from ringfence.privacy.errors import N_, ConsentError
from ringfence.privacy.tables import tabular
from ringfence.privacy.toml.faults import Fault, FaultList

REQUIRED: Final = ("customer_key", "event", "purpose", "at")
TERMS: Final = (
    "notice_id",
    "notice_version",
    "notice_language",
    "notice_digest",
    "legal_basis",
    "recipients",
    "column_groups",
    "separate_consents",
    "letter_digest",
)
TIMES: Final = ("at", "valid_from", "valid_until")
OPTIONAL: Final = ("valid_from", "valid_until", *TERMS)
_LISTS: Final = frozenset({"recipients", "column_groups", "separate_consents"})
_MAX_FAULTS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Checked events, one entry a row of the file.

    Attributes:
        customer_keys: raw keys, shape `(n,)`; they are turned into pseudonyms and forgotten.
        kind: `EventKind` numbers, int64 `(n,)`.
        purpose: index into `purposes`, int64 `(n,)`.
        at, valid_from, valid_until: microseconds UTC, int64 `(n,)`.
        terms: index into `terms_found`, -1 for none, int64 `(n,)`.
        ended: last instant of an event that names its day alone, else `at`, int64 `(n,)`.
    """

    customer_keys: list[str]
    kind: Codes
    purpose: Codes
    purposes: list[str]
    at: Codes
    valid_from: Codes
    valid_until: Codes
    terms: Codes
    terms_found: list[ConsentTerms]
    ended: Codes

    def __len__(self) -> int:
        return len(self.customer_keys)


def read_events(
    path: Path,
    *,
    purposes: Collection[str],
    jurisdiction: str | None,
    layout: tabular.Layout,
    now: int,
    zone: ZoneInfo | None = None,
) -> Intake:
    """Read and check a file of consent events (docs/reference/consent.md lists its columns).

    Args:
        path: CSV or Parquet file.
        purposes: names of the purposes that exist.
        jurisdiction: decides which legal bases exist.
        layout: delimiter and encoding of a CSV file.
        now: the present moment, microseconds UTC; nothing has happened after it.
        zone: whose days the file names; UTC's where there is none.

    Raises:
        TableError: the file cannot be read at all.
        ConsentError: RF-N010 with all faults, RF-N202 to RF-N204 a column of another type; nothing was used.
    """
    table = cells.consent_columns(path, layout, REQUIRED, OPTIONAL)
    keys: list[str] = tabular.key_text(table["customer_key"]).to_pylist()
    text = {
        name: (cells.coded_list if name in _LISTS else cells.coded)(table, name, path)
        for name in ("event", "purpose", *TERMS)
        if name in table.column_names
    }
    kind = _mapped(text["event"], lambda word: int(KIND_BY_WORD.get(word, 0)))
    names = sorted({*purposes, ALL_PURPOSES})
    position = {name: number for number, name in enumerate(names)}
    purpose = _mapped(text["purpose"], lambda name: position.get(name, -1))
    times = _times(table, path, len(keys), zone)
    found, terms = _terms({name: text[name] for name in TERMS if name in text}, len(keys))

    found_faults = _RowFaults()
    _check_letters(keys, text, found_faults)
    unknown, words = ~(permits(kind) | refuses(kind)), ", ".join(KIND_BY_WORD)
    found_faults.add(unknown, "event", "RF-N012", _MESSAGES["event"], words=words)
    found_faults.add(purpose < 0, "purpose", "RF-N013", _MESSAGES["purpose"])
    found_faults.add(
        permits(kind) & (purpose == position[ALL_PURPOSES]), "purpose", "RF-N014", _MESSAGES["all"]
    )
    at, valid_from, valid_until = _timed(times, now, found_faults)
    _check_terms(permits(kind), terms, found, jurisdiction, found_faults)
    found_faults.settle(path, layout)
    return Intake(
        customer_keys=keys,
        kind=kind,
        purpose=purpose,
        purposes=names,
        at=at,
        valid_from=valid_from,
        valid_until=valid_until,
        terms=terms,
        terms_found=found,
        ended=times["at"].ended(now),
    )


def _check_terms(
    permitted: Flags,
    terms: Codes,
    found: Sequence[ConsentTerms],
    jurisdiction: str | None,
    faults: _RowFaults,
) -> None:
    """Whoever permits does so on terms, and these are whole and known to the law."""
    faults.add(permitted & (terms < 0), "notice_id", "RF-N017", _MESSAGES["terms"])
    for number, one in enumerate(found):
        for column in one.faults(jurisdiction):
            faults.add(terms == number, column, "RF-N018", _MESSAGES["term"])


def _times(table: Any, path: Path, rows: int, zone: ZoneInfo | None) -> dict[str, TimeColumn]:
    """The columns of times, with days as they are in a zone."""
    return {
        name: cells.moments(table, name, path).in_zone(zone)
        if name in table.column_names
        else TimeColumn.blank(rows)
        for name in TIMES
    }


def _check_letters(keys: list[str], text: Mapping[str, Coded], faults: _RowFaults) -> None:
    """Every row has a key, and no key or word holds a broken letter."""
    faults.add(np.array([not key for key in keys]), "customer_key", "RF-N011", _MESSAGES["key"])
    faults.add(np.array([_broken(key) for key in keys]), "customer_key", "RF-N205", _MESSAGES["broken"])
    for name, (codes, texts) in text.items():
        broken = np.array([_broken(each) for each in texts])[codes]
        faults.add(broken, name, "RF-N205", _MESSAGES["broken"])


def _timed(times: dict[str, TimeColumn], now: int, faults: _RowFaults) -> tuple[Codes, Codes, Codes]:
    """When each event happened and holds, microseconds; what is no time or no possible one is a fault.

    An event that happened lies in the past. One dated ahead would come after a refusal that is given in
    between, and bring back whom that refusal had taken out.
    """
    for name, moments in times.items():
        micros = moments.micros
        faults.add((micros == BAD) | ((micros == BLANK) & (name == "at")), name, "RF-N015", _MESSAGES["time"])
        faults.add((micros > BLANK) & (micros < EARLIEST), name, "RF-N200", _MESSAGES["early"])
    faults.add(times["at"].ahead(now), "at", "RF-N201", _MESSAGES["ahead"])
    at = times["at"].happened(now)
    valid_from, valid_until = times["valid_from"].micros, times["valid_until"].micros
    valid_from = np.where(valid_from == BLANK, at, valid_from)
    valid_until = np.where(valid_until == BLANK, FOREVER, valid_until)
    known = (valid_from != BAD) & (valid_until != BAD)
    faults.add(known & (valid_until <= valid_from), "valid_until", "RF-N016", _MESSAGES["order"])
    return at, valid_from, valid_until


def _broken(text: str) -> bool:
    """Whether a cell goes on over lines: with a quotation mark too many it swallows the rows below it."""
    return "\n" in text or "\r" in text


_MESSAGES: Final = {
    "broken": N_(
        "The cell goes on over several lines, as when a quotation mark opens it and is closed some rows "
        "later. Write it on one line."
    ),
    "key": N_("The customer key is empty."),
    "event": N_("Not a kind of event; one of {words} is expected."),
    "purpose": N_("Not a purpose of the catalogue; see docs/reference/consent.md."),
    "all": N_(
        'Consent is given for one purpose; "all" is only for a refusal, withdrawal, expiry or objection.'
    ),
    "time": N_("Not a date such as 2026-01-31 or a time with its zone such as 2026-01-31T09:30:00+08:00."),
    "early": N_(
        "The time lies before 1971, as some systems write it where they know none; give the real one, or "
        "leave valid_from or valid_until empty."
    ),
    "ahead": N_(
        "The time lies in the future, and an event has happened. Import it afterwards; a consent that begins "
        "or ends later says so in valid_from or valid_until."
    ),
    "order": N_("The validity ends before it begins."),
    "terms": N_("The notice and legal basis of a granted or renewed consent are missing."),
    "term": N_("Missing, malformed, or not known in this jurisdiction; see docs/reference/consent.md."),
}


class _RowFaults:
    """Gathers faults by row; lines are looked up only if there are any."""

    def __init__(self) -> None:
        self._found: list[tuple[int, str, str, str, dict[str, object]]] = []
        self._count = 0

    def add(
        self, rows: npt.NDArray[np.bool_], column: str, code: str, template: str, **values: object
    ) -> None:
        wrong = np.flatnonzero(rows)
        self._count += len(wrong)
        self._found.extend((int(row), column, code, template, values) for row in wrong[:_MAX_FAULTS])

    def settle(self, path: Path, layout: tabular.Layout) -> None:
        if not self._count:
            return
        first = sorted(self._found, key=lambda fault: fault[0])[:_MAX_FAULTS]
        rows = sorted({fault[0] for fault in first})
        line = dict(zip(rows, tabular.line_numbers(path, layout, rows), strict=True))
        raise ConsentError(
            "RF-N010",
            N_(
                "{file} holds {count} fault(s), so nothing was imported. Mend them and import "
                "again:\n{faults}"
            ),
            file=path.name,
            count=self._count,
            faults=FaultList(
                Fault(
                    file=path.name, line=line[row], path=column, code=code, template=template, values=values
                )
                for row, column, code, template, values in first
            ),
        )


def _mapped(coded: Coded, meaning: Callable[[str], int]) -> Codes:
    codes, texts = coded
    return np.fromiter((meaning(value) for value in texts), dtype=np.int64, count=len(texts))[codes]


def _terms(columns: dict[str, Coded], rows: int) -> tuple[list[ConsentTerms], Codes]:
    """The distinct terms of the file and which of them each row names (-1: all its columns are blank)."""
    combined = np.zeros(rows, dtype=np.int64)
    for codes, texts in columns.values():
        if len(texts) > 1:
            # Renumbered at every step, so the product stays far below 2^63.
            combined = np.unique(combined * len(texts) + codes, return_inverse=True)[1]
    _numbers, first, inverse = np.unique(combined, return_index=True, return_inverse=True)
    found: list[ConsentTerms] = []
    number = np.full(len(first), -1, dtype=np.int64)
    for position, row in enumerate(first):
        values = {name: texts[codes[row]] for name, (codes, texts) in columns.items()}
        if any(values.values()):
            number[position] = len(found)
            found.append(_one_terms(values))
    return found, number[inverse]


def _one_terms(values: dict[str, str]) -> ConsentTerms:
    lists = {name: _listed(values.get(name, "")) for name in _LISTS}
    texts = {name: values.get(name, "") for name in TERMS if name not in _LISTS}
    return ConsentTerms(**texts, **lists)  # type: ignore[arg-type]


def _listed(value: str) -> tuple[str, ...]:
    return tuple(sorted({part.strip() for part in value.split(cells.SEPARATOR) if part.strip()}))
