"""The measurements of noise, masks and secure sums at tiny sizes: what they report, not how fast anything
is.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from ringfence.privacy.command_line.terminal import run
from ringfence.privacy.errors import WaistError

with warnings.catch_warnings():
    # Flower's own imports are deprecated ones; here they are done once, before warnings are errors.
    warnings.filterwarnings("ignore", message="'click", category=DeprecationWarning)
    import flwr.common.secure_aggregation.secaggplus_utils  # noqa: F401

from ringfence.simulations.benchmarks import masks, noise, secure_sum, timing


def test_candidates_take_turns() -> None:
    order: list[str] = []
    timings = timing.take_turns(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repetitions=2
    )
    assert order == ["a", "b"] * 3
    assert all(0 <= each.processor < 1 and 0 < each.wall < 1 for each in timings.values())


def test_medians_are_of_single_repetitions(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 10.0, 12.0, 20.0, 29.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    assert timing.take_turns({"a": lambda: None}, repetitions=3)["a"].wall == 2.0


def test_noise_is_measured_by_law_and_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    # A table is made once; small scales keep the test short, so the sides of the report are moved as well.
    monkeypatch.setattr(noise, "LARGEST_TABLE", 100.0)
    report = noise.measure(draws=2000, peer_draws=20, repetitions=3, scales=(16.0, 200.0))
    assert set(report["gaussian"]) == set(report["laplace"]) == {"16", "200"}
    assert report["ratio"]["laplace"] == min(report["laplace"].values()) / report["opendp"]["laplace"]
    for side, scale in (("up_to_4096", "16"), ("above_4096", "200")):
        assert report["least"][side] == min(report["gaussian"][scale], report["laplace"][scale]) > 0
    assert len(noise.lines(report)) == 5


def test_rates_are_counts_over_processor_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(candidates: dict[str, Callable[[], object]], repetitions: int) -> dict[str, timing.Timing]:
        return {
            name: timing.Timing(processor=8.0 if "opendp" in name else 2.0, wall=99.0) for name in candidates
        }

    monkeypatch.setattr(noise, "take_turns", slow)
    report = noise.measure(draws=4000, peer_draws=80, repetitions=1, scales=(16.0,))
    assert report["gaussian"] == {"16": 2000.0}
    assert report["opendp"] == {"gaussian": 10.0, "laplace": 10.0}
    assert report["ratio"] == {"gaussian": 200.0, "laplace": 200.0}
    assert report["least"]["above_4096"] is None
    monkeypatch.setattr(
        masks,
        "take_turns",
        lambda candidates, _: dict.fromkeys(candidates, timing.Timing(processor=0.5, wall=9.0)),
    )
    made = masks.measure(words=1000, peers=3, repetitions=1)
    assert made["masks_32"] == made["cipher"] == made["flower"]["long"] == made["flower"]["step"] == 6000.0
    assert made["flower"]["short"] == 2000.0
    assert made["ratio"]["short"] == 3.0


def test_masks_are_measured_against_their_peers() -> None:
    report = masks.measure(words=5000, peers=3, repetitions=3)
    ours = report["masks_32"]
    assert report["ratio"]["cipher"] == ours / report["cipher"]
    assert report["ratio"]["long"] == ours / report["flower"]["long"] > 0
    assert len(masks.lines(report)) == 6


def test_the_timed_masks_are_masks() -> None:
    vector = np.zeros(70_001, dtype=np.uint32)
    masks.derived_and_masked(vector, 3)
    assert np.count_nonzero(vector) > 70_000 - 20  # a word is zero once in 2**32


@pytest.mark.parametrize("holders", [2, 5])
def test_a_secure_sum_is_measured_by_its_steps(holders: int) -> None:
    report = secure_sum.measure(words=1000, holders=holders, repetitions=3)
    spent = report["processor_seconds"]
    assert report["seconds"] > 0
    assert set(spent) == {"all", "keys", "masks", "sum"}
    assert spent["all"] >= spent["masks"] >= 0
    assert report["noise_processor_seconds"] > 0


def test_a_wrong_sum_is_not_timed() -> None:
    vectors = [np.arange(10, dtype=np.int64)] * 3
    secure_sum.one_sum(vectors, 3 * vectors[0])
    with pytest.raises(WaistError) as error:
        secure_sum.one_sum(vectors, 3 * vectors[0] + 1)
    assert error.value.code == "RF-W290"


@pytest.mark.parametrize(
    ("command", "arguments", "word"),
    [
        (noise.command, ["--draws", "500", "--repetitions", "1"], "OpenDP"),
        (masks.command, ["--words", "2000", "--peers", "2", "--repetitions", "1"], "Flower"),
        (secure_sum.command, ["--words", "100", "--holders", "3", "--repetitions", "1"], "3 holders"),
    ],
)
def test_the_commands_print_a_table_and_write_json(
    command: Callable[[Sequence[str]], int],
    arguments: list[str],
    word: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / "figures.json"
    assert run(command, [*arguments, "--json", str(target)], program="benchmark") == 0
    assert word in capsys.readouterr().out
    assert "goals" in json.loads(target.read_text())
