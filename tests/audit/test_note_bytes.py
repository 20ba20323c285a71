"""Notes, keys and checkpoints to the byte as C2SP writes them, and each refusal under its own code."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ringfence.audit.checkpoint import (
    Checkpoint,
    parse_body,
    read_unverified,
    signed_checkpoint,
    verify_checkpoint,
)
from ringfence.audit.errors import NoteError
from ringfence.audit.merkle import EMPTY_ROOT, leaf_hash
from ringfence.audit.note import (
    MemorySigner,
    Signature,
    Verifier,
    check_key_name,
    parse_note,
    sign_note,
    verify_note,
)

SIGNER, OTHER = MemorySigner(), MemorySigner()
NAME = "log.example/a"
KEY = Verifier(name=NAME, raw=SIGNER.public.raw)
OTHER_KEY = Verifier(name=NAME, raw=OTHER.public.raw)
ROOT = leaf_hash(b"x")


def refusal(code: str, data: bytes, *verifiers: Verifier) -> NoteError:
    with pytest.raises(NoteError) as caught:
        verify_note(data, verifiers)
    assert caught.value.code == code
    return caught.value


def line(note: bytes) -> bytes:
    """The signature line of a note with one."""
    return note.split(b"\n\n")[1]


def test_a_note_is_text_an_empty_line_and_a_signature_line() -> None:
    note = sign_note("one\ntwo\n", NAME, SIGNER)
    head, tail = note.decode().split("\n\n")
    assert head == "one\ntwo"
    dash, name, encoded = tail.removesuffix("\n").split(" ")
    assert (dash, name) == ("\u2014", NAME)
    value = base64.b64decode(encoded, validate=True)
    raw = SIGNER.public.raw
    assert value[:4] == sha256(NAME.encode() + b"\n\x01" + raw).digest()[:4] == KEY.key_id
    assert len(value) == 4 + 64
    Ed25519PublicKey.from_public_bytes(raw).verify(value[4:], b"one\ntwo\n")
    parsed = parse_note(note)
    assert parsed.text == "one\ntwo\n"
    assert parsed.signatures == (Signature(name=NAME, key_id=value[:4], value=value[4:]),)


def test_a_key_is_written_as_name_id_and_key() -> None:
    encoded = base64.b64encode(b"\x01" + KEY.raw).decode()
    assert str(KEY) == f"{NAME}+{KEY.key_id.hex()}+{encoded}"
    assert Verifier.parse(str(KEY)) == KEY


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"{NAME}+{KEY.key_id.hex()}", "RF-A034"),
        (f"{NAME}+{KEY.key_id.hex()}+{base64.b64encode(KEY.raw).decode()}", "RF-A034"),
        (f"{NAME}+{KEY.key_id.hex()}+{base64.b64encode(b'?' + KEY.raw).decode()}", "RF-A034"),
        (f"{NAME}+{KEY.key_id.hex()}+{base64.b64encode(bytes([1]) + KEY.raw + b'x').decode()}", "RF-A034"),
        (f"{NAME}+{KEY.key_id.hex().upper()}x+{str(KEY).split('+', 2)[2]}", "RF-A035"),
        (f"{NAME}+00000000+{str(KEY).split('+', 2)[2]}", "RF-A035"),
        (str(KEY).replace("log.example/a", "log.example/b"), "RF-A035"),
        (str(KEY).replace("log.example/a", ""), "RF-A032"),
        (f"{str(KEY)[:-1]}!", "RF-A031"),
        (f"{KEY}+more", "RF-A031"),
    ],
    ids=range(10),  # the key is another one in every process, and a test has one name in all of them
)
def test_each_fault_of_a_key_has_its_code(text: str, code: str) -> None:
    with pytest.raises(NoteError) as caught:
        Verifier.parse(text)
    assert caught.value.code == code


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_has_32_bytes(size: int) -> None:
    with pytest.raises(NoteError, match="RF-A033"):
        Verifier(name=NAME, raw=bytes(size))


def test_names_are_printable_words() -> None:
    for name in ("a", "log.example/a", "日志", "a\u0301"):
        assert check_key_name(name) == name
    for name in ("", "a+b", " a", "a\u00a0b", "a\x7f", "a\u200b", "a\u2028b"):
        with pytest.raises(NoteError, match="RF-A032"):
            check_key_name(name)
        with pytest.raises(NoteError, match="RF-A032"):
            sign_note("text\n", name, SIGNER)


def test_a_signature_counts_under_its_name_and_its_key_together() -> None:
    """A key of the same name, or the same key under another name, is another key."""
    note = sign_note("text\n", NAME, SIGNER)
    renamed = Verifier(name="log.example/b", raw=KEY.raw)
    for stranger in (OTHER_KEY, renamed):
        refusal("RF-A043", note, stranger)
        assert verify_note(note, [stranger, KEY]) == ("text\n", (KEY,))
    # Another's signature under the key's own name and id is a forgery, not a stranger's.
    forged = base64.b64encode(KEY.key_id + OTHER.sign(b"text\n")).decode()
    assert refusal("RF-A036", f"text\n\n\u2014 {NAME} {forged}\n".encode(), KEY).values["name"] == NAME


def test_a_signature_is_checked_once_and_each_key_is_named_once() -> None:
    note = sign_note("text\n", NAME, SIGNER)
    spoilt = base64.b64encode(KEY.key_id + bytes(64)).decode()
    bad = f"\u2014 {NAME} {spoilt}\n".encode()
    assert verify_note(note + bad, [KEY]) == ("text\n", (KEY,))
    refusal("RF-A036", note[: -len(line(note))] + bad + line(note), KEY)
    both = note + line(sign_note("text\n", NAME, OTHER))
    assert verify_note(both, [KEY, OTHER_KEY])[1] == (KEY, OTHER_KEY)


def test_a_note_of_strangers_names_them_in_order() -> None:
    note = sign_note("text\n", "z.example", SIGNER) + line(sign_note("text\n", "a.example", OTHER))
    assert refusal("RF-A043", note + line(note), KEY).values["names"] == "a.example, z.example"


@pytest.mark.parametrize("text", ["", "text", "te\tt\n", "te\x00t\n", "te\x1ft\n", "te\rt\n"])
def test_what_is_signed_is_plain_lines(text: str) -> None:
    with pytest.raises(NoteError, match="RF-A044"):
        sign_note(text, NAME, SIGNER)
    if text.endswith("\n"):
        note = sign_note("text\n", NAME, SIGNER)
        refusal("RF-A041", note.replace(b"text\n", text.encode()), KEY)


def test_a_space_is_the_least_character_of_a_text() -> None:
    assert verify_note(sign_note(" \n", NAME, SIGNER), [KEY])[0] == " \n"


def test_a_signature_of_one_byte_is_read_and_does_not_verify() -> None:
    short = base64.b64encode(KEY.key_id + b"x").decode()
    data = f"text\n\n\u2014 {NAME} {short}\n".encode()
    assert parse_note(data).signatures[0].value == b"x"
    refusal("RF-A036", data, KEY)


# --- checkpoints -----------------------------------------------------------------------------------------


def test_a_checkpoint_is_origin_size_and_root_signed_under_its_origin() -> None:
    point = Checkpoint(origin=NAME, size=12, root=ROOT)
    assert point.body() == f"{NAME}\n12\n{base64.b64encode(ROOT).decode()}\n"
    note = point.sign(SIGNER)
    parsed = parse_note(note)
    assert (parsed.text, [one.name for one in parsed.signatures]) == (point.body(), [NAME])
    assert signed_checkpoint(note, [OTHER_KEY, KEY]) == (point, KEY)
    assert verify_checkpoint(note, [KEY]) == read_unverified(note) == point


def test_the_key_that_signed_is_the_one_that_is_named() -> None:
    """Of two keys under one name the one is told whose signature stands there."""
    point = Checkpoint(origin=NAME, size=12, root=ROOT)
    assert signed_checkpoint(point.sign(OTHER), [KEY, OTHER_KEY])[1] == OTHER_KEY
    witness = Verifier(name="witness.example", raw=OTHER.public.raw)
    cosigned = sign_note(point.body(), "witness.example", OTHER)
    assert signed_checkpoint(cosigned + line(point.sign(SIGNER)), [witness, KEY])[1] == KEY
    with pytest.raises(NoteError) as caught:
        signed_checkpoint(cosigned, [witness, KEY])
    assert (caught.value.code, caught.value.values["origin"]) == ("RF-A049", NAME)


def test_an_empty_log_has_the_empty_root_and_a_log_of_one_event_any() -> None:
    empty = base64.b64encode(EMPTY_ROOT).decode()
    assert parse_body(f"{NAME}\n0\n{empty}\n") == Checkpoint(origin=NAME, size=0, root=EMPTY_ROOT)
    assert parse_body(f"{NAME}\n1\n{empty}\n").root == EMPTY_ROOT
    with pytest.raises(NoteError, match="RF-A048"):
        parse_body(f"{NAME}\n0\n{base64.b64encode(ROOT).decode()}\n")


@pytest.mark.parametrize("size", ["00", "0 ", " 1", "+1", "1_0", "1.0", "0x1", "\u00b2", "9007199254740992"])
def test_a_size_has_one_spelling(size: str) -> None:
    with pytest.raises(NoteError, match="RF-A045"):
        parse_body(f"{NAME}\n{size}\n{base64.b64encode(ROOT).decode()}\n")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_root_has_32_bytes(length: int) -> None:
    with pytest.raises(NoteError, match="RF-A047"):
        parse_body(f"{NAME}\n3\n{base64.b64encode(bytes(length)).decode()}\n")
