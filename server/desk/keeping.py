"""A coordinator's home, kept: what is in its backup, how it comes back, how its store gets a newer form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from ringfence.audit.note import Verifier
from ringfence.audit.rows import verify_rows
from ringfence.privacy.command_line.housekeeping import House, Restored, back_up, migrate, restoring
from ringfence.privacy.crypto.public_files import public_path, read_public
from ringfence.privacy.succession.book import key_in_force
from ringfence.privacy.succession.own_keys import open_files, secret_files
from ringfence.privacy.wire.fields import utc_now
from ringfence.server.config import CoordinatorSettings, load_settings
from ringfence.server.connections.admissions import withdraw_invitations
from ringfence.server.connections.premises import FOLDER
from ringfence.server.home import open_office, open_office_store
from ringfence.server.migrations.schema import COORDINATOR_STORE


def office_house(settings: CoordinatorSettings) -> House:
    """A coordinator's home, as far as it is kept.

    In the backup are settings, schemas, signed documents, public keys, the authority's certificate, and the
    secrets, the authority's key among them. The keys of link and gateway are made anew at each start.
    """
    folder, keys = settings.folder, settings.config.keys
    identity = read_public(public_path(settings.path(keys.coordinator)), "coordinator")
    first_log = read_public(public_path(settings.path(keys.log)), "log")
    firsts = [settings.path(each) for each in (keys.coordinator, keys.log)]
    named = [settings.file, *(file for each in firsts for file in open_files(each))]
    for pattern in ("*.toml", "*.signed.json", "*.pub", f"{FOLDER}/authority.pem"):
        named += sorted(folder.glob(pattern))

    def check(connection: Connection) -> None:
        log_key = key_in_force(connection, "log", first_log)
        verify_rows(connection, Verifier(name=settings.origin, raw=log_key.raw))

    return House(
        schema=COORDINATOR_STORE,
        settings=settings,
        identity=identity.fingerprint,
        documents=tuple(dict.fromkeys(named)),
        secrets=(
            *(file for each in firsts for file in secret_files(each)),
            folder / FOLDER / "authority.key",
        ),
        check=check,
    )


def back_up_office(config: Path, file: Path, passphrase: str) -> tuple[str, ...]:
    """Write a backup, an event before it; the files outside of the home, which it lacks."""
    with open_office(config) as office:
        office.log.record("store.copied", "allow", resource=f"store:{COORDINATOR_STORE.head}")
        return back_up(office_house(office.settings), office.engine, file, passphrase, COORDINATOR_STORE.head)


def restore_office(file: Path, folder: Path, passphrase: Callable[[], str], **more: Any) -> Restored:
    """Bring a home back; its open invitations are withdrawn, since they may have been used since.

    Args:
        file: the backup.
        folder: absent or empty.
        passphrase: of the backup's secrets.
        more: `secrets_of` and `store` of `restoring`.
    """

    def house_in(settings: Path) -> House:
        return office_house(load_settings(settings))

    with (
        restoring(file, folder, COORDINATOR_STORE, passphrase, house_in=house_in, **more) as (
            settings,
            known,
        ),
        open_office(settings) as office,
        office.engine.begin() as connection,
    ):
        withdraw_invitations(connection, utc_now())
        office.log.record(
            "store.restored",
            "allow",
            resource=f"store:{COORDINATOR_STORE.head}",
            private={"backup": file.name[:200], "made": known.made[:40]},
            connection=connection,
        )
    return known


def migrate_office(config: Path, backup: Callable[[str], Path]) -> tuple[str, tuple[str, ...], Path | None]:
    """Bring the store to the newest version; see `housekeeping.migrate`."""
    settings = load_settings(config)
    engine = open_office_store(settings.store)
    try:
        done = migrate(office_house(settings), engine, backup, ("", "study"))
    finally:
        engine.dispose()
    if done[1]:
        with open_office(config) as office:
            private = {"from": done[0] or "none"}
            office.log.record(
                "store.migrated", "allow", resource=f"store:{COORDINATOR_STORE.head}", private=private
            )
    return done
