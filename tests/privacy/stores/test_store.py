"""Stores open in their safe modes only, and say in a sentence why they do not."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from ringfence.privacy.errors import StoreError
from ringfence.privacy.stores import store as store_module
from ringfence.privacy.stores.lease import lease, require_lease
from ringfence.privacy.stores.store import open_store, profile, reading, require_durable


def code_of(error: pytest.ExceptionInfo[StoreError]) -> str:
    assert "{" not in error.value.sentence()
    return error.value.code


@pytest.fixture(params=["memory", "sqlite"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    opened = open_store(None if request.param == "memory" else tmp_path / "store.db")
    yield opened
    opened.dispose()


def numbers(engine: Engine) -> list[int]:
    with reading(engine) as connection:
        return [row[0] for row in connection.execute(text("select x from t order by x"))]


def test_a_new_file_is_private_and_in_the_safe_mode(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    engine = open_store(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with engine.connect() as connection:
        asked = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "mmap_size", "foreign_keys")
        }
    old = sqlite3.sqlite_version_info < (3, 51, 3)
    assert asked == {
        "journal_mode": "truncate" if old else "wal",
        "synchronous": 3 if old else 2,
        "mmap_size": 0,
        "foreign_keys": 1,
    }
    engine.dispose()


def test_a_setting_that_does_not_take_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A memory-mapped size beyond what the library was built for is cut down silently, as a lost setting is.
    for name in ("_SAFE_ROLLBACK", "_SAFE_WAL"):
        monkeypatch.setattr(store_module, name, {"mmap_size": 1 << 62})
    with pytest.raises(StoreError) as error:
        open_store(tmp_path / "store.db")
    assert code_of(error) == "RF-B112"


def test_wal_is_used_from_the_version_that_mends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    engine = open_store(tmp_path / "store.db")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    engine.dispose()


def test_what_is_committed_is_there_and_what_fails_is_not(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("create table t (x integer)"))
        connection.execute(text("insert into t values (1)"))

    def fail() -> None:
        with engine.begin() as connection:
            connection.execute(text("insert into t values (2)"))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert numbers(engine) == [1]


def test_readers_cannot_write(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("create table t (x integer)"))
    with pytest.raises(StoreError), reading(engine) as connection:
        connection.execute(text("insert into t values (1)"))
    with engine.begin() as connection:
        connection.execute(text("insert into t values (2)"))
    assert numbers(engine) == [2]


def test_writers_take_turns_from_their_first_statement(engine: Engine) -> None:
    """Read, add one, write back: with a lock taken only at the write, increments would be lost."""
    with engine.begin() as connection:
        connection.execute(text("create table t (x integer)"))
        connection.execute(text("insert into t values (0)"))

    def add() -> None:
        for _ in range(10):
            with engine.begin() as connection:
                value = connection.execute(text("select x from t")).scalar_one()
                connection.execute(text("update t set x = :x"), {"x": value + 1})

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(engine) == [40]


def test_a_second_transaction_in_one_thread_in_memory_is_told_at_once() -> None:
    engine = open_store(None)
    with engine.begin(), pytest.raises(StoreError) as error, engine.begin():
        pass
    assert code_of(error) == "RF-B119"
    with engine.begin():
        pass
    engine.dispose()


def test_stores_in_memory_are_apart() -> None:
    first, second = open_store(None), open_store(None)
    with first.begin() as connection:
        connection.execute(text("create table t (x integer)"))
    with reading(second) as connection:
        assert not connection.dialect.has_table(connection, "t")
    first.dispose()
    second.dispose()


def test_profiles(tmp_path: Path) -> None:
    memory, file = open_store(None), open_store(tmp_path / "store.db")
    assert (profile(memory), profile(file)) == ("memory", "sqlite")
    assert require_durable(file) is file
    with pytest.raises(StoreError) as error:
        require_durable(memory)
    assert code_of(error) == "RF-B102"
    foreign = create_engine("sqlite://")
    with pytest.raises(StoreError) as error:
        profile(foreign)
    assert code_of(error) == "RF-B101"
    for each in (memory, file, foreign):
        each.dispose()


def test_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"customer;balance\n" * 100)
    path.chmod(0o600)
    with pytest.raises(StoreError) as error:
        open_store(path)
    assert code_of(error) == "RF-B113"
    assert path.read_bytes().startswith(b"customer")


def test_damaged_database(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    engine = open_store(path)
    with engine.begin() as connection:
        connection.execute(text("create table t (x text)"))
        connection.execute(text("insert into t values (:x)"), {"x": "y" * 100_000})
    engine.dispose()
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(255 for _ in content[4096:])
    path.write_bytes(bytes(content))
    engine = open_store(path)
    with pytest.raises(StoreError) as error, reading(engine) as connection:
        connection.execute(text("select x from t")).all()
    assert code_of(error) == "RF-B114"
    engine.dispose()


def test_file_that_others_may_open(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    open_store(path).dispose()
    path.chmod(0o644)
    with pytest.raises(StoreError) as error:
        open_store(path)
    assert code_of(error) == "RF-B110"
    assert "0644" in error.value.sentence()


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as error:
        open_store(tmp_path)
    assert code_of(error) == "RF-B109"


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as error:
        open_store(tmp_path / "absent" / "store.db")
    assert code_of(error) == "RF-B107"


def test_read_only_folder(tmp_path: Path) -> None:
    """As an ordinary user: the superuser may write anywhere."""
    folder = tmp_path / "sealed"
    folder.mkdir(mode=0o555)
    script = f"""
