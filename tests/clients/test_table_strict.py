"""Text files that other programs read wrongly without a word: refused with their line, or read right."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kits.document_kit import ASSETS
from kits.table_kit import PURPOSE, documents

from ringfence.clients.rows.table import RawTable, read_table
from ringfence.privacy.consent import ConsentRegistry
from ringfence.privacy.errors import TableError
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.tables import cutting, tabular
from ringfence.privacy.tables.tabular import Layout

MUSEUM = ASSETS / "bad_tables"
FEATURES: list[dict[str, Any]] = [
    {"name": "fee", "kind": "number", "bounds": [0, 100]},
    {"name": "plan", "kind": "category", "categories": ["B", "F", "P"]},
]
COLUMNS = [{"name": name, "purposes": [PURPOSE]} for name in ("fee", "plan")]
HEAD = "member,note,fee,plan"


def read(folder: Path, raw: bytes, **source: Any) -> RawTable:
    (folder / "t.csv").write_bytes(raw)
    made = documents(FEATURES, COLUMNS, source={"file": "t.csv"} | source, subject="member")
    contract, schema, allowed = made
    return read_table(contract, schema, replace(allowed, subject="member"), folder)


def values(raw: RawTable) -> list[tuple[object, ...]]:
    columns = [raw._frame[name].tolist() for name in ("fee", "plan")]
    return list(zip(raw.keys(), *columns, strict=True))


STRAY = {
    "two_opening_marks": 3,
    "three_opening_marks": 3,
    "one_opening_mark": 3,
    "closed_by_a_later_field": 3,
    "closed_on_the_next_line": 3,
    "text_after_a_closing_mark": 3,
    "blank_before_a_mark": 3,
    "mark_in_the_last_field": 3,
    "mark_in_the_header": 1,
    "last_line_open": 13,
}


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("name", list(STRAY))
def test_a_stray_mark_is_refused_with_its_first_line(tmp_path: Path, name: str, end: bytes) -> None:
    raw = (MUSEUM / f"{name}.csv").read_bytes().replace(b"\n", end)
    for text in (raw, raw.removesuffix(end)):
        with pytest.raises(TableError) as caught:
            read(tmp_path, text)
        assert caught.value.code == "RF-T036"
        assert f"from line {STRAY[name]} on" in str(caught.value)
        assert "vip" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_stray_mark_is_refused_in_every_layout(tmp_path: Path, encoding: str, delimiter: str) -> None:
    text = (MUSEUM / "two_opening_marks.csv").read_text("utf-8").replace(",", delimiter)
    with pytest.raises(TableError, match=r"RF-T036.*from line 3 on"):
        read(tmp_path, text.encode(encoding), encoding=encoding, delimiter=delimiter)


def test_a_stray_mark_in_a_later_block_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "BLOCK", 64)
    text = f"{HEAD}\n" + "M,x,1,B\n" * 50 + 'N,"x,1,B\n' + "M,x,1,B\n" * 50 + 'O,"x,1,B\n'
    with pytest.raises(TableError, match=r"RF-T036.*from line 52 on"):
        read(tmp_path, text.encode())


def test_a_consent_file_that_swallows_a_withdrawal_is_refused(tmp_path: Path) -> None:
    shutil.copy(MUSEUM / "consent_two_opening_marks.csv", tmp_path / "c.csv")
    registry = ConsentRegistry.open(open_store(None), bytes(range(32)))
    with pytest.raises(TableError, match=r"RF-T036.*from line 2 on"):
        registry.import_file(tmp_path / "c.csv")
    assert registry.indices(["D", "B", "E"]).tolist() == [-1, -1, -1], "nothing was imported"


QUOTED = [
    ('a,"x, ""y""",1,B\nb,"",2,"F"\n', [("a", 1, "B"), ("b", 2, "F")]),
    ('a,"line one\nline two, and more\n\nend",1,B\nb,x,2,F\n', [("a", 1, "B"), ("b", 2, "F")]),
    ('a,5" pipe,1,B\nb,6"" and 7",2,F\n', [("a", 1, "B"), ("b", 2, "F")]),
    ('"a","","1","B"\n"b","""","2","F"\n', [("a", 1, "B"), ("b", 2, "F")]),
    ('a,"Dear all,\nthank you, and bye",1,B\n\n\nb,x,2,F', [("a", 1, "B"), ("b", 2, "F")]),
]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("text", "expected"), QUOTED)
def test_quoted_text_is_read_whatever_the_line_ends(
    tmp_path: Path, text: str, expected: list[tuple[object, ...]], end: str
) -> None:
    whole = f"{HEAD}\n{text}".replace("\n", end)
    assert values(read(tmp_path, whole.encode())) == expected


