"""Which logs a bundle must hold, by what its logs say; without any files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ringfence.audit.canonical import Json
from ringfence.audit.events import Event
from ringfence.audit.merkle import leaf_hash
from ringfence.audit.verification import scan as scanning
from ringfence.audit.verification.report import Gap
from ringfence.audit.verification.rollcall import (
    Mentions,
    Present,
    last_part,
    misplaced,
    missing_logs,
    other_runs,
    strange_folder,
)
from ringfence.audit.verification.scan import Anchor, scan_events

COORDINATOR, BANK, SHOP = "x.example/coordinator", "x.example/holder/bank", "x.example/holder/shop"
RUN, OTHER, ROOT = "0a" * 16, "0b" * 16, "0f" * 32
EVENT = Event(
    id="0" * 32,
    source=f"{BANK}#client",
    action="waist.send",
    outcome="allow",
    resource="study:x",
    time="2026-11-01T00:00:00.000000Z",
    actor="client",
    organisation="Bank",
    profile="durable",
    sequence=0,
    public={},
    private="0" * 64,
)


def said(action: str, outcome: str = "allow", **public: Json) -> Mentions:
    says = Mentions()
    says.take(replace(EVENT, action=action, outcome=outcome, public=public))  # type: ignore[arg-type]
    return says


def test_the_first_event_says_whose_log_it_is() -> None:
    says = said("table.read")
    assert (says.organisation, says.origin) == ("Bank", BANK)
    says.take(replace(EVENT, organisation="Shop", source=f"{SHOP}#client"))
    assert (says.organisation, says.origin) == ("Bank", BANK)


def test_what_an_event_says_of_a_run() -> None:
    assert said("study.joined", run=RUN).joined == {RUN}
    assert said("study.offered", run=RUN).joined == set()
    assert said("table.read", run=RUN).joined == set()
    taken = said("study.joined", run=RUN, holder="bank")
    assert (taken.coordinated, taken.members, taken.joined) == ({RUN}, {RUN: {"bank"}}, set())
    offered = said("study.offered", run=RUN, holders=["bank", "shop"])
    assert (offered.coordinated, offered.members, offered.joined) == ({RUN}, {}, set())
    sent = said("waist.send", run=RUN, roster=["bank", "shop"])
    assert (sent.members, sent.coordinated) == ({RUN: {"bank", "shop"}}, set())
    ended = said("study.finished", run=RUN, coordinator_log=COORDINATOR)
    assert ended.coordinators == {RUN: COORDINATOR}
    assert said("waist.send", run=RUN, coordinator_log=COORDINATOR).coordinators == {}
    assert said("study.finished", run=RUN, coordinator_log=3).coordinators == {}
    both = said("study.joined", "error", run=RUN, holder="bank", roster=["shop"])
    assert both.members == {RUN: {"bank", "shop"}}


@pytest.mark.parametrize("change", [{"outcome": "deny"}, {"public": {"run": 3}}, {"public": {}}])
def test_a_refusal_and_an_event_of_no_run_say_nothing(change: dict[str, object]) -> None:
    says = Mentions()
    public = {"run": RUN, "holder": "bank", "roster": ["shop"]}
    says.take(replace(EVENT, action="study.joined", **({"public": public} | change)))  # type: ignore[arg-type]
    assert (says.joined, says.coordinated, says.members, says.coordinators) == (set(), set(), {}, {})
    assert says.organisation == "Bank"


# --- who is missed ---------------------------------------------------------------------------------------


def holder(name: str, *runs: str, **more: object) -> Present:
    says = Mentions(organisation=name.title(), joined=set(runs), **more)  # type: ignore[arg-type]
    return Present(name=f"holders/{name}", origin=f"x.example/holder/{name}", says=says)


def coordinator(**more: object) -> Present:
    says = Mentions(organisation="Hub", **({"coordinated": {RUN}} | more))  # type: ignore[arg-type]
    return Present(name="coordinator", origin=COORDINATOR, says=says)


def missed(*logs: Present) -> list[tuple[str, str, bool]]:
    """Code, what is missing, and whether others could bring it."""
    return [(gap.error.code, gap.missing, gap.elsewhere) for gap in missing_logs(logs)]


def test_nobody_is_missed_where_all_are_there() -> None:
    hub = coordinator(members={RUN: {"bank", "Shop"}}, anchored={BANK: 3, SHOP: 2})
    assert missed(hub, holder("bank", RUN), holder("shop", RUN)) == []
    assert missed(coordinator()) == []
    assert missed() == []


def test_a_log_that_is_anchored_is_missed_by_its_origin_once() -> None:
    one = coordinator(anchored={BANK: 3})
    other = replace(holder("shop"), says=Mentions(anchored={BANK: 5, COORDINATOR: 1}))
    assert missed(one, other) == [("RF-A200", BANK, True)]
    (gap,) = missing_logs([one, other])
    assert (gap.error.values["place"], gap.error.values["size"]) == ("coordinator", 3)


def test_a_holder_of_a_run_is_missed_by_its_name_once() -> None:
    hub = coordinator(members={RUN: {"bank", "shop"}, OTHER: {"telco"}})
    assert missed(hub, holder("bank", RUN, members={RUN: {"shop", "bank"}})) == [("RF-A201", "shop", True)]
    (gap,) = missing_logs([hub, holder("bank", RUN)])
    assert (gap.error.values["holder"], gap.error.values["place"], gap.error.values["run"]) == (
        "shop",
        "coordinator",
        RUN,
    )
    # Missed by its origin already, it is not missed by its name as well.
    assert missed(coordinator(members={RUN: {"bank"}}, anchored={BANK: 1})) == [("RF-A200", BANK, True)]


def test_a_holder_is_there_under_its_organisation_or_the_end_of_its_origin() -> None:
    for name in ("bank", "Bank"):
        assert missed(coordinator(members={RUN: {name}}), holder("bank", RUN)) == []
    assert missed(coordinator(members={RUN: {"BANK"}}), holder("bank", RUN)) == [("RF-A201", "BANK", True)]


def test_a_coordinator_is_missed_for_the_runs_of_its_holders() -> None:
    lone = holder("bank", RUN, coordinators={RUN: COORDINATOR})
    assert missed(lone) == [("RF-A202", COORDINATOR, True)]
    assert missed(holder("bank", RUN)) == [("RF-A203", "coordinator", True)]
    (gap,) = missing_logs([lone])
    assert (gap.error.values["places"], gap.error.values["run"]) == ("holders/bank", RUN)
    pair = [lone, holder("shop", RUN)]
    assert missed(*pair) == [("RF-A202", COORDINATOR, True)]
    assert missing_logs(pair)[0].error.values["places"] == "holders/bank, holders/shop"
    # One coordinator is missed once for all its runs; two unknown ones twice.
    twice = {RUN: COORDINATOR, OTHER: COORDINATOR}
    assert missed(holder("bank", RUN, OTHER, coordinators=twice)) == [("RF-A202", COORDINATOR, True)]
    assert missed(holder("bank", RUN, OTHER)) == [("RF-A203", "coordinator", True)] * 2
    # One that is missed as an anchored log, or is here, is not missed again.
    known = holder("bank", RUN, coordinators={RUN: COORDINATOR}, anchored={COORDINATOR: 2})
    assert missed(known) == [("RF-A200", COORDINATOR, True)]
    assert missed(lone, coordinator(coordinated=set())) == []


def test_runs_of_another_federation_are_a_notice_and_shared_ones_are_not() -> None:
    hub, bank, shop = coordinator(), holder("bank", RUN, OTHER), holder("shop", RUN)
    assert missed(hub, bank, shop) == []
    assert [len(other_runs([hub, bank, shop], log)) for log in (hub, bank, shop)] == [0, 1, 0]
    assert "1" in other_runs([hub, bank, shop], bank)[0]
    # Two logs of the bundle that took part in one run make it the bundle's own; two copies of one log do not.
    both = [hub, bank, holder("shop", RUN, OTHER)]
    assert missed(*both) == [("RF-A203", "coordinator", True)]
    assert other_runs(both, bank) == []
    assert missed(hub, bank, replace(bank, name="copy")) == []


# --- folders ---------------------------------------------------------------------------------------------


def test_a_folder_of_another_logs_name_is_misplaced_and_of_no_logs_name_a_notice() -> None:
    bank, shop = holder("bank"), holder("shop")
    swapped = replace(bank, name="holders/shop")
    fault = misplaced([swapped, replace(shop, name="holders/bank")], swapped, [])
    assert fault is not None
    assert (fault.code, fault.values["folder"], fault.values["origin"]) == ("RF-A221", "holders/shop", BANK)
    gone = misplaced([swapped], swapped, [Gap(error=fault, missing=SHOP)])
    assert gone is not None
    for name in ("holders/bank", "holders/BANK", "holders/Bank", ".", "bank"):
        good = replace(bank, name=name)
        assert misplaced([good, shop], good, []) is None
        assert strange_folder(good) == []
    odd = replace(bank, name="holders/vault")
    assert misplaced([odd, shop], odd, []) is None
    (notice,) = strange_folder(odd)
    assert "vault" in notice
    assert BANK in notice
    assert (last_part(BANK), last_part("bank"), last_part("a/")) == ("bank", "bank", "")
    assert replace(bank, origin="", says=Mentions()).names == set()


# --- one pass over the events ----------------------------------------------------------------------------


def placed(path: Path, *events: Event) -> Path:
    path.write_bytes(b"".join(event.leaf() + b"\n" for event in events))
    return path


def test_a_pass_counts_what_it_finds(tmp_path: Path) -> None:
    anchor: dict[str, Json] = {"log": SHOP, "size": 0, "root": ROOT}
    events = (
        EVENT,
        replace(EVENT, sequence=1, profile="simulation", action="table.unheard"),
        replace(EVENT, source=f"{BANK}#officer"),
        replace(EVENT, sequence=2, action="checkpoint.anchored", public={**anchor, "size": 7}),
        replace(EVENT, sequence=3, action="checkpoint.anchored", public=anchor),
    )
    found = scan_events(placed(tmp_path / "log.jsonl", *events))
    assert found.faults == []
    assert bytes(found.hashes) == b"".join(leaf_hash(event.leaf()) for event in events)
    assert (found.simulation, found.unknown) == (1, 1)
    root = bytes.fromhex(ROOT)
    assert found.anchors == [
        Anchor(origin=SHOP, size=7, root=root, event=3),
        Anchor(origin=SHOP, size=0, root=root, event=4),
    ]
    assert found.says.anchored == {SHOP: 7}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"sequence": 0}, "RF-A057"),
        ({"sequence": 2}, "RF-A057"),
        ({"public": {"round": -2}}, "RF-A226"),
        ({"public": {"size": "1"}}, "RF-A226"),
        ({"action": "checkpoint.anchored"}, "RF-A056"),
        ({"action": "checkpoint.anchored", "public": {"log": SHOP, "size": 1, "root": "0f"}}, "RF-A056"),
        (
            {"action": "checkpoint.anchored", "public": {"log": SHOP, "size": -1, "root": "0f" * 32}},
            "RF-A056",
        ),
        ({"action": "checkpoint.anchored", "public": {"log": 1, "size": 1, "root": "0f" * 32}}, "RF-A056"),
    ],
)
def test_a_fault_is_told_with_its_event_and_reading_goes_on(
    tmp_path: Path, change: dict[str, object], code: str
) -> None:
    spoilt = replace(EVENT, **({"sequence": 1} | change))  # type: ignore[arg-type]
    after = replace(EVENT, sequence=spoilt.sequence + 1)
    found = scan_events(placed(tmp_path / "log.jsonl", EVENT, spoilt, after))
    assert [(fault.error.code, fault.event) for fault in found.faults] == [(code, 1)]
    assert len(found.hashes) == 3 * 32


def test_progress_is_told_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "PROGRESS_STEP", 2)
    told: list[int] = []
    scan_events(placed(tmp_path / "log.jsonl", *(replace(EVENT, sequence=n) for n in range(5))), told.append)
    assert told == [0, 2, 4]
