"""A holder's whole path, stage by stage: from a study that asks to a contribution that may leave.

    admit       is this study signed, allowed, approved, affordable?
    join        read the allowed columns, count the cohort with noise and freeze it, filter by consent, encode
    contribute  re-read consent, leave out who left, compute the exact integer vector

What `contribute` makes goes to the waist gate (`clients/gate.py`) and nowhere else. Each stage takes what only
the stage before can make, so a skipped stage is a type error.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ringfence.clients.holder import Holder
from ringfence.clients.own import Kept
from ringfence.clients.steps import CountedSteps
from ringfence.clients.table import (
    ConsentedTable,
    Presence,
    RawTable,
    consented,
    minimised,
    read_table,
    separate_consents,
)
from ringfence.models.catalogue import task_named
from ringfence.models.features import FeatureMatrix, encode
from ringfence.models.pricing import planned
from ringfence.models.task import StudyContext, Task, with_offset
from ringfence.privacy.consent.cohort import Cohort
from ringfence.privacy.crypto.signed import SignedDocument, check_approvals
from ringfence.privacy.errors import N_, SchemaError, StudyError, TableError
from ringfence.privacy.journal import Json, listed
from ringfence.privacy.ledger import Reservation
from ringfence.privacy.mechanisms.sampling import poisson_sample
from ringfence.privacy.policy import Obligations, Request, decide
from ringfence.privacy.schema import Schema
from ringfence.privacy.study import Study, positive_category
from ringfence.privacy.waist import Contribution, Query, RoundPlan, StudyPlan
from ringfence.privacy.wire.control import StudyOffer
from ringfence.privacy.wire.heads import verify_head

# The cohort count is charged under this round number: it belongs to the join, before round 0.
COHORT_ROUND = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A study that is signed, allowed and approved here, with the price this holder computed itself."""

    study: Study
    digest: str
    run: str
    context: StudyContext
    task: Task[Any, Any]
    plan: StudyPlan
    obligations: Obligations


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A study this holder takes part in: its reservation, its cohort, and the cohort's rows as cell codes.

    The table itself, the customer keys and everybody outside the cohort are gone from memory.

    Attributes:
        rows: SHA-256 of the cohort's codes, labels and parts, 32 bytes.
    """

    admitted: Admitted
    reservation: Reservation
    cohort: Cohort
    features: FeatureMatrix
    rows: bytes
    presence: Presence
    separate: tuple[str, ...]
    kept: Kept = field(default_factory=Kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A contribution on its way to the waist gate, with what the holder's log keeps of it for itself.

    Attributes:
        plan: the round as the signed study fixes it.
        lengths: entries of each block for this query.
        contribution: exact integers.
        evidence: customers, consent root and digest of the rows used; the private part of the event.
        own: what the holder keeps for itself once the attempt is charged; None where the task keeps nothing.
    """

    plan: RoundPlan
    lengths: dict[str, int]
    contribution: Contribution
    evidence: dict[str, Json]
    own: object | None = None


def admit(holder: Holder, offer: StudyOffer) -> Admitted:
    """Decide whether the study may run here at all; nothing is read and nothing is spent.

    Raises:
        KeyFault: a document is not signed by the coordinator.
        StudyError: not allowed (all reasons), or not approved by two people.
        SchemaError: another schema than the contract's.
        BudgetError: the ledger is behind what the coordinator last saw.
    """
    document = SignedDocument.from_json(offer.study)
    study = Study.from_canonical(document.verify("study", [holder.coordinator]))
    digest = study.digest()
    schema_document = SignedDocument.from_json(offer.schema)
    schema_document.verify("schema", [holder.coordinator])
    if schema_document.body != holder.schema.canonical():
        raise SchemaError(
            "RF-C060",
            N_("The study comes with another schema than the one in the contract; agree on one version first."),
        )
    obligations = allowed_now(holder, study)
    if offer.ledger is not None:
        head = verify_head(offer.ledger, holder.identity.public)
        holder.ledger.check_head(head.sequence, head.hash.removeprefix("sha256:"))
    context = StudyContext.of(study, holder.schema)
    task = task_named(study.task)
    return Admitted(
        study=study,
        digest=digest,
        run=offer.run,
        context=context,
        task=task,
        plan=planned(task, context),
        obligations=obligations,
    )