@pytest.mark.parametrize(
    ("start", "source"),
    [
        (b"\xef\xbb\xbf", {}),
        (b"\xef\xbb\xbf\xef\xbb\xbf", {}),
        (b"sep=,\r\n", {}),
        (b"\xef\xbb\xbfsep=,\n", {}),
        (b"\n\n", {}),
        (b"\xef\xbb\xbf\xef\xbb\xbf", {"header": HEAD.split(",")}),
        (b"sep=,\n", {"header": HEAD.split(",")}),
    ],
)
@pytest.mark.parametrize("quoted", [False, True])
def test_what_programs_put_before_the_header_is_no_part_of_it(
    tmp_path: Path, start: bytes, source: dict[str, Any], quoted: bool
) -> None:
    first = "" if source else f"{HEAD}\n".replace("member", '"member"' if quoted else "member")
    key = '"a"' if quoted else "a"
    raw = start + f"{first}{key},x,1,B\nb,x,2,F\n".encode()
    table = read(tmp_path, raw, **source)
    assert values(table) == [("a", 1, "B"), ("b", 2, "F")]
    with pytest.raises(TableError) as caught:
        read(tmp_path, raw.replace(b"x,2,", b"x,two,"), **source)
    before = start.count(b"\n") + (0 if source else 1)
    assert f"(line {before + 2})" in str(caught.value)


def test_a_separator_line_that_disagrees_is_told(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"RF-T008.*set delimiter = ';'"):
        read(tmp_path, b"sep=;\n" + HEAD.replace(",", ";").encode() + b"\na;x;1;B\n")


def test_a_long_cell_that_is_not_used_is_passed_over(tmp_path: Path) -> None:
    long = "x" * 140_000
    text = f'{HEAD}\na,{long},1,B\nb,"{long}\n{long}",2,F\n'
    assert values(read(tmp_path, text.encode())) == [("a", 1, "B"), ("b", 2, "F")]
    for bad, code, line in (("c,x,three,B\n", "RF-T025", "(line 5)"), ("c,x\n", "RF-T014", "(line 5)")):
        with pytest.raises(TableError) as caught:
            read(tmp_path, (text + bad).encode())
        assert caught.value.code == code
        assert line in str(caught.value)


def test_a_row_longer_than_a_block_is_read(tmp_path: Path) -> None:
    text = f"{HEAD}\na,{'x' * (1 << 23)},1,B\nb,x,2,F\n"
    assert values(read(tmp_path, text.encode())) == [("a", 1, "B"), ("b", 2, "F")]


ENCODED = [
    ("latin1.csv", "utf-8", "RF-T016", 'encoding = "latin-1"'),
    ("latin1.csv", "gb18030", "RF-T016", 'encoding = "latin-1"'),
    ("cp1252.csv", "utf-8", "RF-T016", 'encoding = "cp1252"'),
    ("cp1252.csv", "latin-1", "RF-T016", 'encoding = "cp1252"'),
    ("cp1252.csv", "gb18030", "RF-T016", 'encoding = "cp1252"'),
    ("utf16.csv", "utf-8", "RF-T103", 'encoding = "utf-16"'),
    ("utf16.csv", "gb18030", "RF-T103", 'encoding = "utf-16"'),
    ("utf16_without_mark.csv", "utf-8", "RF-T104", "zero bytes"),
    ("spreadsheet.csv", "utf-8", "RF-T007", "spreadsheet"),
]


@pytest.mark.parametrize(("name", "encoding", "code", "words"), ENCODED)
def test_another_encoding_is_named_and_never_guessed(name: str, encoding: str, code: str, words: str) -> None:
    with pytest.raises(TableError) as caught:
        tabular.read_columns(MUSEUM / name, ["kunde", "stadt"], Layout(delimiter=";", encoding=encoding))
    assert caught.value.code == code
    assert words in str(caught.value)
    assert "rgen" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "encoding"), [("latin1.csv", "latin-1"), ("cp1252.csv", "cp1252"), ("utf16.csv", "utf-16")]
)
def test_the_encoding_that_is_named_reads_it(name: str, encoding: str) -> None:
    table = tabular.read_columns(MUSEUM / name, ["kunde", "stadt"], Layout(delimiter=";", encoding=encoding))
    assert table["kunde"].to_pylist()[0] == "Jürgen"
    assert table["stadt"].to_pylist()[0].startswith("Köln")


def test_gb18030_beside_latin_letters_is_still_read(tmp_path: Path) -> None:
    for text in ("app用户", "VIP客户", "丂x", "张三"):
        (tmp_path / "t.csv").write_bytes(f"a,b\n{text},1\n张三,2\n北京,2\n".encode("gb18030"))
        table = tabular.read_columns(tmp_path / "t.csv", ["a"], Layout(encoding="gb18030"))
        assert table["a"].to_pylist()[0] == text
