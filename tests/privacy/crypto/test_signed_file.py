"""The file form of a signed document to the byte, its bounds, how it is written, and approvals counted."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from ringfence.privacy.crypto.approvals import approve, check_approvals, count_approvals
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.signed import (
    MAX_BYTES,
    MAX_SIGNATURES,
    SignedDocument,
    message,
    read_signed,
    write_after,
    write_signed,
)
from ringfence.privacy.errors import KeyFault, StudyError

DIGEST = "sha256:" + "5" * 64
ANNA, BEN, EVE = (Identity.generate("approver") for _ in range(3))
ALLOWED = [ANNA.public, BEN.public]
DOCUMENT = SignedDocument(
    kind="study", body='{"title":"客户"}'.encode(), signatures=(("ab", "cd"), ("ef", "01"))
)
FORM = """{
 "format": "ringfence-signed/v1",
 "kind": "study",
 "body": "{\\"title\\":\\"客户\\"}",
 "signatures": [
  {
   "key": "ab",
   "signature": "cd"
  },
  {
   "key": "ef",
   "signature": "01"
  }
 ]
}"""


def test_the_file_form_is_the_documented_one(tmp_path: Path) -> None:
    """People read it, and other programs do: a name that changes on both sides reads back as before."""
    assert DOCUMENT.to_json() == FORM
    for text in (FORM, FORM.encode()):
        assert SignedDocument.from_json(text) == DOCUMENT
    write_signed(tmp_path / "study.json", DOCUMENT)
    assert (tmp_path / "study.json").read_bytes() == FORM.encode() + b"\n"


def test_a_document_has_a_largest_size_and_a_largest_number_of_signatures() -> None:
    body = b'"' + b"x" * (MAX_BYTES - len(SignedDocument(kind="study", body=b'""').to_json()) - 4) + b'"'
    whole = SignedDocument(kind="study", body=body).to_json()
    whole = whole + " " * (MAX_BYTES - len(whole))
    assert MAX_BYTES == 16 * 1024 * 1024
    assert SignedDocument.from_json(whole).body == body
    with pytest.raises(KeyFault, match="RF-K016"):
        SignedDocument.from_json(whole + " ")
    assert MAX_SIGNATURES == 1000
    many = replace(DOCUMENT, signatures=(("ab", "cd"),) * MAX_SIGNATURES)
    assert SignedDocument.from_json(many.to_json()) == many
    with pytest.raises(KeyFault, match="RF-K016"):
        SignedDocument.from_json(replace(many, signatures=(*many.signatures, ("ab", "cd"))).to_json())


def test_a_kind_is_a_word_of_at_most_32_letters() -> None:
    for kind in ("a", "a" * 32, "a-1", "z9"):
        assert message(kind, b"{}") == b"ringfence/" + kind.encode() + b"/v1\n{}"
    for kind in ("-a", "1a", "a" * 33, "a ", "ä", "a\n"):
        with pytest.raises(KeyFault, match="RF-K010"):
            message(kind, b"{}")


@pytest.mark.parametrize("change", [{"key": 1}, {"signature": None}, {"more": "x"}])
def test_a_signature_has_two_texts(change: dict[str, object]) -> None:
    members = json.loads(FORM)
    members["signatures"][0] |= change
    with pytest.raises(KeyFault, match="RF-K016"):
        SignedDocument.from_json(json.dumps(members))


@pytest.mark.parametrize("missing", ["format", "kind", "body", "signatures"])
def test_a_document_has_all_its_members(missing: str) -> None:
    members = json.loads(FORM)
    del members[missing]
    with pytest.raises(KeyFault, match="RF-K016"):
        SignedDocument.from_json(json.dumps(members))


def test_a_document_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a crash may lose is a file of another name, whole or not."""
    file, seen = tmp_path / "study.json", list[tuple[bool, bytes]]()
    sync = os.fsync

    def watched(handle: int) -> None:
        seen.append((file.exists(), (tmp_path / "study.json.part").read_bytes()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    write_signed(file, DOCUMENT)
    assert seen == [(False, FORM.encode() + b"\n")]


def test_a_document_that_waits_for_its_event_is_hidden_beside_its_place(tmp_path: Path) -> None:
    file = tmp_path / "study.json"
    seen: list[list[str]] = []
    write_after(file, DOCUMENT, lambda: seen.append([path.name for path in tmp_path.iterdir()]))
    assert seen == [[".study.json.new"]]
    assert read_signed(file) == DOCUMENT

    def interrupted() -> None:
        raise KeyboardInterrupt

    other = replace(DOCUMENT, signatures=())
    with pytest.raises(KeyboardInterrupt):
        write_after(file, other, interrupted)
    assert [path.name for path in tmp_path.iterdir()] == ["study.json"]
    assert read_signed(file) == DOCUMENT


def test_a_folder_in_a_documents_place_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(KeyFault, match="RF-K017"):
        read_signed(tmp_path)
    with pytest.raises(KeyFault, match="RF-K020"):
        read_signed(tmp_path / "absent.json")


# --- approvals -------------------------------------------------------------------------------------------


def test_approvals_that_hold_are_counted_by_person() -> None:
    """Whatever else lies there is not counted and stops nothing."""
    anna, ben = approve(DIGEST, "north", ANNA), approve(DIGEST, "north", BEN)
    others = [
        approve(DIGEST, "south", BEN),
        approve("sha256:" + "6" * 64, "north", BEN),
        approve(DIGEST, "north", EVE),
        DOCUMENT,
        replace(ben, signatures=((BEN.public.hex, "00" * 64),)),
    ]

    def count(*documents: SignedDocument) -> int:
        return count_approvals(documents, DIGEST, "north", iter(ALLOWED))

    assert [count(), count(anna), count(anna, anna), count(anna, ben), count(ben, anna, ben)] == [
        0,
        1,
        1,
        2,
        2,
    ]
    assert count(*others) == 0
    assert count(*others, anna) == count(anna, *others) == 1


def test_two_persons_in_the_order_of_their_approvals_and_a_third_does_no_harm() -> None:
    anna, ben, eve = (approve(DIGEST, "north", key) for key in (ANNA, BEN, EVE))
    names = {key: key.public.fingerprint for key in (ANNA, BEN, EVE)}
    assert check_approvals([ben, anna, ben], DIGEST, "north", iter(ALLOWED)) == (names[BEN], names[ANNA])
    everybody = [*ALLOWED, EVE.public]
    assert check_approvals([anna, ben, eve], DIGEST, "north", everybody) == tuple(names.values())
    with pytest.raises(StudyError, match="RF-S032"):
        check_approvals([anna], DIGEST, "north", ALLOWED)


def test_an_approval_says_which_study_which_holder_and_whose_it_is() -> None:
    found = approve(DIGEST, "north", ANNA)
    assert found.kind == "approval"
    assert json.loads(found.body) == {
        "study": DIGEST,
        "holder": "north",
        "approver": ANNA.public.fingerprint,
    }
    for other in ({"study": DIGEST, "holder": "north"}, {**json.loads(found.body), "more": "x"}):
        body = json.dumps(dict(sorted(other.items())), separators=(",", ":")).encode()
        signed = SignedDocument(kind="approval", body=body).signed_by(ANNA)
        assert signed.verify("approval", ALLOWED) == body
        with pytest.raises(StudyError, match="RF-S030"):
            check_approvals([signed], DIGEST, "north", ALLOWED)


def test_signers_are_the_trusted_ones_alone() -> None:
    document = SignedDocument(kind="study", body=b"{}").signed_by(EVE).signed_by(BEN).signed_by(ANNA)
    assert document.signers("study", ALLOWED) == (BEN.public, ANNA.public)
    assert document.signers("study", iter(ALLOWED), threshold=2) == (BEN.public, ANNA.public)
    with pytest.raises(KeyFault, match="RF-K015"):
        document.signers("study", ALLOWED, threshold=3)
    # A bad signature of a key that is not trusted is passed over, one of a trusted key is not.
    spoilt = replace(document, signatures=((EVE.public.hex, "no signature"), *document.signatures[1:]))
    assert spoilt.verify("study", ALLOWED, threshold=2) == b"{}"