def allowed_now(holder: Holder, study: Study) -> Obligations:
    """Policy and approvals at this moment; asked when a study is offered and again in every round.

    Raises:
        StudyError: not allowed, expired, or not approved by two people.
    """
    request = Request(
        study=study, contract=holder.contract, schema=holder.schema, now=holder.clock(), key=holder.identity.public
    )
    obligations = decide(request).require()
    digest = study.digest()
    check_approvals(holder.approvals(digest), digest, holder.name, holder.approvers)
    return obligations


def join(holder: Holder, admitted: Admitted) -> Joined:
    """Read the table, reserve the whole study's price, count the cohort with noise, and freeze it.

    Raises:
        BudgetError: the study costs more than is left.
        TableError: the table cannot be read or fails the quality gate.
        StudyError: the noisy cohort is below the contract's minimum.
    """
    table = _read(holder, admitted)
    reservation = _reserve(holder, admitted)
    subjects = holder.registry.indices(table.keys())
    cohort = _freeze(holder, admitted, table, subjects, reservation)
    rows = consented(table, holder.registry, cohort.current(holder.registry, holder.clock()), subjects)
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


def contribute(holder: Holder, joined: Joined, query: Query) -> Answer:
    """The exact integer vector of those who are in the cohort and consent at this moment.

    Raises:
        StudyError: the round is not in the study, or the study is no longer allowed.
        WaistError: the query is not one the plan can ask.
    """
    admitted = joined.admitted
    task, context = admitted.task, admitted.context
    if query.task != task.name or not 0 <= query.round < len(admitted.plan.rounds):
        raise StudyError(
            "RF-S060",
            N_("The coordinator asks for round {round} of {task}, which the signed study does not contain."),
            round=query.round,
            task=query.task,
        )
    allowed_now(holder, admitted.study)
    lengths = dict(task.lengths(context, query))
    now = holder.clock()
    # The same work in every round, also when nobody left: a shortcut would show in the reply's time that somebody
    # did.
    with holder.registry.engine.begin() as connection:
        present = joined.cohort.current(holder.registry, now, connection=connection)
        consent_root = holder.registry.root(
            admitted.study.purpose, now, separate=joined.separate, connection=connection
        )
    # Who left is out for good, durably, before anything is computed.
    still = joined.presence.still(present)
    plan = admitted.plan.rounds[query.round]
    contribution, own = _computed(holder, joined, plan, query, joined.features.part(plan.part, still))
    return Answer(
        plan=plan,
        lengths=lengths,
        contribution=contribution,
        evidence={
            "customers": int(still.sum()),
            "consent_root": consent_root,
            "rows": rows_used(joined.rows, still),
        },
        own=own,
    )


def _computed(
    holder: Holder, joined: Joined, plan: RoundPlan, query: Query, rows: FeatureMatrix
) -> tuple[Contribution, object | None]:
    """The task's integers over a sample of the rows, or what it makes of its own noisy steps, and keeps of them."""
    task, context = joined.admitted.task, joined.admitted.context
    if plan.local_steps:
        if task.train_locally is None or context.study.privacy.noise != "local":
            raise StudyError(
                "RF-S066",
                N_("Round {round} asks for local steps, which need noise = \"local\" and a task that has them."),
                round=plan.name,
            )
        steps = CountedSteps(
            plan=plan, rows=rows, noise=holder.noise, max_customers=holder.contract.max_customers
        )
        if task.personal is not None and task.personal.wanted(context):
            return task.personal.train(context, query, steps, joined.kept.before(query.round))
        return task.train_locally(context, query, steps), None
    if plan.sampling_rate != 1:
        rows = rows.take(poisson_sample(len(rows.label), plan.sampling_rate))
    return task.contribute(context, query, rows), None


