"""Key files to the byte: what one version wrapped the next one opens, and what lies on the disk when.

The wrapped file is made here from RFC 7914's scrypt and AES-256-GCM alone, so that a form changed on
both sides at once does not open it.
"""

from __future__ import annotations

import base64
import inspect
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ringfence.privacy.crypto import private_files
from ringfence.privacy.crypto.identity import KINDS, Identity
from ringfence.privacy.crypto.keyfile import read_key, write_key
from ringfence.privacy.crypto.public_files import public_path, public_text, read_note, read_public
from ringfence.privacy.crypto.secret_files import Passphrases, read_secret, write_secret
from ringfence.privacy.errors import KeyFault

SECRET = bytes(range(32))
PASS = "correct 马 horse"
LOG = Identity.from_secret(SECRET, kind="log")


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@cache
def derived() -> bytes:
    return Scrypt(salt=b"s" * 16, length=32, n=1 << 14, r=8, p=1).derive(PASS.encode())


def members(**changes: Any) -> dict[str, Any]:
    """A key file as it is laid out, wrapped."""
    head: dict[str, Any] = {
        "format": "ringfence-key/v1",
        "kind": "log",
        "simulation": False,
        "public": LOG.public.hex,
    }
    wrapping: dict[str, Any] = {
        "kdf": "scrypt",
        "log2_n": 14,
        "r": 8,
        "p": 1,
        "salt": encoded(b"s" * 16),
        "cipher": "AES-256-GCM",
        "nonce": encoded(b"n" * 12),
    } | changes
    sealed = AESGCM(derived()).encrypt(b"n" * 12, SECRET, rfc8785.dumps({**head, "wrapping": wrapping}))
    return {**head, "wrapping": wrapping, "secret": encoded(sealed)}


def placed(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    return path


def code(call: Callable[[], object]) -> str:
    with pytest.raises(KeyFault) as caught:
        call()
    return caught.value.code


def test_a_wrapped_file_of_another_version_opens(tmp_path: Path) -> None:
    found = read_key(placed(tmp_path / "log.key", members()), "log", PASS)
    assert (found.secret_bytes(), found.kind, found.simulation) == (SECRET, "log", False)


def test_an_unwrapped_file_is_written_out(tmp_path: Path) -> None:
    write_key(tmp_path / "log.key", LOG, None, unwrapped=True)
    head = {name: value for name, value in members().items() if name not in ("wrapping", "secret")}
    expected = {**head, "wrapping": None, "secret": encoded(SECRET)}
    assert (tmp_path / "log.key").read_text() == json.dumps(expected, indent=1) + "\n"
    public = public_path(tmp_path / "log.key")
    assert public.name == "log.key.pub"
    assert public.read_text() == public_text(LOG) == f"{LOG.public.hex}\n# log {LOG.public.fingerprint}\n"


def test_a_wrapped_file_says_how_it_is_wrapped(tmp_path: Path) -> None:
    write_key(tmp_path / "log.key", LOG, PASS, log2_cost=14)
    found = json.loads((tmp_path / "log.key").read_text())
    wrapping = found["wrapping"]
    like = members()["wrapping"]
    assert {**wrapping, "salt": "", "nonce": ""} == {**like, "salt": "", "nonce": ""}
    assert [len(base64.b64decode(wrapping[name])) for name in ("salt", "nonce")] == [16, 12]
    assert len(base64.b64decode(found["secret"])) == 32 + 16
    # Half a gigabyte-second for each guess, unless a caller asks for less.
    assert inspect.signature(write_key).parameters["log2_cost"].default == 17


@pytest.mark.parametrize("name", sorted(members()["wrapping"]))
def test_a_wrapping_has_all_its_members(tmp_path: Path, name: str) -> None:
    content = members()
    del content["wrapping"][name]
    assert code(lambda: read_key(placed(tmp_path / "log.key", content), "log", PASS)) == "RF-K036"


@pytest.mark.parametrize("name", sorted(members()))
def test_a_file_has_all_its_members(tmp_path: Path, name: str) -> None:
    content = members()
    del content[name]
    assert code(lambda: read_key(placed(tmp_path / "log.key", content), "log", PASS)) == "RF-K036"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"log2_n": 13}, "RF-K036"),
        ({"log2_n": 15}, "RF-K040"),
        ({"log2_n": 21}, "RF-K036"),
        ({"r": 7}, "RF-K036"),
        ({"r": 9}, "RF-K036"),
        ({"p": 2}, "RF-K036"),
        ({"p": True}, "RF-K036"),
        ({"salt": encoded(bytes(15))}, "RF-K036"),
        ({"salt": encoded(bytes(17))}, "RF-K036"),
        ({"nonce": encoded(bytes(13))}, "RF-K036"),
        ({"nonce": encoded(bytes(11))}, "RF-K036"),
        ({"salt": encoded(bytes(16))}, "RF-K040"),
        ({"nonce": encoded(bytes(12))}, "RF-K040"),
        ({"more": 1}, "RF-K036"),
    ],
)
def test_parameters_have_their_bounds_and_are_bound(
    tmp_path: Path, change: dict[str, Any], expected: str
) -> None:
    content = members()
    content["wrapping"] |= change
    assert code(lambda: read_key(placed(tmp_path / "log.key", content), "log", PASS)) == expected


