"""The law: one list of legal bases that policy, records and documents agree on, and consents given apart."""

from __future__ import annotations

import ast
import datetime
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from kits.document_kit import GOOD
from pydantic import TypeAdapter, ValidationError

from ringfence.privacy.agreements.contract import load_contract
from ringfence.privacy.agreements.law import (
    COUNTRIES,
    LEGAL_BASES,
    SEPARATE_CONSENTS,
    Country,
    LegalBasis,
    bases_of,
    consents_apart,
)
from ringfence.privacy.agreements.policy import Request, allowed_columns, decide
from ringfence.privacy.agreements.study import Participant, Study, load_study
from ringfence.privacy.consent.records import ConsentTerms
from ringfence.privacy.crypto.identity import Identity

ROOT = Path(__file__).parents[3]
FOLDERS = ("privacy", "audit", "models", "clients", "server", "simulations")
EEA = "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE IS LI NO"
KEYS = [Identity.generate() for _ in range(3)]
LOADED = load_contract(GOOD / "contract.toml")
CONTRACT = LOADED.contract.model_copy(update={"peers": tuple(key.public.fingerprint for key in KEYS[1:])})
NOW = datetime.datetime(2030, 6, 1, tzinfo=datetime.UTC)


def asked(**changes: object) -> Study:
    names = ("north", "h1", "h2")
    holders = tuple(
        Participant(name=name, key=key.public.hex, max_customers=50000, overlap=2)
        for name, key in zip(names, KEYS, strict=True)
    )
    return load_study(GOOD / "study.toml").model_copy(update={"holders": holders} | changes)


def by_policy(jurisdiction: str, basis: str) -> bool:
    request = Request(
        study=asked(legal_basis=basis),
        contract=CONTRACT.model_copy(update={"jurisdiction": jurisdiction}),
        schema=LOADED.schema,
        now=NOW,
        key=KEYS[0].public,
    )
    decision = decide(request)
    assert {reason.code for reason in decision.reasons} <= {"RF-S043"}
    return decision.allow


def by_record(jurisdiction: str, basis: str) -> bool:
    terms = ConsentTerms(
        notice_id="n",
        notice_version="1",
        notice_language="en",
        notice_digest="sha256:" + 64 * "0",
        legal_basis=basis,
    )
    return terms.faults(jurisdiction) == []


@pytest.mark.parametrize("jurisdiction", ["CN", "EU", "GB", "US", "SG", "TW", "HK", "JP", "CH", *EEA.split()])
def test_policy_and_consent_records_agree_on_every_basis(jurisdiction: str) -> None:
    known = bases_of(jurisdiction)
    for basis in LEGAL_BASES:
        assert by_policy(jurisdiction, basis) == by_record(jurisdiction, basis) == (basis in known)


def test_each_law_knows_its_own_bases() -> None:
    everything = set(LEGAL_BASES)
    for elsewhere in ("US", "SG", None):
        assert bases_of(elsewhere) == everything
    assert bases_of("CN") == everything - {"legitimate-interest"}
    for code in ("EU", "GB", *EEA.split()):
        assert bases_of(code) == everything - {"disclosed-information"}


