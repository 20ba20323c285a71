"""Inputs beside a table of customers: aligned with its rows, kept with it, filtered by consent."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kits import event_kit
from kits.input_kit import BASKET, ITEMS, JOURNEY, NOTES, PATHS, TICKETS, codes_of, facts_of
from kits.input_kit import allowed_of as all_of
from kits.table_kit import NOW, SPLIT, everybody, minimise

from ringfence.clients.rows.table import (
    attested,
    consented,
    kept,
    minimised,
    read_table,
    restored,
)
from ringfence.models.features import encode_rows
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.consent import Cohort
from ringfence.privacy.errors import TableError
from ringfence.privacy.tables.coded_lists import CodedLists

PURPOSE = "churn-prediction"


def documents(folder: Path) -> tuple[Contract, Schema, Any]:
    """A table of three customers, each input in a file of its own."""
    (folder / "t.csv").write_text("id,age,churn\na,30,no\nb,40,yes\nc,50,no\n", encoding="utf-8")
    (folder / "buys.csv").write_text("id,article\nb,tea\nb,milk\nx,jam\n", encoding="utf-8")
    (folder / "web.csv").write_text(
        "visitor;at;channel;event\nc;01.03.2026;mail;\nc;02.03.2026;shop;buy\n", encoding="utf-8"
    )
    (folder / "calls.csv").write_text("id,text\na,broken\nb,invoice\n", encoding="utf-8")
    schema = Schema.model_validate(
        {
            "id": "s",
            "version": 1,
            "feature": [
                {"name": "age", "kind": "number", "bounds": [18, 90]},
                {"name": "churn", "kind": "flag"},
            ],
            "items": [BASKET],
            "paths": [JOURNEY],
            "notes": [TICKETS],
        }
    )
    web = {"file": "web.csv", "delimiter": ";", "date_format": "%d.%m.%Y"}
    contract = Contract.model_validate(
        {
            "id": "c",
            "holder": "h",
            "version": 1,
            "schema": schema.digest(),
            "subject": "id",
            "population": "p",
            "jurisdiction": "DE",
            "max_customers": 1000,
            "min_cohort": 1,
            "source": {"file": "t.csv"},
            "column": [{"name": name, "purposes": [PURPOSE]} for name in ("age", "churn")],
            "items": [ITEMS | {"source": {"file": "buys.csv"}}],
            "paths": [PATHS | {"source": web, "subject": "visitor"}],
            "notes": [NOTES | {"source": {"file": "calls.csv"}}],
        }
    )
    return contract, schema, replace(all_of(contract), label="churn", features=("age",))


def test_every_row_of_the_table_has_its_list(tmp_path: Path) -> None:
    raw = read_table(*documents(tmp_path), tmp_path)
    assert codes_of(raw, "basket") == {"a": [], "b": [0, 2], "c": []}
    assert codes_of(raw, "journey") == {"a": [], "b": [], "c": [1, 2]}
    assert codes_of(raw, "tickets") == {"a": [2], "b": [1], "c": []}
    basket = raw.quality.facts.inputs[0]
    assert (basket.strangers, basket.without) == (1, 2)
    assert {"RF-T233", "RF-T237"} <= event_kit.codes_noted(raw)


def test_only_the_inputs_of_the_decision_are_read(tmp_path: Path) -> None:
    contract, schema, allowed = documents(tmp_path)
    (tmp_path / "web.csv").unlink()
    (tmp_path / "calls.csv").unlink()
    raw = read_table(
        contract, schema, replace(allowed, inputs={"basket": allowed.inputs["basket"]}), tmp_path
    )
    assert set(raw._lists) == {"basket"}
    with pytest.raises(TableError, match="RF-T001"):
        read_table(contract, schema, allowed, tmp_path)


def test_what_was_kept_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    contract, schema, allowed = documents(tmp_path)
    table = attested(read_table(contract, schema, allowed, tmp_path))
    again = restored(allowed, kept(table))
    assert again.keys() == table.keys()
    assert {name: each.digest() for name, each in again._lists.items()} == {
        name: each.digest() for name, each in table._lists.items()
    }
    # Without a feature there is no column, and still a row a customer.
    bare = replace(allowed, headers={}, features=(), label=None)
    table = attested(read_table(contract, schema, bare, tmp_path))
    again = restored(bare, kept(table))
    assert (len(again), len(again._frame)) == (3, 3)
    with pytest.raises(TableError, match="RF-T150"):
        restored(replace(bare, inputs={"other": ()}), kept(table))
    with pytest.raises(TableError, match="RF-T150"):
        restored(replace(bare, inputs={}), kept(table))


def test_who_does_not_consent_is_out_of_every_list(tmp_path: Path) -> None:
    contract, schema, allowed = documents(tmp_path)
    table = attested(read_table(contract, schema, allowed, tmp_path))
    registry = everybody(["b", "c"])
    cohort = Cohort.freeze(
        registry, study="s", run="00", purpose=PURPOSE, at=NOW, indices=registry.indices(table.keys())
    )
    rows = consented(table, registry, cohort.current(registry, NOW))
    small = minimised(rows, features=("age",), label="churn", split_key=SPLIT, test_fraction=Fraction(0))
    assert len(small) == 2
    for row, age in enumerate(small.frame["age"].tolist()):
        expected = {40: ([0, 2], [], [1]), 50: ([], [1, 2], [])}[int(age)]
        found = tuple(small.inputs[name].of_customer(row) for name in ("basket", "journey", "tickets"))
        assert found == expected


def test_lists_go_into_the_order_of_their_rows(tmp_path: Path) -> None:
    contract, schema, allowed = documents(tmp_path)
    people = [f"p{number},{18 + number},no" for number in range(60)]
    buys = [f"p{number},{('milk', 'bread', 'tea', 'jam')[number % 4]}" for number in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["id,age,churn", *people, ""]), encoding="utf-8")
    (tmp_path / "buys.csv").write_text("\n".join(["id,article", *buys, ""]), encoding="utf-8")
    small = minimise(read_table(contract, schema, allowed, tmp_path), ("age",))
    numbers = [int(age) - 18 for age in small.frame["age"].tolist()]
    assert numbers != sorted(numbers)
    found = [small.inputs["basket"].of_customer(row) for row in range(60)]
    assert found == [[number % 4] for number in numbers]


def test_a_task_gets_the_lists_of_the_rows_it_gets(tmp_path: Path) -> None:
    contract, schema, allowed = documents(tmp_path)
    small = minimise(read_table(contract, schema, allowed, tmp_path), ("age",))
    matrix = replace(encode_rows(small, schema, ["age"], "churn", "yes"), inputs=small.inputs)
    churned = matrix.take(matrix.label == 1)
    assert churned.inputs["basket"].of_customer(0) == [0, 2]
    assert churned.train(np.array([True])).inputs["tickets"].of_customer(0) == [1]
    assert len(matrix.test().inputs["basket"]) == 0
    bare = replace(matrix, inputs={})
    assert len({matrix.digest(), bare.digest(), churned.digest()}) == 3
    other = {**matrix.inputs, "basket": matrix.inputs["tickets"], "tickets": matrix.inputs["basket"]}
    assert replace(matrix, inputs=other).digest() != matrix.digest()


def test_events_and_inputs_of_one_file(tmp_path: Path) -> None:
    schema = Schema.model_validate(
        {
            "id": "shop",
            "version": 1,
            "events": event_kit.WINDOW,
            "items": [BASKET | {"since": "2026-10-03", "until": "2027-01-01"}],
        }
    )
    base = event_kit.contract_of(schema).model_dump(by_alias=True, exclude_none=True)
    mapped = {"name": "basket", "item": "article", "time": "day", "purposes": [PURPOSE]}
    contract = Contract.model_validate(base | {"items": [mapped]})
    lines = [
        "ann,2026-12-01,10,1,1,F,tea",
        "ann,2027-01-02,10,1,2,F,milk",  # after the cutoff: the label's, not the basket's
        "bob,2027-01-02,10,1,3,F,milk",
    ]
    text = "\n".join([event_kit.HEADER, *lines, ""])
    (tmp_path / "orders.csv").write_text(text, encoding="utf-8")
    names = ("orders", "silent")
    allowed = replace(
        event_kit.allowed_of(contract, schema, names), inputs={"basket": ("who", "day", "article")}
    )
    raw = read_table(contract, schema, allowed, tmp_path)
    assert codes_of(raw, "basket") == {"ann": [2]}
    facts = facts_of(raw)
    assert (facts.after, facts.strangers) == (2, 0)


LISTS = st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=6)


@given(lists=LISTS, data=st.data())
@settings(max_examples=100, deadline=None)
def test_lists_are_taken_as_rows_are(lists: list[list[int]], data: st.DataObject) -> None:
    owner = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    codes = np.array([code for each in lists for code in each], dtype=np.int64)
    flags = np.array([len(each) % 2 == 1 for each in lists], dtype=np.bool_)
    made = CodedLists.of(owner, codes, codes // 2, flags)
    rows = data.draw(st.lists(st.integers(-1, len(lists) - 1), max_size=8))
    taken = made.take(np.array(rows, dtype=np.int64))
    assert [taken.of_customer(row) for row in range(len(rows))] == [
        [] if row < 0 else lists[row] for row in rows
    ]
    assert taken.flags.tolist() == [row >= 0 and bool(flags[row]) for row in rows]
    assert taken.groups.tolist() == [code // 2 for row in rows if row >= 0 for code in lists[row]]
    assert made.take(np.ones(len(lists), dtype=np.bool_)).digest() == made.digest()
