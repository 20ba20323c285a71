"""A gateway is made and served by commands, and a study needs one: what is careless is refused."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from kits import command_kit
from kits.command_kit import Town, server, town
from kits.link_kit import free_port

from ringfence.privacy.stores.lease import lease
from ringfence.privacy.stores.store import open_store


def refused(capsys: pytest.CaptureFixture[str], status: int, code: str) -> None:
    """One sentence and a status; a wrong call has another one than a refusal."""
    assert status in {1, 2}
    command_kit.refused(capsys, status, code, expected=status)


@pytest.fixture
def here(tmp_path: Path) -> Town:
    found = town(tmp_path)
    words = ("--address", "analytics.example:8443", "--config", found.desk)
    assert server("gateway", "make", *words) == 0
    return found


def test_one_study_of_a_home_is_run_at_a_time(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    study = here.sign()
    engine = open_store(here.desk / "coordinator.db")
    try:
        with lease(engine, "study"):
            out = ("--out", here.root / "m", "--config", here.desk)
            refused(capsys, server("study", "run", study, *out), "RF-B120")
    finally:
        engine.dispose()


@pytest.mark.parametrize("address", ["analytics.example", ":8443", "a:0", "a:70000", "a b:1", "a:x"])
def test_an_address_is_a_host_and_a_port(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    found = town(tmp_path)
    status = server("gateway", "make", f"--address={address}", "--config", found.desk)
    refused(capsys, status, "RF-U522")
    assert not (found.desk / "gateway").exists()


@pytest.mark.parametrize("address", ["0.0.0.0:8443", "[::]:8443"])
def test_an_address_that_stands_for_all_is_no_place_to_connect_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    found = town(tmp_path)
    refused(capsys, server("gateway", "make", "--address", address, "--config", found.desk), "RF-U526")
    assert not (found.desk / "gateway").exists()


@pytest.mark.parametrize(
    ("address", "bind"), [("[2001:db8::1]:8443", "[::]:8443"), ("bank.example:8443", "0.0.0.0:8443")]
)
def test_a_gateway_listens_where_its_address_leads(tmp_path: Path, address: str, bind: str) -> None:
    found, told = town(tmp_path), tmp_path / "told.json"
    words = ("--address", address, "--config", found.desk, "--json", told)
    assert server("gateway", "make", *words) == 0
    assert json.loads(told.read_text(encoding="utf-8"))["bind"] == bind


def test_there_is_one_gateway(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    before = (here.desk / "gateway" / "authority.pem").read_bytes()
    refused(capsys, server("gateway", "make", "--address", "a:1", "--config", here.desk), "RF-U521")
    assert (here.desk / "gateway" / "authority.pem").read_bytes() == before


def test_a_port_that_is_taken_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, port = town(tmp_path), free_port()
    address = f"127.0.0.1:{port}"
    words = ("--address", address, "--bind", address, "--config", found.desk)
    assert server("gateway", "make", *words) == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        capsys.readouterr()
        refused(capsys, server("serve", "--config", found.desk), "RF-W355")


def test_a_study_needs_a_gateway_that_serves(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    study = here.sign()
    words = ("--config", here.desk)
    refused(capsys, server("study", "run", study, "--out", here.root / "m", *words), "RF-W342")
    refused(capsys, server("study", "release", study, "--out", here.root / "m", *words), "RF-S383")
    for bad in ("--wait=0", "--timeout=-1", "--wait=100000"):
        refused(capsys, server("study", "run", study, "--out", here.root / "m", bad, *words), "RF-U524")
    assert not (here.root / "m").exists()


def test_a_study_s_schema_is_the_one_it_names(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    study = here.sign()
    other = here.root / "other.toml"
    text = (here.root / "schema.toml").read_text(encoding="utf-8")
    other.write_text(text.replace("100", "101"), encoding="utf-8")
    status = server("study", "run", study, "--schema", other, "--out", here.root / "m", "--config", here.desk)
    refused(capsys, status, "RF-S384")
