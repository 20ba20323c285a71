"""A coordinator's home: made all at once by `found`, opened for one command by `open_office`."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from sqlalchemy import Engine, select

from ringfence.audit.log import AuditLog
from ringfence.audit.note import Signer
from ringfence.privacy.crypto.identity import Identity, KeyKind, PublicIdentity
from ringfence.privacy.crypto.keyfile import read_public, write_key
from ringfence.privacy.documents.findings import build
from ringfence.privacy.errors import N_, StoreError, UsageError, _
from ringfence.privacy.store import open_store, reading, require_durable
from ringfence.server.config import FILE_NAME, ServerConfig, Settings, load_settings, log_origin
from ringfence.server.passphrases import Passphrases
from ringfence.server.registry import HOLDERS, HolderRegistry

ACTOR = "server"
DATABASE = "coordinator.db"

_TEMPLATE = """\
# Settings of a Ringfence coordinator. docs/reference/server.toml.md says what each key means. Paths are relative to here.
name = "{name}"
store = "coordinator.db"

# Fingerprints of holders, learnt by telephone or in person. A holder that is not listed enters no study.
holders = []

[keys]
coordinator = "keys/coordinator.key"
log = "keys/log.key"
"""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What a coordinator's commands work with.

    Attributes:
        settings: the configuration.
        identity: public half of the coordinator's key.
        engine: its store.
        log: what happened.
    """

    settings: Settings
    identity: PublicIdentity
    engine: Engine
    log: AuditLog

    def key(self, passphrases: Passphrases) -> Identity:
        """The coordinator's key pair.

        Raises:
            KeyFault: it is missing, unsafe, of another kind or of a simulation, or its passphrase is wrong.
            UsageError: RF-U409 its public half is another's.
        """
        path = self.settings.path(self.settings.config.keys.coordinator)
        identity = passphrases.read_key(path, "coordinator")
        if identity.public != self.identity:
            raise UsageError(
                "RF-U409",
                N_("The public half beside {file} belongs to another key; restore both from one backup."),
                file=path.name,
            )
        return identity

    def seen(self) -> list[dict[str, object]]:
        """What was last seen of each holder: its ledger's head and its log's size."""
        HolderRegistry(self.engine)  # makes the table where it is missing
        with reading(self.engine) as connection:
            rows = connection.execute(select(HOLDERS).order_by(HOLDERS.c.holder)).all()
        return [
            {"name": r.holder, "ledger_entry": r.ledger_sequence, "ledger_head": r.ledger_hash, "log_events": r.log_size}
            for r in rows
        ]


@contextmanager
def open_office(config: str | Path, *, passphrases: Passphrases | None = None) -> Iterator[Office]:
    """Open a coordinator's home for one command.

    Args:
        config: `server.toml` or its folder.
        passphrases: opens the log's secret key too, for checkpoints.

    Raises:
        UsageError, StoreError, KeyFault or LogError: it is not there, or not as it was left.
    """
    settings = load_settings(config)
    keys = settings.config.keys
    identity = read_public(_public_file(settings.path(keys.coordinator)))
    signer: Signer = PublicHalf(read_public(_public_file(settings.path(keys.log))))
    if passphrases is not None:
        signer = passphrases.read_key(settings.path(keys.log), "log")
    store = settings.store
    if isinstance(store, Path) and not store.exists():
        raise StoreError(
            "RF-B410", N_("The store {file} is gone. Restore it from a backup."), file=store.name
        )
    engine = require_durable(open_store(store))
    try:
        yield Office(
            settings=settings, identity=identity, engine=engine, log=_log(engine, settings.config.name, signer)
        )
    finally:
        engine.dispose()


def require_free(folder: Path) -> None:
    """Refuse a folder that holds anything, or whose parent is missing."""
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise UsageError(
            "RF-U410",
            N_("{folder} exists and is not an empty folder; nothing is ever overwritten. Choose another one."),
            folder=str(folder),
        )
    if not folder.parent.is_dir():
        raise UsageError(
            "RF-U411", N_("The folder {folder} does not exist. Make it first."), folder=str(folder.parent)
        )


def found(folder: Path, name: str, passphrase: str | None) -> tuple[PublicIdentity, PublicIdentity]:
    """Make a coordinator's home, all of it or nothing; return the public keys of coordinator and log.

    Raises:
        UsageError: RF-U410 something is there already, RF-U411 no parent folder, RF-U412 the name may not
            be used.
    """
    folder = Path(os.path.abspath(folder))  # `init .` has a parent and a name too
    require_free(folder)
    config, problems = build(ServerConfig, {"name": name, "store": DATABASE})
    if config is None:
        why = "; ".join(_(problem.template).format(**problem.values) for problem in problems)
        raise UsageError("RF-U412", N_("This may not be used: {why}"), why=why)
    at = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        made = _make(at, name, passphrase)
        os.rename(at, folder)
    except BaseException:
        shutil.rmtree(at, ignore_errors=True)
        raise
    return made


def _make(at: Path, name: str, passphrase: str | None) -> tuple[PublicIdentity, PublicIdentity]:
    keys = at / "keys"
    keys.mkdir(mode=0o700)
    kinds: tuple[KeyKind, KeyKind] = ("coordinator", "log")
    own, log_key = (Identity.generate(kind) for kind in kinds)
    (at / FILE_NAME).write_text(_TEMPLATE.format(name=name), encoding="utf-8")
    engine = open_store(at / DATABASE)
    try:
        log = _log(engine, name, log_key)
        for identity in (own, log_key):
            write_key(keys / f"{identity.kind}.key", identity, passphrase, unwrapped=passphrase is None)
            fingerprint = identity.public.fingerprint
            public = {"kind": identity.kind, "fingerprint": fingerprint}
            log.record("key.created", "allow", resource=f"key:{fingerprint}", public=public)
        HolderRegistry(engine)
    finally:
        engine.dispose()
    return own.public, log_key.public


def _log(engine: Engine, name: str, signer: Signer) -> AuditLog:
    return AuditLog(
        engine, origin=log_origin(name), signer=signer, organisation=name, actor=ACTOR, profile="durable"
    )


def _public_file(path: Path) -> Path:
    return path.with_name(path.name + ".pub")
