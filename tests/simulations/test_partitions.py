"""Partitions use every row once, skew what they promise and refuse in one sentence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.privacy.agreements.parties import may_be_called
from ringfence.privacy.errors import UsageError
from ringfence.simulations.partitions import parse_spec, partition


def table(rows: int, *, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "row": np.arange(rows),
            "label": np.where(rng.random(rows) < 0.3, "yes", "no"),
            "city": rng.choice(["North", "South side", "West"], rows),
        },
        index=pd.RangeIndex(100, 100 + rows),
    )


def rows_of(parts: dict[str, pd.DataFrame]) -> list[int]:
    return [row for part in parts.values() for row in part["row"].tolist()]


@given(
    rows=st.integers(1, 60),
    share=st.floats(0, 1),
    alpha=st.sampled_from([None, 1e-6, 0.01, 0.5, 3.0, 1e6]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_every_row_is_at_exactly_one_holder_and_no_holder_is_empty(
    rows: int, share: float, alpha: float | None, seed: int
) -> None:
    holders = 1 + int(share * (rows - 1))
    frame = table(rows, seed=seed % 7)
    spec = "iid" if alpha is None else f"dirichlet:{alpha}"
    parts = partition(frame, spec, holders, seed, label="label")
    assert sorted(rows_of(parts)) == list(range(rows))
    assert len(parts) == holders
    assert all(len(part) for part in parts.values())
    assert all(part.equals(frame.loc[part.index]) for part in parts.values())


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        st.sampled_from(["A b", "a_b", "Ab", "é", "-1", "1", "月付", "", None, "x" * 60]), min_size=1
    )
)
def test_by_column_gives_one_safe_distinct_name_a_value(values: list[str | None]) -> None:
    frame = pd.DataFrame({"row": range(len(values)), "code": pd.Series(values, dtype=object)})
    parts = partition(frame, "by:code", None, 0)
    assert sorted(rows_of(parts)) == list(range(len(values)))
    assert len(parts) == len({value or "" for value in values})
    assert all(0 < len(name) <= 45 and name.replace("-", "").isalnum() for name in parts)
    again = partition(frame.iloc[::-1], "by:code", None, 5)
    assert {name: sorted(part["row"]) for name, part in parts.items()} == {
        name: sorted(part["row"]) for name, part in again.items()
    }


def test_thousands_of_holders_are_refused_before_anything_is_cut() -> None:
    frame = table(1000)
    assert len(partition(frame, "iid", 200, 0)) == 200
    with pytest.raises(UsageError, match=r"RF-U331.*at most 200 .*5000"):
        partition(frame, "iid", 5000, 0)
    with pytest.raises(UsageError, match=r"RF-U331"):
        partition(frame, "dirichlet:1", 201, 0, label="label")
    for holders in (None, 1000):
        with pytest.raises(UsageError, match=r"RF-U330.*row has 1000 values"):
            partition(frame, "by:row", holders, 0)


def test_names_of_values_are_readable() -> None:
    frame = pd.DataFrame({"v": ["Month-to-month", "Two year", "two_year", " ", "月付"]})
    assert list(partition(frame, "by:v", 5, 0)) == [
        "missing",
        "month-to-month",
        "two-year",
        "two-year-2",
        "月付",
    ]


def test_a_value_that_no_holder_may_be_called_by_gets_another_name() -> None:
    values = ["coordinator", "nul", "\uff11", "1", "b\u0430nk", "O", "0"]
    parts = partition(pd.DataFrame({"v": values}), "by:v", None, 0)
    names = {part["v"].iloc[0]: name for name, part in parts.items()}
    assert names == {
        "0": "0",
        "1": "1",
        "O": "o-2",
        "b\u0430nk": "holder",
        "coordinator": "holder-2",
        "nul": "holder-3",
        "\uff11": "1-2",
    }
    assert all(may_be_called(name) for name in names.values())


def test_numbers_and_missing_values_become_names() -> None:
    frame = pd.DataFrame({"v": [1.0, 2.5, -1.0, np.nan]})
    parts = partition(frame, "by:v", None, 0)
    assert {name: len(part) for name, part in parts.items()} == {"missing": 1, "minus-1": 1, "1": 1, "2-5": 1}


def test_a_seed_fixes_the_cut_and_another_changes_it() -> None:
    frame = table(200)
    for spec in ("iid", "dirichlet:0.5"):
        first, again, other = (partition(frame, spec, 4, seed, label="label") for seed in (1, 1, 2))
        assert rows_of(first) == rows_of(again)
        assert rows_of(first) != rows_of(other)


def test_iid_sizes_differ_by_one_at_most() -> None:
    sizes = [len(part) for part in partition(table(103), "iid", 10, 3).values()]
    assert max(sizes) - min(sizes) == 1


def test_small_alpha_skews_labels_and_large_alpha_does_not() -> None:
    frame = table(6000)

    def spread(spec: str) -> float:
        rates = [
            (part["label"] == "yes").mean()
            for seed in range(10)
            for part in partition(frame, spec, 5, seed, label="label").values()
            if len(part) >= 100
        ]
        return float(np.std(rates))

    assert spread("dirichlet:0.3") > 0.15
    assert spread("dirichlet:10000") < 0.03
    assert spread("iid") < 0.03


def test_dirichlet_shares_have_the_mean_and_variance_of_the_distribution() -> None:
    """Mean 1/K and variance (K-1)/(K^2 (K alpha + 1)) of one holder's share, 400 seeds.

    At alpha = 0.5, K = 4 the share has standard deviation .25, so the mean of 400 lies within 6.1 * .0125 of
    1/4 with failure probability below 1e-9.
    """
    frame = pd.DataFrame({"row": range(400), "label": ["a"] * 400})
    shares = [
        len(partition(frame, "dirichlet:0.5", 4, seed, label="label")["holder-1"]) / 400
        for seed in range(400)
    ]
    assert abs(np.mean(shares) - 0.25) < 6.1 * 0.0125
    assert 0.03 < np.var(shares) < 0.10  # 0.0625; an even cut has 0, one owner for all has 0.1875


def test_a_table_with_one_label_and_missing_labels_is_cut() -> None:
    frame = pd.DataFrame({"row": range(20), "label": [None] * 10 + ["yes"] * 10})
    assert sorted(rows_of(partition(frame, "dirichlet:0.5", 3, 0, label="label"))) == list(range(20))


@pytest.mark.parametrize(
    ("spec", "holders", "code"),
    [
        ("", 3, "RF-U321"),
        ("iid:3", 3, "RF-U321"),
        ("by:", 3, "RF-U321"),
        ("dirichlet", 3, "RF-U321"),
        ("dirichlet:", 3, "RF-U321"),
        ("random", 3, "RF-U321"),
        ("dirichlet:0", 3, "RF-U322"),
        ("dirichlet:-1", 3, "RF-U322"),
        ("dirichlet:nan", 3, "RF-U322"),
        ("dirichlet:inf", 3, "RF-U322"),
        ("dirichlet:much", 3, "RF-U322"),
        ("iid", 0, "RF-U323"),
        ("iid", -2, "RF-U323"),
        ("iid", None, "RF-U323"),
        ("dirichlet:1", 11, "RF-U324"),
        ("by:nowhere", None, "RF-U326"),
        ("by:city", 17, "RF-U328"),
    ],
)
def test_bad_requests_are_refused_in_one_sentence(spec: str, holders: int | None, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        partition(table(10), spec, holders, 0, label="label")
    assert caught.value.code == code
    assert caught.value.exit_status == 2
    sentence = caught.value.sentence()
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert "{" not in sentence


def test_dirichlet_needs_a_label_that_is_there() -> None:
    with pytest.raises(UsageError, match="RF-U325"):
        partition(table(10), "dirichlet:1", 2, 0)
    with pytest.raises(UsageError, match="RF-U326"):
        partition(table(10), "dirichlet:1", 2, 0, label="nowhere")


def test_an_empty_table_has_nothing_to_cut() -> None:
    with pytest.raises(UsageError, match="RF-U327"):
        partition(table(0), "by:city", None, 0)
    with pytest.raises(UsageError, match="RF-U324"):
        partition(table(0), "iid", 1, 0)


def test_a_column_name_may_hold_a_colon() -> None:
    assert parse_spec("by:a:b").column == "a:b"
