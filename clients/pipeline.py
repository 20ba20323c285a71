"""A holder's whole path, stage by stage: from a study that asks to a contribution that may leave.

    admit       is this study signed, allowed, approved, affordable?
    join        take the attested table, count the cohort with noise and freeze it, filter by consent, encode
                (`clients/joining.py`)
    contribute  re-read consent, leave out who left, compute the exact integer vector

What `contribute` makes goes to the waist gate (`clients/gate.py`) and nowhere else. Each stage takes what
only the stage before can make, so a skipped stage is a type error.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ringfence.clients.holder import Holder
from ringfence.clients.noisy_steps import CountedSteps
from ringfence.clients.records.turns import turn_of
from ringfence.clients.rows.table import (
    Presence,
)
from ringfence.models.catalogue import task_named
from ringfence.models.features import FeatureMatrix
from ringfence.models.pricing import planned
from ringfence.models.task import StudyContext, Task
from ringfence.privacy.agreements.policy import Obligations, Request, decide
from ringfence.privacy.agreements.series import bound_of
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.consent.cohort import Cohort
from ringfence.privacy.crypto.approvals import JudgedApprovals, judge_approvals
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import N_, SchemaError, StudyError
from ringfence.privacy.ledger import Reservation
from ringfence.privacy.ledger.entries import RunOfSeries
from ringfence.privacy.mechanisms.sampling import poisson_sample
from ringfence.privacy.protocol.control import StudyOffer
from ringfence.privacy.stores.journal import Json
from ringfence.privacy.waist import Contribution, Query, RoundPlan, StudyPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A study that is signed, allowed and approved here, with the price this holder computed itself.

    Attributes:
        approvals: those that count, file form.
        turn: of a series, which of its runs is offered.
        said: the coordinator's present moment, in seconds since 1970, as a series' offer says.
    """

    study: Study
    digest: str
    run: str
    context: StudyContext
    task: Task[Any, Any]
    plan: StudyPlan
    obligations: Obligations
    approvals: tuple[str, ...]
    turn: RunOfSeries | None = None
    said: int = 0

    @property
    def window(self) -> int:
        """Of a series, number of the run; 0 for a study that is run once."""
        return 0 if self.turn is None else self.turn.window


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingContribution:
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
        BudgetError: the ledger lacks what the coordinator was shown of it.
    """
    document = SignedDocument.from_json(offer.study)
    study = Study.from_canonical(document.verify("study", [holder.coordinator]))
    digest = study.digest()
    schema_document = SignedDocument.from_json(offer.schema)
    schema_document.verify("schema", [holder.coordinator])
    if schema_document.body != holder.schema.canonical():
        raise SchemaError(
            "RF-C060",
            N_(
                "The study comes with another schema than the one in the contract; agree on one version "
                "first."
            ),
        )
    obligations = allowed_now(holder, study)
    if offer.ledger is not None:
        head = holder.own_head(offer.ledger)
        holder.ledger.check_mark(holder.marks, head.mark)
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
        approvals=tuple(each.to_json() for each in approvals_here(holder, study).counted.values()),
        turn=turn_of(study, offer.run, offer.window),
        said=offer.clock,
    )


def approvals_here(holder: Holder, study: Study) -> JudgedApprovals:
    """The approvals on file, judged by who may approve now and by the contract in force."""
    digest, bound = study.digest(), bound_of(study.series, holder.contract.digest())
    return judge_approvals(holder.approvals(digest), digest, holder.name, holder.approvers, bound)


def allowed_now(holder: Holder, study: Study) -> Obligations:
    """Policy and approvals at this moment; asked when a study is offered and again in every round.

    Raises:
        StudyError: not allowed, expired, RF-S435 rejected here, or not approved by two people.
    """
    request = Request(
        study=study,
        contract=holder.contract,
        schema=holder.schema,
        now=holder.clock(),
        key=holder.identity.public,
        peers=holder.chains.trusted("holder", holder.contract.peers),
    )
    obligations = decide(request).require()
    digest = study.digest()
    if rejected := holder.inbox.rejected(digest):
        raise StudyError(
            "RF-S435",
            N_("People of this holder rejected the study {study} on {at}, so it stays away."),
            study=study.id,
            at=rejected,
        )
    approvals_here(holder, study).require_two(holder.name)
    return obligations


def contribute(
    holder: Holder, joined: Joined, query: Query, own: object | None = None
) -> PendingContribution:
    """The exact integer vector of those who are in the cohort and consent at this moment.

    Args:
        holder: whose rows they are.
        joined: the study it takes part in.
        query: what the coordinator asks.
        own: what the task kept at this holder before the round; None for nothing.

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
    # The same work in every round, also when nobody left: a shortcut would show in the reply's time that
    # somebody did.
    with holder.registry.engine.begin() as connection:
        present = joined.cohort.current(holder.registry, now, connection=connection)
        consent_root = holder.registry.root(
            admitted.study.purpose, now, separate=joined.separate, connection=connection
        )
    # Who left is out for good, durably, before anything is computed.
    still = joined.presence.still(present)
    plan = admitted.plan.rounds[query.round]
    contribution, kept = _computed(holder, joined, plan, query, joined.features.part(plan.part, still), own)
    return PendingContribution(
        plan=plan,
        lengths=lengths,
        contribution=contribution,
        evidence={
            "customers": int(still.sum()),
            "consent_root": consent_root,
            "rows": rows_used(joined.rows, still),
        },
        own=kept,
    )


def _computed(
    holder: Holder, joined: Joined, plan: RoundPlan, query: Query, rows: FeatureMatrix, own: object | None
) -> tuple[Contribution, object | None]:
    """The task's integers over a sample of the rows, or what it makes of its own noisy steps."""
    task, context = joined.admitted.task, joined.admitted.context
    if plan.local_steps:
        if task.train_locally is None or context.study.privacy.noise != "local":
            raise StudyError(
                "RF-S066",
                N_(
                    'Round {round} asks for local steps, which need noise = "local" and a task that has them.'
                ),
                round=plan.name,
            )
        steps = CountedSteps(
            plan=plan, rows=rows, noise=holder.noise, max_customers=holder.contract.max_customers
        )
        if task.personal is not None and task.personal.wanted(context):
            return task.personal.train(context, query, steps, own)
        return task.train_locally(context, query, steps), None
    if plan.sampling_rate != 1:
        rows = rows.take(poisson_sample(len(rows.label), plan.sampling_rate))
    return task.contribute(context, query, rows), None


def rows_used(cohort: bytes, still: npt.NDArray[np.bool_]) -> str:
    """`sha256:` over the cohort's digest and who of it took part in a round; private: it can be guessed.

    The rows were hashed when the cohort was frozen and do not change, so a round hashes one bit a row. Who
    has the table can compute it again; it was the digest of the rows themselves before.

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