def test_there_is_one_list_of_legal_bases() -> None:
    assert get_args(LegalBasis) == tuple(LEGAL_BASES)
    assert get_args(Study.model_fields["legal_basis"].annotation) == tuple(LEGAL_BASES)
    rare = {"vital-interest", "legitimate-interest", "disclosed-information"}
    holders: dict[str, set[str]] = {}
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            words = {
                node.value
                for node in ast.walk(ast.parse(path.read_text("utf-8")))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
            if words & rare:
                holders[path.relative_to(ROOT).as_posix()] = words
    # The second has titles for people, one for each.
    assert set(holders) == {"privacy/agreements/law.py", "models/pages/words.py"}
    assert set(LEGAL_BASES) <= holders["models/pages/words.py"]


@pytest.mark.parametrize(
    ("jurisdiction", "basis", "sensitive", "recipients", "safeguarded", "expected"),
    [
        ("CN", "consent", False, ["CN", "CN"], (), ["provision"]),
        ("CN", "consent", True, ["CN", "CN"], (), ["sensitive-data", "provision"]),
        ("CN", "consent", False, ["CN", "US"], (), ["provision", "cross-border"]),
        ("CN", "consent", False, ["HK"], (), ["provision", "cross-border"]),
        ("CN", "consent", False, ["US"], ("US",), ["provision", "cross-border"]),
        ("CN", "consent", False, [None, "CN"], (), ["provision", "cross-border"]),
        ("CN", "contract", False, ["US", None], (), []),
        ("CN", "contract", True, ["US"], (), ["sensitive-data"]),
        ("CN", "consent", False, [], (), []),
        ("DE", "consent", False, ["FR", "GB", "EU", "NO"], (), []),
        ("DE", "consent", True, ["FR"], (), ["sensitive-data"]),
        ("DE", "contract", False, ["US"], (), ["cross-border"]),
        ("DE", "consent", False, ["JP", "US"], ("JP",), ["cross-border"]),
        ("DE", "consent", False, ["JP"], ("JP",), []),
        ("GB", "consent", False, ["DE", None], (), []),
        ("US", "consent", False, ["CN", None], (), []),
        ("US", "consent", True, ["CN"], (), ["sensitive-data"]),
    ],
)
def test_consents_given_apart(
    jurisdiction: str,
    basis: str,
    sensitive: bool,
    recipients: list[str | None],
    safeguarded: tuple[str, ...],
    expected: list[str],
) -> None:
    found = consents_apart(
        jurisdiction, basis, sensitive=sensitive, recipients=recipients, safeguarded=safeguarded
    )
    assert list(found) == expected
    assert set(found) <= set(SEPARATE_CONSENTS)


@pytest.mark.parametrize(
    ("coordinator", "peers", "expected"),
    [
        ("CN", ("CN", "CN"), {"provision"}),
        ("CN", ("CN", "SG"), {"provision", "cross-border"}),
        (None, ("CN", "CN"), {"provision", "cross-border"}),
        ("CN", ("CN", None), {"provision", "cross-border"}),
        ("DE", ("CN", "CN"), {"provision", "cross-border"}),
    ],
)
def test_policy_reads_recipients_off_the_signed_study(
    coordinator: str | None, peers: tuple[str | None, ...], expected: set[str]
) -> None:
    study = asked(jurisdiction=coordinator)
    own, *others = study.holders
    moved = [
        holder.model_copy(update={"jurisdiction": where}) for holder, where in zip(others, peers, strict=True)
    ]
    # What the study says of this holder itself is no recipient.
    for itself in ("CN", None):
        mine = own.model_copy(update={"jurisdiction": itself})
        asked_for = study.model_copy(update={"holders": (mine, *moved)})
        assert set(allowed_columns(CONTRACT, asked_for, LOADED.schema).separate) == expected
        request = Request(
            study=asked_for, contract=CONTRACT, schema=LOADED.schema, now=NOW, key=KEYS[0].public
        )
        assert set(decide(request).require().columns.separate) == expected


def test_a_study_that_moves_this_holder_to_another_country_is_refused() -> None:
    study = asked()
    own = study.holders[0].model_copy(update={"jurisdiction": "DE"})
    request = Request(
        study=study.model_copy(update={"holders": (own, *study.holders[1:])}),
        contract=CONTRACT,
        schema=LOADED.schema,
        now=NOW,
        key=KEYS[0].public,
    )
    assert [reason.code for reason in decide(request).reasons] == ["RF-S300"]
    right = replace(request, contract=CONTRACT.model_copy(update={"jurisdiction": "DE"}))
    assert decide(right).allow


@pytest.mark.parametrize("code", ["UK", "EL", "XX", "ZZ", "CHN", "cn", "", "C", "AN", "YU"])
def test_what_is_no_country_is_refused(code: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Country).validate_python(code)


def test_countries_are_those_of_iso_3166() -> None:
    assert len(COUNTRIES) == 249
    for code in ("CN", "DE", "EU", "TW", "XK"):
        if code != "XK":
            assert TypeAdapter(Country).validate_python(code) == code
    assert "XK" not in COUNTRIES
