"""One holder, the bank, and a coordinator's hand that asks it whatever it likes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kits.parties import Parties, federation_of
from ringfence.clients.agent import Agent
from ringfence.clients.holder import Holder
from ringfence.clients.runs import Run
from ringfence.privacy.mechanisms.source import NoisyShare, OsNoise
from ringfence.privacy.protocol.control import RoundCall, decode, open_message, seal_message
from ringfence.privacy.waist import RoundPlan
from ringfence.privacy.wire.envelope import Expected, MessageKind, open_envelope, read_header
from ringfence.server.membership import offer
from ringfence.server.rounds import run_study

THREE = ("bank", "partner", "retailer")
FIVE = ("bank", "insurer", "partner", "retailer", "telco")
CUSTOMERS = 30


class Counted:
    """A test's noise: the operating system's, but the cohort is counted with an error that is known."""

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift
        self.asked: list[tuple[RoundPlan, dict[str, int], int]] = []

    def share(self, round_plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> NoisyShare:
        self.asked.append((round_plan, dict(lengths), honest))
        share = OsNoise().share(round_plan, lengths, honest)
        if round_plan.name != "cohort":
            return share
        error = np.array([self.shift * round_plan.blocks[0].max_abs], dtype=np.int64)
        return replace(share, blocks={"cohort": error})


@dataclass(slots=True)
class Asking:
    """A study about to run, and the bank's answers to single messages."""

    parties: Parties

    @classmethod
    def of(cls, folder: Path, *, recover: bool = False, shift: int = 0, **changes: Any) -> Asking:
        names = FIVE if recover else THREE
        terms = {"dropouts": "recover", "min_holders": 4} if recover else {}
        federation = federation_of(
            folder,
            names=names,
            customers=changes.pop("customers", CUSTOMERS),
            contracts={name: {"min_cohort": 1} | changes.pop(name, {}) for name in names},
            privacy=terms | changes.pop("privacy", {}),
            **({"model": {"iterations": 1}} | changes),
        )
        return cls(Parties.of(federation, lambda _name: Counted(shift)))

    @property
    def bank(self) -> Holder:
        return self.parties.holders["bank"]

    @property
    def agent(self) -> Agent:
        return self.parties.agents["bank"]

    @property
    def run(self) -> Run:
        (found,) = self.agent._runs.values()
        return found

    @property
    def study(self) -> str:
        return self.parties.federation.opened.digest

    def replaced(self, **changes: Any) -> None:
        """Another bank, in a process of its own."""
        self.parties.holders["bank"] = replace(self.bank, **changes)
        self.restarted()

    def restarted(self) -> None:
        """The bank's process begins anew over the same store."""
        said = self.parties.said["bank"]
        self.parties.agents["bank"] = Agent(holder=self.bank, report=said.append)

    def seal(self, message: Any, **changes: Any) -> bytes:
        opened, coordinator = self.parties.federation.opened, self.parties.federation.coordinator
        fields = {"study": opened.digest, "run": opened.run, "sender": "coordinator", "recipient": "bank"}
        return seal_message(coordinator.identity, message, **(fields | changes))

    def ask(self, message: Any, **changes: Any) -> tuple[str, bytes]:
        """Ask the bank something; kind and bytes of the reply."""
        reply = self.agent.handle(self.seal(message, **changes))
        return read_header(reply).kind, reply

    def offered(self) -> str:
        """Offer the study to the bank; kind of its reply."""
        parties = self.parties
        offer(parties.federation.coordinator, parties.federation.opened, parties.wire, names=["bank"])
        return str(read_header(parties.wire.sent[-1][2]).kind)

    def stopped(self, kind: MessageKind, round_index: int = 0) -> bytes:
        """Run until the bank is about to be sent this; the message, which it has not got."""
        caught: list[bytes] = []

        def stop(name: str, message: bytes, _reply: bytes) -> bytes:
            header = read_header(message)
            if (name, header.kind, header.round) == ("bank", kind, round_index):
                caught.append(message)
                raise KeyboardInterrupt
            return message

        self.parties.wire.on_message = stop
        with pytest.raises(KeyboardInterrupt):
            self.finished()
        self.parties.wire.on_message = lambda _name, message, _reply: message
        return caught[0]

    def finished(self) -> None:
        """Run the study to its end."""
        federation = self.parties.federation
        run_study(federation.coordinator, federation.opened, self.parties.wire)

    def opened(self, cls: Any, message: bytes) -> Any:
        """What the coordinator sent the bank."""
        header, federation = read_header(message), self.parties.federation
        expect = Expected(
            kind=MessageKind(header.kind),
            study=header.study,
            run=header.run,
            recipient="bank",
            round=header.round,
            attempt=header.attempt,
        )
        senders = {"coordinator": federation.coordinator.identity.public}
        return decode(cls, open_envelope(message, senders=senders, expect=expect, max_bytes=1 << 24).payload)

    def read(self, cls: Any, reply: bytes, **turn: int) -> Any:
        """What the bank answered."""
        opened = self.parties.federation.opened
        return open_message(
            cls,
            reply,
            senders={"bank": opened.participants["bank"]},
            study=opened.digest,
            run=opened.run,
            recipient="coordinator",
            **turn,
        )[1]

    def call(self, round_index: int = 0) -> RoundCall:
        """The call for a round that the bank has not got, everything before it done."""
        found: RoundCall = self.opened(RoundCall, self.stopped(MessageKind.ROUND_CALL, round_index))
        return found

    def refused(self, code: str, action: str, outcome: str = "deny", **turn: Any) -> None:
        """The bank's last event is this refusal, and its people were told why."""
        event = list(self.bank.log.events())[-1].event
        public = {"run": self.parties.federation.opened.run, "round": 0, "attempt": 0} | turn
        assert (event.action, event.outcome, event.resource) == (action, outcome, f"study:{self.study}")
        assert dict(event.public) == public | {"reasons": [code]}
        assert self.bank.log.open_event(self.bank.log.size - 1).private == b"{}"
        if outcome == "deny":
            assert self.parties.said["bank"][-1].startswith(code)

    def charges(self) -> list[tuple[int, int]]:
        """Round and attempt of everything that was charged at the bank."""
        entries = [entry.fields for entry in self.bank.ledger.entries() if entry.kind == "charged"]
        return [(int(str(each["round"])), int(str(each["attempt"]))) for each in entries]
