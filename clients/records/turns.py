"""May a run of a series start here now? Decided by this holder's own clock, ledger and memory.

Invariants:
    A run starts in its window and is reserved in it; once begun it may go on after the window has closed.
    Never more runs than the signed study says: every reservation counts for ever, whatever became of its run.
    At most one run of a window releases. One that ended without a result may be tried again in its window, as
    a run of its own, with a table that people attested anew for it.
"""

from __future__ import annotations

import datetime

from sqlalchemy import Connection

from ringfence.clients.records.participations import Participations
from ringfence.privacy.agreements.series import Window, utc_told
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.ledger import Ledger
from ringfence.privacy.ledger.entries import RunOfSeries
from ringfence.privacy.ledger.series import booked_runs


def turn_of(study: Study, run: str, window: int) -> RunOfSeries | None:
    """Which run of a series an offer is for; None for a study that is run once.

    Raises:
        StudyError: RF-S480 the offer names a window of a study that has none, or none of one that has;
            RF-S473 the series has no such window.
    """
    if (study.series is None) != (window == 0):
        raise StudyError(
            "RF-S480",
            N_(
                "The offer of {study} names the window {window}, which does not go with the signed study; "
                "nothing was reserved."
            ),
            study=study.id,
            window=window,
        )
    if study.series is None:
        return None
    study.series.window(window)
    return RunOfSeries(run=run, window=window)


def require_open(study: Study, window: int, now: datetime.datetime, said: int) -> None:
    """Refuse a run that does not start in its window, by this holder's clock.

    Args:
        study: the series.
        window: number of the window.
        now: the present moment here, UTC.
        said: the present moment at the coordinator, in seconds since 1970, as the offer says.

    Raises:
        StudyError: RF-S481 too early, RF-S482 too late.
    """
    assert study.series is not None
    found = study.series.window(window)
    values = {
        "study": study.id,
        "window": window,
        "now": utc_told(now),
        "said": _moment(said),
        **found.told(),
    }
    if now < found.opens:
        raise StudyError(
            "RF-S481",
            N_(
                "Run {window} of {study} may start from {opens} on; it is {now} here and {said} at the "
                "coordinator. Compare the clocks where they differ."
            ),
            **values,
        )
    if now >= found.closes:
        raise StudyError(
            "RF-S482",
            N_(
                "Run {window} of {study} could start until {closes}; it is {now} here and {said} at the "
                "coordinator. Compare the clocks where they differ."
            ),
            **values,
        )


def require_turn(
    ledger: Ledger,
    participations: Participations,
    study: Study,
    turn: RunOfSeries,
    connection: Connection | None = None,
) -> None:
    """Refuse a run that the series has no room for.

    Asked before anything is reserved, and with a connection again in the transaction that reserves, where the
    run's own reservation stands already.

    Raises:
        StudyError: RF-S483 a run of this window released, RF-S484 one is still going on, RF-S485 all runs
            were used, RF-S486 this run is over here.
    """
    booked = booked_runs(ledger, study.digest(), connection)
    others = [each for each in booked if each.run != turn.run]
    if len(booked) - len(others) > (0 if connection is None else 1):
        raise StudyError(
            "RF-S486",
            N_("This run of {study} is over here; run {window} can be tried again as a run of its own."),
            study=study.id,
            window=turn.window,
        )
    released = participations.released_runs(study.digest(), connection)
    for each in others:
        if each.window == turn.window and each.run in released:
            raise window_used(study, turn.window)
        if each.window == turn.window and each.open:
            raise StudyError(
                "RF-S484",
                N_(
                    "A run of {study} is still going on in window {window}; another one in this window can "
                    "start when that has ended without a result."
                ),
                study=study.id,
                window=turn.window,
            )
    if len(others) >= study.runs:
        raise StudyError(
            "RF-S485",
            N_(
                "All {runs} runs of {study} were used here, failed ones counted; more of them are a new "
                "study."
            ),
            runs=study.runs,
            study=study.id,
        )


def window_used(study: Study, window: int) -> StudyError:
    """The refusal of a second run in a window that released."""
    return StudyError(
        "RF-S483",
        N_("Window {window} of {study} had its run, which released; a window has one."),
        window=window,
        study=study.id,
    )


def window_to_attest(
    ledger: Ledger, participations: Participations, study: Study, asked: int | None, now: datetime.datetime
) -> int:
    """For which run of a series people attest their table; 0 for a study that is run once.

    Args:
        ledger, participations: the holder's.
        study: the study.
        asked: the number people gave, or None: the run that can still start, else the next one.
        now: the present moment, UTC.

    Raises:
        StudyError: RF-S487 the study is no series, RF-S473 it has no such run, RF-S488 that window is over or
            is not the next one, RF-S489 no run is to come.
    """
    if study.series is None:
        if asked is not None:
            raise StudyError(
                "RF-S487",
                N_("The study {study} is run once; leave --run out."),
                study=study.id,
            )
        return 0
    if asked is None:
        found = waiting_window(ledger, participations, study, now)
        if found is None:
            raise StudyError(
                "RF-S489",
                N_("No run of {study} is to come here; its last window closes at {closes}."),
                study=study.id,
                closes=utc_told(study.series.ends()),
            )
        return found.number
    wanted = study.series.window(asked)
    if wanted not in (study.series.window_at(now), study.series.window_after(now)):
        raise StudyError(
            "RF-S488",
            N_(
                "Window {window} of {study} is open from {opens} to {closes}, and it is {now}: a table is "
                "attested for the window that is open or for the next one."
            ),
            window=asked,
            study=study.id,
            now=utc_told(now),
            **wanted.told(),
        )
    return asked


def require_unattested_run(
    ledger: Ledger, participations: Participations, study: Study, window: int, connection: Connection | None
) -> None:
    """Refuse to attest a table for a window whose run has begun or has released.

    Raises:
        StudyError: RF-S321 it has begun here, RF-S483 it has released.
    """
    digest = study.digest()
    released = participations.released_runs(digest, connection)
    for each in booked_runs(ledger, digest, connection):
        if each.window == window and each.open:
            raise StudyError(
                "RF-S321",
                N_("The study {study} has begun here, with the table that was attested for it then."),
                study=study.id,
            )
        if each.window == window and each.run in released:
            raise window_used(study, window)


def waiting_window(
    ledger: Ledger, participations: Participations, study: Study, now: datetime.datetime
) -> Window | None:
    """The window that a run may still start in here, or the next one; None where the series is over."""
    if study.series is None:
        return None
    digest = study.digest()
    booked = booked_runs(ledger, digest)
    if len(booked) >= study.runs:
        return None
    released = participations.released_runs(digest)
    present = study.series.window_at(now)
    had = present is not None and any(
        each.window == present.number and (each.open or each.run in released) for each in booked
    )
    return study.series.window_after(now) if had or present is None else present


def _moment(seconds: int) -> str:
    try:
        return utc_told(datetime.datetime.fromtimestamp(seconds, datetime.UTC))
    except (ValueError, OverflowError, OSError):
        return str(seconds)
