"""A ledger that its people stop, open again and raise."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from kits.command_kit import Town, budget, client, configure, events, left, new_key, newest, refused, town

from ringfence.audit import store
from ringfence.audit.events import open_event
from ringfence.clients.desk import spending
from ringfence.clients.home import open_home
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import BudgetError
from ringfence.privacy.ledger import HeadMarks


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


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
    assert budget(here)["frozen"] == ""


def test_what_two_people_added_is_in_the_heading_and_in_the_statement(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("budget", "top-up", "--mu-squared", "0.125", "--reason", "board", "--config", here.home)
    assert client(*words, "--key", here.ana, "--key", here.ben) == 0
    capsys.readouterr()
    found = budget(here, "--explain")
    text = capsys.readouterr().out
    assert found["raised_mu_squared"] == "0.125"
    assert "raised by mu^2 0.125 since" in text
    assert "raised by two people" in text
    assert "+0.125" in text
    assert "Nothing was ever released" in text


def private(here: Town) -> dict[str, Any]:
    """The private part of the newest event."""
    with open_home(here.home) as home, store.reading(home.engine) as connection:
        return open_event(*store.read_private_part(connection, newest(here)["event"]))


def decision(here: Town) -> dict[str, object]:
    """What two people signed, read from the private part of the newest event and verified."""
    found = SignedDocument.from_json(json.dumps(private(here)["decision"]))
    with open_home(here.home) as home:
        signed: dict[str, object] = json.loads(
            found.verify("budget-decision", home.settings.approvers(), threshold=2)
        )
        return signed


def test_two_people_raise_the_budget(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    start = left(here)
    words = ("budget", "top-up", "--config", here.home, "--reason", "board decision", "--mu-squared")
    both = ("--key", here.ana, "--key", here.ben)
    stranger = new_key(here.root / "stranger.key")
    same = here.root / "copy.key"
    same.write_bytes(here.ana.read_bytes())
    same.chmod(0o600)
    cases = (
        (("0.1", "--key", here.ana), "RF-B401"),
        (("0.1", *both, "--key", stranger), "RF-B401"),
        (("0.1", "--key", here.ana, "--key", same), "RF-B402"),
        (("0.1", "--key", here.ana, "--key", stranger), "RF-K015"),
        (("0", *both), "RF-B313"),
        (("-1", *both), "RF-B205"),
    )
    for more, code in cases:
        refused(capsys, client(*words, *more), code)
        assert (newest(here)["action"], newest(here)["outcome"]) == ("budget.refused", "deny"), code
    assert left(here) == start
    capsys.readouterr()
    refused(capsys, client(*words, "much", *both), "RF-U431", 2)
    for beyond in ("1e400", "1e999999999", "1e-999999999"):
        refused(capsys, client(*words, beyond, *both), "RF-U602", 2)
        refused(capsys, client(*words[:-1], "--epsilon", beyond, *both), "RF-U602", 2)
    for unknown in ("NaN", "inf", "0,5", ""):
        refused(capsys, client(*words[:-1], "--epsilon", unknown, *both), "RF-U431", 2)
    refused(capsys, client(*words, "500", *both), "RF-B500")
    for epsilon, code in (("669", "RF-B500"), ("-1", "RF-B500"), ("0", "RF-B500"), ("0.001", "RF-B501")):
        refused(capsys, client(*words[:-1], "--epsilon", epsilon, *both), code)
        assert newest(here)["action"] == "budget.refused"
    assert left(here) == start
    capsys.readouterr()
    assert client(*words, "0.1", *both) == 0
    assert left(here) == start + Decimal("0.1")
    assert newest(here)["action"] == "budget.topup"
    signed = decision(here)
    assert [signed[name] for name in ("act", "mu_squared", "reason")] == ["top-up", "0.1", "board decision"]
    assert "decision" not in newest(here)["public"]


def test_two_people_raise_the_budget_to_an_epsilon_once(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    start = left(here)
    words = ("budget", "top-up", "--config", here.home, "--key", here.ana, "--key", here.ben)
    assert client(*words, "--epsilon", "60", "--reason", "board decision 12") == 0
    assert left(here) > start
    assert {name: decision(here)[name] for name in ("act", "epsilon")} == {"act": "top-up", "epsilon": "60"}
    capsys.readouterr()
    refused(capsys, client(*words, "--epsilon", "60.0", "--reason", "board decision 12"), "RF-B501")
    assert client(*words, "--reason", "neither amount") == 2
    assert client(*words, "--reason", "both", "--epsilon", "61", "--mu-squared", "1") == 2


def test_a_top_up_that_was_entered_is_known_again(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    start, cleo = left(here), new_key(here.root / "cleo.key")
    configure(here.home, approvers=[f"../{name}.key.pub" for name in ("ana", "ben", "cleo")])
    words = ("budget", "top-up", "--config", here.home)
    both = ("--key", here.ana, "--key", here.ben)
    assert client(*words, "--reason", "board decision 12", "--mu-squared", "0.1", *both) == 0
    again = (
        ("board decision 12", "0.1", both),
        (" board  decision 12", "0.10", both[2:] + both[:2]),
        ("board decision 12", "1e-1", ("--key", here.ana, "--key", cleo)),
    )
    for reason, amount, people in again:
        capsys.readouterr()
        refused(capsys, client(*words, "--reason", reason, "--mu-squared", amount, *people), "RF-B333")
        assert (newest(here)["action"], newest(here)["outcome"]) == ("budget.refused", "deny")
        assert "decision" not in private(here), (
            "a signed decision stands where it was carried out, and nowhere else"
        )
    assert left(here) == start + Decimal("0.1")
    assert client(*words, "--reason", "board decision 13", "--mu-squared", "0.1", *both) == 0
    assert client(*words, "--reason", "board decision 12", "--mu-squared", "0.2", *both) == 0
    assert left(here) == start + Decimal("0.4")


def test_the_same_thaw_is_good_after_another_freeze(here: Town) -> None:
    words = ("budget", "thaw", "--config", here.home, "--key", here.ana, "--key", here.ben, "--missing", "0")
    for _ in range(2):
        with open_home(here.home) as home:
            home.ledger.freeze("restored from a backup")
        assert client(*words, "--reason", "nothing is missing") == 0


def test_two_people_thaw_a_ledger_and_enter_what_is_missing(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    start = left(here)
    words = ("budget", "thaw", "--config", here.home, "--key", here.ana, "--key", here.ben, "--missing")
    refused(capsys, client(*words, "0.1", "--reason", "restored"), "RF-B307")
    with open_home(here.home) as home:
        home.ledger.freeze("restored from a backup")
    assert budget(here)["frozen"] == "restored from a backup"
    capsys.readouterr()
    refused(capsys, client("budget", "top-up", *words[2:-1], "--mu-squared", "1", "--reason", "x"), "RF-B308")
    refused(capsys, client(*words, "0.1", "--reason", " "), "RF-B321")
    assert client(*words, "0.1", "--reason", "two rounds of May") == 0
    assert left(here) == start - Decimal("0.1")
    assert budget(here)["frozen"] == ""
    signed = decision(here)
    assert [signed[name] for name in ("act", "mu_squared", "reason")] == ["thaw", "0.1", "two rounds of May"]


def test_what_is_found_missing_while_two_people_decide_is_not_settled(here: Town) -> None:
    """The process that answers coordinators meets the mark of a lost entry while a passphrase is typed."""
    marks = HeadMarks.of(b"s" * 32, "log")
    lost = marks.fresh(40, b"\7" * 32, 1)

    class Slow(Passphrases):
        def read_key(self, path: Path, kind: str, *, position: int = 0) -> Identity:
            if position == 1:
                with open_home(here.home) as home, pytest.raises(BudgetError, match="RF-B312"):
                    home.ledger.check_mark(marks, lost)
            return super().read_key(path, kind, position=position)

    spending.freeze(here.home, "somebody tried the door")
    keys = [here.ana, here.ben]
    with pytest.raises(BudgetError, match="RF-U851"):
        spending.thaw(here.home, keys, Decimal(0), "false alarm", Slow())
    said = budget(here)
    assert said["frozen"] == ("somebody tried the door; entry 40, which was shown elsewhere, is missing here")
    assert said["losses"] == [{"after": None, "last": 40}]
    assert spending.thaw(here.home, keys, Decimal("0.1"), "entered", Passphrases()).lacking
    with open_home(here.home) as home:
        home.ledger.check_mark(marks, lost)
