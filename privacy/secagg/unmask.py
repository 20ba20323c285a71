"""The coordinator's part in a sum that outlives drop-outs: secrets from shares, masks off the sum.

What comes out of shares is compared with what its owner published and signed, so a forged share cannot bend a
sum. Where more shares are there than needed, one that does not fit is left out; whether its dealer or its
giver forged it cannot be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import CipherContext

from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.secagg import shamir
from ringfence.privacy.secagg.ephemeral import EphemeralMessage, seed_digest
from ringfence.privacy.secagg.keys import exchanged
from ringfence.privacy.secagg.masks import MaskContext, Words, add_streams, add_up, keystream, sum_words
from ringfence.privacy.secagg.recovery import OpenShare, Revealed, number_of
from ringfence.privacy.secagg.roster import RosterView
from ringfence.privacy.waist import IntVector, MaskedUpdate


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmasked:
    """The exact sum of the survivors' vectors, and the (dealer, giver) of shares that did not fit."""

    total: IntVector
    misfits: tuple[tuple[str, str], ...]


def check_revealed(layout: RosterView, survivors: Set[str], giver: str, revealed: Revealed) -> Revealed:
    """What a survivor revealed, once it is what it owes and no more.

    Raises:
        WaistError: RF-W183.
    """
    partners = set(layout.graph.partners(giver))
    seeds, keys = [share.holder for share in revealed.seeds], [share.holder for share in revealed.keys]
    if (
        giver not in survivors
        or len({*seeds, *keys}) != len(seeds) + len(keys)
        or not set(seeds) <= (partners | {giver}) & survivors
        or not set(keys) <= partners - survivors
    ):
        raise WaistError(
            "RF-W183", N_("{holder} has revealed other shares than it was asked for."), holder=giver
        )
    return revealed


def unmask(
    layout: RosterView,
    updates: Mapping[str, MaskedUpdate],
    revealed: Mapping[str, Revealed],
    *,
    query_digest: bytes,
) -> Unmasked:
    """Add up the survivors' words and take off what is left of the masks.

    Args:
        layout: the roster of the attempt.
        updates: the survivors' words, alike in length and word size, by name.
        revealed: checked with `check_revealed`, by giver.
        query_digest: of the query that was answered.

    Raises:
        WaistError: RF-W154 the updates are not alike, RF-W171 too few shares of a secret, RF-W184 shares of
            another secret than its owner published.
    """
    members = {m.holder: m for m in layout.members if isinstance(m, EphemeralMessage)}
    first = next(iter(updates.values()))
    context = MaskContext(
        study=layout.study,
        run=layout.run,
        round=first.round,
        attempt=first.attempt,
        vector=0,
        query=query_digest,
        roster=layout.digest,
        word_bits=first.word_bits,
    )
    misfits: list[tuple[str, str]] = []
    streams: list[tuple[bool, CipherContext]] = []
    for name in sorted(updates):
        given = {giver: _share(answer.seeds, name) for giver, answer in revealed.items()}
        seed, misfit = _secret(layout, given, seed_digest, members[name].seed)
        misfits += [(name, giver) for giver in misfit]
        streams.append((False, keystream(seed, context.own_info(name))))
    for name in sorted(set(members) - set(updates)):
        left = sorted(set(layout.graph.partners(name)) & set(updates))
        given = {giver: _share(answer.keys, name) for giver, answer in revealed.items()}
        key, misfit = _secret(layout, given, _public, members[name].x25519)
        misfits += [(name, giver) for giver in misfit]
        streams += _pairs(key, name, left, members, context)
    total = sum_words(list(updates.values()), members=updates)
    # Back to words: the two's complement of a sum that is still masked.
    words: Words = total.astype(np.uint32) if first.word_bits == 32 else total.view(np.uint64)
    add_streams(words, streams)
    return Unmasked(total=add_up([words]), misfits=tuple(misfits))


def _pairs(
    key: bytes, dropped: str, left: list[str], members: Mapping[str, EphemeralMessage], context: MaskContext
) -> Iterator[tuple[bool, CipherContext]]:
    """The masks that survivors share with one that dropped out, with the sign that takes them off."""
    private = X25519PrivateKey.from_private_bytes(key)
    for name in left:
        secret = exchanged(private, bytes.fromhex(members[name].x25519))
        # A survivor added the stream if its name comes first.
        yield name > dropped, keystream(secret, context.info(name, dropped))


def _share(shares: tuple[OpenShare, ...], name: str) -> bytes | None:
    """One giver's share of a member's secret."""
    return next((bytes.fromhex(share.value) for share in shares if share.holder == name), None)


def _secret(
    layout: RosterView, given: Mapping[str, bytes | None], published: Callable[[bytes], str], value: str
) -> tuple[bytes, tuple[str, ...]]:
    """The secret whose owner published `value`, and the giver of a share that had to be left out."""
    threshold = layout.design.threshold
    shares = {number_of(layout, giver): share for giver, share in given.items() if share is not None}
    shamir.check_enough(len(shares), threshold)
    names = layout.names
    for left_out in (0, *sorted(shares)):
        kept = {number: share for number, share in shares.items() if number != left_out}
        with suppress(WaistError):
            secret = shamir.combine(kept, threshold=threshold)
            if published(secret) == value:
                return secret, (names[left_out - 1],) if left_out else ()
    raise WaistError(
        "RF-W184",
        N_("The shares of a secret do not give the one that its owner published; the attempt is void."),
    )


def _public(private: bytes) -> str:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw().hex()
