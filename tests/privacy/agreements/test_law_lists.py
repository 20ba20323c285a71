"""The lists of the law, word by word, and that the reference says what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from ringfence.privacy.agreements.law import (
    COUNTRIES,
    LEGAL_BASES,
    SEPARATE_CONSENTS,
    Basis,
    Country,
    bases_of,
)
from ringfence.privacy.agreements.purposes import catalogue, purpose, unknown_purpose
from ringfence.privacy.toml.faults import Problems

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "consent.md"


def test_every_legal_basis_has_its_term_and_its_clauses() -> None:
    assert dict(LEGAL_BASES) == {
        "consent": Basis(dpv="dpv:Consent", pipl="13(1)(1)", gdpr="6(1)(a)"),
        "contract": Basis(dpv="dpv:Contract", pipl="13(1)(2)", gdpr="6(1)(b)"),
        "legal-obligation": Basis(dpv="dpv:LegalObligation", pipl="13(1)(3)", gdpr="6(1)(c)"),
        "vital-interest": Basis(dpv="dpv:VitalInterest", pipl="13(1)(4)", gdpr="6(1)(d)"),
        "public-interest": Basis(dpv="dpv:PublicInterest", pipl="13(1)(5)", gdpr="6(1)(e)"),
        "legitimate-interest": Basis(dpv="dpv:LegitimateInterest", pipl="", gdpr="6(1)(f)"),
        "disclosed-information": Basis(dpv="dpv:LegalBasis", pipl="13(1)(6)", gdpr=""),
    }


def test_every_consent_given_apart_has_its_clauses_in_the_order_of_the_list() -> None:
    assert list(SEPARATE_CONSENTS.items()) == [
        ("sensitive-data", "PIPL 29, GDPR 9(2)(a)"),
        ("provision", "PIPL 23"),
        ("cross-border", "PIPL 39, GDPR 49(1)(a)"),
    ]


def test_the_reference_names_the_same_clauses() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in REFERENCE.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    told = {row[0].strip("`"): row[1:] for row in rows}
    for name, basis in LEGAL_BASES.items():
        assert told[name] == [basis.pipl or "refused", basis.gdpr or "refused", "taken"], name
    for name, clauses in SEPARATE_CONSENTS.items():
        for clause in clauses.split(", "):
            assert clause in " ".join(told[name]), name


class Place(BaseModel):
    """Something that has a country."""

    country: Country


@pytest.mark.parametrize(("code", "meant"), [("UK", "GB?"), ("EL", "GR?"), ("ZZ", "CN, DE, EU")])
def test_a_code_that_is_none_is_refused_with_the_one_that_may_be_meant(code: str, meant: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Place(country=code)
    fault = caught.value.errors()[0]["ctx"]["error"]
    assert isinstance(fault, Problems)
    assert [(problem.code, problem.values) for problem in fault.problems] == [("RF-S302", {"meant": meant})]


@pytest.mark.parametrize("code", ["cn", "C", "CHN", "CN ", "", "1N"])
def test_a_country_is_two_capital_letters(code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Place(country=code)
    assert caught.value.errors()[0]["type"] == "string_pattern_mismatch"


def test_countries_are_two_letters_each_and_the_law_is_told_by_the_country_alone() -> None:
    assert all(re.fullmatch("[A-Z]{2}", code) for code in COUNTRIES)
    assert {Place(country=code).country for code in COUNTRIES} == COUNTRIES
    assert sum(bases_of(code) != set(LEGAL_BASES) for code in COUNTRIES) == 1 + 31


def test_a_purpose_that_is_none_is_answered_with_the_nearest_or_with_all() -> None:
    near = unknown_purpose("churn-predicton", "column", 2, "purposes")
    assert (near.code, near.path) == ("RF-S002", ("column", 2, "purposes"))
    assert near.values == {"name": "churn-predicton", "known": "churn-prediction?"}
    far = unknown_purpose("xyz")
    assert (far.path, far.values["known"]) == ((), ", ".join(catalogue()))
    assert unknown_purpose("qualitydata").values["known"] != ""


@pytest.mark.parametrize(("language", "label"), [("en", "en"), ("zh", "zh"), ("zh_CN", "zh"), ("de", "en")])
def test_a_label_is_in_the_language_asked_for(language: str, label: str) -> None:
    entry = purpose("credit-risk")
    assert (entry.id, entry.match) == ("credit-risk", "exact")
    assert entry.label(language) == getattr(entry, label)
    assert entry.label() == entry.en == "Credit risk"
