"""client.toml: every key documented, faults with their lines, absence refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from checkout import ROOT
from kits.command_kit import new_key

from ringfence.clients.config import (
    ClientConfig,
    ConnectionSettings,
    FederationSettings,
    KeyFiles,
    LoopbackPort,
    load_settings,
)
from ringfence.privacy.errors import KeyFault, UsageError
from ringfence.privacy.toml.faults import faults_of

PAGE = (ROOT / "docs" / "reference" / "client.toml.md").read_text(encoding="utf-8")
LEAST = 'name = "north"\nstore = "holder.db"\n'
FEDERATION = '[[federation]]\nname = "{name}"\ncoordinator = "{key}"\nlog = "keys/log-{name}.key"\n'


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "client.toml"
    path.write_text(text, encoding=encoding)
    return path


def faults(folder: Path, text: str) -> set[tuple[int, str]]:
    with pytest.raises(UsageError) as refusal:
        load_settings(write(folder, text))
    assert refusal.value.code == "RF-C001"
    return {(fault.line, fault.code) for fault in faults_of(refusal.value)}


MODELS = {
    "Top level": ClientConfig,
    "`[keys]`": KeyFiles,
    "`[[federation]]`": FederationSettings,
    "`[federation.connection]`": ConnectionSettings,
    "`[metrics]` and `[probes]`": LoopbackPort,
}


@pytest.mark.parametrize("heading", MODELS)
def test_every_key_is_documented_with_its_meaning(heading: str) -> None:
    part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    for name, info in MODELS[heading].model_fields.items():
        rows = [line for line in part.splitlines() if line.startswith(f"| `{name}` |")]
        assert len(rows) == 1, f"docs/reference/client.toml.md needs one row for `{name}`"
        assert info.description
        assert info.description in rows[0]
        assert ("required" in rows[0]) == info.is_required()


def test_no_key_is_documented_that_is_gone() -> None:
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE))
    assert documented == {name for each in MODELS.values() for name in each.model_fields}


def test_the_documented_example_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert load_settings(write(tmp_path, example)).config.contract == "contract.toml"


def test_paths_are_relative_to_the_file_and_a_folder_stands_for_its_file(tmp_path: Path) -> None:
    write(tmp_path, LEAST)
    settings = load_settings(tmp_path)
    assert settings.store == tmp_path / "holder.db"
    assert settings.path(settings.config.keys.holder) == tmp_path / "keys" / "holder.key"
    assert settings.origin == "ringfence/holder/north"


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, LEAST, "utf-8-sig")).name == "north"


def test_another_encoding_is_one_clear_fault(tmp_path: Path) -> None:
    path = write(tmp_path, '# 北岸银行\nname = "north"\nstore = "holder.db"\n', "gb18030")
    with pytest.raises(UsageError) as refusal:
        load_settings(path)
    assert {fault.code for fault in faults_of(refusal.value)} == {"RF-C006"}


def test_all_faults_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    text = 'name = "no spaces here"\nstore = 3\ncontact = "x"\ncontract = "???"\n[keys]\nholdr = "x"\n'
    assert faults(tmp_path, text) == {
        (1, "RF-C024"),
        (2, "RF-C015"),
        (3, "RF-C013"),
        (4, "RF-C011"),
        (6, "RF-C013"),
    }


@pytest.mark.parametrize("url", ["postgresql://me:secret@host/db", "postgresql://host/db?password=secret"])
def test_a_password_in_the_url_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError) as refusal:
        load_settings(write(tmp_path, f'name = "north"\nstore = "{url}"\n'))
    assert "RF-C200" in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_an_url_is_left_as_it_is(tmp_path: Path) -> None:
    url = "postgresql://me@host/db"
    assert load_settings(write(tmp_path, f'name = "north"\nstore = "{url}"\n')).store == url


def test_absent_contract_coordinator_and_approvers_refuse(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, LEAST))
    for ask, code in (
        (settings.contract, "RF-U401"),
        (lambda: settings.federation(None), "RF-U402"),
        (settings.approvers, "RF-U403"),
    ):
        with pytest.raises(UsageError) as refusal:
            ask()
        assert refusal.value.code == code


def test_keys_come_as_files_or_as_digits_and_two_approvers_are_two_people(tmp_path: Path) -> None:
    ana, ben = new_key(tmp_path / "ana.key"), new_key(tmp_path / "ben.key")
    digits = Path(f"{ana}.pub").read_text(encoding="utf-8").split()[0]
    settings = load_settings(write(tmp_path, f'approvers = ["{digits}", "ben.key.pub"]\n{LEAST}'))
    assert len(settings.approvers()) == 2
    settings = load_settings(write(tmp_path, f'approvers = ["{digits}", "ana.key.pub"]\n{LEAST}'))
    with pytest.raises(UsageError) as refusal:
        settings.approvers()
    assert refusal.value.code == "RF-U404"
    assert ben.exists()


def test_a_public_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    new_key(tmp_path / "log.key", "log")
    settings = load_settings(write(tmp_path, LEAST + FEDERATION.format(name="city", key="log.key.pub")))
    with pytest.raises(KeyFault) as refusal:
        settings.coordinator(settings.federation("city"))
    assert refusal.value.code == "RF-K050"


def test_the_public_key_of_a_simulation_is_refused(tmp_path: Path) -> None:
    new_key(tmp_path / "desk.key", "coordinator", simulation=True)
    new_key(tmp_path / "ana.key", simulation=True)
    new_key(tmp_path / "ben.key")
    lines = 'approvers = ["ana.key.pub", "ben.key.pub"]\n'
    city = FEDERATION.format(name="city", key="desk.key.pub")
    settings = load_settings(write(tmp_path, lines + LEAST + city))
    for ask in (lambda: settings.coordinator(settings.federation(None)), settings.approvers):
        with pytest.raises(KeyFault) as refusal:
            ask()
        assert refusal.value.code == "RF-K038"


def test_no_file_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refusal:
        load_settings(tmp_path)
    assert refusal.value.code == "RF-U405"


def test_which_federation_is_said_where_there_are_several(tmp_path: Path) -> None:
    two = "".join(FEDERATION.format(name=name, key=f"{name}.pub") for name in ("city", "trade"))
    settings = load_settings(write(tmp_path, LEAST + two))
    assert settings.federation("trade").coordinator == "trade.pub"
    for name, code in ((None, "RF-U721"), ("town", "RF-U722")):
        with pytest.raises(UsageError, match="city, trade") as refusal:
            settings.federation(name)
        assert refusal.value.code == code


@pytest.mark.parametrize(("key", "line"), [("name", 8), ("coordinator", 9), ("log", 10)])
def test_two_federations_share_nothing(tmp_path: Path, key: str, line: int) -> None:
    said = {"name": "trade", "coordinator": "trade.pub", "log": "trade.key"}
    said[key] = {"name": "city", "coordinator": "city.pub", "log": "keys/log-city.key"}[key]
    text = LEAST + "\n" + FEDERATION.format(name="city", key="city.pub") + "[[federation]]\n"
    assert faults(tmp_path, text + "".join(f'{name} = "{value}"\n' for name, value in said.items())) == {
        (line + 1, "RF-U720")
    }
