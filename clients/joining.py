"""Joining a study: the attested table is taken up, the whole price reserved, the cohort counted and frozen.

What a coordinator can see of it is whether the holder joins. That hangs on documents, on decisions of the
holder's people, on the ledger, and on one noisy count that is charged; on no row otherwise.

Invariants:
    The table is the copy that the holder's people attested for this study (`clients/attesting.py`), byte for
    byte; the source is not read, and nothing is judged here that rows decide.
    Count, cohort and verdict are durable together: a cohort that was denied has no reservation left to join
    with, at whatever line the process dies.
    A join that fails after its reservation closes it; what was charged stays charged, and the study is over
    here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from ringfence.clients.holder import Holder
from ringfence.clients.pipeline import Admitted, Joined
from ringfence.clients.records.snapshots import Attestation
from ringfence.clients.records.turns import require_open, require_turn
from ringfence.clients.rows.table import (
    AttestedTable,
    ConsentedTable,
    Presence,
    consented,
    minimised,
    restored,
    separate_consents,
)
from ringfence.clients.standing import commit_house
from ringfence.models.catalogue import task_named
from ringfence.models.features import FeatureMatrix, encode_rows
from ringfence.models.task import StudyContext, with_offset
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import Study, positive_category
from ringfence.privacy.consent.cohort import Cohort
from ringfence.privacy.errors import N_, StudyError, TableError
from ringfence.privacy.ledger import Ledger, Reservation
from ringfence.privacy.ledger.entries import COHORT_ROUND
from ringfence.privacy.ledger.series import windows_reserved
from ringfence.privacy.stores.journal import listed
from ringfence.privacy.waist import RoundPlan

# People attest a table now and then; a second time during one join, hardly ever.
_MOST_TURNS = 4


def join(holder: Holder, admitted: Admitted) -> Joined:
    """Take up the attested table, reserve the study's price, count the cohort with noise, and freeze it.

    Raises:
        TableError: the table was not attested for this study, or its copy is gone.
        BudgetError: the study costs more than is left.
        StudyError: it was run here before, or the noisy cohort is below the contract's minimum.
    """
    table, reservation = _settled(holder, admitted)
    with _closed_on_failure(holder, reservation):
        subjects = holder.registry.indices(table.keys())
        cohort = _freeze(holder, admitted, table, subjects, reservation)
        members = cohort.current(holder.registry, holder.clock())
        rows = consented(table, holder.registry, members, subjects)
        features, presence = encoded(admitted.study, holder.schema, rows, holder.name)
    return Joined(
        admitted=admitted,
        reservation=reservation,
        cohort=cohort,
        features=features,
        rows=bytes.fromhex(features.digest().removeprefix("sha256:")),
        presence=presence,
        separate=separate_consents(table.allowed),
    )


def _settled(holder: Holder, admitted: Admitted) -> tuple[AttestedTable, Reservation]:
    """The attested copy and the reservation that settles for it.

    People may attest the table anew in between; then theirs is read instead, so that whether it passes does
    not show in whether this holder joins.
    """
    known = _taken_up(holder, admitted)
    if known is None and admitted.turn is not None:
        require_open(admitted.study, admitted.turn.window, holder.clock(), admitted.said)
        require_turn(holder.ledger, holder.participations, admitted.study, admitted.turn)
    for turn in range(_MOST_TURNS):
        found = holder.snapshots.find(admitted.digest, admitted.window)
        try:
            table = _attested(holder, admitted, found)
            if known is not None:
                return table, known
            assert found is not None  # or there would be no table
            premise = partial(_still_so, holder, admitted, found)
            return table, holder.ledger.reserve_plan(
                admitted.digest, admitted.plan, premise, admitted.turn, admitted.run
            )
        except TableError:
            now_found = holder.snapshots.find(admitted.digest, admitted.window)
            if turn + 1 == _MOST_TURNS or now_found == found:
                raise
    raise AssertionError("the last turn returns or raises")


def _still_so(holder: Holder, admitted: Admitted, found: Attestation, connection: Connection) -> None:
    """Asked in the transaction that reserves: the copy is in force, and the series has room for the run."""
    holder.snapshots.require(found, connection)
    if admitted.turn is not None:  # the window too: reading the copy may have taken it to its end
        require_open(admitted.study, admitted.turn.window, holder.clock(), admitted.said)
        require_turn(holder.ledger, holder.participations, admitted.study, admitted.turn, connection)


def _attested(holder: Holder, admitted: Admitted, found: Attestation | None) -> AttestedTable:
    """The copy that was attested; the intent is an event before the effect."""
    columns = admitted.obligations.columns
    contract = holder.contract.digest()
    if found is None or not found.serves(contract, columns.touched):
        raise TableError(
            "RF-T152",
            N_(
                "The table was not attested for the study {study} under the contract in force, so this "
                "holder stays away: ringfence-client table attest. {fault}"
            ),
            study=admitted.study.id,
            fault="" if found is None else found.fault,
        )
    holder.log.record(
        "table.read",
        "allow",
        resource=f"study:{admitted.digest}",
        public={"contract": contract, "purpose": admitted.study.purpose, "run": admitted.run},
        private={"columns": listed(columns.named), "snapshot": found.digest},
    )
    return restored(columns, holder.snapshots.content(found))


def _taken_up(holder: Holder, admitted: Admitted) -> Reservation | None:
    """This run's reservation after a restart; None for a study that is new here.

    An approval is for one run: whoever wants the study again has it signed and approved anew.

    Raises:
        StudyError: the study was run here before, or this run is over; RF-S500 it was joined for another
            federation.
    """
    if holder.participations.elsewhere(admitted.digest):
        raise StudyError(
            "RF-S500",
            N_(
                "The study {study} was joined here for another federation; approvals are for one. Let the "
                "coordinator make a study of its own."
            ),
            study=admitted.study.id,
        )
    for known in holder.ledger.reservations():
        if (known.study_digest, known.turn) == (admitted.digest, admitted.turn) and known.of_run(
            admitted.run
        ):
            return known
    if admitted.turn is None and holder.ledger.reserved_before(admitted.digest):
        raise StudyError(
            "RF-S064",
            N_(
                "The study {study} was run here before; its approvals were for that run. A repetition is a "
                "new study."
            ),
            study=admitted.study.id,
        )
    return None


@contextmanager
def _closed_on_failure(holder: Holder, reservation: Reservation) -> Iterator[None]:
    """Close a reservation whose join fails: left open, a second try could be told from the first."""
    try:
        yield
    except Exception:
        # Where the store itself fails this fails as well; then the next offer takes the reservation up.
        with suppress(Exception):
            if any(known.id == reservation.id for known in holder.ledger.reservations()):
                holder.ledger.commit(reservation)
            holder.snapshots.forget(reservation.study_digest, window=reservation.window)
        raise


def _freeze(
    holder: Holder,
    admitted: Admitted,
    table: AttestedTable,
    subjects: npt.NDArray[np.int64],
    reservation: Reservation,
) -> Cohort:
    """Freeze who is eligible now; a cohort frozen before a restart is taken up again, uncounted.

    Charge, cohort, event and, where the count is too low, the end of the reservation are one transaction.
    """
    if reservation.attempts:
        return Cohort.load(holder.registry, study=admitted.digest, run=admitted.run)
    plan = RoundPlan(name="cohort", blocks=(admitted.plan.cohort,))
    share = holder.noise.share(plan, {"cohort": 1}, 1)
    with holder.ledger.release(
        reservation, run=admitted.run, round=COHORT_ROUND, attempt=0, mu_squared=share.mu_squared
    ) as connection:
        cohort = Cohort.freeze(
            holder.registry,
            study=admitted.digest,
            run=admitted.run,
            purpose=admitted.study.purpose,
            at=holder.clock(),
            indices=subjects,
            separate=separate_consents(table.allowed),
            connection=connection,
        )
        members = len(cohort.members(holder.registry, connection=connection))
        unit = admitted.plan.cohort.max_abs
        noisy = (members * unit + int(share.blocks["cohort"][0])) / unit
        enough = noisy >= admitted.obligations.min_cohort
        holder.log.record(
            "cohort.counted",
            "allow" if enough else "deny",
            resource=f"study:{admitted.digest}",
            public={"run": admitted.run},
            private={"rows": len(table), "members": members, "noisy": round(noisy)},
            connection=connection,
        )
        if not enough:
            holder.ledger.commit(reservation, connection=connection)
    if not enough:
        raise StudyError(
            "RF-S062",
            N_(
                "The noisy count of consenting customers is below the contract's min_cohort = {minimum}; the "
                "holder does not join."
            ),
            minimum=admitted.obligations.min_cohort,
        )
    return cohort


def encoded(
    study: Study, schema: Schema, rows: ConsentedTable, holder: str
) -> tuple[FeatureMatrix, Presence]:
    """Drop the customer key and encode: consenting rows as cell codes, and who is behind them."""
    small = minimised(
        rows,
        features=rows.allowed.features,
        label=rows.allowed.label,
        split_key=split_key(study),
        test_fraction=study.evaluation.test_fraction,
    )
    context = StudyContext.of(study, schema)
    label = rows.allowed.label
    matrix = encode_rows(
        small,
        schema,
        rows.allowed.features,
        label,
        None if label is None else positive_category(study, schema),
        task_named(study.task).measured(context),
    )
    matrix = replace(matrix, inputs=small.inputs)
    return with_offset(study, holder, matrix), small.presence


def split_key(study: Study) -> bytes:
    """Key of the test split: the same at every holder and in every round of a study."""
    return f"ringfence/split/v1/{study.id}/{study.schema_ref}".encode()


def record_joined(holder: Holder, admitted: Admitted) -> None:
    """Record that a study was joined, and with it where the house's own log stands."""
    with holder.engine.begin() as connection:
        holder.log.record(
            "study.joined",
            "allow",
            resource=f"study:{admitted.digest}",
            public={
                "run": admitted.run,
                "purpose": admitted.study.purpose,
                "legal_basis": admitted.study.legal_basis,
                "contract": holder.contract.digest(),
            }
            | ({"window": admitted.window} if admitted.window else {}),
            connection=connection,
        )
        commit_house(holder, connection)


