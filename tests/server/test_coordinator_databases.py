"""A coordinator's home over both databases: made, used, backed up, moved, migrated; the same in each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kits.command_kit import NAMES, Town, new_key, read, refused, server, town
from kits.postgres_kit import postgresql_database

from ringfence.audit.cli import main as audit_main
from ringfence.privacy.crypto import wrapped_secrets
from ringfence.privacy.stores.lease import lease
from ringfence.server.home import open_office
from ringfence.server.records.run_standings import count_runs, runs_kept


@pytest.fixture(autouse=True)
def quick_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrapped_secrets, "LOG2_COST", 4)


@pytest.fixture(params=["sqlite", "postgresql"])
def stores(request: pytest.FixtureRequest) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The words of `init` and `restore` for two empty stores."""
    if request.param == "sqlite":
        yield (), ()
        return
    socket = request.getfixturevalue("postgresql")
    with postgresql_database(socket) as one, postgresql_database(socket) as two:
        yield ("--store", one), ("--store", two)


@pytest.fixture
def phrase(tmp_path: Path) -> Path:
    file = tmp_path / "phrase"
    file.write_text("correct horse battery\n", encoding="utf-8")
    file.chmod(0o600)
    return file


def moved(here: Town, desk: Path, *store: str) -> Town:
    """The town with another desk, which knows its holders."""
    assert server("init", desk, "--name", "city-two", "--no-passphrase", *store) == 0
    assert server("holder", "add", *here.declarations, "--compared", "--config", desk) == 0
    return Town(
        root=here.root, home=here.home, desk=desk, declarations=here.declarations, ana=here.ana, ben=here.ben
    )


def listed(here: Town) -> list[dict[str, Any]]:
    told = here.root / "list.json"
    assert server("study", "list", "--config", here.desk, "--json", told) == 0
    return list(read(told)["studies"])


def test_a_coordinator_works_moves_and_goes_on(
    tmp_path: Path,
    phrase: Path,
    stores: tuple[tuple[str, ...], tuple[str, ...]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = moved(town(tmp_path), tmp_path / "two", *stores[0])
    study = here.sign()
    assert server("study", "submit", study, "--config", here.desk) == 0
    other = here.sign("other.signed.json", epsilon="0.5")
    capsys.readouterr()
    refused(capsys, server("study", "submit", other, "--config", here.desk), "RF-S441")
    ana = new_key(tmp_path / "cem.key")
    assert server("officer", "add", f"{ana}.pub", "--compared", "--config", here.desk) == 0
    capsys.readouterr()
    refused(capsys, server("study", "stop", "churn-1", "--config", here.desk), "RF-S385")
    signed = ("--key", ana, "--reason", "a test")
    refused(capsys, server("study", "withdraw", "churn-1", "--config", here.desk, *signed), "RF-S385")
    with open_office(here.desk) as office, lease(office.engine, "study"):
        assert (runs_kept(office.engine), count_runs(office.engine)) == ((), {})
    assert server("migrate", "--config", here.desk) == 0

    file, again = tmp_path / "two.backup", tmp_path / "again"
    assert server("backup", file, "--config", here.desk, "--passphrase-file", phrase) == 0
    assert server("restore", file, again, "--passphrase-file", phrase, *stores[1]) == 0
    back = Town(
        root=here.root, home=here.home, desk=again, declarations=here.declarations, ana=here.ana, ben=here.ben
    )
    (found,) = listed(back)
    assert (found["id"], found["state"], set(found["holders"])) == ("churn-1", "submitted", set(NAMES))
    assert server("log", "export", tmp_path / "bundle", "--config", again) == 0
    told = tmp_path / "verdict.json"
    assert audit_main(["verify", str(tmp_path / "bundle"), "--json", str(told)]) == 0
    assert json.loads(told.read_text(encoding="utf-8"))["verdict"] == "intact"
    # From either database into a file, and both copies say the same.
    words = ("--passphrase-file", phrase, "--store", "coordinator.db")
    assert server("restore", file, tmp_path / "file", *words) == 0
    filed = Town(
        root=here.root,
        home=here.home,
        desk=tmp_path / "file",
        declarations=here.declarations,
        ana=here.ana,
        ben=here.ben,
    )
    assert listed(filed) == listed(back)
