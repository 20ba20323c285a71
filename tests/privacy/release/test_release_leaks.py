"""Planted leaks stay inside, whatever they are wrapped in."""

from __future__ import annotations

import base64
import json

import numpy as np
import pandas as pd
import pytest
from kits.artefact_kit import TABLE, artefact, carriers, codes, html, npz, parquet, svg
from safetensors.numpy import save

from ringfence.privacy.identifiers.customers import CustomerList
from ringfence.privacy.identifiers.pii import Scanner
from ringfence.privacy.release import Artefact, ColumnRule, ExportPolicy, ReleaseRefused, examine

POLICY = ExportPolicy(scanner=Scanner(customers=CustomerList.of(bytes(16), names=["赵敏", "Priya Raman"])))
ID, MOBILE, CARD, MAIL = "11010519491231002X", "13800138001", "6228480402564890018", "wang.fang@example.cn"

LEAKS: dict[str, str] = {
    "resident id": ID,
    "resident id, spaced": "110105 19491231 002X",
    "resident id, full width": "".join(chr(ord(c) + 0xFEE0) for c in ID),
    "mobile": MOBILE,
    "mobile, spaced digits": " ".join(MOBILE),
    "mobile, full width": "联系１３８００１３８００１本人",
    "mobile, zero-width": "138\u200b0013\u200b8001",
    "mobile, Chinese numerals": "一三八零零一三八零零一",
    "mobile, Arabic-Indic digits": "١٣٨٠٠١٣٨٠٠١",
    "card, UnionPay": CARD,
    "card, grouped": "4111-1111-1111-1111",
    "mail": MAIL,
    "mail beside Chinese": f"邮箱{MAIL}已核",
    "mail, (at)": "wangfang (at) example.com",
    "iban": "DE89 3704 0044 0532 0130 00",
    "uscc": "91350100M000100Y43",
    "passport": "E12345678",
    "passport, labelled": "passport no. 533380006",
    "plate": "京A·12345",
    "ip v4": "203.0.113.7",
    "ip v6": "2001:db8::8a2e:370:7334",
    "url": "https://shop.example.org/users/42",
    "ssn": "460-89-9847",
    "phone, US": "(212) 555-0142",
    "phone, UK": "+44 20 7946 0018",
    "name, Mr": "Mr John Smith",
    "name, 先生": "王小明先生",
    "name, 姓名": "姓名：李娜",
    "name on the list, zh": "昨日赵敏来访",
    "name on the list, en": "spoke to Priya Raman again",
    "address, zh": "上海市浦东新区世纪大道100号3幢201室",
    "address, en": "12 Baker Street",
    "base64": base64.b64encode(f"id {ID}".encode()).decode(),
    "percent": "wang.fang%40example.cn",
    "entity": "wang.fang&#64;example.cn",
    "escape": "wang.fang\\u0040example.cn",
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_planted_leak_is_refused_in_every_carrier(name: str) -> None:
    for carrier, made in carriers(LEAKS[name]).items():
        answer = examine(made, POLICY)
        assert codes(answer) & {"RF-X040"}, (name, carrier, answer)


@pytest.mark.parametrize(
    "content",
    [
        html(f"<p>{MOBILE}</p>"),
        html("<p>138<b>0013</b>8001</p>"),
        html(f"<!-- {MAIL} -->"),
        html(f'<p title="{MAIL}">x</p>'),
        html(f'<p data-{MOBILE}="1">x</p>'),
        html("<p>wang.fang&#64;example.cn</p>"),
        html(f"<table><tr><td>{ID}</td></tr></table>"),
        html("x", head=f"<title>{MAIL}</title>"),
        html("x", head=f'<title>t</title><meta name="description" content="{CARD}">'),
        html("x", head=f"<style>/* {MAIL} */</style>"),
        html(f'<svg xmlns="http://www.w3.org/2000/svg"><text>{ID}</text></svg>'),
        html(f'<a href="#{MOBILE}">x</a>'),
    ],
    ids=range(12),
)
def test_a_leak_in_html_is_refused(content: bytes) -> None:
    assert codes(examine(artefact("html", content), POLICY)) == {"RF-X040"}


@pytest.mark.parametrize(
    "content",
    [
        svg(f"<text>{MOBILE}</text>"),
        svg("<text>138<tspan>0013</tspan>8001</text>"),
        svg(f"<!-- {MAIL} -->"),
        svg(f"<title>{MAIL}</title>"),
        svg(f"<desc>{CARD}</desc>"),
        svg(f'<g aria-label="{ID}"/>'),
        svg("<text>wang.fang&#64;example.cn</text>"),
        svg(f'<path d="M0 0" id="{MOBILE}"/>'),
    ],
    ids=range(8),
)
def test_a_leak_in_svg_is_refused(content: bytes) -> None:
    assert codes(examine(artefact("svg", content), POLICY)) == {"RF-X040"}


def test_leaks_in_names_metadata_and_numbers_are_refused() -> None:
    tensors = {"w": np.ones(3, np.float32)}
    many: list[Artefact] = [
        artefact("csv", pd.DataFrame({"phone 13800138001": ["x"]})),
        artefact("csv", TABLE.assign(points=[13800138001, 5])),
        artefact("csv", TABLE.assign(points=[13800138001.0, 0.5])),
        artefact("parquet", TABLE.assign(points=[6228480402564890018, 5])),
        artefact("parquet", parquet(TABLE, {"author": MAIL})),
        artefact("json", json.dumps({"customer_phone": 62345678}).encode(), columns=()),
        artefact("json", json.dumps({"x": 13800138001}).encode(), columns=()),
        artefact("toml", f"a = 1 # {MAIL}\n".encode()),
        artefact("text", b"Phone:\n60-56-85-91\n"),
        artefact("safetensors", save({f"layer.{MOBILE}": np.ones(1, np.float32)})),
        artefact("safetensors", save({"w": np.array([13800138001], np.int64)})),
        artefact("safetensors", save({"w": np.array([13800138001.0])})),
        artefact("safetensors", save({"w": np.frombuffer(MAIL.encode(), np.uint8)})),
        artefact("npz", npz(**{f"a{MOBILE}": np.ones(2)})),
        artefact("npz", npz(w=np.array([6228480402564890018]))),
        artefact("npz", npz(w=np.frombuffer(MAIL.encode(), np.int8))),
    ]
    for made in many:
        assert "RF-X040" in codes(examine(made, POLICY)), made
    assert examine(artefact("safetensors", save(tensors)), POLICY)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://www.w3.org/ns/dpv", set()),
        ("https://wang-lei:@www.w3.org/ns/dpv", {"RF-X040"}),
        ("https://www.w3.org:1380/ns/dpv", {"RF-X040"}),
        (f"https://www.w3.org/ns/dpv?{MOBILE}", {"RF-X040"}),
        ("https://www.w3.example/ns/dpv", {"RF-X040"}),
    ],
)
def test_a_url_of_an_allowed_host_names_nobody(url: str, expected: set[str]) -> None:
    assert codes(examine(artefact("text", f"See {url} for words.\n".encode()), POLICY)) == expected


