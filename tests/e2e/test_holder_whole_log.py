"""A holder's log of a run, event by event and member by member, its private parts opened.

What is expected is worked out from elsewhere: the signed study, the plan, the bytes that crossed the wire,
the kept copy, the ledger's own entries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kits.parties import Parties, federation_of

from ringfence.audit.checkpoint import read_unverified
from ringfence.audit.merkle import leaf_hash
from ringfence.clients.agent import Agent
from ringfence.clients.holder import Holder
from ringfence.clients.joining import encoded
from ringfence.clients.own_model import own_path
from ringfence.clients.rows.table import consented, read_table
from ringfence.privacy.agreements.policy import allowed_columns
from ringfence.privacy.consent.cohort import Cohort
from ringfence.privacy.mechanisms.source import NoisyShare, OsNoise
from ringfence.privacy.protocol.control import decode
from ringfence.privacy.protocol.endings import Finish
from ringfence.privacy.waist import RoundPlan
from ringfence.privacy.wire.envelope import Expected, MessageKind, open_envelope, read_header
from ringfence.server.rounds import Release, run_study

FIVE = ("bank", "insurer", "partner", "retailer", "telco")
NOW = datetime(2027, 3, 4, 5, 6, 7, tzinfo=UTC)
NETWORK = {"rounds": 2, "hidden": [2], "local_steps": 2, "sampling_rate": "1/2", "personal": "1"}
MODES: dict[str, dict[str, Any]] = {
    "retry": {"model": {"iterations": 1}},
    "recover": {"model": {"iterations": 1}, "privacy": {"dropouts": "recover"}},
    "visible": {"model": {"iterations": 1}, "privacy": {"noise": "local", "uploads": "visible"}},
    "personal": {"task": "mlp", "model": NETWORK, "privacy": {"noise": "local"}},
}
CUSTOMERS, GONE = 60, 7
SEPARATE = ("cross-border", "provision")
Told = tuple[str, str, str, dict[str, Any], dict[str, Any]]


class _Shifted:
    """A test's noise: the operating system's, but the cohort count comes out higher by 12."""

    def share(self, round_plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> NoisyShare:
        share = OsNoise().share(round_plan, lengths, honest)
        if round_plan.name != "cohort":
            return share
        unit = round_plan.blocks[0].max_abs
        return replace(share, blocks={"cohort": np.array([12 * unit], dtype=np.int64)})


def told(parties: Parties) -> list[Told]:
    """The bank's events from the offer on, without those that the ledger and the people write."""
    log = parties.holders["bank"].log
    found = []
    for each in log.events():
        event, private = each.event, json.loads(log.open_event(each.seq).private)
        found.append((event.action, event.outcome, str(event.resource), dict(event.public), private))
    first = next(i for i, (action, *_) in enumerate(found) if action == "study.offered")
    return [
        each for each in found[first:] if not each[0].startswith(("budget.", "consent.", "study.approved"))
    ]


