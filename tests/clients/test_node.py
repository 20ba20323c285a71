"""What a holder's people wrote is one digest, which changes with each file of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from kits.command_kit import Town, client, configure, new_key, town

from ringfence.clients.config import HolderSettings, load_settings
from ringfence.clients.connections.node import AsWritten, Changes, written
from ringfence.clients.connections.pacing import PacedAgent
from ringfence.clients.connections.watching import StoreWatch
from ringfence.clients.home import Home, open_home, signed_path
from ringfence.privacy.succession.book import KeyBook


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


def digest(settings: HolderSettings) -> bytes:
    with open_home(settings.file) as home:
        return written(settings, KeyBook(home.engine))


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


CHANGES: dict[str, Callable[[Town], object]] = {
    "settings": lambda here: longer(here.home / "client.toml"),
    "contract": lambda here: longer(here.home / "contract.toml"),
    "its signature": lambda here: signed_path(here.home / "contract.toml").unlink(),
    "who approves": lambda here: (
        new_key(here.root / "cleo.key").with_suffix(".key.pub").replace(here.root / "ben.key.pub")
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_shows(here: Town, change: str) -> None:
    settings = load_settings(here.home)
    before = digest(settings)
    assert digest(settings) == before
    CHANGES[change](here)
    assert digest(settings) != before


def test_what_people_do_at_their_desk_is_no_change(here: Town) -> None:
    settings = load_settings(here.home)
    before = digest(settings)
    study = here.sign()
    assert client("study", "approve", study, "--key", here.ana, "--config", here.home) == 0
    assert client("budget", "show", "--config", here.home) == 0
    assert digest(settings) == before


@dataclass
class Box:
    """A federation's letter box, or what keeps its answers back: notes that it is asked."""

    name: str
    said: list[str]
    meanwhile: Callable[[], object] = lambda: None

    def handle(self, data: bytes) -> bytes:
        self.said.append(f"{self.name} asked")
        self.meanwhile()
        self.said.append(f"{self.name} answers")
        return data

    def settle(self) -> None:
        self.said.append(f"{self.name} settled")


def test_one_message_at_a_time_is_taken_up_whichever_federation_it_is_of(here: Town) -> None:
    """A second waits for the first one's answer and for what was late, and goes on where the first failed."""
    settings, said = load_settings(here.home), list[str]()
    with open_home(settings.file) as home:
        one_at_a_time(home, said, lambda: longer(settings.file))


def one_at_a_time(home: Home, said: list[str], change: Callable[[], object]) -> None:
    began = written(home.settings, KeyBook(home.engine))
    chains, stop, told = KeyBook(home.engine), threading.Event(), list[str]()
    watch = StoreWatch(ask=lambda: None, report=told.append, stop=stop)
    changes = Changes(written=home.settings, chains=chains, began=began, stop=stop, watch=watch)
    city, river = (Box(name, said) for name in ("city", "river"))
    other = threading.Thread(target=lambda: AsWritten(box=river, changes=changes).handle(b"2"))

    def at_the_same_time() -> None:
        other.start()
        other.join(0.3)  # it would be answered by then, did it not wait
        raise OSError("this answer fails")

    city.meanwhile = at_the_same_time
    changes.paced += cast("list[PacedAgent]", [Box("late", said)])
    assert AsWritten(box=city, changes=changes).handle(b"1") == b""
    assert [sentence[:7] for sentence in told] == ["RF-W486"], "in our words, not in its own"
    assert "OSError" in told[0]
    other.join(30)
    assert said == ["late settled", "city asked", "late settled", "river asked", "river answers"]
    change()
    assert AsWritten(box=river, changes=changes).handle(b"3") == b""
    assert (said[-1], changes.found, changes.stop.is_set()) == ("late settled", True, True)


def test_a_home_without_a_contract_has_one_too(here: Town) -> None:
    configure(here.home, approvers=[])
    text = (here.home / "client.toml").read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not line.startswith("contract = ")]
    (here.home / "client.toml").write_text("\n".join(kept) + "\n", encoding="utf-8")
    assert len(digest(load_settings(here.home))) == 32
