"""How often a study may be refused, and of how many studies that is counted."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, insert, inspect

from ringfence.clients.records.offers import METADATA, MOST_REFUSALS, MOST_STUDIES, Offers
from ringfence.privacy.errors import StudyError
from ringfence.privacy.stores.store import open_store

STUDY, OTHER = "sha256:" + "ab" * 32, "sha256:" + "cd" * 32


@pytest.fixture
def engine() -> Engine:
    return open_store(None)


def refused(counts: Offers, engine: Engine, study: str = STUDY) -> bool:
    with engine.begin() as connection:
        return counts.refused(study, connection=connection)


def test_the_limits() -> None:
    assert (MOST_REFUSALS, MOST_STUDIES) == (64, 4096)


def test_the_table_that_older_stores_have(engine: Engine) -> None:
    Offers(engine)
    columns = inspect(engine).get_columns("refused_offers")
    assert [(c["name"], c["nullable"], bool(c["primary_key"])) for c in columns] == [
        ("federation", False, True),
        ("study", False, True),
        ("refusals", False, False),
    ]
    assert columns[1]["type"].length == 71  # type: ignore[attr-defined]


def test_as_many_refusals_are_recorded_as_the_limit_says_and_then_none(engine: Engine) -> None:
    counts = Offers(engine)
    for _ in range(MOST_REFUSALS):
        counts.check(STUDY)
        assert refused(counts, engine)
    for _ in range(2):
        with pytest.raises(StudyError, match="refused 64 times"):
            counts.check(STUDY)
        assert not refused(counts, engine)
    counts.check(OTHER)
    assert refused(counts, engine, OTHER), "each study has a count of its own"
    with pytest.raises(StudyError, match="RF-S320"):
        Offers(engine).check(STUDY)


def test_a_study_that_is_opened_again_has_all_its_refusals_before_it(engine: Engine) -> None:
    counts = Offers(engine)
    for study in (STUDY, OTHER):
        while refused(counts, engine, study):
            pass
    counts.reopen(STUDY)
    counts.check(STUDY)
    assert [refused(counts, engine) for _ in range(MOST_REFUSALS + 1)] == [True] * MOST_REFUSALS + [False]
    with engine.begin() as connection:
        counts.reopen(STUDY, connection=connection)
        assert counts.refused(STUDY, connection=connection)
    counts.check(STUDY)
    with pytest.raises(StudyError, match="RF-S320"):
        counts.check(OTHER)


def test_a_count_is_undone_with_its_transaction(engine: Engine) -> None:
    counts = Offers(engine)
    for step in (counts.refused, counts.reopen):
        with engine.connect() as connection:
            step(STUDY, connection=connection)
            connection.rollback()
        with engine.begin() as connection:
            assert counts._refusals(STUDY, connection) is None


def test_once_so_many_studies_are_counted_only_those_are_looked_at(engine: Engine) -> None:
    counts = Offers(engine)
    rows = [
        {"federation": 1, "study": f"sha256:{number:064x}", "refusals": 0}
        for number in range(MOST_STUDIES - 1)
    ]
    with engine.begin() as connection:
        connection.execute(insert(METADATA.tables["refused_offers"]), rows)
    counts.check(STUDY)
    assert refused(counts, engine), "the last that fits"
    counts.check(STUDY)
    with pytest.raises(StudyError, match="RF-S370: 4096 studies"):
        counts.check(OTHER)
    assert not refused(counts, engine, OTHER)
    with engine.begin() as connection:
        assert counts._refusals(OTHER, connection) is None
    counts.reopen(OTHER)
    counts.check(OTHER)
    assert refused(counts, engine, OTHER), "the holder's own people want it looked at"


def test_what_one_federation_is_refused_counts_for_no_other(engine: Engine) -> None:
    mine, theirs = Offers(engine, 2), Offers(engine, 3)
    while refused(mine, engine):
        pass
    with pytest.raises(StudyError, match="RF-S320"):
        mine.check(STUDY)
    theirs.check(STUDY)
    assert refused(theirs, engine)
    theirs.reopen(STUDY)
    with pytest.raises(StudyError, match="RF-S320"):
        mine.check(STUDY)
