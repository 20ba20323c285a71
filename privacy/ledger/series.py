"""The runs of a study as a ledger knows them: one reservation each, counted for ever."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from ringfence.privacy.ledger.entries import Reserved
from ringfence.privacy.ledger.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedRun:
    """One run that budget was reserved for.

    Attributes:
        id: of the reservation.
        run: its id.
        window: number of its window.
        open: whether the reservation is still open.
    """

    id: int
    run: str
    window: int
    open: bool


def booked_runs(ledger: Ledger, study: str, connection: Connection | None = None) -> tuple[BookedRun, ...]:
    """Every run of a series that was ever reserved, in order, those included that came to nothing.

    A reservation is written before anything of its run, so a process that dies in between counts a run too
    many and never one too few.

    Args:
        ledger: the holder's.
        study: digest of the signed study.
        connection: asks in its transaction, in which nobody else reserves until it ends.
    """
    still = {each.id for each in ledger.reservations(connection)}
    return tuple(
        BookedRun(
            id=entry.sequence,
            run=entry.record.turn.run,
            window=entry.record.turn.window,
            open=entry.sequence in still,
        )
        for entry in ledger.entries(connection)
        if isinstance(entry.record, Reserved)
        and entry.record.study == study
        and entry.record.turn is not None
    )


def windows_reserved(ledger: Ledger, study: str, run: str) -> frozenset[int]:
    """The windows in which budget was ever reserved for a run, 0 outside of a series; empty where none was.

    Args:
        ledger: the holder's.
        study: digest of the signed study.
        run: its id.
    """
    records = (entry.record for entry in ledger.entries())
    return frozenset(
        each.turn.window if each.turn else 0
        for each in records
        if isinstance(each, Reserved) and (each.study, each.bound) == (study, run)
    )
