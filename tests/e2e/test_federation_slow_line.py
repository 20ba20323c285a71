"""A study over a slow line that is cut again and again, between holders and the gateway.

The line is a relay in user space (`kits/relay_kit.py`): it delays by 50 ms each way, carries 1 Mbit/s, and
cuts every connection after so many bytes. Packets that are lost need another test
(`test_federation_namespaces.py`).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kits.command_kit import NAMES, client, server, town
from kits.federation_kit import approve_everywhere, federation
from kits.link_kit import free_port
from kits.relay_kit import relay

from ringfence.audit.cli import main as audit

pytestmark = pytest.mark.soak
ONE_SIDED = 3


def test_a_study_is_released_over_a_slow_line_that_is_cut(tmp_path: Path) -> None:
    here, near, far = town(tmp_path), free_port(), free_port()
    with (
        relay(near, far, delay=0.05, rate=125_000, cut_after=150_000) as line,
        federation(here, address=f"127.0.0.1:{near}", bind=f"127.0.0.1:{far}") as parties,
    ):
        study, out, told = here.sign(), here.root / "model", here.root / "run.json"
        approve_everywhere(here, study)
        process = parties.start_study(study, out, "--timeout", "300", "--json", told)
        assert process.running.wait(900) == 0, process.said()
        assert line.cuts >= len(NAMES), "the line was cut, or this shows nothing"
        assert line.carried > len(NAMES) * line.cut_after
    assert sorted(path.name for path in out.iterdir()) == ["points.csv", "scorecard.json"]
    assert json.loads(told.read_text(encoding="utf-8"))["holders"] == list(NAMES)
    bundle = here.root / "bundle"
    (bundle / "holders").mkdir(parents=True)
    assert server("log", "export", bundle / "coordinator", "--config", here.desk) == 0
    for name in NAMES:
        assert client("log", "export", bundle / "holders" / name, "--config", here.root / name) == 0
    assert audit(["verify", str(bundle)]) == 0
    assert audit(["reconcile", str(bundle)]) in (0, ONE_SIDED)
