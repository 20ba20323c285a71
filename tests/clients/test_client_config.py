"""client.toml: every key documented, faults with their lines, absence refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from checkout import ROOT
from kits.command_kit import new_key
from pydantic import BaseModel

from ringfence.clients.config import ClientConfig, ConnectionSettings, KeyFiles, LoopbackPort, load_settings
from ringfence.privacy.errors import KeyFault, UsageError
from ringfence.privacy.toml.faults import faults_of

PAGE = (ROOT / "docs" / "reference" / "client.toml.md").read_text(encoding="utf-8")
LEAST = 'name = "north"\nstore = "holder.db"\n'


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "client.toml"
    path.write_text(text, encoding=encoding)
    return path


def faults(folder: Path, text: str) -> set[tuple[int, str]]:
    with pytest.raises(UsageError) as refusal:
        load_settings(write(folder, text))
    assert refusal.value.code == "RF-C001"
    return {(fault.line, fault.code) for fault in faults_of(refusal.value)}


@pytest.mark.parametrize("model", [ClientConfig, KeyFiles, ConnectionSettings, LoopbackPort])
def test_every_key_is_documented_with_its_meaning(model: type[BaseModel]) -> None:
    for name, info in model.model_fields.items():
        rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
        assert len(rows) == 1, f"docs/reference/client.toml.md needs one row for `{name}`"
        assert info.description
        assert info.description in rows[0]
        assert ("required" in rows[0]) == info.is_required()


def test_no_key_is_documented_that_is_gone() -> None:
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE))
    models = (ClientConfig, KeyFiles, ConnectionSettings, LoopbackPort)
    assert documented == {name for each in models for name in each.model_fields}


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
        (settings.coordinator, "RF-U402"),
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
    settings = load_settings(write(tmp_path, f'coordinator = "log.key.pub"\n{LEAST}'))
    with pytest.raises(KeyFault) as refusal:
        settings.coordinator()
    assert refusal.value.code == "RF-K050"


def test_the_public_key_of_a_simulation_is_refused(tmp_path: Path) -> None:
    new_key(tmp_path / "desk.key", "coordinator", simulation=True)
    new_key(tmp_path / "ana.key", simulation=True)
    new_key(tmp_path / "ben.key")
    lines = 'coordinator = "desk.key.pub"\napprovers = ["ana.key.pub", "ben.key.pub"]\n'
    settings = load_settings(write(tmp_path, lines + LEAST))
    for ask in (settings.coordinator, settings.approvers):
        with pytest.raises(KeyFault) as refusal:
            ask()
        assert refusal.value.code == "RF-K038"


def test_no_file_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refusal:
        load_settings(tmp_path)
    assert refusal.value.code == "RF-U405"
