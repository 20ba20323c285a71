"""What a farewell needs of a run, kept although the process that joined it is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine, inspect

from ringfence.clients.records.participations import Participation, Participations, Witnesses
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.wire.heads import LogPosition

STUDY, OTHER = "sha256:" + "ab" * 32, "sha256:" + "cd" * 32
RUN, LATER = "12" * 16, "34" * 16


@pytest.fixture
def engine() -> Engine:
    return open_store(None)


def known(study: str = STUDY, run: str = RUN, size: int = 7) -> Participation:
    return Participation(
        study=study,
        run=run,
        coordinator_log=Identity.generate("log").public,
        position=LogPosition(size=size, root=f"sha256:{size:064x}"),
        witnesses=Witnesses(keys={"bank": "ab" * 32, "银行": "cd" * 32}, quorum=2, floor=1, wait_hours=size),
    )


def end(runs: Participations, engine: Engine, study: str = STUDY, run: str = RUN) -> None:
    with engine.begin() as connection:
        runs.ended(study, run, connection=connection)


def test_a_run_is_known_as_it_was_joined_by_every_later_process(engine: Engine) -> None:
    runs = Participations(engine)
    joined = [known(), known(run=LATER, size=8), known(OTHER, size=9)]
    for each in joined:
        runs.joined(each)
    for each in joined:
        assert Participations(engine).find(each.study, each.run) == each
    assert [each.ended for each in joined] == [False] * 3
    assert runs.find(OTHER, LATER) is None


def test_only_the_run_that_ended_is_over(engine: Engine) -> None:
    runs = Participations(engine)
    joined = [known(), known(run=LATER), known(OTHER)]
    for each in joined:
        runs.joined(each)
    end(runs, engine)
    assert [runs.find(each.study, each.run) for each in joined] == [
        replace(joined[0], ended=True),
        *joined[1:],
    ]


def test_a_run_that_is_joined_again_is_known_by_its_last_join(engine: Engine) -> None:
    runs, other = Participations(engine), known(OTHER)
    runs.joined(other)
    runs.joined(known())
    end(runs, engine)
    again = known(size=99)
    runs.joined(again)
    assert runs.find(STUDY, RUN) == again
    assert runs.find(OTHER, RUN) == other


def test_an_end_is_undone_with_its_transaction(engine: Engine) -> None:
    runs, joined = Participations(engine), known()
    runs.joined(joined)
    with engine.connect() as connection:
        runs.ended(STUDY, RUN, connection=connection)
        connection.rollback()
    assert runs.find(STUDY, RUN) == joined


def test_the_table_that_older_stores_have(engine: Engine) -> None:
    Participations(engine)
    columns = inspect(engine).get_columns("participations")
    assert [(c["name"], c["nullable"], bool(c["primary_key"])) for c in columns] == [
        ("federation", False, True),
        ("study", False, True),
        ("run", False, True),
        ("log_key", False, False),
        ("log_size", False, False),
        ("log_root", False, False),
        ("ended", False, False),
        ("witnesses", False, False),
        ("released", False, False),
    ]
    lengths = [getattr(c["type"], "length", None) for c in columns]
    assert lengths == [None, 71, 32, 64, None, 71, None, None, None]


def test_another_federation_reaches_none_of_the_runs(engine: Engine) -> None:
    """The same study and run, asked by another coordinator, is unknown, and its end ends nothing."""
    mine, theirs, joined = Participations(engine, 2), Participations(engine, 3), known()
    mine.joined(joined)
    assert theirs.find(STUDY, RUN) is None
    assert (mine.elsewhere(STUDY), theirs.elsewhere(STUDY)) == (False, True)
    end(theirs, engine)
    assert mine.open_runs() == ((STUDY, RUN),)
    assert theirs.open_runs() == ()
    assert theirs.ended_by_study() == {}
