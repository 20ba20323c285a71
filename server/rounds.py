"""A study from offer to model: join, agree on a roster, sum round by round, release.

The coordinator sees key messages, echoes and masked words, and of each round the noisy sum. What becomes of
an attempt in which a holder fails to answer is fixed by the signed study: `retry_sums.py` or
`recover_sums.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from ringfence.models.evaluation import Evaluated
from ringfence.models.metrics.noisy import NoisyFigures
from ringfence.models.task import Released
from ringfence.privacy.errors import N_, StudyError, WaistError
from ringfence.privacy.stores.journal import Json, listed
from ringfence.privacy.waist import Query
from ringfence.server.coordinator import Coordinator, OpenStudy
from ringfence.server.membership import Members, finish, keep_owed, offer
from ringfence.server.records.released_sums import ReleasedSum
from ringfence.server.records.runs import RELEASED, KeptRun, RunStore
from ringfence.server.recover_sums import Recover
from ringfence.server.release.withdrawing import SignedOff, withdraw_intent
from ringfence.server.release.witnessing import (
    TOO_FEW_COSIGNED,
    Intended,
    release_witnessed,
    require_witnesses,
)
from ringfence.server.retry_sums import Retry
from ringfence.server.sums import Conduct
from ringfence.server.transport import Nobody, Transport

Progress = Callable[[int, int, str], None]
STOPPED = "stopped"
TOO_FEW = "RF-W200"
"""The code that says that too few holders could be reached."""
_GOES_ON = frozenset({TOO_FEW, TOO_FEW_COSIGNED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a study ends with.

    Attributes:
        result: the task's model, e.g. a scorecard.
        figures: of the model's quality, noisy; None for a study without a test part.
        digest: its digest, as the log and the holders have it.
        holders: names of the holders in the last sum.
        absent: names of the holders that did not join or dropped out.
        attempts: attempts spent on each round, those of a last one without a sum included.
        unfinished: name of the stage that could not be summed, so that the study ended with the model it had
            by then; empty for a study that went to its end.
        witnesses: names of the holders that cosigned the release.
    """

    result: Released
    figures: NoisyFigures | None
    digest: str
    holders: tuple[str, ...]
    absent: tuple[str, ...]
    attempts: tuple[int, ...]
    unfinished: str = ""
    witnesses: tuple[str, ...] = ()


def run_study(
    coordinator: Coordinator,
    opened: OpenStudy,
    transport: Transport,
    progress: Progress = lambda *_: None,
    runs: RunStore | None = None,
) -> Release:
    """Run a signed study over a transport.

    Args:
        coordinator: who runs it.
        opened: the signed study.
        transport: reaches the holders.
        progress: told (rounds done, rounds in all, name of the round).
        runs: keeps the run; where the study's run is in it already, that run goes on. In the log's store.

    Raises:
        WaistError: RF-W200 too few holders joined or stayed, RF-W237 too few cosigned the release: a run that
            is kept goes on from here when it is run again, one that is not is over; or a round failed in all
            its attempts.
        StudyError: the study's run is over, or was kept by another version.
    """
    conduct, kept = _taken_up(coordinator, opened, transport, runs)
    opened = conduct.opened
    if kept.outcome:
        return _told_again(conduct, kept, progress)
    try:
        release = _run(conduct, kept, progress, waits=runs is not None)
    except WaistError as error:
        if runs is not None and error.code in _GOES_ON:
            # Who cannot be reached today may be tomorrow, and what was released is paid for.
            raise
        # The holders close their reservations; nothing is released.
        with kept.decided(error.code):
            pass
        finish(coordinator, opened, transport, conduct.members, None, kept)
        raise
    finish(coordinator, opened, transport, conduct.members, release.digest, kept)
    return release


