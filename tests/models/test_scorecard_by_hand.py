"""A printed card, read by hand with its labels alone, gives every customer the points of the model."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kits.card_kit import fit, split
from kits.small import Rows, context_of, frame_of, matrix_of, schema_of, study_of

from ringfence.models.edges import NUMBER_CELLS
from ringfence.models.features import cell_edges, encode_rows, grid_of, number_codes
from ringfence.models.scorecard import Scorecard
from ringfence.models.scorecard.labels import labels_of
from ringfence.models.task import StudyContext
from ringfence.privacy.agreements.schema import Feature


def number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-"))


def fits(label: str, value: object) -> bool:
    """Whether a person would put a value into the bin of this label."""
    return any(_fits(each, value) for each in label.split(", "))


def _fits(told: str, value: object) -> bool:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    if told == "(missing)" or missing:
        return told == "(missing)" and missing
    if isinstance(value, str):
        return told == value
    assert isinstance(value, float)
    told = told.replace("before", "below").replace("after", "above")
    if told in ("any number", "any date"):
        return True
    if told.startswith("below "):
        return value < edge(told.removeprefix("below "))
    if told.endswith(" and above"):
        return value >= edge(told.removesuffix(" and above"))
    low, high = told.split(" to below ")
    return edge(low) <= value < edge(high)


def edge(text: str) -> float:
    return float(date.fromisoformat(text).toordinal()) if text.count("-") == 2 else number(text)


def by_hand(card: Scorecard, frame: pd.DataFrame) -> list[int]:
    """Points added up from the printed table: one line of every feature."""
    table = card.points_table()
    lines = {
        str(name): [(str(row["bin"]), int(row["points"])) for row in part.to_dict("records")]
        for name, part in table.groupby("feature")
    }
    total = []
    for row in frame.to_dict("records"):
        hits = [
            [points for label, points in lines[name] if fits(label, row[name])]
            for name in (part.name for part in card.parts)
        ]
        assert all(len(each) == 1 for each in hits)
        total.append(card.base_points + sum(each[0] for each in hits))
    return total


def test_printed_points_add_up_to_the_scored_points_of_every_customer() -> None:
    context = context_of()
    card = fit(context, split(matrix_of(context, frame_of(9000, 1)), 3))
    frame = frame_of(4000, 2)
    known = frame[frame["plan"] != "unheard-of"].reset_index(drop=True)
    assert card.pairs == ()
    scored = card.predict(context, matrix_of(context, known))["points"].tolist()
    assert by_hand(card, known) == scored
    table = card.points_table()
    assert not table.duplicated(["feature", "bin"]).any()


def test_points_are_off_the_log_odds_by_no_more_than_the_card_says() -> None:
    context = context_of()
    card = fit(context, split(matrix_of(context, frame_of(9000, 1)), 3))
    features = matrix_of(context, frame_of(4000, 2))
    exact = 500 + 20 / math.log(2) * card.scores(context, features) / 2**16
    apart = np.abs(card.points(context, features) - exact).max()
    assert 0 < apart <= card.rounding + 1e-9
    assert card.rounding <= (1 + len(card.terms)) / 2


BOUNDS = st.one_of(
    st.tuples(
        st.decimals(-10000, 10000, places=2, allow_nan=False),
        st.decimals("0.01", 10000, places=2, allow_nan=False),
    ).map(lambda two: ("linear", [two[0], two[0] + two[1]])),
    st.tuples(st.decimals("0.001", 10, places=3), st.decimals("1.5", 100000, places=1)).map(
        lambda two: ("log", [two[0], two[0] * two[1]])
    ),
)


@settings(max_examples=60, deadline=None)
@given(BOUNDS, st.sets(st.integers(1, NUMBER_CELLS - 1), max_size=30), st.data())
def test_every_number_fits_the_label_of_its_bin_and_no_other(
    bounds: tuple[str, list[object]], cuts: set[int], data: st.DataObject
) -> None:
    scale, (low, high) = bounds
    feature = Feature.model_validate(
        {"name": "x", "kind": "number", "bounds": [str(low), str(high)], "scale": scale, "missing": "refuse"}
    )
    schema = schema_of(
        [feature.model_dump(mode="json", exclude_none=True), {"name": "churn", "kind": "flag"}]
    )
    context = StudyContext.of(study_of(schema, features=["x"]), schema)
    local = np.searchsorted(sorted(cuts), np.arange(NUMBER_CELLS), side="right")
    labels = labels_of(context, "x", grid_of(feature), local)
    edges = cell_edges(feature)
    assert len(set(labels)) == len(cuts) + 1
    assert (np.diff(edges) > 0).all()
    drawn = data.draw(st.lists(st.floats(float(edges[0]) - 1, float(edges[-1]) + 1), max_size=20))
    values = np.array([*edges, *np.nextafter(edges, -np.inf), *np.nextafter(edges, np.inf), *drawn])
    for value, cell in zip(values.tolist(), number_codes(values, feature).tolist(), strict=True):
        assert [b for b, label in enumerate(labels) if fits(label, value)] == [local[cell]]


@pytest.mark.parametrize("bounds", [["2020-01-01", "2026-01-01"], ["2026-01-01", "2026-02-10"]])
def test_every_date_fits_the_label_of_its_bin_and_no_other(bounds: list[str]) -> None:
    """Between close bounds cells without a day must not make bins without one."""
    schema = schema_of(
        [
            {"name": "since", "kind": "date", "bounds": bounds, "missing": "refuse"},
            {"name": "churn", "kind": "flag"},
        ]
    )
    study = study_of(schema, features=["since"], privacy={"epsilon": "100"}, model={"bins": 64, "cells": 256})
    context = StudyContext.of(study, schema)
    first, last = (date.fromisoformat(each).toordinal() for each in bounds)
    rng = np.random.default_rng(1)
    days = rng.integers(first - 3, last + 4, 3000).astype(np.float64)
    churn = np.where(rng.random(3000) < (days - first) / (last - first), "yes", "no")
    frame = pd.DataFrame({"since": days, "churn": churn})
    rows = encode_rows(Rows(frame), schema, ("since",), "churn", "yes")
    card = fit(context, [rows], noisy=False)
    assert len(card.parts[0].bins) > 10
    assert by_hand(card, frame) == card.predict(context, rows)["points"].tolist()


def test_neighbouring_bins_between_near_bounds_are_told_apart() -> None:
    schema = schema_of(
        [{"name": "x", "kind": "number", "bounds": [100, 110]}, {"name": "churn", "kind": "flag"}]
    )
    context = StudyContext.of(study_of(schema, features=["x"]), schema)
    local = np.concatenate([np.arange(NUMBER_CELLS) // 32, [8]])
    labels = labels_of(context, "x", grid_of(schema.feature("x")), local)
    assert labels == [
        "below 101.25",
        "101.25 to below 102.5",
        "102.5 to below 103.75",
        "103.75 to below 105",
        "105 to below 106.25",
        "106.25 to below 107.5",
        "107.5 to below 108.75",
        "108.75 and above",
        "(missing)",
    ]


def test_a_category_that_reads_like_two_stands_in_quotation_marks() -> None:
    schema = schema_of(
        [
            {"name": "x", "kind": "category", "categories": ["a", "b", "a, b", "(missing)"]},
            {"name": "churn", "kind": "flag"},
        ]
    )
    context = StudyContext.of(study_of(schema, features=["x"]), schema)
    labels = labels_of(context, "x", grid_of(schema.feature("x")), np.array([0, 0, 1, 2, 3, 4]))
    assert labels == ["a, b", '"a, b"', '"(missing)"', "(other)", "(missing)"]
