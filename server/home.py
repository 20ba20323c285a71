"""A coordinator's home: made all at once by `make_home`, opened for one command by `open_office`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select

from ringfence.audit.log import AuditLog
from ringfence.audit.note import Signer
from ringfence.privacy.command_line.homes import (
    log_signer,
    made_whole,
    new_key,
    own_key,
    record_key,
    require_usable,
)
from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.public_files import public_path, read_public
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.errors import N_, StoreError
from ringfence.privacy.stores.schema import lay, require_current
from ringfence.privacy.stores.store import open_store, reading, require_durable
from ringfence.privacy.succession.book import KeyBook
from ringfence.privacy.succession.document import KeyRole
from ringfence.privacy.succession.own_keys import OwnKey, file_in_force
from ringfence.server.config import FILE_NAME, CoordinatorSettings, ServerConfig, load_settings, log_origin
from ringfence.server.migrations.schema import COORDINATOR_STORE
from ringfence.server.registry import HOLDERS, HolderRegistry

ACTOR = "server"
DATABASE = "coordinator.db"

_TEMPLATE = """\
# Settings of a Ringfence coordinator. docs/reference/server.toml.md says what each key means.
# Paths are relative to here.
name = "{name}"
store = "{store}"

# Fingerprints of holders, learnt by telephone or in person. A holder that is not listed enters no study.
holders = []

[keys]
coordinator = "keys/coordinator.key"
log = "keys/log.key"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What a coordinator's commands work with.

    Attributes:
        settings: the configuration.
        identity: public half of the coordinator's key.
        engine: its store.
        log: what happened.
        log_signer: the log's key, or its public half where it was not asked for.
    """

    settings: CoordinatorSettings
    identity: PublicIdentity
    engine: Engine
    log: AuditLog
    log_signer: Signer

    def own_key(self, role: KeyRole) -> OwnKey:
        """One of the coordinator's keys, to be replaced."""
        keys = self.settings.config.keys
        first = self.settings.path(keys.log if role == "log" else keys.coordinator)
        return OwnKey(role=role, party=self.settings.name, first=first, engine=self.engine)

    def holders(self) -> tuple[str, ...]:
        """Fingerprints in force of the holders that server.toml lists, but those whose chain is frozen."""
        return KeyBook(self.engine).trusted("holder", self.settings.config.holders)

    def own_keys(self) -> tuple[PublicIdentity, ...]:
        """The coordinator's key in force, and those before it, under which studies were signed here."""
        return self.identity, *KeyBook(self.engine).former("coordinator", self.identity)

    def key(self, passphrases: Passphrases) -> Identity:
        """The coordinator's key pair.

        Raises:
            KeyFault: it is missing, unsafe, of another kind or of a simulation, or its passphrase is wrong.
            UsageError: RF-U409 its public half is another's.
        """
        path = self.own_key("coordinator").present
        return own_key(path, "coordinator", self.identity, passphrases)

    def seen(self) -> list[dict[str, object]]:
        """What was last seen of each holder: its log and that log's size."""
        HolderRegistry(self.engine)  # makes the table where it is missing
        with reading(self.engine) as connection:
            rows = connection.execute(select(HOLDERS).order_by(HOLDERS.c.log_origin)).all()
        return [
            {
                "fingerprint": PublicIdentity.from_hex(row.identity).fingerprint,
                "log": row.log_origin,
                "log_events": row.log_size,
            }
            for row in rows
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
    engine = open_office_store(settings.store)
    try:
        require_current(engine, COORDINATOR_STORE)
        path = file_in_force(engine, "coordinator", settings.path(keys.coordinator))
        identity = read_public(public_path(path), "coordinator")
        signer = log_signer(file_in_force(engine, "log", settings.path(keys.log)), passphrases)
        yield Office(
            settings=settings,
            identity=identity,
            engine=engine,
            log=_log(engine, settings.config.name, signer),
            log_signer=signer,
        )
    finally:
        engine.dispose()


def open_office_store(store: Path | str) -> Engine:
    """Open a store that was made before, never a new one.

    Raises:
        StoreError: RF-B410 the file is not there; it cannot be opened; it is in memory.
    """
    if isinstance(store, Path) and not store.exists():
        raise StoreError(
            "RF-B410", N_("The store {file} is gone. Restore it from a backup."), file=store.name
        )
    return require_durable(open_store(store))


def make_home(
    folder: Path, name: str, passphrase: str | None, store: str | None = None
) -> tuple[PublicIdentity, PublicIdentity]:
    """Make a coordinator's home, all of it or nothing; return the public keys of coordinator and log.

    Args:
        folder: does not exist or is empty.
        name: of the coordinator's organisation.
        passphrase: wraps both key pairs; None leaves them unwrapped.
        store: a PostgreSQL URL, or None for a SQLite file in the home.

    Raises:
        UsageError: RF-U410 something is there already, RF-U411 no parent folder, RF-U412 the name may not
            be used.
    """
    require_usable(ServerConfig, name, store or DATABASE)
    with made_whole(folder) as at:
        return _make(at, name, passphrase, store)


def _make(
    at: Path, name: str, passphrase: str | None, store: str | None
) -> tuple[PublicIdentity, PublicIdentity]:
    own, log_key = new_key(at, "coordinator", passphrase), new_key(at, "log", passphrase)
    (at / FILE_NAME).write_text(_TEMPLATE.format(name=name, store=store or DATABASE), encoding="utf-8")
    engine = open_store(store or at / DATABASE)
    try:
        lay(engine, COORDINATOR_STORE)
        log = _log(engine, name, log_key)
        for identity in (own, log_key):
            record_key(log, identity)
    finally:
        engine.dispose()
    return own.public, log_key.public


def _log(engine: Engine, name: str, signer: Signer) -> AuditLog:
    return AuditLog(
        engine, origin=log_origin(name), signer=signer, organisation=name, actor=ACTOR, profile="durable"
    )
