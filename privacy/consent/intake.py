"""Reads a file of consent events strictly: every fault with its line at once, or arrays ready to be stored.

Low-cardinality columns are checked once per distinct value, so a million rows take a few seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ringfence.privacy import tabular
from ringfence.privacy.consent.events import ALL_PURPOSES, KIND_BY_WORD, LAST_PERMITTING, Terms
from ringfence.privacy.consent.tables import FOREVER, to_micros
from ringfence.privacy.documents.faults import Fault, FaultList
from ringfence.privacy.errors import N_, ConsentError

REQUIRED: Final = ("customer_key", "event", "purpose", "at")
TERMS: Final = (
    "notice_id", "notice_version", "notice_language", "notice_digest", "legal_basis",
    "recipients", "column_groups", "separate_consents", "letter_digest",
)  # fmt: skip
OPTIONAL: Final = ("valid_from", "valid_until", *TERMS)
_LISTS: Final = frozenset({"recipients", "column_groups", "separate_consents"})
_MAX_FAULTS: Final = 200
_BAD_TIME: Final = -(1 << 62)
_BLANK_TIME: Final = _BAD_TIME + 1

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Checked events, one entry a row of the file.

    Attributes:
        customer_keys: raw keys, shape `(n,)`; they are turned into pseudonyms and forgotten.
        kind: `EventKind` numbers, int64 `(n,)`.
        purpose: index into `purposes`, int64 `(n,)`.
        at, valid_from, valid_until: microseconds UTC, int64 `(n,)`.
        terms: index into `terms_found`, -1 for none, int64 `(n,)`.
    """

    customer_keys: list[str]
    kind: Codes
    purpose: Codes
    purposes: list[str]
    at: Codes
    valid_from: Codes
    valid_until: Codes
    terms: Codes
    terms_found: list[Terms]

    def __len__(self) -> int:
        return len(self.customer_keys)


def read_events(
    path: Path, *, purposes: Collection[str], jurisdiction: str | None, layout: tabular.Layout
) -> Intake:
    """Read and check a file of consent events (docs/reference/consent.md lists its columns).

    Args:
        path: CSV or Parquet file.
        purposes: names of the purposes that exist.
        jurisdiction: decides which legal bases exist.
        layout: delimiter and encoding of a CSV file.

    Raises:
        TableError: the file cannot be read at all.
        ConsentError: RF-N010 with all faults; nothing was used.
    """
    table = _read(path, layout)
    text = {name: _coded(table[name]) for name in table.column_names if name != "customer_key"}
    keys: list[str] = tabular.key_text(table["customer_key"]).to_pylist()
    rows = len(keys)
    kind = _mapped(text["event"], lambda word: int(KIND_BY_WORD.get(word, 0)))
    names = sorted({*purposes, ALL_PURPOSES})
    position = {name: number for number, name in enumerate(names)}
    purpose = _mapped(text["purpose"], lambda name: position.get(name, -1))
    at = _mapped(text["at"], _micros)
    valid_from = _mapped(text["valid_from"], _micros) if "valid_from" in text else np.full(rows, _BLANK_TIME)
    valid_until = _mapped(text["valid_until"], _micros) if "valid_until" in text else np.full(rows, _BLANK_TIME)
    found, terms = _terms({name: text[name] for name in TERMS if name in text}, rows)
    permits = (kind >= 1) & (kind <= LAST_PERMITTING)

    found_faults = _Faults()
    found_faults.add(np.array([not key for key in keys]), "customer_key", "RF-N011", _MESSAGES["key"])
    found_faults.add(kind == 0, "event", "RF-N012", _MESSAGES["event"], words=", ".join(KIND_BY_WORD))
    found_faults.add(purpose < 0, "purpose", "RF-N013", _MESSAGES["purpose"])
    found_faults.add(permits & (purpose == position[ALL_PURPOSES]), "purpose", "RF-N014", _MESSAGES["all"])
    for name, micros in (("at", at), ("valid_from", valid_from), ("valid_until", valid_until)):
        found_faults.add((micros == _BAD_TIME) | ((micros == _BLANK_TIME) & (name == "at")), name, "RF-N015", _MESSAGES["time"])
    valid_from = np.where(valid_from == _BLANK_TIME, at, valid_from)
    valid_until = np.where(valid_until == _BLANK_TIME, FOREVER, valid_until)
    timed = (valid_from != _BAD_TIME) & (valid_until != _BAD_TIME)
    found_faults.add(timed & (valid_until <= valid_from), "valid_until", "RF-N016", _MESSAGES["order"])
    found_faults.add(permits & (terms < 0), "notice_id", "RF-N017", _MESSAGES["terms"])
    for number, one in enumerate(found):
        for column in one.faults(jurisdiction):
            found_faults.add(terms == number, column, "RF-N018", _MESSAGES["term"])
    found_faults.settle(path, layout)
    return Intake(
        customer_keys=keys, kind=kind, purpose=purpose, purposes=names, at=at, valid_from=valid_from,
        valid_until=valid_until, terms=terms, terms_found=found,
    )  # fmt: skip


