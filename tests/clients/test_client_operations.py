"""`doctor`, `status`, metrics, probes and lines of a holder, beside a real gateway on loopback."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kits.flower_kit  # noqa: F401  # imports Flower past its dependencies' deprecations
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from kits.command_kit import Town, client, new_key, read, refused, server, town
from kits.federation_kit import enrol
from kits.link_kit import free_port
from kits.proxy_kit import proxy
from sqlalchemy import update

from ringfence.audit.store import head
from ringfence.clients.config import load_settings
from ringfence.clients.connections.contact import Contact, LastContact
from ringfence.clients.connections.membership import FOLDER, MembershipFolder
from ringfence.clients.connections.metrics import HolderMetrics
from ringfence.clients.connections.node import on_loopback
from ringfence.clients.desk.assembling import load_holder
from ringfence.clients.desk.examining import examine_holder
from ringfence.clients.home import open_federation, open_home
from ringfence.privacy.crypto.tls_keys import public_bytes, read_tls_key
from ringfence.privacy.errors import N_, KeyFault
from ringfence.privacy.stores.lease import lease
from ringfence.server.connections.gateway import Gateway, door_server
from ringfence.server.connections.premises import GatewayFolder

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


@pytest.fixture
def here(tmp_path: Path) -> Town:
    """A town whose first holder is enrolled; nothing serves."""
    found = town(tmp_path)
    port = free_port()
    words = ("--address", f"127.0.0.1:{port}", "--bind", f"127.0.0.1:{port}")
    assert server("gateway", "make", *words, "--config", found.desk) == 0
    enrol(found, "north")
    return found


def own_certificate(here: Town) -> x509.Certificate:
    settings = load_settings(here.home)
    coordinator = settings.coordinator(settings.federation(None))
    return MembershipFolder(here.home / FOLDER / "city").certificate(coordinator)


@pytest.fixture
def door(here: Town, request: pytest.FixtureRequest) -> Iterator[dict[str, bytes]]:
    """The coordinator's real door, without a link behind it; who is let in."""
    import threading
    import time

    folder = GatewayFolder(here.desk / "gateway")
    folder.issue("127.0.0.1", datetime.now(UTC) + timedelta(days=getattr(request, "param", 0)))
    key = public_bytes(read_tls_key(here.home / FOLDER / "city" / "node.key"))
    allowed = {own_certificate(here).fingerprint(hashes.SHA256()).hex(): key}
    text = (here.desk / "server.toml").read_text(encoding="utf-8")
    (port,) = re.findall(r'bind = "127.0.0.1:(\d+)"', text)
    app = Gateway(
        link=lambda: "127.0.0.1:1", authority=folder.link_files().authority, allowed=lambda: allowed
    )
    running = door_server(app, folder.door_files(), "127.0.0.1", int(port))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not running.started and time.monotonic() < deadline:
        time.sleep(0.01)
    yield allowed
    running.should_exit = True
    thread.join(20)


@pytest.fixture
def two(here: Town) -> Town:
    """The holder belongs to a second federation, which it has not joined to the end."""
    other = new_key(here.root / "river.key", "coordinator")
    words = ("--compared", "--config", here.home)
    assert client("federation", "add", "river", f"{other}.pub", *words) == 0
    return here


def findings(here: Town, expected: int, *more: object) -> dict[str, tuple[str, str]]:
    """Grade and code of each check, the last of a name."""
    out = here.root / "doctor.json"
    assert client("doctor", "--config", here.home, "--json", out, *more) == expected, read(out)
    return {each["name"]: (each["grade"], each["code"]) for each in read(out)["findings"]}


