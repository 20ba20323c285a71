"""A series between coordinator and holders: one run a window, by each holder's own clock and ledger."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from kits.series_kit import THREE, Series, at
from kits.statistics_kit import TABLES

from ringfence.clients import joining
from ringfence.clients.agent import Agent
from ringfence.clients.pipeline import admit
from ringfence.clients.records.snapshots import Snapshots
from ringfence.models.pricing import price_of
from ringfence.models.releasing import release_result
from ringfence.models.series_price import composed_price
from ringfence.models.tables.release import TableRelease
from ringfence.privacy.accounting.amounts import multiply
from ringfence.privacy.accounting.gaussian import epsilon_of
from ringfence.privacy.consent.cohort import Cohort
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import BudgetError, StudyError, WaistError
from ringfence.privacy.ledger.entries import Charged, RunOfSeries
from ringfence.privacy.protocol.control import StudyOffer
from ringfence.privacy.wire.fields import new_nonce
from ringfence.server.coordinator import OpenStudy
from ringfence.server.membership import offer
from ringfence.server.records.runs import RunStore
from ringfence.server.release.gate import export_gate
from ringfence.server.rounds import released_again, stop_study

MONTHS = {1: "2030-01-31", 2: "2030-02-28", 3: "2030-03-31", 4: "2030-04-30"}


def join(here: Series, window: int) -> set[str]:
    """Offer a fresh run, as any coordinator can; who joined."""
    opened = here.opened(window)
    return set(offer(here.federation.coordinator, opened, here.parties.wire).keys)


def test_a_series_runs_once_a_window_and_charges_what_was_shown(tmp_path: Path) -> None:
    """Every run is reserved and charged by itself; together they come to the composed price."""
    here = Series.of(tmp_path, privacy={"max_attempts": 1})
    price = price_of(here.study, here.federation.opened.plan)
    digests = set()
    for window, day in MONTHS.items():
        here.clock.moment = at(day)
        here.attest(window)
        digests.add(here.run(window).digest)
        assert here.holder().snapshots.windows(here.study.digest()) == ()
    assert len(digests) == 4
    assert [(each.window, each.open) for each in here.booked()] == [(n, False) for n in MONTHS]
    assert price.series is not None
    charged = here.holder().ledger.charged().mu_squared
    assert price.series.reserve == multiply(price.reserve, 4)
    # The ledger rounds every charge against the spender, by some 1e-14 of it.
    assert price.series.reserve <= charged <= price.series.reserve * (1 + Decimal("1e-13"))
    exact = epsilon_of(price.delta, math.sqrt(charged))  # what is shown keeps a little delta for sampling
    assert exact <= price.series.holder_epsilon_worst <= exact * (1 + 1e-4)
    reserved = here.holder().ledger.quote(here.federation.opened.plan)
    assert charged <= reserved.times(4).mu_squared == multiply(reserved.mu_squared, 4)
    here.clock.moment = at("2030-05-31")
    with pytest.raises(StudyError, match="RF-S476"):
        here.run(5)


def test_a_window_has_one_run_that_releases_at_both_sides(tmp_path: Path) -> None:
    here = Series.of(tmp_path)
    here.attest(1)
    here.run(1)
    with pytest.raises(StudyError, match="RF-S479"):
        here.run(1)
    with pytest.raises(StudyError, match="RF-S483"):
        here.attest(1, "bank")
    assert join(here, 1) == set(), "a coordinator that starts it all the same is refused by everybody"
    for name in THREE:
        assert here.refusals(name) == ["RF-S483"]
        assert len(here.booked(name)) == 1
    assert "had its run, which released" in here.parties.said["bank"][-1]


@pytest.mark.parametrize(
    ("day", "window", "code", "told"),
    [
        ("2030-01-30", 1, "RF-S481", "from 2030-01-31 00:00 UTC on; it is 2030-01-30 12:00 UTC here"),
        ("2030-01-31", 2, "RF-S481", "from 2030-02-28 00:00 UTC on"),
        ("2030-02-28", 1, "RF-S482", "until 2030-02-28 00:00 UTC; it is 2030-02-28 12:00 UTC here"),
        ("2031-01-01", 4, "RF-S482", "until 2030-05-31 00:00 UTC"),
        ("2030-01-31", 0, "RF-S480", "names the window 0"),
        ("2030-01-31", 5, "RF-S473", "there is no run 5"),
    ],
)
def test_a_run_that_starts_outside_of_its_window_is_refused_and_both_times_are_said(
    tmp_path: Path, day: str, window: int, code: str, told: str
) -> None:
    here = Series.of(tmp_path)
    here.attest(1)
    here.clock.moment = at(day)
    assert join(here, window) == set()
    assert here.refusals() == [code]
    assert told in here.parties.said["bank"][-1]
    if code in {"RF-S481", "RF-S482"}:
        assert "at the coordinator" in here.parties.said["bank"][-1]
    assert here.booked() == ()


def test_a_study_that_is_no_series_has_no_window(tmp_path: Path) -> None:
    here = Series.of(tmp_path, series=None)
    assert join(here, 1) == set()
    assert here.refusals() == ["RF-S480"]


def test_a_run_needs_a_table_that_was_attested_for_it(tmp_path: Path) -> None:
    """The copy of one window serves no other, and there is no reservation without one."""
    here = Series.of(tmp_path)
    here.attest(1)
    here.clock.moment = at(MONTHS[2])
    assert join(here, 2) == set()
    assert here.refusals() == ["RF-T152"]
    assert here.booked() == ()
    here.attest(2)
    assert here.holder().snapshots.windows(here.study.digest()) == (2,), "the unused copy is gone"
    assert join(here, 2) == set(THREE)


def stopped(here: Series, window: int) -> None:
    """A run that everybody joined and that people end without a model."""
    coordinator, opened = here.federation.coordinator, here.opened(window)
    runs = RunStore(coordinator.registry.engine, here.clock)
    kept = runs.take_up(opened)
    members = offer(coordinator, opened, here.parties.wire)
    kept.admit(members.joined)
    assert members.joined == set(THREE)
    assert stop_study(coordinator, opened, here.parties.wire, runs) is None


def test_a_run_that_failed_counts_and_may_be_tried_again_in_its_window(tmp_path: Path) -> None:
    """Each try is a run of its own, charged and counted, with a table attested anew."""
    here = Series.of(tmp_path)
    here.attest(1)
    stopped(here, 1)
    assert join(here, 1) == set()
    assert here.refusals() == ["RF-T152"]
    here.attest(1)
    here.run(1)
    assert [each.window for each in here.booked()] == [1, 1]
    cohorts = [
        entry.record
        for entry in here.holder().ledger.entries()
        if isinstance(entry.record, Charged) and entry.record.round == -1
    ]
    assert len(cohorts) == 2


def test_failed_runs_use_the_series_up(tmp_path: Path) -> None:
    here = Series.of(tmp_path, series={"runs": 2, "every": "month", "begins": "2030-01-31"})
    for _ in range(2):
        here.attest(1)
        stopped(here, 1)
    here.attest(1)
    with pytest.raises(StudyError, match="RF-S476"):
        here.run(1)
    assert join(here, 1) == set()
    assert here.refusals() == ["RF-S485"]
    assert len(here.booked()) == 2


def test_while_a_run_goes_on_no_other_starts_in_its_window(tmp_path: Path) -> None:
    here = Series.of(tmp_path)
    here.attest(1)
    assert join(here, 1) == set(THREE)
    with pytest.raises(StudyError, match="RF-S321"):
        here.attest(1, "bank")
    assert join(here, 1) == set()
    assert here.refusals() == ["RF-S484"]
    here.clock.moment = at(MONTHS[2])
    here.attest(2)
    assert join(here, 2) == set(THREE), "the next window does not wait for it"
    assert [(each.window, each.open) for each in here.booked()] == [(1, True), (2, True)]


def test_a_run_that_began_in_its_window_is_joined_again_after_it(tmp_path: Path) -> None:
    """A process that dies loses its keys; the run goes on although the window has closed."""
    here = Series.of(tmp_path)
    here.attest(1)
    opened = here.opened(1)
    coordinator, wire = here.federation.coordinator, here.parties.wire
    assert set(offer(coordinator, opened, wire).keys) == set(THREE)
    here.clock.moment = at(MONTHS[2])
    here.parties.agents["bank"] = Agent(holder=here.holder(), report=here.parties.said["bank"].append)
    wire.inner = replace(wire.inner, agents=here.parties.agents)
    assert set(offer(coordinator, opened, wire).keys) == set(THREE)
    assert len(here.booked()) == 1


def test_killed_between_reserving_and_counting_a_run_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was reserved stands, for that run alone: another one in the window does not take it up."""
    here = Series.of(tmp_path)
    here.attest(1)
    opened = here.opened(1)

    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Cohort, "freeze", killed)
        with suppress(Killed):
            offer(here.federation.coordinator, opened, here.parties.wire, names=["bank"])
    assert [(each.run, each.open) for each in here.booked()] == [(opened.run, True)]
    assert "bank" not in join(here, 1)
    assert here.refusals() == ["RF-S484"]
    assert [each.run for each in here.booked()] == [opened.run]
    again = offer(here.federation.coordinator, opened, here.parties.wire, names=["bank"])
    assert set(again.keys) == {"bank"}, "the same run takes it up"
    assert [each.run for each in here.booked()] == [opened.run]
    reservation = here.holder().ledger.reservations()[0]
    with (
        pytest.raises(BudgetError, match="RF-B620"),
        here.holder().ledger.release(reservation, run="0" * 32, round=0, attempt=0, mu_squared=0),
    ):
        pass


