"""Released less exact, at the gate: every task in every form of sum, at every attempt, has declared noise.

The machinery, and what each comparison asks, is that of the proof (`prove/releases.py`, `check_releases.py`).
A run fails for a correct product with probability below 1e-9; wrong products of each kind fail it.
"""

from __future__ import annotations

from dataclasses import fields

import pytest
from prove.cases import CASES
from prove.check_releases import faults_of
from prove.mutants_released import RELEASED
from prove.mutation import Mutant, applied, broken
from prove.releases import Trace
from prove.ways import Way, covering, forms_of_sum, ways

from ringfence.models.catalogue import TASKS
from ringfence.privacy.waist import RoundPlan

COVERING = [way for case in CASES for way in covering(case)]


@pytest.mark.parametrize("way", COVERING, ids=lambda way: way.name)
def test_every_release_has_its_declared_noise_fresh_and_paid(way: Way) -> None:
    assert list(faults_of(Trace.of(way))) == []


def test_every_task_form_and_shape_is_covered() -> None:
    assert {case.name for case in CASES} == set(TASKS), "tests/prove/cases.py lacks a task of the catalogue"
    assert len(forms_of_sum()) == 5
    for case in CASES:
        first, every = covering(case), ways(case)
        assert [way.terms for way in first] == list(forms_of_sum())
        assert {str(way.options) for way in first} == {str(shape) for shape in case.shapes}
        assert every[: len(first)] == first
        assert len(every) == len({way.name for way in every})


def test_every_way_in_which_a_round_may_differ_is_among_the_shapes() -> None:
    """A new field of a round's plan: let a shape in tests/prove/cases.py use it, then add it here."""
    assert {each.name for each in fields(RoundPlan)} == {
        "name",
        "blocks",
        "part",
        "sampling_rate",
        "local_steps",
        "uploads",
        "combination",
    }


def way(name: str) -> Way:
    return next(each for case in CASES for each in ways(case) if each.name == name)


SCORECARD = "scorecard distributed retry masked"
LOCAL = "mlp local_steps=2 personal=1 local retry visible"
_NOISE = "privacy.mechanisms.source:OsNoise.share"
_DRAW = "draw_values(gaussian_law(block.share_scale), lengths[block.name])"
WRONG = [
    (broken("none", "", (_NOISE, _DRAW, f"0 * {_DRAW}")), SCORECARD, "0.000 of its declared variance"),
    (
        broken(
            "half", "", (_NOISE, "gaussian_law(block.share_scale)", "gaussian_law(block.share_scale / 2)")
        ),
        SCORECARD,
        "of its declared variance",
    ),
    (
        broken("nine tenths", "", (_NOISE, "block.share_scale)", "0.9 * block.share_scale)")),
        SCORECARD,
        "of its declared variance",
    ),
    (
        broken(
            "one stream",
            "",
            (
                "privacy.mechanisms.entropy:words",
                "os.urandom(8 * count)",
                '__import__("hashlib").shake_256(b"seed").digest(8 * count)',
            ),
        ),
        SCORECARD,
        "have a correlation of",
    ),
    (
        broken(
            "an entry",
            "",
            (
                _NOISE,
                _DRAW,
                f"{_DRAW} * (__import__('numpy').arange(lengths[block.name]) != 1)",
            ),
        ),
        SCORECARD,
        "entry 1 of",
    ),
    (
        broken(
            "no local noise",
            "",
            ("clients.noisy_steps:CountedSteps.step", "values + share.blocks[name]", "values"),
        ),
        LOCAL,
        "has other noise in gradient than was drawn for it",
    ),
]


@pytest.mark.parametrize(("mutant", "name", "told"), WRONG, ids=lambda each: getattr(each, "name", ""))
def test_a_wrong_implementation_is_seen(mutant: Mutant, name: str, told: str) -> None:
    with applied(mutant):
        trace = Trace.of(way(name))
    assert any(told in fault for fault in faults_of(trace))


def test_the_gravest_are_mutants_of_the_proof() -> None:
    assert len(RELEASED) >= 12
