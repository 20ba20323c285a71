"""Planted leaks stay inside, whatever they are wrapped in; clean artefacts leave."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save

from ringfence.privacy.identifiers.customers import CustomerList
from ringfence.privacy.pii import Scanner
from ringfence.privacy.release import Artefact, Cleared, ColumnRule, ExportPolicy, ReleaseRefused, decide

POLICY = ExportPolicy(scanner=Scanner(customers=CustomerList.of(bytes(16), names=["赵敏", "Priya Raman"])))
PLAIN = (
    ColumnRule(name="feature", sensitivity="plain"),
    ColumnRule(name="points", sensitivity="plain"),
    ColumnRule(name="phone 13800138001", sensitivity="plain"),
)
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
}  # fmt: skip


def svg(inside: str) -> bytes:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10">{inside}</svg>'.encode()


def html(inside: str, head: str = "<title>Report</title>") -> bytes:
    return f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">{head}</head><body>{inside}</body></html>'.encode()


def npz(**arrays: Any) -> bytes:
    sink = io.BytesIO()
    np.savez(sink, **arrays)
    return sink.getvalue()


def parquet(frame: pd.DataFrame, metadata: Mapping[str, str] | None = None) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    if metadata:
        table = table.replace_schema_metadata(metadata)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def artefact(kind: Any, content: Any, **more: Any) -> Artefact:
    suffix = {"text": "txt", "markdown": "md"}.get(kind, kind)
    return Artefact(
        name=f"report.{suffix}", kind=kind, content=content, columns=more.pop("columns", PLAIN), **more
    )


def codes(answer: Cleared | ReleaseRefused) -> set[str]:
    return {reason.code for reason in answer.reasons} if isinstance(answer, ReleaseRefused) else set()


TABLE = pd.DataFrame({"feature": ["tenure", "contract"], "points": [12, -7]})


def carriers(leak: str) -> dict[str, Artefact]:
    """One artefact a place in which a string may hide."""
    table = TABLE.assign(feature=["tenure", leak])
    return {
        "csv frame": artefact("csv", table),
        "csv bytes": artefact("csv", table.to_csv(index=False).encode()),
        "parquet": artefact("parquet", table),
        "json value": artefact("json", json.dumps({"a": [{"b": leak}]}).encode(), columns=()),
        "json key": artefact("json", json.dumps({"a": {leak: 1}}, ensure_ascii=False).encode(), columns=()),
        "toml": artefact("toml", f"a = 1\nb = {json.dumps(leak)}\n".encode()),
        "text": artefact("text", f"Notes.\n{leak}\n".encode()),
        "markdown": artefact("markdown", f"# Notes\n\n| a | b |\n|---|---|\n| {leak} | 2 |\n".encode()),
        "npz text": artefact("npz", npz(names=np.array(["x", leak]))),
        "safetensors metadata": artefact("safetensors", save({"w": np.ones(2, np.float32)}, {"note": leak})),
    }


@pytest.mark.parametrize("name", LEAKS)
def test_a_planted_leak_is_refused_in_every_carrier(name: str) -> None:
    for carrier, made in carriers(LEAKS[name]).items():
        answer = decide(made, POLICY)
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
    assert codes(decide(artefact("html", content), POLICY)) == {"RF-X040"}


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
    assert codes(decide(artefact("svg", content), POLICY)) == {"RF-X040"}


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
        assert "RF-X040" in codes(decide(made, POLICY)), made
    assert decide(artefact("safetensors", save(tensors)), POLICY)


def test_short_numbers_count_where_the_column_says_so() -> None:
    for name, expected in (("home_phone", {"RF-X040"}), ("points", set())):
        table = pd.DataFrame({name: [62345678, 62345679]})
        rules = (ColumnRule(name=name, sensitivity="plain"),)
        for kind in ("csv", "parquet", "json"):
            assert codes(decide(artefact(kind, table, columns=rules), POLICY)) == expected


def test_a_refusal_says_nothing_of_what_was_found() -> None:
    answer = decide(artefact("csv", TABLE.assign(feature=["tenure", MAIL])), POLICY)
    assert isinstance(answer, ReleaseRefused)
    text = repr(answer) + "".join(reason.sentence() for reason in answer.reasons)
    assert "wang" not in text
    assert "EMAIL was found in column 1" in text.replace("  ", " ") or "EMAIL" in text


def test_a_wide_leak_gives_at_most_twenty_reasons() -> None:
    names = [f"c{n}" for n in range(40)]
    frame = pd.DataFrame([[MOBILE] * 40], columns=names)
    rules = tuple(ColumnRule(name=name, sensitivity="plain") for name in names)
    answer = decide(artefact("csv", frame, columns=rules), POLICY)
    assert isinstance(answer, ReleaseRefused)
    assert len(answer.reasons) == 20


# --- clean artefacts ----------------------------------------------------------------------------------------------


def png(text: bytes = b"") -> str:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    parts = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
        chunk(b"IDAT", zlib.compress(b"\0\0")),
    ]
    if text:
        parts.append(chunk(b"tEXt", text))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")).decode()


GENERATOR = np.random.default_rng(7)
SCORECARD = pd.DataFrame(
    {
        "feature": ["tenure", "monthly_charges", "contract", "合同类型"] * 25,
        "points": np.round(GENERATOR.normal(500, 100, 100), 6),
    }
)
METRICS = {
    "auc": 0.8431928374650192,
    "pr_auc": 0.65,
    "epsilon": "2.0",
    "delta": "1e-06",
    "holders": 4,
    "rows": 7043,
    "seconds": 12.25,
    "peak_rss_mb": 412,
    "metrics": "exact (simulation only)",
    "study": "sha256:" + "9f86d081884c7d65" * 4,
    "started": "2026-11-22T10:11:12Z",
    "unix": 1767225600,
    "curve": GENERATOR.random(200).tolist(),
    "bins": [{"low": 0.0, "high": 12.5, "points": 41}, {"low": 12.5, "high": 1e6, "points": -3}],
    "purpose": {"iri": "https://w3id.org/dpv#CustomerManagement", "标题": "客户流失预测"},
}
CLEAN: list[Artefact] = [
    artefact("csv", SCORECARD),
    artefact("csv", SCORECARD.to_csv(index=False).encode()),
    artefact("parquet", SCORECARD),
    artefact("parquet", parquet(SCORECARD)),
    artefact("json", json.dumps(METRICS, ensure_ascii=False).encode(), columns=()),
    artefact("json", SCORECARD, columns=PLAIN),
    artefact("toml", 'id = "telco"\nversion = 3\nsigned = 2026-11-22T10:00:00Z\nnote = """两\n行"""\n'.encode()),
    artefact("text", "Released on 2026-11-22.\nAUC 0.84 over 41,188 customers.\n发布说明：模型通过审核。\n".encode()),
    artefact("markdown", b"# Model card\n\n- intended use: churn\n- points: 12, -7, 512\n\n```\nepsilon = 2.0\n```\n"),
    artefact("safetensors", save({"w": GENERATOR.normal(size=(64, 64)).astype(np.float32)}, {"format": "np"})),
    artefact("npz", npz(edges=np.linspace(0, 1e6, 50), names=np.array(["tenure", "合同"]))),
    artefact("svg", svg('<style>.a{fill:#123456}</style><g class="a"><path d="M13 80 01 38 00 0L1,1"/><text x="1.5">0.843</text></g>')),
    artefact(
        "html",
        html(
            f'<h1>Churn</h1><table><tr><th scope="col">AUC</th><td>0.84</td><td>0.81</td></tr></table><img alt="ROC" src="data:image/png;base64,{png()}">'
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 480"><use href="#dot"/><text>客户数 41,188</text></svg><p>发布于2026年11月22日</p>',
            head="<title>流失报告</title><style>td{padding:2px}a::before{content:''}</style>",
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize("made", CLEAN, ids=[f"{i} {a.kind}" for i, a in enumerate(CLEAN)])
def test_a_clean_artefact_leaves(made: Artefact) -> None:
    answer = decide(made, POLICY)
    assert isinstance(answer, Cleared), answer
    if isinstance(made.content, bytes) and made.kind not in ("parquet", "npz"):
        assert answer.content == made.content


def test_random_figures_are_not_blocked() -> None:
    """200 tables of probabilities, points, counts, dates and codes: none is refused."""
    generator = np.random.default_rng(11)
    rules = tuple(
        ColumnRule(name=n, sensitivity="plain") for n in ("p", "points", "money", "day", "stamp", "code")
    )
    blocked = 0
    for _ in range(100):
        frame = pd.DataFrame(
            {
                "p": generator.random(20),
                "points": generator.integers(-1000, 1000, 20),
                "money": np.round(generator.lognormal(12, 2, 20), 2),
                "day": pd.Timestamp("2020-01-01")
                + pd.to_timedelta(generator.integers(0, 2000, 20), unit="D"),
                "stamp": generator.integers(1_500_000_000, 1_800_000_000, 20),
                "code": [f"SKU-{n:08d}" for n in generator.integers(0, 10**8, 20)],
            }
        )
        for made in (artefact("csv", frame, columns=rules), artefact("json", frame, columns=rules)):
            blocked += isinstance(decide(made, ExportPolicy()), ReleaseRefused)
    assert blocked == 0


def test_pictures_with_text_in_them_are_refused() -> None:
    for text, expected in ((b"", set()), (b"Author\x00someone", {"RF-X021"})):
        page = html(f'<img alt="ROC" src="data:image/png;base64,{png(text)}">')
        assert codes(decide(artefact("html", page), POLICY)) == expected
    trailing = base64.b64encode(base64.b64decode(png()) + MAIL.encode()).decode()
    assert codes(decide(artefact("html", html(f'<img src="data:image/png;base64,{trailing}">')), POLICY)) == {
        "RF-X021"
    }


# --- masking first ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["csv frame", "csv bytes", "parquet", "json value", "json key", "text", "markdown"]
)
@pytest.mark.parametrize(
    "name", ["resident id", "mobile, full width", "mail beside Chinese", "name on the list, zh"]
)
def test_masking_first_lets_it_out_without_the_leak(kind: str, name: str) -> None:
    given = carriers(LEAKS[name])[kind]
    made = Artefact(
        name=given.name, kind=given.kind, content=given.content, columns=given.columns, masking="presidio"
    )
    answer = decide(made, POLICY)
    assert isinstance(answer, Cleared), answer
    assert "Masked before the check." in answer.notes
    again = decide(artefact(given.kind, answer.content, columns=given.columns), POLICY)
    assert isinstance(again, Cleared), again
    if given.kind != "parquet":
        assert LEAKS[name] not in answer.content.decode()


def test_what_masking_cannot_reach_is_refused() -> None:
    hidden = artefact("text", base64.b64encode(MAIL.encode()), masking="presidio")
    assert codes(decide(hidden, POLICY)) == {"RF-X040"}
    for kind, content in (
        ("html", html("x")),
        ("svg", svg("")),
        ("npz", npz(a=np.ones(1))),
        ("toml", b"a = 1"),
        ("safetensors", save({"w": np.ones(1)})),
    ):
        assert codes(decide(artefact(kind, content, masking="presidio"), POLICY)) == {"RF-X046"}


def test_epsilon_is_held_against_the_study() -> None:
    limited = ExportPolicy(epsilon=Decimal("2.0"))
    made = artefact("text", b"fine\n")
    assert codes(decide(made, limited)) == {"RF-X045"}
    for epsilon, expected in (
        ("2.0", set()),
        ("2.01", {"RF-X044"}),
        ("-1", {"RF-X044"}),
        ("NaN", {"RF-X044"}),
        ("Infinity", {"RF-X044"}),
    ):
        stated = artefact("text", b"fine\n", epsilon=Decimal(epsilon))
        assert codes(decide(stated, limited)) == expected
        assert codes(decide(stated, ExportPolicy())) == {"RF-X044"}
