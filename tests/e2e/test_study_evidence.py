"""What a study leaves in the logs: approvals of every holder, no exact count in public, a whole bundle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kits.parties import Parties, write_site
from kits.small import frame_of, schema_of, study_of

from ringfence.audit.log import AuditLog
from ringfence.audit.verification.verify import examine_bundle, verify_bundle
from ringfence.server.rounds import run_study
from ringfence.simulations.federation import Federation
from ringfence.simulations.running import export_logs

SIZES = {"bank": 1411, "retailer": 1437, "partner": 1463}


@dataclass(frozen=True)
class Run:
    """A study that was run, its parties, and the logs of all of them as a bundle."""

    parties: Parties
    bundle: Path

    @property
    def study(self) -> str:
        return f"study:{self.parties.federation.opened.digest}"

    def logs(self) -> dict[str, AuditLog]:
        holders = {name: holder.log for name, holder in self.parties.holders.items()}
        return {"coordinator": self.parties.federation.coordinator.log, **holders}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("evidence")
    schema = schema_of()
    sites = {
        name: write_site(folder, name, frame_of(size, size), schema.digest()) for name, size in SIZES.items()
    }
    asked = study_of(schema, model={"iterations": 1}).model_copy(update={"holders": ()})
    federation = Federation.make(asked, schema, sites, profile="simulation", folder=folder)
    parties = Parties.of(federation)
    run_study(federation.coordinator, federation.opened, parties.wire)
    export_logs(federation, parties.holders, folder / "bundle")
    return Run(parties, folder / "bundle")


def opened(log: AuditLog, seq: int) -> dict[str, object]:
    """The private part of an event, as its owner opens it."""
    return dict(log.open_event(seq).verify([log.verifier]).private)


@pytest.mark.parametrize("name", sorted(SIZES))
def test_a_holders_own_log_holds_the_approval_of_two_people(run: Run, name: str) -> None:
    log, holder = run.logs()[name], run.parties.holders[name]
    given = list(log.events(action="study.approved", resource=run.study))
    assert [one.event.outcome for one in given] == ["allow", "allow"]
    fingerprints = [key.fingerprint for key in holder.approvers]
    assert [opened(log, one.seq)["approver"] for one in given] == fingerprints
    assert not any(word in json.dumps(dict(one.event.public)) for one in given for word in fingerprints)
    actions = [one.event.action for one in log.events(resource=run.study)]
    assert actions.index("study.approved") < actions.index("study.joined")
    # The coordinator's log says of each holder how many approved; who it was is private there too.
    own = run.logs()["coordinator"]
    (seen,) = [one for one in own.events(action="study.approved") if one.event.public["holder"] == name]
    assert dict(seen.event.public) == {"holder": name, "approvals": 2}
    assert opened(own, seen.seq)["approvers"] == sorted(fingerprints)


def test_approvals_that_are_asked_for_again_are_no_further_events(run: Run) -> None:
    federation = run.parties.federation
    holder = run.parties.holders["bank"]
    before = holder.log.size
    assert len(holder.approvals(federation.opened.digest)) == 2
    assert holder.log.size == before


def numbers(value: object) -> Iterator[int]:
    """Every whole number in a member of an event, also as text or in a list."""
    match value:
        case bool():
            return
        case int():
            yield value
        case str() if len(value) < 12:
            try:
                if float(value).is_integer():
                    yield int(float(value))
            except ValueError:
                return
        case list():
            for item in value:
                yield from numbers(item)
        case dict():
            for item in value.values():
                yield from numbers(item)
        case _:
            return


def test_no_exact_count_stands_in_a_public_part(run: Run) -> None:
    exact = set(SIZES.values()) | {sum(SIZES.values())}
    for size in SIZES.values():
        frame = frame_of(size, size)
        exact |= {int(n) for column in ("plan", "active", "churn") for n in frame[column].value_counts()}
    public: list[tuple[str, str, int]] = []
    kept: set[int] = set()
    for name, log in run.logs().items():
        for one in list(log.events()):
            public += [(name, one.event.action, n) for n in numbers(dict(one.event.public))]
            if one.event.action in ("cohort.counted", "waist.send", "table.read", "study.joined"):
                kept |= set(numbers(opened(log, one.seq)))
    counts = {n for n in kept if n > 200} | exact
    assert len(public) > 50, "the scan sees the numbers that there are"
    assert kept & set(SIZES.values()), "exact counts are kept beside the log"
    assert [entry for entry in public if entry[2] in counts] == []


def test_the_scan_would_see_a_count() -> None:
    assert list(numbers({"a": 1411, "b": ["1437", {"c": "1463.0"}], "d": True, "e": "0.5"})) == [
        1411,
        1437,
        1463,
    ]


def test_the_bundle_is_whole_and_misses_whoever_is_taken_out(run: Run, tmp_path: Path) -> None:
    report = verify_bundle(run.bundle)
    assert [log.faults for log in report.logs] == [[]] * 4
    for name, path in [("coordinator", "coordinator"), *((one, f"holders/{one}") for one in SIZES)]:
        copy = tmp_path / name
        shutil.copytree(run.bundle, copy)
        shutil.rmtree(copy / path)
        spoilt = examine_bundle(copy)
        assert spoilt.verdict == "incomplete"
        assert {gap.missing for gap in spoilt.gaps if gap.missing} == {run.logs()[name].origin}
