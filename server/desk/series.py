"""Which run of a study its people mean: the one that is due, the one that goes on, the one that released."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from ringfence.privacy.agreements.study import Study
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.wire.fields import utc_now
from ringfence.server.home import Office
from ringfence.server.records.run_standings import RunStanding, runs_kept
from ringfence.server.records.runs import RELEASED
from ringfence.server.records.series import stop_series, window_now

Pick: TypeAlias = Callable[[Office, Study], int]
"""Number of the run of a series that is meant; 0 for a study that is run once."""


def run_due(_office: Office, study: Study) -> int:
    """The run whose window is open now.

    Raises:
        StudyError: RF-S478 none is.
    """
    return 0 if study.series is None else window_now(study.id, study.series, utc_now()).number


def run_under_way(office: Office, study: Study) -> int:
    """The run that goes on, the latest where several do; the present window where none does.

    Raises:
        StudyError: RF-U741 none of a series goes on.
    """
    if study.series is None:
        return 0
    return going_on(office, study)[0].window


def going_on(office: Office, study: Study) -> tuple[RunStanding, ...]:
    """The runs of a study that have not ended, the latest first.

    Raises:
        StudyError: RF-U741 there is none.
    """
    found = _open_runs(office, study.digest())
    if not found:
        raise StudyError(
            "RF-U741",
            N_("No run of {study} is going on: ringfence-server study show {study} lists its runs."),
            study=study.id,
        )
    return found


def run_released(number: int | None) -> Pick:
    """The run of a number; without one the last that released."""

    def pick(office: Office, study: Study) -> int:
        if study.series is None:
            if number is not None:
                raise StudyError(
                    "RF-U742", N_("The study {study} is run once; leave --run out."), study=study.id
                )
            return 0
        if number is not None:
            return study.series.window(number).number
        done = [each.window for each in runs_of(office, study.digest()) if each.outcome == RELEASED]
        if not done:
            raise StudyError(
                "RF-S383",
                N_("The study {study} has released nothing here; run it: ringfence-server study run"),
                study=study.id,
            )
        return max(done)

    return pick


def interrupted(office: Office, given: Path) -> tuple[Path, Pick]:
    """What to go on with: the study of a run, or the given one, and which of its runs.

    Args:
        office: the coordinator's.
        given: id of a run, or a study as people name it.

    Raises:
        StudyError: RF-U743 the run has ended.
    """
    named = next((each for each in runs_kept(office.engine) if each.run == str(given)), None)
    if named is None:
        return given, lambda office, study: going_on(office, study)[0].window
    if named.ended:
        raise StudyError(
            "RF-U743",
            N_("The run {run} of {study} ended, {ended}; there is nothing to go on with."),
            run=named.run,
            study=named.name,
            ended=named.ended,
        )
    return Path(named.study), lambda _office, _study: named.window


def runs_of(office: Office, digest: str) -> tuple[RunStanding, ...]:
    """All runs of a study, the newest first."""
    return tuple(each for each in runs_kept(office.engine) if each.study == digest)


def stop_whole_series(office: Office, study: Study) -> str:
    """Let no further run of a series start; an event, once. When it was stopped.

    Raises:
        StudyError: RF-U744 the study is no series.
    """
    if study.series is None:
        raise StudyError(
            "RF-U744", N_("The study {study} is run once; stop it without --series."), study=study.id
        )
    digest = study.digest()
    return stop_series(
        office.engine,
        digest,
        utc_now().isoformat(timespec="seconds"),
        lambda connection: office.log.record(
            "series.stopped", "allow", resource=f"study:{digest}", connection=connection
        ),
    )


def has_open_run(office: Office, study: Study) -> bool:
    """Whether a run of the study has not ended."""
    return bool(_open_runs(office, study.digest()))


def _open_runs(office: Office, digest: str) -> tuple[RunStanding, ...]:
    found = [each for each in runs_of(office, digest) if not each.ended]
    return tuple(sorted(found, key=lambda each: each.window, reverse=True))
