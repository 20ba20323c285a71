"""A cut table keeps its cells, and a fault in a part names the line of the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from kits.parties import contract_of
from pyarrow import parquet

from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.errors import TableError
from ringfence.privacy.tables import tabular
from ringfence.privacy.tables.tabular import Layout
from ringfence.simulations.tables import read_whole, write_part

HEADER = "key,age,note\n"


def contract(**source: Any) -> Contract:
    return contract_of("own", "sha256:" + "ab" * 32, source={"file": "t.csv"} | source)


def cut(folder: Path, text: str | bytes, **source: Any) -> list[tuple[Path, list[int], Layout]]:
    """Two parts of a file, even and odd rows, with the rows of each."""
    path = folder / "whole.csv"
    own = contract(**source)
    path.write_bytes(text if isinstance(text, bytes) else text.encode(own.source.encoding))
    whole = read_whole(path, own)
    assert whole.layout is not None
    parts = []
    for number in range(2):
        rows = list(range(number, len(whole.frame), 2))
        write_part(whole, whole.frame.iloc[rows], folder / f"{number}.csv")
        parts.append((folder / f"{number}.csv", rows, whole.layout))
    return parts


FORMS: dict[str, tuple[str, dict[str, Any], list[int]]] = {
    "plain": (HEADER + "a,1,x\nb,2,y\nc,3,z\nd,4,\n", {}, [2, 3, 4, 5]),
    "blank lines": ("\n" + HEADER + "\na,1,x\n\n\nb,2,y\nc,3,z\n", {}, [4, 7, 8]),
    "cells of two lines": (HEADER + 'a,1,"x\ny"\nb,2,"\n\n"\nc,3,z\nd,4,z\n', {}, [2, 4, 7, 8]),
    "a header of two lines": ('key,"a\nge",note\na,1,x\nb,2,y\nc,3,z\n', {}, [3, 4, 5]),
    "quoted quotation marks": (HEADER + 'a,1,"x ""y"", z"\nb,2,x\nc,3,x\n', {}, [2, 3, 4]),
    "a byte order mark": ("\ufeff" + HEADER + "a,1,x\nb,2,y\n", {}, [2, 3]),
    "carriage returns": (HEADER.replace("\n", "\r\n") + "a,1,x\r\nb,2,y\r\nc,3,z\r\n", {}, [2, 3, 4]),
    "semicolons and Chinese": (
        "key;age;note\n甲;1,5;一\n乙;2;二\n",
        {"delimiter": ";", "encoding": "gb18030"},
        [2, 3],
    ),
    "no header": ("a,1,x\nb,2,y\n\nc,3,z\n", {"header": ["key", "age", "note"]}, [1, 2, 4]),
    "blanks between cells": (" key age  note\n a  1 x\n b 2   y\n", {"delimiter": "whitespace"}, [2, 3]),
    "one column": ("key\na\nb\nc\n", {}, [2, 3, 4]),
}


@pytest.mark.parametrize("form", FORMS)
def test_parts_hold_the_rows_at_the_lines_of_the_whole(tmp_path: Path, form: str) -> None:
    text, source, lines = FORMS[form]
    parts = cut(tmp_path, text, **source)
    whole = tmp_path / "whole.csv"
    names = tabular.column_names(whole, parts[0][2])
    expected = tabular.read_columns(whole, names, parts[0][2]).to_pylist()
    assert len(expected) == len(lines)
    for file, rows, layout in parts:
        if not rows:
            continue
        assert tabular.column_names(file, layout) == names
        assert tabular.read_columns(file, names, layout).to_pylist() == [expected[row] for row in rows]
        assert tabular.line_numbers(file, layout, range(len(rows))) == [lines[row] for row in rows]


def test_a_part_of_a_parquet_file_is_known_by_the_rows_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "whole.parquet"
    parquet.write_table(
        pa.table({"key": ["a", "b", "c", "d"], "age": pa.array([1, 2, None, 4], pa.int16())}), path
    )
    whole = read_whole(path, contract())
    write_part(whole, whole.frame.iloc[[3, 1]], tmp_path / "part.parquet")
    assert parquet.read_table(tmp_path / "part.parquet").to_pydict() == {"key": ["d", "b"], "age": [4, 2]}
    assert tabular.line_numbers(tmp_path / "part.parquet", Layout(), [0, 1]) == [4, 2]
    assert tabular.line_numbers(path, Layout(), [0, 3]) == [1, 4]


def test_metadata_of_another_length_is_not_believed(tmp_path: Path) -> None:
    table = pa.table({"key": ["a", "b"]}).replace_schema_metadata({tabular.ROWS: b"1234"})
    parquet.write_table(table, tmp_path / "t.parquet")
    assert tabular.line_numbers(tmp_path / "t.parquet", Layout(), [0, 1]) == [1, 2]


def test_a_name_that_stands_twice_is_left_out_unless_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("key,age,x,x\na,1,2,3\n")
    assert list(read_whole(tmp_path / "t.csv", contract()).frame.columns) == ["key", "age"]
    (tmp_path / "t.csv").write_text("key,age,age\na,1,2\n")
    with pytest.raises(TableError, match="RF-T011"):
        read_whole(tmp_path / "t.csv", contract())


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ("", "RF-T003", "is empty"),
        (HEADER, "RF-T004", "no rows"),
        (HEADER + "a,1,x\nb,2,y,z\n", "RF-T014", "line 3"),
        (HEADER + "a,1,x\nb,2\n", "RF-T014", "line 3"),
        (HEADER + 'a,1,x\nb,2,"y\n' + "c,3,z\n" * 50, "RF-T036", "from line 3 on"),
        ("key;age\na;1\n", "RF-T093", "delimiter"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_its_line(
    tmp_path: Path, content: str, code: str, words: str
) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(TableError, match=rf"{code}.*{words}"):
        read_whole(tmp_path / "t.csv", contract())


def test_files_that_are_none_have_their_own_sentences(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"RF-T090.*RINGFENCE_DATA"):
        read_whole(tmp_path / "absent.csv", contract())
    with pytest.raises(TableError, match=r"RF-T002.*folder"):
        read_whole(tmp_path, contract())
    (tmp_path / "t.parquet").write_text("no such thing")
    with pytest.raises(TableError, match="RF-T005") as caught:
        read_whole(tmp_path / "t.parquet", contract())
    assert "delimiter" not in str(caught.value)


def test_the_frame_holds_every_cell_as_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("key,age,note\n01,1.50,NA\n02,,None\n")
    frame = read_whole(tmp_path / "t.csv", contract()).frame
    assert frame.to_dict("list") == {"key": ["01", "02"], "age": ["1.50", ""], "note": ["NA", "None"]}
    assert isinstance(frame, pd.DataFrame)


def test_a_lone_quotation_mark_inside_a_cell_is_only_a_character(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('key,age,note\na,1,5" pipe\nb,2,y\n')
    assert read_whole(tmp_path / "t.csv", contract()).frame["note"].tolist() == ['5" pipe', "y"]
