"""A federation that admits its holder later is served from then on, while the others are served."""

from __future__ import annotations

import errno
import ssl
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from kits.command_kit import Town, town

from ringfence.audit.errors import AuditError
from ringfence.clients.config import load_settings
from ringfence.clients.connections.contact import Contact
from ringfence.clients.connections.late import try_again
from ringfence.clients.connections.node import serve_holders
from ringfence.clients.connections.watching import StoreWatch
from ringfence.privacy.errors import N_, WaistError


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


class Impatient(threading.Event):
    """Keeps how long was waited, and waits no time."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is None:
            if not super().wait(20):  # a fault ends the test, and hangs nothing
                self.set()
            return True
        self.waited.append(timeout)
        if len(self.waited) > 50:
            self.set()
        return self.is_set()


def not_admitted(why: str) -> WaistError:
    return WaistError("RF-W361", N_("{why}"), why=why)


def test_what_cannot_be_served_is_tried_again_ever_more_seldom_and_said_once() -> None:
    stop, tries, told = Impatient(), list[str](), list[tuple[str, str]]()

    def attempt(name: str) -> None:
        tries.append(name)
        if name == "trade" and len(stop.waited) < 9:
            raise not_admitted("wait" if len(stop.waited) < 5 else "expired")

    refused = {"city": str(not_admitted("wait")), "trade": str(not_admitted("wait"))}
    try_again(refused, attempt, lambda *said: told.append(said), stop)
    assert tries == ["city", *["trade"] * 9]
    assert told == [("trade", "RF-W361: expired")]
    assert stop.waited == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_a_fault_of_one_ends_no_trying_and_is_told_once_in_our_words() -> None:
    stop, tries, told = Impatient(), list[str](), list[tuple[str, str]]()

    def attempt(name: str) -> None:
        tries.append(name)
        if name == "trade" and len(stop.waited) < 4:
            raise OSError(errno.ENOSPC, "/home/river/secret")
        if name == "city" and len(stop.waited) < 2:
            raise AuditError("RF-A031", "damaged")

    try_again({"trade": "x", "city": "y"}, attempt, lambda *said: told.append(said), stop)
    assert tries == ["trade", "city", "trade", "city", "trade", "trade"]
    assert [(name, sentence[:7]) for name, sentence in told] == [("trade", "RF-W486"), ("city", "RF-A031")]
    assert "secret" not in told[0][1]


def test_nothing_is_tried_after_the_end() -> None:
    stop, tries = Impatient(), list[str]()
    stop.set()
    try_again({"city": "x"}, tries.append, lambda *_: None, stop)
    try_again({}, tries.append, lambda *_: None, Impatient())
    assert tries == []


def serve(
    monkeypatch: pytest.MonkeyPatch,
    here: Town,
    admitted_at: dict[str, int],
    refusal: Exception | None = None,
) -> tuple[list[str], list[str], list[str]]:
    """Serve federations that are admitted at their n-th try; all end when the last of them is served."""
    stop, said, answering, served = Impatient(), list[str](), list[str](), list[str]()
    tries = dict.fromkeys(admitted_at, 0)

    def link(name: str, *_: object) -> object:
        tries[name] += 1
        if tries[name] < admitted_at[name]:
            raise refusal or not_admitted("It is not admitted yet.")

        def run(stop: threading.Event) -> None:
            served.append(name)
            if len(served) == len(admitted_at):
                stop.set()
            stop.wait()

        node = SimpleNamespace(place=SimpleNamespace(address=name), serve=run)
        return SimpleNamespace(node=node, contact=Contact(), expires=lambda: None)

    monkeypatch.setattr("ringfence.clients.connections.node.link_of", link)
    monkeypatch.setattr(StoreWatch, "keep", lambda _watch: None)  # it would wait the same event
    chains = SimpleNamespace(digest=lambda: b"")
    holder = SimpleNamespace(ledger=None, chains=chains, engine=None)
    holders = cast(Any, dict.fromkeys(admitted_at, holder))
    serve_holders(holders, load_settings(here.home), stop, report=said.append, ready=answering.append)
    return said, answering, served


def test_one_that_is_admitted_later_is_served_from_then_on(
    here: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, answering, served = serve(monkeypatch, here, {"trade": 4, "city": 1})
    assert said == ["RF-W361: It is not admitted yet. It is tried again while this process runs. [trade]"]
    assert served == ["city", "trade"]
    assert answering == ["Answering city.", "Answering trade."]


def test_what_one_coordinators_files_do_keeps_no_other_from_being_served(
    here: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, _answering, served = serve(monkeypatch, here, {"trade": 3, "city": 1}, ssl.SSLError("bad block"))
    assert served == ["city", "trade"]
    (first,) = said
    assert first.startswith("RF-W486: ")
    assert "bad block" not in first


def test_where_none_can_be_served_nothing_runs(here: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WaistError, match="RF-W361"):
        serve(monkeypatch, here, {"trade": 2, "city": 2})
