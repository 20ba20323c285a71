"""Secrets of a house in files: 32 random bytes in hex, readable by their owner only; and passphrases.

Passphrases come from a file that only its owner can read, from a credential of systemd, or from the terminal
without an echo; never from the command line or the environment, where other processes could see them. The
environment says only where systemd put its credentials.
"""

from __future__ import annotations

import getpass
import os
import re
import secrets
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ringfence.privacy.crypto.identity import Identity, KeyKind
from ringfence.privacy.crypto.keyfile import read_key
from ringfence.privacy.crypto.private_files import MAX_BYTES, create, read_private
from ringfence.privacy.errors import N_, KeyFault, UsageError, _

SECRET_BYTES = 32


def write_secret(path: Path) -> None:
    """Make a file of 32 random bytes in hex, mode 0600; an existing file is never replaced.

    Raises:
        FileExistsError: it is there already.
    """
    create(path, secrets.token_hex(SECRET_BYTES) + "\n", 0o600)


def read_secret(path: Path) -> bytes:
    """The 32 bytes of a secret file.

    Raises:
        KeyFault: RF-K051 missing, RF-K052 others can read it, RF-K053 it holds something else.
    """
    text = secret_bytes(path).decode("ascii", "replace").strip()
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise KeyFault(
            "RF-K053",
            N_("The file {file} does not hold 32 bytes in hex; restore the one that init made."),
            file=path.name,
        )
    return bytes.fromhex(text)


def secret_bytes(path: Path) -> bytes:
    """What a plain file that only its owner can read holds.

    Raises:
        KeyFault: RF-K051 missing, RF-K052 others can read it.
    """
    absent = KeyFault(
        "RF-K051", N_("There is no file {file}; check its name, or restore it from a backup."), file=path.name
    )
    unsafe = KeyFault(
        "RF-K052",
        N_(
            "The file {file} holds a secret and must be a plain file that only its owner can read: chmod 600 "
            "{file}"
        ),
        file=path.name,
    )
    return read_private(path, absent=absent, unsafe=unsafe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passphrases:
    """Where a command takes passphrases from: files in the order of the keys, or the terminal."""

    files: Sequence[Path] = ()

    def read_key(self, path: Path, kind: KeyKind, *, position: int = 0) -> Identity:
        """The key pair in a file; its passphrase is asked for only when it is wrapped.

        Args:
            path: the key file.
            kind: what the key is needed for.
            position: of the key among those the command needs; several keys may share the only file given.
        """
        given = self._given(position)
        if given is not None:
            return read_key(path, kind, given)
        try:
            return read_key(path, kind)
        except KeyFault as fault:
            if fault.code != "RF-K039":
                raise
        given = credential(kind)
        if given is not None:
            return read_key(path, kind, given)
        return read_key(path, kind, _ask(_("Passphrase of {file}: ").format(file=path.name)))

    def new(self) -> str:
        """A passphrase for keys to be made; typed twice when it comes from the terminal.

        Raises:
            UsageError: RF-U406 the two did not agree, RF-U407 there is no terminal to ask at.
        """
        given = self._given(0)
        if given is not None:
            return given
        first = _ask(_("New passphrase: "))
        if first != _ask(_("The same once more: ")):
            raise UsageError("RF-U406", N_("The two passphrases differ; nothing was made. Start again."))
        return first

    def asked(self, prompt: str) -> str:
        """A passphrase that exists: from the first file given, or from the terminal.

        Raises:
            UsageError: RF-U407 there is no terminal to ask at.
        """
        given = self._given(0)
        return _ask(prompt) if given is None else given

    def _given(self, position: int) -> str | None:
        if not self.files:
            return None
        path = self.files[min(position, len(self.files) - 1)]
        lines = secret_bytes(path).decode("utf-8-sig", "replace").splitlines()
        return lines[0] if lines else ""


CREDENTIAL = "ringfence-passphrase"
"""Name of the systemd credential; `ringfence-passphrase-log` is for the log's key alone."""
_OF_A_PROCESS: tuple[KeyKind, ...] = ("holder", "log", "coordinator")


def credential(kind: KeyKind, environment: Mapping[str, str] = os.environ) -> str | None:
    """The passphrase that systemd gives a service (systemd.exec(5), LoadCredential=), or None.

    Only keys that a process works with are opened so; a person who approves gives the passphrase in person.

    Raises:
        KeyFault: RF-K134 others could read it.
    """
    folder = environment.get("CREDENTIALS_DIRECTORY", "")
    if not folder or kind not in _OF_A_PROCESS:
        return None
    for name in (f"{CREDENTIAL}-{kind}", CREDENTIAL):
        found = _credential(Path(folder) / name)
        if found is not None:
            lines = found.decode("utf-8-sig", "replace").splitlines()
            return lines[0] if lines else ""
    return None


def _credential(path: Path) -> bytes | None:
    """What a credential holds; systemd makes it root's or the service's own, and lets the service read it.

    For a service of another user that is by an access list, which shows as the right of a group to read.
    """
    unsafe = KeyFault(
        "RF-K134",
        N_(
            "The credential {file} must be a plain file of root or of this user that nobody else can read or "
            "change, as systemd makes it."
        ),
        file=path.name,
    )
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unsafe from error
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        owned = status.st_uid in {0, os.getuid()}
        if not stat.S_ISREG(status.st_mode) or not owned or status.st_mode & 0o037:
            raise unsafe
        return file.read(MAX_BYTES)


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise UsageError(
            "RF-U407",
            N_("A passphrase is needed and there is no terminal to ask at. Give it with --passphrase-file."),
        )
    return getpass.getpass(prompt)