def test_two_runs_that_join_at_one_moment_are_not_both_reserved(tmp_path: Path) -> None:
    """The count is asked in the transaction that reserves, where the other run's entry stands already."""
    here = Series.of(tmp_path)
    here.attest(1, "bank")
    bank, study = here.holder(), here.study
    plan = here.federation.opened.plan

    def premise(connection: Any) -> None:
        turn = RunOfSeries(run="b" * 32, window=1)
        joining.require_turn(bank.ledger, bank.participations, study, turn, connection)

    bank.ledger.reserve_plan(study.digest(), plan, None, RunOfSeries(run="a" * 32, window=1))
    before = bank.ledger.head()
    with pytest.raises(StudyError, match="RF-S484"):
        bank.ledger.reserve_plan(study.digest(), plan, premise, RunOfSeries(run="b" * 32, window=1))
    assert bank.ledger.head() == before


def test_approvals_are_for_so_many_runs_under_one_contract(tmp_path: Path) -> None:
    """Those of a series of three do not serve one of four, nor those under the contract before."""
    here = Series.of(tmp_path)
    here.attest(1)
    shorter = here.study.revised(series={"runs": 3, "every": "month", "begins": "2030-01-31"})
    here.approve("bank", shorter)
    assert join(here, 1) == {"partner", "retailer"}
    assert here.refusals() == ["RF-S030"]
    here.approve("bank")
    newer = here.holder().contract.revised(version=2)
    changed = replace(here.holder(), contract=newer)
    here.parties.holders["bank"] = changed
    here.parties.agents["bank"].holder = changed
    assert "bank" not in join(here, 1)
    assert here.refusals()[-1] == "RF-S032"
    here.approve("bank")
    here.attest(1, "bank")
    assert "bank" in join(here, 1)


