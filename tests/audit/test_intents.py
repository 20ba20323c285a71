"""Of a run one intent to release stands in a coordinator's log, and what holders witnessed is that one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ringfence.audit.cli import main
from ringfence.audit.log import AuditLog
from ringfence.audit.merkle import leaf_hash
from ringfence.audit.note import MemorySigner
from ringfence.privacy.stores.store import open_store

RUN, HUB = "ab" * 16, "x.example/coordinator"
MODEL, OTHER = ("sha256:" + each * 32 for each in ("11", "22"))


def log_of(name: str) -> AuditLog:
    origin = HUB if name == "hub" else f"x.example/holder/{name}"
    return AuditLog(
        open_store(None),
        origin=origin,
        signer=MemorySigner(),
        organisation=name,
        actor="client",
        profile="simulation",
    )


def say(log: AuditLog, action: str, outcome: Any = "allow", **public: Any) -> int:
    return log.record(action, outcome, resource="study:1", public={"run": RUN} | public)


def intends(log: AuditLog, model: str = MODEL) -> tuple[int, str]:
    number = say(log, "release.intended", model=model)
    return number, "sha256:" + leaf_hash(next(log.events(number)).leaf).hex()


def withdraws(log: AuditLog, intent: tuple[int, str], model: str = MODEL) -> None:
    say(log, "release.withdrawn", model=model, intent=intent[1], entry=intent[0])


def verdict(folder: Path, log: AuditLog, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    place = folder / log.organisation
    log.export_bundle(place)
    status = main(["verify", str(place), "--alone"])
    return status, capsys.readouterr().out


def test_a_second_intent_beside_the_first_is_a_contradiction(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = log_of("hub")
    first = intends(hub)
    second = intends(hub)
    status, out = verdict(tmp_path, hub, capsys)
    assert status == 1
    assert (
        f"RF-A260: Event {second[0]} intends a second release of run {RUN}; the intent of event {first[0]}"
        in out
    )


def test_after_a_withdrawal_another_one_stands_and_is_released(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = log_of("hub")
    withdraws(hub, intends(hub))
    number, _leaf = intends(hub, OTHER)
    say(hub, "model.released", model=OTHER, entry=number, witnesses=[])
    status, out = verdict(tmp_path, hub, capsys)
    assert (status, "RF-A26" in out) == (0, False)


@pytest.mark.parametrize(
    "way", ["withdrawn", "other model", "other entry", "withdrawn twice", "never intended"]
)
def test_what_does_not_stand_is_neither_withdrawn_nor_released(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    hub = log_of("hub")
    intent = intends(hub)
    match way:
        case "withdrawn":
            withdraws(hub, intent)
            say(hub, "model.released", model=MODEL, entry=intent[0], witnesses=[])
        case "other model":
            say(hub, "model.released", model=OTHER, entry=intent[0], witnesses=[])
        case "other entry":
            say(hub, "model.released", model=MODEL, entry=intent[0] + 1, witnesses=[])
        case "withdrawn twice":
            withdraws(hub, intent)
            withdraws(hub, intent)
        case _:
            withdraws(hub, (0, "sha256:" + "33" * 32))
    status, out = verdict(tmp_path, hub, capsys)
    code = "RF-A261" if way in {"withdrawn twice", "never intended"} else "RF-A262"
    assert (status, code in out) == (1, True)


def compared(folder: Path, *logs: AuditLog) -> tuple[int, list[tuple[str, str, bool]]]:
    places = []
    for log in logs:
        log.export_bundle(folder / log.organisation)
        places.append(str(folder / log.organisation))
    status = main(["reconcile", *places, "--json", str(folder / "found.json")])
    found = json.loads((folder / "found.json").read_text(encoding="utf-8"))["findings"]
    return status, [(each["what"], each["by"], each["contradiction"]) for each in found]


def bank_of(leaf: str, model: str = MODEL) -> AuditLog:
    bank = log_of("bank")
    say(bank, "study.joined")
    say(bank, "release.witnessed", model=model, intent=leaf, coordinator_log=HUB, size=4, root="00" * 32)
    return bank


def hub_of() -> AuditLog:
    hub = log_of("hub")
    say(hub, "study.offered", holders=["bank"])
    say(hub, "study.joined", holder="bank")
    return hub


def test_an_intent_that_only_a_holder_knows_is_a_contradiction(tmp_path: Path) -> None:
    """Another holder was shown another intent of the run: one of the two is not in the log."""
    hub = hub_of()
    number, _leaf = intends(hub)
    say(hub, "model.released", model=MODEL, entry=number, witnesses=["bank"])
    status, found = compared(tmp_path, hub, bank_of("sha256:" + "44" * 32))
    assert (status, found) == (1, [("intended", "bank", True)])


def test_a_withdrawn_release_is_no_longer_one_sided(tmp_path: Path) -> None:
    hub = hub_of()
    intent = intends(hub)
    bank = bank_of(intent[1])
    assert compared(tmp_path, hub, bank) == (3, [("witnessed", "bank", False)])
    withdraws(hub, intent)
    say(bank, "withdrawal.witnessed", model=MODEL, intent=intent[1])
    (tmp_path / "later").mkdir()
    assert compared(tmp_path / "later", hub, bank) == (0, [])


@pytest.mark.parametrize(
    "public",
    [
        {"size": 0, "root": "00" * 32},
        {"size": -1, "root": "00" * 32, "lost": ["4:" + "11" * 32]},
        {"size": 0, "root": "00" * 31, "lost": ["4:" + "11" * 32]},
        {"size": 0, "root": "00" * 32, "lost": []},
        {"size": 0, "root": "00" * 32, "lost": ["04:" + "11" * 32]},
        {"size": 4, "root": "00" * 32, "lost": ["4:" + "11" * 32]},
        {"size": 0, "root": "00" * 32, "lost": ["4:" + "11" * 32, "4:" + "22" * 32]},
        {"size": 1, "root": "00" * 32, "lost": ["4:" + "11" * 32]},
    ],
)
def test_a_recovery_that_names_no_states_is_no_excuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], public: dict[str, Any]
) -> None:
    hub = log_of("hub")
    say(hub, "study.offered")
    if public["size"] == -1:
        public = public | {"size": 0, "lost": "4:" + "11" * 32}
    hub.record("log.recovered", "allow", resource=f"log:{HUB}", public=public)
    status, out = verdict(tmp_path, hub, capsys)
    assert status == 1
    assert any(code in out for code in ("RF-A263", "RF-A264", "RF-A266"))


def test_a_state_that_the_log_still_has_is_not_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ringfence.audit.checkpoint import read_unverified
    from ringfence.audit.merkle import EMPTY_ROOT

    hub = log_of("hub")
    say(hub, "study.offered")
    state = read_unverified(hub.checkpoint())
    lost = [f"{state.size}:{state.root.hex()}"]
    public: dict[str, Any] = {"size": 0, "root": EMPTY_ROOT.hex(), "lost": lost}
    hub.record("log.recovered", "allow", resource=f"log:{HUB}", public=public)
    status, out = verdict(tmp_path, hub, capsys)
    assert (status, "RF-A266" in out) == (1, True)