def test_short_numbers_count_where_the_column_says_so() -> None:
    for name, expected in (("home_phone", {"RF-X040"}), ("points", set())):
        table = pd.DataFrame({name: [62345678, 62345679]})
        rules = (ColumnRule(name=name, sensitivity="plain"),)
        for kind in ("csv", "parquet", "json"):
            assert codes(examine(artefact(kind, table, columns=rules), POLICY)) == expected


def test_a_refusal_says_nothing_of_what_was_found() -> None:
    answer = examine(artefact("csv", TABLE.assign(feature=["tenure", MAIL])), POLICY)
    assert isinstance(answer, ReleaseRefused)
    text = repr(answer) + "".join(reason.sentence() for reason in answer.reasons)
    assert "wang" not in text
    assert "EMAIL was found in column 1" in text.replace("  ", " ") or "EMAIL" in text


def test_a_wide_leak_gives_at_most_twenty_reasons() -> None:
    names = [f"c{n}" for n in range(40)]
    frame = pd.DataFrame([[MOBILE] * 40], columns=names)
    rules = tuple(ColumnRule(name=name, sensitivity="plain") for name in names)
    answer = examine(artefact("csv", frame, columns=rules), POLICY)
    assert isinstance(answer, ReleaseRefused)
    assert len(answer.reasons) == 20
