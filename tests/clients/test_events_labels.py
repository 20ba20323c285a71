"""Labels beside `silent`: events of some kinds from the cutoff on, and kinds that are no orders."""

from __future__ import annotations

import datetime
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kits.event_kit import WINDOW, allowed_of, codes_noted, contract_of, read_lines, rows, schema_of

from ringfence.privacy.agreements.contract import load_contract
from ringfence.privacy.agreements.policy import allowed_columns
from ringfence.privacy.agreements.schema import EventWindow, Schema
from ringfence.privacy.agreements.study import load_study
from ringfence.privacy.agreements.study_draft import StudyOutline, draft_study
from ringfence.privacy.errors import RingfenceError, StudyError, TableError
from ringfence.privacy.toml.faults import Problems

CUTOFF = datetime.date.fromisoformat(WINDOW["cutoff"])
MIXED: dict[str, Any] = {
    "not_orders": ["complaint"],
    "label": [
        {"name": "buy_toys", "kinds": ["toys"], "days": 60},
        {"name": "complain", "kinds": ["complaint"], "days": 10},
        {"name": "stop_paying", "kinds": ["food", "toys"], "days": 30, "absent": True},
    ],
}
MEANING = {"F": "food", "T": "toys", "K": "complaint"}


def line(who: str, day: int, dept: str, price: str = "10", invoice: str = "") -> str:
    return f"{who},{(CUTOFF + datetime.timedelta(days=day)).isoformat()},{price},1,{invoice},{dept},a"


def read(folder: Path, lines: list[str], **events: Any) -> dict[str, dict[str, Any]]:
    return rows(read_lines(folder, lines, window=MIXED, values=MEANING, **events))


@pytest.mark.parametrize(
    ("day", "dept", "price", "expected"),
    [
        # will_buy_toys, will_complain, will_stop_paying, silent
        (-1, "T", "10", ("no", "no", "yes", "yes")),
        (0, "T", "10", ("yes", "no", "no", "no")),
        (29, "T", "10", ("yes", "no", "no", "no")),
        (30, "T", "10", ("yes", "no", "yes", "yes")),
        (59, "T", "10", ("yes", "no", "yes", "yes")),
        (60, "T", "10", ("no", "no", "yes", "yes")),
        (5, "F", "10", ("no", "no", "no", "no")),
        (5, "T", "-10", ("no", "no", "yes", "yes")),  # a return is no purchase
        (9, "K", "", ("no", "yes", "yes", "yes")),  # no order, so the customer stays silent
        (10, "K", "", ("no", "no", "yes", "yes")),
        (5, "?", "10", ("no", "no", "yes", "no")),  # an order of a kind that the window does not name
    ],
)
def test_a_label_sees_its_kinds_in_its_own_days(
    tmp_path: Path, day: int, dept: str, price: str, expected: tuple[str, ...]
) -> None:
    row = read(tmp_path, [line("ann", -45, "F"), line("ann", day, dept, price)], returns="subtract")["ann"]
    assert tuple(row[f"will_{name}"] for name in ("buy_toys", "complain", "stop_paying")) == expected[:3]
    assert row["silent"] == expected[3]


def test_what_is_no_order_is_counted_apart_and_needs_no_amount(tmp_path: Path) -> None:
    lines = [
        line("ann", -40, "F"),
        line("ann", -30, "K", ""),
        line("ann", -30, "K", "-5"),
        line("ann", -2, "K", "7"),
        line("bob", -3, "T"),
        line("eve", -3, "K", ""),  # a complaint and no order: no row
    ]
    raw = read_lines(tmp_path, lines, window=MIXED, values=MEANING)
    found = rows(raw)
    assert set(found) == {"ann", "bob"}
    ann = found["ann"]
    assert (ann["recency_days"], ann["orders"], ann["spend"]) == (40, 1, 10)
    assert (ann["events_complaint"], ann["share_food"], ann["share_toys"]) == (3, 1, 0)
    assert found["bob"]["events_complaint"] == 0.5  # nothing at all is the smallest bound
    assert not {"RF-T064", "RF-T067"} & codes_noted(raw)
    facts = raw.quality.facts.events
    assert facts is not None
    assert (facts.history, facts.unpriced, facts.returns) == (6, 0, 0)


CELLS = st.tuples(
    st.sampled_from(["ann", "bob", "eve"]),
    st.sampled_from([-91, -90, -30, -1, 0, 9, 10, 29, 30, 59, 60]),
    st.sampled_from(["F", "T", "K", "?", ""]),
    st.sampled_from(["5", "-3", "0", ""]),
    st.sampled_from(["", "1", "2", "C3"]),
)


