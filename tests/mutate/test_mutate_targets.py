"""The modules that are mutated and the tests that are asked about them stand where the list says."""

from __future__ import annotations

from pathlib import Path

from mutate.targets import TARGETS, chosen

ROOT = Path(__file__).parents[2]


def test_targets_and_their_tests_are_there() -> None:
    for module, tests in chosen([]).items():
        assert (ROOT / module).is_file(), f"tests/mutate/targets.py: there is no {module}"
        for test in tests:
            assert (ROOT / test.partition("::")[0]).is_file(), f"tests/mutate/targets.py: there is no {test}"


def test_groups_and_files_can_be_chosen() -> None:
    assert set(chosen(["waist"])) == {"privacy/waist.py"}
    assert set(chosen(["clients/gate.py"])) == {"clients/gate.py"}
    assert set(chosen([])) == {module for group in TARGETS.values() for module in group}


def test_what_a_holder_adds_and_what_the_coordinator_believes_are_groups() -> None:
    """A fault of one line there breaks privacy or truth without a module that guards noticing."""
    assert {"models/evaluation.py", "models/scorecard/holder.py", "models/neural/holder.py"} <= set(
        chosen(["contributions"])
    )
    assert {"server/sums.py", "server/membership.py", "server/rounds.py"} <= set(chosen(["coordinator"]))
