"""The study: faults with their lines, h and k, one digest for one meaning."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kits.document_kit import GOOD, expected, found, museum
from kits.small import schema_of, study_of
from pydantic import ValidationError

from ringfence.privacy.agreements.schema import load_schema
from ringfence.privacy.agreements.study import Participant, PrivacyTerms, Study, load_study, positive_category
from ringfence.privacy.errors import StudyError
from ringfence.privacy.toml.faults import faults_of

SCHEMA = load_schema(GOOD / "schema.toml")
STUDY = load_study(GOOD / "study.toml")


def holders(*overlaps: int | None) -> tuple[Participant, ...]:
    return tuple(
        Participant(name=f"h{n}", key=f"{n:064x}", max_customers=10, overlap=overlap)
        for n, overlap in enumerate(overlaps)
    )


def changed(**values: Any) -> Study:
    return Study.model_validate({**json.loads(STUDY.canonical()), **values})


@pytest.mark.parametrize("path", museum("bad_studies"), ids=lambda path: path.stem)
def test_a_bad_study_is_refused_with_every_line(path: Path) -> None:
    with pytest.raises(StudyError) as caught:
        load_study(path)
    assert found(caught.value) == expected(path)
    for fault in faults_of(caught.value):
        assert "{" not in fault.sentence


def test_a_good_study_is_read() -> None:
    assert STUDY.schema_ref == SCHEMA.digest()
    assert STUDY.privacy.delta == Decimal("1e-6")
    assert (STUDY.privacy.unit, STUDY.privacy.colluders, STUDY.privacy.max_attempts) == ("customer", 0, 2)
    assert STUDY.model == {"rounds": 8, "monotone": ("age",), "ridge": "0.5"}
    assert STUDY.expires == datetime.date(2030, 12, 31)
    assert Study.from_canonical(STUDY.canonical()) == STUDY
    assert positive_category(STUDY, SCHEMA) == "yes"


def test_canonical_form_has_no_floats() -> None:
    floats: list[str] = []
    content = json.loads(STUDY.canonical(), parse_float=floats.append)
    assert floats == []
    assert content["privacy"]["delta"] == "0.000001"


@given(st.integers(1, 50), st.integers(0, 50))
def test_h_is_fixed_by_the_study(count: int, colluders: int) -> None:
    terms = {"epsilon": 1, "delta": "1e-6", "min_holders": count, "colluders": colluders}
    assert changed(privacy={**terms, "noise": "local"}).honest() == 1
    if count >= 3 and count - 1 - colluders >= 1:
        assert changed(privacy={**terms, "noise": "distributed"}).honest() == count - 1 - colluders
    else:
        with pytest.raises(ValidationError, match='noise = "local"'):
            changed(privacy={**terms, "noise": "distributed"})


@pytest.mark.parametrize(
    ("overlaps", "k"),
    [((1, 1, 1), 1), ((1, 2, 1), 2), ((1, None, 1), 3), ((9, 1, 1), 3), ((None, None, None), 3)],
)
def test_overlap_is_the_largest_and_at_most_the_holders(overlaps: tuple[int | None, ...], k: int) -> None:
    assert STUDY.model_copy(update={"holders": holders(*overlaps)}).overlap() == k


def test_overlap_needs_holders() -> None:
    with pytest.raises(StudyError, match="RF-S005"):
        STUDY.overlap()


def test_expiry_is_a_fault_when_today_is_given() -> None:
    last = datetime.date(2030, 12, 31)
    assert load_study(GOOD / "study.toml", today=last) == STUDY
    with pytest.raises(StudyError) as caught:
        load_study(GOOD / "study.toml", today=last + datetime.timedelta(days=1))
    assert found(caught.value) == {(9, "RF-S021")}


def test_a_digest_checks_names_when_the_schema_is_at_hand(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    text = (GOOD / "study.toml").read_text(encoding="utf-8").replace('"schema.toml"', f'"{SCHEMA.digest()}"')
    file.write_text(text.replace('"plan"]', '"plain"]'), encoding="utf-8")
    assert load_study(file).features == ("age", "plain")
    with pytest.raises(StudyError) as caught:
        load_study(file, [SCHEMA])
    assert found(caught.value) == {(8, "RF-S015")}


def test_a_study_with_a_path_has_no_digest() -> None:
    with pytest.raises(StudyError, match="RF-S006"):
        changed(schema="schema.toml").digest()


def test_delta_is_checked_against_every_holder() -> None:
    rows = [{"name": f"h{n}", "key": f"{n:064x}", "max_customers": 999_999} for n in range(3)]
    assert len(changed(holders=rows).holders) == 3
    rows[1]["max_customers"] = 1_000_000  # delta 1e-6 is no longer below 1 / 1e6
    with pytest.raises(ValidationError, match="delta must be below 1/1000000"):
        changed(holders=rows)


@pytest.mark.parametrize(
    ("label", "positive", "result"),
    [
        ("churn", None, "yes"),
        ("churn", "no", "no"),
        ("plan", "gold", "gold"),
        ("plan", None, None),
        (None, None, None),
    ],
)
def test_the_positive_category(label: str | None, positive: str | None, result: str | None) -> None:
    study = STUDY.model_copy(update={"label": label, "positive": positive})
    if result is None:
        with pytest.raises(StudyError, match="RF-S020"):
            positive_category(study, SCHEMA)
    else:
        assert positive_category(study, SCHEMA) == result


CHANGES: dict[str, Any] = {
    "id": "other",
    "schema": "sha256:" + 64 * "1",
    "purpose": "credit-risk",
    "legal_basis": "contract",
    "jurisdiction": "DE",
    "task": "statistics",
    "label": None,
    "positive": "no",
    "features": ["plan", "age"],
    "inputs": ["basket"],
    "expires": "2030-12-30",
    "dpia": "DPIA-5",
    "privacy": {"epsilon": 2, "delta": "1e-6", "noise": "distributed", "min_holders": 3},
    "model": {"rounds": 9},
    "evaluation": {"test_fraction": "0.3"},
    "release": {"wait_hours": 9},
    "series": {"runs": 2, "every": "day", "begins": "2026-01-01"},
    "holders": [{"name": f"h{n}", "key": f"{n:064x}", "max_customers": 9} for n in range(3)],
}


def test_the_list_of_changes_is_complete() -> None:
    assert len(CHANGES) == len(Study.model_fields)


@pytest.mark.parametrize("key", sorted(CHANGES))
def test_any_change_changes_the_digest(key: str) -> None:
    values = {"label": None, "positive": None} if key == "label" else {key: CHANGES[key]}
    assert changed(**values).digest() != STUDY.digest()


terms = PrivacyTerms.model_validate(
    {"epsilon": "1.00", "delta": 1e-6, "noise": "distributed", "min_holders": 3}
)


@pytest.mark.parametrize("key", sorted(PrivacyTerms.model_fields))
def test_any_change_of_the_price_changes_the_digest(key: str) -> None:
    values = {
        "epsilon": "1.01",
        "delta": "2e-6",
        "noise": "local",
        "min_holders": 4,
        "colluders": 1,
        "max_attempts": 3,
        "dropouts": "recover",
        "uploads": "visible",
        "pace": "fixed",
        "join_seconds": 601,
        "exchange_seconds": 121,
    }
    if key == "unit":  # there is only one unit
        return
    lengths = {"join_seconds": 600, "exchange_seconds": 120}
    needs: dict[str, dict[str, object]] = {
        "uploads": {"noise": "local"},
        "join_seconds": {"pace": "fixed", **lengths},
        "exchange_seconds": {"pace": "fixed", **lengths},
    }
    before = json.loads(terms.canonical()) | needs.get(key, {})
    after = before | {key: values[key]} | (lengths if key == "pace" else {})
    assert changed(privacy=after).digest() != changed(privacy=before).digest()


@pytest.mark.parametrize(
    ("pace", "code"),
    [
        ({"pace": "fixed"}, "RF-S490"),
        ({"pace": "fixed", "join_seconds": 600}, "RF-S490"),
        ({"join_seconds": 600, "exchange_seconds": 120}, "RF-S491"),
    ],
)
def test_a_fixed_pace_and_its_lengths_come_together(pace: dict[str, object], code: str) -> None:
    with pytest.raises(StudyError) as caught:
        STUDY.revised(privacy=json.loads(terms.canonical()) | pace)
    assert code in str(caught.value)


def test_spellings_of_one_number_are_one_study() -> None:
    one = {"epsilon": "1", "delta": "0.000001", "noise": "distributed", "min_holders": 3}
    assert changed(privacy=one).digest() == changed(privacy=json.loads(terms.canonical())).digest()


def test_a_copy_with_other_values_has_a_digest_of_its_own() -> None:
    schema = schema_of()
    study = study_of(schema)
    first = study.digest()
    other = study.model_copy(update={"id": "another"})
    assert other.digest() != first
    assert other == study.revised(id="another")
    assert other.digest() == study.revised(id="another").digest()
    assert study.digest() == first
