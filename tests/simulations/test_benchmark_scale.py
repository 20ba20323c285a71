"""A whole study by its stages: every second is in one stage, and what was watched is as before."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from ringfence.simulations.benchmarks import scale
from ringfence.simulations.benchmarks.timing import Stages


class Work:
    """Something to watch."""

    def outer(self, seconds: float) -> str:
        """Takes as long as it is told, twice, half of it elsewhere."""
        wait(seconds)
        return self.inner(seconds)

    def inner(self, seconds: float) -> str:
        """Takes as long as it is told."""
        wait(seconds)
        if not seconds:
            raise LookupError("nothing to do")
        return "done"


def wait(seconds: float) -> None:
    """Keep the processor busy."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_stage_is_without_the_stages_it_calls() -> None:
    stages, work = Stages(), Work()
    before = time.process_time()
    with stages.watching({"outer": (Work, "outer"), "inner": (Work, "inner")}), stages.stage("rest"):
        assert work.outer(0.05) == work.inner(0.02) == "done"
    spent = time.process_time() - before
    assert stages.spent["outer"][0] == 1
    assert stages.spent["inner"][0] == 2
    assert 0.05 <= stages.spent["outer"][1] < 0.07 <= stages.spent["inner"][1]
    assert sum(processor for _, processor, _ in stages.spent.values()) == pytest.approx(spent, abs=0.01)


def test_what_fails_is_timed_raised_and_put_back() -> None:
    stages, original = Stages(), Work.inner
    with pytest.raises(LookupError), stages.watching({"inner": (Work, "inner")}):
        Work().inner(0)
    assert stages.spent["inner"][0] == 1
    assert Work.inner is original


@pytest.mark.parametrize("profile", ["simulation", "durable"])
def test_a_study_is_told_by_all_its_stages(tmp_path: Path, profile: str) -> None:
    watched = {stage: vars(owner)[name] for stage, (owner, name) in scale.STAGES.items()}
    scale.write_tables(tmp_path, 7500, profile)  # type: ignore[arg-type]
    scale.run_study(tmp_path, 7500, profile)  # type: ignore[arg-type]
    found = json.loads((tmp_path / "result.json").read_text())
    assert list(found["stages"]) == [*scale.STAGES, scale.COORDINATOR]
    assert sum(each["seconds"] for each in found["stages"].values()) == pytest.approx(found["seconds"], abs=0.02)
    assert sum(each["processor_seconds"] for each in found["stages"].values()) == pytest.approx(
        found["processor_seconds"], abs=0.02
    )
    assert {stage: vars(owner)[name] for stage, (owner, name) in scale.STAGES.items()} == watched
