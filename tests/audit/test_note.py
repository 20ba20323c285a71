"""Signed notes and checkpoints: a published example, round trips, and every way to break one."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.audit.checkpoint import Checkpoint, parse_body, read_unverified, verify_checkpoint
from ringfence.audit.errors import NoteError
from ringfence.audit.merkle import EMPTY_ROOT, leaf_hash
from ringfence.audit.note import (
    MAX_NOTE,
    MAX_SIGNATURES,
    MemorySigner,
    RawPublic,
    Verifier,
    check_key_name,
    decode_base64,
    parse_note,
    sign_note,
    verify_note,
)

# The example of golang.org/x/mod/sumdb/note, the origin of the C2SP format.
EXAMPLE_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
EXAMPLE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()

SIGNER = MemorySigner()
NAME = "log.example/a"
KEY = Verifier(name=NAME, raw=SIGNER.public.raw)
NOTE = sign_note("text\n", NAME, SIGNER)
POINT = Checkpoint(origin=NAME, size=3, root=leaf_hash(b"x"))


def test_published_example_verifies() -> None:
    text, good = verify_note(EXAMPLE, [Verifier.parse(EXAMPLE_KEY)])
    assert text.startswith("If you think")
    assert [key.name for key in good] == ["PeterNeumann"]
    with pytest.raises(NoteError, match="RF-A036"):
        verify_note(EXAMPLE.replace(b"answer", b"reason"), [Verifier.parse(EXAMPLE_KEY)])


@settings(deadline=None)
@given(st.integers(0, len(NOTE) - 1), st.integers(1, 255))
def test_no_altered_byte_passes(place: int, flip: int) -> None:
    altered = NOTE[:place] + bytes([NOTE[place] ^ flip]) + NOTE[place + 1 :]
    with pytest.raises(NoteError):
        verify_note(altered, [KEY])


def test_verifier_key_has_one_text_form() -> None:
    assert Verifier.parse(str(KEY)) == KEY
    assert str(Verifier.parse(EXAMPLE_KEY)) == EXAMPLE_KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name+00000000",
        "name+00000000+AQ==",
        EXAMPLE_KEY.replace("c74f20a3", "c74f20a4"),
        EXAMPLE_KEY.replace("PeterNeumann", "Peter Neumann"),
        EXAMPLE_KEY.replace("+ARpc", "+BRpc"),
        EXAMPLE_KEY + "\n",
    ],
)
def test_malformed_verifier_keys_are_refused(text: str) -> None:
    with pytest.raises(NoteError):
        Verifier.parse(text)


def test_signatures_by_unknown_keys_are_passed_over_and_bad_ones_by_known_keys_refused() -> None:
    other = MemorySigner()
    second = sign_note("text\n", "witness.example", other)
    both = NOTE + second.split(b"\n\n")[1]
    assert verify_note(both, [KEY])[1] == (KEY,)
    witness = Verifier(name="witness.example", raw=other.public.raw)
    assert verify_note(both, [KEY, witness])[1] == (KEY, witness)
    forged = base64.b64encode(witness.key_id + bytes(64)).decode()
    bad = NOTE + f"\u2014 witness.example {forged}\n".encode()
    assert verify_note(bad, [KEY])[1] == (KEY,)
    with pytest.raises(NoteError, match="RF-A036"):
        verify_note(bad, [KEY, witness])
    with pytest.raises(NoteError, match="RF-A043"):
        verify_note(NOTE, [witness])
    assert verify_note(NOTE + NOTE.split(b"\n\n")[1], [KEY])[1] == (KEY,)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "RF-A041"),
        (b"text\n", "RF-A041"),
        (b"text\n\n", "RF-A041"),
        (b"\n\n" + NOTE.split(b"\n\n")[1], "RF-A041"),
        (NOTE[:-1], "RF-A041"),
        (NOTE.replace(b"text", b"te\tt"), "RF-A041"),
        (NOTE.replace(b"text", b"te\xfft"), "RF-A040"),
        (NOTE.replace(b"\xe2\x80\x94", b"-"), "RF-A037"),
        ("text\n\n\u2014 name\n".encode(), "RF-A037"),
        ("text\n\n\u2014 name AQ==\n".encode(), "RF-A038"),
        ("text\n\n\u2014 name AQEBAQ==\n".encode(), "RF-A038"),  # the key's id and no signature
        ("text\n\n\u2014 na+me AQEBAQE=\n".encode(), "RF-A032"),
        ("text\n\n\u2014 name AQEBAQE\n".encode(), "RF-A031"),
        (NOTE + NOTE.split(b"\n\n")[1] * 100, "RF-A042"),
        (b"x" * (MAX_NOTE + 1), "RF-A039"),
    ],
)
def test_malformed_notes_are_refused(data: bytes, code: str) -> None:
    with pytest.raises(NoteError) as caught:
        parse_note(data)
    assert caught.value.code == code


def test_base64_has_one_form() -> None:
    assert decode_base64("AQ==") == b"\x01"
    for text in ("AR==", "AQ=", "AQ==\n", "A-==", "é"):
        with pytest.raises(NoteError, match="RF-A031"):
            decode_base64(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b"])
def test_bad_key_names_are_refused(name: str) -> None:
    with pytest.raises(NoteError, match="RF-A032"):
        check_key_name(name)


def test_sign_refuses_bad_text_bad_key_and_a_signer_that_fails() -> None:
    class Broken(MemorySigner):
        def sign(self, message: bytes, /) -> bytes:
            return bytes(64)

    with pytest.raises(NoteError, match="RF-A044"):
        sign_note("no newline", NAME, SIGNER)
    with pytest.raises(NoteError, match="RF-A036"):
        sign_note("text\n", NAME, Broken())
    with pytest.raises(NoteError, match="RF-A033"):
        Verifier(name=NAME, raw=RawPublic(b"short").raw)


def test_a_text_may_hold_an_empty_line() -> None:
    text = "one\n\ntwo\n"
    assert verify_note(sign_note(text, NAME, SIGNER), [KEY]) == (text, (KEY,))


def test_notes_and_signatures_have_a_largest_number() -> None:
    line = NOTE.split(b"\n\n")[1]
    assert (MAX_NOTE, MAX_SIGNATURES) == (1_000_000, 100)
    assert len(parse_note(NOTE + line * (MAX_SIGNATURES - 1)).signatures) == MAX_SIGNATURES
    padding = b"x" * (MAX_NOTE - len(NOTE))
    assert len(parse_note(padding + NOTE).text) == len(padding) + len("text\n")
    with pytest.raises(NoteError, match="RF-A039"):
        parse_note(padding + b"x" + NOTE)


def test_checkpoint_round_trip() -> None:
    assert verify_checkpoint(POINT.sign(SIGNER), [KEY]) == POINT
    assert read_unverified(POINT.sign(SIGNER)) == POINT
    assert parse_body(f"{NAME}\n0\n{base64.b64encode(EMPTY_ROOT).decode()}\n").size == 0
    assert parse_body(f"{NAME}\n{2**53 - 1}\n{ROOT}\n").size == 2**53 - 1


def test_checkpoint_of_another_log_is_refused_though_the_signature_is_good() -> None:
    stranger = Checkpoint(origin="log.example/b", size=3, root=leaf_hash(b"x"))
    with pytest.raises(NoteError, match="RF-A049"):
        verify_checkpoint(sign_note(stranger.body(), NAME, SIGNER), [KEY])


ROOT = base64.b64encode(leaf_hash(b"x")).decode()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "RF-A046"),
        (f"{NAME}\n3\n{ROOT}\nextension\n", "RF-A046"),
        (f"\n3\n{ROOT}\n", "RF-A046"),
        (f"{NAME}\n3\n{ROOT}", "RF-A046"),
        (f"{NAME}\n03\n{ROOT}\n", "RF-A045"),
        (f"{NAME}\n-3\n{ROOT}\n", "RF-A045"),
        (f"{NAME}\n\n{ROOT}\n", "RF-A045"),
        (f"{NAME}\n٣\n{ROOT}\n", "RF-A045"),
        (f"{NAME}\n{'9' * 17}\n{ROOT}\n", "RF-A045"),
        (f"{NAME}\n{'1' * 5000}\n{ROOT}\n", "RF-A045"),
        (f"{NAME}\n{2**53}\n{ROOT}\n", "RF-A045"),
        (f"{NAME}\n3\nAQ==\n", "RF-A047"),
        (f"{NAME}\n3\n{ROOT[:-1]}\n", "RF-A031"),
        (f"{NAME}\n0\n{ROOT}\n", "RF-A048"),
    ],
)
def test_malformed_checkpoints_are_refused(body: str, code: str) -> None:
    with pytest.raises(NoteError) as caught:
        parse_body(body)
    assert caught.value.code == code
