"""Attacks on a released card: they find what is there to be found, and say what they are not."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kits.small import context_of, frame_of, matrix_of
from prove.probe import Silent

from ringfence.models.features import FeatureMatrix
from ringfence.models.task import StudyContext
from ringfence.privacy.command_line.terminal import Terminal
from ringfence.privacy.errors import UsageError
from ringfence.simulations.attack import (
    likelihood_ratio,
    membership_inference,
    reconstruction,
    run_attack,
)
from ringfence.simulations.cli import command


def parts_of(epsilon: str, **changes: Any) -> tuple[StudyContext, list[FeatureMatrix]]:
    context = context_of(privacy={"epsilon": epsilon}, evaluation={"test_fraction": "0"}, **changes)
    return context, [matrix_of(context, frame_of(60, seed)) for seed in range(3)]


def test_a_missing_row_is_rebuilt_where_noise_is_small_and_missing_and_else_not() -> None:
    targets = np.arange(60)
    context, parts = parts_of("32", features=["plan"])
    loud = reconstruction(context, parts, targets, lambda _part: Silent())
    assert loud["right"] > loud["by_frequency"] + 0.2
    context, parts = parts_of("0.1")
    quiet = reconstruction(context, parts, targets)
    assert quiet["right"] < quiet["by_frequency"] + 0.1


def test_the_likelihood_ratio_finds_a_difference_where_there_is_one() -> None:
    rng = np.random.default_rng(1)
    inside = rng.random((400, 30)) < 0.5
    seen = rng.normal(0, 1, inside.shape) + 2.0 * inside
    ratio = likelihood_ratio(seen[:200], inside[:200], seen[200:])
    assert ratio[inside[200:]].mean() > ratio[~inside[200:]].mean() + 2
    blind = likelihood_ratio(seen[:200], rng.random((200, 30)) < 0.5, seen[200:])
    assert abs(blind[inside[200:]].mean() - blind[~inside[200:]].mean()) < 0.5


def test_membership_counts_members_and_others_of_the_attacked_runs() -> None:
    context, parts = parts_of("1")
    told: list[int] = []
    found = membership_inference(context, parts, np.arange(10), 16, 3, told.append)
    assert sum(told) == 16
    assert 0.2 < found["auc"] < 0.8
    assert found["tpr_low"] <= found["tpr"] <= found["tpr_high"]


@pytest.mark.slow
def test_the_command_says_what_was_tried_and_that_it_is_no_proof(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "attack.json"
    assert command(["attack", "--runs", "16", "--targets", "10", "--json", str(out)]) == 0
    text = capsys.readouterr().out
    assert "AUC" in text
    assert "not the proof" in text
    result = json.loads(out.read_text(encoding="utf-8"))
    assert (result["runs"], result["targets"], result["customers"]) == (16, 10, 1500)
    assert 0.01 < result["most_any_attack"] < 0.03
    assert 0 <= result["reconstruction"]["right"] <= 1


@pytest.mark.parametrize(("runs", "targets"), [(4, 10), (16, 1), (16, 400)])
def test_attacks_too_small_to_say_anything_are_refused(runs: int, targets: int) -> None:
    with pytest.raises(UsageError, match="RF-U375"):
        run_attack(epsilon=Decimal(1), runs=runs, targets=targets, seed=1, terminal=Terminal())
