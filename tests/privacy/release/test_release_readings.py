"""Ways to read a string, hosts that may be named, reasons that are given; strict readers, type by type."""

from __future__ import annotations

import base64
import io
import json
import struct
import zipfile
from typing import Any

import numpy as np
import pytest
from kits.artefact_kit import artefact, found, npz, parquet_of
from safetensors.numpy import save

from ringfence.privacy.errors import Clause, ExportError
from ringfence.privacy.release import Cleared, ColumnRule, ExportPolicy, ReleaseRefused, examine
from ringfence.privacy.release.parsed import Text
from ringfence.privacy.release.personal import check_personal, readings
from ringfence.privacy.release.tables import parse_csv, parse_parquet
from ringfence.privacy.release.tensors import parse_npz, parse_safetensors

MOBILE, MAIL = 13812345678, "wang.fang@example.cn"
POLICY = ExportPolicy()
V = ColumnRule(name="v", sensitivity="plain")


def told(
    text: str, context: str = "", *, column: bool = False, rules: tuple[ColumnRule, ...] = ()
) -> list[str]:
    checked = check_personal([Text(where="here", text=text, context=context, column=column)], POLICY, rules)
    assert all(dict(reason.values)["where"] == "here" for reason in checked)
    return [str(dict(reason.values)["kind"]) for reason in checked]


def test_a_string_is_read_in_every_way_once() -> None:
    assert list(readings("plain")) == ["plain"]
    assert list(readings("a & b % c \\ d <e")) == ["a & b % c \\ d <e"]
    assert list(readings("&#65;")) == ["&#65;", "A"]
    assert list(readings("%41")) == ["%41", "A"]
    assert list(readings("\\u0041\\x42")) == ["\\u0041\\x42", "AB"]
    assert list(readings("a \n b")) == ["a \n b", "ab"]
    assert list(readings("1<b>2</b>")) == ["1<b>2</b>", "12"]
    hidden = base64.b64encode(b"nine byte").decode()
    assert list(readings(hidden)) == [hidden, "nine byte"]
    assert list(readings(f"x {hidden} y"))[1:] == ["nine byte"]
    assert list(readings(base64.b64encode(b"ten bytes!").decode()))[1:] == ["ten bytes!"]
    assert len(list(readings(base64.b64encode(b"eight by").decode()))) == 1
    wide = base64.urlsafe_b64encode("～～～?>?>".encode()).decode()
    assert "-" in wide or "_" in wide
    assert list(readings(wide))[-1] == "～～～?>?>"
    assert list(readings(base64.b64encode(bytes(range(12))).decode())) == [
        base64.b64encode(bytes(range(12))).decode()
    ]


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://w3id.org/dpv#Consent", True),
        ("http://www.w3.org/2000/svg", True),
        ("https://w3id.org.example.com/dpv", False),
        ("https://example.com/w3id.org", False),
        ("https://someone@w3id.org/dpv", False),
        ("https://w3id.org:8443/dpv", False),
        ("https://w3id.org/AB123456C", False),
        ("https://w3id.org/dpv?q=AB123456C", False),
        ("https://w3id.org/dpv#AB123456C", False),
        ("https://w3id.org/dpv?q=wang.fang%40example.cn", False),
    ],
)
def test_a_url_names_an_allowed_host_and_nobody_behind_it(url: str, allowed: bool) -> None:
    assert (told(f"see {url}") == []) == allowed


def test_the_reason_says_what_was_found_and_what_to_do() -> None:
    def advice(text: Text, *rules: ColumnRule) -> str:
        (reason,) = check_personal([text], POLICY, rules)
        assert reason.code == "RF-X040"
        values = dict(reason.values)
        assert isinstance(values["advice"], Clause)
        return str(values["advice"])

    mail = Text(where="a", text=MAIL)
    assert advice(mail) == "Take it out, or ask for masking."
    number = Text(where="a", text=str(MOBILE), context="v", column=True)
    assert "declare the column so" in advice(number)
    assert advice(Text(where="a", text=str(MOBILE), context="v")) == "Take it out, or ask for masking."
    assert advice(Text(where="a", text="4111111111111111", column=True)) == "Take it out, or ask for masking."
    amount = ColumnRule(name="v", sensitivity="plain", amount=True)
    assert check_personal([number], POLICY, (amount,)) == []
    assert check_personal([Text(where="a", text=str(MOBILE), context="v")], POLICY, (amount,)) != []
    assert (
        check_personal([Text(where="a", text=str(MOBILE), context="w", column=True)], POLICY, (amount,)) != []
    )


