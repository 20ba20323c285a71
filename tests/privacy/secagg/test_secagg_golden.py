"""What two processes or two versions must agree on to the byte, made again here without the product.

A name that is changed on both sides at once cancels, opens and verifies as before: only bytes tell.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import rfc8785
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from kits.circle_kit import FIVE, QUERY, STUDY, Circle, five
from sqlalchemy import create_engine, inspect, select
from sqlalchemy.pool import StaticPool

from ringfence.privacy.errors import WaistError
from ringfence.privacy.secagg import shamir
from ringfence.privacy.secagg.attempts import ATTEMPTS, SURVIVORS, AttemptKey, AttemptStore
from ringfence.privacy.secagg.ephemeral import seed_digest
from ringfence.privacy.secagg.masks import MaskContext, mask
from ringfence.privacy.secagg.recovery import number_of, opened_share
from ringfence.privacy.secagg.roster import roster_hash
from ringfence.privacy.secagg.survivors import survivors_digest
from ringfence.privacy.wire.fields import digest_of

KEY = AttemptKey(study=STUDY, run="0" * 32, round=1, attempt=2, query=bytes(range(32)))


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def hkdf(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, no salt, 32 bytes."""
    return hmac.new(hmac.new(bytes(32), secret, "sha256").digest(), info + b"\x01", "sha256").digest()


def mask_info(circle: Circle, pair: Sequence[str], *, round: int, attempt: int, vector: int) -> bytes:
    return rfc8785.dumps(
        {
            "type": "ringfence/mask/v1",
            "study": STUDY,
            "run": circle.run,
            "round": round,
            "attempt": attempt,
            "vector": vector,
            "query": QUERY.hex(),
            "roster": circle.layout.digest,
            "pair": sorted(pair),
            "word_bits": 32,
        }
    )


def stream(secret: bytes, info: bytes, length: int) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    cipher = Cipher(algorithms.AES(hkdf(secret, info)), modes.CTR(bytes(16))).encryptor()
    return np.frombuffer(cipher.update(bytes(4 * length)), dtype="<u4").astype(np.uint32)


@pytest.mark.parametrize("name", ["bank", "shop", "zoo"])
def test_words_are_the_vector_the_own_mask_and_those_of_the_pairs(name: str) -> None:
    """At a round, an attempt and a vector that differ, so that none stands in for another."""
    circle = five()
    member, vector = circle.members[name], np.arange(-3, 4)
    update = mask(
        vector,
        keys=member.keys,
        agreed=member.agreed,
        round=3,
        attempt=5,
        query_digest=QUERY,
        word_bits=32,
        number=2,
    )
    assert (update.holder, update.round, update.attempt, update.word_bits) == (name, 3, 5, 32)
    turn = {"round": 3, "attempt": 5, "vector": 2}
    expected = vector.astype(np.uint32)
    expected += stream(member.keys.self_seed, mask_info(circle, (name, ""), **turn), 7)
    for peer in FIVE:
        if peer != name:
            secret = member.keys.exchange(bytes.fromhex(circle.members[peer].message.x25519))
            words = stream(secret, mask_info(circle, (name, peer), **turn), 7)
            expected = expected + words if name < peer else expected - words
    assert update.words.tolist() == expected.tolist()


def test_the_own_mask_is_named_like_no_pair() -> None:
    context = MaskContext(
        study=STUDY, run="0" * 32, round=0, attempt=0, vector=0, query=QUERY, roster=STUDY, word_bits=32
    )
    assert context.own_info("bank") == context.info("", "bank") != context.info("bank", "bank")


@pytest.mark.parametrize("change", [{"round": 1}, {"attempt": 1}, {"number": 1}])
def test_a_mask_is_taken_for_its_round_attempt_and_vector(change: dict[str, int]) -> None:
    """Each of the three makes another mask; none of them frees one that was taken."""
    circle = five()
    bank = circle.members["bank"]

    def masked(*, round: int = 0, attempt: int = 0, number: int = 0) -> None:
        mask(
            np.zeros(1, dtype=np.int64),
            keys=bank.keys,
            agreed=bank.agreed,
            round=round,
            attempt=attempt,
            query_digest=QUERY,
            word_bits=32,
            number=number,
        )

    masked()
    masked(**change)
    for again in ({}, change):
        with pytest.raises(WaistError, match="RF-W132"):
            masked(**again)


