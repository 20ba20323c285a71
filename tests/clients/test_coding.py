"""Columns in the schema's terms by hand: values, who is left out, and every count for the quality gate."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from kits.table_kit import COLUMNS, FEATURES, documents

from ringfence.clients.rows.coding import Coded, code, code_columns, facts_of, known
from ringfence.privacy.errors import ContractError, TableError
from ringfence.privacy.tables.facts import ColumnFacts


def located(rows: Any) -> str:
    return str(rows)


def coded(entries: list[Any], feature: dict[str, Any], **column: Any) -> Coded:
    """One column of a database."""
    fields = {"name": "x", "purposes": ["churn-prediction"], **column}
    contract, schema, _ = documents([{"name": "x", **feature}], [fields])
    found = contract.column("x")
    assert found is not None
    return code(entries, schema.feature("x"), found, contract.source, located)


def facts(**counts: Any) -> ColumnFacts:
    return ColumnFacts(**({"name": "x"} | counts))


def test_numbers_by_hand() -> None:
    found = coded([5, None, -1, 11, 10, 0, 5], {"kind": "number", "bounds": [0, 10]}, max_missing="0.25")
    values = np.asarray(found.values)
    assert values[[0, 2, 3, 4, 5, 6]].tolist() == [5.0, 0.0, 10.0, 10.0, 0.0, 5.0]
    assert math.isnan(values[1])
    assert found.keep.tolist() == [True] * 7
    assert found.facts == facts(
        kind="number", rows=7, present=6, missing=1, clipped=2, distinct=3, max_missing=Decimal("0.25")
    )
    assert found.known.tolist() == [True, False, *[True] * 5]
    assert found.classes == 3


def test_a_missing_number_is_the_schemas_value_or_refused() -> None:
    filled = coded([5, None], {"kind": "number", "bounds": [0, 10], "missing": "value", "missing_value": 7})
    assert np.asarray(filled.values).tolist() == [5.0, 7.0]
    assert filled.facts == facts(kind="number", rows=2, present=1, missing=1, distinct=1)
    assert filled.known.tolist() == [True, True]
    refused = coded([5, None], {"kind": "number", "bounds": [0, 10], "missing": "refuse"})
    assert refused.facts.missing_refused is True
    assert refused.facts.missing == 1


def test_days_by_hand() -> None:
    bounds = ["2020-01-01", "2020-12-31"]
    days = [date(2020, 2, 29), date(2019, 5, 5), None, date(2021, 1, 1)]
    found = coded(days, {"kind": "date", "bounds": bounds, "missing": "value", "missing_value": "2020-03-01"})
    expected = [date(2020, 2, 29), date(2020, 1, 1), date(2020, 3, 1), date(2020, 12, 31)]
    assert np.asarray(found.values).tolist() == [float(day.toordinal()) for day in expected]
    assert found.facts == facts(kind="date", rows=4, present=3, missing=1, clipped=2, distinct=3)


ENTRIES = ["a", "b", "zzz", None, "a", "yyy"]


@pytest.mark.parametrize(
    ("rule", "values", "keep", "counts"),
    [
        (
            {"unknown": "other"},
            ["a", "b", "(other)", None, "a", "(other)"],
            [True] * 6,
            {"missing": 1, "distinct": 3},
        ),
        (
            {"unknown": "missing"},
            ["a", "b", None, None, "a", None],
            [True] * 6,
            {"missing": 3, "distinct": 2},
        ),
        (
            {"unknown": "exclude"},
            ["a", "b", None, None, "a", None],
            [True, True, False, True, True, False],
            {"missing": 1, "excluded": 2, "distinct": 2},
        ),
        (
            {"unknown": "missing", "missing": "value", "missing_value": "b"},
            ["a", "b", "b", "b", "a", "b"],
            [True] * 6,
            {"missing": 3, "distinct": 2},
        ),
        (
            {"unknown": "other", "missing": "refuse"},
            ["a", "b", "(other)", None, "a", "(other)"],
            [True] * 6,
            {"missing": 1, "distinct": 3, "missing_refused": True},
        ),
    ],
)
def test_categories_by_hand(
    rule: dict[str, Any], values: list[str | None], keep: list[bool], counts: dict[str, Any]
) -> None:
    found = coded(ENTRIES, {"kind": "category", "categories": ["a", "b"], **rule}, max_missing="0.5")
    assert [None if each != each else each for each in found.values] == values
    assert found.keep.tolist() == keep
    assert found.facts == facts(
        kind="category", rows=6, present=5, unknown=2, max_missing=Decimal("0.5"), **counts
    )
    there = [stays and each not in (None, "(other)") for each, stays in zip(values, keep, strict=True)]
    assert found.known.tolist() == there
    assert found.classes == 2
    assert known(found.values).tolist() == [each not in (None, "(other)") for each in values]


def test_a_code_is_read_by_its_exact_spelling_first_and_then_loosely() -> None:
    kind = {"kind": "category", "categories": ["one", "two", "plus"]}
    values = {"1": "one", "02": "two", "+1": "plus"}
    found = coded(["1", "1.0", "1.00", "+1", "+1.0", "02", "2", "one", "1.5", "-1"], kind, values=values)
    texts = [None if each != each else each for each in found.values]
    assert texts[:6] == ["one", "plus", "plus", "plus", "plus", "two"]
    assert texts[6:] == ["(other)", "one", "(other)", "(other)"]


def test_flags_are_truth_in_the_order_of_their_names() -> None:
    found = coded([True, False, None, "yes", "no"], {"kind": "flag"})
    assert [None if each != each else each for each in found.values] == ["yes", "no", None, "yes", "no"]
    assert (found.facts.present, found.facts.missing, found.facts.distinct) == (4, 1, 2)


def test_free_text_is_refused() -> None:
    with pytest.raises(TableError, match="RF-T028") as caught:
        coded(["hello"], {"kind": "text"})
    assert caught.value.values == {"column": "x"}


TABLE = {
    "AGE": [30, None, 200],
    "PLAN_CD": ["1", "2", "9"],
    "joined": [date(2020, 2, 29), None, date(2031, 1, 1)],
    "churn": ["N", "Y", "maybe"],
}


def test_facts_of_a_table_and_of_its_label() -> None:
    features = [*FEATURES[:-1], {"name": "churn", "kind": "flag"}]
    contract, schema, allowed = documents(
        features, COLUMNS, max_customers=77, min_cohort=5, duplicates="last"
    )
    made = code_columns(dict(TABLE), contract, schema, allowed, located, "t")
    assert list(made) == ["age", "plan", "joined", "churn"]
    found = facts_of(contract, allowed, made, rows=3, customers=2)
    assert (found.rows, found.customers, found.keyless, found.repeated, found.surplus) == (3, 2, 0, 0, 0)
    assert (found.duplicates, found.max_customers, found.min_cohort) == ("last", 77, 5)
    assert (found.label, found.label_classes) == ("churn", 2)
    assert [each.name for each in found.columns] == ["age", "plan", "joined", "churn"]
    # Of the label, whoever is not known is left out: here "maybe".
    assert [each.excluded for each in found.columns] == [0, 0, 0, 1]
    assert found.columns[0] == made["age"].facts


def test_a_table_without_a_label_has_no_classes() -> None:
    contract, schema, allowed = documents(FEATURES[:-1], COLUMNS[:-1])
    made = code_columns(dict(TABLE), contract, schema, allowed, located, "t")
    found = facts_of(contract, allowed, made, rows=3, customers=3)
    assert (found.label, found.label_classes) == (None, 0)
    assert [each.excluded for each in found.columns] == [0, 0, 0]


def test_all_that_cannot_be_coded_is_told_at_once() -> None:
    contract, schema, allowed = documents()
    bad = TABLE | {"AGE": ["x", 1, 2], "joined": ["never", None, None]}
    with pytest.raises(TableError) as caught:
        code_columns(dict(bad), contract, schema, allowed, located, "t")
    assert "RF-T025" in str(caught.value)
    assert "RF-T026" in str(caught.value)


def test_a_column_that_the_contract_lacks_is_refused() -> None:
    contract, schema, allowed = documents()
    fewer, _, _ = documents(FEATURES, COLUMNS[1:])
    with pytest.raises(ContractError, match="RF-T029") as caught:
        code_columns(dict(TABLE), fewer, schema, allowed, located, "t")
    assert caught.value.values == {"column": "age"}
    assert contract.column("age") is not None
