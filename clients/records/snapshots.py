"""The tables that a holder's people attested, one for a study, as they were at that moment.

A study reads the kept copy and nothing else of the table: what becomes of the source afterwards cannot show
in whether the holder joins, and a source that changes or breaks makes no run fail in its middle.

Invariants:
    The copy is on the disk before the row that names it, and the row and its event stand in one transaction.
    A copy is written once, under a name of its own, and never changed. Which copy is in force is settled in
    the transaction that reserves a study's budget: from then on no other is (`attesting`, `joining`).
    A copy is handed out only if its digest is the attested one. The digest could be guessed from rows, so it
    is private; nothing of this file is in a message.
    Copies are encrypted, lie in a folder of their owner alone, and are deleted when the study is over here,
    or has expired.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    delete,
    insert,
    select,
)

from ringfence.privacy.crypto.encrypted_files import read_encrypted, write_encrypted
from ringfence.privacy.errors import N_, KeyFault, TableError
from ringfence.privacy.stores.store import reading

FOLDER = "snapshots"
METADATA = MetaData()
_ENDING = ".arrow"
# A copy is named within moments of its writing; another process may be about to.
_UNNAMED_SECONDS = 24 * 3600.0
_ROWS = Table(
    "attested_tables",
    METADATA,
    Column("study", String(71), primary_key=True),
    Column("window", Integer, primary_key=True, autoincrement=False),
    Column("contract", String(71), nullable=False),
    Column("headers", Text, nullable=False),
    Column("at", String(40), nullable=False),
    Column("expires", String(10), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("file", String(80), nullable=False),
    Column("fault", Text, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """What a holder's people found when they read its table as a study would.

    Attributes:
        study: digest of the signed study.
        contract: digest of the contract it was read under.
        headers: what was decoded, the customer key first.
        at: when, UTC.
        expires: last day of the study.
        digest: `sha256:` over the kept copy; empty where the table did not pass.
        file: name of the kept copy, or empty.
        fault: why the table did not pass, for the holder's own people; empty where it did.
        window: of a series, number of the run it is for; 0 for a study that is run once.
    """

    study: str
    contract: str
    headers: tuple[str, ...]
    at: datetime.datetime
    expires: datetime.date
    digest: str = ""
    file: str = ""
    fault: str = ""
    window: int = 0

    @property
    def passed(self) -> bool:
        """Whether there is a copy that the study may read."""
        return bool(self.digest)

    def serves(self, contract: str, headers: tuple[str, ...] | None = None) -> bool:
        """Whether a study may run on it under a contract, decoding these columns where they are known."""
        return self.passed and self.contract == contract and headers in (None, self.headers)


class Snapshots:
    """The attestations in a holder's store, and the folder of the copies."""

    def __init__(self, engine: Engine, folder: Path, secret: bytes) -> None:
        """Open the table of attestations, making it when absent; the folder is made with its first copy.

        Args:
            engine: the holder's store.
            folder: of the copies.
            secret: 32 bytes that encrypt them.
        """
        self._engine = engine
        self._secret = secret
        self.folder = folder
        METADATA.create_all(engine)

    def find(self, study: str, window: int = 0) -> Attestation | None:
        """The attestation in force for a study, of a series for one of its runs; or None."""
        with reading(self._engine) as connection:
            return _found(study, window, connection)

    def windows(self, study: str) -> tuple[int, ...]:
        """The runs of a series that something is kept for."""
        with reading(self._engine) as connection:
            return tuple(connection.scalars(select(_ROWS.c.window).where(_ROWS.c.study == study)))

    def require(self, attestation: Attestation, connection: Connection) -> None:
        """Refuse an attestation that is not the one in force any more.

        Args:
            attestation: whose copy was read.
            connection: the transaction that settles for it.

        Raises:
            TableError: RF-T170.
        """
        if _found(attestation.study, attestation.window, connection) != attestation:
            raise TableError(
                "RF-T170",
                N_(
                    "The table of this study was attested anew, or its copy deleted, while the holder "
                    "joined; nothing was reserved."
                ),
            )

    def write(self, study: str, content: bytes) -> tuple[str, str]:
        """Put a copy into the folder, durable on return.

        Returns:
            Its file's name and its digest.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{study.removeprefix('sha256:')[:12]}-{secrets.token_hex(8)}{_ENDING}"
        descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            write_encrypted(file, self._secret, content, context=name.encode())
            file.flush()
            os.fsync(file.fileno())
        return name, "sha256:" + hashlib.sha256(content).hexdigest()

    def put(
        self,
        made: Attestation,
        record: Callable[[Connection], None],
        premise: Callable[[Connection], None] | None = None,
    ) -> None:
        """Let an attestation be the one in force, and delete copies that no attestation names any more.

        One that did not pass takes no place: a copy that passed under the same contract stays in force.

        Args:
            made: the attestation; its copy is written already.
            record: writes the event that tells of it, in the same transaction.
            premise: asked in the transaction; where it raises, all stays as it was and the copy is deleted.
        """
        try:
            gone = self._put(made, record, premise)
        except BaseException:
            if made.file:
                (self.folder / made.file).unlink(missing_ok=True)
            raise
        self._delete(gone)

    def _put(
        self,
        made: Attestation,
        record: Callable[[Connection], None],
        premise: Callable[[Connection], None] | None,
    ) -> list[str]:
        """The copies that are named no more."""
        row = {
            "study": made.study,
            "window": made.window,
            "contract": made.contract,
            "headers": json.dumps(made.headers),
            "at": made.at.isoformat(),
            "expires": made.expires.isoformat(),
            "digest": made.digest,
            "file": made.file,
            "fault": made.fault,
        }
        over = _of(made.study, made.window) | (_ROWS.c.expires < made.at.date().isoformat())
        with self._engine.begin() as connection:
            if premise is not None:
                premise(connection)
            known = _found(made.study, made.window, connection)
            if not made.passed and known is not None and known.serves(made.contract):
                record(connection)
                return []
            gone = self._removed(over, connection)
            connection.execute(insert(_ROWS).values(row))
            record(connection)
        return gone

    def content(self, attestation: Attestation) -> bytes:
        """The copy, byte for byte as it was attested.

        Raises:
            TableError: RF-T151 it is gone, or was altered.
        """
        try:
            with (self.folder / attestation.file).open("rb") as file:
                content = read_encrypted(file, self._secret, context=attestation.file.encode())
        except (OSError, KeyFault):
            content = None
        if content is None or "sha256:" + hashlib.sha256(content).hexdigest() != attestation.digest:
            raise TableError(
                "RF-T151",
                N_(
                    "The kept copy {file} of the attested table is gone or was altered; attest the table of "
                    "this study again."
                ),
                file=attestation.file,
            )
        return content

    def forget(
        self, study: str, premise: Callable[[Connection], None] | None = None, *, window: int = 0
    ) -> None:
        """Delete a study's attestation and its copy: the study is over here, or this run of it.

        Args:
            study: digest of the study.
            window: of a series, number of the run.
            premise: asked in the transaction; where it raises, nothing is deleted.
        """
        with self._engine.begin() as connection:
            if premise is not None:
                premise(connection)
            gone = self._removed(_of(study, window), connection)
        self._delete(gone)

    def _removed(self, which: ColumnElement[bool], connection: Connection) -> list[str]:
        """Delete rows; the copies they named."""
        files = list(connection.scalars(select(_ROWS.c.file).where(which)))
        connection.execute(delete(_ROWS).where(which))
        return files

    def _delete(self, files: list[str]) -> None:
        """Delete copies, and with them those that a process wrote and did not live to name."""
        with reading(self._engine) as connection:
            named = set(connection.scalars(select(_ROWS.c.file)))
        for file in self.folder.glob(f"*{_ENDING}"):
            with suppress(OSError):
                if file.name in files or (
                    file.name not in named and time.time() - file.stat().st_mtime > _UNNAMED_SECONDS
                ):
                    file.unlink()


def _of(study: str, window: int) -> ColumnElement[bool]:
    return and_(_ROWS.c.study == study, _ROWS.c.window == window)


def _found(study: str, window: int, connection: Connection) -> Attestation | None:
    row = connection.execute(select(_ROWS).where(_of(study, window))).one_or_none()
    if row is None:
        return None
    return Attestation(
        study=row.study,
        contract=row.contract,
        headers=tuple(json.loads(row.headers)),
        at=datetime.datetime.fromisoformat(row.at),
        expires=datetime.date.fromisoformat(row.expires),
        digest=row.digest,
        file=row.file,
        fault=row.fault,
        window=row.window,
    )
