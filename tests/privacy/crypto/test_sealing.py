"""What is sealed opens with one key, under one info, unaltered, and not after the key is gone."""

from __future__ import annotations

import pickle

import pytest

from ringfence.privacy.crypto.sealing import OVERHEAD, PUBLIC_BYTES, SealingKey, key_id, seal_to
from ringfence.privacy.errors import KeyFault

INFO = b"both sides know this"


def test_what_is_sealed_opens_and_is_longer_by_the_overhead() -> None:
    key = SealingKey()
    assert len(key.public) == PUBLIC_BYTES
    for plain in (b"", b"a" * 100_000):
        sealed = seal_to(key.public, plain, info=INFO)
        assert len(sealed) == len(plain) + OVERHEAD
        assert key.open(sealed, info=INFO) == plain


def test_two_sealings_of_the_same_have_nothing_in_common() -> None:
    key = SealingKey()
    first, second = (seal_to(key.public, b"x" * 64, info=INFO) for _ in range(2))
    assert not {first[at : at + 8] for at in range(0, len(first), 8)} & {
        second[at : at + 8] for at in range(0, len(second), 8)
    }


@pytest.mark.parametrize("at", [0, 1087, 1088, OVERHEAD - 16, -1])
def test_one_changed_bit_anywhere_does_not_open(at: int) -> None:
    key = SealingKey()
    sealed = bytearray(seal_to(key.public, b"words", info=INFO))
    sealed[at] ^= 1
    with pytest.raises(KeyFault) as caught:
        key.open(bytes(sealed), info=INFO)
    assert caught.value.code == "RF-K091"


def test_another_key_another_info_and_a_cut_do_not_open() -> None:
    key = SealingKey()
    sealed = seal_to(key.public, b"words", info=INFO)
    for opener, data, info in (
        (SealingKey(), sealed, INFO),
        (key, sealed, INFO + b"!"),
        (key, sealed[:-1], INFO),
        (key, sealed[:100], INFO),
        (key, b"", INFO),
    ):
        with pytest.raises(KeyFault) as caught:
            opener.open(data, info=info)
        assert caught.value.code == "RF-K091"


@pytest.mark.parametrize(
    "public",
    [
        *(b"", b"k" * 32, b"\xff" * PUBLIC_BYTES, b"k" * (PUBLIC_BYTES + 1)),
        pytest.param(SealingKey().public[:-32] + bytes(32), id="a point of low order"),
    ],
)
def test_what_is_no_key_is_not_sealed_to(public: bytes) -> None:
    with pytest.raises(KeyFault) as caught:
        seal_to(public, b"words", info=INFO)
    assert caught.value.code == "RF-K090"


def test_a_destroyed_key_opens_nothing_and_tells_nothing() -> None:
    key = SealingKey()
    sealed = seal_to(key.public, b"words", info=INFO)
    key.close()
    with pytest.raises(KeyFault) as caught:
        key.open(sealed, info=INFO)
    assert caught.value.code == "RF-K092"
    assert key.public.hex() not in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_a_key_has_one_name_and_two_keys_have_two() -> None:
    first, second = SealingKey(), SealingKey()
    assert key_id(first.public) == first.id != second.id
    assert len(first.id) == 32
