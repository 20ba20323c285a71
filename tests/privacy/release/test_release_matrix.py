"""Identifiers beside commas and Chinese characters, in every kind of artefact: refused, or masked whole."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from kits.artefact_kit import artefact, carriers, codes, found, markup_carriers, npz
from safetensors.numpy import save

from ringfence.privacy.identifiers.customers import CustomerList
from ringfence.privacy.identifiers.pii import Scanner
from ringfence.privacy.release import Artefact, Cleared, ExportPolicy, examine

PLANTED = [
    "1,13812345678",
    "1，13812345678",
    "3、13812345678元",
    "13812345678x",
    "13812345678abc",
    "138.1234.5678",
    "138/1234/5678",
    "138_1234_5678",
    "1.3812345678e10",
    "4111  1111  1111  1111",
    "4111\t1111\t1111\t1111",
    "4111.1111.1111.1111",
    "4111 - 1111 - 1111 - 1111",
    "4111_1111_1111_1111",
    "4111111111111111X",
    "账号DE89370400440532013000元",
    "统一代码91350100M000100Y43的",
    "1,11010519491231002X",
    "（010）62345678",
    "021 6234 5678",
    "0161 496 0000",
    "müller@example.de",
    "info@bücher.example",
    "00:1B:44:11:3A:B7",
]
MASKABLE = ("csv frame", "csv bytes", "parquet", "json value", "json key", "text", "markdown")


@pytest.mark.parametrize("planted", PLANTED)
def test_every_carrier_refuses_it(planted: str) -> None:
    safe = planted.replace("\t", "  ")
    for name, made in (carriers(planted) | markup_carriers(safe)).items():
        assert "RF-X040" in found(made), name


@pytest.mark.parametrize("planted", PLANTED)
def test_masked_first_no_digit_of_it_is_left(planted: str) -> None:
    before = planted.split("1", 1)[0] if planted[0] not in "0123456789" else ""
    for name in MASKABLE:
        given = dataclasses.replace(carriers(planted)[name], masking="presidio")
        answer = examine(given, ExportPolicy())
        assert isinstance(answer, Cleared), (name, answer)
        if name == "parquet":
            continue
        written = answer.content.decode()
        for piece in ("12345", "1234.", "1111", "8937", "9135", "6234", "496", "ller@", "cher", "1B:44"):
            assert piece not in written or piece in before, (name, written)


@pytest.mark.parametrize(
    "stem", ["1,13812345678", "x_138_1234_5678", "客户13812345678的", "4111-1111-1111-1111"]
)
def test_a_file_name_is_read_too(stem: str) -> None:
    name = stem.replace(",", "_") + ".txt"
    assert found(artefact("text", b"fine\n", name=name)) == {"RF-X040"}


# --- the holder's own customers
# ----------------------------------------------------------------------------------

KEYS = ["C-00017-B", "K20931", "100234", "7", "ab 12 cd"]
POLICY = ExportPolicy(scanner=Scanner(customers=CustomerList.of(bytes(16), keys=KEYS)))


@pytest.mark.parametrize("key", ["C-00017-B", "c_00017_b", "客户K20931的", "K20931,", "100234", "ＡＢ 12 cd"])
def test_a_customer_key_is_refused_in_every_carrier(key: str) -> None:
    for name, made in (carriers(key) | markup_carriers(key)).items():
        assert "RF-X040" in codes(examine(made, POLICY)), name
        assert found(made) == set(), "without the list nobody can know"


def test_customer_keys_are_masked_and_found_in_names_and_numbers() -> None:
    for name in MASKABLE:
        answer = examine(dataclasses.replace(carriers("K20931")[name], masking="presidio"), POLICY)
        assert isinstance(answer, Cleared)
        assert b"K20931" not in answer.content
    hidden = [
        artefact("text", b"fine\n", name="scores-K20931.txt"),
        artefact("npz", npz(values=np.array([100234, 5], np.int32))),
        artefact("safetensors", save({"w": np.array([100234.0], np.float32)})),
        artefact("json", b'{"a": 100234}', columns=()),
    ]
    for made in hidden:
        assert codes(examine(made, POLICY)) == {"RF-X040"}, made.kind


@pytest.mark.parametrize(("field", "expected"), [("customer_id", {"RF-X040"}), ("points", set())])
def test_a_short_key_counts_where_a_name_says_that_keys_stand_there(field: str, expected: set[str]) -> None:
    made: Artefact = artefact("json", f'{{"{field}": "7"}}'.encode(), columns=())
    assert codes(examine(made, POLICY)) == expected
    assert codes(examine(artefact("json", f'{{"{field}": 7}}'.encode(), columns=()), POLICY)) == expected


def test_the_list_holds_no_key() -> None:
    customers = CustomerList.of(bytes(16), keys=KEYS)
    assert "K20931" not in repr(customers)
    assert len(customers.keys) == 5
    assert customers.smallest == 100234
    assert CustomerList.of(bytes(range(16)), keys=KEYS).keys.isdisjoint(customers.keys)
