"""What a holder admits, and what it asks before it computes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kits.asking import Asking

from ringfence.clients import pipeline
from ringfence.clients.pipeline import admit, allowed_now, contribute, not_joined, rows_used
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import BudgetError, KeyFault, SchemaError, StudyError, WaistError
from ringfence.privacy.protocol.control import StudyOffer
from ringfence.privacy.waist import Query
from ringfence.privacy.wire.envelope import MessageKind
from ringfence.privacy.wire.heads import sign_head


@pytest.fixture
def asking(tmp_path: Path) -> Asking:
    return Asking.of(tmp_path)


@pytest.fixture
def offer(asking: Asking) -> StudyOffer:
    found: StudyOffer = asking.opened(StudyOffer, asking.stopped(MessageKind.STUDY_OFFER))
    return found


def test_what_is_admitted_is_what_was_signed_at_this_holders_own_price(
    asking: Asking, offer: StudyOffer
) -> None:
    found, opened = admit(asking.bank, offer), asking.parties.federation.opened
    assert (found.study, found.digest, found.run) == (opened.study, opened.digest, opened.run)
    assert (found.plan, found.context, found.task.name) == (opened.plan, opened.context, "scorecard")
    assert found.obligations.columns.features == ("age", "spend", "plan", "active")
    assert asking.bank.ledger.entries()[1:] == ()
    assert ("study.joined", "allow") not in asking.parties.actions("bank")


@pytest.mark.parametrize("member", ["study", "schema"])
def test_documents_are_the_coordinators(asking: Asking, offer: StudyOffer, member: str) -> None:
    signed = SignedDocument.from_json(getattr(offer, member))
    stranger = Identity.generate("coordinator", simulation=True)
    forged = replace(signed, signatures=()).signed_by(stranger).to_json()
    with pytest.raises(KeyFault):
        admit(asking.bank, replace(offer, **{member: forged}))
    other = {"study": "schema", "schema": "study"}[member]
    with pytest.raises(KeyFault):
        admit(asking.bank, replace(offer, **{member: getattr(offer, other)}))


def test_a_study_in_another_version_of_the_schema_is_not_admitted(asking: Asking, offer: StudyOffer) -> None:
    coordinator = asking.parties.federation.coordinator.identity
    newer = asking.bank.schema.revised(version=2)
    signed = SignedDocument(kind="schema", body=newer.canonical()).signed_by(coordinator)
    with pytest.raises(SchemaError, match="RF-C060"):
        admit(asking.bank, replace(offer, schema=signed.to_json()))


def test_a_head_that_the_coordinator_saw_is_this_ledgers(asking: Asking, offer: StudyOffer) -> None:
    bank, origin = asking.bank, asking.bank.log.origin
    mark = bank.ledger.mark(bank.marks)
    known = sign_head(bank.identity, mark=mark, log=origin)
    assert admit(bank, replace(offer, ledger=known)).run == offer.run
    stranger = sign_head(Identity.generate("holder"), mark=mark, log=origin)
    elsewhere = sign_head(bank.identity, mark=mark, log=f"{origin}-of-another-federation")
    for not_ours in (stranger, elsewhere):
        with pytest.raises(WaistError, match="RF-W166"):
            admit(bank, replace(offer, ledger=not_ours))
    assert bank.ledger.frozen() == ""
    later = sign_head(bank.identity, mark="ab" * 64, log=origin)
    with pytest.raises(BudgetError):
        admit(bank, replace(offer, ledger=later))
    assert bank.ledger.frozen() != ""


def test_policy_and_approvals_are_asked_at_this_moment(asking: Asking) -> None:
    bank, study = asking.bank, asking.parties.federation.opened.study
    assert allowed_now(bank, study).min_cohort == 1
    for moment, allowed in (("2035-12-31", True), ("2036-01-01", False)):
        at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        holder = replace(bank, clock=lambda at=at: at)
        if allowed:
            allowed_now(holder, study)
            continue
        with pytest.raises(StudyError, match="RF-S041"):
            allowed_now(holder, study)
    asked: list[str] = []

    def approvals(digest: str) -> Any:
        asked.append(digest)
        return bank.approvals(digest)[:1]

    with pytest.raises(StudyError, match="RF-S032"):
        allowed_now(replace(bank, approvals=approvals), study)
    assert asked == [study.digest()]
    with pytest.raises(StudyError, match="RF-S032"):  # the file of somebody who left is passed over
        allowed_now(replace(bank, approvers=bank.approvers[:1]), study)
    with pytest.raises(StudyError, match="RF-S030"):
        allowed_now(replace(bank, name="retailer"), study)
    with pytest.raises(StudyError, match="RF-S041"):
        allowed_now(replace(bank, identity=Identity.generate("holder", simulation=True)), study)


@pytest.mark.parametrize(("task", "number"), [("scorecard", -1), ("scorecard", 4), ("mlp", 0)])
def test_a_round_is_one_of_the_plan(asking: Asking, task: str, number: int) -> None:
    assert asking.offered() == "join"
    assert len(asking.parties.federation.opened.plan.rounds) == 4
    with pytest.raises(StudyError, match="RF-S060"):
        contribute(asking.bank, asking.run.joined, Query(task=task, round=number))


def test_a_contribution_is_exact_and_of_who_is_there_now(asking: Asking) -> None:
    call = asking.call()
    joined = asking.run.joined
    everybody = contribute(asking.bank, joined, call.query)
    asking.bank.registry.withdraw(["bank-3"], "churn-prediction", datetime(2026, 1, 1, tzinfo=UTC))
    less = contribute(asking.bank, joined, call.query)
    assert (everybody.evidence["customers"], less.evidence["customers"]) == (30, 29)
    assert everybody.evidence["rows"] != less.evidence["rows"]
    assert (everybody.own, everybody.plan.name) == (None, "histogram")
    assert everybody.contribution.query_digest == call.query.digest()
    assert asking.charges() == [(-1, 0)], "computing costs nothing"
    assert ("consent.withdrawn", "allow") in asking.parties.actions("bank")


def test_local_steps_need_local_noise_and_a_task_that_has_them(asking: Asking) -> None:
    call = asking.call()
    joined = asking.run.joined
    plan = joined.admitted.plan
    first = replace(plan.rounds[0], local_steps=1)
    local = replace(joined.admitted, plan=replace(plan, rounds=(first, *plan.rounds[1:])))
    trains = replace(local.task, train_locally=lambda *_: pytest.fail("it was trained"))
    for admitted in (local, replace(local, task=trains)):
        with pytest.raises(StudyError, match="RF-S066"):
            contribute(asking.bank, replace(joined, admitted=admitted), call.query)
    # Local noise, but a task without steps of its own.
    terms = joined.admitted.study.privacy.model_copy(update={"noise": "local"})
    study = joined.admitted.study.model_copy(update={"privacy": terms})
    context = replace(local.context, study=study)
    with pytest.raises(StudyError, match="RF-S066"):
        contribute(
            asking.bank,
            replace(joined, admitted=replace(local, context=context)),
            call.query,
        )
    seen: list[Any] = []

    def train(_context: Any, query: Query, steps: Any) -> str:
        seen.append((query, steps))
        return "trained"

    mine = replace(local.task, train_locally=train)
    ready = replace(joined, admitted=replace(local, context=context, task=mine))
    found: Any = contribute(asking.bank, ready, call.query, "own")
    assert (found.contribution, found.own) == ("trained", None)
    ((query, steps),) = seen
    assert query is call.query
    assert (steps.plan, steps.noise, steps.max_customers) == (first, asking.bank.noise, 5000)
    assert len(steps.rows.label) == int((~joined.features.is_test).sum())


def test_a_task_with_models_of_holders_own_begins_from_what_was_kept(asking: Asking) -> None:
    call = asking.call()
    joined = asking.run.joined
    seen: list[Any] = []

    class _Personal:
        def __init__(self, wanted: bool) -> None:
            self.wanted = lambda _context: wanted

        def train(self, context: Any, query: Query, steps: Any, own: object) -> tuple[str, str]:
            seen.append((context, query, own))
            return "upload", "kept"

    terms = joined.admitted.study.privacy.model_copy(update={"noise": "local"})
    study = joined.admitted.study.model_copy(update={"privacy": terms})
    plan = joined.admitted.plan
    plan = replace(plan, rounds=(replace(plan.rounds[0], local_steps=1), *plan.rounds[1:]))
    context = replace(joined.admitted.context, study=study)
    for wanted, expected in ((True, ("upload", "kept")), (False, ("plain", None))):
        personal: Any = _Personal(wanted)
        task = replace(joined.admitted.task, personal=personal, train_locally=lambda *_: "plain")  # type: ignore[arg-type,return-value]
        admitted = replace(joined.admitted, plan=plan, context=context, task=task)
        found: Any = contribute(asking.bank, replace(joined, admitted=admitted), call.query, "before")
        assert (found.contribution, found.own) == expected
    assert seen == [(context, call.query, "before")]


def test_what_is_kept_of_the_rows_used() -> None:
    cohort, still = bytes(range(32)), np.array([True, False, True, True, False, False, True, True, True])
    data = b"ringfence/rows-used/v1\n" + cohort + b"\0" * 7 + b"\x09" + bytes([0b10110011, 0b10000000])
    assert rows_used(cohort, still) == "sha256:" + hashlib.sha256(data).hexdigest()


def test_a_run_that_is_not_known_is_named() -> None:
    fault = not_joined("ab" * 16)
    assert (fault.code, fault.values) == ("RF-S063", {"run": "ab" * 16})
    assert pipeline.not_joined is not_joined
