"""Homes of holders and coordinators: made whole or not at all, opened only with their own keys.

Everything is made in a hidden folder beside the target, which gets its name when all is done. What an
interrupted `init` leaves is that hidden folder, never half a home.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ringfence.privacy.crypto.identity import Identity, KeyKind, PublicIdentity
from ringfence.privacy.crypto.keyfile import write_key
from ringfence.privacy.crypto.public_files import public_path, read_public
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.errors import N_, UsageError, _, told
from ringfence.privacy.stores.journal import Journal
from ringfence.privacy.toml.faults import Problems
from ringfence.privacy.toml.settings import HouseDocument
from ringfence.privacy.toml.validation import build


def require_free(folder: Path) -> None:
    """Refuse a folder that holds anything, or whose parent is missing.

    Raises:
        UsageError: RF-U410 something is there already, RF-U411 the parent folder is missing.
    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise UsageError(
            "RF-U410",
            N_(
                "{folder} exists and is not an empty folder; nothing is ever overwritten. Choose another one."
            ),
            folder=str(folder),
        )
    if not folder.parent.is_dir():
        raise UsageError(
            "RF-U411", N_("The folder {folder} does not exist. Make it first."), folder=str(folder.parent)
        )


def require_usable(model: type[HouseDocument], name: str, store: str) -> None:
    """Refuse a name or a store that the settings would not take.

    Raises:
        UsageError: RF-U412, which says why.
    """
    config, problems = build(model, {"name": name, "store": store})
    if config is None:
        raise UsageError(
            "RF-U412",
            N_("This may not be used: {why}"),
            why=_("; ").join(told(problem.template, problem.values) for problem in problems),
        ) from Problems(problems)


@contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """A hidden folder to make a home in; it becomes `folder` when the block ends, or nothing if it fails.

    Raises:
        UsageError: RF-U410 or RF-U411, as `require_free`.
    """
    folder = Path(os.path.abspath(folder))  # `init .` has a parent and a name too
    require_free(folder)
    at = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        (at / "keys").mkdir(mode=0o700)
        yield at
        os.rename(at, folder)
    except BaseException:
        shutil.rmtree(at, ignore_errors=True)
        raise


def new_key(home: Path, kind: KeyKind, passphrase: str | None) -> Identity:
    """Make a key pair of a home; None leaves it unwrapped."""
    identity = Identity.generate(kind)
    write_key(home / "keys" / f"{kind}.key", identity, passphrase, unwrapped=passphrase is None)
    return identity


def record_key(journal: Journal, identity: Identity) -> None:
    """Record that a key pair was made."""
    fingerprint = identity.public.fingerprint
    journal.record(
        "key.created",
        "allow",
        resource=f"key:{fingerprint}",
        public={"kind": identity.kind, "fingerprint": fingerprint},
    )


def own_key(path: Path, kind: KeyKind, public: PublicIdentity, passphrases: Passphrases) -> Identity:
    """A key pair of a home, which must be the one whose public half stands beside it.

    Raises:
        KeyFault: it is missing, unsafe, of another kind or of a simulation, or its passphrase is wrong.
        UsageError: RF-U409 its public half is another's.
    """
    identity = passphrases.read_key(path, kind)
    if identity.public != public:
        raise UsageError(
            "RF-U409",
            N_("The public half beside {file} belongs to another key; restore both from one backup."),
            file=path.name,
        )
    return identity


@dataclass(frozen=True, slots=True)
class PublicHalf:
    """A log's key without its secret: enough to record and to verify, never to sign a checkpoint."""

    public: PublicIdentity

    def sign(self, _message: bytes, /) -> NoReturn:
        """Refuse.

        Raises:
            UsageError: RF-U408 always.
        """
        raise UsageError("RF-U408", N_("The log's key was not opened, so no checkpoint can be signed here."))


def log_signer(path: Path, passphrases: Passphrases | None) -> Identity | PublicHalf:
    """The key of a home's log: its pair, or its public half where no checkpoint is to be signed."""
    public = read_public(public_path(path), "log")
    return PublicHalf(public) if passphrases is None else own_key(path, "log", public, passphrases)
