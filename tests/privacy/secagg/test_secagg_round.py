"""A whole secure sum over bytes: calls, echoes, masked words, a drop-out, a restart and a repeat."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.control import RosterCall, RoundCall, open_message, seal_message
from ringfence.privacy.secagg.attempts import AttemptKey, AttemptStore
from ringfence.privacy.secagg.graph import Terms
from ringfence.privacy.secagg.keys import KeyMessage, SessionKeys, key_message
from ringfence.privacy.secagg.masks import mask, sum_words
from ringfence.privacy.secagg.roster import Roster, RosterEcho, roster_echo, verify_echoes, verify_roster
from ringfence.privacy.secagg.wordsize import check_range, choose_word_bits, sum_bound
from ringfence.privacy.waist import BlockPlan, MaskedUpdate, Query, RoundPlan
from ringfence.privacy.wire.envelope import Expected, MessageKind, open_envelope, seal
from ringfence.privacy.wire.fields import digest_of, new_run_id
from ringfence.privacy.wire.heads import sign_head
from ringfence.privacy.wire.payload import decode_update, encode_update

HEAD = sign_head(Identity.generate(), mark="ab" * 64, log="bank.example/log")

STUDY = digest_of(b"study")
RUN = new_run_id()
PLAN = RoundPlan(
    name="gradient",
    blocks=(BlockPlan(name="g", sensitivity_squared=4, max_abs=2, share_scale=16.0, max_length=8),),
)
CUSTOMERS = 100
COORDINATOR = Identity.generate("coordinator")


class Holder:
    """A holder's side, reduced to what the secure sum needs; its vector stands for the noisy contribution."""

    def __init__(self, name: str, vector: list[int]) -> None:
        self.name = name
        self.vector = np.array(vector, dtype=np.int64)
        self.identity = Identity.generate()
        engine = create_engine("sqlite://", poolclass=StaticPool)
        self.store = AttemptStore(engine, secrets.token_bytes(32))
        self.pinned: dict[str, PublicIdentity] = {}
        self.start()

    def start(self) -> None:
        """A new process: fresh run keys, the same database."""
        self.keys = SessionKeys(holder=self.name, study=STUDY, run=RUN)
        self.message = key_message(self.identity, self.keys)
        self.roster: Roster | None = None

    def open(self, cls: type[Any], data: bytes, **turn: int) -> Any:
        senders = {"coordinator": COORDINATOR.public}
        return open_message(cls, data, senders=senders, study=STUDY, run=RUN, recipient=self.name, **turn)[1]

    def on_roster(self, data: bytes) -> bytes:
        call: RosterCall = self.open(RosterCall, data)
        self.roster = verify_roster(
            call.members,
            number=call.number,
            own=self.message,
            participants=self.pinned,
            terms=Terms(min_holders=3, colluders=0),
            vouched={key.fingerprint for key in self.pinned.values()},
        )
        return seal_message(
            self.identity,
            roster_echo(self.identity, self.roster),
            study=STUDY,
            run=RUN,
            sender=self.name,
            recipient="coordinator",
        )

    def on_round(self, data: bytes, attempt: int) -> bytes:
        call: RoundCall = self.open(RoundCall, data, round=0, attempt=attempt)
        key = AttemptKey(study=STUDY, run=RUN, round=0, attempt=attempt, query=call.query.digest())
        if (answer := self.store.begin(key)) is not None:
            return answer
        assert self.roster is not None
        update = mask(
            self.vector,
            keys=self.keys,
            agreed=verify_echoes(self.roster, call.echoes),
            round=0,
            attempt=attempt,
            query_digest=call.query.digest(),
            word_bits=choose_word_bits(PLAN, [CUSTOMERS] * len(self.roster.members)),
        )
        answer = seal(
            self.identity,
            kind=MessageKind.MASKED_UPDATE,
            study=STUDY,
            run=RUN,
            sender=self.name,
            recipient="coordinator",
            attempt=attempt,
            payload=encode_update(update, HEAD),
        )
        self.store.store(key, answer)
        return answer


class Coordinator:
    """The coordinator's side: relays, and sums what it is given."""

    def __init__(self, holders: list[Holder]) -> None:
        self.holders = {holder.name: holder for holder in holders}
        self.pinned = {holder.name: holder.identity.public for holder in holders}
        for holder in holders:
            holder.pinned = self.pinned

    def seal(self, message: RosterCall | RoundCall, holder: Holder, attempt: int = 0) -> bytes:
        return seal_message(
            COORDINATOR,
            message,
            study=STUDY,
            run=RUN,
            sender="coordinator",
            recipient=holder.name,
            attempt=attempt,
        )

    def agree(self, number: int, members: list[Holder]) -> tuple[RosterEcho, ...]:
        keys: tuple[KeyMessage, ...] = tuple(member.message for member in members)
        call = RosterCall(number=number, round=0, attempt=number, members=keys)
        return tuple(
            open_message(
                RosterEcho,
                member.on_roster(self.seal(call, member)),
                senders=self.pinned,
                study=STUDY,
                run=RUN,
                recipient="coordinator",
            )[1]
            for member in members
        )

    def read(self, data: bytes, attempt: int) -> MaskedUpdate:
        expect = Expected(
            kind=MessageKind.MASKED_UPDATE, study=STUDY, run=RUN, recipient="coordinator", attempt=attempt
        )
        envelope = open_envelope(data, senders=self.pinned, expect=expect, max_bytes=10_000)
        return decode_update(envelope, length=3, word_bits=32)[0]


