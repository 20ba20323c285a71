"""A holder's people read their table as a study would before anybody approves it, and keep what they read.

Whether a table is sound is a matter between a holder and its own people. It is settled here, once, over the
whole table with everybody in it, and before a coordinator can ask; joining reads what was kept and judges
nothing (docs/decisions/0010-tables-are-attested.md).

Invariant: the log's public part is the same whether the table passed, failed or could not be read: one event
before the reading and one after it. The verdict, the counts and the digest are private.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from ringfence.clients.records.offers import Offers
from ringfence.clients.records.participations import Participations
from ringfence.clients.records.snapshots import Attestation, Snapshots
from ringfence.clients.records.turns import require_unattested_run
from ringfence.clients.rows.table import attested, kept, read_table
from ringfence.models.catalogue import task_named
from ringfence.models.task import StudyContext, require_fitting
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.policy import Request, decide
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import N_, RingfenceError, StudyError
from ringfence.privacy.ledger import Ledger
from ringfence.privacy.stores.journal import Journal, Json, listed
from ringfence.privacy.succession.book import KeyBook
from ringfence.privacy.tables.quality import QualityReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """What attesting works with: a holder without its secret key.

    Attributes:
        contract, schema: what the table is.
        base: folder that the contract's file names are relative to.
        key: the holder's, as studies name it.
        chains: the keys that took the place of others.
        log, ledger, snapshots, offers, participations: the holder's own.
    """

    contract: Contract
    schema: Schema
    base: Path
    key: PublicIdentity
    chains: KeyBook
    log: Journal
    ledger: Ledger
    snapshots: Snapshots
    offers: Offers
    participations: Participations


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """A table that passed, and what was found on the way."""

    attestation: Attestation
    quality: QualityReport


def attest(premises: Premises, study: Study, now: datetime, window: int = 0) -> Attested:
    """Read the table as the study would, judge it, and keep it for the study, or for one run of a series.

    Where it does not pass, that is kept as well, unless an earlier reading passed: a copy that was attested
    once stays in force until another one passes.

    Args:
        premises: the holder's.
        study: the study, its coordinator's signature verified.
        now: the present moment, UTC.
        window: of a series, number of the run (`turns.window_to_attest`).

    Raises:
        StudyError: RF-S041 the study is not allowed here; RF-S570 and what else `require_fitting` refuses,
            since nothing would come of what is read; RF-S321 it, or this run, has begun here; RF-S483 this
            run has released.
        TableError: the table cannot be read as the contract says, or RF-T040 does not pass the quality gate.
    """
    digest = study.digest()
    request = Request(
        study=study,
        contract=premises.contract,
        schema=premises.schema,
        now=now,
        key=premises.key,
        peers=premises.chains.trusted("holder", premises.contract.peers),
    )
    columns = decide(request).require().columns
    require_fitting(task_named(study.task), StudyContext.of(study, premises.schema))
    _require_not_begun(premises, study, window, None)
    _log(premises, study, "table.read", {"columns": listed(columns.named)})
    made = Attestation(
        study=digest,
        contract=premises.contract.digest(),
        headers=columns.touched,
        at=now,
        expires=study.expires,
        window=window,
    )
    try:
        table = read_table(premises.contract, premises.schema, columns, premises.base)
        content = kept(attested(table))
        file, taken = premises.snapshots.write(digest, content)
    except Exception as fault:
        _failed(premises, study, made, fault)
        raise
    made = replace(made, file=file, digest=taken)
    verdict: Mapping[str, Json] = {"passed": True, "rows": len(table), "snapshot": taken}
    premises.snapshots.put(
        made,
        lambda connection: _assessed(premises, study, verdict, connection),
        # Asked again, where nobody else reserves: the reading took its time, and a join may have come.
        lambda connection: _require_not_begun(premises, study, window, connection),
    )
    _forget_past(premises, study, now)
    return Attested(attestation=made, quality=table.quality)


def _require_not_begun(premises: Premises, study: Study, window: int, connection: Connection | None) -> None:
    if study.series is not None:
        study.series.window(window)
        require_unattested_run(premises.ledger, premises.participations, study, window, connection)
    elif premises.ledger.reserved_before(study.digest(), connection):
        raise StudyError(
            "RF-S321",
            N_("The study {study} has begun here, with the table that was attested for it then."),
            study=study.id,
        )


def _forget_past(premises: Premises, study: Study, now: datetime) -> None:
    """Delete the copies that were kept for earlier runs of a series and never used."""
    if study.series is None:
        return
    digest = study.digest()
    under_way = {each.window for each in premises.ledger.reservations() if each.study_digest == digest}
    for number in premises.snapshots.windows(digest):
        if number not in under_way and study.series.window(number).closes <= now:
            premises.snapshots.forget(digest, window=number)


def _failed(premises: Premises, study: Study, made: Attestation, fault: Exception) -> None:
    """Keep why the table did not pass, unless there is a copy that did.

    A fault of any kind gets its event: rows may decide whether there is one.
    """
    code = fault.code if isinstance(fault, RingfenceError) else type(fault).__name__
    verdict: Mapping[str, Json] = {"passed": False, "reasons": [code]}
    made = replace(made, fault=str(fault) if isinstance(fault, RingfenceError) else code)
    premises.snapshots.put(made, lambda connection: _assessed(premises, study, verdict, connection))


def _assessed(premises: Premises, study: Study, verdict: Mapping[str, Json], connection: Connection) -> None:
    premises.offers.reopen(study.digest(), connection=connection)
    _log(premises, study, "table.assessed", verdict, connection)


def _log(
    premises: Premises,
    study: Study,
    action: str,
    private: Mapping[str, Json],
    connection: Connection | None = None,
) -> None:
    premises.log.record(
        action,
        "allow",
        resource=f"study:{study.digest()}",
        public={
            "contract": premises.contract.digest(),
            "purpose": study.purpose,
            "use": "attestation",
        },
        private=private,
        connection=connection,
    )


def passing(snapshots: Snapshots, study: str, contract: str, window: int = 0) -> Attestation | None:
    """The attestation that a study may run on under a contract; None where people have to attest first."""
    found = snapshots.find(study, window)
    return found if found is not None and found.serves(contract) else None
