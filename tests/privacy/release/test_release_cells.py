"""Cells and columns one by one: what is scanned under which name, what counts, what is written, and where."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kits.artefact_kit import artefact, found, npz, parquet
from safetensors.numpy import save

from ringfence.privacy.errors import ExportError
from ringfence.privacy.identifiers.customers import CustomerList
from ringfence.privacy.identifiers.masking import REDACT
from ringfence.privacy.identifiers.pii import STOCK, Scanner
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
from ringfence.privacy.release.cells import check_columns, column_texts, number_texts
from ringfence.privacy.release.counts import check_counts, counts_people, declared_counts, written_counts
from ringfence.privacy.release.parsed import Grid

MOBILE, CARD = 13812345678, 4111111111111111
LIMITS = SmallCells()


def rules(*names: str, **counts: bool) -> tuple[ColumnRule, ...]:
    return tuple(ColumnRule(name=name, sensitivity="plain", count=counts.get(name)) for name in names)


def reasons(made: Artefact) -> list[tuple[str, dict[str, Any]]]:
    answer = examine(made, ExportPolicy())
    assert isinstance(answer, ReleaseRefused)
    return [(reason.code, dict(reason.values)) for reason in answer.reasons]


def policy(*keys: object) -> ExportPolicy:
    return ExportPolicy(scanner=Scanner(customers=CustomerList.of(bytes(16), keys=keys)))


def test_what_a_policy_an_artefact_and_a_rule_are_when_nothing_is_said() -> None:
    assert ExportPolicy() == ExportPolicy(
        small_cells=SmallCells(threshold=20, with_quasi=50),
        epsilon=None,
        formulas="refuse",
        allowed_hosts=("www.w3.org", "w3id.org"),
        max_bytes=268_435_456,
        scanner=STOCK,
        operator=REDACT,
    )
    plain = Artefact(name="a.txt", kind="text", content=b"")
    assert (plain.masking, plain.columns, plain.epsilon, plain.resource) == ("clean", (), None, "export")
    rule = ColumnRule(name="a", sensitivity="plain")
    assert (rule.count, rule.amount) == (None, False)


# --- where something was found


@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_refusal_names_the_column_that_it_is_about(place: int) -> None:
    names = ["a", "b", "c"]
    for cell, code in ((str(MOBILE), "RF-X040"), ("=1+1", "RF-X042")):
        frame = pd.DataFrame({name: [cell if at == place else "x"] for at, name in enumerate(names, 1)})
        ((got, values),) = reasons(artefact("csv", frame, columns=rules(*names)))
        told = values["where"] if code == "RF-X040" else f"column {values['column']}"
        assert (got, told) == (code, f"column {place}")
    headers = [f"call {MOBILE}" if at == place else name for at, name in enumerate(names, 1)]
    ((got, values),) = reasons(
        artefact("csv", pd.DataFrame([["x"] * 3], columns=headers), columns=rules(*headers))
    )
    assert (got, values["kind"], values["where"]) == ("RF-X040", "CN_MOBILE", f"the name of column {place}")
    few = [name for at, name in enumerate(names, 1) if at != place]
    with pytest.raises(ExportError, match="RF-X030") as caught:
        check_columns(names, rules(*few))
    assert caught.value.values == {"column": place}
    hidden = (*rules(*few), ColumnRule(name=names[place - 1], sensitivity="identifier"))
    with pytest.raises(ExportError, match="RF-X031") as caught:
        check_columns(names, hidden)
    assert caught.value.values == {"column": place}


def test_only_the_columns_that_are_there_have_rules() -> None:
    listed = rules("a", "b")
    assert check_columns(["b"], listed) == {"b": listed[1]}
    unused = ColumnRule(name="n", sensitivity="plain", count=True)
    quasi = ColumnRule(name="q", sensitivity="quasi")
    with pytest.raises(ExportError, match="RF-X034"):
        check_columns(["q"], (quasi, unused))
    assert set(check_columns(["q", "n"], (quasi, unused))) == {"q", "n"}


def test_a_cell_is_read_under_its_own_columns_name() -> None:
    frame = pd.DataFrame({"home_phone": [7, 8], "points": [62345678, 62345679]})
    assert found(artefact("parquet", parquet(frame), columns=rules("home_phone", "points"))) == set()
    turned = frame.rename(columns={"home_phone": "points", "points": "home_phone"})
    for kind, content in (("parquet", parquet(turned)), ("csv", turned), ("json", turned)):
        made = artefact(kind, content, columns=rules("home_phone", "points"))
        assert found(made) == {"RF-X040"}, kind


# --- numbers


@pytest.mark.parametrize("number", [-MOBILE, MOBILE, -CARD, CARD])
@pytest.mark.parametrize("dtype", ["int64", "float64", "Int64", "uint64"])
def test_a_sign_does_not_hide_a_number(number: int, dtype: Any) -> None:
    if dtype == "uint64" and number < 0:
        return
    frame = pd.DataFrame({"v": pd.array([number, 3], dtype=dtype)})
    for kind, content in (("parquet", parquet(frame)), ("csv", frame)):
        assert found(artefact(kind, content, columns=rules("v"))) == {"RF-X040"}, kind
    if dtype != "Int64":
        values = frame["v"].to_numpy()
        assert found(artefact("npz", npz(v=values))) == {"RF-X040"}
        assert found(artefact("safetensors", save({"v": values}))) == {"RF-X040"}


@pytest.mark.parametrize("number", [4111111111111111.5, -4111111111111111.5])
def test_the_whole_part_of_a_number_may_be_a_card(number: float) -> None:
    values = np.array([number, 0.5])
    assert found(artefact("npz", npz(v=values))) == {"RF-X040"}
    assert found(artefact("parquet", parquet(pd.DataFrame({"v": values})), columns=rules("v"))) == {"RF-X040"}


@pytest.mark.parametrize(
    ("dtype", "edge"),
    [(np.int32, 2**31 - 1), (np.int64, 2**63 - 1), (np.uint32, 2**32 - 1), (np.uint64, 2**63)],
)
def test_a_customers_number_is_found_at_the_edge_of_every_width(dtype: Any, edge: int) -> None:
    values = np.array([edge, 5], dtype)
    for made in (artefact("npz", npz(v=values)), artefact("safetensors", save({"v": values}))):
        assert found(made, policy(edge)) == {"RF-X040"}
        assert found(made, policy(edge - 1)) == set()
    if dtype in (np.int32, np.int64):
        assert found(artefact("npz", npz(v=-values)), policy(edge)) == {"RF-X040"}


def test_numbers_below_the_smallest_that_tells_are_passed_over() -> None:
    values = np.array([-100_001, -100_000, -99_999, 0, 99_999, 100_000, 100_001])
    assert sorted(number_texts(values, 100_000)) == ["-100000", "-100001", "100000", "100001"]
    assert list(number_texts(values.astype(np.uint64)[4:], 100_000)) == ["100000", "100001"]
    assert list(number_texts(values.astype(np.int16), 40_000)) == []
    assert list(number_texts(np.array([99_999.0, 100_000.0, 100_000.5, 1e13, 1e13 + 0.5]), 100_000)) == [
        "100000",
        "10000000000000",
        "10000000000000",
    ]
    assert list(column_texts(pd.Series([True, False]), 0)) == []
    assert list(column_texts(pd.Series(["a", None, "a", 7, 100_000]), 100_000)) == ["a", "100000"]
    assert list(column_texts(pd.Series(pd.array([100_000, None, 5], dtype="Int64")), 100_000)) == ["100000"]


@pytest.mark.parametrize("dtype", ["float32", "float64", "Float64"])
@pytest.mark.parametrize("bad", [float("inf"), float("-inf")])
def test_an_infinite_number_in_any_column_is_refused(dtype: Any, bad: float) -> None:
    frame = pd.DataFrame({"a": ["x", "y"], "v": pd.array([1.0, bad], dtype=dtype)})
    assert found(artefact("csv", frame, columns=rules("a", "v"))) == {"RF-X043"}
    fine = frame.assign(v=pd.array([1.0, None], dtype="Float64"))
    assert found(artefact("csv", fine, columns=rules("a", "v"))) == set()
    for text in ("inf", "-Infinity", " NaN ", "1.#INF", "1.#QNAN"):
        assert "RF-X043" in found(artefact("csv", f"a,v\nx,{text}\n".encode(), columns=rules("a", "v")))
    mixed = frame.assign(v=np.array(["x", bad], dtype=object))
    assert found(artefact("csv", mixed, columns=rules("a", "v"))) == {"RF-X043"}


# --- counts


PEOPLE = {
    True: "customers|n customers|No. of clients|number_of_users|total persons|customer count|Customers (n)"
    "|# users|customers 2026|customers_26|users by plan|people in group|all customers|distinct clients"
    "|noisy customers|bins.customers|data subjects|households total|流失客户数|人数|会员数|用户数 (户)",
    False: "customer|customer name|points|customers per month|n|count|no|user group|subject|人"
    "|number of rows",
}


@pytest.mark.parametrize("counts", [True, False])
def test_names_that_say_that_customers_are_counted(counts: bool) -> None:
    for name in PEOPLE[counts].split("|"):
        assert counts_people(name) == counts, name


def test_a_bare_n_counts_in_a_table_beside_other_columns_only() -> None:
    for name in ("n", "N", "count", "Counts", "freq", "frequency", "计数", "样本数"):
        assert found(artefact("text", f"age,{name}\n93,1\n".encode(), columns=())) == {"RF-X032"}, name
        assert found(artefact("json", f'{{"{name}": 1, "age": 93}}'.encode(), columns=())) == set(), name
        assert (
            found(artefact("npz", npz(**{"v" + name if not name.isascii() else name: np.array([1, 2])})))
            == set()
        )
        declared = rules("age", name)
        assert found(artefact("csv", f"age,{name}\n93,1\n".encode(), columns=declared)) == set(), name


def test_what_reads_as_a_count() -> None:
    read = {
        "12": 12,
        "+12": 12,
        "-3": -3,
        "1,234": 1234,
        "1 234": 1234,
        "1'234": 1234,
        "12.0": 12,
        "12.": 12,
        "~12": 12,
        "≈ 12": 12,
        "12人": 12,
        "12 户": 12,
        "12 customers": 12,
        "1 person": 1,
        "3 users": 3,
        "12 (3 %)": 12,
        "1e1": 10,
        "1.5e1": 15,
        "１２": 12,
        "12,345,678": 12345678,
        "٣": 3,
    }
    for text, count in read.items():
        assert written_counts([text]) == [count], text
    for text in ("12.5", "x", "12 points", "1.5e0", "12,34", "1e-1", "a 12", "1,2345"):
        assert written_counts([text]) == [], text
    for text in (
        "",
        "-",
        "*",
        "—",
        "...",
        "<50",
        "≤ 5",
        "n/a",
        "NA",
        "null",
        "none",
        "nan",
        "suppressed",
        "已隐藏",
        "不显示",
    ):
        assert written_counts([text]) == [None], text
    assert written_counts([True, None, float("nan"), 7, 7.0, pd.NA]) == [None, None, 7, 7, None]


def test_a_declared_count_is_a_whole_number_or_nothing() -> None:
    cells = ["12", " 12 ", "12.0", "12.", "+12", "-1", 12, 12.0, "", "  ", None, float("nan"), pd.NA]
    assert declared_counts(cells, 1) == [12, 12, 12, 12, 12, -1, 12, 12, None, None, None, None, None]
    for bad in ("12.5", "1,200", "x", True, 1.5, "1e3", "9" * 19):
        with pytest.raises(ExportError, match="RF-X035") as caught:
            declared_counts(["1", bad], 7)
        assert caught.value.values == {"column": 7}


def grid(*columns: tuple[object, ...], names: tuple[str, ...] = ("group", "n"), record: bool = False) -> Grid:
    return Grid(where="line 9", names=names, columns=columns, record=record)


def test_a_small_count_is_told_by_its_place_and_threshold() -> None:
    declared = {rule.name: rule for rule in rules("group", "n", n=True)}
    with pytest.raises(ExportError, match="RF-X032") as caught:
        check_counts((grid(("a", "b"), (20, 19)),), declared, LIMITS)
    assert caught.value.values == {"column": 2, "where": "line 9", "threshold": 20}
    with pytest.raises(ExportError, match="RF-X033") as caught:
        check_counts((grid(("a", "b"), (20, None)),), declared, LIMITS)
    assert caught.value.values == {"column": 2}
    for quasi, threshold in (("plain", 20), ("sensitive", 20), ("quasi", 50)):
        told = declared | {"group": ColumnRule(name="group", sensitivity=quasi)}  # type: ignore[arg-type]
        assert check_counts((grid(("a",), (threshold,)),), told, LIMITS) == ""
        with pytest.raises(ExportError, match=f"RF-X032.*{threshold}"):
            check_counts((grid(("a",), (threshold - 1,)),), told, LIMITS)
    with pytest.raises(ExportError, match=r"RF-X032.*50"):
        check_counts((grid((49,), names=("customers",)),), {}, LIMITS)
    with pytest.raises(ExportError, match=r"RF-X032.*50"):
        check_counts((grid((49,), ("x",), names=("n", "")),), {}, LIMITS)


def test_suppressed_cells_are_two_or_all_of_a_column() -> None:
    declared = {rule.name: rule for rule in rules("group", "n", n=True)}
    note = "Counts are suppressed, at least two in a column; what other tables give away was not checked."
    three = ("a", "b", "c")
    assert check_counts((grid(three, (None, None, 20)),), declared, LIMITS) == note
    assert check_counts((grid(three, (None, None, None)),), declared, LIMITS) == ""
    assert check_counts((grid(three, (20, 20, 20)),), declared, LIMITS) == ""
    assert check_counts((grid(("a",), (None,)),), declared, LIMITS) == ""
    assert check_counts((grid(("a",), (None,), record=True),), declared, LIMITS) == ""
    with pytest.raises(ExportError, match="RF-X033"):
        check_counts((grid(("a", "b"), (None, 20)),), declared, LIMITS)
    assert check_counts((grid(three, (None, None, 20)), grid(("a",), (20,))), declared, LIMITS) == note


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([7, 30, 400], [None, None, 400]),
        ([7, 400, 30, 50], [None, 400, None, 50]),
        ([20, 19, 19], [20, None, None]),
        ([20, 30, 400], [20, 30, 400]),
        ([7], [None]),
        ([None, 400, 30], [None, 400, None]),
        ([3, 4, 5], [None, None, None]),
    ],
)
def test_a_second_cell_is_suppressed_where_one_would_stand_alone(
    counts: list[Any], expected: list[Any]
) -> None:
    frame = pd.DataFrame({"x": [0] * len(counts), "group": list("abcd")[: len(counts)]})
    frame["n"] = pd.array(counts, dtype="Int64")
    out = suppress_small_cells(frame, rules("group", "n", n=True), LIMITS)
    assert [None if value is pd.NA else value for value in out["n"].tolist()] == expected
    assert (str(out["n"].dtype), out.columns.tolist(), out["x"].tolist()) == (
        "Int64",
        ["x", "group", "n"],
        [0] * len(counts),
    )
    assert frame["n"].tolist() == pd.array(counts, dtype="Int64").tolist()


def test_suppression_follows_the_quasi_identifiers_that_are_shown() -> None:
    frame = pd.DataFrame({"band": ["a", "b", "c"], "n": [30, 40, 400]})
    quasi = ColumnRule(name="band", sensitivity="quasi")
    listed = (*rules("n", "group", n=True), quasi)
    assert suppress_small_cells(frame, listed, LIMITS)["n"].isna().tolist() == [True, True, False]
    shown = frame.rename(columns={"band": "group"})
    assert suppress_small_cells(shown, listed, LIMITS)["n"].tolist() == [30, 40, 400]
    with pytest.raises(ExportError, match="RF-X035") as caught:
        suppress_small_cells(frame.assign(n=["x", "y", "z"]), listed, LIMITS)
    assert caught.value.values == {"column": 2}


def test_a_frame_is_written_as_it_is_shown() -> None:
    frame = pd.DataFrame(
        {"标": ["é", "b"], "p": [0.123456789012345, 2.0], "d": pd.to_datetime(["2026-01-02"] * 2)}
    )
    day = "2026-01-02"
    expected = {
        "csv": f"标,p,d\né,0.123456789012345,{day}\nb,2.0,{day}\n",
        "json": f'[{{"标":"é","p":0.123456789012345,"d":"{day}T00:00:00.000"}},'
        f'{{"标":"b","p":2.0,"d":"{day}T00:00:00.000"}}]',
    }
    for kind, text in expected.items():
        answer = examine(artefact(kind, frame, columns=rules("标", "p", "d")), ExportPolicy())
        assert isinstance(answer, Cleared)
        assert answer.content.decode() == text
    neutral = ExportPolicy(formulas="neutralise")
    answer = examine(
        artefact("csv", pd.DataFrame({"a": ["=1", "x", "-1"], "b": [1, 2, 3]}), columns=rules("a", "b")),
        neutral,
    )
    assert isinstance(answer, Cleared)
    assert answer.content == b"a,b\n'=1,1\nx,2\n-1,3\n"


def test_columns_of_numbers_and_moments_keep_their_types_when_formulas_are_neutralised() -> None:
    frame = pd.DataFrame(
        {
            "i": np.array([1, -2], np.int8),
            "u": np.array([1, 2], np.uint16),
            "f": np.array([0.5, -1], np.float32),
            "b": [True, False],
            "m": pd.to_timedelta([1, 2], unit="D"),
            "M": pd.to_datetime(["2026-01-02"] * 2),
            "t": ["=1", "x"],
        }
    )
    answer = examine(
        artefact("parquet", frame, columns=rules(*frame.columns)), ExportPolicy(formulas="neutralise")
    )
    assert isinstance(answer, Cleared)
    written = pd.read_parquet(io.BytesIO(answer.content))
    # A span is what Parquet itself knows of one: a whole number.
    assert [written[name].dtype.kind for name in "iufbmM"] == list("iufbiM")
    assert [written[name].to_numpy().itemsize for name in "iuf"] == [1, 2, 4]
    assert written["t"].tolist() == ["'=1", "x"]