def test_the_largest_cost_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to 2^20, which takes a gigabyte; the derivation itself is left out here."""
    asked: list[int] = []

    class Costly:
        def __init__(self, *, salt: bytes, length: int, n: int, r: int, p: int) -> None:
            asked.append(n)

        def derive(self, secret: bytes) -> bytes:
            return bytes(32)

    monkeypatch.setattr("ringfence.privacy.crypto.keyfile.Scrypt", Costly)
    path = placed(tmp_path / "log.key", members(log2_n=20))
    assert code(lambda: read_key(path, "log", PASS)) == "RF-K040"
    assert asked == [1 << 20]


def test_a_passphrase_has_at_least_eight_characters(tmp_path: Path) -> None:
    assert code(lambda: write_key(tmp_path / "a.key", LOG, "x" * 7)) == "RF-K031"
    assert code(lambda: write_key(tmp_path / "a.key", LOG, "")) == "RF-K031"
    assert list(tmp_path.iterdir()) == []
    write_key(tmp_path / "a.key", LOG, "x" * 8, log2_cost=14)
    assert read_key(tmp_path / "a.key", "log", "x" * 8).public == LOG.public


def test_a_key_that_is_there_in_part_is_not_written_over(tmp_path: Path) -> None:
    """Neither the file nor its public half, whether a file or a link to nowhere stands in the place."""
    for name in ("a.key", "a.key.pub"):
        for stand_in in (Path.touch, lambda path: path.symlink_to("nowhere")):
            place = tmp_path / name
            stand_in(place)
            assert code(lambda: write_key(tmp_path / "a.key", LOG, None, unwrapped=True)) == "RF-K032"
            assert [path.name for path in tmp_path.iterdir()] == [name]
            place.unlink()


def test_a_file_is_on_the_disk_and_its_owners_when_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []
    sync = os.fsync

    def watched(handle: int) -> None:
        file = tmp_path / "secret"
        seen.append((file.read_text(), file.stat().st_mode & 0o777))
        sync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    private_files.create(tmp_path / "secret", "客户\n", 0o640)
    assert seen == [("客户\n", 0o640)]
    with pytest.raises(FileExistsError):
        private_files.create(tmp_path / "secret", "other", 0o600)
    assert (tmp_path / "secret").read_text() == "客户\n"


def test_a_file_is_its_owners_from_the_first_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only once its rights are set: whoever opened it before would keep it open."""
    seen: list[int] = []
    change = os.fchmod

    def watched(handle: int, mode: int) -> None:
        seen.append(os.fstat(handle).st_mode & 0o777)
        change(handle, mode)

    monkeypatch.setattr(os, "fchmod", watched)
    before = os.umask(0)
    try:
        private_files.create(tmp_path / "secret", "x", 0o600)
    finally:
        os.umask(before)
    assert seen == [0o600]


def test_a_system_without_flags_for_links_and_pipes_reads_plain_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private_files.create(tmp_path / "secret", "x", 0o600)
    for flag in ("O_NOFOLLOW", "O_NONBLOCK"):
        monkeypatch.delattr(os, flag)
    fault = KeyFault("RF-K051", "")
    assert private_files.read_private(tmp_path / "secret", absent=fault, unsafe=fault) == b"x"


def test_of_a_private_file_64_kib_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * (1 << 16) + b"y")
    path.chmod(0o600)
    absent, unsafe = KeyFault("RF-K051", ""), KeyFault("RF-K052", "")
    assert private_files.read_private(path, absent=absent, unsafe=unsafe) == b"x" * (1 << 16)
    for mode in (0o400, 0o600, 0o700):
        path.chmod(mode)
        assert private_files.read_private(path, absent=absent, unsafe=unsafe)
    for mode in (0o601, 0o602, 0o604, 0o610, 0o620, 0o640):
        path.chmod(mode)
        assert code(lambda: private_files.read_private(path, absent=absent, unsafe=unsafe)) == "RF-K052"
    assert code(lambda: private_files.read_private(tmp_path / "b", absent=absent, unsafe=unsafe)) == "RF-K051"


