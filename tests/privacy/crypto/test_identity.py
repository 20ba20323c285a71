"""Identities: RFC 8032, one written form, no leak of the secret."""

from __future__ import annotations

import copy
import hashlib
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.privacy.crypto.identity import KINDS, Identity, PublicIdentity
from ringfence.privacy.errors import KeyFault

# RFC 8032, section 7.1, TEST 3.
SECRET = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
PUBLIC = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
SIGNATURE = (
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)


def test_the_vector_of_the_standard() -> None:
    identity = Identity.from_secret(SECRET)
    assert identity.public.hex == PUBLIC
    assert identity.sign(b"\xaf\x82").hex() == SIGNATURE
    identity.public.verify(bytes.fromhex(SIGNATURE), b"\xaf\x82")


def test_the_fingerprint_is_of_the_raw_key() -> None:
    public = PublicIdentity.from_hex(PUBLIC)
    assert public.fingerprint == "ed25519:" + hashlib.sha256(bytes.fromhex(PUBLIC)).hexdigest()[:32]


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=100), st.data())
def test_any_flipped_bit_is_noticed(message: bytes, data: st.DataObject) -> None:
    identity = Identity.generate()
    signature = identity.sign(message)
    identity.public.verify(signature, message)
    bit = data.draw(st.integers(0, 8 * (len(signature) + len(message)) - 1))
    whole = bytearray(signature + message)
    whole[bit // 8] ^= 1 << bit % 8
    with pytest.raises(KeyFault, match="RF-K003"):
        identity.public.verify(bytes(whole[:64]), bytes(whole[64:]))


def test_another_key_does_not_verify() -> None:
    with pytest.raises(KeyFault, match="RF-K003"):
        Identity.generate().public.verify(Identity.generate().sign(b"m"), b"m")


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(KeyFault, match="RF-K003"):
        Identity.generate().public.verify(b"0" * length, b"m")


@pytest.mark.parametrize("text", ["", PUBLIC[:-1], PUBLIC + "0", PUBLIC.upper(), "g" * 64, " " * 64])
def test_a_public_key_has_one_written_form(text: str) -> None:
    with pytest.raises(KeyFault, match="RF-K002"):
        PublicIdentity.from_hex(text)


def test_lengths_of_keys() -> None:
    with pytest.raises(KeyFault, match="RF-K001"):
        PublicIdentity(b"short")
    with pytest.raises(KeyFault, match="RF-K004"):
        Identity.from_secret(b"short")


def test_a_key_of_no_point_does_not_verify() -> None:
    with pytest.raises(KeyFault, match="RF-K003"):
        PublicIdentity(b"\xff" * 32).verify(bytes(64), b"m")


def test_the_secret_stays_inside() -> None:
    identity = Identity.from_secret(SECRET, kind="approver")
    assert SECRET.hex() not in repr(identity)
    assert "approver" in repr(identity)
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leak(identity)


def test_fresh_keys_differ() -> None:
    assert len({Identity.generate().public for _ in range(20)}) == 20


def test_a_key_is_of_one_of_four_kinds() -> None:
    assert KINDS == ("holder", "coordinator", "approver", "log")
    assert (Identity.generate().kind, Identity.from_secret(SECRET).kind) == ("holder", "holder")
    for kind in KINDS:
        made = Identity.generate(kind, simulation=True)
        again = Identity.from_secret(made.secret_bytes(), kind=kind, simulation=True)
        for identity in (made, again):
            assert (identity.kind, identity.simulation, identity.public) == (kind, True, made.public)
    assert not Identity.generate().simulation
    assert not Identity.from_secret(SECRET).simulation
    assert repr(Identity.from_secret(SECRET)) == (
        f"Identity(kind='holder', public={PublicIdentity.from_hex(PUBLIC).fingerprint})"
    )