def test_all_is_well(here: Town, door: dict[str, bytes], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    found = findings(here, 0)
    assert set(found) == {
        *("settings", "flower", "disk", "keys", "store", "log", "ledger", "contract", "people"),
        *("certificate", "federation", "clock", "gateway"),
    }
    assert {grade for name, (grade, _code) in found.items() if name != "disk"} == {"ok"}
    said = capsys.readouterr().out
    assert "over TLS 1.3, and lets this holder in" in said
    assert not re.search(r"\bC\d", said)


def test_a_gateway_that_lets_this_holder_in_no_more(here: Town, door: dict[str, bytes]) -> None:
    certificate, key = next(iter(door.items()))
    door[certificate] = b"another node's key"
    assert findings(here, 1)["gateway"] == ("fault", "RF-U573")
    door.clear()
    assert findings(here, 1)["gateway"] == ("fault", "RF-U573")
    assert key


def test_nobody_serves(here: Town) -> None:
    assert findings(here, 1)["gateway"] == ("fault", "RF-U574")


@pytest.mark.parametrize("inspects", [False, True])
def test_through_a_proxy(here: Town, door: dict[str, bytes], tmp_path: Path, inspects: bool) -> None:
    with proxy(tmp_path / "house", inspects=inspects) as house:
        file = here.home / "client.toml"
        text = file.read_text(encoding="utf-8")
        file.write_text(f'{text}\n[federation.connection]\nproxy = "{house.url}"\n', encoding="utf-8")
        wanted = ("fault", "RF-K133") if inspects else ("ok", "")
        assert findings(here, int(inspects))["gateway"] == wanted
        assert house.asked


def test_each_check_stands_by_itself(here: Town) -> None:
    (here.home / "keys" / "log.key").chmod(0o644)
    (here.home / "contract.signed.json").unlink()
    (here.home / FOLDER / "city" / "node.key").unlink()
    found = findings(here, 1)
    assert found["keys"] == ("fault", "RF-K035")
    assert found["contract"] == ("fault", "RF-C203")
    assert found["federation"] == ("fault", "RF-K051")
    assert found["ledger"][0] == found["log"][0] == "ok"


def test_a_home_without_settings_or_store(here: Town) -> None:
    (here.home / "holder.db").unlink()
    found = findings(here, 1)
    assert found["store"] == ("fault", "RF-B400")
    assert "ledger" not in found
    (here.home / "client.toml").unlink()
    assert findings(here, 1) == {"settings": ("fault", "RF-U405")}


@pytest.mark.parametrize(("days", "grade"), [(0, "ok"), (360, "ok"), (380, "warning"), (400, "fault")])
def test_the_end_of_the_certificate_is_told_a_month_ahead(here: Town, days: int, grade: str) -> None:
    begin = own_certificate(here).not_valid_before_utc
    made = examine_holder(here.home, begin + timedelta(days=days, hours=1))
    assert [each.grade for each in made.found if each.name == "certificate"] == [grade]


@pytest.mark.parametrize("door", [20], indirect=True)
def test_a_clock_before_the_gateways_certificate_is_told(here: Town, door: dict[str, bytes]) -> None:
    """The gateway makes its certificate when it starts: it is never of a day that is to come."""
    found = findings(here, 1)
    assert found["clock"] == ("fault", "")
    assert found["gateway"][0] == "fault"
    assert door


def status(here: Town) -> dict[str, Any]:
    out = here.root / "status.json"
    assert client("status", "--config", here.home, "--json", out) == 0
    found: dict[str, Any] = read(out)
    return found


def test_status_says_what_goes_on(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    found = status(here)
    (city,) = found["federations"]
    assert (found["name"], city["coordinator"], found["running"]) == ("north", "city", False)
    assert city["open"] == []
    contact = Contact(folder=here.home / FOLDER / "city", clock=lambda: NOW)
    contact.answered()
    contact.failed("RF-W331: not reached")
    capsys.readouterr()
    with open_home(here.home) as home, lease(home.engine):
        found = status(here)
    assert found["running"] is True
    assert found["federations"][0]["last_contact"] == NOW.isoformat()
    said = capsys.readouterr().out
    assert "Its process runs." in said
    assert "RF-W331: not reached" in said


def test_a_holder_that_joined_nothing_says_so(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert client("status", "--config", here.root / "south") == 0
    assert "south has joined no federation." in capsys.readouterr().out


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"heard": 3, "trouble": ""}', '{"heard": "2026-01-01"}']
)
def test_a_contact_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "contact.json").write_text(content, encoding="utf-8")
    assert LastContact.read(tmp_path) == LastContact()


