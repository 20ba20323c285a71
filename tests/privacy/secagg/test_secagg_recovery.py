"""Sums that outlive drop-outs: exact over those who answered, and nothing of those who did not."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from kits.circle_kit import FIVE, STUDY, five, forty, vectors_of
from scipy.stats import chi2

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.secagg.ephemeral import EphemeralKeys, ephemeral_message, seed_digest
from ringfence.privacy.secagg.graph import Terms
from ringfence.privacy.secagg.keys import SessionKeys, key_message
from ringfence.privacy.secagg.masks import MaskContext, add_streams, add_up, keystream, mask, sum_words
from ringfence.privacy.secagg.recovery import (
    OpenShare,
    Revealed,
    SealedShares,
    check_boxes,
    deal,
    opened_share,
)
from ringfence.privacy.secagg.roster import roster_echo, verify_echoes, verify_roster
from ringfence.privacy.secagg.unmask import check_revealed, unmask
from ringfence.privacy.wire.fields import digest_of, new_run_id


def total(vectors: dict[str, Any], names: Iterable[str]) -> list[int]:
    return [int(value) for value in np.sum([vectors[name] for name in names], axis=0)]


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("gone", [(), ("bank",), ("shop",), ("zoo",)])
def test_the_sum_of_those_who_answered_is_exact(bits: int, gone: tuple[str, ...]) -> None:
    circle = five()
    vectors = vectors_of(FIVE, 50, high=1 << (bits - 4))
    left = [name for name in FIVE if name not in gone]
    found = circle.sum(circle.answers(vectors, left, word_bits=bits), circle.revealed(left))
    assert found.total.tolist() == total(vectors, left)
    assert found.misfits == ()


@pytest.mark.parametrize("dropped", [0, 4])
def test_forty_members_on_a_graph_lose_up_to_four(dropped: int) -> None:
    circle = forty()
    circle.begin()
    assert circle.layout.design.degree == 32
    assert circle.layout.design.needed == 36
    vectors = vectors_of(circle.layout.names, 300)
    # Those next to each other on the circle, which is the worst place.
    left = sorted(set(circle.layout.names) - set(circle.layout.graph.circle[:dropped]))
    found = circle.sum(circle.answers(vectors, left), circle.revealed(left))
    assert found.total.tolist() == total(vectors, left)


def test_forty_members_without_recovery_sum_over_their_graph() -> None:
    """Retry mode: the same graph, no own mask, plain addition."""
    names = [f"holder-{i:02d}" for i in range(40)]
    identities = {name: Identity.generate() for name in names}
    run = new_run_id()
    keys = {name: SessionKeys(holder=name, study=STUDY, run=run) for name in names}
    messages = [key_message(identities[name], keys[name]) for name in names]

    rosters = {
        message.holder: verify_roster(
            messages,
            number=0,
            own=message,
            participants={name: identity.public for name, identity in identities.items()},
            terms=Terms(min_holders=36, colluders=2),
            vouched={identity.public.fingerprint for identity in identities.values()},
        )
        for message in messages
    }
    assert {roster.design.degree for roster in rosters.values()} == {32}
    echoes = [roster_echo(identities[name], rosters[name]) for name in names]
    vectors = vectors_of(names, 200)
    updates = [
        mask(
            vectors[name],
            keys=keys[name],
            agreed=verify_echoes(rosters[name], echoes),
            round=0,
            attempt=0,
            query_digest=b"q" * 32,
            word_bits=32,
        )
        for name in names
    ]
    assert sum_words(updates, members=names).tolist() == total(vectors, names)
    assert add_up([update.words for update in updates[1:]]).tolist() != total(vectors, names[1:])


def test_some_may_fall_silent_at_every_later_step() -> None:
    """39 answer, 38 sign, 36 reveal: exactly as many as are needed at the end."""
    circle = forty()
    circle.begin()
    names = circle.layout.names
    vectors = vectors_of(names, 20)
    left = [name for name in names if name != names[7]]
    updates = circle.answers(vectors, left)
    echoes = [circle.sign(name, left) for name in left[1:]]
    revealed = {name: circle.reveal(name, left, echoes) for name in left[3:]}
    assert len(revealed) == 36
    assert circle.sum(updates, revealed).total.tolist() == total(vectors, left)
    few = {name: revealed[name] for name in list(revealed)[: circle.layout.design.threshold - 1]}
    with pytest.raises(WaistError, match="RF-W171"):
        circle.sum(updates, few)


# --- what stays hidden -----------------------------------------------------------------------------------

CRITICAL = float(chi2.isf(1e-9, 255))


def uniform(words: np.ndarray[Any, Any]) -> bool:
    """Chi-square of every byte position; a uniform vector fails with probability below 4e-9."""
    columns = np.ascontiguousarray(words).view(np.uint8).reshape(len(words), -1).T
    expected = len(words) / 256
    return all(
        float(((np.bincount(column, minlength=256) - expected) ** 2).sum() / expected) < CRITICAL
        for column in columns
    )


def test_a_vector_that_comes_late_stays_under_its_own_mask() -> None:
    """The coordinator calls a member dropped though it holds its vector, and gets its masking key
    recovered.
    """
    circle = five()
    length = 1 << 15
    vectors = {name: np.full(length, i, dtype=np.int64) for i, name in enumerate(FIVE)}
    left = FIVE[1:]
    updates = circle.answers(vectors, FIVE)
    revealed = circle.revealed(left)
    assert circle.sum({name: updates[name] for name in left}, revealed).total.tolist() == [10] * length
    # All that the coordinator can do: take the pairs' masks off the late vector with the recovered key.
    late = circle.members["bank"]
    bare = updates["bank"].words.copy()
    peers = [peer for peer in late.roster.partners if peer.holder != "bank"]

    context = MaskContext(
        study=STUDY,
        run=circle.run,
        round=0,
        attempt=circle.attempt,
        vector=0,
        query=circle.key().query,
        roster=circle.layout.digest,
        word_bits=32,
    )
    add_streams(
        bare,
        [
            (
                peer.holder < "bank",
                keystream(late.keys.exchange(bytes.fromhex(peer.x25519)), context.info("bank", peer.holder)),
            )
            for peer in peers
        ],
    )
    assert uniform(bare)
    # With the seed as well, which nobody reveals, it would be bare.
    add_streams(bare, [(False, keystream(late.keys.self_seed, context.own_info("bank")))])
    assert bare.tolist() == vectors["bank"].tolist()
    assert not uniform(bare)
    told = [share.holder for answer in revealed.values() for share in answer.seeds]
    assert "bank" not in told


def test_masked_words_are_uniform_and_so_is_a_sum_before_it_is_unmasked() -> None:
    circle = five()
    length = 1 << 15
    vectors = {name: np.full(length, 3, dtype=np.int64) for name in FIVE}
    updates = circle.answers(vectors, FIVE)
    assert all(uniform(update.words) for update in updates.values())
    everybody = sum((update.words for update in updates.values()), np.zeros(length, dtype=np.uint32))
    assert uniform(everybody), "without the seeds not even the full sum shows"


def test_no_box_is_read_by_anybody_else() -> None:
    circle = five()
    telco = circle.members["telco"]
    box = next(box for box in circle.members["bank"].dealt.boxes if box.recipient == "shop")

    assert opened_share(circle.members["shop"].keys, circle.members["shop"].roster, box) is not None
    assert opened_share(telco.keys, telco.roster, replace(box, recipient="telco")) is None
    shop = circle.members["shop"]
    for changed in (
        (replace(shop.roster, digest=digest_of(b"another roster")), box),
        (shop.roster, replace(box, sender="zoo")),
        (shop.roster, replace(box, box=box.box[:-2] + f"{int(box.box[-2:], 16) ^ 1:02x}")),
    ):
        assert opened_share(shop.keys, *changed) is None
    # Nor turned round, nor carried into another attempt.
    bank = circle.members["bank"]
    assert opened_share(bank.keys, bank.roster, replace(box, sender="shop", recipient="bank")) is None
    circle.begin()
    assert opened_share(circle.members["shop"].keys, circle.members["shop"].roster, box) is None


# --- forged, missing and misplaced shares ----------------------------------------------------------------


def shifted(share: OpenShare) -> OpenShare:
    return replace(share, value=f"{int(share.value, 16) ^ 1:0132x}")


def test_a_forged_share_is_left_out_where_enough_others_are_there() -> None:
    circle = five()
    vectors = vectors_of(FIVE, 10)
    updates, revealed = circle.answers(vectors, FIVE), circle.revealed(FIVE)
    liar = revealed["insurer"]
    index = [share.holder for share in liar.seeds].index("zoo")
    forged = tuple(shifted(share) if i == index else share for i, share in enumerate(liar.seeds))
    found = circle.sum(updates, revealed | {"insurer": replace(liar, seeds=forged)})
    assert found.total.tolist() == total(vectors, FIVE)
    assert found.misfits == (("zoo", "insurer"),)


@pytest.mark.parametrize("kind", ["seeds", "keys"])
def test_a_forged_share_voids_the_attempt_where_all_are_needed(kind: str) -> None:
    circle = five()
    left = FIVE[:4]
    updates, revealed = circle.answers(vectors_of(FIVE, 10), left), circle.revealed(left)
    liar = revealed["shop"]
    forged = replace(liar, **{kind: tuple(shifted(share) for share in getattr(liar, kind))})
    with pytest.raises(WaistError, match="RF-W184"):
        circle.sum(updates, revealed | {"shop": forged})


def test_a_box_that_does_not_open_harms_its_sender_only() -> None:
    circle = five()
    vectors = vectors_of(FIVE, 10)
    updates = circle.answers(vectors, FIVE)
    dealer = circle.members["bank"]
    spoilt = tuple(
        replace(box, box="00" * 160) if box.recipient == "shop" else box for box in dealer.dealt.boxes
    )
    dealer.dealt = replace(dealer.dealt, boxes=spoilt)
    revealed = circle.revealed(FIVE)
    assert "bank" not in {share.holder for share in revealed["shop"].seeds}
    assert circle.sum(updates, revealed).total.tolist() == total(vectors, FIVE)


def test_a_member_that_deals_something_else_than_it_published_voids_the_attempt() -> None:
    circle = five()
    dealer = circle.members["zoo"]
    other = EphemeralKeys(holder="zoo", study=STUDY, run=circle.run, round=0, attempt=0, number=0)
    dealer.keys._seed = other.self_seed

    dealer.dealt = deal(dealer.keys, dealer.roster)
    updates = circle.answers(vectors_of(FIVE, 3), FIVE)
    with pytest.raises(WaistError, match="RF-W184"):
        circle.sum(updates, circle.revealed(FIVE))


def test_boxes_must_be_one_of_each_partner() -> None:
    circle = five()
    roster = circle.members["bank"].roster
    good: list[Any] = circle.boxes_for("bank")
    assert set(check_boxes(roster, good)) == set(FIVE[1:])
    for wrong in (
        good[1:],
        [*good, good[0]],
        [*good[:3], replace(good[3], sender="bank")],
        [*good[:3], replace(good[3], recipient="zoo")],
        [*good, replace(good[0], sender="stranger")],
        [],
    ):
        with pytest.raises(WaistError, match="RF-W182"):
            check_boxes(roster, wrong)


def test_the_coordinator_takes_only_what_it_asked_for() -> None:
    circle = five()
    left = FIVE[:4]
    circle.answers(vectors_of(FIVE, 2), left)
    good = circle.revealed(left)["bank"]
    value = good.seeds[0].value
    for wrong in (
        replace(good, seeds=(*good.seeds, OpenShare(holder="zoo", value=value))),
        replace(good, keys=(*good.keys, OpenShare(holder="shop", value=value))),
        replace(good, seeds=(*good.seeds, good.seeds[0])),
        replace(good, keys=(OpenShare(holder="stranger", value=value),)),
    ):
        with pytest.raises(WaistError, match="RF-W183"):
            check_revealed(circle.layout, set(left), "bank", wrong)
    with pytest.raises(WaistError, match="RF-W183"):
        check_revealed(circle.layout, set(left), "zoo", Revealed(seeds=(), keys=()))
    for text in ("0" * 131, "g" * 132, "A" * 132):
        with pytest.raises(WaistError, match="RF-W101"):
            OpenShare(holder="bank", value=text)
    with pytest.raises(WaistError, match="RF-W101"):
        SealedShares(sender="a", recipient="b", box="0" * 319)


def test_words_of_unlike_length_are_not_summed() -> None:
    circle = five()
    updates = circle.answers(vectors_of(FIVE, 5), FIVE)
    updates["zoo"] = replace(updates["zoo"], words=updates["zoo"].words[:4])
    with pytest.raises(WaistError, match="RF-W154"):
        unmask(circle.layout, updates, circle.revealed(FIVE), query_digest=circle.key().query)


# --- keys of an attempt ----------------------------------------------------------------------------------


def test_keys_of_another_attempt_roster_or_run_are_refused() -> None:
    circle = five()
    bank, zoo = circle.members["bank"], circle.members["zoo"]
    others = [member.message for member in circle.members.values() if member.name != "zoo"]
    for changed in ({"attempt": 5}, {"round": 2}, {"number": 7}):
        turn = {"round": 0, "attempt": 0, "number": 0} | changed
        late = ephemeral_message(
            zoo.identity, EphemeralKeys(holder="zoo", study=STUDY, run=circle.run, **turn)
        )
        with pytest.raises(WaistError, match="RF-W174"):
            circle.verify(bank, [*others, late])
        with pytest.raises(WaistError, match="RF-W136"):
            circle.verify(bank, [*others, replace(late, round=0, attempt=0, number=0)])
    of_the_run = key_message(zoo.identity, SessionKeys(holder="zoo", study=STUDY, run=circle.run))
    with pytest.raises(WaistError, match="RF-W174"):
        circle.verify(bank, [*others, of_the_run])


def test_a_sealing_key_of_low_order_is_refused() -> None:
    circle = five()
    zoo = circle.members["zoo"]
    zoo.keys.sealing = bytes(32)
    messages = [m.message for m in circle.members.values() if m.name != "zoo"]
    with pytest.raises(WaistError, match="RF-W131"):
        circle.verify(circle.members["bank"], [*messages, ephemeral_message(zoo.identity, zoo.keys)])


def test_every_public_part_of_the_keys_is_in_the_roster_hash() -> None:
    circle = five()
    zoo = circle.members["zoo"]
    hashes = {circle.seen().digest}
    kept = zoo.keys
    for change in ("public", "sealing", "_seed"):
        fresh = EphemeralKeys(holder="zoo", study=STUDY, run=circle.run, round=0, attempt=0, number=0)
        before = getattr(kept, change)
        setattr(kept, change, getattr(fresh, change))
        zoo.message = ephemeral_message(zoo.identity, kept)
        hashes.add(circle.seen().digest)
        setattr(kept, change, before)
    assert len(hashes) == 4


def test_every_member_must_be_vouched_for() -> None:
    circle = five()
    bank = circle.members["bank"]
    vouched = {key.fingerprint for name, key in circle.pinned.items() if name != "zoo"}
    arguments: dict[str, Any] = {
        "number": 0,
        "own": bank.message,
        "participants": circle.pinned,
        "terms": circle.terms,
    }
    messages = [member.message for member in circle.members.values()]
    with pytest.raises(WaistError, match="RF-W175"):
        verify_roster(messages, vouched=vouched, **arguments)
    # A holder never takes keys of the other way to sum for its own, nor another roster's number.
    everybody = {key.fingerprint for key in circle.pinned.values()}
    retry = arguments | {"terms": Terms(min_holders=4, colluders=0)}
    for wrong in (retry, arguments | {"number": 3}):
        with pytest.raises(WaistError, match="RF-W144"):
            verify_roster(messages, vouched=everybody, **wrong)


def test_secrets_are_fresh_never_copied_and_gone_after_use() -> None:
    arguments: dict[str, Any] = {
        "holder": "bank",
        "study": STUDY,
        "run": new_run_id(),
        "round": 0,
        "attempt": 0,
        "number": 0,
    }
    one, other = EphemeralKeys(**arguments), EphemeralKeys(**arguments)
    assert len({one.public, other.public, one.sealing, other.sealing}) == 4
    assert one.self_seed != other.self_seed
    assert one.masking_key() != other.masking_key()
    assert one.masking_key().hex() not in repr(one)
    for copier in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(WaistError, match="RF-W133"):
            copier(one)
    one.close()
    for use in (lambda: one.self_seed, one.masking_key, lambda: one.seal_with(other.sealing)):
        with pytest.raises(WaistError, match="RF-W130"):
            use()
    assert seed_digest(other.self_seed) != seed_digest(bytes(32))
