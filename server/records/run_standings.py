"""The runs in a coordinator's store as lists show them: how each stands, and how many stand how."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from ringfence.privacy.stores.store import reading
from ringfence.server.records.runs import MEMBERS, METADATA, RELEASED, RUNS


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStanding:
    """How far one run is, for people and programs; no sum and no result is in it.

    Attributes:
        run, study: its id, and the digest of its study.
        name: the study's.
        started: when it began.
        round, attempt: asked last; -1 before the first.
        outcome: "released", or the code of what ended it; empty while rounds are asked.
        ended: when its holders had been told, or empty.
        holders: that ever joined.
        window: of a series, number of the run; 0 for a study that is run once.
    """

    run: str
    study: str
    name: str
    started: str
    round: int
    attempt: int
    outcome: str
    ended: str
    holders: tuple[str, ...]
    window: int = 0

    @property
    def state(self) -> str:
        """One word for it: `running` (or to be run on), `released` or `ended` without a model."""
        return _state(self.outcome, bool(self.ended))


def runs_kept(engine: Engine) -> tuple[RunStanding, ...]:
    """All runs in a store, the newest first."""
    METADATA.create_all(engine)
    of = RUNS.c
    columns = select(
        of.run, of.study, of.name, of.started, of.round, of.attempt, of.outcome, of.ended, of.window
    )
    with reading(engine) as connection:
        rows = connection.execute(columns.order_by(of.started.desc(), of.run)).all()
        # In the order of the table's key, which asks for no sorting.
        members = select(MEMBERS.c.run, MEMBERS.c.holder).order_by(MEMBERS.c.run, MEMBERS.c.holder)
        joined: dict[str, list[str]] = {}
        for of_run, holder in connection.execute(members).all():
            joined.setdefault(of_run, []).append(holder)
    return tuple(
        RunStanding(
            run=run,
            study=study,
            name=name,
            started=started,
            round=reached,
            attempt=attempt,
            outcome=outcome,
            ended=ended,
            holders=tuple(joined.get(run, ())),
            window=window,
        )
        for run, study, name, started, reached, attempt, outcome, ended, window in rows
    )


def count_runs(engine: Engine) -> Counter[str]:
    """How many runs there are, by `RunStanding.state`."""
    METADATA.create_all(engine)
    over = RUNS.c.ended != ""
    with reading(engine) as connection:
        query = select(RUNS.c.outcome, over, func.count()).group_by(RUNS.c.outcome, over)
        rows = connection.execute(query).all()
    found = Counter[str]()
    for outcome, ended, count in rows:
        found[_state(outcome, bool(ended))] += count
    return found


def _state(outcome: str, over: bool) -> str:
    if not outcome:
        return "ended" if over else "running"
    return RELEASED if outcome == RELEASED else "ended"
