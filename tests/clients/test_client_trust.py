"""Keys of other parties are shown first, entered once compared, and nothing else in a file changes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from kits.command_kit import (
    NAMES,
    Town,
    client,
    configure,
    events,
    fingerprint,
    init,
    new_key,
    read,
    refused,
    server,
    town,
    write_contract,
)

from ringfence.clients.config import load_settings
from ringfence.privacy.agreements.contract import load_contract


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


def public(home: Path) -> Path:
    return home / "keys" / "holder.key.pub"


def test_peers_come_from_declarations_and_public_keys_after_they_were_compared(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    home = here.root / "fourth"
    assert init(home, name="fourth") == 0
    contract = write_contract(home, name="fourth")
    before = "# ours\r\n" + contract.read_text(encoding="utf-8").replace("\n", "\r\n")
    contract.write_bytes(before.encode())
    words = ("peer", "add", here.declarations[0], public(here.root / "south"), public(home))
    words = (*words, "--contract", contract, "--config", home)
    capsys.readouterr()
    assert client(*words) == 2
    out = capsys.readouterr()
    assert out.err.startswith("RF-U661")
    north, south = (fingerprint(here.root / name / "keys" / "holder.key") for name in ("north", "south"))
    assert f"{north}  north  (new)" in out.out
    assert f"{south}  {public(here.root / 'south').as_posix()}  (new)" in out.out
    assert contract.read_bytes() == before.encode()
    assert client(*words, "--compared", "--json", here.root / "out.json") == 0
    assert read(here.root / "out.json")["entered"] == [north, south]
    assert load_contract(contract).contract.peers == (north, south)
    assert load_contract(contract).contract.version == 1
    after = contract.read_bytes().decode()
    kept = [line for line in before.split("\r\n") if line]
    assert [line for line in after.split("\r\n") if line in kept] == kept
    assert f'    "{north}",  # north\r\n' in after
    newest = events(home, here.root / "log.json")[:2]
    assert [event["action"] for event in newest] == ["key.trusted"] * 2
    assert newest[1]["public"] == {"kind": "holder", "fingerprint": north}
    assert client(*words, "--compared") == 0  # a second time there is nothing to do
    assert contract.read_bytes().decode() == after
    assert events(home, here.root / "log.json")[0] == newest[0]


def test_a_signed_contract_gets_a_higher_version(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    new = new_key(here.root / "west2.key", "holder")
    words = ("peer", "add", f"{new}.pub", "--compared", "--config", here.home)
    capsys.readouterr()
    assert client(*words) == 0
    assert "its version is now 2" in capsys.readouterr().out
    contract = here.home / "contract.toml"
    assert load_contract(contract).contract.version == 2
    assert client("contract", "sign", contract, "--config", here.home) == 0


def test_what_shows_no_key_of_the_right_kind_is_refused(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--compared", "--config", here.home)
    altered = here.root / "altered.json"
    altered.write_text(here.declarations[1].read_text().replace(":5000", ":5001"))
    before = (here.home / "contract.toml").read_bytes(), (here.home / "client.toml").read_bytes()
    simulated = new_key(here.root / "s.key", "holder", simulation=True)
    for file, code in (
        (altered, "RF-K003"),
        (here.root / "ana.key.pub", "RF-K050"),
        (here.root / "absent.pub", "RF-K041"),
        (here.root / "absent.json", "RF-K020"),
        (here.home / "contract.toml", "RF-K016"),
        (here.home / "contract.signed.json", "RF-S210"),
        (Path(f"{simulated}.pub"), "RF-K038"),
    ):
        capsys.readouterr()
        refused(capsys, client("peer", "add", here.declarations[1], file, *words), code)
    refused(capsys, client("approver", "add", public(here.home), *words), "RF-K050")
    refused(capsys, client("federation", "add", "x", public(here.home), *words), "RF-K050")
    new = new_key(here.root / "c.key", "coordinator")
    refused(capsys, client("federation", "add", "city", f"{new}.pub", *words), "RF-U662", 2)
    refused(capsys, client("federation", "add", "No Name", f"{new}.pub", *words), "RF-U726", 2)
    desk = here.desk / "keys" / "coordinator.key.pub"
    refused(capsys, client("federation", "add", "town", desk, *words), "RF-U723", 2)
    assert before == ((here.home / "contract.toml").read_bytes(), (here.home / "client.toml").read_bytes())


def test_client_toml_is_filled_in_without_an_editor(here: Town) -> None:
    home = here.root / "fourth"
    assert init(home, name="fourth") == 0
    written = (home / "client.toml").read_text(encoding="utf-8")
    words = ("--compared", "--config", home)
    assert client("approver", "add", here.root / "ana.key.pub", here.root / "ben.key.pub", *words) == 0
    assert client("federation", "add", "city", here.desk / "keys" / "coordinator.key.pub", *words) == 0
    contract = write_contract(home, name="fourth")
    assert client("contract", "sign", contract, "--use", "--config", home) == 0
    settings = load_settings(home)
    assert [one.fingerprint for one in settings.approvers()] == [fingerprint(here.ana), fingerprint(here.ben)]
    (federation,) = settings.config.federation
    assert settings.coordinator(federation).fingerprint == fingerprint(here.desk / "keys" / "coordinator.key")
    assert settings.contract().resolve() == contract.resolve()
    after = (home / "client.toml").read_text(encoding="utf-8")
    kept = [line for line in written.splitlines() if line]
    assert [line for line in after.splitlines() if line in kept] == kept
    assert fingerprint(here.ana) in after  # readable: hex in the list, its fingerprint beside it
    assert client("approver", "add", here.root / "ana.key.pub", *words) == 0
    assert (home / "client.toml").read_text(encoding="utf-8") == after


def test_the_coordinator_enters_holders_by_their_declarations(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = here.root / "second"
    assert server("init", desk, "--name", "second", "--no-passphrase") == 0
    words = ("holder", "add", *here.declarations, "--config", desk)
    capsys.readouterr()
    refused(capsys, server(*words), "RF-U661", 2)
    assert server(*words, "--compared", "--json", here.root / "out.json") == 0
    keys = [fingerprint(here.root / name / "keys" / "holder.key") for name in NAMES]
    assert read(here.root / "out.json")["entered"] == keys
    text = (desk / "server.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["holders"] == keys
    assert all(f"# {name}" in text for name in NAMES)
    assert "learnt by telephone" in text
    study = here.sign()  # the first desk signs; the second shows that its own list is enough
    words = [word for one in here.declarations for word in ("--declaration", one)]
    signed = here.root / "second.signed.json"
    assert server("study", "sign", here.root / "study.toml", *words, "--config", desk, "--out", signed) == 0
    assert study.exists()
    assert signed.exists()


def test_a_contract_in_another_place_is_named_relative_to_the_home(here: Town) -> None:
    configure(here.home, contract="none.toml")
    assert client("contract", "sign", here.home / "contract.toml", "--use", "--config", here.home) == 0
    assert load_settings(here.home).config.contract == "contract.toml"
