"""Where the coordinator's commands take passphrases from: a private file or the terminal, never the command line."""

from __future__ import annotations

import getpass
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from ringfence.privacy.crypto.identity import Identity, KeyKind
from ringfence.privacy.crypto.keyfile import read_key
from ringfence.privacy.errors import N_, KeyFault, UsageError, _

_MOST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Passphrases:
    """A file whose first line is the passphrase, or the terminal."""

    file: Path | None = None

    def read_key(self, path: Path, kind: KeyKind) -> Identity:
        """The key pair in a file; its passphrase is asked for only when it is wrapped."""
        if self.file is not None:
            return read_key(path, kind, _first_line(self.file))
        try:
            return read_key(path, kind)
        except KeyFault as fault:
            if fault.code != "RF-K039":
                raise
        return read_key(path, kind, _ask(_("Passphrase of {file}: ").format(file=path.name)))

    def new(self) -> str:
        """A passphrase for keys to be made; typed twice when it comes from the terminal.

        Raises:
            UsageError: RF-U406 the two did not agree, RF-U407 there is no terminal to ask at.
        """
        if self.file is not None:
            return _first_line(self.file)
        first = _ask(_("New passphrase: "))
        if first != _ask(_("The same once more: ")):
            raise UsageError("RF-U406", N_("The two passphrases differ; nothing was made. Start again."))
        return first


def _first_line(path: Path) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError as error:
        raise KeyFault(
            "RF-K051", N_("There is no file {file}; check its name, or restore it from a backup."), file=path.name
        ) from error
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or (os.name == "posix" and status.st_mode & 0o077):
            raise KeyFault(
                "RF-K052",
                N_("The file {file} holds a secret and must be a plain file that only its owner can read: chmod 600 {file}"),
                file=path.name,
            )
        lines = file.read(_MOST).decode("utf-8-sig", "replace").splitlines()
    return lines[0] if lines else ""


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise UsageError(
            "RF-U407",
            N_("A passphrase is needed and there is no terminal to ask at. Give it with --passphrase-file."),
        )
    return getpass.getpass(prompt)