def test_digests_are_over_written_out_bytes() -> None:
    circle = five()
    seed = bytes(range(32))
    assert seed_digest(seed) == sha256(b"ringfence/self-mask-seed/v1\n" + seed)
    members = [circle.members[name].message for name in FIVE]
    listed: list[list[str | int]] = [
        [m.holder, m.identity, m.x25519, m.sealing, m.seed, m.round, m.attempt, m.number] for m in members
    ]
    roster = {
        "type": "ringfence/roster/v1",
        "study": STUDY,
        "run": circle.run,
        "number": 0,
        "members": listed,
    }
    found = roster_hash(reversed(members), study=STUDY, run=circle.run, number=0)
    assert circle.layout.digest == found == sha256(rfc8785.dumps(roster))
    survivors = {
        "type": "ringfence/survivors/v1",
        "roster": circle.layout.digest,
        "survivors": ["bank", "shop"],
    }
    for names in (("bank", "shop"), ("shop", "bank")):
        assert survivors_digest(circle.layout, names) == sha256(rfc8785.dumps(survivors))


# --- shares ----------------------------------------------------------------------------------------------


def test_a_box_holds_both_shares_under_a_key_of_its_pair_and_direction() -> None:
    circle = five()
    bank, shop = circle.members["bank"], circle.members["shop"]
    (box,) = [box for box in bank.dealt.boxes if box.recipient == "shop"]
    info = rfc8785.dumps(
        {
            "type": "ringfence/share/v1",
            "roster": circle.layout.digest,
            "sender": "bank",
            "recipient": "shop",
        }
    )
    secret = shop.keys.seal_with(bytes.fromhex(bank.message.sealing))
    raw = bytes.fromhex(box.box)
    opened = AESGCM(hkdf(secret, info)).decrypt(raw[:12], raw[12:], info)
    assert len(opened) == 2 * 66
    assert opened == opened_share(shop.keys, shop.roster, box)


def test_nothing_is_sealed_under_a_nonce_twice() -> None:
    circle = five()
    nonces = {box.box[:24] for member in circle.members.values() for box in member.dealt.boxes}
    assert len(nonces) == 20


def dealt_by(circle: Circle, name: str) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """All shares of a member's seed and of its masking key, by number."""
    seeds, keys = {number_of(circle.layout, name): circle.members[name].dealt.own}, dict[int, bytes]()
    for box in circle.members[name].dealt.boxes:
        peer = circle.members[box.recipient]
        opened = opened_share(peer.keys, peer.roster, box)
        assert opened is not None
        number = number_of(circle.layout, box.recipient)
        seeds[number], keys[number] = opened[:66], opened[66:]
    return seeds, keys


def gives(shares: dict[int, bytes], count: int, secret: bytes) -> bool:
    few = dict(list(shares.items())[:count])
    try:
        return shamir.combine(few, threshold=count) == secret
    except WaistError:
        return False


def test_fewer_shares_than_the_threshold_give_neither_secret() -> None:
    """One share less must not do: that is what keeps colluders from putting a secret together."""
    circle = five()
    threshold = circle.layout.design.threshold
    assert threshold == 4
    for name in ("bank", "zoo"):
        member = circle.members[name]
        seeds, keys = dealt_by(circle, name)
        assert (len(seeds), len(keys)) == (5, 4)
        for shares, secret in ((seeds, member.keys.self_seed), (keys, member.keys.masking_key())):
            assert gives(shares, threshold, secret)
            assert not any(gives(shares, count, secret) for count in range(1, threshold))


def test_members_are_numbered_from_one_in_order_of_name() -> None:
    layout = five().layout
    assert [number_of(layout, name) for name in FIVE] == [1, 2, 3, 4, 5]


