"""One row a customer, from its own events and the public window alone; no day is in both features and
label.
"""

from __future__ import annotations

import datetime
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kits.event_kit import HEADER, WINDOW, codes_noted, read_lines, rows, schema_of

from ringfence.clients.rows.table import RawTable
from ringfence.clients.rows.windowing import UNITS, Lines, customer_rows
from ringfence.models.features import number_codes
from ringfence.privacy.agreements.schema import EventWindow
from ringfence.privacy.errors import TableError

CUTOFF = datetime.date.fromisoformat(WINDOW["cutoff"])
START = CUTOFF - datetime.timedelta(days=90)


def line(
    who: str,
    day: datetime.date | int,
    price: float = 10,
    pieces: int = 1,
    invoice: str = "",
    dept: str = "F",
    article: str = "a",
) -> str:
    """A line of the file; a whole number as a day counts from the cutoff."""
    moment = CUTOFF + datetime.timedelta(days=day) if isinstance(day, int) else day
    return f"{who},{moment.isoformat()},{price},{pieces},{invoice},{dept},{article}"


def test_a_customer_becomes_the_features_the_schema_names(tmp_path: Path) -> None:
    lines = [
        line("ann", -90, 10, invoice="1"),
        line("ann", -90, 5, 2, invoice="1"),  # one order of 20
        line("ann", -61, 7, invoice="2", dept="T"),  # period 1: 29 of 30 days
        line("ann", -60, 7, invoice="3", dept="?"),  # period 2
        line("ann", -1, 1000, invoice="4", dept="F"),  # clipped to 100, period 3
        line("ann", 0, invoice="5"),
        line("ann", 200, invoice="6"),
        line("ann", -91, invoice="7"),
        line("bob", -30, 3),
        line("bob", -30, 3),  # no invoice: each line is an order
        line("eve", 5),  # no order in the history: no row
    ]
    found = rows(read_lines(tmp_path, lines))
    assert set(found) == {"ann", "bob"}
    ann = found["ann"]
    assert (ann["recency_days"], ann["tenure_days"], ann["orders"], ann["spend"]) == (1, 90, 4, 134)
    assert [ann[f"orders_p0{p}"] for p in (1, 2, 3)] == [2, 1, 1]
    assert [ann[f"spend_p0{p}"] for p in (1, 2, 3)] == [27, 7, 100]
    assert (ann["share_food"], ann["share_toys"], ann["silent"]) == (3 / 5, 1 / 5, "no")
    bob = found["bob"]
    # Nothing at all is the smallest bound: half an order, a thousandth of the limit.
    assert (bob["orders"], bob["orders_p01"], bob["spend_p01"]) == (2, 0.5, 0.4)
    assert (bob["spend"], bob["silent"]) == (6, "yes")


@pytest.mark.parametrize(
    ("day", "in_history", "silent"),
    [
        (-91, False, "yes"),
        (-90, True, "yes"),
        (-1, True, "yes"),
        (0, False, "no"),
        (29, False, "no"),
        (30, False, "yes"),
    ],
)
def test_every_day_is_in_the_features_or_in_the_label_or_in_neither(
    tmp_path: Path, day: int, in_history: bool, silent: str
) -> None:
    row = rows(read_lines(tmp_path, [line("ann", -45, invoice="1"), line("ann", day, invoice="2")]))["ann"]
    assert row["orders"] == (2 if in_history else 1)
    assert row["silent"] == silent


@pytest.mark.parametrize("history", [7, 30, 91, 365])
def test_the_periods_cover_the_history_and_differ_by_a_day_at_most(history: int) -> None:
    window = EventWindow.model_validate(WINDOW | {"history_days": history, "periods": 7})
    start, count = window.start.toordinal(), np.arange(history)
    lines = lines_of([(0, start + day, 1, day, 0, False) for day in count.tolist()])
    columns = customer_rows(lines, window).columns
    lengths = [int(columns[f"orders_p0{p}"][0]) for p in range(1, 8)]
    assert sum(lengths) == history
    assert max(lengths) - min(lengths) <= 1


def lines_of(entries: list[tuple[int, int, int, int, int, bool]]) -> Lines:
    columns = [np.array(column) for column in zip(*entries, strict=True)]
    whole = [column.astype(np.int64) for column in columns[:5]]
    return Lines(
        customer=whole[0],
        day=whole[1],
        amount=whole[2],
        order=whole[3],
        kind=whole[4],
        is_return=columns[5].astype(np.bool_),
    )


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.integers(START.toordinal() - 5, CUTOFF.toordinal() + 35),
        st.integers(-50 * UNITS, 200 * UNITS),
        st.integers(0, 9),
        st.integers(-2, 1),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@given(entries=EVENTS, seed=st.integers(0, 99))
