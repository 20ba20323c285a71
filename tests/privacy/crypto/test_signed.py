"""Signed documents and approvals: every change is noticed, one kind never stands for another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kits.document_kit import GOOD

from ringfence.privacy.agreements.study import Study, load_study
from ringfence.privacy.crypto.approvals import approve, check_approvals
from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.signed import (
    SignedDocument,
    message,
    read_signed,
    write_after,
    write_signed,
)
from ringfence.privacy.errors import KeyFault, StudyError

A, B, C = (Identity.generate("coordinator") for _ in range(3))
STUDY = load_study(GOOD / "study.toml")
DOCUMENT = SignedDocument(kind="study", body=STUDY.canonical()).signed_by(A)


def refused(
    code: str, document: SignedDocument, *trusted: Identity, kind: str = "study", threshold: int = 1
) -> None:
    with pytest.raises(KeyFault) as caught:
        document.verify(kind, [identity.public for identity in trusted], threshold=threshold)
    assert caught.value.code == code


def test_a_signed_study_verifies_and_reads_back(tmp_path: Path) -> None:
    file = tmp_path / "study.json"
    write_signed(file, DOCUMENT)
    assert [path.name for path in tmp_path.iterdir()] == ["study.json"]
    again = read_signed(file)
    assert again == DOCUMENT
    assert Study.from_canonical(again.verify("study", [A.public])) == STUDY


def test_the_signed_message_is_the_documented_one() -> None:
    assert message("study", b"{}") == b"ringfence/study/v1\n{}"
    key, signature = DOCUMENT.signatures[0]
    PublicIdentity.from_hex(key).verify(bytes.fromhex(signature), b"ringfence/study/v1\n" + STUDY.canonical())


def test_text_beyond_ascii_survives(tmp_path: Path) -> None:
    body = '{"title":"客户\u2028流失"}'.encode()
    write_signed(tmp_path / "a", SignedDocument(kind="study", body=body).signed_by(A))
    assert read_signed(tmp_path / "a").verify("study", [A.public]) == body


def test_only_trusted_keys_count() -> None:
    refused("RF-K015", DOCUMENT)
    refused("RF-K015", DOCUMENT, B)
    assert DOCUMENT.verify("study", [B.public, A.public]) == STUDY.canonical()
    refused("RF-K015", replace(DOCUMENT, signatures=()), A)


def test_k_of_n() -> None:
    both = DOCUMENT.signed_by(B)
    trusted = [A.public, B.public, C.public]
    assert both.signers("study", trusted, threshold=2) == (A.public, B.public)
    refused("RF-K015", both, A, B, C, threshold=3)
    refused("RF-K015", DOCUMENT, A, B, C, threshold=2)
    with pytest.raises(ValueError, match="at least 1"):
        both.verify("study", trusted, threshold=0)


def test_one_key_counts_once() -> None:
    with pytest.raises(KeyFault, match="RF-K011"):
        DOCUMENT.signed_by(A)
    refused("RF-K014", replace(DOCUMENT, signatures=DOCUMENT.signatures * 2), A, B, threshold=2)


def test_one_kind_never_stands_for_another() -> None:
    refused("RF-K012", DOCUMENT, A, kind="contract")
    refused("RF-K003", replace(DOCUMENT, kind="contract"), A, kind="contract")


def test_a_kind_cannot_hold_a_line_feed() -> None:
    for kind in ("a\nb", "", "A", "study/v1", "a" * 33):
        with pytest.raises(KeyFault, match="RF-K010"):
            message(kind, b"{}")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 8 * len(DOCUMENT.body) - 1))
def test_any_flipped_bit_of_the_body_is_noticed(bit: int) -> None:
    body = bytearray(DOCUMENT.body)
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises(KeyFault) as caught:
        replace(DOCUMENT, body=bytes(body)).verify("study", [A.public])
    assert caught.value.code in {"RF-K003", "RF-K013"}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 511))
def test_any_flipped_bit_of_the_signature_is_noticed(bit: int) -> None:
    key, signature = DOCUMENT.signatures[0]
    raw = bytearray(bytes.fromhex(signature))
    raw[bit // 8] ^= 1 << bit % 8
    refused("RF-K003", replace(DOCUMENT, signatures=((key, raw.hex()),)), A)


@pytest.mark.parametrize("signature", ["", "zz" * 64, "AB" * 64, "00" * 63])
def test_a_signature_has_one_written_form(signature: str) -> None:
    refused("RF-K019", replace(DOCUMENT, signatures=((A.public.hex, signature),)), A)


@pytest.mark.parametrize(
    "body",
    [
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1,"a":1}',
        b'{"a":1.5}',
        b'{"a":1e400}',
        b"\xff",
        b"",
        b"[" * 100_000,
        b'{"a":NaN}',
    ],
)
def test_only_canonical_json_without_floats_is_a_body(body: bytes) -> None:
    refused("RF-K013", SignedDocument(kind="study", body=body).signed_by(A), A)


GOOD_FORM = json.loads(DOCUMENT.to_json())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        json.dumps({**GOOD_FORM, "extra": 1}),
        json.dumps({**GOOD_FORM, "format": "ringfence-signed/v2"}),
        json.dumps({**GOOD_FORM, "kind": 3}),
        json.dumps({**GOOD_FORM, "kind": "A B"}),
        json.dumps({**GOOD_FORM, "body": {}}),
        json.dumps({**GOOD_FORM, "body": "\ud800"}),
        json.dumps({**GOOD_FORM, "signatures": {}}),
        json.dumps({**GOOD_FORM, "signatures": ["x"]}),
        json.dumps({**GOOD_FORM, "signatures": [{"key": "a"}]}),
        json.dumps({**GOOD_FORM, "signatures": [{"key": "a", "signature": 1}]}),
        json.dumps({**GOOD_FORM, "signatures": [{"key": "a", "signature": "b"}] * 1001}),
        DOCUMENT.to_json().replace('"kind"', '"kind": "study", "kind"'),
    ],
)
def test_what_is_not_a_signed_document(text: str) -> None:
    with pytest.raises(KeyFault, match="RF-K016"):
        SignedDocument.from_json(text)
    with pytest.raises(KeyFault, match="RF-K016"):
        SignedDocument.from_json(text.encode())


def test_bytes_that_are_not_text_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(KeyFault, match="RF-K016"):
        SignedDocument.from_json(b"\xff\xfe\x00")
    with pytest.raises(KeyFault, match="RF-K020"):
        read_signed(tmp_path / "absent")


DIGEST = STUDY.digest()
ANNA, BEN, EVE = (Identity.generate("approver") for _ in range(3))
ALLOWED = [ANNA.public, BEN.public]


def unapproved(code: str, *documents: SignedDocument) -> None:
    with pytest.raises(StudyError) as caught:
        check_approvals(documents, DIGEST, "north", ALLOWED)
    assert caught.value.code == code


def test_two_people_approve() -> None:
    documents = [approve(DIGEST, "north", key) for key in (ANNA, BEN)]
    assert check_approvals(documents, DIGEST, "north", ALLOWED) == (
        ANNA.public.fingerprint,
        BEN.public.fingerprint,
    )


def test_one_person_is_not_two() -> None:
    once = approve(DIGEST, "north", ANNA)
    unapproved("RF-S032")
    unapproved("RF-S032", once)
    unapproved("RF-S032", once, once)


def test_an_approval_is_of_one_study_at_one_holder_by_its_signer() -> None:
    once = approve(DIGEST, "north", ANNA)
    unapproved("RF-S030", once, approve("sha256:" + 64 * "0", "north", BEN))
    unapproved("RF-S030", once, approve(DIGEST, "south", BEN))
    unapproved("RF-S032", once, approve(DIGEST, "north", EVE))  # she may not approve: passed over
    unapproved("RF-S031", once, DOCUMENT)
    borrowed = SignedDocument(kind="approval", body=once.body).signed_by(BEN)  # says it is Anna's
    unapproved("RF-S030", once, borrowed)


def test_only_an_approver_key_approves() -> None:
    with pytest.raises(KeyFault, match="RF-K018"):
        approve(DIGEST, "north", Identity.generate("coordinator"))


def test_a_document_gets_its_name_after_its_event(tmp_path: Path) -> None:
    """A crash leaves an event without its effect, never an effect without its event."""
    file = tmp_path / "study.json"
    write_signed(file, DOCUMENT)
    newer = DOCUMENT.signed_by(B)
    told: list[SignedDocument] = []

    def log_fails() -> None:
        told.append(read_signed(file))
        raise OSError("the log cannot be written")

    with pytest.raises(OSError, match="log"):
        write_after(file, newer, log_fails)
    assert (told, read_signed(file)) == ([DOCUMENT], DOCUMENT)
    assert [path.name for path in tmp_path.iterdir()] == ["study.json"]
    write_after(file, newer, lambda: told.append(read_signed(file)))
    assert (told, read_signed(file)) == ([DOCUMENT, DOCUMENT], newer)
    assert [path.name for path in tmp_path.iterdir()] == ["study.json"]


def test_a_document_that_cannot_be_written_is_no_event(tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(OSError, match="absent"):
        write_after(tmp_path / "absent" / "study.json", DOCUMENT, lambda: told.append("signed"))
    assert told == []
