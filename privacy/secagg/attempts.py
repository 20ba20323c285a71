"""The holder's memory of the attempts it has answered, so that a repeat can never get a second answer.

Invariants:
    An attempt's number is durable before noise is drawn for it, and numbers only grow within a run.
    An answer is stored, encrypted, before it is sent; a repeat of the same query gets the same bytes.
    A different query under the same attempt is refused, and so is an attempt that was begun but whose answer
    was never stored (a crash in between): it is void, and the next one draws fresh noise under fresh masks.
    Of who answered an attempt one list is signed for good, durable before the signature: what a holder may
    reveal of a peer in an attempt follows from that list, so it is one kind of share and never the other.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    and_,
    bindparam,
    insert,
    or_,
    select,
    update,
)

from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.wire.fields import canonical

METADATA = MetaData()
_NONCE = 12

ATTEMPTS = Table(
    "secagg_attempts",
    METADATA,
    Column("study", String(71), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("query", String(64), nullable=False),
    Column("answer", LargeBinary, nullable=True),
    CheckConstraint("round >= 0 AND attempt >= 0"),
)

SURVIVORS = Table(
    "secagg_survivors",
    METADATA,
    Column("study", String(71), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("survivors", String(71), nullable=False),
)


def _row(table: Table) -> ColumnElement[bool]:
    """The condition that picks an attempt's row, whatever its query."""
    return and_(*(table.c[name] == bindparam(f"its_{name}") for name in ("study", "run", "round", "attempt")))


