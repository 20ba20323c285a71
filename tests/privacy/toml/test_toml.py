"""Reading TOML with line numbers."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kits.document_kit import quoted, written

from ringfence.privacy.errors import ContractError, SchemaError
from ringfence.privacy.toml.faults import Path_, Problem, faults_of
from ringfence.privacy.toml.reading import MAX_BYTES, TomlFile, line_index, read_toml

WILD = '''# a comment with [brackets] and "quotes"
title = "a # no comment" # one
"quoted key" = 1
'literal.key' = 2
dotted.inner."deep key" = 3
text = """
first ] line
a \\""" b
last"""
raw = \'\'\'
[[no_table]]
x = 1\'\'\'
quotes = """ends with two""\"""
list = [
  1, # comment, with ] and ,
  [2, 3],

  { a = 1, b = [4,
    5] },
  "]", \'[\',
]
empty = []
none = {}
when = 2020-01-01T10:00:00Z
day = 2020-01-01 # a space follows

[table]
key = 1
[table.sub]
key = 2
[ spaced . "table" ]
key = 3

[[rows]]
name = "a"
[rows.extra]
x = 1
[[rows.inner]]
y = 1
[[rows.inner]]
y = 2
[[rows]]
name = "b"
[[rows.inner]]
y = 3
last = true'''


def paths(data: Any, path: Path_ = ()) -> Iterator[Path_]:
    if path:
        yield path
    if isinstance(data, dict):
        for key, value in data.items():
            yield from paths(value, (*path, key))
    elif isinstance(data, list):
        for position, value in enumerate(data):
            yield from paths(value, (*path, position))


def test_every_value_of_a_wild_text_has_its_line() -> None:
    lines = line_index(WILD)
    assert set(lines) == set(paths(tomllib.loads(WILD)))
    text = WILD.split("\n")
    for path, line in lines.items():
        if isinstance(path[-1], str):
            assert path[-1] in text[line - 1], path
    at = {
        "list": 14,
        ("list", 0): 15,
        ("list", 1): 16,
        ("list", 2): 18,
        ("list", 2, "b", 1): 19,
        ("list", 3): 20,
    }
    for where, line in at.items():
        assert lines[where if isinstance(where, tuple) else (where,)] == line
    assert lines["rows", 0] == 34
    assert lines["rows", 0, "inner", 1, "y"] == 41
    assert lines["rows", 1, "inner", 0, "y"] == 45
    assert lines[("day",)] == 25


def test_windows_line_ends_do_not_move_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(WILD.replace("\n", "\r\n").encode())
    assert read_toml(file, ContractError).lines == line_index(WILD)


keys = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=5)
scalars = st.integers(-9, 9) | st.booleans() | st.text(alphabet="ab \"'#[]{},=\n\\", max_size=6)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(keys, values, max_size=4))
def test_every_value_of_any_text_has_a_line_that_begins_it(data: dict[str, Any]) -> None:
    text = "".join(f"{quoted(key)} = {written(value)}\n" for key, value in data.items())
    assert tomllib.loads(text) == data
    lines = line_index(text)
    assert set(lines) == set(paths(data))
    for path, line in lines.items():
        if isinstance(path[-1], str):
            assert quoted(path[-1]) in text.split("\n")[line - 1]


def fault(path: Path) -> tuple[int, str, str]:
    with pytest.raises(SchemaError) as caught:
        read_toml(path, SchemaError)
    assert caught.value.code == "RF-C001"
    (only,) = faults_of(caught.value)
    return only.line, only.code, str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    line, code, sentence = fault(tmp_path / "absent.toml")
    assert (line, code) == (0, "RF-C002")
    assert "absent.toml: There is no such file" in sentence
    assert str(tmp_path) not in sentence


def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    assert fault(tmp_path)[:2] == (0, "RF-C003")


def test_a_huge_file(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(b"#" * (MAX_BYTES + 1))
    assert fault(file)[1] == "RF-C005"


@pytest.mark.parametrize("raw", [b"", b"\n \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_an_empty_file(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(raw)
    assert fault(file)[1] == "RF-C004"


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(b"\xef\xbb\xbfa = 1.50\n")
    read = read_toml(file, ContractError)
    assert str(read.data["a"]) == "1.50"
    assert read.lines == {("a",): 1}


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("a = 1\nb = \n", 2, "RF-C007"),
        ("a = 1\n\nb = ???\n", 3, "RF-C008"),
        ("a = 1\nb = [1,\n2", 3, "RF-C007"),
        ("a = 1 # ???\nb = x\n", 2, "RF-C007"),
        ("a = " + "[" * 50_000, 1, "RF-C007"),
        ("a = 2020-13-45\n", 1, "RF-C007"),
    ],
)
def test_not_toml(tmp_path: Path, text: str, line: int, code: str) -> None:
    file = tmp_path / "a.toml"
    file.write_text(text)
    assert fault(file)[:2] == (line, code)


def test_bytes_that_are_not_utf8_have_a_line(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes("a = 1\nb = '年龄'\n".encode("gb18030"))
    assert fault(file)[:2] == (2, "RF-C006")


def test_a_problem_stands_where_its_nearest_parent_stands(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('a = 1\n[[row]]\nname = "x"\n[[row]]\n')
    read = read_toml(file, ContractError)
    assert read.line(("row", 1, "name", "deeper")) == 4
    assert read.line(("nothing",)) == 1
    named = read.fault(Problem(code="RF-C012", template="Missing.", path=("row", 0, "size")))
    assert str(named) == "a.toml:2: row[x].size: Missing. (RF-C012)"
    assert re.fullmatch(
        r"a\.toml:4: row\[2\]: Missing\. \(RF-C012\)",
        str(read.fault(Problem(code="RF-C012", template="Missing.", path=("row", 1)))),
    )


def test_a_file_without_problems_is_refused_for_its_open_places_only(tmp_path: Path) -> None:
    TomlFile(path=tmp_path, data={"a": "set"}, lines={}).settle([], ContractError)
    with pytest.raises(ContractError) as caught:
        TomlFile(path=tmp_path, data={"a": "???"}, lines={}).settle([], ContractError)
    assert [fault.code for fault in faults_of(caught.value)] == ["RF-C011"]


def test_faults_stand_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = TomlFile(path=tmp_path / "a.toml", data={"a": 1, "b": "???"}, lines={("a",): 9, ("b",): 4})
    problem = Problem(code="RF-C012", template="Missing.", path=("a",))
    with pytest.raises(ContractError) as caught:
        file.settle([problem, problem, Problem(code="RF-C015", template="x", path=("b",))], ContractError)
    assert [(f.line, f.code) for f in faults_of(caught.value)] == [(4, "RF-C011"), (9, "RF-C012")]
