"""Letters of other alphabets that look like ours hide no identifier; words of these languages stay words."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from kits.artefact_kit import artefact, carriers, codes, markup_carriers

from ringfence.privacy.identifiers.customers import CustomerList
from ringfence.privacy.identifiers.normalise import fold
from ringfence.privacy.identifiers.pii import Scanner, find
from ringfence.privacy.release import ExportPolicy, examine

LISTED = Scanner(
    customers=CustomerList.of(bytes(16), keys=["K20931", "C-00017-B", "АК-7720-РУ"], names=["Сергей Иванов"])
)
POLICY = ExportPolicy(scanner=LISTED)
CYRILLIC = {"A": "А", "B": "В", "C": "С", "E": "Е", "K": "К", "M": "М", "P": "Р", "T": "Т", "X": "Х"}
GREEK = {"A": "Α", "B": "Β", "E": "Ε", "K": "Κ", "M": "Μ", "P": "Ρ", "T": "Τ", "X": "Χ"}
IDENTIFIERS = {
    "CN_RESIDENT_ID": "11010519491231002X",
    "CN_PASSPORT": "E12345678",
    "CN_USCC": "91350100M000100Y43",
    "IBAN": "GB82WEST12345698765432",
    "UK_NINO": "AB123456C",
    "CN_PLATE": "京A12345",
    "CUSTOMER_KEY": "K20931",
}


@pytest.mark.parametrize("kind", IDENTIFIERS)
@pytest.mark.parametrize("alike", [CYRILLIC, GREEK], ids=["Cyrillic", "Greek"])
def test_an_identifier_with_letters_of_another_alphabet_is_found(kind: str, alike: Any) -> None:
    text = IDENTIFIERS[kind].translate(str.maketrans(alike))
    assert text != IDENTIFIERS[kind]
    for found in (LISTED.find_cell(text), LISTED.find(f"客户{text}的")):
        assert [one.kind for one in found] == [kind]


@pytest.mark.parametrize("key", ["К20931", "С-00017-В", "AK-7720-PY", "АK 7720 PУ"])
def test_a_customer_key_with_such_letters_is_refused_in_every_carrier(key: str) -> None:
    for name, made in (carriers(key) | markup_carriers(key)).items():
        assert "RF-X040" in codes(examine(made, POLICY)), name
    assert codes(examine(artefact("text", b"fine\n", name=f"scores-{key}.txt"), POLICY)) == {"RF-X040"}


def test_every_letter_becomes_the_one_of_ours_that_carries_its_shape() -> None:
    for alike in (CYRILLIC, GREEK):
        for ours, letter in alike.items():
            assert fold(f"x{letter}1").text == f"x{ours}1"
            assert unicodedata.name(letter).split()[0] in ("CYRILLIC", "GREEK")
    assert fold("аеорсухѕіј").text == "aeopcyxsij"
    assert fold("бвгдЖЗИ").text == "бвгдЖЗИ"
    assert fold("αβγν").text == "αβγν"


@pytest.mark.parametrize(
    "text", ["ВМW 2024, цена 12 345", "Код АВС-12-345", "Тариф Х, 12 месяцев", "ΑΒΓ 2024: 17,5 %", "Δ = 0.5"]
)
def test_words_of_these_languages_are_left_alone(text: str) -> None:
    assert find(text) == []


def test_names_and_mail_in_cyrillic_are_found_as_before() -> None:
    text = "для Сергей Иванов, почта@пример.рф"
    found = [(one.kind, text[one.start : one.end]) for one in LISTED.find(text)]
    assert found == [("PERSON", "Сергей Иванов"), ("EMAIL", "почта@пример.рф")]