# --- public halves ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("simulation", [False, True])
def test_a_public_half_is_read_as_it_was_written(tmp_path: Path, kind: Any, simulation: bool) -> None:
    identity = Identity.generate(kind, simulation=simulation)
    path = tmp_path / "a.pub"
    path.write_text(public_text(identity))
    note = read_note(path)
    assert (note.public, note.kind, note.simulation) == (identity.public, kind, simulation)
    if simulation:
        assert code(lambda: read_public(path)) == "RF-K038"
        return
    assert read_public(path) == read_public(str(path), kind) == identity.public
    for other in set(KINDS) - {kind}:
        assert code(lambda needed=other: read_public(path, needed)) == "RF-K050"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("rest", "kind"),
    [("", ""), ("\n", ""), ("\n#", ""), ("\n# log", "log"), ("\nlog x", "log"), ("\r\n# log\r\n", "log")],
)
def test_the_second_line_is_a_note(tmp_path: Path, rest: str, kind: str) -> None:
    path = tmp_path / "a.pub"
    path.write_bytes(f"  {LOG.public.hex} {rest}".encode())
    note = read_note(path)
    assert (note.public, note.kind, note.simulation) == (LOG.public, kind, False)
    path.write_text(f"{LOG.public.hex}\n# log simulation\nmore")
    assert read_note(path).simulation is True


# --- secrets and passphrases -----------------------------------------------------------------------------


def test_a_secret_is_32_random_bytes_of_its_owner(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_secret(tmp_path / name)
        text = (tmp_path / name).read_text()
        assert (len(text), text[-1]) == (65, "\n")
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        assert read_secret(tmp_path / name) == bytes.fromhex(text)
    assert read_secret(tmp_path / "a") != read_secret(tmp_path / "b")
    with pytest.raises(FileExistsError):
        write_secret(tmp_path / "a")


@pytest.mark.parametrize("text", ["", "ab" * 31, "ab" * 33, "AB" * 32, "g" * 64, "ab" * 32 + "\nab"])
def test_what_is_no_secret_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a"
    path.write_text(text)
    path.chmod(0o600)
    assert code(lambda: read_secret(path)) == "RF-K053"
    path.chmod(0o644)
    assert code(lambda: read_secret(path)) == "RF-K052"
    assert code(lambda: read_secret(tmp_path / "b")) == "RF-K051"


def test_bytes_that_are_no_text_are_refused_like_any_other_content(tmp_path: Path) -> None:
    for name in ("secret", "a.key.pub", "pass"):
        private_files.create(tmp_path / name, "", 0o600)
        (tmp_path / name).write_bytes(b"\xff" * 64)
    assert code(lambda: read_secret(tmp_path / "secret")) == "RF-K053"
    assert code(lambda: read_note(tmp_path / "a.key.pub")) == "RF-K002"
    assert Passphrases(files=(tmp_path / "pass",)).new() == "\ufffd" * 64
    (tmp_path / "pass").write_bytes(b"")
    assert Passphrases(files=(tmp_path / "pass",)).new() == ""


def test_passphrases_stand_in_files_in_the_order_of_the_keys(tmp_path: Path) -> None:
    files = []
    for name, text in (("one", "first horse\nsecond line"), ("two", "\ufeffother horse\r\n")):
        files.append(tmp_path / name)
        files[-1].write_bytes(text.encode())
        files[-1].chmod(0o600)
    keys = []
    for name, passphrase in (("a.key", "first horse"), ("b.key", "other horse")):
        keys.append(tmp_path / name)
        write_key(keys[-1], Identity.generate("log"), passphrase, log2_cost=14)
    given = Passphrases(files=tuple(files))
    assert given.new() == "first horse"
    assert given.read_key(keys[0], "log").kind == "log"
    assert given.read_key(keys[1], "log", position=1).kind == "log"
    # The last file serves the keys after it too; the first does not.
    assert given.read_key(keys[1], "log", position=2).kind == "log"
    assert code(lambda: given.read_key(keys[1], "log")) == "RF-K040"


def test_a_passphrase_is_asked_for_only_where_one_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or PASS)
    write_key(tmp_path / "open.key", LOG, None, unwrapped=True)
    write_key(tmp_path / "shut.key", LOG, PASS, log2_cost=14)
    assert Passphrases().read_key(tmp_path / "open.key", "log").public == LOG.public
    assert asked == []
    assert Passphrases().read_key(tmp_path / "shut.key", "log").public == LOG.public
    assert [prompt.count("shut.key") for prompt in asked] == [1]
    assert code(lambda: Passphrases().read_key(tmp_path / "open.key", "holder")) == "RF-K037"
    assert len(asked) == 1