def rows_used(cohort: bytes, still: npt.NDArray[np.bool_]) -> str:
    """`sha256:` over the cohort's digest and who of it took part in a round; private, since it can be guessed.

    The rows were hashed when the cohort was frozen and do not change, so a round hashes one bit a row. Who has the
    table can compute it again; it was the digest of the rows themselves before.

    Args:
        cohort: 32 bytes, of the cohort's rows in their order (`Joined.rows`).
        still: who took part, bool `(n,)`, in that order.
    """
    state = hashlib.sha256(b"ringfence/rows-used/v1\n" + cohort + len(still).to_bytes(8, "big"))
    state.update(np.packbits(still).tobytes())
    return "sha256:" + state.hexdigest()


def not_joined(run: str) -> StudyError:
    """The refusal of a message about a run this process has not joined, or no longer knows."""
    return StudyError(
        "RF-S063",
        N_("This process has not joined run {run}; the coordinator must offer the study again."),
        run=run,
    )


def _read(holder: Holder, admitted: Admitted) -> RawTable:
    """Read the allowed columns; the intent is an event before the effect, a refusal one after it."""
    columns = admitted.obligations.columns
    resource = f"study:{admitted.digest}"
    holder.log.record(
        "table.read",
        "allow",
        resource=resource,
        public={"contract": holder.contract.digest(), "purpose": admitted.study.purpose, "run": admitted.run},
        private={"columns": listed(columns.headers)},
    )
    try:
        table = read_table(holder.contract, holder.schema, columns, holder.base)
        table.quality.check()
    except TableError as error:
        holder.log.record("table.refused", "deny", resource=resource, public={"reasons": [error.code]})
        raise
    return table


def _reserve(holder: Holder, admitted: Admitted) -> Reservation:
    """Reserve the study's whole price, or take up this run's reservation after a restart.

    An approval is for one run: whoever wants the study again has it signed and approved anew.

    Raises:
        StudyError: the study was run here before, or this run is over.
        BudgetError: it costs more than is left.
    """
    for known in holder.ledger.reservations():
        if known.study_digest == admitted.digest and {run for run, _, _ in known.attempts} <= {admitted.run}:
            return known
    if holder.ledger.reserved_before(admitted.digest):
        raise StudyError(
            "RF-S064",
            N_("The study {study} was run here before; its approvals were for that run. A repetition is a new study."),
            study=admitted.study.id,
        )
    return holder.ledger.reserve_plan(admitted.digest, admitted.plan)


def _freeze(
    holder: Holder,
    admitted: Admitted,
    table: RawTable,
    subjects: npt.NDArray[np.int64],
    reservation: Reservation,
) -> Cohort:
    """Freeze who is eligible now; a cohort frozen before a restart is taken up again, uncounted."""
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
        holder.ledger.commit(reservation)
        raise StudyError(
            "RF-S062",
            N_("The noisy count of consenting customers is below the contract's min_cohort = {minimum}; the holder does not join."),
            minimum=admitted.obligations.min_cohort,
        )
    return cohort


def encoded(
    study: Study, schema: Schema, rows: ConsentedTable, holder: str
) -> tuple[FeatureMatrix, Presence]:
    """Drop the customer key and encode: consenting rows as cell codes, and who is behind them for later rounds."""
    small = minimised(
        rows,
        features=rows.allowed.features,
        label=rows.allowed.label,
        split_key=split_key(study),
        test_fraction=study.evaluation.test_fraction,
    )
    positive = positive_category(study, schema)
    matrix = encode(small, schema, rows.allowed.features, rows.allowed.label or "", positive)
    return with_offset(study, holder, matrix), small.presence


def split_key(study: Study) -> bytes:
    """Key of the test split: the same at every holder and in every round of a study."""
    return f"ringfence/split/v1/{study.id}/{study.schema_ref}".encode()