def test_who_attests_names_a_window_that_can_still_be_run(tmp_path: Path) -> None:
    here = Series.of(tmp_path)
    with pytest.raises(StudyError, match="RF-S473"):
        here.attest(5, "bank")
    here.attest(1, "bank")
    with pytest.raises(WaistError, match="RF-W200"):
        here.run(1)  # the others have attested nothing
    assert here.refusals("partner") == ["RF-T152"]


def test_a_copy_is_forgotten_though_its_process_died_as_the_run_was_closed(tmp_path: Path) -> None:
    here = Series.of(tmp_path)
    here.attest(1, "bank")
    bank, opened = here.holder(), here.opened(1)
    assert joining.join(bank, admit(bank, offered(here, opened))).reservation.window == 1
    joining.close_reservations(bank.ledger, opened.digest, opened.run)
    assert bank.snapshots.find(opened.digest, 1) is not None
    assert joining.close_reservations(bank.ledger, opened.digest, opened.run) == {1}, "told again"
    joining.close_left(bank, opened.digest, opened.run)
    assert bank.snapshots.find(opened.digest, 1) is None


def test_a_window_that_closes_while_the_copy_is_read_reserves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Series.of(tmp_path)
    here.attest(1, "bank")
    bank, opened = here.holder(), here.opened(1)
    assert here.study.series is not None
    closes, whole = here.study.series.window(1).closes, Snapshots.content
    here.clock.moment = closes - timedelta(seconds=1)
    admitted = admit(bank, offered(here, opened))

    def slow(*given: Any) -> Any:
        here.clock.moment = closes + timedelta(hours=3)
        return whole(*given)

    monkeypatch.setattr(Snapshots, "content", slow)
    with pytest.raises(StudyError):
        joining.join(bank, admitted)
    assert here.booked() == ()


