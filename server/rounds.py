"""A study from offer to model: join, agree on a roster, sum round by round, release.

The coordinator sees key messages, echoes and masked words, and of each round the noisy sum. What becomes of an
attempt in which a holder fails to answer is fixed by the signed study: `retry.py` or `recovery.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ringfence.models.evaluation import Evaluated
from ringfence.models.metrics.noisy import NoisyFigures
from ringfence.privacy.errors import WaistError
from ringfence.privacy.journal import listed
from ringfence.privacy.waist import Query
from ringfence.server.coordinator import Coordinator, OpenStudy
from ringfence.server.membership import Members, finish, offer
from ringfence.server.progress import ReleasedSum, RunFile
from ringfence.server.recovery import Recover
from ringfence.server.retry import Retry
from ringfence.server.sums import Conduct
from ringfence.server.transport import Transport

Progress = Callable[[int, int, str], None]


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
        unfinished: name of the stage that could not be summed, so that the study ended with the model it had by
            then; empty for a study that went to its end.
    """

    result: object
    figures: NoisyFigures | None
    digest: str
    holders: tuple[str, ...]
    absent: tuple[str, ...]
    attempts: tuple[int, ...]
    unfinished: str = ""


def run_study(
    coordinator: Coordinator,
    opened: OpenStudy,
    transport: Transport,
    progress: Progress = lambda *_: None,
    state: Path | None = None,
) -> Release:
    """Run a signed study over a transport.

    Args:
        coordinator: who runs it.
        opened: the signed study.
        transport: reaches the holders.
        progress: told (rounds done, rounds in all, name of the round).
        state: file that the run is kept in; where there is one already, the run in it goes on.

    Raises:
        WaistError: too few holders joined or stayed, or a round failed in all its attempts.
        StudyError: the file is of another study, of another version, or none at all.
    """
    kept = RunFile.open(state, opened)
    opened = replace(opened, run=kept.run)
    members = offer(coordinator, opened, transport)
    try:
        return _run(coordinator, opened, transport, members, progress, kept)
    except WaistError:
        # The holders close their reservations; nothing is released.
        finish(coordinator, opened, transport, members, None)
        raise


def _run(
    coordinator: Coordinator,
    opened: OpenStudy,
    transport: Transport,
    members: Members,
    progress: Progress,
    kept: RunFile,
) -> Release:
    conduct = Conduct(coordinator=coordinator, opened=opened, transport=transport, members=members)
    conduct.require()
    recover = opened.study.privacy.dropouts == "recover"
    kind = Recover if recover else Retry
    way = kind(conduct=conduct, number=kept.roster)
    attempts, holders = list[int](), tuple[str, ...]()
    state, step = opened.task.start(opened.context)
    rounds, unfinished = opened.plan.rounds, ""
    while isinstance(step, Query):
        progress(step.round, len(rounds), rounds[step.round].name)
        try:
            summed = _summed(way, kept, step)
        except WaistError:
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
    digest = model.digest()
    coordinator.log.record(
        "model.released",
        "allow",
        resource=f"study:{opened.digest}",
        public={"model": digest, "run": opened.run, "holders": listed(holders)}
        | ({"unfinished": unfinished} if unfinished else {}),
    )
    finish(coordinator, opened, transport, members, digest)
    return Release(
        result=model,
        figures=figures,
        digest=digest,
        holders=holders,
        absent=tuple(sorted((members.absent | set(members.keys)) - set(holders))),
        attempts=tuple(attempts),
        unfinished=unfinished,
    )


def _summed(way: Recover | Retry, kept: RunFile, query: Query) -> ReleasedSum:
    """The sum of a round: the kept one after a restart, or a new one, kept before anything follows from it."""
    known = kept.replayed(query)
    if known is not None:
        return known
    summed = way.round(
        query, lambda attempt, roster: kept.asked(query, attempt, roster), kept.first_attempt(query)
    )
    released = ReleasedSum(
        query=query.digest().hex(), aggregate=summed.aggregate, attempts=summed.attempts, names=summed.holders
    )
    kept.released(released)
    return released
