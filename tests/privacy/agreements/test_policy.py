"""May this study run here: deny by default, every reason with its code."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kits.document_kit import GOOD
from pydantic import ValidationError

from ringfence.privacy.agreements.contract import Contract, load_contract
from ringfence.privacy.agreements.policy import Request, allowed_columns, decide
from ringfence.privacy.agreements.quorum import ReleaseTerms
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import Participant, PrivacyTerms, Study, load_study
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import StudyError

KEYS = [Identity.generate() for _ in range(6)]
LOADED = load_contract(GOOD / "contract.toml")
CONTRACT = LOADED.contract.model_copy(update={"peers": tuple(key.public.fingerprint for key in KEYS[1:])})
NOW = datetime.datetime(2030, 12, 31, 23, 59, tzinfo=datetime.UTC)


def holder(n: int, **values: Any) -> Participant:
    row = {
        "name": "north" if n == 0 else f"h{n}",
        "key": KEYS[n].public.hex,
        "max_customers": 50000,
        "overlap": 2,
    }
    return Participant.model_validate({**row, **values})


STUDY = load_study(GOOD / "study.toml").model_copy(update={"holders": tuple(holder(n) for n in range(3))})
REQUEST = Request(study=STUDY, contract=CONTRACT, schema=LOADED.schema, now=NOW, key=KEYS[0].public)


def study(**values: Any) -> Request:
    return replace(REQUEST, study=STUDY.model_copy(update=values))


def terms(**values: Any) -> Request:
    return study(privacy=STUDY.privacy.model_copy(update=values))


def contract(**values: Any) -> Request:
    return replace(REQUEST, contract=CONTRACT.model_copy(update=values))


def column(name: str, **values: Any) -> Request:
    columns = tuple(c.model_copy(update=values) if c.name == name else c for c in CONTRACT.columns)
    return contract(columns=columns)


def codes(request: Request) -> set[str]:
    decision = decide(request)
    assert decision.allow == (not decision.reasons)
    assert (decision.obligations is None) == bool(decision.reasons)
    for reason in decision.reasons:
        assert "{" not in str(reason)
    return {reason.code for reason in decision.reasons}


def test_a_good_study_is_allowed_with_its_obligations() -> None:
    assert codes(REQUEST) == set()
    duties = decide(REQUEST).require()
    assert duties.columns.decode == ("customer_id", "churn", "age", "PLAN_CD")
    assert duties.columns.headers == {"churn": "churn", "age": "age", "plan": "PLAN_CD"}
    assert duties.columns.features == ("age", "plan")
    assert (duties.honest, duties.min_vouched, duties.min_cohort) == (2, 3, 1000)
    assert (duties.purpose, duties.legal_basis, duties.jurisdiction) == ("churn-prediction", "consent", "CN")


def cells(label: str | None = None, **values: Any) -> Request:
    positive = None if label is None else STUDY.positive
    return study(label=label, positive=positive, release=ReleaseTerms.model_validate(values))


@pytest.mark.parametrize(
    ("asked", "least", "expected"),
    [
        (cells(), None, set()),
        (cells(), 20, set()),
        (cells(), 21, {"RF-S512"}),
        (cells(min_cell=60), 50, set()),
        (cells(min_cell=60), 51, {"RF-S512"}),
        (cells(min_cell=60, min_cell_quasi=60), 60, set()),
        (cells("churn"), 60, set()),
    ],
)
def test_tables_show_no_smaller_cells_than_the_contract_lets_out(
    asked: Request, least: int | None, expected: set[str]
) -> None:
    strict = CONTRACT.model_copy(update={"min_cell": least})
    assert codes(replace(asked, contract=strict)) == expected


@pytest.mark.parametrize("found", ["quasi", "sensitive"])
def test_what_the_contract_calls_quasi_is_not_plain(found: str) -> None:
    columns = tuple(
        c.model_copy(update={"sensitivity": found if c.name == "age" else "plain"}) for c in CONTRACT.columns
    )
    asked = replace(cells(plain=["age", "plan"]), contract=CONTRACT.model_copy(update={"columns": columns}))
    assert "RF-S511" in codes(asked)
    assert "RF-S511" not in codes(replace(asked, study=cells(plain=["plan"]).study))


def test_no_cell_is_smaller_than_the_floor() -> None:
    for name in ("min_cell", "min_cell_quasi"):
        assert ReleaseTerms.model_validate({name: 10}).smallest_cell == 10
        with pytest.raises(ValidationError):
            ReleaseTerms.model_validate({name: 9})


def other_schema() -> Schema:
    return LOADED.schema.model_copy(update={"version": 2})


REFUSALS: list[tuple[str, Callable[[], Request], set[str]]] = [
    ("another schema", lambda: replace(REQUEST, schema=other_schema()), {"RF-S042"}),
    ("study of another schema", lambda: study(schema_ref="sha256:" + 64 * "0"), {"RF-S042"}),
    ("contract of another schema", lambda: contract(schema_ref="sha256:" + 64 * "0"), {"RF-S042"}),
    ("expired", lambda: replace(REQUEST, now=NOW + datetime.timedelta(minutes=1)), {"RF-S021"}),
    ("no such purpose", lambda: study(purpose="curiosity"), {"RF-S002", "RF-S046"}),
    ("purpose not allowed", lambda: study(purpose="credit-risk"), {"RF-S046"}),
    ("purpose not allowed for one feature", lambda: column("plan", purposes=("credit-risk",)), {"RF-S046"}),
    ("purpose not allowed for the label", lambda: column("churn", purposes=()), {"RF-S046"}),
    ("an identifier", lambda: column("plan", sensitivity="identifier"), {"RF-S045"}),
    ("the customer key as a feature", lambda: column("plan", source="customer_id"), {"RF-S045"}),
    ("free text", lambda: study(features=("notes",)), {"RF-S016"}),
    ("no column here", lambda: study(features=("joined",)), {"RF-S044"}),
    ("no such feature", lambda: study(features=("absent",)), {"RF-S044", "RF-S015"}),
    ("label is a number", lambda: study(label="spend"), {"RF-S017"}),
    ("no such category", lambda: study(positive="maybe"), {"RF-S019"}),
    ("legitimate interest in China", lambda: study(legal_basis="legitimate-interest"), {"RF-S043"}),
    ("not a holder", lambda: study(holders=STUDY.holders[1:]), {"RF-S022", "RF-S027"}),
    ("no holders", lambda: study(holders=()), {"RF-S022", "RF-S027"}),
    (
        "another key",
        lambda: study(holders=(holder(0, key=KEYS[5].public.hex), *STUDY.holders[1:])),
        {"RF-S023"},
    ),
    (
        "another max_customers",
        lambda: study(holders=(holder(0, max_customers=9), *STUDY.holders[1:])),
        {"RF-S024"},
    ),
    ("another overlap", lambda: study(holders=(holder(0, overlap=None), *STUDY.holders[1:])), {"RF-S025"}),
    (
        "two with one key",
        lambda: study(holders=(*STUDY.holders, holder(3, key=KEYS[1].public.hex))),
        {"RF-S048"},
    ),
    ("large delta", lambda: terms(delta=1 / 50000), {"RF-S013", "RF-S049"}),
    (
        "a large peer",
        lambda: study(holders=(*STUDY.holders[:2], holder(2, max_customers=1_000_000))),
        {"RF-S013"},
    ),
    ("no honest share", lambda: terms(colluders=2), {"RF-S003"}),
    ("no peers", lambda: contract(peers=()), {"RF-S026"}),
    ("a peer not vouched for", lambda: contract(peers=CONTRACT.peers[1:]), {"RF-S027"}),
    ("strangers fill the study", lambda: contract(peers=CONTRACT.peers[3:]), {"RF-S027"}),
]


@pytest.mark.parametrize(
    ("request_", "expected"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_a_study_is_refused_for_its_reason(request_: Callable[[], Request], expected: set[str]) -> None:
    assert codes(request_()) == expected
    with pytest.raises(StudyError) as caught:
        decide(request_()).require()
    assert caught.value.code == "RF-S041"
    for code in expected:
        assert code in caught.value.sentence()


def test_all_reasons_are_given_at_once() -> None:
    request = replace(
        contract(peers=()),
        study=STUDY.model_copy(update={"legal_basis": "legitimate-interest", "holders": ()}),
    )
    assert codes(request) == {"RF-S026", "RF-S043", "RF-S022"}


@pytest.mark.parametrize(
    ("jurisdiction", "basis", "known"),
    [
        ("CN", "consent", True),
        ("CN", "disclosed-information", True),
        ("DE", "legitimate-interest", True),
        ("DE", "disclosed-information", False),
        ("EU", "consent", True),
        ("SG", "legitimate-interest", True),
    ],
)
def test_a_legal_basis_is_one_the_law_knows(jurisdiction: str, basis: str, known: bool) -> None:
    request = replace(
        contract(jurisdiction=jurisdiction), study=STUDY.model_copy(update={"legal_basis": basis})
    )
    assert codes(request) == (set() if known else {"RF-S043"})


def test_expiry_is_counted_in_utc() -> None:
    shanghai = datetime.timezone(datetime.timedelta(hours=8))
    assert codes(replace(REQUEST, now=datetime.datetime(2031, 1, 1, 7, 59, tzinfo=shanghai))) == set()
    assert codes(replace(REQUEST, now=datetime.datetime(2031, 1, 1, 8, 0, tzinfo=shanghai))) == {"RF-S021"}
    with pytest.raises(ValueError, match="time zone"):
        decide(replace(REQUEST, now=datetime.datetime(2030, 1, 1)))


def test_all_that_the_purpose_allows() -> None:
    found = allowed_columns(CONTRACT, STUDY.model_copy(update={"features": None}), LOADED.schema)
    # In the schema's order; without the label, free text and what the contract does not have.
    assert found.features == ("age", "spend", "plan")
    assert found.sensitive == ("spend",)
    narrow = STUDY.model_copy(
        update={"features": None, "purpose": "service-quality", "label": None, "positive": None}
    )
    assert allowed_columns(CONTRACT, narrow, LOADED.schema).decode == ("customer_id", "age")


def test_nothing_at_all_allowed() -> None:
    nothing = study(features=None, purpose="credit-risk", label=None, positive=None)
    assert codes(nothing) == {"RF-S047"}


@pytest.mark.parametrize(
    "row", [row for row in REFUSALS if row[2] & {"RF-S044", "RF-S045", "RF-S046"}], ids=lambda row: row[0]
)
def test_columns_are_never_handed_out_without_permission(
    row: tuple[str, Callable[[], Request], set[str]],
) -> None:
    request = row[1]()
    with pytest.raises(StudyError, match="RF-S041"):
        allowed_columns(request.contract, request.study, request.schema)


@settings(max_examples=100, deadline=None)
@given(
    st.sets(st.sampled_from(["age", "plan", "spend", "notes", "churn", "joined"]), min_size=1), st.booleans()
)
def test_whatever_is_asked_only_allowed_columns_are_decoded(names: set[str], label: bool) -> None:
    asked = STUDY.model_copy(
        update={"features": tuple(sorted(names)), "label": "churn" if label else None, "positive": None}
    )
    decision = decide(replace(REQUEST, study=asked))
    if decision.allow:
        columns = decision.require().columns
        for name in columns.headers:
            mapped = CONTRACT.column(name)
            assert mapped is not None
            assert STUDY.purpose in mapped.purposes
        assert set(columns.decode) == {"customer_id", *columns.headers.values()}
        assert "notes" not in columns.headers
    else:
        assert names & {"notes", "joined"} or "churn" in names


@pytest.mark.parametrize(
    ("count", "min_holders", "colluders"),
    [
        (count, fewest, colluders)
        for count in range(3, 7)
        for fewest in range(3, count + 1)
        for colluders in range(fewest - 1)
    ],
)
def test_h_counts_only_vouched_peers(count: int, min_holders: int, colluders: int) -> None:
    for vouched in range(1, 6):
        peers = {*range(1, vouched), 5}
        privacy = STUDY.privacy.model_copy(update={"min_holders": min_holders, "colluders": colluders})
        holders = tuple(holder(n) for n in range(count))
        request = replace(
            contract(peers=tuple(KEYS[n].public.fingerprint for n in sorted(peers))),
            study=STUDY.model_copy(update={"holders": holders, "privacy": privacy}),
        )
        mine = {0} | {n for n in peers if n < count}
        decision = decide(request)
        assert decision.allow == (len(mine) >= min_holders)
        if decision.allow:
            duties = decision.require()
            # A roster must hold `min_vouched` of these keys, so it has h honest shares even when
            # 1 + colluders vouched peers and all strangers collude.
            assert duties.vouched == {KEYS[n].public.fingerprint for n in mine}
            assert duties.min_vouched == min_holders
            # However many more are vouched for: a roster may leave them out.
            assert duties.honest == request.study.honest() == min_holders - 1 - colluders


def test_local_noise_stands_on_one_share() -> None:
    local = PrivacyTerms.model_validate(
        {**json.loads(STUDY.privacy.canonical()), "noise": "local", "min_holders": 1}
    )
    alone = study(privacy=local, holders=STUDY.holders[:1])
    assert decide(alone).require().honest == 1


def test_a_decision_is_pure() -> None:
    assert decide(REQUEST) == decide(REQUEST)
    assert isinstance(CONTRACT, Contract)
    assert isinstance(STUDY, Study)
