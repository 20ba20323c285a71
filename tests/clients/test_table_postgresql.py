"""A customer table in PostgreSQL or MySQL: only the allowed columns are selected, whatever their types."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kits.postgres_kit import postgresql_database
from kits.table_kit import COLUMNS, FEATURES, documents
from sqlalchemy import URL, create_engine, text

from ringfence.clients.rows.table import read_table
from ringfence.privacy.errors import TableError


@pytest.fixture
def url(postgresql: str) -> Iterator[str]:
    with postgresql_database(postgresql) as found:
        yield found


def test_types_of_postgresql(url: str, tmp_path: Path) -> None:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("create schema crm"))
        connection.execute(
            text(
                'create table crm.customers (id bigint, "AGE" numeric(6,2), "PLAN_CD" smallint, '
                "joined date, churn char(1), secret text)"
            )
        )
        connection.execute(
            text(
                "insert into crm.customers values (1, 30.5, 1, '2020-02-29', 'N', 's'), "
                "(2, null, 2, null, 'Y', 's')"
            )
        )
        # A reader without the right to the other column can still read, so it was not selected.
        connection.execute(text("create role reader login"))
        connection.execute(text("grant usage on schema crm to reader"))
        connection.execute(
            text('grant select (id, "AGE", "PLAN_CD", joined, churn) on crm.customers to reader')
        )
    engine.dispose()
    source = {"url": url.replace("postgres@", "reader@"), "table": "crm.customers"}
    raw = read_table(*documents(FEATURES, COLUMNS, source=source), tmp_path)
    raw.quality.check()
    assert sorted(raw.keys()) == ["1", "2"]
    facts = {column.name: column for column in raw.quality.facts.columns}
    assert [facts[name].missing for name in ("age", "plan", "joined", "churn")] == [1, 0, 1, 0]
    assert facts["plan"].unknown == facts["churn"].unknown == 0


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "postgresql"])
def test_a_url_without_a_driver_takes_the_one_that_is_packaged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scheme: str
) -> None:
    asked: list[str] = []

    def spy(url: URL) -> None:
        asked.append(url.drivername)
        raise ImportError

    monkeypatch.setattr("sqlalchemy.create_engine", spy)
    source = {"url": f"{scheme}://reader@127.0.0.1/crm", "table": "customers"}
    with pytest.raises(TableError, match="RF-T024"):
        read_table(*documents(FEATURES, COLUMNS, source=source), tmp_path)
    assert asked == [f"{scheme}+{'psycopg' if scheme == 'postgresql' else 'pymysql'}"]


def test_a_server_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("pymysql")
    source = {"url": "mysql://reader@127.0.0.1:1/crm", "table": "customers"}
    with pytest.raises(TableError, match="RF-T022"):
        read_table(*documents(FEATURES, COLUMNS, source=source), tmp_path)