QUERY = Query(task="scorecard", round=0, numbers={"step": 1}, arrays={"theta": np.arange(3)})


def parties() -> tuple[Coordinator, list[Holder]]:
    holders = [Holder(name, [i, -10 * i, 100 + i]) for i, name in enumerate(("bank", "shop", "telco", "zoo"))]
    return Coordinator(holders), holders


def test_the_sum_arrives_exactly() -> None:
    coordinator, holders = parties()
    echoes = coordinator.agree(1, holders)
    call = RoundCall(number=1, echoes=echoes, query=QUERY)
    answers = [holder.on_round(coordinator.seal(call, holder, 1), 1) for holder in holders]
    total = sum_words([coordinator.read(answer, 1) for answer in answers], members=coordinator.pinned)
    assert check_range(total, sum_bound(PLAN, [CUSTOMERS] * 4)).tolist() == [6, -60, 406]


def test_a_drop_out_voids_the_attempt_and_the_next_one_has_fresh_masks() -> None:
    coordinator, holders = parties()
    call = RoundCall(number=1, echoes=coordinator.agree(1, holders), query=QUERY)
    first = [coordinator.read(h.on_round(coordinator.seal(call, h, 1), 1), 1) for h in holders[:3]]
    with pytest.raises(WaistError, match="RF-W153"):
        sum_words(first, members=coordinator.pinned)

    rest = holders[:3]
    again = RoundCall(number=2, echoes=coordinator.agree(2, rest), query=QUERY)
    second = [coordinator.read(h.on_round(coordinator.seal(again, h, 2), 2), 2) for h in rest]
    assert sum_words(second, members=[h.name for h in rest]).tolist() == [3, -30, 303]
    for before, after in zip(first, second, strict=True):
        assert not np.array_equal(before.words, after.words)


def test_a_repeat_gets_the_same_bytes_even_after_a_restart() -> None:
    coordinator, holders = parties()
    call = RoundCall(number=1, echoes=coordinator.agree(1, holders), query=QUERY)
    sealed = coordinator.seal(call, holders[0], 1)
    answer = holders[0].on_round(sealed, 1)
    holders[0].vector += 1
    assert holders[0].on_round(sealed, 1) == answer
    holders[0].start()
    assert holders[0].on_round(sealed, 1) == answer


def test_a_second_query_for_the_same_attempt_is_refused() -> None:
    coordinator, holders = parties()
    echoes = coordinator.agree(1, holders)
    holders[0].on_round(coordinator.seal(RoundCall(number=1, echoes=echoes, query=QUERY), holders[0], 1), 1)
    other = RoundCall(number=1, echoes=echoes, query=Query(task="scorecard", round=0))
    with pytest.raises(WaistError, match="RF-W161"):
        holders[0].on_round(coordinator.seal(other, holders[0], 1), 1)


def test_an_answer_to_a_voided_attempt_is_not_taken_for_the_next() -> None:
    coordinator, holders = parties()
    call = RoundCall(number=1, echoes=coordinator.agree(1, holders), query=QUERY)
    late = holders[3].on_round(coordinator.seal(call, holders[3], 1), 1)
    with pytest.raises(WaistError, match="RF-W115"):
        coordinator.read(late, 2)


def test_a_restarted_holder_refuses_the_roster_of_its_former_key() -> None:
    coordinator, holders = parties()
    stale = tuple(holder.message for holder in holders)
    holders[1].start()
    call = RosterCall(number=2, round=0, attempt=2, members=stale)
    with pytest.raises(WaistError, match="RF-W144"):
        holders[1].on_roster(coordinator.seal(call, holders[1]))
    assert len(coordinator.agree(2, holders)) == 4


def test_a_holder_masks_nothing_for_a_split_roster() -> None:
    coordinator, holders = parties()
    bank, shop, telco, zoo = holders
    coordinator.agree(1, [bank, shop, zoo])
    shop_saw_zoo = next(iter(coordinator.agree(1, [shop, bank, zoo])))
    echoes = (*(e for e in coordinator.agree(1, [bank, shop, telco]) if e.holder != "shop"), shop_saw_zoo)
    call = RoundCall(number=1, echoes=echoes, query=QUERY)
    with pytest.raises(WaistError, match="RF-W146"):
        bank.on_round(coordinator.seal(call, bank, 1), 1)