class Case:
    """A run in one mode: seven customers leave the bank before round 1, the telco's answer to it is lost."""

    def __init__(self, folder: Path, mode: str) -> None:
        changes = {**MODES[mode], "privacy": {"min_holders": 4} | MODES[mode].get("privacy", {})}
        federation = federation_of(
            folder,
            names=FIVE,
            customers=CUSTOMERS,
            contracts={name: {"min_cohort": 1} for name in FIVE},
            **changes,
        )
        self.parties = Parties.of(federation, lambda name: _Shifted() if name == "bank" else OsNoise())
        self.bank: Holder = replace(self.parties.holders["bank"], clock=lambda: NOW)
        self.parties.holders["bank"] = self.bank
        self.parties.agents["bank"] = Agent(holder=self.bank, report=self.parties.said["bank"].append)
        found = self.bank.snapshots.find(federation.opened.digest)
        assert found is not None
        self.copy, self.roots = self.bank.snapshots.content(found), list[str]()
        self.opened = federation.opened
        self.base: dict[str, Any] = {"run": self.opened.run}
        self.left = False
        self.parties.wire.on_message = self._asked
        self.release: Release = run_study(federation.coordinator, self.opened, self.parties.wire)

    def _asked(self, name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        if name == "bank" and header.kind == MessageKind.ROUND_CALL:
            if header.round == 1 and not self.left:
                self.left = True
                keys = [f"bank-{number}" for number in range(GONE)]
                self.bank.registry.withdraw(keys, "churn-prediction", datetime(2026, 1, 1, tzinfo=UTC))
            self.roots.append(self.bank.registry.root("churn-prediction", NOW, separate=SEPARATE))
        return message

    def event(self, action: str, public: dict[str, Any], private: dict[str, Any] | None = None) -> Told:
        return (action, "allow", f"study:{self.opened.digest}", public, private or {})

    def answers(self) -> list[tuple[int, bytes]]:
        """Round and bytes of the bank's answers to queries, as they went out."""
        return [
            (read_header(message).round, reply)
            for name, message, reply in self.parties.wire.sent
            if name == "bank" and read_header(message).kind == MessageKind.ROUND_CALL
        ]

    def cohort_rows(self) -> tuple[bytes, np.ndarray[Any, Any]]:
        """Digest of the whole cohort's codes, and who of its rows stays, from the table read anew."""
        bank, study = self.bank, self.opened.study
        table = read_table(
            bank.contract, bank.schema, allowed_columns(bank.contract, study, bank.schema), bank.base
        )
        cohort = Cohort.freeze(
            bank.registry,
            study="sha256:" + "0" * 64,
            run="0" * 32,
            purpose=study.purpose,
            at=datetime(2025, 12, 31, tzinfo=UTC),
            indices=bank.registry.indices(table.keys()),
            separate=SEPARATE,
        )
        everybody = cohort.current(bank.registry, datetime(2025, 12, 31, tzinfo=UTC))
        rows = consented(table, bank.registry, everybody)
        matrix, presence = encoded(study, bank.schema, rows, "bank")
        gone = bank.registry.indices([f"bank-{number}" for number in range(GONE)])
        stays = ~np.isin(presence._subjects, gone)
        assert (len(stays), int(stays.sum())) == (CUSTOMERS, CUSTOMERS - GONE)
        return bytes.fromhex(matrix.digest().removeprefix("sha256:")), stays

    def rows(self, number: int, known: tuple[bytes, np.ndarray[Any, Any]]) -> str:
        """What is kept of the rows used in a round, computed from its definition."""
        digest, stays = known
        there = stays if number else np.ones(CUSTOMERS, dtype=np.bool_)
        data = b"ringfence/rows-used/v1\n" + digest + CUSTOMERS.to_bytes(8, "big")
        return "sha256:" + hashlib.sha256(data + np.packbits(there).tobytes()).hexdigest()


def _witnessed(case: Case, cosigned: str, ended: str) -> list[Told]:
    """What the log says of the coordinator's checkpoints: the one that was cosigned, and the last one."""
    log = "ringfence.simulation/coordinator"
    found = []
    for note in (cosigned, ended):
        shown = read_unverified(note.encode())
        said = {"log": log, "size": shown.size, "root": shown.root.hex()}
        found.append(("checkpoint.anchored", "allow", f"log:{log}", said, {}))
    shown = read_unverified(cosigned.encode())
    said = {"size": shown.size, "root": shown.root.hex(), "coordinator_log": log}
    (intended,) = case.parties.federation.coordinator.log.events(action="release.intended")
    said |= {"model": case.release.digest, "intent": "sha256:" + leaf_hash(intended.leaf).hex()}
    witnessed = case.event("release.witnessed", case.base | said)
    return [found[0], witnessed, found[1]]


@pytest.mark.parametrize("mode", MODES)
def test_every_event_of_a_run_says_what_happened(tmp_path: Path, mode: str) -> None:
    case = Case(tmp_path, mode)
    bank, opened, study = case.bank, case.opened, case.opened.study
    columns = ["active", "age", "churn", "plan", "spend"]
    common = {"contract": bank.contract.digest(), "purpose": "churn-prediction"}
    snapshot = "sha256:" + hashlib.sha256(case.copy).hexdigest()
    expected = [
        case.event("study.offered", case.base),
        case.event("table.read", common | case.base, {"columns": columns, "snapshot": snapshot}),
        case.event("cohort.counted", case.base, {"rows": 60, "members": 60, "noisy": 72}),
        case.event("study.joined", case.base | common | {"legal_basis": "consent"}),
    ]
    assert len(case.answers()) == len(opened.plan.rounds)
    known = case.cohort_rows()
    for (number, reply), root in zip(case.answers(), case.roots, strict=True):
        plan, turn = opened.plan.rounds[number], case.base | {"round": number, "attempt": 0}
        bits = 32 if mode != "personal" or not plan.local_steps else None
        public = _sent(case, number)
        expected_public = turn | {
            "stage": plan.name,
            "purpose": "churn-prediction",
            "uploads": "visible" if mode == "visible" else "masked",
            "entries": public["entries"],
            "word_bits": bits or public["word_bits"],
            "mu_squared": f"{plan.mu_squared(opened.plan.honest):.12g}",
            "roster": list(FIVE),
            "sent": "sha256:" + hashlib.sha256(reply).hexdigest(),
        }
        # Header and signature apart, the words are all there is in an answer.
        assert 4 * public["entries"] <= len(reply) <= 4 * public["entries"] + 1500
        evidence = {
            "customers": CUSTOMERS - GONE if number else CUSTOMERS,
            "consent_root": root,
            "rows": case.rows(number, known),
        }
        expected.append(case.event("waist.send", expected_public, evidence))
        if mode == "recover":
            names: dict[str, Any] = {"roster": list(FIVE), "missing": []}
            expected += [case.event(action, turn | names) for action in ("sum.settled", "sum.unmasked")]
    finish = _finish(case)
    note = finish.checkpoint
    assert finish.release is not None
    expected += _witnessed(case, finish.release.checkpoint, note)
    if mode == "personal":
        file = own_path(bank.models, study, str(case.base["run"]))
        kept = {"file": file.name, "digest": "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()}
        expected.append(case.event("model.kept", case.base | {"rounds": 2}, kept))
    farewell = {"model": case.release.digest, "coordinator_log": "ringfence.simulation/coordinator"}
    expected.append(case.event("study.finished", case.base | farewell, {"coordinator_checkpoint": note}))
    assert told(case.parties) == expected
    assert case.parties.said["bank"] == []
    _charged(case)


def _sent(case: Case, number: int) -> dict[str, Any]:
    (found,) = [
        each.event.public
        for each in case.bank.log.events(action="waist.send")
        if each.event.public["round"] == number
    ]
    return dict(found)


def _finish(case: Case) -> Finish:
    message = next(
        m
        for name, m, _ in case.parties.wire.sent
        if name == "bank" and read_header(m).kind == MessageKind.FINISH
    )
    expect = Expected(
        kind=MessageKind.FINISH, study=case.opened.digest, run=case.opened.run, recipient="bank"
    )
    senders = {"coordinator": case.parties.federation.coordinator.identity.public}
    return decode(Finish, open_envelope(message, senders=senders, expect=expect, max_bytes=1 << 20).payload)


def _charged(case: Case) -> None:
    """The ledger has one charge for the count and one an answer, each at the plan's price, and is closed."""
    plan, ledger = case.opened.plan, case.bank.ledger
    entries = ledger.entries()[1:]
    assert [entry.kind for entry in entries] == [
        "reserved",
        *["charged"] * (1 + len(plan.rounds)),
        "committed",
    ]
    charges = [entry.fields for entry in entries[1:-1]]
    where = [(c["run"], c["round"], c["attempt"], c["part"]) for c in charges]
    run = case.opened.run
    assert where == [
        (run, -1, 0, "both"),
        *((run, number, 0, each.part) for number, each in enumerate(plan.rounds)),
    ]
    prices: list[Mapping[Any, Any]] = [{"mu2": plan.cohort.mu_squared(1)}]
    prices += [
        ledger.renyi_of(each, plan.honest) or {"mu2": each.mu_squared(plan.honest)} for each in plan.rounds
    ]
    for charge, price in zip(charges, prices, strict=True):
        amounts = dict(charge["amounts"])  # type: ignore[arg-type]
        if "mu2" in price and "mu2" not in amounts:
            # A ledger of Renyi orders: order 2 of a Gaussian event is mu squared itself.
            assert float(amounts["rdp:2"]) == pytest.approx(price["mu2"], rel=1e-9)
        elif "mu2" in price:
            assert float(amounts["mu2"]) == pytest.approx(price["mu2"], rel=1e-9)
        else:
            for order, amount in price.items():
                assert float(amounts[f"rdp:{order}"]) == pytest.approx(float(amount), rel=1e-9)
    assert ledger.reservations() == ()
