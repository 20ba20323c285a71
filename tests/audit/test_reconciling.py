"""Two logs side by side: what both say, what one says alone, and what contradicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ringfence.audit.cli import main
from ringfence.audit.log import AuditLog
from ringfence.audit.note import MemorySigner
from ringfence.privacy.stores.store import open_store

RUN, OTHER = "ab" * 16, "cd" * 16
MODEL, SENT, MORE = ("sha256:" + each * 32 for each in ("11", "22", "33"))


def log_of(name: str) -> AuditLog:
    origin = "x.example/coordinator" if name == "hub" else f"x.example/holder/{name}"
    return AuditLog(
        open_store(None),
        origin=origin,
        signer=MemorySigner(),
        organisation=name,
        actor="client",
        profile="simulation",
    )


def say(log: AuditLog, action: str, outcome: str = "allow", **public: Any) -> None:
    log.record(action, outcome, resource="study:1", public={"run": RUN} | public)  # type: ignore[arg-type]


def hub_of(*, received: tuple[str, ...] = (SENT,), witnesses: tuple[str, ...] = ("bank",)) -> AuditLog:
    hub = log_of("hub")
    say(hub, "study.offered", holders=["bank"])
    say(hub, "study.joined", holder="bank")
    for number, digest in enumerate(received):
        say(hub, "round.answered", round=number, attempt=0, received=[f"bank={digest}"])
    say(hub, "model.released", model=MODEL, holders=["bank"], witnesses=list(witnesses))
    say(hub, "study.finished")
    return hub


def bank_of(*, sent: tuple[str, ...] = (SENT,), model: str = MODEL, joins: bool = True) -> AuditLog:
    bank = log_of("bank")
    say(bank, "study.offered")
    if joins:
        say(bank, "study.joined")
    for number, digest in enumerate(sent):
        say(bank, "waist.send", round=number, attempt=0, sent=digest, roster=["bank"])
    say(bank, "release.witnessed", model=model, coordinator_log="x.example/coordinator", size=4)
    say(bank, "study.finished", model=model, coordinator_log="x.example/coordinator")
    return bank


def compared(
    folder: Path, capsys: pytest.CaptureFixture[str], *logs: AuditLog
) -> tuple[int, dict[str, Any], str]:
    places = []
    for log in logs:
        place = folder / f"{log.organisation}-{len(places)}"
        log.export_bundle(place)
        places.append(str(place))
    status = main(["reconcile", *places, "--json", str(folder / "found.json")])
    out, err = capsys.readouterr()
    file = folder / "found.json"
    return status, json.loads(file.read_text()) if file.exists() else {}, out + err


def test_what_both_say_is_reconciled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found, out = compared(tmp_path, capsys, hub_of(), bank_of())
    assert (status, found["findings"], found["unpaired"]) == (0, [], [])
    assert (found["runs"], found["pairs"]) == (1, 4)
    assert "Compared runs: 1; said by both sides: 4; by one side alone: 0" in out


def kinds(found: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return [(each["what"], each["by"], each["contradiction"]) for each in found["findings"]]


@pytest.mark.parametrize(
    ("hub", "bank", "alone"),
    [
        ({"received": (SENT, MORE)}, {}, ("sent", "hub", True)),
        ({}, {"joins": False}, ("joined", "hub", True)),
        ({}, {"sent": (SENT, MORE)}, ("sent", "bank", False)),
        ({"witnesses": ()}, {}, ("witnessed", "bank", False)),
    ],
)
def test_what_one_says_alone_is_named(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    hub: dict[str, Any],
    bank: dict[str, Any],
    alone: tuple[str, str, bool],
) -> None:
    status, found, out = compared(tmp_path, capsys, hub_of(**hub), bank_of(**bank))
    assert kinds(found) == [alone]
    assert status == (1 if alone[2] else 3)
    (each,) = found["findings"]
    missing = {"hub": "bank", "bank": "hub"}[alone[1]]
    assert f"{'CONTRADICTION' if alone[2] else 'ONE-SIDED'}: {alone[1]}, event {each['event']}: " in out
    assert f"; {missing} does not say so." in out


def test_another_model_than_was_released_is_told_from_both_sides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found, _ = compared(tmp_path, capsys, hub_of(), bank_of(model=MORE))
    assert status == 1
    assert sorted(kinds(found)) == [
        ("ended", "bank", False),
        ("witnessed", "bank", False),
        ("witnessed", "hub", True),
    ]


def test_runs_with_other_coordinators_and_refusals_are_nobody_else_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = bank_of()
    bank.record("study.joined", "allow", resource="study:2", public={"run": OTHER})
    bank.record("waist.send", "allow", resource="study:2", public={"run": OTHER, "sent": MORE})
    say(bank, "waist.send", "deny", sent=MORE)
    shop = log_of("shop")
    status, found, out = compared(tmp_path, capsys, hub_of(), bank, shop)
    assert (status, found["findings"], found["unpaired"]) == (0, [], ["shop"])
    assert "No counterpart here: shop" in out


def test_logs_that_cannot_be_compared_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").mkdir()
    assert compared(tmp_path / "a", capsys, hub_of())[0] == 1
    (tmp_path / "b").mkdir()
    status, _, out = compared(tmp_path / "b", capsys, hub_of(), bank_of(), bank_of())
    assert status == 1
    assert "RF-A242" in out
    place = tmp_path / "c"
    bank_of().export_bundle(place)
    log = place / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b"study.offered", b"study.offeree"))
    assert main(["reconcile", str(place)]) == 1
    assert "RF-A240" in capsys.readouterr().err
    assert main(["reconcile", str(tmp_path / "nowhere")]) == 1


def test_a_run_of_the_demo_is_said_by_all_parties(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from kits.parties import Parties, federation_of

    from ringfence.server.rounds import run_study

    parties = Parties.of(federation_of(tmp_path))
    run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)
    logs = [parties.federation.coordinator.log, *(each.log for each in parties.holders.values())]
    (tmp_path / "out").mkdir()
    status, found, _ = compared(tmp_path / "out", capsys, *logs)
    assert (status, found["findings"], found["unpaired"]) == (0, [], [])
    assert found["pairs"] >= 3 * 4


def test_a_holder_that_says_it_conducted_a_run_is_compared_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = bank_of(sent=())
    bank.record("study.offered", "allow", resource="study:2", public={"run": OTHER, "holders": ["x"]})
    status, found, _ = compared(tmp_path, capsys, hub_of(), bank)
    assert (status, kinds(found)) == (1, [("sent", "hub", True)])


def test_a_run_that_a_coordinator_leaves_out_as_a_whole_is_one_sided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = bank_of()
    for hub, run in (("x.example/coordinator", OTHER), ("y.example/coordinator", "ef" * 16)):
        for action in ("study.joined", "release.witnessed", "study.finished"):
            named = {} if action == "study.joined" else {"model": MORE, "coordinator_log": hub}
            bank.record(action, "allow", resource="study:2", public={"run": run} | named)
    status, found, _ = compared(tmp_path, capsys, hub_of(), bank)
    assert (status, {each["run"] for each in found["findings"]}) == (3, {OTHER})
    assert {kind for kind, _, _ in kinds(found)} == {"joined", "witnessed", "ended"}
