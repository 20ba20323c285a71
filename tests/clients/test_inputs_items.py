"""Baskets: articles of a public catalogue, a bounded set a customer or basket, of its own lines alone."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kits.event_kit import codes_noted
from kits.input_kit import DAYS, codes_of, documents, facts_of, found_lists, read_input

from ringfence.clients.rows.table import RawTable, read_table
from ringfence.privacy.errors import TableError

HEADER = "who,article,invoice,pieces,day"
WHOLE: dict[str, Any] = {"basket": "invoice", "quantity": "pieces", "time": "day", "cancelled": ["C"]}


def read(folder: Path, lines: list[str], declared: dict[str, Any] | None = None, **source: Any) -> RawTable:
    return read_input(
        folder, "items", HEADER, lines, declared={**DAYS, **(declared or {})}, source=WHOLE | source
    )


def line(who: str, article: str, invoice: str = "1", pieces: str = "1", day: str = "2026-05-01") -> str:
    return f"{who},{article},{invoice},{pieces},{day}"


def test_a_customer_has_each_article_once(tmp_path: Path) -> None:
    lines = [line("ann", "tea"), line("ann", "milk", "2"), line("ann", "tea", "3"), line("bob", "jam")]
    raw = read(tmp_path, lines)
    assert codes_of(raw, "basket") == {"ann": [0, 2], "bob": [3]}
    assert facts_of(raw).folded == 1
    assert codes_noted(raw) >= {"RF-T231"}


def test_what_does_not_count_is_told_once_each_for_the_holder(tmp_path: Path) -> None:
    lines = [
        line("ann", "tea"),
        line("", "tea"),
        line("ann", "milk", day=""),
        line("ann", "milk", pieces=""),
        line("ann", ""),
        line("ann", "milk", "C2"),
        line("ann", "milk", "3", "-1"),
        line("ann", "milk", "4", "0"),
        line("ann", "milk", "5", day="2025-12-31"),
        line("ann", "milk", "6", day="2027-01-01"),
        line("ann", "milk", "7", day="2099-01-01"),  # a day to come, whatever day it is
        line("ann", "boat", "8"),
    ]
    raw = read(tmp_path, lines)
    facts = facts_of(raw)
    assert codes_of(raw, "basket") == {"ann": [2]}
    assert (facts.keyless, facts.undated, facts.unquantified, facts.nameless) == (1, 1, 1, 1)
    assert (facts.cancelled, facts.returns, facts.zero, facts.outside) == (1, 1, 1, 1)
    assert (facts.before, facts.after, facts.lines, facts.listed) == (1, 2, 12, 1)
    left_out = facts.unusable + facts.cancelled + facts.returns + facts.zero + facts.outside
    assert left_out + facts.before + facts.after + facts.listed == facts.lines
    wanted = {"RF-T221", "RF-T222", "RF-T223", "RF-T224", "RF-T225", "RF-T227", "RF-T228", "RF-T229"}
    assert codes_noted(raw) >= wanted | {"RF-T230"}
    assert raw.quality.passed


@pytest.mark.parametrize(
    ("unknown", "expected"), [("drop", {"ann": [2]}), ("other", {"ann": [2, 4], "bob": [4]})]
)
def test_an_article_outside_the_catalogue(tmp_path: Path, unknown: str, expected: Any) -> None:
    lines = [line("ann", "tea"), line("ann", "boat"), line("ann", "ship"), line("bob", "boat")]
    raw = read(tmp_path, lines, {"unknown": unknown})
    assert codes_of(raw, "basket") == expected
    assert facts_of(raw).outside == 3


def test_codes_of_the_file_mean_articles(tmp_path: Path) -> None:
    raw = read(tmp_path, [line("ann", "85123A"), line("ann", "jam")], values={"85123A": "tea"})
    assert codes_of(raw, "basket") == {"ann": [2, 3]}


@pytest.mark.parametrize(
    ("rule", "expected"), [("drop", [0, 1, 2]), ("subtract", [0]), ("refuse", [0, 1, 2])]
)
def test_what_becomes_of_a_return(tmp_path: Path, rule: str, expected: list[int]) -> None:
    lines = [
        line("ann", "milk", "1", "3"),
        line("ann", "milk", "9", "-2"),
        line("ann", "bread", "1", "2"),
        line("ann", "bread", "9", "-2"),  # all of it, on another invoice
        line("ann", "tea", "1", "0.5"),
        line("ann", "tea", "9", "-0.75"),
    ]
    raw = read(tmp_path, lines, returns=rule)
    assert codes_of(raw, "basket") == {"ann": expected}
    assert facts_of(raw).returns == 3
    assert raw.quality.passed == (rule != "refuse")
    if rule == "refuse":
        with pytest.raises(TableError, match="RF-T226"):
            raw.quality.check()


def test_the_first_in_time_are_kept(tmp_path: Path) -> None:
    days = {"jam": "2026-02-01", "tea": "2026-03-01", "bread": "2026-04-01", "milk": "2026-05-01"}
    lines = [line("ann", article, day=day) for article, day in days.items()]
    for order in (lines, lines[::-1]):
        raw = read(tmp_path, order, {"choice": "first"})
        assert codes_of(raw, "basket") == {"ann": [1, 2, 3]}
        facts = facts_of(raw)
        assert (facts.bounded, facts.beyond, facts.listed) == (1, 1, 3)
    assert "RF-T232" in codes_noted(raw)


def test_baskets_are_bounded_by_number_and_by_article(tmp_path: Path) -> None:
    lines = [
        line("ann", "tea", "30", day="2026-03-01"),
        line("ann", "milk", "30", day="2026-03-01"),
        line("ann", "jam", "10", day="2026-04-01"),
        line("ann", "jam", "10", day="2026-04-01"),
        line("ann", "bread", "20", day="2026-05-01"),  # the third basket
        line("bob", "jam", "30", day="2026-03-01"),  # another customer's invoice of the same number
    ]
    raw = read(tmp_path, lines, {"choice": "first", "baskets": 2, "most": 1})
    found = found_lists(raw, "basket")
    assert found["ann"][1] == [0, 1]
    assert found["ann"][0][1] == 3
    assert found["bob"] == ([3], [0], False)
    facts = facts_of(raw)
    assert (facts.bounded, facts.beyond, facts.folded, facts.listed) == (1, 2, 1, 3)


def test_a_line_without_an_invoice_is_a_basket_of_its_own(tmp_path: Path) -> None:
    lines = [line("ann", "tea", "", day="2026-03-01"), line("ann", "milk", "", day="2026-03-02")]
    found = found_lists(read(tmp_path, lines, {"baskets": 5, "choice": "first"}), "basket")
    assert found == {"ann": ([2, 0], [0, 1], False)}


def test_a_hundred_thousand_lines_of_one_customer_are_bounded_and_counted(tmp_path: Path) -> None:
    articles = ["milk", "bread", "tea", "jam"]
    lines = [line("ann", articles[row % 4], str(row)) for row in range(100_000)]
    raw = read(tmp_path, [*lines, line("bob", "tea")], {"baskets": 2})
    found = found_lists(raw, "basket")
    assert len(found["ann"][0]) == 2
    assert found["bob"] == ([2], [0], False)
    facts = facts_of(raw)
    assert (facts.bounded, facts.beyond + facts.listed) == (1, 100_001)


def test_which_are_kept_hangs_on_the_customer_and_not_on_the_catalogues_order(tmp_path: Path) -> None:
    articles = ["milk", "bread", "tea", "jam"]
    lines = [line(f"c{row}", article) for row in range(300) for article in articles]
    raw = read(tmp_path, lines)
    kept = np.bincount(np.concatenate(list(codes_of(raw, "basket").values())), minlength=4)
    # Each article is kept by three of four customers; the digests are fixed, so this holds always.
    assert kept.min() > 200
    assert kept.sum() == 900


@pytest.mark.parametrize("baskets", [1, 2])
def test_a_keyed_choice_hangs_on_no_time(tmp_path: Path, baskets: int) -> None:
    articles = ["milk", "bread", "tea", "jam"]
    sides = []
    for days in ("0102030405", "0504030201"):
        lines = [
            line(f"c{row}", article, f"i{place}", day=f"2026-01-{days[2 * place : 2 * place + 2]}")
            for row in range(40)
            for place, article in enumerate(articles)
        ]
        raw = read(tmp_path, lines, {"baskets": baskets, "most": 1})
        sides.append({who: sorted(codes) for who, codes in codes_of(raw, "basket").items()})
    assert sides[0] == sides[1]
    assert len({tuple(codes) for codes in sides[0].values()}) > 2


CELLS = st.tuples(
    st.sampled_from(["ann", "bob", "eve", ""]),
    st.sampled_from(["milk", "bread", "tea", "jam", "boat", ""]),
    st.sampled_from(["1", "2", "3", "C1", ""]),
    st.sampled_from(["1", "2", "-1", "-2", "0", ""]),
    st.sampled_from(["2026-01-01", "2026-01-01T10:00", "2026-12-31", "2027-01-01", "2025-12-31", ""]),
)
RULES = st.fixed_dictionaries(
    {
        "most": st.integers(1, 3),
        "baskets": st.integers(1, 2),
        "choice": st.sampled_from(["keyed", "first"]),
        "unknown": st.sampled_from(["drop", "other"]),
    }
)


@given(
    cells=st.lists(CELLS, min_size=1, max_size=25),
    declared=RULES,
    returns=st.sampled_from(["drop", "subtract"]),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_list_is_a_function_of_its_customers_own_lines_and_bounded(
    tmp_path: Path, cells: list[tuple[str, ...]], declared: dict[str, Any], returns: str, seed: int
) -> None:
    lines = [line(*cell) for cell in cells]
    together = found_lists(read(tmp_path, lines, declared, returns=returns), "basket")
    random.Random(seed).shuffle(lines)
    apart = {}
    for who in ("ann", "bob", "eve"):
        own = [text for text in lines if text.startswith(f"{who},")]
        if own:
            apart |= found_lists(read(tmp_path, own, declared, returns=returns), "basket")
    assert apart == together
    for codes, groups, _flag in together.values():
        assert len(codes) <= declared["most"] * declared["baskets"]
        assert len(set(zip(groups, codes, strict=True))) == len(codes)
        assert set(groups) == set(range(len(set(groups))))


def test_a_source_that_cannot_be_read_is_told_with_lines(tmp_path: Path) -> None:
    with pytest.raises(TableError) as caught:
        read(tmp_path, [line("ann", "tea", pieces="many"), line("ann", "tea", day="soon")])
    assert caught.value.code == "RF-T033"
    assert '"pieces" has entries that are not numbers: 1 (line 2)' in str(caught.value)
    assert '"day" has entries that are not dates: 1 (line 3)' in str(caught.value)


def test_what_is_not_mapped_is_not_read(tmp_path: Path) -> None:
    contract, schema, allowed = documents("items", {}, {})
    (tmp_path / "lines.csv").write_text("who,article,day\nann,tea,soon\n", encoding="utf-8")
    assert codes_of(read_table(contract, schema, allowed, tmp_path), "basket") == {"ann": [2]}
