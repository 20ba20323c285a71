"""The scorecard's benchmark: generated tables are what they say, and the report is made of paired figures."""

from __future__ import annotations

import numpy as np
import pytest

from ringfence.models.metrics.exact import auc
from ringfence.privacy.errors import UsageError
from ringfence.simulations.benchmarks.scorecard import measure
from ringfence.simulations.benchmarks.subjects import subject
from ringfence.simulations.benchmarks.varied import KINDS, draw_population, expected_auc


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_population_is_of_its_kind_and_repeats(name: str) -> None:
    drawn, again = draw_population(name, 3, test=500), draw_population(name, 3, test=500)
    kind = KINDS[name]
    assert drawn.train.codes.shape == (kind.customers, kind.numbers + kind.tables)
    assert abs(drawn.train.label.mean() - kind.rate) < 6 * np.sqrt(kind.rate / kind.customers) + 0.02
    assert np.array_equal(drawn.train.codes, again.train.codes)
    assert not np.array_equal(drawn.train.codes, draw_population(name, 4, test=500).train.codes)
    for column, feature in enumerate(drawn.train.names):
        declared = drawn.schema.feature(feature)
        size = 257 if declared.kind == "number" else len(declared.categories or ())
        assert int(drawn.train.codes[:, column].max()) < size


def test_the_expected_auc_is_the_mean_over_labels() -> None:
    rng = np.random.default_rng(5)
    chance, scores = rng.random(400), rng.integers(0, 30, 400).astype(np.float64)
    drawn = [auc(scores, (rng.random(400) < chance).astype(np.uint8)) for _ in range(400)]
    # The mean of 400 such figures is off by more than 0.01 with probability below 1e-9; of the means of two
    # labels the ratio's own bias is far smaller.
    assert abs(np.mean(drawn) - expected_auc(scores, chance)) < 0.01
    assert expected_auc(chance, chance) > expected_auc(scores, chance)


def test_the_report_pairs_every_form_with_the_central_one() -> None:
    report = measure(
        ["few"], splits=2, draws=2, epsilons=["8"], forms=["central", "distributed-3"], peers=False
    )
    found = report["tables"]["few"]["epsilon"]["8"]
    assert set(found) == {"central", "distributed-3"}
    difference = found["distributed-3"]["mean"] - found["central"]["mean"]
    assert found["distributed-3"]["against_central"]["mean"] == pytest.approx(difference)
    assert 0.6 < found["central"]["worst"] <= found["central"]["mean"] < 0.9


def test_tables_of_other_kinds_are_refused() -> None:
    with pytest.raises(UsageError, match="RF-U362"):
        subject("unheard-of")
    tumours = subject("breast_cancer")
    assert tumours.rows.codes.shape == (569, 30)
    assert set(np.concatenate(tumours.split(1)).tolist()) == set(range(569))


def test_a_public_table_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("RINGFENCE_DATA", str(tmp_path))
    with pytest.raises(UsageError, match="RF-U363"):
        subject("telco")