def test_a_contact_ends_when_heartbeats_do(tmp_path: Path) -> None:
    now = [NOW]
    contact = Contact(folder=tmp_path, clock=lambda: now[0])
    assert not contact.connected
    contact.answered()
    assert contact.connected
    now[0] += timedelta(seconds=46)
    assert not contact.connected
    contact.answered()
    contact.failed("RF-W331: x")
    assert not contact.connected
    assert LastContact.read(tmp_path) == LastContact(heard=now[0], trouble="RF-W331: x")


def fetch(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"host": host})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


ALLOWED = {
    "ringfence_build_info",
    "ringfence_gateway_connected",
    "ringfence_gateway_last_contact_timestamp_seconds",
    "ringfence_certificate_expiry_timestamp_seconds",
    "ringfence_budget_left_mu_squared",
    "ringfence_budget_frozen",
}


def test_metrics_and_probes_on_loopback_and_nothing_that_depends_on_rows(here: Town) -> None:
    file, ports = here.home / "client.toml", (free_port(), free_port())
    text = file.read_text(encoding="utf-8")
    file.write_text(f"{text}\n[metrics]\nport = {ports[0]}\n[probes]\nport = {ports[1]}\n", encoding="utf-8")
    contact = Contact(clock=lambda: NOW)

    def ready() -> tuple[int, Any]:
        status, body = fetch(ports[1], "/readyz")
        return status, json.loads(body)

    with open_federation(here.home, None, opens="log") as home:
        holder = load_holder(home)
        links = {"city": (contact, lambda: NOW)}
        kept = [True]
        with on_loopback(holder, load_settings(here.home), links, store=lambda: kept[0]) as found:
            assert found == {"metrics": ports[0], "probes": ports[1]}
            assert fetch(ports[1], "/healthz") == (200, '{"alive": true}\n')
            assert ready() == (503, {"ready": False, "federations": {"city": False}, "store": True})
            contact.heard = NOW - timedelta(seconds=7)
            assert ready() == (200, {"ready": True, "federations": {"city": True}, "store": True})
            kept[0] = False
            assert ready() == (503, {"ready": False, "federations": {"city": True}, "store": False})
            state, said = fetch(ports[0], "/metrics")
            assert state == 200
            names = {line.split("{")[0].split(" ")[0] for line in said.splitlines() if line[0] != "#"}
            assert names == ALLOWED
            (seen,) = re.findall(r'last_contact_timestamp_seconds{federation="city"} ([\d.e+]+)', said)
            assert float(seen) % 30 == 0
            assert [fetch(ports[0], path)[0] for path in ("/", "/healthz", "/metrics?x")] == [404, 404, 404]
            assert fetch(ports[0], "/metrics", "evil.example")[0] == 403
            assert fetch(ports[0], "/metrics", f"localhost:{ports[0]}")[0] == 200


def test_a_certificate_that_cannot_be_read_leaves_out_its_figure_alone(two: Town) -> None:
    def unreadable() -> datetime:
        raise KeyFault("RF-K123", N_("unreadable"))

    contact = Contact(clock=lambda: NOW, heard=NOW)
    links = {"city": (contact, unreadable), "river": (contact, lambda: NOW)}
    with open_federation(two.home, "city", opens="log") as home:
        metrics = HolderMetrics(links=links, ledger=load_holder(home).ledger, clock=lambda: NOW)
        said = metrics.page().body.decode()
    assert re.findall(r'certificate_expiry_timestamp_seconds{federation="(\w+)"}', said) == ["river"]
    assert dict(re.findall(r'gateway_connected{federation="(\w+)"} ([\d.]+)', said)) == {
        "city": "1.0",
        "river": "1.0",
    }
    assert "ringfence_budget_left_mu_squared " in said


