"""A series between processes: `serve` starts the run that is due by itself, and only once in its window."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from kits.command_kit import NAMES, client, read, refused, server, town, write_consents, write_table
from kits.federation_kit import federation

YEARLY = '[series]\nruns = 100\nevery = "year"\nbegins = 2000-01-01\n'
ROWS = 1000


@pytest.mark.soak
def test_serve_runs_a_series_that_people_approved_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = town(tmp_path)
    desk = ("--config", here.desk)
    for name in NAMES:
        write_table(here.root / name, rows=ROWS)
        consents = write_consents(here.root / f"{name}.consents.csv", [f"C{n}" for n in range(ROWS)])
        assert client("consent", "import", consents, "--config", here.root / name) == 0
        words = ("--key", here.ana, "--key", here.ben, "--epsilon", "60", "--reason", "a series")
        assert client("budget", "top-up", *words, "--config", here.root / name) == 0

    def standing() -> dict[str, Any]:
        assert server("study", "list", *desk, "--json", here.root / "standing.json") == 0
        found: dict[str, Any] = read(here.root / "standing.json")["studies"][0]
        return found

    with federation(here) as parties:
        signed = here.sign(series=YEARLY)
        assert server("study", "submit", signed, *desk) == 0
        for name in NAMES:
            for person in (here.ana, here.ben):
                words = ("--key", person, "--config", here.root / name)
                assert client("study", "approve", "churn-1", *words) == 0
        assert server("study", "deliver", *desk) == 0
        deadline = time.monotonic() + 300
        while standing()["state"] != "scheduled":  # released, and its holders were told
            assert parties.serve is not None
            assert time.monotonic() < deadline, parties.serve.said()
            time.sleep(1)
        found = standing()
        number = found["series"]["next"] - 1
        assert (found["series"]["released"], found["series"]["started"]) == (1, 1)
        parties.serve.wait_for(f"It released: run {number} of churn-1", 60)
        capsys.readouterr()
        refused(capsys, server("study", "run", "churn-1", "--keep", *desk), "RF-S479")
        out = here.root / "model"
        assert server("study", "release", "churn-1", "--run", number, "--out", out, *desk) == 0
        assert (out / "scorecard.json").exists()
        assert client("study", "list", "--config", here.home, "--json", here.root / "inbox.json") == 0
        inbox = read(here.root / "inbox.json")
        assert (inbox["studies"][0]["state"], inbox["studies"][0]["used"]) == ("approved", 1)
        assert [each["run"] for each in inbox["attestations_due"]] == [number + 1]
