"""Answers a notice: the study goes into the inbox once it is verified, and its standing goes back.

Invariant: what the coordinator learns is what people here did: nothing yet, approved by two, rejected. No
row, no check and no budget is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ringfence.audit.log import AuditLog
from ringfence.clients.inbox.store import Inbox, InboxStudy
from ringfence.models.series_price import composed_price
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.series import bound_of
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.approvals import judge_approvals
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.protocol.notices import (
    APPROVED,
    MOST_APPROVALS,
    REJECTED,
    WAITING,
    Notice,
    Standing,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """Whom a notice is for: a holder without its secret key.

    Attributes:
        name: in studies.
        key: its public key.
        coordinator: whose studies it takes.
        approvers: the people who may approve.
        contract: digest of the contract in force.
        approvals: approvals on file for a study's digest.
        inbox, log: its own.
        clock: the present moment, UTC.
    """

    name: str
    key: PublicIdentity
    coordinator: PublicIdentity
    approvers: tuple[PublicIdentity, ...]
    contract: str
    approvals: Callable[[str], Sequence[SignedDocument]]
    inbox: Inbox
    log: AuditLog
    clock: Callable[[], datetime]


def notified(holder: Addressee, bound_to: str, notice: Notice) -> Standing | None:
    """Verify a study, keep it, and say how it stands.

    Args:
        holder: whose people decide.
        bound_to: digest of the study that the message names.
        notice: what came.

    Returns:
        None where the message names another study than it brings.

    Raises:
        KeyFault: a document is not signed by the coordinator.
        StudyError: RF-S430 it is not this holder's, RF-S431 it comes with another schema, RF-S432 it is over,
            RF-S433 another has its name, RF-S434 the inbox is full.
    """
    document = SignedDocument.from_json(notice.study)
    study = Study.from_canonical(document.verify("study", [holder.coordinator]))
    digest = study.digest()
    if digest != bound_to:
        return None
    _require_own(holder, study)
    document = SignedDocument.from_json(notice.schema)
    schema = Schema.from_canonical(document.verify("schema", [holder.coordinator]))
    if schema.digest() != study.schema_ref:
        raise StudyError(
            "RF-S431",
            N_("The study {study} came with another schema than it names; nothing was kept."),
            study=study.id,
        )
    _keep(holder, study, schema, notice)
    state, approvals = standing(holder, study)
    return Standing(
        nonce=notice.nonce,
        study=digest,
        state=state,
        approvals=tuple(approval.to_json() for approval in approvals),
    )


def standing(holder: Addressee, study: Study) -> tuple[str, tuple[SignedDocument, ...]]:
    """What people here decided on a study, with the approvals of one that two of them approved."""
    digest, bound = study.digest(), bound_of(study.series, holder.contract)
    if holder.inbox.rejected(digest):
        return REJECTED, ()
    try:
        found = judge_approvals(holder.approvals(digest), digest, holder.name, holder.approvers, bound)
        found.require_two(holder.name)
    except StudyError:
        return WAITING, ()
    return APPROVED, tuple(found.counted.values())[:MOST_APPROVALS]


def _require_own(holder: Addressee, study: Study) -> None:
    key = holder.key.hex
    if not any((each.name, each.key) == (holder.name, key) for each in study.holders):
        raise StudyError(
            "RF-S430",
            N_("The study {study} does not name {holder} with its key; nothing was kept."),
            study=study.id,
            holder=holder.name,
        )


def _keep(holder: Addressee, study: Study, schema: Schema, notice: Notice) -> None:
    now, digest = holder.clock(), study.digest()
    found = InboxStudy(
        study=digest,
        name=study.id,
        purpose=study.purpose,
        epsilon=f"{study.privacy.epsilon:f}",
        delta=f"{study.privacy.delta:f}",
        expires=study.expires.isoformat(),
        received=now.isoformat(timespec="seconds"),
        runs=study.runs,
        composed=composed_price(study, schema),
    )
    if study.expires < now.date() and holder.inbox.document(holder.coordinator, digest) is None:
        raise StudyError(
            "RF-S432",
            N_("The study {study} ended on {day}, so it was not taken into the inbox."),
            study=study.id,
            day=study.expires,
        )
    holder.inbox.keep(
        holder.coordinator,
        found,
        (notice.study, notice.schema),
        lambda connection: holder.log.record(
            "study.delivered",
            "allow",
            resource=f"study:{digest}",
            public={"nonce": notice.nonce},
            connection=connection,
        ),
    )
