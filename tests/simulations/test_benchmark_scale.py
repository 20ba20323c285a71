"""A whole study by its stages: every second is in one stage, and what was watched is as before."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from ringfence.privacy.agreements.policy import Request, decide
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
    scale.run_timed_study(tmp_path, 7500, profile)  # type: ignore[arg-type]
    found = json.loads((tmp_path / "result.json").read_text())
    assert list(found["stages"]) == [*scale.STAGES, scale.COORDINATOR]
    assert sum(each["seconds"] for each in found["stages"].values()) == pytest.approx(
        found["seconds"], abs=0.02
    )
    assert sum(each["processor_seconds"] for each in found["stages"].values()) == pytest.approx(
        found["processor_seconds"], abs=0.02
    )
    assert {stage: vars(owner)[name] for stage, (owner, name) in scale.STAGES.items()} == watched


@pytest.mark.parametrize("rows", [30_000, 1_000_000, 1_000_001, 10_000_000, 100_000_000])
def test_every_holder_may_take_part_whatever_the_rows(tmp_path: Path, rows: int) -> None:
    federation = scale.signed_federation(tmp_path, rows, "simulation")
    assert Fraction(scale.delta(rows)) <= Fraction(1, 10 * rows)
    for name, site in federation.sites.items():
        others = tuple(
            federation.keys[each].identity.public.fingerprint for each in federation.sites if each != name
        )
        request = Request(
            study=federation.opened.study,
            contract=site.contract.revised(peers=tuple(sorted(others))),
            schema=federation.schema,
            now=datetime(2026, 1, 1, tzinfo=UTC),
            key=federation.keys[name].identity.public,
        )
        assert [reason.code for reason in decide(request).reasons] == []


def test_the_figures_of_a_million_rows_keep_their_delta() -> None:
    found = [scale.delta(rows) for rows in (3, 30_000, 1_000_000, 10_000_000)]
    assert found == ["1e-7", "1e-7", "1e-7", "1e-8"]
