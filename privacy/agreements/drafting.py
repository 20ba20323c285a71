"""A first contract for a table, from its header and column types only: no value of a row is ever written.

What only people know is left as `"???"`, and `contract_faults` reports each one that is still to be filled.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from pathlib import Path

from ringfence.privacy.agreements.contract import load_contract
from ringfence.privacy.agreements.draft_text import ContractOutline, contract_text
from ringfence.privacy.agreements.purposes import purpose
from ringfence.privacy.errors import N_, ContractError
from ringfence.privacy.tables.sniffing import sniffed
from ringfence.privacy.tables.tabular import keyless_advice
from ringfence.privacy.toml.faults import Fault, faults_of

_VALUE = re.compile(
    r"[-+]?\d*[.,]\d+|\d{5,}|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|\S+@\S+\.\S+|\+?\d[\d -]{6,}"
)  # what a value looks like and a header does not


def draft_contract(path: str | Path, known: ContractOutline = ContractOutline()) -> str:  # noqa: B008  # frozen
    """A contract with its schema inlined, as TOML text.

    Args:
        path: a CSV file with a header line (comma, semicolon, tab or bar) or a Parquet file.
        known: what somebody has said beside the table.

    Raises:
        StudyError: RF-S002 a purpose is not in the catalogue.
        ContractError: RF-C320 there is no such file, RF-C321 it is a folder, RF-C322 it is a spreadsheet or
            an archive, RF-C323 it has no column of the subject's name, RF-C080 it cannot be read, RF-C081 its
            encoding is not known, RF-C082 it is empty or has no rows, RF-C083 it seems to have no header
            line, RF-C084 a header is empty or stands twice, RF-C085 the lines do not fit the header, RF-C300
            a quotation mark is not as RFC 4180 has it.
    """
    path = Path(path)
    for name in known.purposes:
        purpose(name)
    _require_file(path)
    layout = sniffed(path)
    headers = [header for header, _ in layout.columns]
    _check_headers(path, headers)
    if known.subject is not None and known.subject not in headers:
        near = difflib.get_close_matches(known.subject, headers, n=1, cutoff=0.6)
        raise ContractError(
            "RF-C323",
            N_("The table {file} has no column {subject}; it has: {known}.{advice}"),
            file=path.name,
            subject=known.subject,
            known=", ".join(near or headers[:10]),
            advice="" if near else f" {keyless_advice()}",
        )
    return contract_text(path, layout, known)


def _require_file(path: Path) -> None:
    name = path.name or str(path)  # `.` has no name of its own
    if path.is_dir():
        raise ContractError(
            "RF-C321",
            N_("{file} is a folder; name the table itself, a CSV or Parquet file."),
            file=name,
        )
    if not path.exists():
        raise ContractError("RF-C320", N_("There is no file {file}; check its name and folder."), file=name)
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except OSError:
        return  # said by whoever reads it
    if start.startswith((b"PK\x03\x04", b"\x1f\x8b", b"\xd0\xcf\x11\xe0", b"%PDF")):
        raise ContractError(
            "RF-C322",
            N_("{file} is a spreadsheet, a document or an archive; export the table as CSV or Parquet."),
            file=name,
        )


def contract_faults(path: str | Path) -> list[Fault]:
    """All faults of a contract's file and its schema, in the order of lines; empty when ready."""
    try:
        load_contract(path)
    except ContractError as error:
        return list(faults_of(error))
    return []


def _check_headers(path: Path, headers: list[str]) -> None:
    numbers = sum(header.isdigit() for header in headers)
    if any(_VALUE.fullmatch(header) for header in headers) or 2 * numbers > len(headers):
        raise ContractError(
            "RF-C083",
            N_(
                "The first line of {file} looks like values; a header line with the columns' names is needed."
            ),
            file=path.name,
        )
    counts = Counter(headers)
    for position, header in enumerate(headers, 1):
        if not header.strip() or counts[header] > 1:
            raise ContractError(
                "RF-C084",
                N_("Column {position} of {file} has no name, or one that stands in the header twice."),
                file=path.name,
                position=position,
            )