_MESSAGES: Final = {
    "key": N_("The customer key is empty."),
    "event": N_("Not a kind of event; one of {words} is expected."),
    "purpose": N_("Not a purpose of the catalogue; see docs/reference/consent.md."),
    "all": N_('Consent is given for one purpose; "all" is only for a refusal, withdrawal, expiry or objection.'),
    "time": N_("Not a date such as 2026-01-31 or a time with its zone such as 2026-01-31T09:30:00+08:00."),
    "order": N_("The validity ends before it begins."),
    "terms": N_("The notice and legal basis of a granted or renewed consent are missing."),
    "term": N_("Missing, malformed, or not known in this jurisdiction; see docs/reference/consent.md."),
}


class _Faults:
    """Gathers faults by row; lines are looked up only if there are any."""

    def __init__(self) -> None:
        self._found: list[tuple[int, str, str, str, dict[str, object]]] = []
        self._count = 0

    def add(self, rows: npt.NDArray[np.bool_], column: str, code: str, template: str, **values: object) -> None:
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
            N_("{file} holds {count} fault(s), so nothing was imported. Mend them and import again:\n{faults}"),
            file=path.name,
            count=self._count,
            faults=FaultList(
                Fault(file=path.name, line=line[row], path=column, code=code, template=template, values=values)
                for row, column, code, template, values in first
            ),
        )


def _read(path: Path, layout: tabular.Layout) -> Any:
    names = tabular.column_names(path, layout)
    strange = [name for name in names if name not in REQUIRED and name not in OPTIONAL]
    lacking = [name for name in REQUIRED if name not in names]
    if strange and not lacking:
        raise ConsentError(
            "RF-N019",
            N_('{file} has a column "{column}" that consent files do not have.{hint} Remove it.'),
            file=path.name,
            column=strange[0],
            hint=tabular.nearest(strange[0], (*REQUIRED, *OPTIONAL)),
        )
    return tabular.read_columns(path, [*REQUIRED, *(name for name in OPTIONAL if name in names)], layout)


def _coded(column: Any) -> tuple[Codes, list[str]]:
    """Codes `(n,)` and the distinct trimmed texts they stand for; null is the empty text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(column.type) and column.type.tz:
        column = pc.strftime(column.cast(pa.timestamp("us", tz="UTC")), format="%Y-%m-%dT%H:%M:%S+00:00")
    texts = pc.fill_null(column.cast(pa.string()), "").combine_chunks().dictionary_encode()
    return texts.indices.to_numpy().astype(np.int64), [str(value).strip() for value in texts.dictionary.to_pylist()]


def _mapped(coded: tuple[Codes, list[str]], meaning: Callable[[str], int]) -> Codes:
    codes, texts = coded
    return np.fromiter((meaning(value) for value in texts), dtype=np.int64, count=len(texts))[codes]


def _micros(value: str) -> int:
    """Microseconds of an ISO 8601 date (its first instant in UTC) or of a time with a zone."""
    if not value:
        return _BLANK_TIME
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return _BAD_TIME
    if moment.tzinfo is None:
        if len(value) != len("2026-01-31"):
            return _BAD_TIME
        moment = moment.replace(tzinfo=UTC)
    return to_micros(moment)


def _terms(columns: dict[str, tuple[Codes, list[str]]], rows: int) -> tuple[list[Terms], Codes]:
    """The distinct terms of the file and which of them each row names (-1: all its columns are blank)."""
    combined = np.zeros(rows, dtype=np.int64)
    for codes, texts in columns.values():
        if len(texts) > 1:
            # Renumbered at every step, so the product stays far below 2^63.
            combined = np.unique(combined * len(texts) + codes, return_inverse=True)[1]
    _numbers, first, inverse = np.unique(combined, return_index=True, return_inverse=True)
    found: list[Terms] = []
    number = np.full(len(first), -1, dtype=np.int64)
    for position, row in enumerate(first):
        values = {name: texts[codes[row]] for name, (codes, texts) in columns.items()}
        if any(values.values()):
            number[position] = len(found)
            found.append(_one_terms(values))
    return found, number[inverse]


def _one_terms(values: dict[str, str]) -> Terms:
    lists = {name: _listed(values.get(name, "")) for name in _LISTS}
    texts = {name: values.get(name, "") for name in TERMS if name not in _LISTS}
    return Terms(**texts, **lists)  # type: ignore[arg-type]


def _listed(value: str) -> tuple[str, ...]:
    return tuple(sorted({part.strip() for part in value.split(";") if part.strip()}))


