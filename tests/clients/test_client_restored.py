"""A home whose ledger lacks entries: what was approved before the loss runs on no approval of then."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kits.command_kit import Town, client, events, read, refused, town
from sqlalchemy import text

from ringfence.audit import store
from ringfence.audit.events import open_event
from ringfence.audit.store import first_row
from ringfence.clients.home import open_federation, open_home
from ringfence.clients.inbox.notices import Addressee, standing
from ringfence.clients.inbox.set_aside import FOLDER
from ringfence.clients.records.federations import Federations
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto import wrapped_secrets
from ringfence.privacy.crypto.signed import read_signed

SERIES = '[series]\nruns = 100\nevery = "year"\nbegins = 2000-01-01\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    monkeypatch.setattr(wrapped_secrets, "LOG2_COST", 4)
    return town(tmp_path)


def approve(here: Town, study: Path) -> None:
    for person in (here.ana, here.ben):
        assert client("study", "approve", study, "--key", person, "--config", here.home) == 0


def thaw(here: Town) -> int:
    words = (
        "budget",
        "thaw",
        "--missing",
        "0.1",
        "--reason",
        "counted",
        "--key",
        here.ana,
        "--key",
        here.ben,
    )
    return client(*words, "--config", here.home, "--json", here.root / "thawed.json")


def states(here: Town, *studies: Path) -> list[str]:
    """How the coordinator sees studies."""
    with open_federation(here.home, None) as home:
        holder = Addressee(
            name=home.settings.name,
            key=home.identity,
            coordinator=home.coordinator(),
            approvers=home.settings.approvers(),
            contract=home.contract().contract.digest(),
            approvals=home.approvals,
            inbox=home.inbox,
            log=home.log,
            clock=lambda: datetime.now(UTC),
        )
        found = [Study.from_canonical(read_signed(each).body) for each in studies]
        return [standing(holder, each)[0] for each in found]


def restored(here: Town) -> Town:
    phrase, file, again = here.root / "phrase", here.root / "b.backup", here.root / "again"
    phrase.write_text("correct horse battery\n", encoding="utf-8")
    phrase.chmod(0o600)
    assert client("backup", file, "--config", here.home, "--passphrase-file", phrase) == 0
    assert client("restore", file, again, "--passphrase-file", phrase) == 0
    shutil.copy(here.home / "customers.csv", again / "customers.csv")
    return replace(here, home=again)


def frozen(*words: str) -> Callable[[Town], Town]:
    def freeze(here: Town) -> Town:
        assert client("budget", "freeze", *words, "--reason", "drill", "--config", here.home) == 0
        return here

    return freeze


@pytest.mark.parametrize("lose", [restored, frozen("--restored")], ids=["restore", "freeze --restored"])
def test_after_a_loss_every_study_is_approved_anew(
    here: Town, lose: Callable[[Town], Town], capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is run once may have run in the lost time as well as a window of a series."""
    once, series = here.sign("once.json"), here.sign("series.json", series=SERIES)
    approve(here, series)
    approve(here, once)
    assert states(here, once, series) == ["approved", "approved"]
    capsys.readouterr()
    here = lose(here)
    if lose is restored:
        assert "That sets all approvals aside" in capsys.readouterr().out
    refused(
        capsys, client("budget", "thaw", "--missing", "0", "--reason", "x", "--config", here.home), "RF-B401"
    )
    assert states(here, once, series) == ["approved", "approved"], "nothing is done that two did not decide"
    assert thaw(here) == 0
    assert "Approvals that were set aside: 4." in capsys.readouterr().out
    assert read(here.root / "thawed.json")["approvals_set_aside"] == 4
    assert states(here, once, series) == ["waiting", "waiting"]
    aside = here.home / "approvals" / "city" / FOLDER
    assert len(list(aside.iterdir())) == 4
    number = events(here.home, here.root / "log.json")[0]["event"]
    with open_home(here.home) as home, store.reading(home.engine) as connection:
        assert open_event(*store.read_private_part(connection, number))["approvals_set_aside"] == 4
    approve(here, series)
    assert states(here, once, series) == ["waiting", "approved"]


def test_a_thaw_after_any_other_freeze_leaves_approvals(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    study = here.sign()
    approve(here, study)
    frozen()(here)
    capsys.readouterr()
    assert thaw(here) == 0
    assert "Approvals" not in capsys.readouterr().out
    assert read(here.root / "thawed.json")["approvals_set_aside"] == 0
    assert states(here, study) == ["approved"]


def test_the_log_of_a_federation_that_was_left_is_verified_with_the_others(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client("federation", "leave", "city", "--config", here.home) == 0
    again = restored(here)
    with open_home(again.home) as home:
        (known,) = Federations(home.engine).listed()
        assert known.left
        first = first_row(known.number)
    keys = sorted(here.home.glob("keys/log-city.key*"))
    assert len(keys) == 2
    words = (
        "backup",
        here.root / "c.backup",
        "--config",
        here.home,
        "--passphrase-file",
        here.root / "phrase",
    )
    for key in keys:
        key.rename(here.root / key.name)
    capsys.readouterr()
    said = refused(capsys, client(*words), "RF-U850", 2)
    assert "keys/log-city.key" in said
    for key in keys:
        (here.root / key.name).rename(key)
    changed = {"leaf": b"{}", "row": first}
    with open_home(here.home) as home, home.engine.begin() as connection:
        connection.execute(text("update audit_event set leaf = :leaf where seq = :row"), changed)
    capsys.readouterr()
    refused(capsys, client(*words), "RF-B616")
    assert not (here.root / "c.backup").exists()