# --- the memory of attempts ------------------------------------------------------------------------------


def test_the_memory_of_attempts_keeps_its_tables() -> None:
    """A store made by one version is read by the next: a table under another name is a memory lost."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    AttemptStore(engine, bytes(32))
    found = inspect(engine)
    place = ["study", "run", "round", "attempt"]
    columns = {
        table: {
            column["name"]: (str(column["type"]), column["nullable"]) for column in found.get_columns(table)
        }
        for table in found.get_table_names()
    }
    row = {
        "study": ("VARCHAR(71)", False),
        "run": ("VARCHAR(32)", False),
        "round": ("INTEGER", False),
        "attempt": ("INTEGER", False),
    }
    assert columns == {
        "secagg_attempts": row | {"query": ("VARCHAR(64)", False), "answer": ("BLOB", True)},
        "secagg_survivors": row | {"survivors": ("VARCHAR(71)", False)},
    }
    for table in columns:
        assert found.get_pk_constraint(table)["constrained_columns"] == place
    for declared in (ATTEMPTS, SURVIVORS):
        assert [column.autoincrement for column in declared.columns][2:4] == [False, False]
    (check,) = found.get_check_constraints("secagg_attempts")
    assert check["sqltext"] == "round >= 0 AND attempt >= 0"


def test_an_answer_is_sealed_for_its_row_under_a_nonce_of_its_own() -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    store = AttemptStore(engine, bytes(range(32)))
    keys = [replace(KEY, attempt=attempt) for attempt in range(4)]
    for key in keys:
        assert store.begin(key) is None
        store.store(key, b"words")
    with engine.begin() as connection:
        kept = connection.scalars(select(ATTEMPTS.c.answer).order_by(ATTEMPTS.c.attempt)).all()
    for key, sealed in zip(keys, kept, strict=True):
        bound: dict[str, str | int] = {
            "type": "ringfence/attempt/v1",
            "study": key.study,
            "run": key.run,
            "round": 1,
            "attempt": key.attempt,
            "query": key.query.hex(),
        }
        cipher = AESGCM(bytes(range(32)))
        assert cipher.decrypt(sealed[:12], sealed[12:], rfc8785.dumps(bound)) == b"words"
    assert len({sealed[:12] for sealed in kept}) == len(keys)


@pytest.mark.parametrize("change", [{"study": digest_of(b"other")}, {"run": "1" * 32}])
def test_only_the_finished_run_is_forgotten(change: dict[str, str]) -> None:
    store = AttemptStore(create_engine("sqlite://", poolclass=StaticPool), bytes(32))
    other = replace(KEY, **change)  # type: ignore[arg-type]
    for key in (KEY, other):
        store.begin(key)
        store.store(key, b"words")
    store.forget(study=KEY.study, run=KEY.run)
    assert store.begin(other) == b"words"
    with pytest.raises(WaistError, match="RF-W162"):
        store.begin(KEY)


@pytest.mark.parametrize("change", [{"study": digest_of(b"other")}, {"run": "1" * 32}, {"round": 2}])
def test_a_list_of_who_answered_is_settled_for_one_attempt_of_one_run(change: dict[str, str | int]) -> None:
    store = AttemptStore(create_engine("sqlite://", poolclass=StaticPool), bytes(32))
    other = replace(KEY, **change)  # type: ignore[arg-type]
    for key, survivors in ((KEY, digest_of(b"one")), (other, digest_of(b"two"))):
        store.begin(key)
        store.store(key, b"words")
        store.settle(key, survivors)
    with pytest.raises(WaistError, match="RF-W180"):
        store.settle(KEY, digest_of(b"two"))


def test_a_key_of_the_store_has_32_bytes() -> None:
    for size in (0, 16, 24, 31, 33):
        with pytest.raises(WaistError, match="RF-W160"):
            AttemptStore(create_engine("sqlite://", poolclass=StaticPool), bytes(size))
