"""Keys that the caller trusts: every form in which a house hands one out, and what they show of a bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kits.audit_kit import StudyBundle, faults, refit

from ringfence.audit import cli
from ringfence.audit.errors import NoteError
from ringfence.audit.note import MemorySigner, Verifier
from ringfence.audit.verification.report import Report
from ringfence.audit.verification.trust import TrustedKey, fingerprint, parse_trusted, read_trusted
from ringfence.audit.verification.verify import examine_bundle
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.public_files import public_text

ORIGIN = "ringfence.example/holder/"


def gaps(report: Report) -> list[str]:
    return [gap.error.code for gap in report.gaps]


def missing(report: Report) -> set[str]:
    return {gap.missing for gap in report.gaps if gap.missing}


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    status = cli.main(["--lang", "en", *map(str, arguments)])
    return status, capsys.readouterr().out


def test_a_trusted_key_without_its_log_is_missed(whole: StudyBundle) -> None:
    absent = Verifier(name=ORIGIN + "insurer", raw=MemorySigner().public.raw)
    report = examine_bundle(whole.path, trusted=[*whole.all_keys(), absent])
    assert gaps(report) == ["RF-A204"]
    assert missing(report) == {ORIGIN + "insurer"}
    by_print = TrustedKey(text="given", fingerprint=fingerprint(absent.raw))
    assert missing(examine_bundle(whole.path, trusted=[*whole.all_keys(), by_print])) == {"given"}
    shutil.rmtree(whole.folder("partner"))
    # A key whose log other logs miss already is told once.
    assert gaps(examine_bundle(whole.path, trusted=whole.all_keys())) == ["RF-A200"]


@pytest.mark.parametrize("form", ["key", "key file", "raw", "raw file", "fingerprint", "fingerprint file"])
def test_a_key_is_trusted_in_every_form_it_is_handed_out_in(
    whole: StudyBundle, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments: list[object] = []
    for number, key in enumerate(whole.all_keys()):
        text = {"key": str(key), "raw": key.raw.hex(), "fingerprint": fingerprint(key.raw)}[form.split()[0]]
        file = tmp_path / f"{number}.pub"
        file.write_text(f"{text}\n" + (f"# log {fingerprint(key.raw)}\n" if form == "raw file" else ""))
        arguments += ["--trust", file if "file" in form else text]
    status, out = call(capsys, "verify", whole.path, *arguments)
    assert status == 0
    assert "UNKNOWN" not in out
    assert "taken from the bundle" not in out
    assert out.count("signed with the trusted key") == 4
    status, out = call(capsys, "verify", whole.path, *arguments[2:])
    assert status == 1
    assert "RF-A090" in out


def test_a_key_is_trusted_for_the_log_that_it_was_given_for() -> None:
    key = Verifier(name=ORIGIN + "bank", raw=MemorySigner().public.raw)
    other = Verifier(name=ORIGIN + "bank", raw=MemorySigner().public.raw)
    assert TrustedKey.of(key).is_key(key)
    assert not TrustedKey.of(key).is_key(other)
    assert not TrustedKey.of(key).is_key(Verifier(name=ORIGIN + "partner", raw=key.raw))
    assert not TrustedKey(text="", fingerprint=fingerprint(key.raw), raw=other.raw).is_key(key)
    assert TrustedKey.of(key).verifier(ORIGIN + "partner") is None


def test_a_fingerprint_is_the_one_that_people_read_out() -> None:
    identity = Identity.generate("log")
    assert fingerprint(identity.public.raw) == identity.public.fingerprint
    assert parse_trusted(public_text(identity)).raw == identity.public.raw
    with pytest.raises(NoteError, match="RF-A228"):
        parse_trusted(public_text(Identity.generate("holder")))


def test_keys_of_another_kind_and_other_texts_are_refused(
    whole: StudyBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = MemorySigner().public.raw
    for text, code in (
        (f"{raw.hex()}\n# holder {fingerprint(raw)}\n", "RF-A228"),
        ("ed25519:12", "RF-A034"),
        (raw.hex()[:-1], "RF-A034"),
        (raw.hex().upper(), "RF-A034"),
        ("x" * 5000, "RF-A034"),
    ):
        with pytest.raises(Exception, match=code):
            parse_trusted(text)
    with pytest.raises(Exception, match="RF-A034"):
        read_trusted("\0")
    opening = tmp_path / "event.json"
    opening.write_bytes(whole.holders["bank"].open_event(0).dumps())
    key = whole.holders["bank"].verifier
    assert call(capsys, "open", opening, "--trust", key.raw.hex())[0] == 0
    assert call(capsys, "open", opening, "--trust", raw.hex())[0] == 1
    assert cli.main(["open", str(opening), "--trust", fingerprint(key.raw)]) == 1
    assert "RF-A230" in capsys.readouterr().err


def test_the_key_beside_a_log_is_the_one_that_signed_it(whole: StudyBundle) -> None:
    other = whole.holders["partner"].verifier
    (whole.folder("bank") / "key.pub").write_text(f"{other}\n")
    refit(whole.folder("bank"))
    assert ("RF-A043", None) in faults(whole.path)
    # Both keys are trusted, so the signature alone does not tell.
    assert faults(whole.path, trusted=whole.all_keys()) == [("RF-A222", None)]
