"""A holder's home, kept: what is in its backup, how it comes back, how its store gets a newer form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from ringfence.audit.note import Verifier
from ringfence.audit.rows import verify_rows
from ringfence.clients.config import HolderSettings, load_settings, log_origin
from ringfence.clients.home import Home, open_existing, open_home
from ringfence.clients.migrations.schema import HOLDER_STORE
from ringfence.clients.records.federations import known_marks, left_log
from ringfence.privacy.command_line.housekeeping import House, Restored, back_up, migrate, restoring
from ringfence.privacy.command_line.restored import KeyInForce, keys_in_force
from ringfence.privacy.crypto.public_files import public_path, read_public
from ringfence.privacy.errors import N_, KeyFault, UsageError
from ringfence.privacy.ledger.book import verified_state
from ringfence.privacy.succession.book import KeyBook
from ringfence.privacy.succession.document import KeyRole
from ringfence.privacy.succession.own_keys import open_files, secret_files
from ringfence.privacy.succession.rows import key_in_force

RESTORED = "restored from a backup"


def house_of(settings: HolderSettings) -> House:
    """A holder's home, as far as it is kept.

    In the backup are settings, contract, schemas, public keys, signed documents, approvals and admission, and
    the secrets. Not in it are the customer table, copies of it that were attested, the holder's own models,
    and the keys of connections: these never leave, and are made anew.
    """
    folder, keys = settings.folder, settings.config.keys
    identity = read_public(public_path(settings.path(keys.holder)), "holder")
    logs = [keys.log, *(each.log for each in settings.config.federation)]
    # The logs of federations that were left are in the store as well, and may go on. They are found by their
    # first public halves, which stay: the secret ones of keys that were replaced are destroyed.
    halves = sorted((folder / "keys").glob(public_path(Path(left_log("*"))).name))
    left = (f"keys/{half.stem}" for half in halves if "+" not in half.name)
    logs += [name for name in left if name not in logs]
    firsts = [settings.path(each) for each in (keys.holder, *logs)]
    named = [settings.file, *(file for each in firsts for file in open_files(each))]
    if settings.config.contract is not None:
        named.append(settings.contract())
    public = (*(each.coordinator for each in settings.config.federation), *settings.config.approvers)
    named += [settings.path(name) for name in public if settings.path(name).is_file()]
    for pattern in ("*.toml", "*.signed.json", "*.pub"):
        named += sorted(folder.glob(pattern))
    named += sorted(settings.path(settings.config.approvals).rglob("*.json"))

    def check(connection: Connection) -> None:
        for log in _logs(connection, settings):
            verify_rows(connection, log)
        verified_state(connection)

    return House(
        schema=HOLDER_STORE,
        settings=settings,
        identity=identity.fingerprint,
        documents=tuple(dict.fromkeys(named)),
        secrets=tuple(
            dict.fromkeys(
                (
                    *(file for each in firsts for file in secret_files(each)),
                    *(settings.path(each) for each in (keys.registry, keys.attempts)),
                )
            )
        ),
        check=check,
    )


def _logs(connection: Connection, settings: HolderSettings) -> Iterator[Verifier]:
    """Name and key of every log of the store: the house's, and each federation's, left ones too."""

    def key(name: str) -> bytes:
        first = read_public(public_path(settings.path(name)), "log")
        return key_in_force(connection, "log", first).raw

    yield Verifier(name=settings.origin, raw=key(settings.config.keys.log))
    named = {each.name: each.log for each in settings.config.federation}
    for name, mark in known_marks(connection).items():
        file = named.get(name, left_log(name))
        if name not in named and not public_path(settings.path(file)).is_file():
            raise UsageError(
                "RF-U850",
                N_(
                    'The key of the log of the federation "{name}", which this home left, is not in {file}. '
                    "Its log stays in the store and is verified with it: put both halves back there."
                ),
                name=name,
                file=file,
            )
        yield Verifier(name=log_origin(settings.name, mark), raw=key(file))


def back_up_home(config: Path, file: Path, passphrase: str) -> tuple[str, ...]:
    """Write a backup, an event before it; the files outside of the home, which it lacks."""
    with open_home(config) as home:
        house = house_of(home.settings)
        home.log.record("store.copied", "allow", resource=f"store:{HOLDER_STORE.head}")
        return back_up(house, home.engine, file, passphrase, HOLDER_STORE.head)


def restore_home(file: Path, folder: Path, passphrase: Callable[[], str], **more: Any) -> Restored:
    """Bring a home back, its ledger frozen until two people thaw it.

    Args:
        file: the backup.
        folder: absent or empty.
        passphrase: of the backup's secrets.
        more: `secrets_of` and `store` of `restoring`.
    """

    def house_in(settings: Path) -> House:
        return house_of(load_settings(settings))

    with (
        restoring(file, folder, HOLDER_STORE, passphrase, house_in=house_in, **more) as (settings, known),
        open_home(settings) as home,
    ):
        home.ledger.freeze(RESTORED, restored=True)
        home.log.record(
            "store.restored",
            "allow",
            resource=f"store:{HOLDER_STORE.head}",
            private={"backup": file.name[:200], "made": known.made[:40]},
        )
        keys = _keys_of(home)
    return replace(known, keys=keys)


def _keys_of(home: Home) -> tuple[KeyInForce, ...]:
    """The home's own keys, and those that it believes."""
    settings, book = home.settings, KeyBook(home.engine)
    belongs = settings.config.federation

    def own(role: KeyRole, name: str, whose: str = "") -> KeyInForce:
        first = read_public(public_path(settings.path(name)), role)
        return KeyInForce.of(book, whose or settings.name, role, first)

    pinned = [
        own("holder", settings.config.keys.holder),
        own("log", settings.config.keys.log),
        *(own("log", each.log, f"{settings.name} ({each.name})") for each in belongs),
    ]
    for each in belongs:
        with suppress(KeyFault):  # its file lay outside of the home and is not there; doctor says so
            first = settings.coordinator(each)
            pinned.append(KeyInForce.of(book, each.name, "coordinator", first))
    return keys_in_force(book, pinned)


def migrate_home(config: Path, backup: Callable[[str], Path]) -> tuple[str, tuple[str, ...], Path | None]:
    """Bring the store to the newest version; see `housekeeping.migrate`."""
    settings = load_settings(config)
    engine = open_existing(settings.store)
    try:
        done = migrate(house_of(settings), engine, backup)
    finally:
        engine.dispose()
    if done[1]:
        with open_home(config) as home:
            private = {"from": done[0] or "none"}
            home.log.record("store.migrated", "allow", resource=f"store:{HOLDER_STORE.head}", private=private)
    return done
