"""What is found in English and Chinese texts, what is left alone, and that nothing asks the network."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from ringfence.privacy.errors import ExportError
from ringfence.privacy.identifiers import pii
from ringfence.privacy.identifiers.customers import CustomerList
from ringfence.privacy.identifiers.pii import NerModel, Scanner, find

FOUND = [
    ("write to zhang.wei@example.com today", "EMAIL", "zhang.wei@example.com"),
    ("请发邮件至zhangwei@example.cn谢谢", "EMAIL", "zhangwei@example.cn"),
    ("zhang.wei＠example．com", "EMAIL", "zhang.wei＠example．com"),
    ("zhangwei (at) example.com", "EMAIL", "zhangwei (at) example.com"),
    ("手机13800138001联系", "CN_MOBILE", "13800138001"),
    ("手机１３８００１３８００１联系", "CN_MOBILE", "１３８００１３８００１"),
    ("138-0013-8001", "CN_MOBILE", "138-0013-8001"),
    ("+86 138 0013 8001", "CN_MOBILE", "86 138 0013 8001"),
    ("1 3 8 0 0 1 3 8 0 0 1", "CN_MOBILE", "1 3 8 0 0 1 3 8 0 0 1"),
    ("一三八零零一三八零零一", "CN_MOBILE", "一三八零零一三八零零一"),
    ("138\u200b0013\u200b8001", "CN_MOBILE", "138\u200b0013\u200b8001"),
    ("客户身份证11010519491231002X核对", "CN_RESIDENT_ID", "11010519491231002X"),
    ("110105 19491231 002X", "CN_RESIDENT_ID", "110105 19491231 002X"),
    ("身份证号 110105491231002", "CN_RESIDENT_ID", "110105491231002"),
    ("卡号6228480402564890018", "CREDIT_CARD", "6228480402564890018"),
    ("4111 1111 1111 1111", "CREDIT_CARD", "4111 1111 1111 1111"),
    ("3782-822463-10005", "CREDIT_CARD", "3782-822463-10005"),
    ("IBAN: gb82 west 1234 5698 7654 32.", "IBAN", "gb82 west 1234 5698 7654 32"),
    ("代码91350100M000100Y43有效", "CN_USCC", "91350100M000100Y43"),
    ("护照号E12345678", "PASSPORT", "E12345678"),
    ("G12345678", "CN_PASSPORT", "G12345678"),
    ("passport number: 533380006", "PASSPORT", "533380006"),
    ("车牌京A12345停放", "CN_PLATE", "京A12345"),
    ("沪AD12345", "CN_PLATE", "沪AD12345"),
    ("from 203.0.113.7 at noon", "IP_ADDRESS", "203.0.113.7"),
    ("来自2001:db8::8a2e:370:7334的请求", "IP_ADDRESS", "2001:db8::8a2e:370:7334"),
    ("see https://shop.example.org/u/1, please", "URL", "https://shop.example.org/u/1"),
    ("访问www.example.cn/a查看", "URL", "www.example.cn/a"),
    ("SSN 460-89-9847", "US_SSN", "460-89-9847"),
    ("call (212) 555-0142 now", "PHONE", "(212) 555-0142"),
    ("座机010-62345678转8", "PHONE", "010-62345678转8"),
    ("mobile: 07700 900123", "PHONE", "07700 900123"),
    ("Dear Mr John Smith, thank you", "PERSON", "John Smith"),
    ("尊敬的王小明先生您好", "PERSON", "王小明"),
    ("姓名：李娜，女", "PERSON", "李娜"),
    ("customer name: Alice Johnson", "PERSON", "Alice Johnson"),
    ("资料，上海市浦东新区世纪大道100号3幢201室", "ADDRESS", "上海市浦东新区世纪大道100号3幢201室"),
    ("delivered to 12 Baker Street", "ADDRESS", "12 Baker Street"),
]

CLEAN = [
    "AUC 0.8431, PR-AUC 0.6512, epsilon 2.0, delta 1e-06",
    "0.4539578292839475",
    "0.13800138001",
    "-0.4111111111111111",
    "points 512, 613, -27; offset 487.12 factor 28.85",
    "2026-11-22T10:11:12.123456Z",
    "2026-11-22 10:11:12",
    "20261122101112",
    "22/11/2026",
    "1767225600",
    "1767225600000",
    "12:30:45",
    "[0.0, 1.5) [1.5, 3.0) [3.0, inf)",
    "total 1,234,567,890 over 41,188 customers in 12 bins",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "123e4567-e89b-12d3-a456-426614174000",
    "ed25519:8d1a2c9be01f4420aa318e2f77c09bd1",
    "version 1.2.3.4 of the library, Python 3.11.9",
    "loopback 127.0.0.1 and ::1",
    "a::before { color: #123456 }",
    "Month-to-month, Fiber optic, Electronic check",
    "高级经理负责，客户满意度提升，一线城市",
    "一二三四五六七八九",
    "姓名：已脱敏",
    "姓名字段不输出",
    "尊敬的女士们、先生们",
    "churn-prediction",
    "call centre contacts in 30 days: 4",
    "rows 7043, columns 21, seed 20240917",
    "Mixed 3-4 cups @ 20 kPa",
    "[PERSON] [EMAIL] tok_abcdefghijklmnop ****8001",
    "order 4111111111111112",
    "15 20 35 40 50 6",
]


@pytest.mark.parametrize(("text", "kind", "piece"), FOUND, ids=[f[0] for f in FOUND])
def test_identifiers_are_found_where_they_stand(text: str, kind: str, piece: str) -> None:
    for found in (find(text), Scanner().find_cell(text)):
        assert (kind, piece) in [(f.kind, text[f.start : f.end]) for f in found]


@pytest.mark.parametrize("text", CLEAN)
def test_ordinary_figures_and_words_are_left_alone(text: str) -> None:
    assert find(text) == []
    assert Scanner().find_cell(text) == []


def test_a_column_name_is_evidence() -> None:
    scanner = Scanner()
    assert scanner.find_cell("张伟", context="客户姓名")[0].kind == "PERSON"
    assert scanner.find_cell("Alice Johnson", context="customer_name")[0].kind == "PERSON"
    assert scanner.find_cell("62345678", context="home_phone")[0].kind == "PHONE"
    assert scanner.find_cell("张伟", context="feature") == []
    assert scanner.find_cell("62345678", context="phone_minutes") == []


def test_findings_do_not_overlap_and_are_sorted() -> None:
    text = (
        "姓名：张伟 zhang@example.com https://example.com/?u=zhang@example.com 4111111111111111 13800138001"
    )
    found = find(text)
    assert len(found) >= 5
    assert all(a.end <= b.start for a, b in pairwise(found))


def test_presidio_reads_free_text_beside_chinese() -> None:
    kinds = {
        f.kind
        for f in find(
            "付款地址bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq，网卡00:1B:44:11:3A:B7，NI号码AB123456C"
        )
    }
    assert {"CRYPTO", "MAC_ADDRESS", "UK_NINO"} <= kinds


def test_our_recogniser_is_in_the_registry() -> None:
    names = {recogniser.name for recogniser in pii.registry().recognizers}
    assert "RingfenceIdentifiers" in names
    assert {"CN_RESIDENT_ID", "CN_USCC"} <= {
        e for r in pii.registry().recognizers for e in r.supported_entities
    }


def test_the_network_is_never_asked(tmp_path: Path) -> None:
    script = (
        "import socket\n"
        "def refuse(*a, **k): raise SystemExit('network asked')\n"
        "socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse\n"
        "from ringfence.privacy.identifiers.pii import find\n"
        "found = {f.kind for f in find('write to a.b@example.co.uk or +44 20 7946 0018, 电话13800138001')}\n"
        "assert {'EMAIL', 'CN_MOBILE', 'PHONE'} <= found, found\n"
        "print('ok')"
    )
    # An empty home: no cached suffix list from an earlier run may stand in for the snapshot.
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )
    assert done.stdout.strip() == "ok", done.stderr
    assert list(tmp_path.iterdir()) == []
    assert socket.socket.connect.__name__ == "connect"


def test_importing_does_not_import_presidio() -> None:
    script = (
        "import sys, ringfence.privacy.release; "
        "print('presidio_analyzer' in sys.modules or 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# --- the holder's own list
# ----------------------------------------------------------------------------------------

KEY = bytes(range(32))


def listed(text: str) -> list[tuple[str, str]]:
    customers = CustomerList.of(
        KEY,
        names=["张伟", "欧阳娜娜", "Zoë van der Berg", "May"],
        addresses=["翠湖花园7栋", "The Old Mill, Lower End"],
    )
    return [(f.kind, text[f.start : f.end]) for f in Scanner(customers=customers).find_cell(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("张伟", ("PERSON", "张伟")),
        ("昨天张伟来过", ("PERSON", "张伟")),
        ("昨天 欧阳娜娜 来过", ("PERSON", "欧阳娜娜")),
        ("for zoë VAN DER berg only", ("PERSON", "zoë VAN DER berg")),
        ("for Zoe\u0308 van  der Berg", ("PERSON", "Zoe\u0308 van  der Berg")),
        ("住翠湖花园7栋附近", ("ADDRESS", "翠湖花园7栋")),
        ("seen at the old mill lower end", ("ADDRESS", "the old mill lower end")),
        ("asked May about it", ("PERSON", "May")),
    ],
)
def test_customers_on_the_list_are_found(text: str, expected: tuple[str, str]) -> None:
    assert expected in listed(text)


@pytest.mark.parametrize("text", ["you may go", "李四", "Zoë van den Berg", "The Old Barn"])
def test_others_are_not(text: str) -> None:
    assert listed(text) == []


def test_the_list_holds_no_name_and_needs_a_key() -> None:
    customers = CustomerList.of(KEY, names=["张伟", "Alice Johnson"])
    assert "张" not in repr(customers)
    assert KEY.hex() not in repr(customers)
    assert all(len(digest) == 16 for digest in customers.people)
    other = CustomerList.of(bytes(32), names=["张伟", "Alice Johnson"])
    assert customers.people.isdisjoint(other.people)
    with pytest.raises(ValueError, match="16 bytes"):
        CustomerList.of(b"short", names=[])


# --- a site's own model
# -------------------------------------------------------------------------------------------


def test_a_sites_own_model_is_used_by_configuration(tmp_path: Path) -> None:
    pii.registry()  # imports spaCy and swallows the deprecation warnings that it raises then
    import spacy

    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PERSON", "pattern": "Quentin Blackwood"}])  # type: ignore[attr-defined]
    pipeline.to_disk(tmp_path / "names")
    scanner = Scanner(models=(NerModel(folder=tmp_path / "names", language="en"),))
    text = "A note on Quentin Blackwood and his plan"
    assert [(f.kind, text[f.start : f.end]) for f in scanner.find(text)] == [("PERSON", "Quentin Blackwood")]
    assert scanner.find(text, "zh") == []
    assert Scanner().find(text) == []


def test_a_missing_model_is_refused_not_downloaded(tmp_path: Path) -> None:
    scanner = Scanner(models=(NerModel(folder=tmp_path / "en_core_web_lg", language="en"),))
    with pytest.raises(ExportError, match="RF-X060"):
        scanner.find("anything at all")
