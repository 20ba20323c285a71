"""What a holder's log says of releases: in their transaction, of the very bytes, and nothing about rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kits.parties import Parties, federation_of

from ringfence.audit.log import AuditLog
from ringfence.clients.agent import Agent
from ringfence.privacy.errors import WaistError
from ringfence.privacy.mechanisms.source import NoisyShare, OsNoise
from ringfence.privacy.protocol.control import Join, open_message, seal_message
from ringfence.privacy.waist import RoundPlan
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.privacy.wire.fields import new_nonce
from ringfence.server.membership import offer
from ringfence.server.rounds import run_study
from ringfence.simulations.parties import InProcess

# Every public member of a holder's event during a run. A new one is added here, where somebody asks what it
# tells of rows.
PUBLIC = {
    "table.read": {"contract", "purpose", "run", "use"},
    "table.assessed": {"contract", "purpose", "use"},
    "study.offered": {"run"},
    "study.approved": set[str](),
    "study.joined": {"run", "purpose", "legal_basis", "contract"},
    "study.finished": {"run", "model", "coordinator_log"},
    "budget.reserved": {"ledger", "entry", "head", "run", "mu_squared"},
    "budget.charged": {"ledger", "entry", "head", "run", "round", "attempt", "part", "mu_squared"},
    "budget.closed": {"ledger", "entry", "head"},
    "cohort.counted": {"run"},
    "waist.send": {
        "run",
        "round",
        "attempt",
        "stage",
        "purpose",
        "uploads",
        "entries",
        "word_bits",
        "mu_squared",
        "roster",
        "sent",
    },
    "sum.settled": {"run", "round", "attempt", "roster", "missing"},
    "sum.unmasked": {"run", "round", "attempt", "roster", "missing"},
    # Of the coordinator's log, which is nothing of this holder's.
    "checkpoint.anchored": {"log", "size", "root"},
    "release.witnessed": {"run", "model", "intent", "coordinator_log", "size", "root"},
}
# Fresh in every run; how many entries a query asks for follows from the sums that were released before.
FRESH = {"run", "ledger", "head", "sent", "contract", "model", "intent", "entries", "root"}
MODES: dict[str, dict[str, Any]] = {
    "retry": {},
    "recover": {"dropouts": "recover", "min_holders": 4},
    "visible": {"noise": "local", "uploads": "visible"},
}
NAMES = ("bank", "insurer", "partner", "retailer", "telco")


def run(parties: Parties) -> None:
    run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)


def public(parties: Parties, name: str) -> list[tuple[str, str, dict[str, object]]]:
    """Action, outcome and public members of the events since the holder's table was attested."""
    events = [e.event for e in parties.holders[name].log.events()]
    first = next(i for i, event in enumerate(events) if event.action == "table.read")
    return [(event.action, event.outcome, dict(event.public)) for event in events[first:]]


def digests(parties: Parties) -> list[str]:
    """Of the bank's answers to queries, as they went out."""
    return [
        "sha256:" + hashlib.sha256(reply).hexdigest()
        for name, message, reply in parties.wire.sent
        if name == "bank" and read_header(message).kind == MessageKind.ROUND_CALL
    ]


def sent(parties: Parties) -> list[object]:
    """The same as the bank's log has it."""
    found = [e.event.public["sent"] for e in parties.holders["bank"].log.events(action="waist.send")]
    assert len(set(found)) == len(parties.federation.opened.plan.rounds)
    return list(found)


@pytest.mark.parametrize("mode", MODES)
def test_public_parts_say_the_same_whoever_the_customers_are(tmp_path: Path, mode: str) -> None:
    """Two worlds with other customers, and other numbers of them: the public logs differ in nothing that is
    not fresh in every run. What a send says of its bytes is the digest of the very bytes that went out.
    """
    told = []
    for customers in (100, 90):
        folder = tmp_path / str(customers)
        folder.mkdir()
        federation = federation_of(
            folder,
            names=NAMES,
            customers=customers,
            contracts={name: {"min_cohort": 1} for name in NAMES},
            privacy=MODES[mode],
            model={"iterations": 1},
        )
        parties = Parties.of(federation)
        run(parties)
        assert digests(parties) == sent(parties)
        found = public(parties, "bank")
        assert {action for action, _, _ in found} <= set(PUBLIC)
        for action, _, members in found:
            assert set(members) <= PUBLIC[action], action
        told.append(
            [
                (action, outcome, {k: v for k, v in members.items() if k not in FRESH})
                for action, outcome, members in found
            ]
        )
    assert told[0] == told[1]


