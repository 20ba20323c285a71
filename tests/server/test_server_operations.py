"""`doctor`, `status`, metrics and probes of a coordinator."""

from __future__ import annotations

import socket
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import kits.flower_kit  # noqa: F401  # imports Flower past its dependencies' deprecations
import pytest
from kits.command_kit import Town, read, server, town
from kits.federation_kit import enrol
from kits.link_kit import free_port

from ringfence.privacy.stores.lease import lease
from ringfence.server.connections.admissions import Admissions
from ringfence.server.connections.premises import GatewayFolder
from ringfence.server.connections.vitals import GRID, Vitals, last_heard
from ringfence.server.desk.examining import examine_coordinator
from ringfence.server.desk.reporting import CoordinatorStatus
from ringfence.server.desk.watching import watched
from ringfence.server.home import open_office


@pytest.fixture
def here(tmp_path: Path) -> Town:
    found = town(tmp_path)
    port = free_port()
    words = ("--address", f"127.0.0.1:{port}", "--bind", f"127.0.0.1:{port}")
    assert server("gateway", "make", *words, "--config", found.desk) == 0
    enrol(found, "north")
    return found


def findings(here: Town, expected: int) -> dict[str, tuple[str, str]]:
    out = here.root / "doctor.json"
    assert server("doctor", "--config", here.desk, "--json", out) == expected, read(out)
    return {each["name"]: (each["grade"], each["code"]) for each in read(out)["findings"]}


def test_all_is_well(here: Town) -> None:
    found = findings(here, 0)
    assert set(found) == {
        *(
            "settings",
            "flower",
            "programs",
            "disk",
            "keys",
            "store",
            "log",
            "certificate",
            "gateway",
            "holder",
        )
    }
    assert {grade for name, (grade, _code) in found.items() if name != "disk"} == {"ok"}


def test_a_desk_without_a_gateway_is_warned_of(tmp_path: Path) -> None:
    found = town(tmp_path)
    assert findings(found, 0)["gateway"] == ("warning", "")


def test_a_port_that_another_has_is_a_fault_and_ones_own_is_none(here: Town) -> None:
    with open_office(here.desk) as office:
        host, _, port = office.settings.gateway.bind.rpartition(":")
        with socket.create_server((host, int(port))):
            assert findings(here, 1)["gateway"] == ("fault", "RF-W355")
            with lease(office.engine):
                assert findings(here, 0)["gateway"] == ("ok", "")


def test_keys_and_authority_are_looked_at(here: Town) -> None:
    (here.desk / "keys" / "coordinator.key").chmod(0o640)
    (here.desk / "gateway" / "authority.key").unlink()
    found = findings(here, 1)
    assert found["keys"] == ("fault", "RF-K035")
    assert found["gateway"] == ("fault", "RF-K051")


@pytest.mark.parametrize(("days", "grade"), [(0, "ok"), (366, "ok"), (368, "warning"), (398, "fault")])
def test_the_end_of_a_holders_certificate_is_told_a_month_ahead(here: Town, days: int, grade: str) -> None:
    with open_office(here.desk) as office:
        (admitted,) = Admissions(office.engine).listed()
    now = datetime.fromisoformat(admitted.until) - timedelta(days=397) + timedelta(days=days, hours=-1)
    made = examine_coordinator(here.desk, now)
    assert [each.grade for each in made.found if each.name == "holder"] == [grade]


def test_a_holder_that_was_revoked_is_no_finding(here: Town) -> None:
    assert server("holder", "revoke", "north", "--config", here.desk) == 0
    assert "holder" not in findings(here, 0)


def test_status_says_who_is_there_and_since_when_one_is_not(here: Town) -> None:
    now = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
    with open_office(here.desk) as office:
        (admitted,) = Admissions(office.engine).let_in()
        found = CoordinatorStatus.read(here.desk, now)
        assert (found.serves, found.conducts, found.runs) == (False, False, ())
        assert "  north: never heard of" in found.lines()
        vitals = Vitals(folder=here.desk / "gateway", clock=lambda: now.timestamp() - 20)
        vitals.answered(admitted.identity, 200)
        vitals.tick()
        assert (
            "  north: last heard of at 2026-11-28T11:59:30+00:00"
            in CoordinatorStatus.read(here.desk, now).lines()
        )
        with lease(office.engine), lease(office.engine, "study"):
            found = CoordinatorStatus.read(here.desk, now)
            assert (found.serves, found.conducts) == (True, True)
            assert "  north: connected" in found.lines()
            later = CoordinatorStatus.read(here.desk, now + timedelta(seconds=90))
            assert "  north: unreachable since 2026-11-28T11:59:30+00:00" in later.lines()
    out = here.root / "status.json"
    assert server("status", "--config", here.desk, "--json", out) == 0
    assert read(out)["serves"] is False


def test_what_was_heard_is_rounded_kept_and_told_apart() -> None:
    vitals = Vitals(clock=lambda: 1000.0, steady=lambda: 5.0)
    vitals.answered("ab", 200)
    vitals.answered("cd", 403)
    vitals.answered("", 200)
    vitals.answered("ab", 503)
    assert vitals.heard == {"ab": 1000 // GRID * GRID}
    assert dict(vitals.refusals) == {403: 1}


def test_readiness_wants_link_and_door_and_a_process_that_looks_after_them() -> None:
    now = [0.0]
    vitals = Vitals(steady=lambda: now[0])
    assert not vitals.alive
    vitals.tick()
    assert vitals.alive
    assert not vitals.ready
    vitals.link = vitals.door = True
    assert vitals.ready
    vitals.link = False
    assert not vitals.ready
    vitals.link, now[0] = True, 31.0
    assert not vitals.ready


@pytest.mark.parametrize("content", ["", "[]", '{"a": "x"}', '{"a": null}'])
def test_what_was_heard_and_cannot_be_read_is_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "heard.json").write_text(content, encoding="utf-8")
    assert last_heard(tmp_path) == {}


ALLOWED = {
    "ringfence_build_info",
    "ringfence_gateway_up",
    "ringfence_link_up",
    "ringfence_link_restarts_total",
    "ringfence_gateway_refusals_total",
    "ringfence_holders_admitted",
    "ringfence_holder_last_contact_timestamp_seconds",
    "ringfence_certificate_expiry_timestamp_seconds",
    "ringfence_runs",
}


def test_metrics_name_no_study_and_count_no_message(here: Town) -> None:
    port, file = free_port(), here.desk / "server.toml"
    file.write_text(f"{file.read_text(encoding='utf-8')}\n[metrics]\nport = {port}\n", encoding="utf-8")
    GatewayFolder(here.desk / "gateway").issue("127.0.0.1", datetime.now(UTC))
    with open_office(here.desk) as office:
        vitals = Vitals()
        vitals.answered("", 404)
        with watched(office, vitals, Admissions(office.engine)) as found:
            assert found == {"metrics": port}
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
                said = answer.read().decode()
    assert {line.split("{")[0].split(" ")[0] for line in said.splitlines() if line[0] != "#"} == ALLOWED
    assert 'ringfence_gateway_refusals_total{status="404"} 1.0' in said
    assert 'ringfence_runs{state="running"} 0.0' in said
    assert 'certificate="holder:north"' in said