import os
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
from ringfence.privacy.errors import StoreError
try:
    open_store({str(folder / "store.db")!r})
except StoreError as error:
    print(error.code)
"""
    for parent in (folder, *folder.parents):
        if parent.owner() == "root" and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o001)
    done = subprocess.run(
        [sys.executable, "-c", "from ringfence.privacy.stores.store import open_store\n" + script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "RF-B108"


def test_full_disk(tmp_path: Path) -> None:
    engine = open_store(tmp_path / "store.db")
    with engine.begin() as connection:
        connection.execute(text("create table t (x blob)"))
        connection.exec_driver_sql("PRAGMA max_page_count = 4")  # SQLite answers this as it does a full disk
    with pytest.raises(StoreError) as error, engine.begin() as connection:
        connection.execute(text("insert into t values (zeroblob(1000000))"))
    assert code_of(error) == "RF-B111"
    engine.dispose()


def test_a_file_that_is_gone_or_another_takes_nothing(tmp_path: Path) -> None:
    """What is still open would take it, confirm it, and be gone with the process."""
    path, aside = tmp_path / "store.db", tmp_path / "aside.db"
    engine = open_store(path)
    with engine.begin() as connection:
        connection.execute(text("create table t (x integer)"))
    path.rename(aside)
    for put in (lambda: None, lambda: open_store(path).dispose()):
        put()
        with pytest.raises(StoreError) as error, engine.begin() as connection:
            connection.execute(text("insert into t values (1)"))
        assert code_of(error) == "RF-B630"
    path.unlink()
    aside.rename(path)
    with engine.begin() as connection:
        connection.execute(text("insert into t values (2)"))
        assert connection.scalars(text("select x from t")).all() == [2]
    engine.dispose()


def test_store_held_by_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BUSY_SECONDS", 0.01)
    path = tmp_path / "store.db"
    engine = open_store(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError) as error, engine.begin():
        pass
    assert code_of(error) == "RF-B116"
    other.close()
    engine.dispose()


def test_other_errors_name_the_reason(engine: Engine) -> None:
    with pytest.raises(StoreError) as error, engine.begin() as connection:
        connection.execute(text("insert into nowhere values (1)"))
    assert code_of(error) == "RF-B117"
    assert "nowhere" in error.value.sentence()


@pytest.mark.parametrize(
    ("url", "code"), [("mysql://host/base", "RF-B104"), ("postgresql://host:port:port/base", "RF-B103")]
)
def test_urls(url: str, code: str) -> None:
    with pytest.raises(StoreError) as error:
        open_store(url)
    assert code_of(error) == code


def test_unreachable_postgresql_does_not_show_the_password() -> None:
    with pytest.raises(StoreError) as error:
        open_store("postgresql://user:hunter2@127.0.0.1:1/base")
    assert code_of(error) == "RF-B118"
    assert "hunter2" not in str(error.value)


def test_one_lease_a_store(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    engine = open_store(path)
    script = f"""
from ringfence.privacy.errors import StoreError
from ringfence.privacy.stores.lease import lease
from ringfence.privacy.stores.store import open_store
try:
    with lease(open_store({str(path)!r})):
        print("held")
except StoreError as error:
    print(error)
"""

    def second() -> str:
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    with lease(engine):
        refused = second()
    assert refused.startswith("RF-B120")
    assert str(os.getpid()) in refused
    assert second() == "held"
    engine.dispose()


def test_a_lease_whose_file_is_gone_or_another_lets_nothing_be_written(tmp_path: Path) -> None:
    """Another process may have locked the file that has its name now."""
    path = tmp_path / "store.db"
    engine, other = open_store(path), open_store(path)
    with engine.begin() as connection:
        connection.execute(text("create table t (x integer)"))
    file = Path(f"{path}.lease")
    with lease(engine, "study"), lease(engine):
        require_lease(engine)
        aside = file.rename(tmp_path / "aside")
        for put in (lambda: None, lambda: file.write_bytes(b"1")):
            put()
            with pytest.raises(StoreError, match="RF-B660"), engine.begin() as connection:
                connection.execute(text("insert into t values (1)"))
            with pytest.raises(StoreError, match="RF-B660"):
                require_lease(engine)
            with lease(other), other.begin() as connection:
                connection.execute(text("insert into t values (2)"))
            assert len(numbers(engine)) > 0, "it may still read"
        aside.replace(file)
        require_lease(engine)
    with engine.begin() as connection:
        connection.execute(text("insert into t values (3)"))
    assert numbers(engine) == [2, 2, 3]
    for each in (engine, other):
        each.dispose()


def test_a_store_in_memory_needs_no_lease() -> None:
    engine = open_store(None)
    with lease(engine), lease(engine), reading(engine) as connection:
        assert connection.scalar(text("select 1")) == 1
    engine.dispose()
