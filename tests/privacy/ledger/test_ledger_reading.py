"""Entries are read strictly: an unknown kind, field, form or version is refused with its place."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from kits.ledger_support import STUDY, forge, new_ledger, put_entry, refused, reopen
from sqlalchemy import Engine, text

from ringfence.privacy.errors import BudgetError
from ringfence.privacy.ledger.reading import Misread, record_of
from ringfence.privacy.stores.store import open_store

ENTRIES = [
    json.loads(row["entry"])
    for rows in json.loads(
        (Path(__file__).parents[2] / "assets" / "ledgers" / "golden.json").read_text(encoding="utf-8")
    ).values()
    for row in rows
]
BY_KIND: dict[str, dict[str, Any]] = {each["kind"]: each["fields"] for each in ENTRIES}
LOST = {"lost_after": 0, "lost_last": 8, "lost_until": 1_700_000_000_000_000}
OPTIONAL = {"part", "decision"}
EVERY = [(each["kind"], each["fields"]) for each in ENTRIES]
RESERVED = {"study": STUDY, "amounts": {"mu2": "0.1"}, "epsilon_slack": "0", "delta_slack": "0"}
CHARGED = {
    "reservation": 2,
    "run": "r",
    "round": 0,
    "attempt": 1,
    "part": "train",
    "amounts": {"mu2": "0.1"},
}
DECIDED = {"approvals": ["a", "b"], "amounts": {"mu2": "0.1"}, "reason": "x", "decision": "d"}
CREATED = {
    "population": "p",
    "filter": "gdp",
    "epsilon": "1",
    "delta": "0.01",
    "budget": {"mu2": "0.5"},
    "epsilon_allowance": "0",
    "delta_allowance": "0",
}


def place(kind: object, fields: object) -> str:
    with pytest.raises(Misread) as misread:
        record_of(kind, fields)
    return misread.value.place


def test_every_kind_was_looked_at() -> None:
    assert set(BY_KIND) == {"created", "reserved", "charged", "committed", "frozen", "thawed", "topped-up"}


@pytest.mark.parametrize(("kind", "fields"), EVERY)
def test_a_record_writes_what_was_read(kind: str, fields: dict[str, object]) -> None:
    record = record_of(kind, fields)
    assert record.kind == kind
    assert record.fields() == fields
    assert record_of(kind, dict(record.fields())) == record


@pytest.mark.parametrize(("kind", "fields"), EVERY)
def test_no_field_may_be_missing_or_added(kind: str, fields: dict[str, object]) -> None:
    for name in fields.keys() - OPTIONAL:
        assert place(kind, {key: value for key, value in fields.items() if key != name}) == name
    assert place(kind, fields | {"zone": "x"}) == "zone"
    assert place(kind, fields | {"not a name\n": "x"}) == "fields"
    for name in OPTIONAL - fields.keys():
        assert name in place(kind, fields | {name: None})


@pytest.mark.parametrize(("kind", "fields"), EVERY)
def test_no_field_is_of_another_form(kind: str, fields: dict[str, object]) -> None:
    forms: list[object] = [None, True, 1.5, 7, "?", "", [], ["a"], ["a", 1], {}, {"mu2": 1}, {"x": "1"}]
    for name, value in fields.items():
        for other in forms:
            if type(other) is type(value) and name in _FREE:
                continue
            assert place(kind, fields | {name: other}) == name, (name, other)


# Texts and numbers of any content.
_FREE = {
    "attempt",
    "decision",
    "known",
    "population",
    "reason",
    "reservation",
    "round",
    "run",
    "study",
}


@pytest.mark.parametrize("kind", ["refunded", "Charged", "", None, 1, ["charged"]])
def test_an_unknown_kind_is_refused(kind: object) -> None:
    assert place(kind, CHARGED) == "kind"


@pytest.mark.parametrize("fields", [None, [], "x", [["reservation", 2]]])
def test_fields_are_an_object(fields: object) -> None:
    assert place("committed", fields) == "fields"


@pytest.mark.parametrize(
    "amount", ["0.10", "-0.1", "-0", "1e-3", ".1", "01", "+1", " 1", "", "NaN", "0" * 401]
)
def test_an_amount_has_one_writing_and_is_never_negative(amount: str) -> None:
    assert place("charged", CHARGED | {"amounts": {"mu2": amount}}) == "amounts"
    assert place("topped-up", DECIDED | {"amounts": {"mu2": amount}}) == "amounts"
    assert place("reserved", RESERVED | {"epsilon_slack": amount}) == "epsilon_slack"
    assert place("reserved", RESERVED | {"delta_slack": amount}) == "delta_slack"
    for name in ("epsilon", "delta", "epsilon_allowance", "delta_allowance"):
        assert place("created", CREATED | {name: amount}) == name


@pytest.mark.parametrize(
    "axis", ["mu", "MU2", "rdp:1", "rdp:0.5", "rdp:2.0", "rdp:-2", "rdp:", "2", "rdp:rdp:2", ""]
)
def test_an_axis_is_one_that_a_ledger_counts_on(axis: str) -> None:
    assert place("charged", CHARGED | {"amounts": {axis: "0.1"}}) == "amounts"
    assert place("charged", CHARGED | {"amounts": {"mu2": "0.1", axis: "0.1"}}) == "amounts"


def test_a_budget_is_on_the_axes_of_its_filter() -> None:
    mu, orders = {"mu2": "0.5"}, {"rdp:1.5": "0.5", "rdp:2": "0.5"}
    for name, budget in (("gdp", orders), ("gdp", mu | orders), ("rdp", mu), ("rdp", mu | orders)):
        assert place("created", CREATED | {"filter": name, "budget": budget}) == "budget"
    assert record_of("created", CREATED).fields() == CREATED
    at_orders = CREATED | {"filter": "rdp", "budget": orders}
    assert record_of("created", at_orders).fields() == at_orders
    assert place("created", CREATED | {"filter": "pld"}) == "filter"


@pytest.mark.parametrize("people", [["a"], ["a", "a"], ["b", "a"], ["a", "b", "b"], [], "ab"])
def test_two_people_decided(people: object) -> None:
    for kind in ("thawed", "topped-up"):
        assert place(kind, DECIDED | {"approvals": people}) == "approvals"
        assert record_of(kind, DECIDED).fields() == DECIDED


@pytest.mark.parametrize("part", ["nobody", "Both", "", None])
def test_a_part_is_one_that_there_is(part: object) -> None:
    assert place("charged", CHARGED | {"part": part}) == "part"


@pytest.fixture
def forged() -> Engine:
    engine = open_store(None)
    new_ledger(engine)[0].reserve(STUDY, Decimal("0.5"))
    return engine


@pytest.mark.parametrize(
    ("kind", "fields", "others", "at"),
    [
        ("refunded", CHARGED, {}, "kind"),
        ("charged", CHARGED | {"zone": "x"}, {}, "zone"),
        ("charged", {name: value for name, value in CHARGED.items() if name != "run"}, {}, "run"),
        ("charged", CHARGED, {"v": 2}, "v"),
        ("charged", CHARGED, {"v": True}, "v"),
        ("charged", CHARGED, {"v": "1"}, "v"),
        ("charged", CHARGED, {"signature": "x"}, "signature"),
        ("charged", CHARGED, {"time": 7}, "time"),
        ("charged", CHARGED, {"nonce": None}, "nonce"),
        ("charged", CHARGED, {"sequence": "3"}, "sequence"),
        ("charged", CHARGED, {"fields": []}, "fields"),
    ],
)
def test_what_this_version_does_not_know_is_told_with_its_place(
    forged: Engine, kind: str, fields: dict[str, object], others: dict[str, object], at: str
) -> None:
    forge(forged, kind, fields, others)
    with pytest.raises(BudgetError) as error:
        reopen(forged)
    assert error.value.code == "RF-B551"
    assert error.value.values == {"sequence": 3, "place": at}
    assert f"Entry 3 of the budget ledger holds something at {at} that" in error.value.sentence()


def test_an_entry_that_this_version_knows_is_read(forged: Engine) -> None:
    forge(forged, "charged", CHARGED)
    assert reopen(forged).charged().mu_squared == Decimal("0.1")


MANY = "1" * 400
BESIDE = {"mu2": "0.1", "rdp:2": "0.1"}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("created", CREATED),
        ("charged", CHARGED | {"reservation": 1}),
        ("charged", CHARGED | {"amounts": {"rdp:2": "0.1"}}),
        ("charged", CHARGED | {"amounts": BESIDE}),
        ("reserved", RESERVED | {"amounts": {"rdp:2": "0.1"}}),
        ("reserved", RESERVED | {"amounts": BESIDE}),
        ("reserved", RESERVED | {"train": {"mu2": "0.1"}, "test": BESIDE}),
        ("reserved", RESERVED | {"train": BESIDE, "test": {"mu2": "0.1"}}),
        ("reserved", RESERVED | {"train": {"mu2": "0.09"}, "test": {"mu2": "0.08"}}),
        ("reserved", RESERVED | {"epsilon_slack": f"{MANY}.{MANY}"}),
        ("thawed", DECIDED),
        ("topped-up", DECIDED | {"amounts": BESIDE}),
    ],
)
def test_a_well_formed_entry_that_breaks_a_rule_is_refused_as_altered(
    forged: Engine, kind: str, fields: dict[str, object]
) -> None:
    forge(forged, kind, fields)
    assert refused(lambda: reopen(forged)) == "RF-B301"


@pytest.mark.parametrize("kind", sorted(BY_KIND.keys() - {"created"}))
def test_a_history_begins_with_a_budget(forged: Engine, kind: str) -> None:
    with forged.begin() as connection:
        connection.execute(text("delete from budget_ledger"))
    forge(forged, kind, BY_KIND[kind])
    assert refused(lambda: reopen(forged)) == "RF-B301"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"[1]",
        b'{"v": 1}',
        b'{"v":1.0}',
        b'{"v":1,"v":1}',
        b'{"a":1e400}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":9007199254740993}',
    ],
    ids=range(10),
)
def test_bytes_that_are_not_one_canonical_object_are_refused_as_altered(forged: Engine, body: bytes) -> None:
    with forged.begin() as connection:
        last = bytes(
            connection.execute(text("select hash from budget_ledger where sequence = 2")).scalar_one()
        )
        put_entry(connection, 3, last, body)
    assert refused(lambda: reopen(forged)) == "RF-B301"


def test_an_entry_of_another_number_is_refused_as_altered(forged: Engine) -> None:
    forge(forged, "charged", CHARGED, {"sequence": 4})
    assert refused(lambda: reopen(forged)) == "RF-B301"


def test_a_loss_stands_in_its_freeze_whole_or_not_at_all() -> None:
    plain = {"reason": "x", "known": ""}
    for loss in (LOST, LOST | {"lost_after": 6, "lost_last": 0, "lost_until": 0}):
        assert record_of("frozen", plain | loss).fields() == plain | loss
        for name in loss:
            rest = {key: number for key, number in loss.items() if key != name}
            assert place("frozen", plain | rest).startswith("lost_")
            assert place("frozen", plain | loss | {name: "1"}) == name
            assert place("frozen", plain | loss | {name: -1}) == "lost_until"


def test_a_thaw_names_a_moment_only_where_it_settled_a_loss() -> None:
    assert record_of("thawed", DECIDED | {"until": 1}).fields() == DECIDED | {"until": 1}
    for wrong in (0, -1, "1", None, True):
        assert place("thawed", DECIDED | {"until": wrong}) == "until"
    assert place("topped-up", DECIDED | {"until": 1}) == "until"