@pytest.mark.parametrize("action", ["cohort.counted", "waist.send"])
def test_charge_and_event_stand_or_fall_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """A log that fails as it writes the event leaves neither event nor charge, and nothing goes out."""
    parties = Parties.of(federation_of(tmp_path))
    bank = parties.holders["bank"]
    record = AuditLog.record

    def fails(self: AuditLog, name: str, *arguments: Any, **rest: Any) -> int:
        sequence = record(self, name, *arguments, **rest)
        if self is bank.log and name == action:
            raise OSError("full")
        return sequence

    monkeypatch.setattr(AuditLog, "record", fails)
    with pytest.raises(WaistError):
        run(parties)
    assert action not in [name for name, _ in parties.actions("bank")]
    kinds = [(entry.kind, entry.fields.get("round")) for entry in bank.ledger.entries()]
    charged = [round_index for kind, round_index in kinds if kind == "charged"]
    assert charged == ([] if action == "cohort.counted" else [-1])
    assert "masked-update" not in [
        read_header(reply).kind for who, _, reply in parties.wire.sent if who == "bank" and reply
    ]


class _Cohort:
    """A test's noise: the cohort count is shifted by exactly so much."""

    def __init__(self, shift: int) -> None:
        self.shift = shift
        self.asked: list[tuple[RoundPlan, dict[str, int], int]] = []

    def share(self, round_plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> NoisyShare:
        share = OsNoise().share(round_plan, lengths, honest)
        if round_plan.name != "cohort":
            return share
        self.asked.append((round_plan, dict(lengths), honest))
        return replace(share, blocks={"cohort": np.array([self.shift], dtype=np.int64)})


@pytest.mark.parametrize(("spare", "reply"), [(0, "join"), (-1, "unavailable")])
def test_the_cohort_is_counted_with_all_of_the_noise_that_is_charged(
    tmp_path: Path, spare: int, reply: str
) -> None:
    """400 customers and min_cohort 100: noise of just minus 300 customers joins, one unit less does not."""
    federation = federation_of(tmp_path)
    plan = federation.opened.plan
    noise = _Cohort(-300 * plan.cohort.max_abs + spare)
    bank = federation.holder("bank", lambda _: noise)
    parties = Parties.of(federation)
    parties.wire.inner = InProcess(agents={"bank": Agent(holder=bank)})
    offer(federation.coordinator, federation.opened, parties.wire, names=["bank"])
    assert [read_header(sent).kind for _, _, sent in parties.wire.sent] == [reply]
    ((asked, lengths, honest),) = noise.asked
    assert (asked.blocks, lengths, honest) == ((plan.cohort,), {"cohort": 1}, 1)
    assert float(bank.ledger.charged().mu_squared) == pytest.approx(plan.cohort.mu_squared(1), rel=1e-9)


def test_the_cohorts_noise_is_drawn_for_every_join_and_wide_enough(tmp_path: Path) -> None:
    """The law itself is examined elsewhere; here, that what is asked for is what the plan declares."""
    federation = federation_of(tmp_path, customers=120)
    plan = federation.opened.plan.cohort
    draws = [
        int(OsNoise().share(RoundPlan(name="cohort", blocks=(plan,)), {"cohort": 1}, 1).blocks["cohort"][0])
        for _ in range(400)
    ]
    # 400 squares of a Gaussian sum to within 30 % of their mean but for a probability below 1e-9 / 2.
    spread = float(np.mean(np.square(draws, dtype=np.float64)))
    assert 0.55 * plan.share_scale**2 < spread < 1.5 * plan.share_scale**2


def test_a_join_with_another_nonce_is_refused_for_that_alone(tmp_path: Path) -> None:
    """All else in the reply is fresh, signed and true: the holder's own key seals it with another nonce."""
    parties = Parties.of(federation_of(tmp_path))
    federation, opened = parties.federation, parties.federation.opened

    def renonced(name: str, _message: bytes, reply: bytes) -> bytes:
        if name != "bank":
            return reply
        join = open_message(
            Join,
            reply,
            senders={name: opened.participants[name]},
            study=opened.digest,
            run=opened.run,
            recipient="coordinator",
        )[1]
        return seal_message(
            federation.keys[name].identity,
            replace(join, nonce=new_nonce()),
            study=opened.digest,
            run=opened.run,
            sender=name,
            recipient="coordinator",
        )

    parties.wire.on_reply = renonced
    members = offer(federation.coordinator, opened, parties.wire)
    assert set(members.keys) == {"retailer", "partner"}
    assert members.told() == "bank (RF-W203)"
    refused = [e.event for e in federation.coordinator.log.events(action="reply.refused")]
    assert [(event.public["holder"], event.public["reasons"]) for event in refused] == [("bank", ["RF-W203"])]
