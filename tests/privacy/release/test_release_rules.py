"""Columns, small cells, formulas, finite numbers; and a museum of malformed or active content."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save

from ringfence.privacy.errors import ExportError
from ringfence.privacy.release import (
    Artefact,
    Cleared,
    ColumnRule,
    ExportPolicy,
    ReleaseRefused,
    SmallCells,
    examine,
    suppress_small_cells,
)

Q = ColumnRule(name="band", sensitivity="quasi")
P = ColumnRule(name="group", sensitivity="plain")
N = ColumnRule(name="n", sensitivity="plain", count=True)


def made(kind: Any, content: Any, columns: tuple[ColumnRule, ...] = (P, Q, N), **more: Any) -> Artefact:
    suffix = {"text": "txt", "markdown": "md"}.get(kind, kind)
    return Artefact(name=f"a.{suffix}", kind=kind, content=content, columns=columns, **more)


def codes(artefact: Artefact, policy: ExportPolicy | None = None) -> list[str]:
    answer = examine(artefact, policy or ExportPolicy())
    return [reason.code for reason in answer.reasons] if isinstance(answer, ReleaseRefused) else []


def counts(key: str, *values: Any) -> Artefact:
    names = ["a", "b", "c", "d", "e"][: len(values)]
    return made("csv", pd.DataFrame({key: names, "n": pd.array(list(values), dtype="Int64")}))


# --- columns
# ------------------------------------------------------------------------------------------------------


def test_columns_are_those_of_the_list() -> None:
    table = pd.DataFrame({"group": ["a"], "n": [40]})
    assert codes(made("csv", table)) == []
    assert codes(made("csv", table, columns=())) == ["RF-X036"]
    assert codes(made("csv", table, columns=(P,))) == ["RF-X030"]
    assert codes(made("csv", table, columns=(P, P, N))) == ["RF-X037"]
    assert codes(made("csv", table, columns=(ColumnRule(name="group", sensitivity="identifier"), N))) == [
        "RF-X031"
    ]
    assert codes(made("parquet", table, columns=(P,))) == ["RF-X030"]


@pytest.mark.parametrize("sensitivity", ["quasi", "sensitive"])
def test_rows_that_may_be_people_do_not_leave(sensitivity: Any) -> None:
    rule = ColumnRule(name="group", sensitivity=sensitivity)
    assert codes(made("csv", pd.DataFrame({"group": ["a"]}), columns=(rule,))) == ["RF-X034"]


def test_json_follows_the_same_list() -> None:
    rows = [{"group": "a", "n": 40}, {"group": "b", "n": 12}]
    assert codes(made("json", json.dumps(rows).encode())) == ["RF-X032"]
    assert codes(made("json", json.dumps(rows).encode(), columns=())) == ["RF-X036"]
    assert codes(made("json", json.dumps(rows[:1]).encode())) == []
    assert codes(made("json", json.dumps({"x": 1}).encode())) == ["RF-X030"]
    assert codes(made("json", json.dumps({"x": 1}).encode(), columns=())) == []


# --- small cells
# --------------------------------------------------------------------------------------------------


def test_small_cells_are_refused_at_the_threshold() -> None:
    assert codes(counts("group", 20, 400)) == []
    assert codes(counts("group", 19, 400)) == ["RF-X032"]
    assert codes(counts("group", 0, 400)) == ["RF-X032"]
    assert codes(counts("group", -3, 400)) == ["RF-X032"]
    assert codes(counts("band", 50, 400)) == []
    assert codes(counts("band", 49, 400)) == ["RF-X032"]
    assert codes(counts("group", 19, 400), ExportPolicy(small_cells=SmallCells(threshold=10))) == []


def test_a_threshold_below_ten_cannot_be_set() -> None:
    with pytest.raises(ExportError, match="RF-X061"):
        SmallCells(threshold=9)
    with pytest.raises(ExportError, match="RF-X061"):
        SmallCells(with_quasi=9)


def test_one_suppressed_cell_needs_a_second() -> None:
    assert codes(counts("group", None, 400, 300)) == ["RF-X033"]
    assert codes(counts("group", None, 400)) == ["RF-X033"]
    answer = examine(counts("group", None, None, 300), ExportPolicy())
    assert isinstance(answer, Cleared)
    assert "was not checked" in answer.notes[0]


@pytest.mark.parametrize("bad", ["12.5", "many", "1e400", "nan ", "True"])
def test_counts_are_whole_numbers(bad: str) -> None:
    assert "RF-X035" in codes(made("csv", f"group,n\na,{bad}\n".encode()))


def test_suppression_takes_a_second_cell() -> None:
    frame = pd.DataFrame({"group": ["a", "b", "c"], "n": [7, 30, 400]})
    out = suppress_small_cells(frame, (P, N), SmallCells())
    assert out["n"].isna().tolist() == [True, True, False]
    assert codes(made("csv", out)) == []
    untouched = suppress_small_cells(frame.assign(n=[70, 30, 400]), (P, N), SmallCells())
    assert untouched["n"].tolist() == [70, 30, 400]


# --- formulas and numbers
# -----------------------------------------------------------------------------------------

FORMULAS = ["=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", " =1", "＝1+1", '"=1']
HARMLESS = ["-12.5", "+3", "-1e-06", "-1,234.5", "-5%", "a=1", "'=1+1", "3-4", "—"]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_refused_or_neutralised(text: str) -> None:
    table = pd.DataFrame({"group": [text], "n": [40]})
    assert codes(made("csv", table)) == ["RF-X042"]
    assert codes(made("csv", table.to_csv(index=False).encode()), ExportPolicy(formulas="neutralise")) == [
        "RF-X042"
    ]
    answer = examine(made("csv", table), ExportPolicy(formulas="neutralise"))
    assert isinstance(answer, Cleared)
    assert pd.read_csv(io.BytesIO(answer.content), quotechar='"')["group"][0] == f"'{text}"


@pytest.mark.parametrize("text", HARMLESS)
def test_signed_numbers_are_not_formulas(text: str) -> None:
    assert codes(made("csv", pd.DataFrame({"group": [text], "n": [40]}))) == []


def test_a_formula_in_a_header_is_refused() -> None:
    rule = ColumnRule(name="=A1", sensitivity="plain")
    assert codes(
        made("csv", pd.DataFrame({"=A1": [1]}), columns=(rule,)), ExportPolicy(formulas="neutralise")
    ) == ["RF-X042"]


def test_numbers_are_finite_everywhere() -> None:
    bad = np.array([1.0, np.inf])
    assert codes(made("csv", pd.DataFrame({"group": bad}))) == ["RF-X043"]
    assert "RF-X043" in codes(made("csv", b"group\n-Infinity\n"))
    assert codes(made("parquet", pd.DataFrame({"group": bad}))) == ["RF-X043"]
    for text in (b"[NaN]", b"[Infinity]", b"[1e999]"):
        assert codes(made("json", text)) == ["RF-X043"]
    for text in (b"a = nan", b"a = inf", b"a = 1e999"):
        assert codes(made("toml", text)) == ["RF-X043"]
    assert codes(made("safetensors", save({"w": bad}))) == ["RF-X043"]
    assert codes(made("npz", npz(w=np.array([np.nan])))) == ["RF-X043"]
    assert codes(made("npz", npz(w=np.array([np.nan], np.float16)))) == ["RF-X043"]


# --- the museum
# ---------------------------------------------------------------------------------------------------


def npz(**arrays: Any) -> bytes:
    sink = io.BytesIO()
    np.savez(sink, **arrays)
    return sink.getvalue()


def zipped(**members: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return sink.getvalue()


def tarred() -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
    return sink.getvalue()


NEVER = {
    "pickle": pickle.dumps({"a": 1}),
    "pickle protocol 2": pickle.dumps([1], protocol=2),
    "torch": zipped(model__data_pkl=pickle.dumps(1)),
    "zip": zipped(a=b"x"),
    "empty zip": zipped(),
    "gzip": gzip.compress(b"x"),
    "bzip2": bz2.compress(b"x"),
    "tar": tarred(),
    "joblib": b"\x80\x04\x95" + b"joblib",
    "pdf": b"%PDF-1.7\n",
    "sqlite": b"SQLite format 3\x00",
    "png": b"\x89PNG\r\n\x1a\n",
    "old office": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "program": b"\x7fELF\x02",
    "npy": b"\x93NUMPY\x01\x00",
    "latin-1": "Müller".encode("latin-1"),
    "control characters": b"a\x00b",
    "escape sequences": b"a\x1b[31mred",
    "nothing like xml": b'<?xml version="1.0"?><workbook/>',
}


@pytest.mark.parametrize("name", NEVER)
@pytest.mark.parametrize("kind", ["csv", "json", "text", "npz", "safetensors", "parquet", "html"])
def test_other_formats_never_leave_under_any_kind(name: str, kind: str) -> None:
    assert codes(made(kind, NEVER[name]))[0] in ("RF-X004", "RF-X003")


MALFORMED: list[tuple[str, bytes, str]] = [
    ("csv", b"", "RF-X011"),
    ("csv", b"group,n\na\n", "RF-X011"),
    ("csv", b"group,group\na,b\n", "RF-X011"),
    ("csv", b"group,\na,b\n", "RF-X011"),
    ("csv", b'group\n"a" b\n', "RF-X011"),
    ("csv", b"<html></html>", "RF-X003"),
    ("json", b"{", "RF-X012"),
    ("json", b"[" * 100_000, "RF-X012"),
    ("json", b"[" * 80 + b"]" * 80, "RF-X023"),
    ("json", b'{"a": 1, "a": 2}', "RF-X022"),
    ("json", b"{'a': 1}", "RF-X012"),
    ("toml", b"a = ", "RF-X013"),
    ("markdown", b"a <script>alert(1)</script>", "RF-X024"),
    ("markdown", b"[x](javascript:alert(1))", "RF-X024"),
    ("markdown", b"![x](https://tracker.example/p.png)", "RF-X024"),
    ("safetensors", struct.pack("<Q", 2) + b"{}" + b"hidden", "RF-X017"),
    ("safetensors", struct.pack("<Q", 9999) + b"{}", "RF-X017"),
    ("safetensors", struct.pack("<Q", 3) + b"{a}", "RF-X017"),
    ("npz", npz(a=np.ones(1)) + b"tail", "clean"),
    ("npz", zipped(**{"a.npy": b"\x93NUMPY\x01\x00"}), "RF-X018"),
    ("npz", zipped(**{"a.npy": b"x", "b.txt": b"x"}), "RF-X018"),
    ("parquet", b"PAR1garbagePAR1", "RF-X019"),
    ("svg", b'<svg xmlns="http://www.w3.org/2000/svg"><g></svg>', "RF-X016"),
]


@pytest.mark.parametrize(("kind", "content", "code"), MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_content_is_refused(kind: str, content: bytes, code: str) -> None:
    artefact = made(kind, content)
    if code == "clean":  # written anew, so that the tail is gone
        answer = examine(artefact, ExportPolicy())
        assert isinstance(answer, Cleared)
        assert b"tail" not in answer.content
    else:
        assert codes(artefact)[0] == code


def test_npz_with_objects_is_refused_and_never_unpickled() -> None:
    sink = io.BytesIO()
    np.savez(sink, a=np.array([Trap()], dtype=object), allow_pickle=True)
    assert codes(made("npz", sink.getvalue())) == ["RF-X018"]


class Trap:
    def __setstate__(self, state: object) -> None:
        raise SystemExit("unpickled")

    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}


def safetensors(header: dict[str, Any], buffer: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + buffer


@pytest.mark.parametrize(
    "header",
    [
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
        {"w": {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [True, 2], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], "more": 1}},
        {"w": {"dtype": "F32", "shape": [2]}},
        {"w": 3},
        {"__metadata__": {"a": 1}, "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}},
        {
            "v": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        },
    ],
    ids=range(10),
)
def test_safetensors_headers_that_lie_are_refused(header: dict[str, Any]) -> None:
    assert codes(made("safetensors", safetensors(header, bytes(8)))) == ["RF-X017"]


def test_bfloat_and_empty_tensors_are_read() -> None:
    good = {"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}
    assert codes(made("safetensors", safetensors(good, b"\x80\x3f\x80\x3f"))) == []
    assert codes(made("safetensors", safetensors(good, b"\x80\x7f\x80\x3f"))) == ["RF-X043"]
    assert codes(made("safetensors", save({"w": np.ones((0, 3), np.float32)}))) == []


def test_parquet_of_odd_types_or_foreign_metadata_is_refused() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def written(table: Any) -> bytes:
        sink = io.BytesIO()
        pq.write_table(table, sink)
        return sink.getvalue()

    assert codes(made("parquet", written(pa.table({"group": [[1, 2]]})))) == ["RF-X062"]
    assert codes(made("parquet", written(pa.table({"group": [b"x"]})))) == ["RF-X062"]
    assert codes(
        made("parquet", written(pa.table({"group": ["x"]}).replace_schema_metadata({"k": "v"})))
    ) == ["RF-X020"]
    answer = examine(made("parquet", written(pa.table({"group": ["x"]}))), ExportPolicy())
    assert isinstance(answer, Cleared)
    assert pq.read_table(io.BytesIO(answer.content)).to_pydict() == {"group": ["x"]}
    assert pq.read_schema(io.BytesIO(answer.content)).metadata is None


def page(inside: str, head: str = "") -> bytes:
    return f"<!DOCTYPE html><html><head>{head}</head><body>{inside}</body></html>".encode()


def picture(inside: str) -> bytes:
    return f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{inside}</svg>'.encode()


ACTIVE: list[tuple[str, bytes]] = [
    ("html", page("<script>1</script>")),
    ("html", page("<ScRiPt src=x></script>")),
    ("html", page("<p onclick='x()'>a</p>")),
    ("html", page("<iframe></iframe>")),
    ("html", page("<form></form>")),
    ("html", page("<video></video>")),
    ("html", page("<a href='javascript:x'>a</a>")),
    ("html", page("<a href='https://example.org'>a</a>")),
    ("html", page("<img src='https://example.org/a.png'>")),
    ("html", page("<img src='data:image/svg+xml;base64,AAAA'>")),
    ("html", page("<img src='data:image/png;base64,AAAA'>")),
    ("html", page("<img srcset='a.png 2x'>")),
    ("html", page("<p style='background:url(//x)'>a</p>")),
    ("html", page("", "<style>@import 'x'</style>")),
    ("html", page("", "<style>a{background:u\\72l(x)}</style>")),
    ("html", page("", "<link rel=stylesheet href=x>")),
    ("html", page("", "<base href=x>")),
    ("html", page("", "<meta http-equiv=refresh content='0;url=x'>")),
    ("html", page("", "<meta name=referrer content=x>")),
    ("html", page("<!--[if IE]>x<![endif]-->")),
    ("html", page("<x-element></x-element>")),
    ("html", b"<!DOCTYPE html SYSTEM 'http://x'><html></html>"),
    ("html", page("<?php x ?>")),
    ("svg", picture("<script>1</script>")),
    ("svg", picture("<foreignObject/>")),
    ("svg", picture("<image href='x.png'/>")),
    ("svg", picture("<use xlink:href='other.svg#a'/>")),
    ("svg", picture("<a href='https://example.org'><text>x</text></a>")),
    ("svg", picture("<g onload='x()'/>")),
    ("svg", picture("<rect fill='url(https://x)'/>")),
    ("svg", picture("<animate/>")),
    ("svg", picture("<metadata>x</metadata>")),
    (
        "svg",
        b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "b">]><svg xmlns="http://www.w3.org/2000/svg"/>',
    ),
    ("svg", b'<?xml version="1.0"?><?xml-stylesheet href="x"?><svg xmlns="http://www.w3.org/2000/svg"/>'),
    ("svg", b'<svg xmlns="http://www.w3.org/2000/svg" xmlns:x="http://evil.example/"/>'),
]


@pytest.mark.parametrize(("kind", "content"), ACTIVE, ids=range(len(ACTIVE)))
def test_active_or_outward_markup_is_refused(kind: str, content: bytes) -> None:
    assert codes(made(kind, content))[0] in ("RF-X014", "RF-X015", "RF-X021")


def test_a_drawn_chart_leaves() -> None:
    alt = pytest.importorskip("altair")
    pytest.importorskip("vl_convert")
    frame = pd.DataFrame({"x": np.linspace(0, 1, 50), "y": np.linspace(0, 1, 50) ** 2})
    sink = io.StringIO()
    alt.Chart(frame, title="ROC 曲线").mark_line().encode(x="x", y="y").save(sink, format="svg")
    assert codes(made("svg", sink.getvalue().encode())) == []
    assert codes(made("html", page(sink.getvalue()))) == []
