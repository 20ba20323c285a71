"""What PostgreSQL refuses is one sentence with what to do, whichever of its errors it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from kits.postgres_kit import postgresql_database
from sqlalchemy import Engine, create_engine, event, make_url, text

from ringfence.privacy.errors import StoreError
from ringfence.privacy.stores.faults import WaitedPool
from ringfence.privacy.stores.lease import lease
from ringfence.privacy.stores.postgresql import connection_settings
from ringfence.privacy.stores.store import open_store, reading


@pytest.fixture
def url(postgresql: str) -> Iterator[str]:
    with postgresql_database(postgresql) as found:
        yield found


def administer(url: str, *statements: str) -> None:
    """What the database's administrator does; the next sessions go by it."""
    with psycopg.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        for statement in statements:
            connection.execute(statement.replace("{database}", name))


@pytest.fixture
def store(url: str) -> Iterator[Engine]:
    engine = open_store(url)
    with engine.begin() as connection:
        connection.execute(text("create table t (x integer)"))
        connection.execute(text("insert into t values (1)"))
    yield engine
    engine.dispose()


def refusal(engine: Engine, statement: str) -> str:
    with pytest.raises(StoreError) as error, engine.begin() as connection:
        connection.execute(text(statement))
    return error.value.code


def test_a_standby_is_not_served_from_and_says_that_it_is_one(url: str, store: Engine) -> None:
    with lease(store):
        pass
    administer(url, "ALTER DATABASE {database} SET default_transaction_read_only = on")
    standby = open_store(url)
    with pytest.raises(StoreError, match="RF-B662"), lease(standby):
        raise AssertionError("it is served")
    assert refusal(standby, "insert into t values (2)") == "RF-B662"
    with reading(standby) as connection:
        assert connection.scalar(text("select x from t")) == 1
    standby.dispose()


@pytest.mark.parametrize("limit", ["statement_timeout", "lock_timeout"])
def test_a_lock_that_is_waited_for_too_long_is_not_told_as_a_database_that_is_gone(
    url: str, store: Engine, limit: str
) -> None:
    administer(url, f"ALTER DATABASE {{database}} SET {limit} = '100ms'")
    hurried = open_store(url)
    with store.begin() as connection:
        connection.execute(text("lock table t"))
        assert refusal(hurried, "insert into t values (2)") == "RF-B661"
    with hurried.begin() as connection:
        connection.execute(text("insert into t values (2)"))
    hurried.dispose()


def test_a_user_without_rights_is_told_what_to_ask_for(url: str, store: Engine) -> None:
    role = f"poor_{make_url(url).database}"
    administer(url, f"CREATE ROLE {role} LOGIN")
    try:
        poor = open_store(url.replace("postgres@", f"{role}@"))
        assert refusal(poor, "select x from t") == "RF-B663"
        poor.dispose()
    finally:
        administer(url, f"DROP ROLE {role}")


def test_other_answers_are_told_by_their_number_and_faults_of_this_program_are_not(store: Engine) -> None:
    raised = "do $$ begin raise exception sqlstate 'XX000' using message = 'of 42'; end $$"
    with pytest.raises(StoreError, match=r"RF-B117.*SQLSTATE XX000") as error, store.begin() as connection:
        connection.execute(text(raised))
    assert "42" not in str(error.value)
    with pytest.raises(Exception, match="nowhere") as fault, store.begin() as connection:
        connection.execute(text("select x from nowhere"))
    assert not isinstance(fault.value, StoreError)


def test_a_process_that_uses_all_its_connections_is_told_so(store: Engine) -> None:
    assert isinstance(store.pool, WaitedPool)
    small = create_engine("sqlite://", poolclass=WaitedPool, pool_size=1, max_overflow=1, pool_timeout=0)
    held = [small.connect() for _ in range(2)]
    assert refusal(small, "select 1") == "RF-B664"
    for each in held:
        each.close()
    with small.begin() as connection:
        assert connection.scalar(text("select 1")) == 1


def test_a_lease_waits_without_the_limit_on_idle_sessions(url: str) -> None:
    administer(url, "ALTER DATABASE {database} SET idle_session_timeout = '1h'")
    engine, sessions = open_store(url), list[Any]()
    event.listen(engine, "checkout", lambda session, *_: sessions.append(session))
    with lease(engine):
        assert sessions[0].execute("SHOW idle_session_timeout").fetchone() == ("0",)
        sessions[0].rollback()
    engine.dispose()


def test_what_the_url_says_of_idle_connections_stands() -> None:
    wanted = connection_settings(make_url("postgresql://h/d?keepalives_idle=5"))
    assert "keepalives_idle" not in wanted
    assert wanted["tcp_user_timeout"] > 0
