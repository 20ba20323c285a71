"""Events, their guard and their commitments: what a leaf is, and what may never stand in one."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.audit.canonical import Json, dumps
from ringfence.audit.catalogue import EVENT_TYPES
from ringfence.audit.errors import AuditError, CanonicalError, EventError
from ringfence.audit.events import MAX_LEAF, Event, commit, draft_event, open_event, parse_event
from ringfence.audit.guard import (
    MAX_ITEMS,
    MAX_PRIVATE_TEXT,
    MAX_TOKEN,
    check_private,
    check_public,
    check_token,
)

SALT = os.urandom(32)
PRIVATE = dumps({"rows": 1234})
EVENT = Event(
    id="0" * 32,
    source="ringfence.example/a#client",
    action="waist.send",
    outcome="allow",
    resource="study:churn",
    time="2026-11-01T00:00:00.000000Z",
    actor="client",
    organisation="bank-a",
    profile="durable",
    sequence=0,
    public={"epsilon": "0.5", "reasons": ["RF-B004"]},
    private=commit(SALT, PRIVATE),
)


def test_leaf_is_a_cloud_event_and_reads_back() -> None:
    leaf = EVENT.leaf()
    assert parse_event(leaf) == EVENT
    envelope = json.loads(leaf)
    assert envelope["specversion"] == "1.0"
    assert {"id", "source", "type"} <= envelope.keys()
    assert envelope["type"] == "ringfence.waist.send"
    assert b"\n" not in leaf


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(deadline=None)
@given(TEXT, TEXT, st.integers(0, 2**53 - 1), st.dictionaries(TEXT, TEXT | st.booleans() | st.lists(TEXT)))
def test_leaf_is_the_canonical_form_of_its_members(
    actor: str, resource: str, sequence: int, public: Any
) -> None:
    leaf = replace(EVENT, actor=actor, resource=resource, sequence=sequence, public=public).leaf()
    assert leaf == rfc8785.dumps(json.loads(leaf))
    envelope = json.loads(leaf)
    assert (envelope["data"]["actor"], envelope["subject"]) == (actor, resource)
    assert (envelope["data"]["sequence"], envelope["data"]["public"]) == (sequence, public)


def changed(**members: Any) -> bytes:
    envelope = json.loads(EVENT.leaf())
    for name, value in members.items():
        target = envelope["data"] if name in envelope["data"] else envelope
        if value is None:
            del target[name]
        else:
            target[name] = value
    return dumps(envelope)


@pytest.mark.parametrize(
    "leaf",
    [
        b"{}",
        b"[]",
        b"3",
        changed(specversion="1.1"),
        changed(datacontenttype="text/plain"),
        changed(type="other.waist.send"),
        changed(id="short"),
        changed(id=None),
        changed(extra="member"),
        changed(data="text"),
        changed(subject=""),
        changed(time="2026-11-01 00:00:00"),
        changed(time="2026-02-30T00:00:00.000000Z"),
        changed(time="2026-13-01T00:00:00.000000Z"),
        changed(time="2026-11-01T25:00:00.000000Z"),
        changed(time="2026-11-01T00:00:61.000000Z"),
        changed(time="0000-11-01T00:00:00.000000Z"),
        changed(time="2026-11-01T00:00:00.000000Z2"),
        changed(id="0" * 33),
        changed(id="A" * 32),
        changed(private="0" * 65),
        changed(outcome="maybe"),
        changed(profile="dream"),
        changed(sequence=-1),
        changed(sequence=True),
        changed(sequence="0"),
        changed(public=[]),
        changed(private="0"),
        changed(actor=None),
    ],
)
def test_leaves_of_another_shape_are_refused(leaf: bytes) -> None:
    with pytest.raises(EventError, match="RF-A053"):
        parse_event(leaf)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b'{"data"', b'{ "data"', "RF-A008"),
        (b'"specversion":"1.0",', b'"specversion":"1.\\u0030",', "RF-A008"),
        (b'"sequence":0', b'"sequence":-0', "RF-A008"),
        (b'"sequence":0', b'"sequence":0.0', "RF-A005"),
        (b'"epsilon":"0.5"', b'"epsilon":null', "RF-A004"),
        (b'"epsilon":"0.5"', b'"epsilon":"\\ud800"', "RF-A001"),
        (b'"actor":"client"', b'"actor":"client","actor":"client"', "RF-A006"),
        (b'"sequence":0', b'"sequence":9007199254740992', "RF-A002"),
    ],
)
def test_leaves_in_another_form_are_refused(old: bytes, new: bytes, code: str) -> None:
    leaf = EVENT.leaf().replace(old, new)
    assert leaf != EVENT.leaf()
    with pytest.raises(CanonicalError) as caught:
        parse_event(leaf)
    assert caught.value.code == code


def test_unknown_type_is_left_to_the_caller() -> None:
    assert parse_event(changed(type="ringfence.future.thing")).action == "future.thing"


def test_leaf_has_a_largest_size() -> None:
    room = MAX_LEAF - len(replace(EVENT, public={"a": ""}).leaf())
    assert len(replace(EVENT, public={"a": "x" * room}).leaf()) == MAX_LEAF
    with pytest.raises(EventError, match="RF-A050"):
        replace(EVENT, public={"a": "x" * (room + 1)}).leaf()
    with pytest.raises(EventError, match="RF-A050"):
        replace(EVENT, public={"a": "x" * MAX_LEAF}).leaf()


def test_private_part_opens_only_with_its_salt_and_bytes() -> None:
    assert open_event(EVENT.leaf(), SALT, PRIVATE) == {"rows": 1234}
    for salt, private in ((os.urandom(32), PRIVATE), (SALT, dumps({"rows": 1235})), (SALT[:31], PRIVATE)):
        with pytest.raises(EventError, match="RF-A054"):
            open_event(EVENT.leaf(), salt, private)
    # Bytes moved from the private part into the salt hash the same and must not pass.
    with pytest.raises(EventError, match="RF-A054"):
        open_event(EVENT.leaf(), SALT + PRIVATE[:1], PRIVATE[1:])


def test_private_part_that_is_no_object_is_refused() -> None:
    event = replace(EVENT, private=commit(SALT, b"[]"))
    with pytest.raises(EventError, match="RF-A053"):
        open_event(event.leaf(), SALT, b"[]")


def test_equal_private_parts_have_unlike_commitments() -> None:
    made = [draft_event("waist.send", "allow", resource="study:1", private={"rows": 7}) for _ in range(20)]
    assert len({one.commitment for one in made}) == 20
    assert len({one.id for one in made}) == 20
    assert len(draft_event("waist.send", "allow", resource="study:1").commitment) == 64


def test_every_event_and_every_salt_is_drawn_anew_in_full() -> None:
    made = [draft_event("waist.send", "allow", resource="study:1") for _ in range(300)]
    for half in (slice(0, 16), slice(16, 32)):
        assert len({one.id[half] for one in made}) == 300
        assert len({one.salt[half] for one in made}) == 300
    assert all(len(one.salt) == 32 and one.id[:16] != one.id[16:] for one in made)
    assert made[0].commitment == sha256(made[0].salt + b"{}").hexdigest()


def test_a_draft_keeps_persons_out_of_its_private_part_too() -> None:
    with pytest.raises(EventError, match="RF-A013"):
        draft_event("waist.send", "allow", resource="study:1", private={"customer_id": "c1"})


@pytest.mark.parametrize("action", sorted(EVENT_TYPES))
def test_every_listed_action_can_be_logged(action: str) -> None:
    assert draft_event(action, "deny", resource="x").action == action


@pytest.mark.parametrize(
    ("action", "outcome", "resource", "code"),
    [
        ("waist.sent", "allow", "x", "RF-A051"),
        ("waist.send", "ok", "x", "RF-A052"),
        ("waist.send", "allow", "", "RF-A010"),
        ("waist.send", "allow", "a b", "RF-A011"),
    ],
)
def test_wrong_calls_are_refused(action: str, outcome: str, resource: str, code: str) -> None:
    with pytest.raises(AuditError) as caught:
        draft_event(action, outcome, resource=resource)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("public", "code"),
    [
        ({"customer_id": "c1"}, "RF-A013"),
        ({"Customer-ID": "c1"}, "RF-A013"),
        ({"inner": {"phone": "1"}}, "RF-A013"),
        ({"list": [{"name": "x"}]}, "RF-A013"),
        ({"rows": 1000}, "RF-A013"),
        ({1: "x"}, "RF-A013"),
        ({"note": "free text here"}, "RF-A011"),
        ({"note": "line\nbreak"}, "RF-A011"),
        ({"note": "\u3000"}, "RF-A011"),
        ({"note": "x" * (MAX_TOKEN + 1)}, "RF-A010"),
        ({"contact": "someone@bank.example"}, "RF-A012"),
        ({"reasons": ["13800138000"]}, "RF-A012"),
        ({"key": "11010519491231002X"}, "RF-A012"),
        ({"items": ["a"] * (MAX_ITEMS + 1)}, "RF-A014"),
        ({"members": {f"m{n}": "a" for n in range(MAX_ITEMS + 1)}}, "RF-A014"),
        ({"epsilon": 1}, "RF-A016"),
        ({"delta": "1e-6x"}, "RF-A016"),
        ({"contract": "bank-a"}, "RF-A016"),
        ({"consent_root": "sha256:00"}, "RF-A016"),
        ({"epsilon_left": 0.5}, "RF-A004"),
        ({"nothing": None}, "RF-A004"),
    ],
)
def test_public_part_refuses_persons_counts_free_text_and_floats(public: Any, code: str) -> None:
    with pytest.raises(AuditError) as caught:
        draft_event("waist.send", "allow", resource="study:1", public=public)
    assert caught.value.code == code
    assert "someone" not in str(caught.value)
    assert "13800138000" not in str(caught.value)


def test_bounds_of_what_an_event_may_say() -> None:
    for text in ("x" * MAX_TOKEN, "1" * 10, "1" * 20, "+" + "1" * 10, "-" + "1" * 11):
        assert check_token(text, "text") == text
    for digits in ("1" * 11, "1" * 18, "1" * 19, "+" + "1" * 19, "1" * 18 + "x"):
        with pytest.raises(EventError, match="RF-A012"):
            check_token(digits, "text")
    check_public({"items": ["a"] * MAX_ITEMS, "members": {f"m{n}": "a" for n in range(MAX_ITEMS)}})
    check_private({"note": "x" * MAX_PRIVATE_TEXT})
    check_private({"deep": [{"note": "x" * MAX_PRIVATE_TEXT}]})
    with pytest.raises(EventError, match="RF-A015"):
        check_private({"deep": [{"note": "x" * (MAX_PRIVATE_TEXT + 1)}]})


def test_public_part_takes_what_events_need() -> None:
    needed: dict[str, Json] = {
        "purpose": "churn-prediction",
        "legal_basis": "consent",
        "contract": "sha256:" + "a" * 64,
        "epsilon": "1.25",
        "delta": "1e-6",
        "run": "0f" * 16,
        "round": 3,
        "void": False,
        "holder": "银行甲",
        "max_customers": 100000,
        "reasons": ["RF-B004", "RF-W001"],
    }
    assert draft_event("waist.send", "allow", resource="study:1", public=needed).public == needed


def test_private_part_takes_counts_but_no_persons() -> None:
    check_private({"rows": 10, "columns": ["age", "income"], "missing": {"email": 3}})
    with pytest.raises(EventError, match="RF-A013"):
        check_private({"customer_id": "c1"})
    with pytest.raises(EventError, match="RF-A015"):
        check_private({"note": "x" * (MAX_PRIVATE_TEXT + 1)})
    with pytest.raises(CanonicalError, match="RF-A004"):
        draft_event("waist.send", "allow", resource="x", private={"share": 0.5})  # type: ignore[dict-item]


@settings(deadline=None)
@given(st.text(max_size=40))
def test_a_token_never_holds_a_space_or_a_control_character(text: str) -> None:
    try:
        check_token(text, "text")
    except EventError:
        return
    assert text.isprintable()
    assert text.split() == [text]