def offered(here: Series, opened: OpenStudy) -> StudyOffer:
    return StudyOffer(
        study=opened.document.to_json(),
        schema=opened.schema_document.to_json(),
        run=opened.run,
        nonce=new_nonce(),
        log_key=PublicIdentity(here.federation.coordinator.log.verifier.raw).hex,
        ledger=None,
        log=None,
        window=opened.window,
        clock=0,
    )


def test_a_series_of_tables_is_charged_as_shown_and_each_run_leaves(tmp_path: Path) -> None:
    """Runs of one signed study are of one cohort: the gate does not hold the second against the first."""
    here = Series.of(tmp_path, **TABLES, privacy={"max_attempts": 1, "epsilon": "4"})
    study, coordinator = here.study, here.federation.coordinator
    price = price_of(study, here.federation.opened.plan)
    assert price.series is not None
    composed, pages = price.series.as_report()["series_customer_epsilon_worst_case"], list[str]()
    assert composed_price(study, here.federation.schema) == composed, "which the inbox shows"
    for window in (1, 2):
        here.clock.moment = at(MONTHS[window])
        here.attest(window)
        opened = here.opened(window)
        found = here.run(window, opened).result
        assert isinstance(found, TableRelease)
        kept = released_again(opened, RunStore(coordinator.registry.engine, here.clock))
        assert kept.result == found, "the tables are a function of the released sums"
        folder = tmp_path / f"out-{window}"
        gate = export_gate(coordinator, study.privacy.epsilon, study.release)
        release_result(found, folder, gate=gate, epsilon=study.privacy.epsilon, resource=f"run:{window}")
        told = json.loads((folder / "tables.json").read_text())
        assert (told["epsilon"], told["series_runs"]) == ("4", 4)
        assert told["series_epsilon_worst_case"] == composed
        pages.append((folder / "tables.html").read_text(encoding="utf-8"))
        assert f"series of 4; all its runs together, with every attempt, cost ε = {composed}" in pages[-1]
    assert pages[0] != pages[1]
    charged = here.holder().ledger.charged().mu_squared
    exact = multiply(price.reserve, 2)
    assert exact <= charged <= exact * (1 + Decimal("1e-13"))
    assert {each.part for each in here.holder().ledger.statement() if each.kind == "charged"} == {"both"}
