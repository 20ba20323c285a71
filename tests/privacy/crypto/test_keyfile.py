"""Key files: rights, kinds, passphrases, and every changed byte."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import pytest

from ringfence.privacy.crypto.identity import KINDS, Identity, KeyKind
from ringfence.privacy.crypto.keyfile import read_key, write_key
from ringfence.privacy.crypto.public_files import read_note, read_public
from ringfence.privacy.errors import KeyFault

PASS = "correct horse"
CHEAP = 14


def written(folder: Path, identity: Identity | None = None, passphrase: str | None = PASS) -> Path:
    path = folder / "holder.key"
    identity = identity or Identity.generate()
    write_key(path, identity, passphrase, unwrapped=passphrase is None, log2_cost=CHEAP)
    return path


def refused(code: str, path: Path, passphrase: str | None = PASS, kind: KeyKind = "holder") -> KeyFault:
    with pytest.raises(KeyFault) as caught:
        read_key(path, kind, passphrase)
    assert caught.value.code == code
    assert str(path.parent) not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("passphrase", [PASS, "密码短语密码短语", None])
def test_a_key_is_read_back(tmp_path: Path, passphrase: str | None) -> None:
    identity = Identity.generate()
    path = written(tmp_path, identity, passphrase)
    again = read_key(path, "holder", passphrase)
    assert again.public == identity.public
    assert again.sign(b"m") == identity.sign(b"m")
    assert read_public(tmp_path / "holder.key.pub") == identity.public


def test_a_public_half_says_what_it_is_for(tmp_path: Path) -> None:
    public = tmp_path / "holder.key.pub"
    identity = Identity.generate("holder")
    written(tmp_path, identity, None)
    assert public.read_text() == f"{identity.public.hex}\n# holder {identity.public.fingerprint}\n"
    assert read_public(public, "holder") == identity.public
    with pytest.raises(KeyFault, match="RF-K050"):
        read_public(public, "log")
    public.write_text(identity.public.hex)
    assert read_public(public, "log") == identity.public


def test_the_public_half_of_a_simulation_is_refused(tmp_path: Path) -> None:
    identity = Identity.generate("holder", simulation=True)
    written(tmp_path, identity, None)
    public = tmp_path / "holder.key.pub"
    for kind in ("holder", "log", None):
        with pytest.raises(KeyFault, match="RF-K038"):
            read_public(public, kind)  # type: ignore[arg-type]  # the literals of a loop
    note = read_note(public)
    assert (note.public, note.kind, note.simulation) == (identity.public, "holder", True)


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_only_the_owner_reads_the_file_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        path = written(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "holder.key.pub").stat().st_mode) == 0o644


def test_the_secret_is_not_in_a_wrapped_file(tmp_path: Path) -> None:
    identity = Identity.generate()
    text = written(tmp_path, identity).read_text()
    secret = identity.secret_bytes()
    assert secret.hex() not in text
    assert base64.b64encode(secret).decode() not in text
    # The same search finds it in an unwrapped file.
    (tmp_path / "open").mkdir()
    assert base64.b64encode(secret).decode() in written(tmp_path / "open", identity, None).read_text()


def test_two_files_of_one_key_share_no_salt(tmp_path: Path) -> None:
    identity = Identity.generate()
    for name in ("a", "b"):
        write_key(tmp_path / name, identity, PASS, log2_cost=CHEAP)
    one, other = (json.loads((tmp_path / name).read_text()) for name in ("a", "b"))
    assert one["wrapping"]["salt"] != other["wrapping"]["salt"]
    assert one["wrapping"]["nonce"] != other["wrapping"]["nonce"]
    assert one["secret"] != other["secret"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o610])
def test_a_file_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path)
    path.chmod(mode)
    assert "chmod 600 holder.key" in refused("RF-K035", path).sentence()


def test_a_link_and_a_folder_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    link = tmp_path / "link.key"
    link.symlink_to(path)
    refused("RF-K035", link)
    assert read_key(path, "holder", PASS).public == read_public(path.with_name("holder.key.pub"))
    (tmp_path / "folder").mkdir()
    refused("RF-K035", tmp_path / "folder")
    os.mkfifo(tmp_path / "pipe", 0o600)
    refused("RF-K035", tmp_path / "pipe")


def test_a_missing_file(tmp_path: Path) -> None:
    refused("RF-K034", tmp_path / "absent.key")
    with pytest.raises(KeyFault, match="RF-K041"):
        read_public(tmp_path / "absent.pub")


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = written(tmp_path)
    before = path.read_bytes()
    with pytest.raises(KeyFault, match="RF-K032"):
        written(tmp_path)
    assert path.read_bytes() == before
    path.unlink()  # the public half alone also stops a new key of that name
    with pytest.raises(KeyFault, match="RF-K032"):
        written(tmp_path)
    (tmp_path / "gone.key").symlink_to(tmp_path / "nowhere")
    with pytest.raises(KeyFault, match="RF-K032"):
        write_key(tmp_path / "gone.key", Identity.generate(), PASS, log2_cost=CHEAP)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyFault, match="RF-K033"):
        write_key(tmp_path / "no" / "a.key", Identity.generate(), PASS, log2_cost=CHEAP)


def test_leaving_a_key_unwrapped_has_to_be_said(tmp_path: Path) -> None:
    for passphrase, unwrapped in ((None, False), (PASS, True)):
        with pytest.raises(KeyFault, match="RF-K030"):
            write_key(tmp_path / "a.key", Identity.generate(), passphrase, unwrapped=unwrapped)
    with pytest.raises(KeyFault, match="RF-K031"):
        write_key(tmp_path / "a.key", Identity.generate(), "short")
    assert list(tmp_path.iterdir()) == []


def test_passphrases(tmp_path: Path) -> None:
    path = written(tmp_path)
    refused("RF-K039", path, None)
    fault = refused("RF-K040", path, "wrong horse")
    assert "wrong horse" not in str(fault)
    (tmp_path / "open").mkdir()
    refused("RF-K042", written(tmp_path / "open", None, None), PASS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_another_kind_is_refused(tmp_path: Path, kind: KeyKind) -> None:
    path = written(tmp_path, Identity.generate(kind))
    for other in KINDS:
        if other == kind:
            assert read_key(path, kind, PASS).kind == kind
        else:
            refused("RF-K037", path, kind=other)


def test_a_simulation_key_is_refused_unless_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, Identity.generate(simulation=True))
    refused("RF-K038", path)
    assert read_key(path, "holder", PASS, simulation=True).simulation


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("simulation", False, "RF-K040"),
        ("kind", "holder", "RF-K040"),
        ("public", "00" * 32, "RF-K040"),
        ("secret", base64.b64encode(bytes(48)).decode(), "RF-K040"),
        ("secret", "AA", "RF-K036"),
        ("secret", "!!", "RF-K036"),
        ("secret", 3, "RF-K036"),
        ("format", "ringfence-key/v2", "RF-K036"),
        ("kind", "king", "RF-K036"),
        ("simulation", 1, "RF-K036"),
        ("wrapping", {}, "RF-K036"),
        ("extra", 1, "RF-K036"),
    ],
)
def test_a_changed_member_is_noticed(tmp_path: Path, member: str, value: object, code: str) -> None:
    path = written(tmp_path, Identity.generate("approver", simulation=True))
    members = json.loads(path.read_text())
    members[member] = value
    path.write_text(json.dumps(members))
    with pytest.raises(KeyFault) as caught:
        read_key(path, "holder" if member == "kind" else "approver", PASS, simulation=True)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("log2_n", 60),
        ("log2_n", True),
        ("log2_n", "14"),
        ("r", 1 << 20),
        ("p", 0),
        ("kdf", "pbkdf2"),
        ("salt", ""),
        ("salt", "!"),
        ("nonce", 4),
        ("cipher", "none"),
    ],
)
def test_parameters_are_bounded(tmp_path: Path, name: str, value: object) -> None:
    path = written(tmp_path)
    members = json.loads(path.read_text())
    members["wrapping"][name] = value
    path.write_text(json.dumps(members))
    refused("RF-K036", path)


def test_weaker_parameters_do_not_open_the_file(tmp_path: Path) -> None:
    path = written(tmp_path)
    members = json.loads(path.read_text())
    members["wrapping"]["log2_n"] = CHEAP + 1
    path.write_text(json.dumps(members))
    refused("RF-K040", path)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 60_000])
def test_what_is_not_a_key_file(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "a.key"
    path.write_bytes(raw)
    path.chmod(0o600)
    refused("RF-K036", path)


def test_an_unwrapped_secret_must_fit_its_public_key(tmp_path: Path) -> None:
    path = written(tmp_path, None, None)
    members = json.loads(path.read_text())
    members["public"] = Identity.generate().public.hex
    path.write_text(json.dumps(members))
    refused("RF-K043", path, None)


@pytest.mark.parametrize("text", ["", "abc\n", "# only a comment\n"])
def test_a_bad_public_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.pub"
    file.write_text(text)
    with pytest.raises(KeyFault, match="RF-K002"):
        read_public(file)
