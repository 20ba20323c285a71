"""What a coordinator signed is taken up only where everything that reads it again can use it."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime
from pathlib import Path

import kits.flower_kit  # noqa: F401  # imports Flower past its dependencies' deprecations
import pytest
from kits.command_kit import Town, client, refused, server, town
from kits.federation_kit import enrol

from ringfence.clients.connections.membership import FOLDER, MembershipFolder
from ringfence.clients.connections.supernode import Place
from ringfence.privacy.crypto.keyfile import read_key
from ringfence.privacy.crypto.public_files import read_public
from ringfence.privacy.crypto.signed import SignedDocument, read_signed, write_signed
from ringfence.privacy.errors import KeyFault
from ringfence.privacy.protocol.enrolment import Admission, Invitation, invitation_of

BLOCK = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.fixture
def here(tmp_path: Path) -> Town:
    found = town(tmp_path)
    words = ("--address", "analytics.example:8443", "--config", found.desk)
    assert server("gateway", "make", *words) == 0
    enrol(found, "north")
    return found


def place(here: Town) -> Place:
    """Where the first holder's node would go to."""
    coordinator = read_public(here.desk / "keys" / "coordinator.key.pub", "coordinator")
    own = read_public(here.home / "keys" / "holder.key.pub", "holder")
    return MembershipFolder(here.home / FOLDER / "city").place(coordinator, own, datetime.now(UTC))


BESIDE = {"a second block": BLOCK, "words": "and more\n", "a line": "\n"}


@pytest.mark.parametrize("beside", BESIDE)
def test_a_certificate_with_something_beside_it_is_refused(
    here: Town, capsys: pytest.CaptureFixture[str], beside: str
) -> None:
    """What verifies reads the first block and nothing else; what connects reads all, and fails then."""
    key = read_key(here.desk / "keys" / "coordinator.key", "coordinator", None)
    folder = here.home / FOLDER / "city"

    def changed(name: str, field: str, model: type[Admission | Invitation]) -> SignedDocument:
        document = read_signed(folder / name)
        body = json.loads(document.body)
        body[field] += BESIDE[beside]
        return SignedDocument(kind=document.kind, body=model.of(**body).canonical()).signed_by(key)

    with pytest.raises(KeyFault, match="RF-W485"):
        invitation_of(changed("invitation.json", "authority", Invitation))
    kept = (folder / "admission.json").read_bytes()
    file = here.root / "changed.json"
    write_signed(file, changed("admission.json", "certificate", Admission))
    capsys.readouterr()
    refused(capsys, client("join", file, "--config", here.home), "RF-W485")
    assert (folder / "admission.json").read_bytes() == kept


def test_what_is_wrong_with_a_second_federations_admission_is_said(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not that the first one's coordinator has not signed it."""
    desk, to = here.root / "river", ("--config", here.home)
    files = [here.root / name for name in ("declared", "invitation", "enrolment", "admission")]
    assert server("init", desk, "--name", "river", "--no-passphrase") == 0
    assert server("gateway", "make", "--address", "river.example:1", "--config", desk) == 0
    assert client("federation", "add", "river", desk / "keys/coordinator.key.pub", "--compared", *to) == 0
    assert client("contract", "declare", "--out", files[0], "--federation", "river", *to) == 0
    assert server("holder", "add", files[0], "--compared", "--config", desk) == 0
    assert server("holder", "invite", "north", "--out", files[1], "--config", desk) == 0
    joined = ("--out", files[2], "--compared", "--federation", "river")
    assert client("join", files[1], *joined, *to) == 0
    assert server("holder", "admit", files[2], "--out", files[3], "--compared", "--config", desk) == 0
    document = read_signed(files[3])
    body = json.loads(document.body)
    body["certificate"] += BLOCK
    made = SignedDocument(kind=document.kind, body=Admission.of(**body).canonical())
    write_signed(files[3], made.signed_by(read_key(desk / "keys" / "coordinator.key", "coordinator", None)))
    capsys.readouterr()
    refused(capsys, client("join", files[3], *to), "RF-W485")


def no_certificate(*_: object, **__: object) -> None:
    raise ssl.SSLError(1, "[X509] no certificate")


def test_a_membership_that_cannot_be_used_says_so_in_a_sentence(
    here: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS may refuse what was verified, and a disk may be full: neither ends the process of a holder."""
    with monkeypatch.context() as inner:
        inner.setattr("ssl.SSLContext.load_verify_locations", no_certificate)
        with pytest.raises(KeyFault, match="RF-W483"):
            place(here)
    certificate = here.home / FOLDER / "city" / "certificate.pem"
    certificate.unlink(missing_ok=True)
    certificate.mkdir()
    with pytest.raises(KeyFault, match="RF-W484"):
        place(here)
    certificate.rmdir()
    assert place(here).address == "analytics.example:8443"