def stop_study(
    coordinator: Coordinator,
    opened: OpenStudy,
    transport: Transport | None,
    runs: RunStore,
    *,
    discard: bool = False,
    signed: SignedOff | None = None,
) -> Release | None:
    """End a run that is not over: with the model that its sums make, or without one.

    Args:
        coordinator: who runs it.
        opened: the signed study.
        transport: reaches the holders, who are told; None where nobody can be: the run ends all the same, and
            they are told later (`post/ending.py`).
        runs: keeps the run.
        discard: end it without a model, whether or not its sums make one.
        signed: who signs that an intent to release it is withdrawn; needed where there is one.

    Returns:
        What was released, or None.

    Raises:
        StudyError: RF-S380 the run is over, RF-S385 it never began, RF-S464 its sums make a model, and nobody
            can be asked to cosign the release.
        WaistError: RF-W440 too few that could cosign are there, and nothing is changed; RF-W237 too few
            cosigned; RF-W454 an intent stands, and nobody signs its withdrawal.
    """
    _require_begun(opened, runs)
    conduct, kept = _taken_up(coordinator, opened, transport or Nobody(), runs)
    release = None
    if kept.outcome == RELEASED:
        release = _replayed(conduct.opened, kept, lambda *_: None)
    elif not kept.outcome:
        if not discard:
            with suppress(WaistError):  # sums that make no model yet
                release = _released(conduct.opened, kept, lambda *_: None, _only_kept(kept))
        if release is None:
            if kept.intent is not None:
                withdraw_intent(conduct, kept, signed)
            with kept.decided(STOPPED) as connection:
                _stopped(conduct, connection)
        elif transport is None:
            raise StudyError(
                "RF-S464",
                N_(
                    "The sums of {study} make a model, and holders cosign before it is released: start the "
                    "gateway (ringfence-server serve), or end the run without the model: --without-model"
                ),
                study=opened.study.id,
            )
        else:
            require_witnesses(conduct, kept)
            release = _decide(conduct, kept, release)
    digest = None if release is None else release.digest
    finish(coordinator, conduct.opened, conduct.transport, conduct.members, digest, kept)
    return release


def _stopped(conduct: Conduct, connection: Connection | None) -> None:
    """The event of people who end a run without a model, in the transaction of its outcome."""
    opened = conduct.opened
    told: dict[str, Json] = {"run": opened.run}
    if opened.window:
        told["window"] = opened.window
    conduct.coordinator.log.record(
        "study.stopped", "allow", resource=f"study:{opened.digest}", public=told, connection=connection
    )


def withdraw_release(
    coordinator: Coordinator, opened: OpenStudy, runs: RunStore, signed: SignedOff | None
) -> None:
    """Take back what a run means to release; when it is run again, it means to release what it makes then.

    Raises:
        StudyError: RF-S385 it never began, RF-S380 it is over.
        WaistError: as `withdraw_intent`.
    """
    _require_begun(opened, runs)
    conduct, kept = _taken_up(coordinator, opened, Nobody(), runs)
    withdraw_intent(conduct, kept, signed)


def _require_begun(opened: OpenStudy, runs: RunStore) -> None:
    if runs.find(opened) is None:
        raise StudyError(
            "RF-S385",
            N_("The study {study} was never run here; there is nothing to stop."),
            study=opened.study.id,
        )


def _taken_up(
    coordinator: Coordinator, opened: OpenStudy, transport: Transport, runs: RunStore | None
) -> tuple[Conduct, KeptRun]:
    """The study's run, fresh or as it was left."""
    kept = KeptRun(run=opened.run) if runs is None else runs.take_up(opened)
    conduct = Conduct(
        coordinator=coordinator,
        opened=replace(opened, run=kept.run),
        transport=transport,
        members=Members(joined=set(kept.joined), unsure=set(kept.unsure)),
    )
    return conduct, kept


def _run(conduct: Conduct, kept: KeptRun, progress: Progress, *, waits: bool) -> Release:
    """The run from offer to release, the farewell apart; sums that were kept ask nothing of anybody."""
    recover = conduct.opened.study.privacy.dropouts == "recover"
    kind = Recover if recover else Retry
    way = kind(conduct=conduct, numbered=kept.numbered, number=kept.roster)
    offered = False

    def sum_of(query: Query) -> ReleasedSum:
        nonlocal offered
        known = kept.replayed(query)
        if known is not None:
            return known
        if not offered:
            _owe(conduct, kept)
            offer(conduct.coordinator, conduct.opened, conduct.transport, conduct.members)
            kept.admit(conduct.members.joined)
            conduct.require()
            offered = True
        return _summed(way, kept, query)

    # What is to be released is fixed with the intent: nothing further is asked of anybody's rows.
    asked = sum_of if kept.intent is None else _only_kept(kept)
    release = _released(conduct.opened, kept, progress, asked, waits=waits)
    return _decide(conduct, kept, release)


def _decide(conduct: Conduct, kept: KeptRun, release: Release) -> Release:
    """Have the release cosigned, and fix it."""
    opened = conduct.opened
    told: dict[str, Json] = {"model": release.digest, "run": opened.run, "holders": listed(release.holders)}
    told |= {"unfinished": release.unfinished} if release.unfinished else {}
    names = release_witnessed(conduct, kept, Intended(digest=release.digest, told=told))
    return replace(release, witnesses=names)


