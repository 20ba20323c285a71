"""Masks that cancel in the sum of all members' vectors (Bonawitz et al. 2017; Bell et al. 2020).

For each pair of partners, X25519 gives a secret and HKDF-SHA256 (RFC 5869) an AES-256 key bound to everything
that names the vector; its counter-mode keystream, read as little-endian words of Z_2^32 or Z_2^64, is added
by the member whose name comes first and subtracted by the other. Partners are all other members, in large
rosters those of the graph (`graph.py`). Whatever is missing from the sum leaves it uniform. Where a sum is to
outlive drop-outs, each member also adds a stream of its own seed, which `recovery.py` takes off. Each key
encrypts one keystream only, so the counter starts at zero.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.secagg.keys import SessionKeys
from ringfence.privacy.secagg.roster import AgreedRoster, Roster
from ringfence.privacy.waist import IntVector, MaskedUpdate, Words
from ringfence.privacy.wire.fields import canonical

__all__ = ["MaskContext", "Words", "add_streams", "add_up", "keystream", "mask", "sum_words", "to_words"]

CHUNK_BYTES = 1 << 17
"""Keystream made at a time: small enough that it and its stretch of the vector stay in a core's cache."""
_ZEROS = bytes(CHUNK_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskContext:
    """Everything besides the pair that a mask is bound to; two that differ give independent masks.

    Attributes:
        study: digest of the signed study.
        run: run id.
        round: index of the round.
        attempt: number of the attempt.
        vector: number of the vector within the attempt, from 0.
        query: SHA-256 of the query, 32 bytes (`Query.digest`).
        roster: digest of the roster.
        word_bits: 32 or 64.
    """

    study: str
    run: str
    round: int
    attempt: int
    vector: int
    query: bytes
    roster: str
    word_bits: int

    def info(self, first: str, second: str) -> bytes:
        """HKDF's `info` for a pair of names, whichever way round they are given."""
        return canonical(
            {
                "type": "ringfence/mask/v1",
                "study": self.study,
                "run": self.run,
                "round": self.round,
                "attempt": self.attempt,
                "vector": self.vector,
                "query": self.query.hex(),
                "roster": self.roster,
                "pair": sorted((first, second)),
                "word_bits": self.word_bits,
            }
        )

    def own_info(self, name: str) -> bytes:
        """HKDF's `info` for the mask that is a member's own; no pair of names has this form."""
        return self.info(name, "")


def mask(
    vector: IntVector,
    *,
    keys: SessionKeys,
    agreed: AgreedRoster,
    round: int,
    attempt: int,
    query_digest: bytes,
    word_bits: int,
    number: int = 0,
) -> MaskedUpdate:
    """Hide a vector under masks shared with this holder's partners in the agreed roster, and one of its own.

    Args:
        vector: shape `(length,)`, int64; its own noise share is already in it.
        keys: this holder's keys of the run, or of the attempt, whose public half stands in the roster.
        agreed: the roster that every member has signed.
        round: index of the round.
        attempt: number of the attempt.
        query_digest: `Query.digest()` of the query that the vector answers.
        word_bits: 32 or 64, from `choose_word_bits`.
        number: number of the vector within the attempt.

    Raises:
        WaistError: RF-W150 not an int64 vector or word size, RF-W151 an entry needs more bits than a word
            has, RF-W152 the keys are not those of the roster, RF-W132 masked before, RF-W130 keys closed.

    Formal guarantees:
        To anyone who lacks the keys of at least one partner, or the holder's own seed, the words are
        indistinguishable from uniform (X25519, HKDF and AES as pseudo-random functions); with all members'
        words only their sum shows, provided those whose keys are not known are connected in the graph.
    """
    roster = agreed.roster
    mine = next(member for member in roster.members if member.holder == roster.own)
    if (keys.holder, keys.study, keys.run, keys.public.hex()) != (
        roster.own,
        roster.study,
        roster.run,
        mine.x25519,
    ):
        raise WaistError("RF-W152", N_("The run's key pair is not the one in the agreed roster."))
    words = to_words(vector, word_bits)
    keys.claim(round=round, attempt=attempt, vector=number)
    context = MaskContext(
        study=roster.study,
        run=roster.run,
        round=round,
        attempt=attempt,
        vector=number,
        query=query_digest,
        roster=roster.digest,
        word_bits=word_bits,
    )
    add_streams(words, _streams(keys, roster, context))
    return MaskedUpdate(holder=roster.own, round=round, attempt=attempt, word_bits=word_bits, words=words)


def _streams(keys: SessionKeys, roster: Roster, context: MaskContext) -> list[tuple[bool, CipherContext]]:
    """One stream for each partner, and one of this holder's own seed where sums outlive drop-outs."""
    streams = []
    for peer in roster.partners:
        secret = keys.exchange(bytes.fromhex(peer.x25519))
        streams.append((roster.own < peer.holder, keystream(secret, context.info(roster.own, peer.holder))))
    if keys.self_seed is not None:
        streams.append((True, keystream(keys.self_seed, context.own_info(roster.own))))
    return streams


def keystream(secret: bytes, info: bytes) -> CipherContext:
    """The AES-256-CTR stream of one pair and one vector; `update_into` on zeros yields the mask's bytes."""
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()


def add_streams(words: Words, streams: Sequence[tuple[bool, CipherContext]]) -> None:
    """Add (True) or subtract (False) each stream to `words` in place, chunk by chunk."""
    buffer = bytearray(CHUNK_BYTES)
    masks = np.frombuffer(buffer, dtype=words.dtype.newbyteorder("<"))
    zeros = memoryview(_ZEROS)
    work = [(stream.update_into, np.add if positive else np.subtract) for positive, stream in streams]
    for start in range(0, len(words), len(masks)):
        part = words[start : start + len(masks)]
        some_zeros, some_masks = zeros[: part.nbytes], masks[: len(part)]
        for fill, put_on in work:
            fill(some_zeros, buffer)
            put_on(part, some_masks, out=part)


def to_words(vector: IntVector, word_bits: int) -> Words:
    """Two's complement words of an int64 vector, as a new array."""
    if vector.dtype != np.int64 or vector.ndim != 1 or word_bits not in (32, 64):
        raise WaistError("RF-W150", N_("Only one int64 vector can be masked, in words of 32 or 64 bits."))
    if word_bits == 64:
        return vector.view(np.uint64).copy()
    limit = np.iinfo(np.int32)
    if len(vector) and (int(vector.min()) < limit.min or int(vector.max()) > limit.max):
        raise WaistError(
            "RF-W151",
            N_("A value needs more than {bits} bits; the study's limits are wrong."),
            bits=word_bits,
        )
    return vector.astype(np.uint32)


def sum_words(updates: Sequence[MaskedUpdate], *, members: Collection[str]) -> IntVector:
    """The exact sum of the members' vectors, shape `(length,)`, int64.

    Args:
        updates: one from every member of one attempt's roster.
        members: their names.

    Raises:
        WaistError: RF-W153 when the updates are not one from each member, RF-W154 when they differ in
            round, attempt, word size or length. A sum over fewer members would be uniform words.
    """
    names = [update.holder for update in updates]
    if not names or len(set(names)) != len(names) or set(names) != set(members):
        raise WaistError(
            "RF-W153",
            N_("The attempt has {found} of {wanted} answers; without all of them it is void."),
            found=len(set(names) & set(members)),
            wanted=len(set(members)),
        )
    first = updates[0]
    alike = {(u.round, u.attempt, u.word_bits, u.words.shape, u.words.dtype.str) for u in updates}
    if len(alike) != 1 or first.words.ndim != 1 or first.words.dtype.itemsize * 8 != first.word_bits:
        raise WaistError("RF-W154", N_("The answers differ in round, attempt, word size or length."))
    return add_up([update.words for update in updates])


def add_up(vectors: Sequence[Words]) -> IntVector:
    """Sum in the ring of the words, decoded by two's complement to int64."""
    first, *others = vectors
    signed = np.int32 if first.dtype.itemsize == 4 else np.int64
    total = np.empty(first.shape, dtype=np.int64)
    chunk = CHUNK_BYTES // first.dtype.itemsize
    for start in range(0, len(first), chunk):
        part = first[start : start + chunk].copy()
        for words in others:
            np.add(part, words[start : start + chunk], out=part)
        total[start : start + chunk] = part.view(signed)
    return total
