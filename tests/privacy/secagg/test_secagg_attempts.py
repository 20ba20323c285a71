"""The store of attempts: one attempt, one query, one answer, whatever crashes or repeats."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import ColumnElement, Engine, and_, create_engine, select, update

from ringfence.privacy.errors import WaistError
from ringfence.privacy.secagg.attempts import ATTEMPTS, AttemptKey, AttemptStore
from ringfence.privacy.wire.fields import digest_of

KEY = secrets.token_bytes(32)
FIRST = AttemptKey(study=digest_of(b"study"), run="0" * 32, round=1, attempt=1, query=bytes(32))
ANSWER = b"a signed envelope of masked words"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'store.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> AttemptStore:
    return AttemptStore(engine, KEY)


def row(key: AttemptKey) -> ColumnElement[bool]:
    return and_(*(ATTEMPTS.c[name] == value for name, value in key.columns().items()))


def refusal(store: AttemptStore, key: AttemptKey) -> str:
    with pytest.raises(WaistError) as caught:
        store.begin(key)
    return caught.value.code


def test_a_repeat_gets_the_same_bytes(engine: Engine, store: AttemptStore) -> None:
    assert store.begin(FIRST) is None
    store.store(FIRST, ANSWER)
    assert store.begin(FIRST) == ANSWER
    assert AttemptStore(engine, KEY).begin(FIRST) == ANSWER


def test_another_query_under_the_same_attempt_is_refused(store: AttemptStore) -> None:
    store.begin(FIRST)
    other = replace(FIRST, query=bytes(31) + b"1")
    assert refusal(store, other) == "RF-W161"
    store.store(FIRST, ANSWER)
    assert refusal(store, other) == "RF-W161"


def test_an_attempt_cut_short_by_a_crash_is_void(engine: Engine, store: AttemptStore) -> None:
    store.begin(FIRST)
    restarted = AttemptStore(engine, KEY)
    assert refusal(restarted, FIRST) == "RF-W162"
    assert restarted.begin(replace(FIRST, attempt=2)) is None


@pytest.mark.parametrize("change", [{"attempt": 0}, {"round": 0}, {"round": 0, "attempt": 9}])
def test_numbers_only_grow(store: AttemptStore, change: dict[str, int]) -> None:
    store.begin(FIRST)
    assert refusal(store, replace(FIRST, **change)) == "RF-W163"  # type: ignore[arg-type]


def test_later_attempts_rounds_and_other_runs_begin(store: AttemptStore) -> None:
    for key in (
        FIRST,
        replace(FIRST, attempt=2),
        replace(FIRST, round=2, attempt=0),
        replace(FIRST, run="1" * 32, round=0, attempt=0),
        replace(FIRST, study=digest_of(b"other"), round=0, attempt=0),
    ):
        assert store.begin(key) is None


def test_an_answer_is_stored_once_and_for_its_query(store: AttemptStore) -> None:
    for early in (FIRST, replace(FIRST, attempt=2)):
        with pytest.raises(WaistError, match="RF-W165"):
            store.store(early, ANSWER)
    store.begin(FIRST)
    with pytest.raises(WaistError, match="RF-W165"):
        store.store(replace(FIRST, query=bytes(31) + b"1"), ANSWER)
    store.store(FIRST, ANSWER)
    with pytest.raises(WaistError, match="RF-W165"):
        store.store(FIRST, b"another")
    assert store.begin(FIRST) == ANSWER


def test_the_answer_is_not_readable_in_the_database(
    engine: Engine, store: AttemptStore, tmp_path: Path
) -> None:
    store.begin(FIRST)
    store.store(FIRST, ANSWER)
    assert ANSWER not in (tmp_path / "store.db").read_bytes()
    with pytest.raises(WaistError, match="RF-W164"):
        AttemptStore(engine, secrets.token_bytes(32)).begin(FIRST)


def test_an_answer_moved_to_another_attempt_is_refused(engine: Engine, store: AttemptStore) -> None:
    second = replace(FIRST, attempt=2)
    store.begin(FIRST)
    store.store(FIRST, ANSWER)
    store.begin(second)
    with engine.begin() as connection:
        moved = connection.execute(select(ATTEMPTS.c.answer).where(row(FIRST))).scalar_one()
        connection.execute(update(ATTEMPTS).where(row(second)).values(answer=moved))
    assert refusal(store, second) == "RF-W164"


@pytest.mark.parametrize(
    "change",
    [
        {"study": digest_of(b"other")},
        {"run": "1" * 32},
        {"round": 2},
        {"attempt": 2},
        {"query": bytes([1]) * 32},
    ],
)
def test_an_answer_opens_under_its_own_key_only(
    engine: Engine, store: AttemptStore, change: dict[str, str | int | bytes]
) -> None:
    """Whoever writes to the database cannot pass an answer off as that of another query."""
    store.begin(FIRST)
    store.store(FIRST, ANSWER)
    other = AttemptKey(**({name: getattr(FIRST, name) for name in FIRST.__slots__} | change))
    with engine.begin() as connection:
        connection.execute(update(ATTEMPTS).where(row(FIRST)).values(**other.values()))
    assert refusal(store, other) == "RF-W164"


def test_an_altered_answer_is_refused(engine: Engine, store: AttemptStore) -> None:
    store.begin(FIRST)
    store.store(FIRST, ANSWER)
    with engine.begin() as connection:
        kept = connection.execute(select(ATTEMPTS.c.answer).where(row(FIRST))).scalar_one()
        connection.execute(
            update(ATTEMPTS).where(row(FIRST)).values(answer=kept[:-1] + bytes([kept[-1] ^ 1]))
        )
    assert refusal(store, FIRST) == "RF-W164"
    with engine.begin() as connection:
        connection.execute(update(ATTEMPTS).where(row(FIRST)).values(answer=b""))
    assert refusal(store, FIRST) == "RF-W164"


def test_a_rolled_back_transaction_leaves_no_attempt(engine: Engine, store: AttemptStore) -> None:
    """Ledger, event and attempt are one transaction of the caller."""
    with engine.connect() as connection, connection.begin() as transaction:
        assert store.begin(FIRST, connection=connection) is None
        transaction.rollback()
    with engine.begin() as connection:
        assert store.begin(FIRST, connection=connection) is None
        store.store(FIRST, ANSWER, connection=connection)
    assert store.begin(FIRST) == ANSWER


def test_a_finished_run_keeps_its_numbers_only(engine: Engine, store: AttemptStore) -> None:
    other = replace(FIRST, run="1" * 32)
    for key in (FIRST, other):
        store.begin(key)
        store.store(key, ANSWER)
    store.forget(study=FIRST.study, run=FIRST.run)
    assert refusal(store, FIRST) == "RF-W162"
    assert store.begin(other) == ANSWER


def test_a_short_key_is_refused(engine: Engine) -> None:
    with pytest.raises(WaistError, match="RF-W160"):
        AttemptStore(engine, bytes(16))


LIST, OTHER = digest_of(b"one list of who answered"), digest_of(b"another list")


def settle_refusal(store: AttemptStore, key: AttemptKey, survivors: str) -> str:
    with pytest.raises(WaistError) as caught:
        store.settle(key, survivors)
    return caught.value.code


def test_one_list_of_who_answered_is_settled_for_good(engine: Engine, store: AttemptStore) -> None:
    store.begin(FIRST)
    assert settle_refusal(store, FIRST, LIST) == "RF-W181"
    store.store(FIRST, ANSWER)
    store.settle(FIRST, LIST)
    store.settle(FIRST, LIST)
    for opened in (store, AttemptStore(engine, KEY)):
        assert settle_refusal(opened, FIRST, OTHER) == "RF-W180"
        opened.settle(FIRST, LIST)


def test_a_list_is_settled_for_the_query_that_was_answered(store: AttemptStore) -> None:
    store.begin(FIRST)
    store.store(FIRST, ANSWER)
    assert settle_refusal(store, replace(FIRST, query=bytes(31) + b"1"), LIST) == "RF-W181"
    assert settle_refusal(store, replace(FIRST, attempt=2), LIST) == "RF-W181"


def test_each_attempt_has_a_list_of_its_own(store: AttemptStore) -> None:
    for attempt, survivors in ((1, LIST), (2, OTHER)):
        key = replace(FIRST, attempt=attempt)
        store.begin(key)
        store.store(key, ANSWER)
        store.settle(key, survivors)
    assert settle_refusal(store, replace(FIRST, attempt=1), OTHER) == "RF-W180"
    assert settle_refusal(store, replace(FIRST, attempt=2), LIST) == "RF-W180"


def test_a_list_is_durable_with_the_callers_transaction_only(engine: Engine, store: AttemptStore) -> None:
    store.begin(FIRST)
    store.store(FIRST, ANSWER)
    with engine.connect() as connection:
        transaction = connection.begin()
        store.settle(FIRST, LIST, connection=connection)
        transaction.rollback()
    store.settle(FIRST, OTHER)


def test_a_forgotten_run_signs_no_list_again(store: AttemptStore) -> None:
    store.begin(FIRST)
    store.store(FIRST, ANSWER)
    store.settle(FIRST, LIST)
    store.forget(study=FIRST.study, run=FIRST.run)
    assert settle_refusal(store, FIRST, LIST) == "RF-W181"
