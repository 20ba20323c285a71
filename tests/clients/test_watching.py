"""A holder whose store is gone says so once; one that lost it to another process ends with that sentence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import kits.flower_kit  # noqa: F401  # imports Flower past its dependencies' deprecations
import psycopg
import pytest
from kits.command_kit import Town, town
from kits.postgres_kit import postgresql_database
from sqlalchemy import Engine

from ringfence.clients.config import load_settings
from ringfence.clients.connections import watching
from ringfence.clients.connections.contact import Contact
from ringfence.clients.connections.node import AsWritten, Changes, serve_holders, written
from ringfence.clients.connections.watching import STALE_SECONDS, StoreWatch
from ringfence.privacy.errors import N_, StoreError
from ringfence.privacy.stores.lease import lease
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.succession.book import KeyBook


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


@pytest.fixture
def url(postgresql: str) -> Iterator[str]:
    with postgresql_database(postgresql) as found:
        yield found


def end_connections(url: str) -> None:
    """As a restart of the database does, or a limit on idle sessions."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


class Store:
    """A store's answers, one after the other."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    def ask(self) -> None:
        code = self.answers.pop(0)
        if code:
            raise StoreError(code, N_("It is gone."))


def test_a_store_that_does_not_answer_is_told_once_until_it_does() -> None:
    now, told, stop = [0.0], list[str](), threading.Event()
    store = Store("RF-B118", "RF-B118", "", "RF-B118", "RF-B661", "", "")
    watch = StoreWatch(ask=store.ask, report=told.append, stop=stop, clock=lambda: now[0])
    assert not watch.answers, "nobody has asked"
    states = []
    for _ in range(6):
        watch.look()
        states.append(watch.answers)
    assert states == [False, False, True, False, False, True]
    assert [sentence[:7] for sentence in told] == ["RF-B118", "RF-B118", "RF-B661"]
    now[0] = STALE_SECONDS
    assert not watch.answers, "a question hangs"
    watch.look()
    assert watch.answers
    assert (stop.is_set(), watch.lost) == (False, None)


@pytest.mark.parametrize("code", ["RF-S561", "RF-B660"])
def test_a_lease_that_was_lost_ends_the_process_with_its_own_sentence(code: str) -> None:
    told, stop = list[str](), threading.Event()
    watch = StoreWatch(ask=Store(code, "").ask, report=told.append, stop=stop)
    watch.look()
    assert (stop.is_set(), watch.answers, told) == (True, False, []), "its end says it"
    watch.look()
    assert watch.lost is not None
    assert watch.lost.code == code


class Echo:
    def handle(self, data: bytes) -> bytes:
        return data


def test_a_message_that_meets_the_store_gone_is_told_and_not_lost_in_silence(here: Town, url: str) -> None:
    settings, told, stop = load_settings(here.home), list[str](), threading.Event()
    engine = open_store(url)
    book = KeyBook(engine)
    watch = StoreWatch(ask=lambda: None, report=told.append, stop=stop)
    began = written(settings, book)
    changes = Changes(written=settings, chains=book, began=began, stop=stop, watch=watch)
    guard = AsWritten(box=Echo(), changes=changes)
    gone = SimpleNamespace(digest=Store("RF-B118", "RF-B118").ask)
    changes.chains = cast(Any, gone)
    assert [guard.handle(b"1"), guard.handle(b"2")] == [b"", b""]
    assert [sentence[:7] for sentence in told] == ["RF-B118"]
    changes.chains = book
    with lease(engine):
        assert guard.handle(b"3") == b"3"
        end_connections(url)
        assert guard.handle(b"4") == b""
    assert (stop.is_set(), len(told)) == (True, 1)
    assert watch.lost is not None
    assert watch.lost.code == "RF-S561"
    engine.dispose()


def run(here: Town, engine: Engine, monkeypatch: pytest.MonkeyPatch, meanwhile: Any) -> list[str]:
    """Serve one federation whose node does nothing but wait."""
    told = list[str]()
    node = SimpleNamespace(place=SimpleNamespace(address="city"), serve=lambda stop: meanwhile(stop))
    link = SimpleNamespace(node=node, contact=Contact(), expires=lambda: None)
    monkeypatch.setattr("ringfence.clients.connections.node.link_of", lambda *_: link)
    monkeypatch.setattr(watching, "ASK_SECONDS", 0.05)
    holder = SimpleNamespace(ledger=None, chains=KeyBook(engine), engine=engine)
    stop = threading.Event()
    serve_holders(
        cast(Any, {"city": holder}),
        load_settings(here.home),
        stop,
        report=told.append,
        ready=lambda _: None,
    )
    return told


def test_a_process_to_which_nobody_writes_ends_too(
    here: Town, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock went with its idle connection; whoever keeps it running starts it again."""
    engine = open_store(url)

    def node(stop: threading.Event) -> None:
        end_connections(url)
        assert stop.wait(60), "nobody noticed"

    with lease(engine), pytest.raises(StoreError, match="RF-S561"):
        run(here, engine, monkeypatch, node)
    engine.dispose()


def test_a_process_whose_lease_is_no_file_any_more_ends_too(
    here: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_store(tmp_path / "served.db")

    def node(stop: threading.Event) -> None:
        (tmp_path / "served.db.lease").unlink()
        assert stop.wait(60), "nobody noticed"

    with lease(engine), pytest.raises(StoreError, match="RF-B660"):
        run(here, engine, monkeypatch, node)
    engine.dispose()
