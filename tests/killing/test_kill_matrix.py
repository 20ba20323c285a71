"""Parties that are killed: nothing acknowledged is lost, nothing is under-counted, no model is another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from killing.steps import STEPS

TESTS = Path(__file__).parent.parent


def killing(out: Path, *words: str, seconds: int) -> dict[str, Any]:
    """The matrix in a process of its own, which forks, and so has no threads of other tests."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "killing", *words, "--out", str(out)],
        env={**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found: dict[str, Any] = json.loads((out / "matrix.json").read_text(encoding="utf-8"))
    return found


def check(found: dict[str, Any], least: int) -> None:
    assert found["whole"]
    assert found["faults"] == []
    assert sum(row["deaths"] for row in found["rows"]) >= least
    for row in found["rows"]:
        assert row["deaths"] >= row["studies"] > 0
        assert row["resumed"] + row["ended"] == row["studies"]
        assert (row["lost"], row["unpaid"], row["wrong"], row["stuck"]) == (0, 0, 0, 0)


@pytest.mark.slow
def test_parties_killed_at_named_steps(tmp_path: Path) -> None:
    """A fixed part of the matrix: after each durable write, and while holders are asked."""
    found = killing(tmp_path, "--steps", "few", "--mistakes", "--seed", "1", seconds=900)
    check(found, least=60)
    assert {party: sorted(names) for party, names in found["steps"].items()} == {
        party: sorted(names) for party, names in STEPS.items()
    }, "the steps changed: python -m killing --names"


@pytest.mark.soak
def test_every_party_killed_at_every_step_and_at_200_instants(tmp_path: Path) -> None:
    words = ("--steps", "all", "--instants", "200", "--doors", "--processes", "200")
    check(killing(tmp_path, *words, seconds=4 * 3600), least=1000)
