"""What a holder's people wrote is one digest, which changes with each file of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from kits.command_kit import Town, client, configure, new_key, town

from ringfence.clients.config import HolderSettings, load_settings
from ringfence.clients.connections.node import written
from ringfence.clients.home import open_home, signed_path
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


def test_a_home_without_a_contract_has_one_too(here: Town) -> None:
    configure(here.home, approvers=[])
    text = (here.home / "client.toml").read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not line.startswith("contract = ")]
    (here.home / "client.toml").write_text("\n".join(kept) + "\n", encoding="utf-8")
    assert len(digest(load_settings(here.home))) == 32