def test_reasons_are_one_a_place_and_kind_up_to_twenty() -> None:
    many = [Text(where=f"p{n // 2}", text=f"{MOBILE} {MAIL}") for n in range(60)]
    assert len(check_personal(many[:20], POLICY)) == 20
    assert len(check_personal(many, POLICY)) == 20
    assert len(check_personal(many[:2], POLICY)) == 2
    foreign = Text(where="metadata", text="", context="foreign")
    assert [reason.code for reason in check_personal([foreign, foreign], POLICY)] == ["RF-X020"]


# --- tables


def test_a_csv_is_text_under_its_headers() -> None:
    parsed = parse_csv('\ufeffa,b\r\n01,"x,\ny"\r\n'.encode())
    assert parsed.frame is not None
    assert parsed.frame.to_dict("list") == {"a": ["01"], "b": ["x,\ny"]}
    assert [grid.names for grid in parsed.grids] == [("a", "b")]
    for content, line in (
        (b"a,b\n1,2\n3\n", 3),
        (b"a,a\n", 1),
        (b"a,\n", 1),
        (b"", 1),
        (b'a\n"x" y\n', 2),
        (b"a\n1\n2,3\n", 3),
    ):
        with pytest.raises(ExportError, match="RF-X011") as caught:
            parse_csv(content)
        assert caught.value.values == {"line": line}, content


def test_parquet_columns_of_plain_types_leave_and_of_others_do_not() -> None:
    import pyarrow as pa

    plain = [pa.int8(), pa.uint64(), pa.float32(), pa.float64(), pa.bool_(), pa.string(), pa.large_string()]
    plain += [
        pa.date32(),
        pa.date64(),
        pa.timestamp("us"),
        pa.time32("s"),
        pa.time64("ns"),
        pa.duration("ms"),
    ]
    plain += [pa.decimal128(9, 2), pa.null(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
    for kind in plain:
        table = pa.table({"v": pa.array([None], kind)})
        assert found(artefact("parquet", parquet_of(table), columns=(V,))) == set(), kind
    others = [pa.binary(), pa.binary(4), pa.list_(pa.int8()), pa.struct([("a", pa.int8())])]
    for kind in others:
        table = pa.table({"v": pa.array([None], kind)})
        assert found(artefact("parquet", parquet_of(table), columns=(V,))) == {"RF-X062"}, kind
    for names, code in ((["v", "v"], "RF-X019"), ([""], "RF-X063")):
        made = parquet_of(pa.table([pa.array([1])] * len(names), names=names))
        assert found(artefact("parquet", made, columns=(V,))) == {code}


def test_a_parquet_file_is_written_anew_with_the_same_values() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"v": pa.array([1.5, None]), "w": pa.array(["a", "b"]).dictionary_encode()})
    parsed = parse_parquet(parquet_of(table.replace_schema_metadata({"pandas": "{}"})))
    anew = pq.read_table(io.BytesIO(parsed.content))
    assert anew.to_pydict() == {"v": [1.5, None], "w": ["a", "b"]}
    assert anew.schema.metadata is None
    assert pq.ParquetFile(io.BytesIO(parsed.content)).metadata.row_group(0).column(0).compression == "ZSTD"
    assert [text.where for text in parsed.texts] == ["metadata"] * 3
    assert parsed.texts[0].text.startswith("parquet-cpp")
    assert [text.text for text in parsed.texts[1:]] == ["pandas", "{}"]


