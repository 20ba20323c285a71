"""Large tables are read block by block: the cells are those of a table that is read whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from ringfence.privacy.errors import TableError
from ringfence.privacy.tables import delimited
from ringfence.privacy.tables.celltext import plain_column
from ringfence.privacy.tables.layouts import Layout
from ringfence.privacy.tables.tabular import read_columns

LAYOUT = Layout(delimiter=",", encoding="utf-8")
ROWS = 20_000


def cells(path: Path, wanted: list[str], layout: Layout, *, compact: bool) -> dict[str, list[str]]:
    table = read_columns(path, wanted, layout, compact=compact)
    return {name: plain_column(table[name]).to_pylist() for name in wanted}


PLANS = ("basic", "gold", "", '"a\nb"')


def lines() -> list[str]:
    """Keys that differ and plans that recur, some of them of several lines."""
    return [f"k{row},{PLANS[row % 4]},x{row % 7}" for row in range(ROWS)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_blocks_give_the_cells_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr(delimited, "BLOCK", 1 << 12)
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["id,plan,other", *lines(), ""]), encoding=encoding)
    layout = Layout(delimiter=",", encoding=encoding)
    whole = cells(path, ["plan", "id"], layout, compact=False)
    assert cells(path, ["plan", "id"], layout, compact=True) == whole
    assert len(whole["id"]) == ROWS
    assert set(whole["plan"]) == {"basic", "gold", "", "a\nb"}


def test_texts_that_recur_are_held_once_a_block(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["id,plan,other", *lines(), ""]), encoding="utf-8")
    table = read_columns(path, ["id", "plan"], LAYOUT, compact=True)
    assert table["id"].type == pa.string()
    assert pa.types.is_dictionary(table["plan"].type)


def test_a_column_that_recurs_in_some_blocks_alone_is_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "BLOCK", 1 << 10)
    path = tmp_path / "t.csv"
    body = [*("a" for _ in range(2000)), *(f"v{row}" for row in range(2000))]
    path.write_text("\n".join(["v", *body, ""]), encoding="utf-8")
    assert cells(path, ["v"], LAYOUT, compact=True)["v"] == body


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([b"a,1", b"b"], "RF-T014"),
        ([b"a,1", b"b,\xff"], "RF-T0"),
        ([], "RF-T004"),
        ([b"a,1", b'b,"x'], "RF-T036"),
    ],
)
def test_a_fault_is_told_as_of_a_table_that_is_read_whole(
    tmp_path: Path, rows: list[bytes], code: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\n".join([b"id,age", *rows, b""]))
    told = []
    for compact in (False, True):
        with pytest.raises(TableError) as caught:
            read_columns(path, ["id", "age"], LAYOUT, compact=compact)
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert code in told[0]


def test_columns_of_parquet_keep_their_types(tmp_path: Path) -> None:
    table: Any = pa.table(
        {
            "id": [f"k{row}" for row in range(9)],
            "n": pa.array(range(9), pa.int16()),
            "inner": [[row] for row in range(9)],
            "view": pa.array(["a"] * 9, pa.string_view()),
        }
    )
    parquet.write_table(table, tmp_path / "t.parquet")
    names = ["n", "id", "inner", "view"]
    compact = read_columns(tmp_path / "t.parquet", names, LAYOUT, compact=True)
    whole = read_columns(tmp_path / "t.parquet", names, LAYOUT)
    for name in names:
        assert plain_column(compact[name]).equals(plain_column(whole[name])), name
