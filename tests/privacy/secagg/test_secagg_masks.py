"""Masks cancel exactly in the full sum, and everything short of it is uniform.

The chi-square tests take a failure probability of 1e-9 each (256 cells, 255 degrees of freedom); each is also
shown to reject a mask that is wrong in one bit of one byte.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.secagg.graph import Terms
from ringfence.privacy.secagg.keys import SessionKeys, key_message
from ringfence.privacy.secagg.masks import (
    CHUNK_BYTES,
    MaskContext,
    add_streams,
    add_up,
    keystream,
    mask,
    sum_words,
)
from ringfence.privacy.secagg.roster import AgreedRoster, roster_echo, verify_echoes, verify_roster
from ringfence.privacy.waist import MaskedUpdate
from ringfence.privacy.wire.fields import digest_of, new_run_id

STUDY = digest_of(b"study")
QUERY = hashlib.sha256(b"query").digest()
CRITICAL = float(chi2.isf(1e-9, 255))


class Party:
    """All holders of one run with their agreed rosters, made by the real protocol."""

    def __init__(self, names: Sequence[str], number: int = 1) -> None:
        run = new_run_id()
        identities = {name: Identity.generate() for name in names}
        self.keys = {name: SessionKeys(holder=name, study=STUDY, run=run) for name in names}
        messages = [key_message(identities[name], self.keys[name]) for name in names]
        rosters = {
            message.holder: verify_roster(
                messages,
                number=number,
                own=message,
                participants={name: identity.public for name, identity in identities.items()},
                terms=Terms(min_holders=len(names), colluders=0),
                vouched={identity.public.fingerprint for identity in identities.values()},
            )
            for message in messages
        }
        echoes = [roster_echo(identities[name], rosters[name]) for name in names]
        self.agreed: dict[str, AgreedRoster] = {name: verify_echoes(rosters[name], echoes) for name in names}
        self.names = list(names)
        self.attempt = 0

    def mask_all(self, vectors: Sequence[Any], word_bits: int, **changes: Any) -> list[MaskedUpdate]:
        self.attempt += 1
        return [
            self.mask(name, vector, word_bits=word_bits, **changes)
            for name, vector in zip(self.names, vectors, strict=True)
        ]

    def mask(self, name: str, vector: Any, **changes: Any) -> MaskedUpdate:
        arguments: dict[str, Any] = {
            "keys": self.keys[name],
            "agreed": self.agreed[name],
            "round": 0,
            "attempt": self.attempt,
            "query_digest": QUERY,
            "word_bits": 32,
        }
        return mask(np.asarray(vector, dtype=np.int64), **(arguments | changes))


PARTIES = {size: Party([f"holder-{i:02d}" for i in range(size)]) for size in (2, 3, 5, 10)}
TRIO = PARTIES[3]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(PARTIES)), st.sampled_from([32, 64]), st.integers(0, 40), st.data())
def test_the_sum_of_masked_vectors_is_the_exact_sum(
    size: int, bits: int, length: int, data: st.DataObject
) -> None:
    limit = (1 << (bits - 1)) // size
    entries = st.lists(st.integers(-limit, limit - 1), min_size=length, max_size=length)
    vectors = [data.draw(entries) for _ in range(size)]
    party = PARTIES[size]
    total = sum_words(party.mask_all(vectors, bits), members=party.names)
    assert total.dtype == np.int64
    assert total.tolist() == [sum(column) for column in zip(*vectors, strict=True)]


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("beyond", [-1, 0, 1, 12345])
def test_the_sum_is_exact_across_chunks(bits: int, beyond: int) -> None:
    length = 2 * CHUNK_BYTES * 8 // bits + beyond
    vectors = [np.arange(length, dtype=np.int64) * sign for sign in (3, -1, -1)]
    total = sum_words(TRIO.mask_all(vectors, bits), members=TRIO.names)
    np.testing.assert_array_equal(total, np.arange(length))


def test_the_extremes_of_a_word_survive() -> None:
    for bits, low, high in ((32, -(1 << 31), (1 << 31) - 1), (64, -(1 << 63), (1 << 63) - 1)):
        total = sum_words(TRIO.mask_all([[low, high], [0, 0], [0, 0]], bits), members=TRIO.names)
        assert total.tolist() == [low, high]


def test_the_vector_itself_is_left_as_it_was() -> None:
    for bits in (32, 64):
        vector = np.arange(100, dtype=np.int64)
        TRIO.attempt += 1
        TRIO.mask(TRIO.names[0], vector, word_bits=bits)
        np.testing.assert_array_equal(vector, np.arange(100))


# --- uniformity ------------------------------------------------------------------------------------------


def byte_chi_squares(words: np.ndarray[Any, Any]) -> list[float]:
    """One statistic for each byte position of the words, against equal cells."""
    columns = words.reshape(-1, 1).view(np.uint8).reshape(len(words), -1)
    expected = len(words) / 256
    return [
        float(((np.bincount(column, minlength=256) - expected) ** 2).sum() / expected) for column in columns.T
    ]


def assert_uniform(words: np.ndarray[Any, Any]) -> None:
    assert max(byte_chi_squares(words)) < CRITICAL


LENGTH = 1 << 17


@pytest.mark.parametrize("bits", [32, 64])
def test_a_single_masked_vector_is_uniform(bits: int) -> None:
    for party in (PARTIES[2], TRIO):
        party.attempt += 1
        for name in party.names:
            assert_uniform(party.mask(name, np.zeros(LENGTH), word_bits=bits).words)


@pytest.mark.parametrize("bits", [32, 64])
def test_a_missing_member_leaves_uniform_words(bits: int) -> None:
    updates = TRIO.mask_all([np.full(LENGTH, 5)] * 3, bits)
    for left_out in range(3):
        words = [update.words for i, update in enumerate(updates) if i != left_out]
        assert_uniform(words[0] + words[1])
    assert set(add_up([update.words for update in updates]).tolist()) == {15}


def test_members_that_mask_for_different_queries_leave_uniform_words() -> None:
    TRIO.attempt += 1
    words = [
        TRIO.mask(name, np.zeros(LENGTH), query_digest=hashlib.sha256(query).digest()).words
        for name, query in zip(TRIO.names, (b"a", b"a", b"b"), strict=True)
    ]
    assert_uniform(words[0] + words[1] + words[2])


def test_the_uniformity_test_rejects_broken_masks() -> None:
    TRIO.attempt += 1
    good = TRIO.mask(TRIO.names[0], np.zeros(LENGTH)).words
    one_bit_short = good & np.uint32(0x7FFFFFFF)
    noise_only = np.arange(LENGTH, dtype=np.uint32) % 1000
    biased = good.copy()
    biased[: LENGTH // 40] = 0
    for broken in (one_bit_short, noise_only, biased):
        assert max(byte_chi_squares(broken)) > CRITICAL


def test_masks_of_neighbouring_words_and_members_are_unrelated() -> None:
    """Correlation of n = 131,072 uniform pairs; |z| > 6.2 has probability below 1e-9."""
    TRIO.attempt += 1
    words = [TRIO.mask(name, np.zeros(LENGTH)).words for name in TRIO.names]
    centred = [word.astype(float) / 2**32 - 0.5 for word in words]
    pairs = [(centred[i], centred[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    pairs += [(word[1:], word[:-1]) for word in centred]
    for left, right in pairs:
        assert abs(float((left * right).mean())) * 12 * np.sqrt(len(left)) < 6.2
    # All three together are anything but independent: they sum to nothing.
    assert not np.any(words[0] + words[1] + words[2])


# --- binding ---------------------------------------------------------------------------------------------

CONTEXT = MaskContext(
    study=STUDY,
    run="0" * 32,
    round=1,
    attempt=2,
    vector=3,
    query=QUERY,
    roster=digest_of(b"roster"),
    word_bits=32,
)
CHANGES: dict[str, Any] = {
    "study": digest_of(b"other"),
    "run": "1" * 32,
    "round": 2,
    "attempt": 1,
    "vector": 0,
    "query": hashlib.sha256(b"other").digest(),
    "roster": digest_of(b"other"),
    "word_bits": 64,
}


def stream_bytes(context: MaskContext, first: str = "a", second: str = "b") -> bytes:
    return keystream(bytes(32), context.info(first, second)).update(bytes(32))


def test_every_part_of_the_context_changes_the_mask() -> None:
    assert set(CHANGES) == {field.name for field in fields(MaskContext)}
    streams = [stream_bytes(CONTEXT), *(stream_bytes(replace(CONTEXT, **{k: v})) for k, v in CHANGES.items())]
    streams += [
        stream_bytes(CONTEXT, "a", "c"),
        stream_bytes(CONTEXT, "c", "b"),
        stream_bytes(CONTEXT, "ab", ""),
    ]
    assert len(set(streams)) == len(streams)
    assert stream_bytes(CONTEXT, "b", "a") == stream_bytes(CONTEXT, "a", "b")


@pytest.mark.parametrize(
    "change",
    [
        {"round": 1},
        {"attempt": 900},
        {"query_digest": bytes(32)},
        {"number": 1},
        {"round": 1, "attempt": 901},
    ],
)
def test_masks_differ_across_rounds_attempts_queries_and_vectors(change: dict[str, Any]) -> None:
    party = Party(["a", "b", "c"])
    first = party.mask("a", np.zeros(64)).words
    if set(change) == {"query_digest"}:
        party.keys["a"]._used.clear()
    second = party.mask("a", np.zeros(64), **change).words
    assert not np.any(first == second)


# --- an independent oracle -------------------------------------------------------------------------------


def slow_hkdf(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, no salt, 32 bytes: extract, then the first block of expand."""
    extracted = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def slow_words(key: bytes, length: int, word_bits: int) -> list[int]:
    """AES-256 of the counter blocks 0, 1, 2, ..., cut into little-endian words."""
    size = word_bits // 8
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    stream = b"".join(block.update(i.to_bytes(16, "big")) for i in range(-(-length * size // 16)))
    return [int.from_bytes(stream[size * i : size * (i + 1)], "little") for i in range(length)]


def slow_mask(party: Party, own: str, vector: Sequence[int], word_bits: int, attempt: int) -> list[int]:
    roster = party.agreed[own].roster
    total = [entry % (1 << word_bits) for entry in vector]
    private = party.keys[own]._private
    assert private is not None
    for peer in party.names:
        if peer == own:
            continue
        secret = private.exchange(X25519PublicKey.from_public_bytes(party.keys[peer].public))
        info = json.dumps(
            {
                "attempt": attempt,
                "pair": sorted([own, peer]),
                "query": QUERY.hex(),
                "roster": roster.digest,
                "round": 0,
                "run": roster.run,
                "study": STUDY,
                "type": "ringfence/mask/v1",
                "vector": 0,
                "word_bits": word_bits,
            },
            separators=(",", ":"),
        ).encode()
        sign = 1 if own < peer else -1
        words = slow_words(slow_hkdf(secret, info), len(vector), word_bits)
        total = [(entry + sign * word) % (1 << word_bits) for entry, word in zip(total, words, strict=True)]
    return total


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("length", [0, 1, 3, 100])
def test_words_are_those_of_the_slow_oracle(bits: int, length: int) -> None:
    vector = list(range(-50, length - 50))
    for party in (PARTIES[2], PARTIES[5]):
        party.attempt += 1
        for name in party.names:
            words = party.mask(name, vector, word_bits=bits).words
            assert words.tolist() == slow_mask(party, name, vector, bits, party.attempt)


def test_streams_are_those_of_the_slow_oracle_past_a_chunk() -> None:
    key = slow_hkdf(bytes(32), b"info")
    length = CHUNK_BYTES // 4 + 37
    words = np.zeros(length, dtype=np.uint32)
    add_streams(words, [(False, keystream(bytes(32), b"info"))])
    assert words.tolist() == [-word % (1 << 32) for word in slow_words(key, length, 32)]


# --- refusals --------------------------------------------------------------------------------------------


def test_nothing_is_masked_twice() -> None:
    """Two values under one mask would give their difference away."""
    party = Party(["a", "b"])
    party.mask("a", [1])
    for query in (QUERY, bytes(32)):
        with pytest.raises(WaistError, match="RF-W132"):
            party.mask("a", [2], query_digest=query)
    party.mask("a", [2], number=1)


def test_keys_of_another_holder_or_run_are_refused() -> None:
    party, later = Party(["a", "b"]), Party(["a", "b"])
    fresh = SessionKeys(holder="a", study=STUDY, run=party.keys["a"].run)
    for keys in (party.keys["b"], later.keys["a"], fresh):
        with pytest.raises(WaistError, match="RF-W152"):
            party.mask("a", [1], keys=keys)


@pytest.mark.parametrize("name", ["holder", "study", "run", "public"])
def test_keys_must_be_those_of_the_roster_in_every_respect(name: str) -> None:
    party, other = Party(["a", "b"]), SessionKeys(holder="b", study=digest_of(b"other"), run="0" * 32)
    keys = party.keys["a"]
    setattr(keys, name, getattr(other, name))
    with pytest.raises(WaistError, match="RF-W152"):
        party.mask("a", [1])


def test_closed_keys_mask_nothing() -> None:
    party = Party(["a", "b"])
    party.keys["a"].close()
    with pytest.raises(WaistError, match="RF-W130"):
        party.mask("a", [1])


@pytest.mark.parametrize("value", [1 << 31, -(1 << 31) - 1, 1 << 62])
def test_a_value_that_needs_more_bits_is_refused(value: int) -> None:
    party = Party(["a", "b"])
    with pytest.raises(WaistError, match="RF-W151"):
        party.mask("a", [0, value])
    party.mask("a", [0, value], word_bits=64)


def test_only_an_int64_vector_is_masked() -> None:
    party = Party(["a", "b"])
    wrong: list[tuple[Any, int]] = [
        (np.zeros(3), 32),
        (np.zeros(3, dtype=np.int32), 32),
        (np.zeros((1, 3), dtype=np.int64), 32),
        (np.zeros(3, dtype=np.int64), 16),
    ]
    for vector, bits in wrong:
        with pytest.raises(WaistError, match="RF-W150"):
            mask(
                vector,
                keys=party.keys["a"],
                agreed=party.agreed["a"],
                round=0,
                attempt=0,
                query_digest=QUERY,
                word_bits=bits,
            )