def test_moments_are_read_as_stored_but_for_days_and_the_years_around_now() -> None:
    import pyarrow as pa

    def numbers(kind: Any, *stored: int) -> list[str]:
        table = pa.table({"x": pa.array([1] * len(stored)), "v": pa.array(stored, pa.int64()).cast(kind)})
        texts = [text for text in parse_parquet(parquet_of(table)).texts if text.where != "metadata"]
        assert {(text.where, text.context, text.column) for text in texts} <= {("column 2", "v", True)}
        return [text.text for text in texts]

    second = 10**6
    assert numbers(pa.timestamp("us"), 15 * 10**8 * second + 1, 19 * 10**8 * second - 1) == []
    assert numbers(pa.timestamp("us"), 15 * 10**8 * second - 1) == ["1499999999999999"]
    assert numbers(pa.timestamp("us"), 19 * 10**8 * second + 1) == ["1900000000000001"]
    assert numbers(pa.duration("us"), 86_400 * second * 20_000) == []
    assert numbers(pa.duration("us"), 86_400 * second + 100_000) == ["86400100000", "86400100"]
    assert numbers(pa.duration("s"), MOBILE)[-1:] == [str(MOBILE)]
    assert numbers(pa.duration("us"), 99_999) == []
    assert numbers(pa.duration("us"), 100_001) == ["100001"]


# --- tensors

DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}


def tensors(header: dict[str, Any], buffer: bytes, pad: int = 0) -> bytes:
    text = json.dumps(header).encode() + b" " * pad
    return struct.pack("<Q", len(text)) + text + buffer


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tensor_is_read_in_its_own_type(dtype: str) -> None:
    values = np.array([[1, 0, 1], [1, 1, 0]]).astype(DTYPES[dtype])
    header = {"customers": {"dtype": dtype, "shape": [2, 3], "data_offsets": [0, values.nbytes]}}
    (grid,) = parse_safetensors(tensors(header, values.tobytes())).grids
    assert (grid.names, grid.cells(0)) == (("customers",), values.ravel().tolist())
    for wrong in ([3, 3], [2, 2], [2, 3, 2], [6, 0]):
        header["customers"]["shape"] = wrong
        with pytest.raises(ExportError, match="RF-X017"):
            parse_safetensors(tensors(header, values.tobytes()))


def test_brain_floats_are_finite_and_of_two_bytes() -> None:
    for number, fine in ((0x3F80, True), (0x7F7F, True), (0x7F80, False), (0xFF81, False), (0xFF7F, True)):
        header = {"w": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}
        content = tensors(header, struct.pack("<H", number))
        assert found(artefact("safetensors", content)) == (set() if fine else {"RF-X043"}), number


def test_tensors_lie_side_by_side_in_the_order_of_their_places() -> None:
    header = {
        "b": {"dtype": "I32", "shape": [1], "data_offsets": [4, 8]},
        "a": {"dtype": "I32", "shape": [1], "data_offsets": [0, 4]},
    }
    parsed = parse_safetensors(tensors(header, struct.pack("<ii", 7, 9)))
    assert [(g.names, g.cells(0), g.cells(1)) for g in parsed.grids] == [(("a", "b"), [7], [9])]
    assert [text.text for text in parsed.texts if text.where == "tensor name"] == ["a", "b"]
    header["b"]["data_offsets"] = [3, 7]
    with pytest.raises(ExportError, match="RF-X017"):
        parse_safetensors(tensors(header, bytes(8)))
    header["b"]["data_offsets"] = [5, 9]
    with pytest.raises(ExportError, match="RF-X017"):
        parse_safetensors(tensors(header, bytes(9)))


def test_the_header_of_tensors_has_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_safetensors(tensors({}, b"")).texts == ()
    for size in (0, 1, 3):
        with pytest.raises(ExportError, match="RF-X017"):
            parse_safetensors(struct.pack("<Q", size) + b"{}")
    parse_safetensors(tensors({}, b"", (1 << 20) - 2))
    with pytest.raises(ExportError, match="RF-X017"):
        parse_safetensors(tensors({}, b"", (1 << 20) - 1))
    edge = {"w": {"dtype": "U8", "shape": [0, 2**40 - 1], "data_offsets": [0, 0]}}
    assert len(parse_safetensors(tensors(edge, b"")).texts) == 1
    edge["w"]["shape"] = [0, 2**40]
    with pytest.raises(ExportError, match="RF-X017"):
        parse_safetensors(tensors(edge, b""))


