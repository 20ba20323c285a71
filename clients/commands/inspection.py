"""Reads the table as a study would and hands the quality report to the holder's own people."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

from ringfence.clients.commands.whatif import read_study
from ringfence.clients.home import Home
from ringfence.clients.table import read_table
from ringfence.privacy.contract import LoadedContract
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.policy import allowed_columns
from ringfence.privacy.purposes import purpose as known_purpose
from ringfence.privacy.quality import QualityReport
from ringfence.privacy.study import PrivacyTerms, Study


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
            "columns": list(columns.headers),
            "purpose": asked.purpose,
            "use": "quality-check",
        },
        private={"rows": len(table)},
    )
    return table.quality


def _question(loaded: LoadedContract, purpose: str, label: str | None) -> Study:
    """A question of that purpose to ask the policy by; it is never signed and never runs."""
    known_purpose(purpose)
    if label is not None and loaded.contract.column(label) is None:
        raise StudyError("RF-S203", N_('The contract has no column "{label}" to be the label.'), label=label)
    return Study(
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
