"""The catalogue of purposes."""

from __future__ import annotations

import re

import pytest

from ringfence.privacy.agreements.purposes import catalogue, purpose
from ringfence.privacy.errors import StudyError

AGREED = [
    "churn-prediction",
    "credit-propensity",
    "credit-risk",
    "fraud-prevention",
    "service-quality",
    "customer-segmentation",
    "cross-selling",
    "marketing-attribution",
    "prospect-lookalike",
    "customer-health",
    "retention-analysis",
    "data-quality",
]


def test_the_catalogue_is_the_agreed_one() -> None:
    assert list(catalogue()) == AGREED


@pytest.mark.parametrize("name", AGREED)
def test_every_purpose_is_labelled_and_has_its_dpv_term(name: str) -> None:
    entry = purpose(name)
    assert entry.label("en") == entry.en
    assert entry.label("zh_CN") == entry.zh
    assert re.fullmatch(r"[A-Z][a-z -]+", entry.en)
    assert re.fullmatch(r"[\u4e00-\u9fff]+", entry.zh)
    assert re.fullmatch(r"https://w3id\.org/dpv#[A-Z][A-Za-z]+", entry.dpv)
    assert entry.match in {"exact", "broader"}


def test_labels_are_told_apart() -> None:
    assert len({entry.en for entry in catalogue().values()}) == len(AGREED)
    assert len({entry.zh for entry in catalogue().values()}) == len(AGREED)


def test_an_unknown_purpose_is_refused_with_a_guess() -> None:
    with pytest.raises(StudyError, match="churn-prediction") as caught:
        purpose("churn-predicton")
    assert caught.value.code == "RF-S002"
    with pytest.raises(StudyError, match="data-quality"):
        purpose("zzz")


def test_the_catalogue_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        catalogue()["mine"] = purpose("data-quality")  # type: ignore[index]