def test_one_federation_that_is_not_reached_is_named_and_makes_the_holder_not_ready(two: Town) -> None:
    """Also one that could not be served at all, which has no connection that could fail."""
    file, ports = two.home / "client.toml", (free_port(), free_port())
    text = file.read_text(encoding="utf-8")
    file.write_text(f"{text}\n[metrics]\nport = {ports[0]}\n[probes]\nport = {ports[1]}\n", encoding="utf-8")
    city, river = (Contact(clock=lambda: NOW) for _ in range(2))
    city.heard = NOW - timedelta(seconds=7)
    settings = load_settings(two.home)
    with open_federation(two.home, "city", opens="log") as home:
        holder, links = load_holder(home), {"city": (city, lambda: NOW)}
        for served in (links, {**links, "river": (river, lambda: NOW)}):
            with on_loopback(holder, settings, served, store=lambda: True):
                status, body = fetch(ports[1], "/readyz")
                wanted = {"ready": False, "federations": {"city": True, "river": False}, "store": True}
                assert (status, json.loads(body)) == (503, wanted)
                said = fetch(ports[0], "/metrics")[1]
                found = re.findall(r'gateway_connected{federation="(\w+)"} ([\d.]+)', said)
                assert dict(found) == {"city": "1.0", "river": "0.0"}
        river.heard = NOW
        with on_loopback(holder, settings, served, store=lambda: True):
            assert fetch(ports[1], "/readyz")[0] == 200


def test_status_names_the_federation_that_cannot_be_read_and_tells_of_the_other(
    two: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its log was damaged, or its key is gone: that is no home that joined nothing."""
    key = two.home / next(
        each.log for each in load_settings(two.home).config.federation if each.name == "river"
    )
    public = key.with_name(key.name + ".pub")
    kept = public.read_bytes()
    public.unlink()
    found = status(two)
    by_name = {each["name"]: each for each in found["federations"]}
    assert (by_name["city"]["fault"], by_name["city"]["coordinator"]) == ("", "city")
    assert by_name["river"]["fault"].startswith("RF-K")
    said = capsys.readouterr().out
    assert "of the federation cannot be read" in said
    assert "has joined no federation" not in said
    public.write_bytes(kept)
    with open_home(two.home) as home:
        number = home.of(load_settings(two.home).federation("river")).log.number
        with home.engine.begin() as connection:
            connection.execute(update(head).where(head.c.id == number).values(edge=b"\0" * 64))
    found = status(two)
    by_name = {each["name"]: each for each in found["federations"]}
    assert by_name["river"]["fault"].startswith("RF-A")
    assert (by_name["city"]["fault"], found["budget"]["frozen"]) == ("", "")


def test_nothing_listens_where_nobody_asked(here: Town) -> None:
    with (
        open_federation(here.home, None, opens="log") as home,
        on_loopback(
            load_holder(home),
            load_settings(here.home),
            {"city": (Contact(), lambda: NOW)},
            store=lambda: True,
        ) as found,
    ):
        assert found == {}


WRONG = {
    "a login in the address": ('proxy = "http://me:secret@p:1"', "RF-U560"),
    "no port": ('proxy = "http://p"', "RF-U561"),
    "another scheme": ('proxy = "socks5://p:1"', "RF-U561"),
    "a path": ('proxy = "http://p:1/x"', "RF-U561"),
    "an authority without TLS": ('proxy = "http://p:1"\nproxy_authority = "a.pem"', "RF-U562"),
}


@pytest.mark.parametrize("case", WRONG)
def test_settings_of_a_proxy_that_cannot_be(
    here: Town, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    lines, code = WRONG[case]
    file = here.home / "client.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(f"{text}\n[federation.connection]\n{lines}\n", encoding="utf-8")
    capsys.readouterr()
    said = refused(capsys, client("run", "--config", here.home), "RF-C001", 2)
    assert code in said
    assert "secret" not in said


def test_run_says_in_json_why_it_ends(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    new_key(here.root / "spare.key")
    (here.home / FOLDER / "city" / "admission.json").unlink()
    capsys.readouterr()
    assert client("run", "--config", here.home, "--log-format", "json") == 1
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert (said["level"], said["event"], said["code"]) == ("error", "ended", "RF-W362")