def close_left(holder: Holder, study: str, run: str) -> None:
    """Free what a process left reserved that died before it kept that it had joined.

    A run counts that this federation's people approved: its table was read, which is written before anything
    is reserved. An offer alone is no proof, since a coordinator can make one of another's study.

    Raises:
        StudyError: RF-S560 budget is reserved for it, and the log of this federation says nothing of it.
        BudgetError: the ledger is frozen, and cannot close it.
    """
    if holder.participations.elsewhere(study) or not windows_reserved(holder.ledger, study, run):
        return  # it is another federation's, and ends there; or nothing is held back for it
    read = holder.log.events(action="table.read", resource=f"study:{study}")
    if any(each.event.public.get("run") == run for each in read):
        for window in close_reservations(holder.ledger, study, run):
            holder.snapshots.forget(study, window=window)
    elif any(each.study_digest == study and each.of_run(run) for each in holder.ledger.reservations()):
        raise StudyError(
            "RF-S560",
            N_(
                "A run of {digest} is over, and budget is reserved for it here although the log does not "
                "say that it was joined. If no federation runs it, free it: ringfence-client budget close "
                "{digest}"
            ),
            digest=study,
        )


def close_reservations(ledger: Ledger, study: str, run: str) -> frozenset[int]:
    """Free what a run that is over did not spend; the windows whose copies nobody needs now.

    They are told again when the reservation was closed before: its process may have died with it alone. The
    window of another run that is open is not among them: that run reads the copy that people attested.
    """
    for each in ledger.reservations():
        if each.study_digest == study and each.of_run(run):
            ledger.commit(each)
    open_ones = {each.window for each in ledger.reservations() if each.study_digest == study}
    return windows_reserved(ledger, study, run) - open_ones
