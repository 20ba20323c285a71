"""Check digits against numbers printed in the standards, and against every single wrong digit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ringfence.privacy.identifiers.checksums import (
    IdentifierFault,
    card,
    holds,
    iban,
    luhn,
    resident_id,
    resident_shape,
    uscc,
)

VALID: list[tuple[Callable[[str], str], str, str]] = [
    (luhn, "79927398713", "ISO/IEC 7812-1, annex B as commonly reprinted"),
    (luhn, "0", "zero"),
    (card, "4111111111111111", "Visa test number"),
    (card, "378282246310005", "American Express test number"),
    (card, "6011111111111117", "Discover test number"),
    (card, "30569309025904", "Diners test number"),
    (card, "3530111333300000", "JCB test number"),
    (card, "6228480402564890018", "UnionPay, 19 digits"),
    (resident_id, "11010519491231002X", "GB 11643-1999, example"),
    (resident_id, "440524188001010014", "GB 11643-1999, example"),
    (resident_id, "11010519491231002x", "small x"),
    (uscc, "91350100M000100Y43", "GB 32100-2015, example"),
    (iban, "GB82WEST12345698765432", "ISO 13616, example"),
    (iban, "DE89370400440532013000", "ISO 13616 registry, Germany"),
    (iban, "NO9386011117947", "ISO 13616 registry, Norway, the shortest"),
    (iban, "MT84MALT011000012345MTLCAST001S", "ISO 13616 registry, Malta"),
]

INVALID: list[tuple[Callable[[str], str], str, str]] = [
    (luhn, "79927398710", "wrong digit"),
    (card, "4111111111111112", "wrong digit"),
    (card, "1700000000000000", "no issuer"),
    (resident_id, "110105194912310021", "wrong check character"),
    (resident_id, "110105194902300026", "30 February"),
    (resident_id, "990105194912310028", "no such province"),
    (resident_id, "110105491231002", "15 places have no check character"),
    (resident_shape, "11010549123100", "14 places"),
    (uscc, "91350100M000100Y44", "wrong check character"),
    (uscc, "91350100I000100Y43", "a letter the standard leaves out"),
    (uscc, "91350100M000100Y4", "17 places"),
    (iban, "GB82WEST12345698765433", "wrong digit"),
    (iban, "GB82WEST1234569876543", "too short for Britain"),
    (iban, "ZZ82WEST12345698765432", "no such country"),
]


@pytest.mark.parametrize(("check", "number", "source"), VALID, ids=[v[2] for v in VALID])
def test_published_examples_are_accepted(check: Callable[[str], str], number: str, source: str) -> None:
    assert check(number) == number.upper()


@pytest.mark.parametrize(("check", "number", "why"), INVALID, ids=[v[2] + v[1] for v in INVALID])
def test_wrong_numbers_raise(check: Callable[[str], str], number: str, why: str) -> None:
    with pytest.raises(IdentifierFault):
        check(number)


@pytest.mark.parametrize(
    ("check", "number"),
    [
        (luhn, "79927398713"),
        (resident_id, "11010519491231002X"),
        (uscc, "91350100M000100Y43"),
        (iban, "DE89370400440532013000"),
    ],
)
def test_every_single_wrong_digit_is_seen(check: Callable[[str], str], number: str) -> None:
    for place, right in enumerate(number):
        for wrong in set("0123456789") - {right}:
            assert not holds(check, number[:place] + wrong + number[place + 1 :]), (place, wrong)


def test_old_resident_numbers_have_their_shape_checked() -> None:
    assert resident_shape("110105491231002") == "110105491231002"
