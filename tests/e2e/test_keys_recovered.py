"""Keys are replaced around the loss of a log's end, and the log goes on by the chain of its keys."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from kits.command_kit import Town, client, refused, server
from kits.recovery_kit import (
    MODEL,
    OTHER,
    RUNS,
    acceptance,
    backed_up,
    exported,
    grown,
    keys,
    recovery,
    restored,
    seen_by_holder,
    verified,
    witnessed,
    witnessed_town,
)

from ringfence.privacy.errors import WaistError

ROLES = ("coordinator", "log")


def desk(here: Town, *words: object) -> Any:
    return server(*words, "--config", here.desk, "--lang", "en")


def replaced(here: Town, role: str) -> Path:
    """One key of the coordinator takes the place of another; the file for others."""
    assert desk(here, "key", "replace", role, "--no-passphrase") == 0
    for name in ("cem", "dee"):
        assert desk(here, "key", "sign", role, *keys(here, name)) == 0
    assert desk(here, "key", "enact", role) == 0
    return here.desk / "keys" / f"{role}.1.succession.json"


def taken_in(here: Town, paper: Path) -> None:
    words = ("coordinator", "succession", paper, "--compared", "--config", here.home)
    assert client(*words) == 0


def replaced_everywhere(here: Town) -> None:
    for role in ROLES:
        taken_in(here, replaced(here, role))


def goes_on(here: Town) -> str:
    """Both sides decide; the report on both logs, which is incomplete and accuses nobody."""
    assert desk(here, *recovery(here, seen_by_holder(here), "cem", "dee")[:-2]) == 0
    assert client(*acceptance(here, here.root / "recovery.json", "ana", "ben")) == 0
    status, report = verified(here, exported(here, "after"))
    assert (status, json.loads(report)["verdict"], "RF-A267" in report) == (3, "incomplete", True)
    return report


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return witnessed_town(tmp_path)


def test_a_log_that_changed_its_keys_loses_its_end_and_goes_on(here: Town) -> None:
    assert witnessed(here, RUNS[0]).cosignature
    replaced_everywhere(here)
    file = backed_up(here, server, here.desk)
    grown(here, 2)
    assert witnessed(here, RUNS[1]).cosignature
    restored(here, server, file, here.desk)
    goes_on(here)
    with pytest.raises(WaistError, match="RF-W233"):
        witnessed(here, RUNS[1], OTHER)
    assert witnessed(here, RUNS[1], MODEL).cosignature


def test_keys_that_were_replaced_in_the_lost_part_are_put_in_force_again(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both keys signed in the lost part, at sizes at which the log that goes on has another."""
    assert witnessed(here, RUNS[0]).cosignature
    file = backed_up(here, server, here.desk)
    grown(here, 9)
    assert witnessed(here, RUNS[1]).cosignature
    replaced_everywhere(here)
    assert witnessed(here, RUNS[2]).cosignature
    kept = here.root / "keys"
    shutil.copytree(here.desk / "keys", kept)
    restored(here, server, file, here.desk)
    shutil.copytree(kept, here.desk / "keys", dirs_exist_ok=True)
    capsys.readouterr()
    # Under its old key the log cannot say what it lost: the holder knows it by the new one.
    refused(capsys, server(*recovery(here, seen_by_holder(here), "cem", "dee", out="old.json")), "RF-A043")
    for role in ROLES:
        assert desk(here, "key", "enact", role) == 0
    (here.root / "seen.json").unlink()
    report = goes_on(here)
    assert "RF-A254" not in report
    # The intent that was witnessed under the old key is lost with the part that held it.
    for run in (RUNS[1], RUNS[2]):
        with pytest.raises(WaistError, match="RF-W233"):
            witnessed(here, run, OTHER)
        assert witnessed(here, run, MODEL).cosignature


def test_a_frozen_coordinator_s_recovery_is_not_taken(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    assert witnessed(here, RUNS[0]).cosignature
    file = backed_up(here, server, here.desk)
    grown(here, 2)
    assert witnessed(here, RUNS[1]).cosignature
    first = here.root / "first.json"
    shutil.copy(replaced(here, "log"), first)
    restored(here, server, file, here.desk)
    assert server(*recovery(here, seen_by_holder(here), "cem", "dee")) == 0
    second = replaced(here, "log")
    taken_in(here, first)
    words = ("coordinator", "succession", second, "--compared", "--config", here.home)
    capsys.readouterr()
    refused(capsys, client(*words), "RF-K160")
    refused(capsys, client(*acceptance(here, here.root / "recovery.json", "ana", "ben")), "RF-K161")
