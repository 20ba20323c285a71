"""Parties in processes of their own: invited, admitted, and running a study by their commands alone."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator

import pytest
from kits.command_kit import NAMES, Town, client, server, town
from kits.federation_kit import Federation, approve_everywhere, enrol, federation, start

from ringfence.audit.cli import main as audit


def sums(here: Town) -> int:
    """How many noisy sums the coordinator has formed."""
    told = here.root / "sums.json"
    words = ("--type", "aggregate.received", "--limit", "1000", "--config", here.desk, "--json", told)
    assert server("log", "list", *words) == 0
    return len(json.loads(told.read_text())["events"])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Town, Federation]]:
    here = town(tmp_path_factory.mktemp("federation"))
    with federation(here) as found:
        yield here, found


def test_a_study_runs_by_commands_and_its_logs_hold(running: tuple[Town, Federation]) -> None:
    here, parties = running
    study, out = here.sign(), here.root / "model"
    approve_everywhere(here, study)
    told = here.root / "run.json"
    process = parties.start_study(study, out, "--json", told)
    assert process.running.wait(240) == 0, process.said()
    assert sorted(path.name for path in out.iterdir()) == ["points.csv", "scorecard.json"]
    found = json.loads(told.read_text())
    assert found["holders"] == list(NAMES)
    assert found["absent"] == []
    again = here.root / "again"
    assert server("study", "release", study, "--config", here.desk, "--out", again) == 0
    assert (again / "scorecard.json").read_bytes() == (out / "scorecard.json").read_bytes()
    bundle = here.root / "bundle"
    (bundle / "holders").mkdir(parents=True)
    assert server("log", "export", bundle / "coordinator", "--config", here.desk) == 0
    for name in NAMES:
        assert client("log", "export", bundle / "holders" / name, "--config", here.root / name) == 0
    assert audit(["verify", str(bundle)]) == 0


def test_a_study_that_ended_is_not_run_again(running: tuple[Town, Federation]) -> None:
    here, parties = running
    process = parties.start_study(here.root / "study.signed.json", here.root / "twice")
    assert process.running.wait(120) == 1
    assert process.said().startswith("RF-S380: ")


def test_killed_parties_go_on(running: tuple[Town, Federation]) -> None:
    """The study, a holder, and the gateway with its link are killed in mid-study, and start again."""
    here, parties = running
    study, out = here.sign("second.signed.json", epsilon="0.9"), here.root / "second"
    approve_everywhere(here, study)
    before = sums(here)
    process = parties.start_study(study, out)
    while sums(here) == before:
        assert process.running.poll() is None, process.said()
    process.end(signal.SIGKILL)
    parties.nodes["south"].end(signal.SIGKILL)
    assert parties.serve is not None
    parties.serve.end(signal.SIGKILL)
    parties.start_serve()
    parties.start_node("south")
    process = parties.start_study(study, out)
    assert process.running.wait(240) == 0, process.said()
    assert "Released sha256:" in process.said()


def test_a_run_is_stopped_while_no_gateway_serves_and_its_holders_hear_it_later(
    running: tuple[Town, Federation],
) -> None:
    """Certificates are renewed besides, of the gateway before it serves again and of a holder that runs."""
    here, parties = running
    study = here.sign("stopped.signed.json", epsilon="0.6")
    approve_everywhere(here, study)
    before = sums(here)
    process = parties.start_study(study, here.root / "stopped")
    while sums(here) == before:
        assert process.running.poll() is None, process.said()
    process.end(signal.SIGKILL)
    assert parties.serve is not None
    parties.serve.end()
    words = ("study", "stop", study, "--without-model", "--config", here.desk)
    assert server(*words) == 0
    assert server(*words) == 1, "it is over"
    assert all(open_runs(here, name) == 1 for name in NAMES)
    parties.start_serve()
    for file in here.root.glob("north.*ion.json"):
        file.unlink()
    (here.root / "north.enrolment.json").unlink()
    enrol(here, "north")
    assert server("gateway", "renew", "--config", here.desk) == 0
    parties.serve.wait_for("shows its new certificate")
    deadline = time.monotonic() + 240
    while any(open_runs(here, name) for name in NAMES):
        assert time.monotonic() < deadline
        # `serve` does the same now and then, and one process of a home delivers at a time.
        start("server", here.root, "study", "deliver", "--config", here.desk).running.wait(120)


def open_runs(here: Town, name: str) -> int:
    told = here.root / "status.json"
    assert client("status", "--config", here.root / name, "--json", told) == 0
    return sum(len(each["open"]) for each in json.loads(told.read_text(encoding="utf-8"))["federations"])


def test_a_node_goes_by_what_its_people_wrote_last(running: tuple[Town, Federation]) -> None:
    """A contract that allows less, or a person who may approve no more, counts at once and not some day."""
    here, parties = running
    contract = here.root / "north" / "contract.toml"
    contract.write_text(contract.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    process = parties.start_study(
        here.sign("changed.signed.json", epsilon="0.7"), here.root / "changed", "--timeout", "10"
    )
    assert process.running.wait(240) == 1
    assert process.said().startswith("RF-W200: ")
    words = (here.root / "changed.signed.json", "--timeout", "10", "--config", here.desk)
    assert server("study", "stop", *words) == 0, "and it is ended by a person"
    assert parties.nodes["north"].running.wait(60) == 1
    assert "RF-W366: " in parties.nodes["north"].said()
    parties.start_node("north")


def test_a_holder_that_is_revoked_is_cut_off_and_told(running: tuple[Town, Federation]) -> None:
    here, parties = running
    assert server("holder", "revoke", "west", "--config", here.desk) == 0
    parties.nodes["west"].wait_for("RF-W331")
    study = here.sign("third.signed.json", epsilon="0.8")
    process = parties.start_study(study, here.root / "third")
    assert process.running.wait(120) == 1
    assert process.said().startswith("RF-W357: ")
    assert "west" in process.said()
