"""A ledger that its people stop, open again and raise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_kit import Town, client, events, read, refused, town


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


def standing(here: Town, *words: object) -> dict[str, Any]:
    out = here.root / "standing.json"
    assert client("budget", *words, "--config", here.home, "--json", out) == 0
    found: dict[str, Any] = read(out)
    return found


def test_anybody_may_freeze_and_only_two_people_thaw(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    assert client("budget", "freeze", "--reason", "restored", "--config", here.home) == 0
    assert events(here.home, here.root / "log.json")[0]["action"] == "budget.frozen"
    capsys.readouterr()
    assert client("budget", "--config", here.home) == 0
    assert "FROZEN: restored" in capsys.readouterr().out
    words = ("budget", "thaw", "--missing", "0", "--reason", "checked", "--config", here.home)
    refused(capsys, client(*words, "--key", here.ana), "RF-B401")
    refused(capsys, client("budget", "freeze", "--reason", " ", "--config", here.home), "RF-B321")
    assert client(*words, "--key", here.ana, "--key", here.ben) == 0
    assert standing(here)["frozen"] == ""


def test_what_two_people_added_is_in_the_heading_and_in_the_statement(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("budget", "top-up", "--mu-squared", "0.125", "--reason", "board", "--config", here.home)
    assert client(*words, "--key", here.ana, "--key", here.ben) == 0
    capsys.readouterr()
    found = standing(here, "--explain")
    text = capsys.readouterr().out
    assert found["raised_mu_squared"] == "0.125"
    assert "raised by mu^2 0.125 since" in text
    assert "raised by two people" in text
    assert "+0.125" in text
    assert "Nothing was ever released" in text