@given(cells=st.lists(CELLS, min_size=1, max_size=20), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_adding_a_customer_changes_that_customers_row_alone(
    tmp_path: Path, cells: list[tuple[Any, ...]], seed: int
) -> None:
    lines = [line(*entry) for entry in cells]
    random.Random(seed).shuffle(lines)
    together = read_or_none(tmp_path, lines)
    apart: dict[str, dict[str, Any]] = {}
    for who in ("ann", "bob", "eve"):
        own = [text for text in lines if text.startswith(f"{who},")]
        future = [text for text in own if text.split(",")[1] >= CUTOFF.isoformat()]
        alone = read_or_none(tmp_path, own)
        past = read_or_none(tmp_path, [text for text in own if text not in future])
        apart |= alone
        # What happens from the cutoff on moves labels alone.
        assert without_labels(past) == without_labels(alone)
    assert apart == together


def without_labels(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        who: {name: value for name, value in row.items() if not name.startswith("will_") and name != "silent"}
        for who, row in found.items()
    }


def read_or_none(folder: Path, lines: list[str]) -> dict[str, dict[str, Any]]:
    try:
        return read(folder, lines, returns="subtract") if lines else {}
    except TableError as error:
        if error.code == "RF-T060":
            return {}
        raise


def test_another_label_is_never_a_feature(tmp_path: Path) -> None:
    schema = schema_of(**MIXED)
    contract = contract_of(schema, values=MEANING)
    for label in ("silent", "will_complain"):
        names = ask(label, tmp_path, schema)
        assert "orders" in names
        assert not set(schema.future) & set(names)
        assert allowed_of(contract, schema).features == names
    with pytest.raises(StudyError) as caught:
        ask("will_complain", tmp_path, schema, features='["orders", "silent"]')
    assert "RF-S550" in str(caught.value)
    assert '"silent" is made of days from the cutoff on' in str(caught.value)


def ask(label: str, folder: Path, schema: Schema, features: str = "") -> tuple[str, ...]:
    """The features that a study of that label may read, by the policy."""
    text = f'''
id = "s"
schema = "{schema.digest()}"
purpose = "churn-prediction"
legal_basis = "consent"
task = "scorecard"
label = "{label}"
expires = 2035-12-31
dpia = "-"
{f"features = {features}" if features else ""}
[privacy]
epsilon = "1"
delta = "0.000001"
noise = "local"
min_holders = 1
'''
    (folder / "study.toml").write_text(text, encoding="utf-8")
    study = load_study(folder / "study.toml", [schema])
    return allowed_columns(contract_of(schema, values=MEANING), study, schema).features


def test_a_draft_names_every_label_and_never_lists_one_as_a_feature() -> None:
    schema = schema_of(**MIXED)
    outline = StudyOutline(
        schema=schema,
        reference="schema.toml",
        purpose="churn-prediction",
        purposes=["churn-prediction"],
        allowed=schema.names,
        label=None,
        max_customers=100,
    )
    text = draft_study(outline)
    assert "one of: silent, will_buy_toys, will_complain, will_stop_paying" in text
    assert "#   will_stop_paying: No event of food, toys in the 30 days from the cutoff on" in text
    one = StudyOutline(
        schema=schema,
        reference="schema.toml",
        purpose="churn-prediction",
        purposes=["churn-prediction"],
        allowed=schema.names,
        label="will_complain",
        max_customers=100,
    )
    listed = draft_study(one).partition("features = [")[2]
    assert '"orders"' in listed
    assert not any(f'"{name}"' in listed for name in schema.future)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"label": [{"name": "a", "kinds": ["boats"], "days": 9}]}, "RF-C346"),
        ({"label": [{"name": "a", "kinds": ["toys"], "days": 9}] * 2}, "RF-C345"),
        ({"not_orders": ["toys"]}, "RF-C124"),
        ({"not_orders": ["a", "a"]}, "RF-C124"),
    ],
)
def test_a_window_that_cannot_be_meant_is_refused(change: dict[str, Any], code: str) -> None:
    with pytest.raises((Problems, ValueError)) as caught:
        EventWindow.model_validate(WINDOW | change)
    (problem,) = caught.value.errors()[0]["ctx"]["error"].problems
    assert problem.code == code


def test_a_contract_without_the_column_of_kinds_is_told(tmp_path: Path) -> None:
    schema = schema_of(kinds=[], not_orders=["complaint"])
    text = f'''
id = "c"
holder = "h"
version = 1
schema = "{schema.digest()}"
subject = "who"
population = "p"
jurisdiction = "DE"
max_customers = 100
min_cohort = 1
source = {{file = "orders.csv"}}
[events]
time = "day"
amount = "price"
'''
    (tmp_path / "contract.toml").write_text(text, encoding="utf-8")
    with pytest.raises(RingfenceError) as caught:
        load_contract(tmp_path / "contract.toml", [schema])
    assert "RF-C145" in str(caught.value)
