"""Claims of the export gate's page that no other test has: what is found, and what is said not to be."""

from __future__ import annotations

import base64
import json
import re
import struct
from pathlib import Path

import pandas as pd
import pytest
from kits.artefact_kit import artefact, found, html, svg

from ringfence.privacy.identifiers.customers import CustomerList
from ringfence.privacy.identifiers.masking import mask_text
from ringfence.privacy.identifiers.pii import Scanner, find
from ringfence.privacy.release import ColumnRule, ExportPolicy

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "export-gate.md"
MOBILE, KEYS = "13800138001", ["AB12C", "1B2C", "00834512", "20931", "X7-0042-Q"]
HOLDER = ExportPolicy(
    scanner=Scanner(customers=CustomerList.of(bytes(16), keys=KEYS, names=["张伟", "Alice Johnson"]))
)


def told(text: str, policy: ExportPolicy | None = None) -> set[str]:
    return found(artefact("text", f"{text}\n".encode()), policy)


@pytest.mark.parametrize("prefix", range(13, 20))
def test_mobiles_begin_with_13_to_19(prefix: int) -> None:
    assert [one.kind for one in find(f"{prefix}812345678")] == ["CN_MOBILE"]
    assert [one.kind for one in find(f"+86 {prefix}8 1234 5678")] == ["CN_MOBILE"]


@pytest.mark.parametrize(
    "number", ["12812345678", "10812345678", "20812345678", "110105491231002", "912-70-1234x"]
)
def test_what_has_no_such_form_is_left_alone(number: str) -> None:
    assert find(number) == [] or number.startswith("9")


def test_old_identity_numbers_and_foreign_passports_need_a_word() -> None:
    assert [one.kind for one in find("身份证号 110105491231002")] == ["CN_RESIDENT_ID"]
    assert find("533380006") == []
    assert [one.kind for one in find("passport 533380006")] == ["PASSPORT"]
    assert [one.kind for one in find("ITIN 912-70-1234 on file")] == ["US_ITIN"]


def test_the_example_of_masking_is_what_is_written() -> None:
    assert mask_text("电话１３８００１３８００１").text == "电话[CN_MOBILE]"
    assert "电话[CN_MOBILE]" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AB12C", {"RF-X040"}),
        ("ab 12c", {"RF-X040"}),
        ("AB-12C", {"RF-X040"}),
        ("X7-0042-Q", {"RF-X040"}),
        ("x70042q", {"RF-X040"}),
        ("X7 0042Q", {"RF-X040"}),
        ("83 4512", set()),
        ("1B2C", set()),
        ("834512", {"RF-X040"}),
        ("000834512", {"RF-X040"}),
        ("20931", set()),
        ("昨天张伟来过", {"RF-X040"}),
        ("spoke to Alice Johnson", {"RF-X040"}),
    ],
)
def test_keys_and_names_of_the_holders_own_list_and_only_these(text: str, expected: set[str]) -> None:
    assert told(text, HOLDER) == expected
    assert told(text) == set(), "without the list nobody can know"
    for field in ("customer_id", "客户编号", "ref"):
        made = artefact("json", json.dumps({field: text}).encode(), columns=())
        assert found(made, HOLDER) == {"RF-X040"}, field


@pytest.mark.parametrize("cell", ["11010519491231002X", "440524188001010014", "834512", "4111111111111111"])
def test_what_has_check_digits_or_is_a_customers_key_is_no_amount(cell: str) -> None:
    rules = (ColumnRule(name="v", sensitivity="plain", amount=True),)
    assert found(artefact("csv", f"v\n{cell}\n".encode(), columns=rules), HOLDER) == {"RF-X040"}
    assert found(artefact("csv", b"v\n13800138001\n", columns=rules), HOLDER) == set()


def test_tables_in_reports_and_texts_are_held_against_no_list_but_json_is_against_one() -> None:
    rules = (ColumnRule(name="a", sensitivity="plain"),)
    page = html("<table><tr><th>b</th></tr><tr><td>1</td></tr></table>")
    assert found(artefact("html", page, columns=rules)) == set()
    assert found(artefact("markdown", b"| b | c |\n|---|---|\n| 1 | 2 |\n", columns=rules)) == set()
    nested = b'{"rows": [{"b": 1}]}'
    assert found(artefact("json", nested, columns=())) == set()
    assert found(artefact("json", nested, columns=rules)) == {"RF-X030"}
    assert found(artefact("json", b'[{"b": 1}]', columns=())) == {"RF-X036"}


@pytest.mark.parametrize(("levels", "expected"), [(64, set()), (65, {"RF-X023"})])
def test_json_has_sixty_four_levels_at_most(levels: int, expected: set[str]) -> None:
    assert found(artefact("json", b'{"a": ' * levels + b"1" + b"}" * levels, columns=())) == expected


def bfloat(number: float) -> bytes:
    header = b'{"home_phone":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    return struct.pack("<Q", len(header)) + header + struct.pack("<f", number)[2:]


UNSEEN = {
    "a count in a sentence": artefact("text", b"We saw 1 customer of that age.\n"),
    "a count in a chart": artefact("svg", svg("<text>customers</text><text>1</text>")),
    "a bfloat16": artefact("safetensors", bfloat(13800138001.0)),
    "two layers of base64": artefact("text", base64.b64encode(base64.b64encode(MOBILE.encode()))),
    "a short word of base64": artefact("text", base64.b64encode(b"AB12C")),
    "digits behind the point of a coordinate": artefact("svg", svg(f'<path d="M0.{MOBILE} 1"/>')),
    "digits spread over cells": artefact(
        "csv",
        pd.DataFrame({"feature": ["138"], "points": ["00138001"]}),
    ),
    "a number in words": artefact("text", b"one three eight zero zero one three eight zero zero one\n"),
    "letters that stand for digits": artefact("text", b"l38OOl38OOl\n"),
    "a letter of an alphabet that is not folded": artefact("text", "Ꭼ12345678\n".encode()),
    "a bare name": artefact("text", "张伟 and Alice Johnson\n".encode()),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_what_the_page_says_is_not_seen_is_not_seen(name: str) -> None:
    assert found(UNSEEN[name]) == set()


def test_every_code_of_the_page_is_one_of_the_gates() -> None:
    known = re.findall(r"RF-X\d{3}", (PAGE.parent / "errors.md").read_text(encoding="utf-8"))
    rows = PAGE.read_text(encoding="utf-8").split("## Reason codes")[1]
    told_of: set[str] = set()
    for cell in re.findall(r"^\| RF-(X[^|]*)\|", rows, re.MULTILINE):
        for first, last in re.findall(r"X(\d{3})(?: to X(\d{3}))?", cell):
            told_of |= {f"RF-X{number:03}" for number in range(int(first), int(last or first) + 1)}
    assert told_of == {code for code in known if code in told_of}
    assert told_of >= {"RF-X001", "RF-X040", "RF-X100", "RF-X102"}
    used = {
        code
        for path in (PAGE.parents[2] / "privacy" / "release").glob("*.py")
        for code in re.findall(r"RF-X\d{3}", path.read_text(encoding="utf-8"))
    }
    assert used <= told_of