def test_metadata_of_tensors_is_read_field_by_field() -> None:
    parsed = parse_safetensors(
        save({"w": np.ones(1, np.float32)}, {"k": "v", "j": '{"a": ["x"]}', "bad": "{x"})
    )
    metadata = {(text.text, text.context) for text in parsed.texts if text.where == "metadata"}
    assert {("k", ""), ("v", "k"), ("bad", ""), ("{x", "bad"), ("a", ""), ("x", "a")} <= metadata
    (record, *_rest) = parsed.grids
    assert (record.where, sorted(record.names), record.record) == ("metadata", ["bad", "j", "k"], True)
    assert found(artefact("safetensors", save({"w": np.ones(1)}, {"home_phone": "62345678"}))) == {"RF-X040"}


def test_letters_in_numbers_are_words_from_six_on() -> None:
    for word, expected in (("abcde", []), ("abcdef", ["abcdef"])):
        for dtype in (np.uint8, np.int16, np.int64):
            values = np.array([0, *map(ord, word), 200], dtype)
            texts = parse_npz(npz(w=values)).texts
            assert sorted({text.text for text in texts if text.where == "values"}) == expected, dtype


def zipped(*members: tuple[str, bytes], comment: bytes = b"", note: bytes = b"") -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            entry = zipfile.ZipInfo(name)
            entry.comment = note
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
        archive.comment = comment
    return sink.getvalue()


def npy(array: Any, **more: Any) -> bytes:
    sink = io.BytesIO()
    np.lib.format.write_array(sink, array, **more)
    return sink.getvalue()


def test_an_npz_holds_plain_arrays_under_plain_names_and_nothing_else() -> None:
    good = npy(np.arange(3))
    assert found(artefact("npz", zipped(("a.npy", good), ("b_1.c-d.npy", good)))) == set()
    longest = "x" * 100
    assert found(artefact("npz", zipped((f"{longest}.npy", good)))) == set()
    bad = [
        zipped((f"{longest}x.npy", good)),
        zipped(("../a.npy", good)),
        zipped(("file.npy", good)),
        zipped(("a.npy", good + b"x")),
        zipped(("a.npy", good), comment=b"hi"),
        zipped(("a.npy", good), note=b"hi"),
        zipped(("a.npy", npy(np.array([1 + 2j])))),
        zipped(("a.npy", npy(np.array([b"x"])))),
        zipped(("a.npy", npy(np.array(["2026-01-01"], "datetime64[D]")))),
        zipped(("a.npy", npy(np.zeros(200_000)))),
    ]
    for content in bad:
        assert found(artefact("npz", content)) == {"RF-X018"}


def test_an_npz_is_written_anew_with_the_same_arrays() -> None:
    answer = examine(artefact("npz", npz(a=np.arange(3), b=np.array(["x", "合"]))), POLICY)
    assert isinstance(answer, Cleared)
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as again:
        assert {name: again[name].tolist() for name in again.files} == {"a": [0, 1, 2], "b": ["x", "合"]}
    texts = parse_npz(npz(home_phone=np.array(["x", "y", "x"]))).texts
    assert [(text.where, text.text, text.context) for text in texts] == [
        ("array name", "home_phone", ""),
        ("values", "x", "home_phone"),
        ("values", "y", "home_phone"),
    ]


def test_every_kind_has_its_suffix_and_its_reader() -> None:
    contents: dict[str, tuple[str, bytes]] = {
        "csv": (".csv", b"v\n1\n"),
        "json": (".json", b"{}"),
        "html": (".html", b"<!DOCTYPE html><html><head><title>t</title></head><body></body></html>"),
        "svg": (".svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        "toml": (".toml", b"a = 1\n"),
        "text": (".txt", b"a\n"),
        "markdown": (".md", b"# a\n"),
        "safetensors": (".safetensors", save({"w": np.ones(1, np.float32)})),
        "npz": (".npz", npz(w=np.ones(1))),
    }
    for kind, (suffix, content) in contents.items():
        for other in (suffix, ".bin"):
            rules = (V,) if kind == "csv" else ()
            made = artefact(kind, content, name=f"a{other}", columns=rules)
            answer = examine(made, POLICY)
            assert isinstance(answer, Cleared if other == suffix else ReleaseRefused), (kind, answer)
