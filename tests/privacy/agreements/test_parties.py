"""What a holder may be called: the same rule in contracts, studies, declarations and settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kits.command_kit import init, refused, server, town

from ringfence.clients.config import ClientConfig
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.declaration import DECLARATION, Declaration, read_declaration
from ringfence.privacy.agreements.parties import alike, may_be_called
from ringfence.privacy.agreements.study import study_problems
from ringfence.privacy.agreements.terms import Participant
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.signed import SignedDocument, read_signed, write_signed
from ringfence.privacy.errors import StudyError
from ringfence.privacy.toml.validation import build
from ringfence.server.config import ServerConfig

ODD = {
    "coordinator": "RF-C173",
    "Coordinator": "RF-C173",
    "CO-ordinator": "RF-C173",
    "c00rdinat0r": "RF-C173",
    "coord1nator": "RF-C173",
    "协调方": "RF-C173",
    "co\u043erdinator": "RF-C170",  # one Cyrillic letter
    "\u0391lpha": "RF-C170",  # a Greek capital that is drawn like A
    "\uff42ank": "RF-C170",  # a full-width letter
    "ba\ufb01": "RF-C170",  # a ligature
    "NUL": "RF-C171",
    "con.bank": "RF-C171",
    "Lpt1": "RF-C171",
    "com\u00b9": "RF-C170",
    "bank.": "RF-C171",
    "\U00020000" * 49: "RF-C172",
    "": "RF-C024",
    ".": "RF-C024",
    "..": "RF-C024",
    "../bank": "RF-C024",
    "a/b": "RF-C024",
    "a\\b": "RF-C024",
    "a:b": "RF-C024",
    "two words": "RF-C024",
    "-bank": "RF-C024",
    "bank\n": "RF-C024",
    "b\u200dank": "RF-C024",
    "\u202eknab": "RF-C024",
    "b" * 65: "RF-C024",
}
GOOD = (
    "north-bank",
    "Bank_2.cn",
    "北京银行",
    "北京bank",
    "банк-север",
    "τράπεζα",
    "con-bank",
    "console",
    "b" * 64,
)


def codes(
    model: type[Participant | ClientConfig | Contract | Declaration], field: str, name: str
) -> set[str]:
    """What is wrong with the name, of whatever is wrong with a document that holds only that."""
    _, problems = build(model, {field: name})
    return {problem.code for problem in problems if problem.path == (field,)}


@pytest.mark.parametrize(("name", "code"), ODD.items())
def test_one_rule_holds_wherever_a_holder_is_named(name: str, code: str) -> None:
    assert codes(Participant, "name", name) == {code}
    assert codes(ClientConfig, "name", name) == {code}
    assert codes(Declaration, "name", name) == {code}
    assert codes(Contract, "holder", name) == {code}
    assert not may_be_called(name)


@pytest.mark.parametrize("name", GOOD)
def test_names_of_houses_of_any_script_are_taken(name: str) -> None:
    assert codes(Participant, "name", name) == codes(Contract, "holder", name) == set()
    assert may_be_called(name)


def test_the_coordinators_organisation_has_the_same_form_and_may_be_called_what_it_is() -> None:
    made, _ = build(ServerConfig, {"name": "coordinator", "store": "c.db"})
    assert made is not None
    for name, code in ODD.items():
        if code != "RF-C173":
            _, problems = build(ServerConfig, {"name": name, "store": "c.db"})
            assert [problem.code for problem in problems] == [code]


@pytest.mark.parametrize(("one", "other"), [("Bank", "bank"), ("bank-0", "bank-o"), ("bank-1", "bank-l")])
def test_a_study_has_no_two_holders_that_read_alike(one: str, other: str) -> None:
    assert alike(one) == alike(other)
    holders = tuple(
        Participant(name=name, key=64 * digit, max_customers=10)
        for name, digit in ((one, "a"), ("third", "b"), (other, "c"))
    )
    found = list(study_problems(None, None, None, None, None, holders))
    assert [(problem.code, problem.path) for problem in found] == [("RF-S420", ("holders", 2, "name"))]
    assert not list(study_problems(None, None, None, None, None, holders[:2]))


def test_no_home_is_made_for_the_coordinators_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(capsys, init(tmp_path / "home", name="coordinator"), "RF-U412", 2)
    assert "organisation" in error
    assert not (tmp_path / "home").exists()
    assert init(tmp_path / "home", population="coordinator") == 0, "a population is no holder"
    status = server("init", tmp_path / "desk", "--name", "nul", "--no-passphrase")
    refused(capsys, status, "RF-U412", 2)


def test_a_declaration_with_such_a_name_is_refused_in_words(tmp_path: Path) -> None:
    here = town(tmp_path)
    body = json.loads(read_signed(here.declarations[0]).body)
    key = Identity.generate("holder")
    body |= {"name": "coordinator", "key": key.public.hex}
    # The canonical form of a declaration: sorted keys, no blanks.
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    bad = tmp_path / "bad.json"
    write_signed(bad, SignedDocument(kind=DECLARATION, body=text).signed_by(key))
    with pytest.raises(StudyError, match=r"RF-S421.*organisation"):
        read_declaration(bad)


def test_names_alike_over_scripts_are_told_when_a_study_is_signed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = town(tmp_path)
    here.sign()  # writes study and schema too
    # "coop", and four Cyrillic letters that are drawn like it.
    declarations: list[Path] = []
    trusted: list[str] = []
    for name in ("coop", "\u0441\u043e\u043e\u0440", "third"):
        body = json.loads(read_signed(here.declarations[0]).body)
        key = Identity.generate("holder")
        body |= {"name": name, "key": key.public.hex}
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        declarations.append(tmp_path / f"{len(declarations)}.json")
        write_signed(declarations[-1], SignedDocument(kind=DECLARATION, body=text).signed_by(key))
        trusted.append(key.public.fingerprint)
    settings = here.desk / "server.toml"
    lines = [line for line in settings.read_text(encoding="utf-8").splitlines() if "holders = [" not in line]
    settings.write_text("\n".join([f"holders = {json.dumps(trusted)}", *lines]), encoding="utf-8")
    words = [word for one in declarations for word in ("--declaration", one)]
    capsys.readouterr()
    status = server("study", "sign", tmp_path / "study.toml", *words, "--config", here.desk)
    assert "\\u0441" in refused(capsys, status, "RF-S422")
