"""Sums that outlive drop-outs: a coordinator that wants both kinds of share of one holder never gets them.

With a share of a holder's seed and of its key from enough of its peers, that holder's own vector would show,
under its own part of the noise alone. The coordinator asks for the sum of all five first, then, with other
lists and other signatures, for that of the four without the fifth.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kits.parties import Parties, federation_of
from prove.finding import Finding

from ringfence.privacy.protocol.control import SurvivorsCall, UnmaskCall, open_message, seal_message
from ringfence.privacy.secagg.recovery import Revealed
from ringfence.privacy.secagg.survivors import SurvivorsEcho
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.server.rounds import run_study

FIVE = ("bank", "insurer", "partner", "retailer", "telco")
VICTIM = "telco"


class _Stopped(BaseException):
    """The run is held where the answers are in and nothing is unmasked."""


@dataclass(frozen=True, slots=True)
class _Coordinator:
    """A coordinator that asks what it likes, from the moment when all have answered."""

    parties: Parties

    def stop(self) -> None:
        """Run up to the first list of who answered."""

        def hold(_name: str, message: bytes, _reply: bytes) -> bytes:
            if read_header(message).kind == MessageKind.SURVIVORS_CALL:
                raise _Stopped
            return message

        self.parties.wire.on_message = hold
        opened = self.parties.federation.opened
        try:
            run_study(self.parties.federation.coordinator, opened, self.parties.wire)
        except _Stopped:
            return
        raise AssertionError("the study has no step in which survivors are listed")

    def sign(self, name: str, survivors: tuple[str, ...]) -> SurvivorsEcho | None:
        """A holder's signature on a list, if it gives one."""
        return self._ask(name, SurvivorsCall(number=self._number(name), survivors=survivors), SurvivorsEcho)

    def reveal(self, name: str, echoes: list[SurvivorsEcho | None]) -> Revealed | None:
        """A holder's shares, if it gives any."""
        given = tuple(echo for echo in echoes if echo is not None)
        return self._ask(name, UnmaskCall(number=self._number(name), echoes=given), Revealed)

    def _number(self, name: str) -> int:
        (run,) = self.parties.agents[name]._runs.values()
        assert run.fresh is not None
        return run.fresh.keys.turn[2]

    def _ask(self, name: str, message: Any, answer: Any) -> Any:
        opened, own = self.parties.federation.opened, self.parties.federation.coordinator.identity
        turn = {"study": opened.digest, "run": opened.run, "round": 0, "attempt": 0}
        sealed = seal_message(own, message, sender="coordinator", recipient=name, **turn)
        reply = self.parties.agents[name].handle(sealed)
        if read_header(reply).kind == MessageKind.UNAVAILABLE:
            return None
        senders = {name: opened.participants[name]}
        return open_message(answer, reply, senders=senders, recipient="coordinator", **turn)[1]


def shares() -> Finding:
    """Two lists, one after the other, at every holder but the victim."""
    with tempfile.TemporaryDirectory(prefix="prove-") as folder:
        federation = federation_of(
            Path(folder),
            names=FIVE,
            customers=60,
            contracts={name: {"min_cohort": 1} for name in FIVE},
            privacy={"min_holders": 4, "dropouts": "recover"},
            model={"iterations": 1},
            evaluation={"test_fraction": "0"},
        )
        coordinator = _Coordinator(Parties.of(federation))
        coordinator.stop()
        seeds, keys = set(), set()
        for survivors in (FIVE, FIVE[:4]):
            echoes = [coordinator.sign(name, survivors) for name in survivors]
            for name in survivors:
                revealed = coordinator.reveal(name, echoes)
                seeds |= {(name, share.holder) for share in (revealed.seeds if revealed else ())}
                keys |= {(name, share.holder) for share in (revealed.keys if revealed else ())}
    of_victim = sum(holder == VICTIM for _, holder in seeds)
    both = len(seeds & keys)
    return Finding(
        evidence=f"{of_victim} shares of one holder's seed revealed for the sum; {both} peers gave its key "
        "as well",
        bound="none gave both",
        holds=both == 0 and of_victim > 0,
    )