def _released(
    opened: OpenStudy,
    kept: KeptRun,
    progress: Progress,
    sum_of: Callable[[Query], ReleasedSum],
    *,
    waits: bool = False,
) -> Release:
    """The model that the sums make, asked for one after another until there is one.

    Args:
        opened: the signed study.
        kept: its run.
        progress: told what is asked.
        sum_of: the sum of a query.
        waits: the run can go on another day, so that it does not end early for want of holders.
    """
    attempts, holders = list[int](), tuple[str, ...]()
    state, step = opened.task.start(opened.context)
    rounds, unfinished = opened.plan.rounds, ""
    while isinstance(step, Query):
        progress(step.round, len(rounds), rounds[step.round].name)
        try:
            summed = sum_of(step)
        except WaistError as error:
            if waits and error.code == TOO_FEW:
                raise
            # What was released is paid for: the study ends with the model it makes, if it makes one.
            model = opened.task.so_far(opened.context, state) if opened.task.so_far else None
            if model is None:
                raise
            # The attempts that failed are paid for like the others, and belong to the price that is told.
            attempts.append(kept.first_attempt(step))
            step, unfinished = model, rounds[step.round].name
            break
        attempts.append(summed.attempts)
        holders = summed.names
        state, step = opened.task.step(opened.context, state, summed.aggregate)
    progress(len(rounds), len(rounds), "release")
    model, figures = (step.model, step.figures) if isinstance(step, Evaluated) else (step, None)
    return Release(
        result=model,
        figures=figures,
        digest=model.digest(),
        holders=holders,
        absent=tuple(sorted(set(opened.participants) - set(holders))),
        attempts=tuple(attempts),
        unfinished=unfinished,
    )


def released_again(opened: OpenStudy, runs: RunStore) -> Release:
    """What a study released whose outcome is fixed, made anew from the sums that were kept.

    Raises:
        StudyError: RF-S383 it did not end with a model, RF-S382 its sums make another model than was
            released.
    """
    kept = runs.find(opened)
    if kept is None or kept.outcome != RELEASED:
        raise StudyError(
            "RF-S383",
            N_("The study {study} has released nothing here; run it: ringfence-server study run"),
            study=opened.study.id,
        )
    return _replayed(opened, kept, lambda *_: None)


def _replayed(opened: OpenStudy, kept: KeptRun, progress: Progress) -> Release:
    """The release that kept sums make.

    Raises:
        StudyError: RF-S382 it is another than was released.
    """
    release = _released(opened, kept, progress, _only_kept(kept))
    if release.digest != kept.model:
        raise StudyError(
            "RF-S382",
            N_(
                "The kept sums of the study {study} make another model than the one that was released: "
                "another version kept them. Go on with that version."
            ),
            study=opened.study.id,
        )
    proof = None if kept.intent is None else kept.intent.proof
    cosigned = () if proof is None else proof.cosignatures
    return replace(release, witnesses=tuple(each.holder for each in cosigned))


def _only_kept(kept: KeptRun) -> Callable[[Query], ReleasedSum]:
    """The sums of a run that asks nobody any more."""

    def known(query: Query) -> ReleasedSum:
        found = kept.replayed(query)
        if found is None:
            raise WaistError("RF-W206", N_("The study ended before this round was summed."))
        return found

    return known


def _told_again(conduct: Conduct, kept: KeptRun, progress: Progress) -> Release:
    """The end of a run whose outcome was fixed before a restart: its holders are told, and nothing is asked.

    Raises:
        StudyError: RF-S381 it ended without a model, RF-S382 its sums make another model than was released.
    """
    release = _replayed(conduct.opened, kept, progress) if kept.outcome == RELEASED else None
    finish(
        conduct.coordinator,
        conduct.opened,
        conduct.transport,
        conduct.members,
        release.digest if release else None,
        kept,
    )
    if release is None:
        raise StudyError(
            "RF-S381",
            N_("The run of the study {study} had ended without a model ({why}); its holders are told now."),
            study=conduct.opened.study.id,
            why=kept.outcome,
        )
    return release


def _owe(conduct: Conduct, kept: KeptRun) -> None:
    """Keep that all are to be told the end, before anybody is offered the run: whoever hears it may join."""
    with kept.writing() as connection:
        if connection is not None:
            keep_owed(connection, conduct.opened, conduct.opened.participants)


def _summed(way: Recover | Retry, kept: KeptRun, query: Query) -> ReleasedSum:
    """A new sum of a round, kept before it is used."""
    way.conduct.welcome(query.round)
    try:
        summed = way.round(query, lambda attempt: kept.asked(query, attempt), kept.first_attempt(query))
    finally:
        kept.admit(way.conduct.members.joined)
    released = ReleasedSum(
        query=query.digest().hex(), aggregate=summed.aggregate, attempts=summed.attempts, names=summed.holders
    )
    kept.released(released)
    return released
