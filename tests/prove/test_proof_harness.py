"""The proof's own machinery: mutants fit the product and leave no trace, and a table that must fail does."""

from __future__ import annotations

import numpy as np
import pytest
from prove import running
from prove.bounds import (
    chi_square,
    chi_square_limit,
    lower_bound,
    masses,
    masses_of_sum,
    normal_limit,
    spread,
)
from prove.cases import CASES
from prove.claims import CLAIMS
from prove.finding import Claim, Finding
from prove.mutants import MUTANTS
from prove.mutation import Edit, Mutant, StaleEdit, applied
from prove.running import Outcome, Task, examine, failures, report, tasks

from ringfence.models.catalogue import TASKS
from ringfence.privacy.accounting import study
from ringfence.privacy.accounting.study import overlap_factor
from ringfence.privacy.secagg.masks import MaskContext
from ringfence.privacy.waist import BlockPlan


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_fits_the_product(mutant: Mutant) -> None:
    with applied(mutant):
        pass
    assert mutant.edits
    assert mutant.claim in {claim.name for claim in CLAIMS}


def test_names_are_unique_and_every_task_is_under_proof() -> None:
    for names in ([claim.name for claim in CLAIMS], [mutant.name for mutant in MUTANTS]):
        assert len(set(names)) == len(names)
    assert {case.name for case in CASES} == set(TASKS), "tests/prove/cases.py lacks a task of the catalogue"
    assert len(MUTANTS) >= 16


def test_an_edit_is_seen_everywhere_and_undone() -> None:
    mutant = Mutant(
        name="m", claim="c", edits=(Edit("privacy.accounting.study:overlap_factor", "float(overlap)", "7.0"),)
    )
    held = overlap_factor
    study.calibrate(1.0, 1e-6, 3, "distributed")
    before = study.calibrate.cache_info().currsize
    with applied(mutant):
        assert held(3, "distributed") == study.overlap_factor(3, "distributed") == 7.0
        assert before > 0
        assert study.calibrate.cache_info().currsize == 0, "what the other version computed is forgotten"
    assert held(3, "distributed") == 3.0


def test_methods_and_several_edits() -> None:
    block = BlockPlan(name="b", sensitivity_squared=4, max_abs=2, share_scale=4.0, max_length=1)
    edits = (
        Edit("privacy.waist:BlockPlan.mu_squared", "- 4.0", "- 8.0"),
        Edit("privacy.secagg.masks:MaskContext.info", '"ringfence/mask/v1"', '"x"'),
    )
    context = MaskContext(
        study="s", run="r", round=0, attempt=0, vector=0, query=b"", roster="", word_bits=32
    )
    with applied(Mutant(name="m", claim="c", edits=edits)):
        assert block.mu_squared(1) == 0.5
        assert b'"type":"x"' in context.info("a", "b")
    assert block.mu_squared(1) == 4 / 12


@pytest.mark.parametrize(
    "edit",
    [
        Edit("privacy.waist:BlockPlan.mu_squared", "not there", ""),
        Edit("privacy.waist:BlockPlan.mu_squared", "self", "other"),
        Edit("privacy.waist:BlockPlan.nothing", "a", "b"),
    ],
)
def test_an_edit_that_does_not_fit_is_an_error_and_changes_nothing(edit: Edit) -> None:
    good = Edit("privacy.accounting.study:overlap_factor", "float(overlap)", "7.0")
    with pytest.raises(StaleEdit), applied(Mutant(name="m", claim="c", edits=(good, edit))):
        pass
    assert overlap_factor(3, "distributed") == 3.0


def finding(holds: bool) -> Finding:
    return Finding(evidence="17 of them", bound="at most 16", holds=holds)


def outcome(kind: str, name: str, holds: bool | None) -> Outcome:
    task = Task(kind=kind, name=name)  # type: ignore[arg-type]
    found = None if holds is None else finding(holds)
    return Outcome(task=task, finding=found, fault="" if found else "KeyError: 'x'", seconds=0.0)


def test_the_table_says_what_failed() -> None:
    claim, mutant = CLAIMS[0].name, MUTANTS[0].name
    good = [outcome("claim", claim, True), outcome("mutant", mutant, False)]
    assert failures(good) == []
    text = "\n".join(report(good))
    assert "holds" in text
    assert f"mutant {mutant} rejected by {MUTANTS[0].claim}: 17 of them" in text
    for kind, name, holds, told in (
        ("claim", claim, False, "REFUTED"),
        ("claim", claim, None, "ERROR"),
        ("mutant", mutant, True, "SURVIVED"),
        ("mutant", mutant, None, "NOT JUDGED"),
    ):
        bad = [outcome(kind, name, holds)]
        assert failures(bad) == [f"{kind} {name}"]
        assert told in "\n".join(report(bad))


def test_a_check_that_breaks_is_neither_a_proof_nor_a_rejection(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Finding:
        raise ZeroDivisionError

    name = MUTANTS[0].claim
    monkeypatch.setattr(running, "claim_named", lambda _name: Claim(name=name, says="", check=broken))
    for task in (Task(kind="claim", name=name), Task(kind="mutant", name=MUTANTS[0].name)):
        found = examine(task)
        assert found.finding is None
        assert not found.good


def test_a_claim_is_asked_for_with_its_mutants() -> None:
    asked = tasks(["rosters"])
    assert {task.claim for task in asked} == {"rosters"}
    assert {task.kind for task in asked} == {"claim", "mutant"}
    assert len(tasks()) == len(CLAIMS) + len(MUTANTS)


def test_the_lower_bound_is_below_the_truth_and_not_far() -> None:
    rng = np.random.default_rng(1)
    for mu in (0.0, 0.5, 1.0, 3.0):
        found = lower_bound(rng.normal(0, 1, 150_000), rng.normal(mu, 1, 150_000))
        assert mu - 0.1 < found <= mu
    apart = lower_bound(np.zeros(1000), np.ones(1000))
    assert apart > 2


def test_the_law_of_a_sum_is_that_of_its_shares() -> None:
    rng = np.random.default_rng(2)
    x, law = masses(6.0)
    draws = rng.choice(x, (3, 200_000), p=law).sum(axis=0)
    statistic, freedom = chi_square(draws, masses_of_sum(6.0, 3))
    assert statistic < chi_square_limit(freedom)
    assert abs(spread(draws, masses_of_sum(6.0, 3))) < normal_limit()
    statistic, freedom = chi_square(draws, masses_of_sum(6.4, 3))
    assert statistic > chi_square_limit(freedom)
    assert abs(spread(draws, masses_of_sum(6.4, 3))) > normal_limit()
