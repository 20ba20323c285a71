"""What holder and coordinator do alike with their homes: back up, restore, migrate.

Invariants:
    A home comes back whole or not at all, into an empty or absent folder, and its store into an empty place.
    Secrets leave the home under a passphrase only. What is outside of the home stays there, and is named.
    A migration that fails leaves the store as it was.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic.util import CommandError
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from ringfence.privacy.command_line.homes import made_whole
from ringfence.privacy.command_line.restored import KeyInForce
from ringfence.privacy.command_line.terminal import Spoken
from ringfence.privacy.crypto.wrapped_secrets import unwrap_secrets, wrap_secrets
from ringfence.privacy.errors import N_, StoreError, UsageError
from ringfence.privacy.stores.archive import Archive, Member, open_archive, write_archive
from ringfence.privacy.stores.copying import copied, copy_in, copy_out
from ringfence.privacy.stores.lease import lease
from ringfence.privacy.stores.migrating import changing_form, require_first, row_counts, upgrade_store
from ringfence.privacy.stores.schema import StoreSchema, found_version, require_upgradable
from ringfence.privacy.stores.store import open_store, reading
from ringfence.privacy.toml.editing import with_value
from ringfence.privacy.toml.settings import HouseSettings

_STORE, _SECRETS, _HOME = "store.db", "secrets", "home/"


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A home, as far as it is kept.

    Attributes:
        schema: the form of its store.
        settings: its settings.
        identity: fingerprint of its owner's key.
        documents: its files that are no secrets.
        secrets: its files that are.
        check: verifies log and ledger within a transaction, and raises.
    """

    schema: StoreSchema
    settings: HouseSettings[Any]
    identity: str
    documents: tuple[Path, ...]
    secrets: tuple[Path, ...]
    check: Callable[[Connection], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What came back.

    Attributes:
        name: the house's.
        made: when the backup was made, UTC.
        revision: the version of its store then; empty where it had none.
        keys: those that are in force in it.
    """

    name: str
    made: str
    revision: str
    keys: tuple[KeyInForce, ...] = ()


def back_up(
    house: House, engine: Engine, file: Path, passphrase: str | None, revision: str | None
) -> tuple[str, ...]:
    """Write a home's backup; the files that lie outside of the home, and are not in it.

    Args:
        house: the home.
        engine: of its store.
        file: to make.
        passphrase: of the secrets; None leaves them out.
        revision: version of the store.

    Raises:
        StoreError: the name was taken, or the store's copy is not whole.
        AuditError, BudgetError: log or ledger do not hold; nothing is written.
    """
    outside: list[str] = []
    documents = _inside(house, house.documents, outside)
    secrets = _inside(house, house.secrets, outside)
    file = file.absolute()
    scratch = Path(tempfile.mkdtemp(dir=file.parent, prefix=f".{file.name}."))
    try:
        copy_out(engine, scratch / _STORE, house.schema.tables().tables)
        with copied(scratch / _STORE) as copy:
            if revision == house.schema.head:
                house.check(copy)
        members = [Member(_STORE, scratch / _STORE)]
        members += [Member(_HOME + name, path.read_bytes()) for name, path in documents.items()]
        if passphrase is not None:
            held = {name: path.read_bytes() for name, path in secrets.items()}
            members.append(Member(_SECRETS, wrap_secrets(held, passphrase)))
        said = {
            "kind": house.schema.kind,
            "name": house.settings.name,
            "identity": house.identity,
            "revision": revision or "",
            "settings": house.settings.file.name,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "secrets": "none" if passphrase is None else "wrapped",
        }
        write_archive(file, said, members, scratch / "archive")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return tuple(outside)


def _inside(house: House, files: tuple[Path, ...], outside: list[str]) -> dict[str, Path]:
    """Files by their names relative to the home; those elsewhere are added to `outside`."""
    home, found = house.settings.folder.resolve(), dict[str, Path]()
    for path in files:
        if not path.is_file():
            continue
        if path.resolve().is_relative_to(home):
            found[path.resolve().relative_to(home).as_posix()] = path
        else:
            outside.append(str(path))
    return found


@contextmanager
def restoring(
    file: Path,
    folder: Path,
    schema: StoreSchema,
    passphrase: Callable[[], str],
    *,
    secrets_of: Path | None = None,
    store: str | None = None,
    house_in: Callable[[Path], House],
) -> Iterator[tuple[Path, Restored]]:
    """A home as a backup holds it, in a hidden folder that becomes `folder` when the block ends.

    Args:
        file: the backup.
        folder: absent or empty.
        schema: of the homes that are restored here.
        passphrase: gives that of the secrets, if it is needed.
        secrets_of: a home whose secrets are taken, for a backup that holds none.
        store: a PostgreSQL URL, or a file's name, in place of what the settings say.
        house_in: the home in the hidden folder, with its settings' file.

    Raises:
        StoreError, KeyFault, UsageError: the backup is not whole or not of this kind, or something stands
            where the home is to be; nothing is left behind.
    """
    with open_archive(file) as archive, made_whole(folder) as at:
        known = _known(archive, schema)
        _put(archive, at, passphrase, secrets_of)
        settings = at / str(archive.said["settings"])
        if store is not None:
            changed = with_value(settings.read_text(encoding="utf-8"), "store", store)
            settings.write_text(changed, encoding="utf-8")
        house = house_in(settings)
        if (house.identity, house.settings.name) != (archive.said["identity"], known.name):
            raise StoreError(
                "RF-B618",
                N_("The backup's settings and keys are not of the home that it names; use another."),
            )
        archive.extract(_STORE, at / ".copy")
        with _filled(house, at, known.revision):
            (at / ".copy").unlink()
            yield settings, known


def _known(archive: Archive, schema: StoreSchema) -> Restored:
    said = archive.said
    if said["kind"] != schema.kind or _STORE not in archive.names:
        raise StoreError(
            "RF-B619",
            N_("The backup is of a {found}'s home; expected that of a {kind}."),
            found=str(said["kind"])[:20],
            kind=schema.kind,
        )
    revision = str(said["revision"])
    if revision and revision not in schema.revisions:
        raise UsageError(
            "RF-U540",
            N_("The backup's store has the version {found}; this program knows {expected}. Use a newer one."),
            found=revision[:40],
            expected=schema.head,
        )
    return Restored(name=str(said["name"]), made=str(said["made"]), revision=revision)


def _put(archive: Archive, at: Path, passphrase: Callable[[], str], secrets_of: Path | None) -> None:
    """Write the documents and secrets of a backup."""
    for name in archive.names:
        if name.startswith(_HOME):
            archive.extract(name, at / name.removeprefix(_HOME))
    if _SECRETS in archive.names:
        for name, content in unwrap_secrets(archive.read(_SECRETS), passphrase()).items():
            path = at / name
            if not path.resolve().is_relative_to(at.resolve()) or path.exists():
                raise StoreError(
                    "RF-B610",
                    N_("The archive holds {name}, which has no place in a backup; nothing of it was used."),
                    name=ascii(name)[:80],
                )
            _private(path, content)
    elif secrets_of is None:
        raise UsageError(
            "RF-U541",
            N_("The backup holds no secrets (migrate makes such). Name the home that has them: --secrets-of"),
        )
    else:
        for path in sorted((*secrets_of.glob("keys/*.key"), *secrets_of.glob("gateway/authority.key"))):
            _private(at / path.relative_to(secrets_of), path.read_bytes())


def _private(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(content)


@contextmanager
def _filled(house: House, at: Path, revision: str) -> Iterator[None]:
    """The home's store, empty before, filled and verified; emptied again if the block raises."""
    place = house.settings.store
    if isinstance(place, Path) and (place.exists() or not place.resolve().is_relative_to(at.resolve())):
        raise UsageError(
            "RF-U542",
            N_("The store of the backup was not in its home ({place}). Name another: --store holder.db"),
            place=house.settings.config.store,
        )
    engine = open_store(place)
    try:
        with reading(engine) as connection:
            if inspect(connection).get_table_names():
                raise UsageError(
                    "RF-U543",
                    N_("The database for the store is not empty; make a new one, and name it: --store URL"),
                )
        with lease(engine):
            try:
                with changing_form(engine) as target, copied(at / ".copy") as source:
                    schema = house.schema
                    upgrade_store(target, schema, revision or schema.revisions[0])
                    copy_in(source, target, lacking=not revision)
                    upgrade_store(target, schema)
                    house.check(target)
                yield
            except BaseException:
                _emptied(engine, house.schema)
                raise
    finally:
        engine.dispose()
        for path in at.glob("*.lease"):
            path.unlink()


def _emptied(engine: Engine, schema: StoreSchema) -> None:
    with changing_form(engine) as connection:
        schema.tables().drop_all(connection)
        connection.exec_driver_sql("DROP TABLE IF EXISTS schema_version")


def migrate(
    house: House, engine: Engine, backup: Callable[[str], Path], purposes: tuple[str, ...] = ("",)
) -> tuple[str, tuple[str, ...], Path | None]:
    """Bring a store to the newest version: back up, migrate, verify, in this order.

    Args:
        house: the home.
        engine: of its store.
        backup: where the backup goes, by the version it is made before.
        purposes: leases that no other process may hold meanwhile.

    Returns:
        The version found, those that were reached, and the backup; no versions where there was nothing to do.

    Raises:
        StoreError: the store is newer, another's or in use; RF-U544 a step failed, and it is as it was.
    """
    schema = house.schema
    with reading(engine) as connection:
        found = found_version(connection)
        require_upgradable(connection, schema, found)
        if found is None:
            require_first(connection, schema)
    if found == schema.head:
        return schema.head, (), None
    with ExitStack() as held:
        for purpose in purposes:
            held.enter_context(lease(engine, purpose))
        kept = backup(schema.head)
        back_up(house, engine, kept, None, found)
        try:
            with changing_form(engine) as connection:
                before = row_counts(connection, schema)
                reached = upgrade_store(connection, schema)
                _require_kept(before, row_counts(connection, schema))
                house.check(connection)
        except Exception as error:
            if not isinstance(error, Spoken | SQLAlchemyError | CommandError):
                raise
            reason = error.sentence() if isinstance(error, Spoken) else type(error).__name__
            raise StoreError(
                "RF-U544",
                N_("The store was not migrated and is as it was: {reason} Its backup is {file}."),
                reason=reason,
                file=str(kept),
            ) from error
    return found or "", reached, kept


def _require_kept(before: Mapping[str, int], after: Mapping[str, int]) -> None:
    for name, count in before.items():
        if after[name] != count:
            raise StoreError("RF-U545", N_("The migration would lose rows of {table}."), table=name)
