"""The stages of the table's way: who is in, what is dropped, and that nothing depends on order or other
rows.
"""

from __future__ import annotations

import hmac
import random
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kits.table_kit import (
    COLUMNS,
    FEATURES,
    NOW,
    PURPOSE,
    ROWS,
    SPLIT,
    documents,
    everybody,
    minimise,
    write,
)

from ringfence.clients.rows.splitting import split_values
from ringfence.clients.rows.table import consented, read_table
from ringfence.privacy.consent import Cohort
from ringfence.privacy.errors import ConsentError, ContractError, TableError


@pytest.mark.parametrize(("rule", "age"), [("first", 20.0), ("last", 50.0)])
def test_one_row_a_customer(tmp_path: Path, rule: str, age: float) -> None:
    write(tmp_path, ["a,20", "a,30", "b,40", "a,50"], "id,AGE")
    raw = read_table(*documents(FEATURES[:1], COLUMNS[:1], duplicates=rule), tmp_path)
    assert sorted(minimise(raw).frame["age"]) == sorted([age, 40.0])
    assert raw.quality.passed


def test_a_table_that_fails_the_gate_goes_no_further(tmp_path: Path) -> None:
    write(tmp_path, ["a,20", "a,30"], "id,AGE")
    raw = read_table(*documents(FEATURES[:1], COLUMNS[:1]), tmp_path)
    assert not raw.quality.passed
    with pytest.raises(TableError, match="RF-T040"):
        minimise(raw)


def test_rows_whose_label_is_not_known_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, ["a,30,1,,N,", "b,31,1,,,", "c,32,1,,maybe,"])
    assert minimise(read_table(*documents(), tmp_path)).frame["age"].tolist() == [30]


def test_only_those_who_consent_are_in(tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    raw = read_table(*documents(), tmp_path)
    registry = everybody(["a", "c", "elsewhere"])
    registry.withdraw(["c"], PURPOSE, NOW)
    assert minimise(raw, registry=registry).frame["age"].tolist() == [30]


def test_sensitive_columns_need_the_separate_consent(tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    columns = [COLUMNS[0] | {"sensitivity": "sensitive"}, *COLUMNS[1:]]
    raw = read_table(*documents(columns=columns), tmp_path)
    assert len(minimise(raw, registry=everybody(["a", "b", "c"]))) == 0
    assert len(minimise(raw, registry=everybody(["a", "b"], "sensitive-data"))) == 2
    registry = everybody(["a", "b", "c"], "sensitive-data")
    cohort = Cohort.freeze(
        registry, study="s", run="r", purpose=PURPOSE, at=NOW, indices=registry.indices(raw.keys())
    )
    with pytest.raises(ConsentError, match="RF-N023"):
        consented(raw, registry, cohort.current(registry, NOW))


def test_only_allowed_columns_can_be_taken(tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    raw = read_table(*documents(), tmp_path)
    for features in (("notes",), ("churn",), ("id",)):
        with pytest.raises(ContractError, match="RF-T031"):
            minimise(raw, features=features)
    assert list(minimise(raw, features=("plan",)).frame.columns) == ["plan", "churn"]
    with pytest.raises(TableError, match="RF-T032"):
        minimise(raw, split_key=b"short")


def test_nothing_that_identifies_is_left(tmp_path: Path) -> None:
    write(tmp_path, [f"customer-{i},{20 + i % 3},1,,N,secret-{i}" for i in range(50)])
    table = minimise(read_table(*documents(), tmp_path))
    shown = table.frame.to_csv() + repr(table) + str(table.frame.index.tolist())
    assert "customer-" not in shown
    assert "secret-" not in shown
    assert table.frame.index.tolist() == list(range(50))
    assert not hasattr(table, "_keys")


def test_the_split_is_the_keyed_hash_of_the_customer_alone(tmp_path: Path) -> None:
    keys = [f"k{i}" for i in range(2000)]
    write(tmp_path, [f"{key},{i % 60 + 20}.{i:04d}" for i, key in enumerate(keys)], "id,AGE")
    raw = read_table(*documents(FEATURES[:1], COLUMNS[:1]), tmp_path)
    table = minimise(raw, fraction=Decimal("0.2"))
    ages = {f"{i % 60 + 20}.{i:04d}": key for i, key in enumerate(keys)}
    for age, is_test in zip(table.frame["age"], table.is_test.tolist(), strict=True):
        digest = hmac.digest(SPLIT, ages[f"{age:.4f}"].encode(), "sha256")
        assert is_test == (Fraction(int.from_bytes(digest[:8]), 2**64) < Fraction(1, 5))
    assert 250 < table.is_test.sum() < 550  # 400 expected, sd 17.9: fixed keys, so this cannot vary
    assert not minimise(raw, fraction=Decimal(0)).is_test.any()
    other = minimise(raw, fraction=Decimal("0.2"), split_key=b"the split key of another one")
    assert other.frame["age"].tolist() != table.frame["age"].tolist()
    long_key = minimise(raw, fraction=Decimal("0.5"), split_key=b"k" * 100)
    first = hmac.digest(b"k" * 100, ages[f"{long_key.frame['age'][0]:.4f}"].encode(), "sha256")
    assert bool(long_key.is_test[0]) == (first[0] < 128)


@given(customers=st.lists(st.text(max_size=300), max_size=30), key=st.binary(min_size=1, max_size=200))
@settings(max_examples=200, deadline=None)
def test_the_split_values_are_hmac_as_the_standard_has_it(customers: list[str], key: bytes) -> None:
    writable = [each.encode("utf-8", "replace").decode() for each in customers]
    digests = [hmac.digest(key, each.encode(), "sha256") for each in writable]
    side, order = split_values(writable, key)
    assert side.tolist() == [int.from_bytes(digest[:8]) for digest in digests]
    assert order.tolist() == [int.from_bytes(digest[8:16]) for digest in digests]


CELLS = st.tuples(
    st.sampled_from(["", "19", "30.5", "1000", "-4"]),
    st.sampled_from(["", "1", "2.0", "gold", "?"]),
    st.sampled_from(["", "2020-01-01", "1990-05-05"]),
    st.sampled_from(["N", "Y", "", "?"]),
)


@given(rows=st.lists(CELLS, min_size=1, max_size=12), seed=st.integers(0, 9))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_rows_changes_nothing(tmp_path: Path, rows: list[tuple[str, ...]], seed: int) -> None:
    folder = tmp_path
    lines = [",".join((f"c{i}", *cells, "")) for i, cells in enumerate(rows)]
    tables = []
    for order in (lines, random.Random(seed).sample(lines, len(lines))):
        write(folder, order)
        raw = read_table(*documents(), folder)
        if raw.quality.passed:
            tables.append(minimise(raw, fraction=Decimal("0.5")))
    assert len(tables) in (0, 2)
    if tables:
        pd.testing.assert_frame_equal(tables[0].frame, tables[1].frame)
        assert tables[0].is_test.tolist() == tables[1].is_test.tolist()


@given(rows=st.lists(CELLS, min_size=2, max_size=8))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_row_is_coded_without_regard_to_other_rows(tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    folder = tmp_path
    lines = [",".join((f"c{i}", *cells, "")) for i, cells in enumerate(rows)]
    write(folder, lines)
    together = read_table(*documents(), folder)
    apart = []
    for line in lines:
        write(folder, [line])
        apart.append(read_table(*documents(), folder)._frame)
    pd.testing.assert_frame_equal(together._frame, pd.concat(apart, ignore_index=True))
