"""Reads the table as a study would and hands the quality report to the holder's own people."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Connection

from ringfence.clients.attesting import Attested, attest
from ringfence.clients.desk.unfinished import Unfinished, as_far_as_filled
from ringfence.clients.desk.whatif import read_study
from ringfence.clients.home import Home
from ringfence.clients.records.turns import window_to_attest
from ringfence.clients.rows.table import read_table
from ringfence.privacy.agreements.contract import LoadedContract
from ringfence.privacy.agreements.policy import allowed_columns, features_by_purpose
from ringfence.privacy.agreements.purposes import purpose as known_purpose
from ringfence.privacy.agreements.study import PrivacyTerms, Study
from ringfence.privacy.errors import N_, StudyError, TableError
from ringfence.privacy.tables.quality import QualityReport


def inspect_table(home: Home, purpose: str | None, label: str | None, study: Path | None) -> QualityReport:
    """Read what a purpose or a signed study may use; reading it is an event.

    Args:
        home: the holder's.
        purpose: all columns the contract allows for it, or None.
        label: with a purpose: the feature to predict.
        study: a signed study's file, or None.

    Raises:
        StudyError: the purpose is unknown, or a column is not allowed for it.
        TableError: the table cannot be read as the contract says.
    """
    resource = f"table:{home.settings.name}"
    with home.refusals("table.refused", resource):
        loaded = home.contract()
        asked = read_study(home, study) if study is not None else _question(loaded, purpose or "", label)
        columns = allowed_columns(loaded.contract, asked, loaded.schema)
        table = read_table(loaded.contract, loaded.schema, columns, loaded.path.parent)
    home.log.record(
        "table.read",
        "allow",
        resource=resource,
        public={
            "contract": loaded.contract.digest(),
            "columns": list(columns.named),
            "purpose": asked.purpose,
            "use": "quality-check",
        },
        private={"rows": len(table)},
    )
    return table.quality


def attest_table(home: Home, path: Path, number: int | None = None) -> Attested:
    """Judge the table for a signed study and keep it; a refusal of the study is an event, a verdict as well.

    Args:
        home: the holder's.
        path: the study, as people name it.
        number: of a series, the run it is for; the one that can still start, or the next, by default.

    Raises:
        KeyFault: the study is not the coordinator's.
        StudyError: RF-S041 the study is not allowed here, RF-S321 it has begun here.
        TableError: the table cannot be read as the contract says, or does not pass.
    """
    with home.refusals("table.refused", f"table:{home.settings.name}", recorded=TableError):
        study, loaded = read_study(home, path), home.contract()
        premises, now = home.premises(loaded), datetime.datetime.now(datetime.UTC)
        window = window_to_attest(premises.ledger, premises.participations, study, number, now)
        return attest(premises, study, now, window)


def forget_table(home: Home, path: Path, number: int | None = None) -> str:
    """Delete the copy that is kept for a study, or one run of a series, all of them by default; its digest.

    Raises:
        KeyFault: the study is not the coordinator's.
        StudyError: RF-S322 the study is under way here and may have to read the copy again.
    """
    study = read_study(home, path)
    digest, snapshots = study.digest(), home.snapshots()
    windows = {0} if study.series is None else {number} if number else set(snapshots.windows(digest))

    def not_under_way(connection: Connection) -> None:
        found = [one for one in home.ledger.reservations(connection) if one.study_digest == digest]
        if any(one.window in windows for one in found):
            raise StudyError(
                "RF-S322",
                N_(
                    "The study is under way here; its copy of the table is deleted when it ends, or after: "
                    "ringfence-client budget close {digest}"
                ),
                digest=digest,
            )

    for window in sorted(windows):
        snapshots.forget(digest, not_under_way, window=window)
    return digest


def _question(loaded: LoadedContract, purpose: str, label: str | None) -> Study:
    """A question of that purpose to ask the policy by; it is never signed and never runs."""
    known_purpose(purpose)
    if label is not None and loaded.contract.column(label) is None:
        raise StudyError("RF-S203", N_('The contract has no column "{label}" to be the label.'), label=label)
    inputs = tuple(name for name, source in loaded.contract.inputs.items() if purpose in source.purposes)
    asked = Study(
        id="quality-check",
        schema_ref=loaded.schema.digest(),
        purpose=purpose,
        legal_basis="consent",
        task="quality-check",
        label=label,
        expires=datetime.date.max,
        dpia="none: only the holder's own people see the report",
        privacy=PrivacyTerms(epsilon=Decimal(1), delta=Decimal("1e-9"), noise="local", min_holders=1),
    )
    if not inputs:
        return asked
    # With inputs a study uses the features that it names, so all that are allowed are named.
    given = features_by_purpose(loaded.contract, loaded.schema).get(purpose, ())
    beside = {label, *inputs, *loaded.schema.future}
    return asked.revised(inputs=inputs, features=tuple(name for name in given if name not in beside) or None)


def inspect_draft(contract: Path, purpose: str, label: str | None) -> tuple[QualityReport, Unfinished]:
    """Read what a draft of a contract would allow for a purpose, as far as it is filled in, unrecorded.

    Raises:
        ContractError: the contract has other faults than open places.
        StudyError: the purpose is unknown, or a column is not allowed for it.
        TableError: the table cannot be read as the contract says.
    """
    known_purpose(purpose)
    found = as_far_as_filled(contract, purpose)
    loaded = found.loaded
    asked = _question(loaded, purpose, label)
    columns = allowed_columns(loaded.contract, asked, loaded.schema)
    return read_table(loaded.contract, loaded.schema, columns, loaded.path.parent).quality, found
