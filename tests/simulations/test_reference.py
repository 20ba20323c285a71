"""The reference run is the study without its parties: same integers, same noise, same result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kits.noise import SeededNoise, SeededNoises
from kits.parties import federation_of
from kits.small import context_of, frame_of, matrix_of

from ringfence.models.features import FeatureMatrix
from ringfence.models.scorecard import SCORECARD, Scorecard
from ringfence.privacy.errors import UsageError
from ringfence.privacy.mechanisms.source import OsNoise
from ringfence.simulations.federation import run_in_process
from ringfence.simulations.reference import central, run_reference


@pytest.mark.parametrize("iterations", [1, 3])
def test_it_equals_the_whole_product_bit_for_bit(tmp_path: Path, iterations: int) -> None:
    federation = federation_of(tmp_path, model={"iterations": iterations}, evaluation={"test_fraction": "0"})
    outcome, holders = run_in_process(federation, noise=SeededNoises(5))
    context = federation.opened.context
    names = sorted(holders)
    frames = {name: frame_of(400, seed) for seed, name in enumerate(federation.sites)}
    parts = [matrix_of(context, frames[name]) for name in names]
    card = run_reference(context, parts, noise=lambda position: SeededNoise(5, names[position]))
    assert isinstance(card, Scorecard)
    assert card.digest() == outcome.card.digest()
    other = run_reference(context, parts, noise=lambda position: SeededNoise(6, names[position]))
    assert other.digest() != card.digest(), "a comparison that noise does not change could not fail"


def test_central_stands_for_one_party_with_all_customers() -> None:
    context = context_of(holders=10)
    alone = central(context)
    plan, shared = SCORECARD.plan(alone), SCORECARD.plan(context)
    assert (plan.honest, shared.honest) == (1, 9)
    assert plan.mu_squared == pytest.approx(shared.mu_squared, rel=1e-3)
    card = run_reference(alone, [matrix_of(context, frame_of(2000))], task=SCORECARD)
    assert isinstance(card, Scorecard)


def test_fewer_parts_than_the_study_counts_on_are_refused() -> None:
    context = context_of(holders=3)
    whole = matrix_of(context, frame_of(100))
    with pytest.raises(UsageError, match="RF-U360"):
        run_reference(context, [whole, whole], noise=lambda _part: OsNoise())


def test_the_test_customers_stay_out_of_training() -> None:
    context = context_of()
    whole = matrix_of(context, frame_of(600))
    hidden = np.zeros(600, dtype=bool)
    hidden[:300] = True
    masked = type(whole)(names=whole.names, codes=whole.codes, label=whole.label, is_test=hidden)
    noise = [SeededNoise(1, str(i)) for i in range(3)]

    def run(each: object) -> str:
        parts = [each, each, each]
        return str(run_reference(context, parts, noise=lambda i: noise[i], task=SCORECARD).digest())  # type: ignore[arg-type]

    assert run(masked) == run(whole.take(~hidden))
    assert run(masked) != run(whole)


def test_where_customers_are_changes_nothing_at_the_same_noise() -> None:
    """Three holders against one with everybody and two with nobody, under the same three shares of noise."""
    context = context_of()
    whole = matrix_of(context, frame_of(900))
    spread = [whole.take(part) for part in np.array_split(np.arange(900), 3)]
    nobody = whole.take(np.zeros(0, dtype=np.int64))

    def run(parts: list[FeatureMatrix]) -> str:
        return str(
            run_reference(context, parts, noise=lambda i: SeededNoise(1, str(i)), task=SCORECARD).digest()
        )

    assert run(spread) == run([whole, nobody, nobody])
    assert run(spread) != run([spread[0], nobody, nobody])