# Built once: making these expressions anew costs more than running them.
_SAME_QUERY = and_(_row(ATTEMPTS), ATTEMPTS.c.query == bindparam("its_query"))
_FIND = select(ATTEMPTS.c.query, ATTEMPTS.c.answer).where(_row(ATTEMPTS))
_BEGIN = insert(ATTEMPTS)
_ANSWER = update(ATTEMPTS).where(_SAME_QUERY, ATTEMPTS.c.answer.is_(None)).values(answer=bindparam("sealed"))
_ANSWERED = select(ATTEMPTS.c.attempt).where(_SAME_QUERY, ATTEMPTS.c.answer.is_not(None))
_SETTLED = select(SURVIVORS.c.survivors).where(_row(SURVIVORS))
_LATER = (
    select(ATTEMPTS.c.attempt)
    .where(
        ATTEMPTS.c.study == bindparam("its_study"),
        ATTEMPTS.c.run == bindparam("its_run"),
        or_(
            ATTEMPTS.c.round > bindparam("its_round"),
            and_(ATTEMPTS.c.round == bindparam("its_round"), ATTEMPTS.c.attempt > bindparam("its_attempt")),
        ),
    )
    .limit(1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptKey:
    """What an attempt is known by.

    Attributes:
        study: digest of the signed study.
        run: run id.
        round: index of the round.
        attempt: number of the attempt.
        query: SHA-256 of the query, 32 bytes.
    """

    study: str
    run: str
    round: int
    attempt: int
    query: bytes

    def columns(self) -> dict[str, Any]:
        """The primary key of this attempt's rows."""
        return {"study": self.study, "run": self.run, "round": self.round, "attempt": self.attempt}

    def bound(self) -> dict[str, Any]:
        """What the statements of this module look an attempt up by."""
        return {f"its_{name}": value for name, value in self.values().items()}

    def values(self) -> dict[str, Any]:
        """The row as it is begun."""
        return self.columns() | {"query": self.query.hex()}

    def binding(self) -> bytes:
        """Associated data of the encrypted answer: it decrypts in its own row only."""
        return canonical({"type": "ringfence/attempt/v1"} | self.values())


class AttemptStore:
    """Begun and answered attempts in the holder's database.

    Every method takes an open `connection`, or makes a transaction of its own; pass one to commit together
    with the ledger and the audit log.
    """

    def __init__(self, engine: Engine, key: bytes) -> None:
        """Open the table, making it when absent.

        Args:
            engine: the holder's database, durable on commit.
            key: 32 bytes, AES-256-GCM; from the holder's key store.

        Raises:
            WaistError: RF-W160 for a key of another length.
        """
        if len(key) != 32:
            raise WaistError("RF-W160", N_("The key of the attempt store must have 32 bytes."))
        self._engine = engine
        self._cipher = AESGCM(key)
        METADATA.create_all(engine)

    def begin(self, key: AttemptKey, *, connection: Connection | None = None) -> bytes | None:
        """Make the attempt durable and return None, or return the bytes that already answered it.

        Raises:
            WaistError: RF-W161 another query was asked under this attempt, RF-W162 begun but never answered,
                RF-W163 a later attempt or round of the run was begun, RF-W164 the stored answer was altered.
        """
        with self._transaction(connection) as transaction:
            found = transaction.execute(_FIND, key.bound()).one_or_none()
            if found is not None:
                return self._repeat(key, found.query, found.answer)
            self._refuse_older(key, transaction)
            transaction.execute(_BEGIN, key.values())
        return None

    def store(self, key: AttemptKey, answer: bytes, *, connection: Connection | None = None) -> None:
        """Keep the answer, encrypted; call it before the answer is sent.

        Raises:
            WaistError: RF-W165 when the attempt was not begun with this query or has an answer already.
        """
        nonce = secrets.token_bytes(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, answer, key.binding())
        with self._transaction(connection) as transaction:
            if transaction.execute(_ANSWER, key.bound() | {"sealed": sealed}).rowcount != 1:
                raise WaistError(
                    "RF-W165", N_("An answer may be stored once, for an attempt that was begun.")
                )

    def answered(self, key: AttemptKey) -> bytes | None:
        """The bytes that answered an attempt; None where there are none for this query.

        Raises:
            WaistError: RF-W161 another query was asked, RF-W162 begun but never answered, RF-W164 the stored
                answer was altered.
        """
        with self._transaction(None) as transaction:
            found = transaction.execute(_FIND, key.bound()).one_or_none()
        return None if found is None else self._repeat(key, found.query, found.answer)

    def settle(self, key: AttemptKey, survivors: str, *, connection: Connection | None = None) -> None:
        """Fix for good whom this holder takes to have answered the attempt; call it before signing so.

        Args:
            key: the attempt, answered by this holder.
            survivors: digest of the roster and the list (`survivors_digest`).
            connection: an open transaction to take part in.

        Raises:
            WaistError: RF-W180 when another list was fixed before, RF-W181 when this holder has not answered.
        """
        with self._transaction(connection) as transaction:
            if transaction.execute(_ANSWERED, key.bound()).first() is None:
                raise WaistError(
                    "RF-W181", N_("This holder has not answered the attempt whose sum is to be unmasked.")
                )
            known = transaction.scalar(_SETTLED, key.bound())
            if known is None:
                transaction.execute(insert(SURVIVORS).values(**key.columns(), survivors=survivors))
            elif known != survivors:
                raise WaistError(
                    "RF-W180",
                    N_(
                        "Attempt {attempt} at round {round} was signed with another list of who answered; a "
                        "holder signs one."
                    ),
                    attempt=key.attempt,
                    round=key.round,
                )

    def forget(self, *, study: str, run: str, connection: Connection | None = None) -> None:
        """Delete the answers of a finished run; the attempt numbers stay, so nothing can be asked again."""
        rows = and_(ATTEMPTS.c.study == study, ATTEMPTS.c.run == run)
        with self._transaction(connection) as transaction:
            transaction.execute(update(ATTEMPTS).where(rows).values(answer=None))

    @contextmanager
    def _transaction(self, connection: Connection | None) -> Iterator[Connection]:
        if connection is not None:
            yield connection
        else:
            with self._engine.begin() as own:
                yield own

    def _repeat(self, key: AttemptKey, query: str, answer: bytes | None) -> bytes:
        if query != key.query.hex():
            raise WaistError(
                "RF-W161",
                N_("Attempt {attempt} at round {round} was asked before with another query."),
                attempt=key.attempt,
                round=key.round,
            )
        if answer is None:
            raise WaistError(
                "RF-W162",
                N_("Attempt {attempt} at round {round} was begun and has no stored answer; it is void."),
                attempt=key.attempt,
                round=key.round,
            )
        try:
            return self._cipher.decrypt(answer[:_NONCE], answer[_NONCE:], key.binding())
        except (InvalidTag, ValueError) as error:
            raise WaistError("RF-W164", N_("A stored answer was altered, or its key changed.")) from error

    def _refuse_older(self, key: AttemptKey, transaction: Connection) -> None:
        if transaction.execute(_LATER, key.bound()).first():
            raise WaistError(
                "RF-W163",
                N_("Attempt {attempt} at round {round} comes after a later one; numbers only grow."),
                attempt=key.attempt,
                round=key.round,
            )
