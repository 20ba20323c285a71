"""A run that this process takes part in: what it holds of it, and the steps that need it.

Keys of a run live in this process alone and are gone with it; a holder that was restarted joins anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from ringfence.clients import gate, pipeline
from ringfence.clients.holder import Holder
from ringfence.clients.own_model import Kept
from ringfence.clients.recover_steps import Fresh, check_mode, not_bound
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.protocol.control import KeyCall, RosterCall, RoundCall, ShareCall
from ringfence.privacy.secagg.attempts import AttemptKey
from ringfence.privacy.secagg.graph import Terms
from ringfence.privacy.secagg.keys import SessionKeys, key_message
from ringfence.privacy.secagg.roster import (
    AgreedRoster,
    Roster,
    RosterEcho,
    roster_echo,
    verify_echoes,
    verify_roster,
)
from ringfence.privacy.wire.envelope import Header

Call = TypeVar("Call", RosterCall, KeyCall, ShareCall)


def bound(header: Header, call: Call) -> Call:
    """A step of the round and attempt that its envelope names.

    Raises:
        WaistError: RF-W065 it is of another.
    """
    if (call.round, call.attempt) != (header.round, header.attempt):
        raise not_bound()
    return call


@dataclass(slots=True, kw_only=True)
class Run:
    """The study, this run's keys, the roster shown last, and what the holder keeps for itself.

    With `dropouts = "recover"` each attempt has keys and a roster of its own, in `fresh`.

    Attributes:
        joined: the study as this holder takes part in it.
        keys: of this run.
        kept: the task's own state at this holder.
        roster: verified, and signed by this holder.
        agreed: the same once all members were found to have signed it.
        fresh: what belongs to the attempt under way.
        last: digest of the last step's message, and the answer it got.
    """

    joined: pipeline.Joined
    keys: SessionKeys
    kept: Kept = field(default_factory=Kept)
    roster: Roster | None = None
    agreed: AgreedRoster | None = None
    fresh: Fresh | None = None
    last: tuple[bytes, bytes] | None = None

    def echo(self, holder: Holder, call: RosterCall) -> RosterEcho:
        """Verify a roster and sign what was seen; a number is signed once.

        Raises:
            WaistError: RF-W065 for a number that does not grow; as `verify_roster`.
        """
        admitted = self.joined.admitted
        check_mode(admitted, recover=False)
        if call.number <= (-1 if self.roster is None else self.roster.number):
            raise not_bound()
        participants = {p.name: PublicIdentity.from_hex(p.key) for p in admitted.study.holders}
        self.roster = verify_roster(
            call.members,
            number=call.number,
            own=key_message(holder.identity, self.keys),
            participants=participants,
            terms=Terms.of(admitted.study.privacy),
            vouched=admitted.obligations.vouched,
        )
        return roster_echo(holder.identity, self.roster)

    def renew(self, holder: Holder, call: KeyCall) -> Fresh:
        """Keys for a roster of one attempt."""
        check_mode(self.joined.admitted, recover=True)
        self.fresh = Fresh.make(holder, self.joined.admitted, call, self.fresh)
        return self.fresh

    def attempt(self) -> Fresh:
        """What this process holds of the attempt under way.

        Raises:
            WaistError: RF-W067 the study has no such attempts, RF-W065 none is under way.
        """
        check_mode(self.joined.admitted, recover=True)
        if self.fresh is None:
            raise not_bound()
        return self.fresh

    def answer(self, holder: Holder, key: AttemptKey, call: RoundCall) -> bytes:
        """The stored answer to a query, or a new one through the waist gate.

        What the holder keeps for itself counts once the attempt is charged, so after the gate.
        """
        fresh = self.attempt() if self.joined.admitted.study.privacy.dropouts == "recover" else None
        agreed = fresh.agree(call, (key.round, key.attempt)) if fresh else self._agree(call)
        before = gate.begin(holder, key)
        if before is not None:
            return before
        answer = pipeline.contribute(holder, self.joined, call.query, self.kept.before(key.round))
        keys = fresh.keys if fresh else self.keys
        sealed = gate.send(holder, self.joined, key, keys=keys, agreed=agreed, answer=answer)
        if answer.own is not None:
            self.kept.keep(key.round, answer.own)
        if fresh:
            fresh.answered = key
        return sealed

    def close(self) -> None:
        """Drop the secrets."""
        self.keys.close()
        if self.fresh is not None:
            self.fresh.keys.close()

    def _agree(self, call: RoundCall) -> AgreedRoster:
        """The roster that was shown last, once every member was found to have signed it."""
        if self.roster is None or self.roster.number != call.number:
            raise not_bound()
        # One roster serves many rounds: its signatures are the same and are verified once.
        if self.agreed is None or self.agreed.roster is not self.roster or self.agreed.echoes != call.echoes:
            self.agreed = verify_echoes(self.roster, call.echoes)
        return self.agreed
