"""Keys of a run and of an attempt: where they may be used, for what, and which public keys are taken."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.secagg.ephemeral import EphemeralKeys
from ringfence.privacy.secagg.keys import SessionKeys, check_point, exchanged, key_message, verify_key_message
from ringfence.privacy.wire.fields import digest_of

STUDY, RUN = digest_of(b"study"), "0" * 32
PEER = X25519PrivateKey.generate().public_key().public_bytes_raw()
USES: dict[str, Callable[[EphemeralKeys], object]] = {
    "exchange": lambda keys: keys.exchange(PEER),
    "seal_with": lambda keys: keys.seal_with(PEER),
    "masking_key": lambda keys: keys.masking_key(),
    "self_seed": lambda keys: keys.self_seed,
}


def ephemeral() -> EphemeralKeys:
    return EphemeralKeys(holder="bank", study=STUDY, run=RUN, round=1, attempt=2, number=3)


@pytest.mark.parametrize("use", USES)
def test_no_secret_is_used_in_another_process_or_after_its_end(
    use: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ephemeral()
    assert USES[use](keys)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(WaistError, match="RF-W130"):
            USES[use](keys)
    with keys:
        assert USES[use](keys)
    with pytest.raises(WaistError, match="RF-W130"):
        USES[use](keys)


def test_nothing_secret_is_left_of_keys_that_were_closed() -> None:
    keys = ephemeral()
    seed, masking = keys.self_seed, keys.masking_key()
    keys.close()
    left = [getattr(keys, name) for kind in (SessionKeys, EphemeralKeys) for name in kind.__slots__]
    assert not any(isinstance(each, X25519PrivateKey) or each in (seed, masking) for each in left)


def test_keys_of_an_attempt_are_random_in_full() -> None:
    made = [ephemeral() for _ in range(8)]
    assert len({keys.self_seed for keys in made}) == 8
    assert all(len(keys.self_seed) == 32 for keys in made)
    # Of 256 random bytes about 162 are different ones.
    assert len({byte for keys in made for byte in keys.self_seed}) > 100
    assert len({key for keys in made for key in (keys.public, keys.sealing)}) == 16


def test_the_keys_of_a_run_have_no_mask_of_their_own() -> None:
    with SessionKeys(holder="bank", study=STUDY, run=RUN) as keys:
        assert keys.self_seed is None
        assert (keys.holder, keys.study, keys.run) == ("bank", STUDY, RUN)


def test_a_point_has_one_encoding() -> None:
    """RFC 7748 takes 2^255 - 19 + u for u as well; a key of two spellings would be two members' key."""
    prime = (1 << 255) - 19
    private = X25519PrivateKey.generate()
    for u in (2, 3, 9, 18):
        with pytest.raises(WaistError, match="RF-W131"):
            check_point((prime + u).to_bytes(32, "little").hex())
    assert exchanged(private, (9).to_bytes(32, "little")) == private.public_key().public_bytes_raw()
    check_point((prime - 2).to_bytes(32, "little").hex())
    for size in (0, 31, 33):
        with pytest.raises(WaistError, match="RF-W131"):
            exchanged(private, bytes([9]).ljust(size, b"\0")[:size])


def test_a_key_message_is_of_its_study_run_holder_and_signature() -> None:
    identity, other = Identity.generate(), Identity.generate()
    with SessionKeys(holder="bank", study=STUDY, run=RUN) as keys:
        good = key_message(identity, keys)
        elsewhere = key_message(other, keys)
    pinned = identity.public
    assert verify_key_message(good, study=STUDY, run=RUN, pinned=pinned) is good
    for study, run in ((digest_of(b"other"), RUN), (STUDY, "1" * 32)):
        with pytest.raises(WaistError, match="RF-W134"):
            verify_key_message(good, study=study, run=run, pinned=pinned)
    with pytest.raises(WaistError, match="RF-W135"):
        verify_key_message(elsewhere, study=STUDY, run=RUN, pinned=pinned)
    for change in ({"holder": "shop"}, {"x25519": PEER.hex()}, {"signature": elsewhere.signature}):
        with pytest.raises(WaistError, match="RF-W136"):
            verify_key_message(replace(good, **change), study=STUDY, run=RUN, pinned=pinned)
