"""A study travels by the inbox through the real link: submitted, decided on, run by its id, taken back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kits.command_kit import NAMES, Town, client, read, refused, server, town, write_consents, write_table
from kits.federation_kit import Federation, federation

ROWS = 4000


def standing(here: Town, *words: object) -> dict[str, Any]:
    """What the coordinator's listing says of the newest study."""
    told = here.root / "standing.json"
    assert server("study", "list", *words, "--config", here.desk, "--json", told) == 0
    found: dict[str, Any] = read(told)["studies"][0]
    return found


def states(found: dict[str, Any]) -> dict[str, str]:
    return {name: each["state"] for name, each in found["holders"].items()}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Town, Federation]]:
    here = town(tmp_path_factory.mktemp("inbox"))
    for name in NAMES:
        write_table(here.root / name, rows=ROWS)
        consents = write_consents(here.root / f"{name}.consents.csv", [f"C{n}" for n in range(ROWS)])
        assert client("consent", "import", consents, "--config", here.root / name) == 0
    with federation(here) as found:
        yield here, found


def test_a_study_is_delivered_decided_on_and_run_by_its_id(
    running: tuple[Town, Federation], capsys: pytest.CaptureFixture[str]
) -> None:
    here, parties = running
    parties.nodes["west"].end()
    assert server("study", "submit", here.sign(), "--wait", "3", "--config", here.desk) == 0
    first = standing(here)
    assert states(first) == {"north": "waiting", "south": "waiting", "west": "not delivered"}
    assert first["holders"]["west"]["unreachable_since"]
    parties.start_node("west")
    assert states(standing(here, "--refresh")) == dict.fromkeys(NAMES, "waiting")
    for name in NAMES:
        for person in (here.ana, here.ben):
            words = ("--key", person, "--config", here.root / name)
            assert client("study", "approve", "churn-1", *words) == 0, "while its node runs"
    assert client("study", "reject", "churn-1", "--key", here.ana, "--config", here.root / "west") == 0
    told = {"north": "approved", "south": "approved", "west": "rejected"}
    assert states(standing(here, "--refresh")) == told
    for person in (here.ana, here.ben):
        words = ("--key", person, "--config", here.root / "west")
        assert client("study", "approve", "churn-1", *words) == 0, "a new act, by two people again"
    found = standing(here, "--refresh")
    assert states(found) == dict.fromkeys(NAMES, "approved")
    assert found["state"] == "submitted"
    out = here.root / "model"
    capsys.readouterr()
    assert server("study", "run", "churn-9", "--config", here.desk, "--out", out) == 1
    assert "Near it: churn-1." in capsys.readouterr().err
    process = parties.start_study("churn-1", out)  # type: ignore[arg-type]
    assert process.running.wait(240) == 0, process.said()
    assert (out / "scorecard.json").exists()
    assert standing(here)["state"] == "released"
    again = here.root / "again"
    assert server("study", "release", "churn-1", "--config", here.desk, "--out", again) == 0
    words = ("--key", here.ana, "--config", here.root / "north")
    capsys.readouterr()
    refused(capsys, client("study", "revoke", "churn-1", *words), "RF-S439")


def test_an_approval_that_is_taken_back_keeps_the_holder_away(running: tuple[Town, Federation]) -> None:
    here, parties = running
    study = here.root / "study.toml"
    here.sign("draft.signed.json", epsilon="0.9")
    study.write_text(study.read_text(encoding="utf-8").replace("churn-1", "churn-2"), encoding="utf-8")
    words = [word for one in here.declarations for word in ("--declaration", one)]
    signed = here.root / "second.signed.json"
    assert server("study", "sign", study, *words, "--config", here.desk, "--out", signed) == 0
    assert server("study", "submit", signed, "--config", here.desk) == 0
    for name in NAMES:
        for person in (here.ana, here.ben):
            approve = ("--key", person, "--config", here.root / name)
            assert client("study", "approve", "churn-2", *approve) == 0
    words_back = ("--key", here.ben, "--config", here.root / "south")
    assert client("study", "revoke", "churn-2", *words_back) == 0
    found = standing(here, "--refresh")
    assert states(found) == {"north": "approved", "south": "waiting", "west": "approved"}
    process = parties.start_study("churn-2", here.root / "second", "--timeout", "30")  # type: ignore[arg-type]
    assert process.running.wait(240) == 1, process.said()
    assert "RF-W200: " in process.said(), "three holders are needed"
    parties.nodes["south"].wait_for("RF-S032")
