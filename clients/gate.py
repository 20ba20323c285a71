"""The waist gate: the only place where a contribution becomes bytes that may leave the holder.

    attempt number (durable) -> noise -> mask -> charge + event + answer (one durable transaction) -> send

Where the signed study says that uploads are visible, local noise alone protects them and there is no mask.

Invariants:
    The ledger and the audit event are durable before a value leaves (DESIGN, 6.2 and 6.3); they share one
    transaction with the stored answer, so a crash can over-count and never under-count.
    Noise is added before anything else is done to the vector, by the plan that is charged.
    A repeat of an attempt gets the same bytes; the same attempt with another query is refused.
"""

from __future__ import annotations

import hashlib

import numpy as np
from sqlalchemy import Connection

from ringfence.clients.holder import Holder
from ringfence.clients.noisy_steps import block_fault, check_block
from ringfence.clients.pipeline import Joined, PendingContribution
from ringfence.clients.standing import ledger_head
from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.protocol.control import COORDINATOR
from ringfence.privacy.secagg.attempts import AttemptKey
from ringfence.privacy.secagg.keys import SessionKeys
from ringfence.privacy.secagg.masks import mask
from ringfence.privacy.secagg.roster import AgreedRoster
from ringfence.privacy.secagg.visible import show
from ringfence.privacy.secagg.wordsize import choose_word_bits
from ringfence.privacy.stores.journal import Json, listed
from ringfence.privacy.waist import Contribution, IntVector, RoundPlan, Update, VisibleUpdate
from ringfence.privacy.wire.envelope import MessageKind, seal
from ringfence.privacy.wire.payload import encode_update


def begin(holder: Holder, key: AttemptKey) -> bytes | None:
    """Make an attempt's number durable; the stored answer if it was answered before."""
    return holder.attempts.begin(key)


def send(
    holder: Holder,
    joined: Joined,
    key: AttemptKey,
    *,
    keys: SessionKeys,
    agreed: AgreedRoster,
    answer: PendingContribution,
) -> bytes:
    """Noise, mask where the study does, charge, log, keep, and hand out the sealed message.

    Args:
        holder: whose contribution it is.
        joined: the study's reservation at this holder.
        key: the attempt, begun with `begin`.
        keys: this run's X25519 pair.
        agreed: the roster that every member signed.
        answer: the exact contribution and its plan; its integers stay here.

    Returns:
        The sealed envelope with the words.

    Raises:
        WaistError: the contribution does not fit its plan, or the word size.
        BudgetError: the reservation does not cover the attempt.
    """
    plan, lengths, contribution = answer.plan, answer.lengths, answer.contribution
    check_answer(contribution, key, plan, lengths, holder.contract.max_customers)
    update = in_words(joined, key, keys, agreed, plan, with_noise(holder, joined, answer))
    mu_squared = plan.mu_squared(joined.admitted.plan.honest)
    with holder.ledger.release(
        joined.reservation,
        run=key.run,
        round=key.round,
        attempt=key.attempt,
        mu_squared=mu_squared,
        renyi=holder.ledger.renyi_of(plan, joined.admitted.plan.honest),
        part=plan.part,
    ) as connection:
        sealed = _sealed(holder, key, update, connection)
        holder.log.record(
            "waist.send",
            "allow",
            resource=f"study:{key.study}",
            public=_told(joined, key, agreed, answer, update, mu_squared)
            | {"sent": "sha256:" + hashlib.sha256(sealed).hexdigest()},
            private=answer.evidence,
            connection=connection,
        )
        holder.attempts.store(key, sealed, connection=connection)
    return sealed


def in_words(
    joined: Joined,
    key: AttemptKey,
    keys: SessionKeys,
    agreed: AgreedRoster,
    plan: RoundPlan,
    noisy: IntVector,
) -> Update:
    """The noisy vector as it leaves: under masks, or, under local noise in a study that says so, as it is."""
    study = joined.admitted.study
    bits = choose_word_bits(plan, [participant.max_customers for participant in study.holders])
    if study.privacy.visible and not study.distributed:
        return show(noisy, holder=agreed.roster.own, round=key.round, attempt=key.attempt, word_bits=bits)
    return mask(
        noisy,
        keys=keys,
        agreed=agreed,
        round=key.round,
        attempt=key.attempt,
        query_digest=key.query,
        word_bits=bits,
    )


def _sealed(holder: Holder, key: AttemptKey, update: Update, connection: Connection) -> bytes:
    """The signed message, with the ledger's head as it is once the attempt is charged."""
    return seal(
        holder.identity,
        kind=MessageKind.VISIBLE_UPDATE if isinstance(update, VisibleUpdate) else MessageKind.MASKED_UPDATE,
        study=key.study,
        run=key.run,
        round=key.round,
        attempt=key.attempt,
        sender=holder.name,
        recipient=COORDINATOR,
        payload=encode_update(update, ledger_head(holder, connection)),
    )


def _told(
    joined: Joined,
    key: AttemptKey,
    agreed: AgreedRoster,
    answer: PendingContribution,
    update: Update,
    mu_squared: float,
) -> dict[str, Json]:
    """What the event says to everybody who reads the log."""
    return {
        "run": key.run,
        "round": key.round,
        "attempt": key.attempt,
        "stage": answer.plan.name,
        "purpose": joined.admitted.study.purpose,
        "uploads": joined.admitted.study.privacy.uploads,
        "entries": len(update.words),
        "word_bits": update.word_bits,
        "mu_squared": f"{mu_squared:.12g}",
        "roster": listed(agreed.roster.names),
    }


def with_noise(holder: Holder, joined: Joined, answer: PendingContribution) -> IntVector:
    """The vector with this holder's share of noise; after local steps the noise is in it already."""
    if answer.plan.local_steps:
        return answer.contribution.vector(answer.plan)
    share = holder.noise.share(answer.plan, answer.lengths, joined.admitted.plan.honest)
    return np.concatenate(
        [answer.contribution.blocks[block.name] + share.blocks[block.name] for block in answer.plan.blocks]
    )


def check_answer(
    contribution: Contribution, key: AttemptKey, plan: RoundPlan, lengths: dict[str, int], customers: int
) -> None:
    """The contribution answers this query, in the plan's blocks, within what so many customers can add."""
    if contribution.query_digest != key.query:
        raise WaistError("RF-W060", N_("A contribution answers another query than the one that was asked."))
    if set(contribution.blocks) != {block.name for block in plan.sent}:
        raise block_fault(plan.name)
    for upload in plan.uploads:
        check_block(upload, contribution.blocks[upload.name], lengths[upload.name], upload.max_abs)
    for block in () if plan.local_steps else plan.blocks:
        check_block(block, contribution.blocks[block.name], lengths[block.name], block.max_abs * customers)
