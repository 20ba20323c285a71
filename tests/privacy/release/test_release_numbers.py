"""Numbers of every type and width are read: columns, moments, tensors, exponents; amounts if declared."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kits.artefact_kit import artefact, found, npz, parquet, parquet_of
from safetensors.numpy import save

from ringfence.privacy.identifiers.masking import Token, mask_frame
from ringfence.privacy.release import Artefact, Cleared, ColumnRule, ExportPolicy, examine

MOBILE, CARD, LANDLINE = 13812345678, 6228480402564890018, 62345678
V = ColumnRule(name="v", sensitivity="plain")
PHONE = ColumnRule(name="home_phone", sensitivity="plain")


def column(values: Any, name: str = "v") -> Artefact:
    rules = (ColumnRule(name=name, sensitivity="plain"),)
    return artefact("parquet", parquet(pd.DataFrame({name: values})), columns=rules)


@pytest.mark.parametrize(
    "values",
    [
        np.array([MOBILE, 5], np.int64),
        np.array([MOBILE, 5], np.uint64),
        np.array([MOBILE, 0.5], np.float64),
        pd.array([MOBILE, None], dtype="Int64"),
        pd.array([float(MOBILE), None], dtype="Float64"),
        pd.array([str(MOBILE), "x"], dtype="string"),
        pd.Categorical([str(MOBILE), "x"]),
    ],
    ids=lambda v: str(v.dtype),
)
def test_a_mobile_in_a_column_of_any_type_is_refused(values: Any) -> None:
    assert found(column(values)) == {"RF-X040"}


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.float32, np.float64])
def test_a_landline_under_a_name_that_says_so_is_refused_at_any_width(dtype: Any) -> None:
    values = np.array([LANDLINE, 7], dtype)
    assert found(column(values, "home_phone")) == {"RF-X040"}
    assert found(column(values, "points")) == set()
    assert found(artefact("npz", npz(home_phone=values))) == {"RF-X040"}
    assert found(artefact("npz", npz(points=values))) == set()
    assert found(artefact("safetensors", save({"home_phone": values}))) == {"RF-X040"}


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.float32, np.float64])
def test_a_mobile_in_a_tensor_is_refused(dtype: Any) -> None:
    values = np.array([[1, 2], [MOBILE, 3]], dtype)
    assert found(artefact("safetensors", save({"w": values}))) == {"RF-X040"}
    assert found(artefact("npz", npz(w=values))) == {"RF-X040"}


def test_letters_in_the_entries_of_a_tensor_are_read() -> None:
    letters = np.array([ord(c) for c in "wang.fang@example.cn"])
    for dtype in (np.uint8, np.int16, np.int32, np.int64):
        assert found(artefact("safetensors", save({"w": letters.astype(dtype)}))) == {"RF-X040"}
        assert found(artefact("npz", npz(w=letters.astype(dtype)))) == {"RF-X040"}


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_moments_and_spans_hide_no_number(unit: str) -> None:
    import pyarrow as pa

    for kind in (pa.timestamp(unit), pa.timestamp(unit, "Asia/Shanghai"), pa.duration(unit)):
        for number, expected in ((MOBILE, {"RF-X040"}), (12345, set())):
            table = pa.table({"v": pa.array([number, None], pa.int64()).cast(kind)})
            assert found(artefact("parquet", parquet_of(table), columns=(V,))) == expected, kind
            coded = pa.table({"v": table["v"].dictionary_encode()})
            assert found(artefact("parquet", parquet_of(coded), columns=(V,))) == expected, kind


def test_a_column_brings_no_metadata_of_another_program() -> None:
    import pyarrow as pa

    for more, expected in (
        ({"k": "v"}, {"RF-X020"}),
        ({"contact": str(MOBILE)}, {"RF-X020", "RF-X040"}),
        (None, set()),
    ):
        table = pa.table([pa.array([1, 2])], schema=pa.schema([pa.field("v", pa.int64(), metadata=more)]))
        assert found(artefact("parquet", parquet_of(table), columns=(V,))) == expected


def test_times_of_a_day_and_dates_hide_no_number_and_real_ones_leave() -> None:
    import pyarrow as pa

    time = pa.table({"v": pa.array([MOBILE], pa.int64()).cast(pa.time64("ns"))})
    assert found(artefact("parquet", parquet_of(time), columns=(V,))) == {"RF-X040"}
    date = pa.table({"home_phone": pa.array([LANDLINE], pa.int32()).cast(pa.date32())})
    assert found(artefact("parquet", parquet_of(date), columns=(PHONE,))) == {"RF-X019"}, "the year 172666"
    days = pd.DataFrame({"v": pd.date_range("2019-01-01", "2026-11-27", periods=500)})
    spans = pd.DataFrame({"v": pd.to_timedelta(np.arange(500), unit="D")})
    for frame in (days, spans):
        assert found(artefact("parquet", parquet(frame), columns=(V,))) == set()


@pytest.mark.parametrize(
    "written",
    [
        "1.3812345678e10",
        "1.3812345678E+10",
        "138123456.78e2",
        "13812345678000e-3",
        "13812345678.0",
        "+13812345678",
    ],
)
def test_numbers_in_text_are_read_however_they_are_written(written: str) -> None:
    assert "RF-X040" in found(artefact("csv", f"v\n{written}\n".encode(), columns=(V,)))
    assert "RF-X040" in found(artefact("text", f"value {written}\n".encode()))
    assert "RF-X040" in found(artefact("json", f'{{"a": "{written}"}}'.encode(), columns=()))


# --- amounts
# ------------------------------------------------------------------------------------------------------


def amounts(kind: Any, content: Any, *, declared: bool) -> Artefact:
    return artefact(
        kind, content, columns=(ColumnRule(name="revenue_cents", sensitivity="plain", amount=declared),)
    )


def test_amounts_are_no_telephone_numbers_once_the_list_of_columns_says_so() -> None:
    frame = pd.DataFrame({"revenue_cents": [13812345678, 15912345670, 420]})
    rows = json.dumps([{"revenue_cents": 13812345678}]).encode()
    for kind, content in (
        ("csv", frame),
        ("parquet", frame),
        ("csv", frame.to_csv(index=False).encode()),
        ("json", rows),
    ):
        answer = examine(amounts(kind, content, declared=False), ExportPolicy())
        assert not isinstance(answer, Cleared)
        assert "declare the column so" in answer.reasons[0].sentence()
        assert found(amounts(kind, content, declared=True)) == set(), kind


@pytest.mark.parametrize("cell", [str(CARD), "call 13812345678", "wang.fang@example.cn", "13812345678x"])
def test_an_amount_is_a_number_and_no_card(cell: str) -> None:
    content = f"revenue_cents\n{cell}\n".encode()
    assert found(amounts("csv", content, declared=True)) == {"RF-X040"}


def test_masking_leaves_amounts_alone() -> None:
    frame = pd.DataFrame({"revenue_cents": [13812345678, 5], "note": ["13812345678", "x"]})
    masked, _ = mask_frame(frame, amounts={"revenue_cents"})
    assert masked["revenue_cents"].tolist() == [13812345678, 5]
    assert masked["note"].tolist() == ["[CN_MOBILE]", "x"]


# --- tokens of whole columns
# --------------------------------------------------------------------------------------


def tokens(values: Any) -> list[str]:
    masked, _ = mask_frame(pd.DataFrame({"id": values}), {"id": Token(key=bytes(16))})
    return list(masked["id"])


def test_different_ids_have_different_tokens() -> None:
    ids = ["12-345", "123-45", "12345", "12 345", "A1", "a1", "123", "123.0"]
    assert len(set(tokens(ids))) == len(ids)


def test_one_number_has_one_token_in_every_number_column() -> None:
    whole = tokens([7, 123])
    assert tokens([7.0, 123.0]) == whole
    assert tokens(pd.array([7, 123], dtype="Int64")) == whole
    assert tokens([7.0, 123.0, None])[:2] == whole
    assert tokens(["7", "123"]) == whole
    assert len(set(tokens([7, 7.5]))) == 2