@settings(max_examples=200, deadline=None)
def test_codes_of_a_table_are_those_of_its_customers_alone_bit_for_bit(
    entries: list[tuple[int, int, int, int, int, bool]], seed: int
) -> None:
    schema = schema_of()
    assert schema.events is not None
    whole = customer_rows(lines_of(entries), schema.events)
    mixed = list(entries)
    random.Random(seed).shuffle(mixed)
    single = defaultdict(list)
    for entry in mixed:
        single[entry[0]].append(entry)
    met = []
    for customer in sorted(single):
        alone = customer_rows(lines_of(single[customer]), schema.events)
        assert len(alone.customers) <= 1, "one row a customer, however many events"
        if len(alone.customers):
            place = len(met)
            for name, values in alone.columns.items():
                assert values.tobytes() == whole.columns[name][place : place + 1].tobytes(), name
                if name != "silent":
                    feature = schema.feature(name)
                    code = number_codes(values.astype(np.float64), feature)
                    assert code == number_codes(whole.columns[name].astype(np.float64), feature)[place]
            met.append(customer)
    assert met == whole.customers.tolist()


CELLS = st.tuples(
    st.sampled_from(["ann", "bob", "eve", ""]),
    st.sampled_from([-100, -90, -40, -39, -1, 0, 15, 40]),
    st.sampled_from(["5", "0.1", "-3", "0", "", "33.33"]),
    st.sampled_from(["1", "3", "-1", ""]),
    st.sampled_from(["", "1", "2", "C3"]),
    st.sampled_from(["F", "T", "x", ""]),
    st.sampled_from(["a", "b"]),
)


@given(
    cells=st.lists(CELLS, min_size=1, max_size=25),
    returns=st.sampled_from(["drop", "subtract"]),
    keep=st.booleans(),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_gives_each_customer_the_row_its_own_lines_give(
    tmp_path: Path, cells: list[tuple[Any, ...]], returns: str, keep: bool, seed: int
) -> None:
    rule = {"returns": returns, "repeated": "keep" if keep else "drop", "zero": "keep" if keep else "drop"}
    lines = [line(*entry) for entry in cells]
    random.Random(seed).shuffle(lines)
    together = read_or_none(tmp_path, lines, rule)
    apart: dict[str, dict[str, Any]] = {}
    for who in ("ann", "bob", "eve"):
        alone = read_or_none(tmp_path, [text for text in lines if text.startswith(f"{who},")], rule)
        apart |= {} if alone is None else rows(alone)
    assert apart == ({} if together is None else rows(together))


def read_or_none(folder: Path, lines: list[str], rule: dict[str, str]) -> RawTable | None:
    if not lines:
        return None
    try:
        return read_lines(folder, lines, **rule)
    except TableError as error:
        if error.code == "RF-T060":
            return None
        raise


def test_what_follows_the_cutoff_moves_the_label_alone(tmp_path: Path) -> None:
    past = [line("ann", -40, 5), line("bob", -3, 8)]
    quiet = rows(read_lines(tmp_path, past))
    lively = rows(read_lines(tmp_path, [*past, *(line("ann", day, 99) for day in range(30))]))
    assert (quiet["ann"]["silent"], lively["ann"]["silent"]) == ("yes", "no")
    for who in ("ann", "bob"):
        assert {**lively[who], "silent": None} == {**quiet[who], "silent": None}


def test_without_amounts_there_are_counts_alone(tmp_path: Path) -> None:
    window = {"amount": None, "most_spend": None, "kinds": []}
    bare = dict.fromkeys(("amount", "quantity", "order", "kind", "item", "values", "cancelled"))
    raw = read_lines(tmp_path, ["ann,2026-12-01", "ann,2026-12-02"], header="who,day", window=window, **bare)
    row = rows(raw)["ann"]
    assert row["orders"] == 2
    assert not any(name.startswith(("spend", "share")) for name in row)
    assert not {"RF-T064", "RF-T067", "RF-T068"} & codes_noted(raw)


def test_a_share_counts_lines_that_are_no_returns(tmp_path: Path) -> None:
    lines = [line("ann", -9, 5, dept="F"), line("ann", -8, 5, dept="T"), line("ann", -7, -5, dept="T")]
    row = rows(read_lines(tmp_path, lines, returns="subtract", window={"amount": [-100, 100]}))["ann"]
    assert (row["share_food"], row["share_toys"]) == (0.5, 0.5)
    assert (row["orders"], row["spend"], row["recency_days"]) == (2, 5, 8)


def test_the_columns_of_a_file_may_stand_in_any_order(tmp_path: Path) -> None:
    turned = ",".join(reversed(HEADER.split(",")))
    lines = [line("ann", -9, 5, 3, "1", "T")]
    back = [",".join(reversed(text.split(","))) for text in lines]
    assert rows(read_lines(tmp_path, back, header=turned)) == rows(read_lines(tmp_path, lines))
