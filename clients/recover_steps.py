"""A holder's steps in an attempt whose sum outlives drop-outs: keys, shares, who answered, what is revealed.

Invariants:
    Keys are made for one roster of one attempt and are gone with the next call for keys, or with the process.
    A list of who answered is signed only by a holder that has answered under these keys, and is durable
    before the signature; one list an attempt, also after a restart. Shares are revealed for that list only,
    once a quorum has signed it, and the event is durable before they go.

None of the messages depends on rows: keys, shares and lists of names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ringfence.clients.holder import Holder
from ringfence.clients.pipeline import Admitted
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.protocol.control import Dealt, KeyCall, RoundCall, ShareCall, SurvivorsCall, UnmaskCall
from ringfence.privacy.secagg.attempts import AttemptKey
from ringfence.privacy.secagg.ephemeral import EphemeralKeys, EphemeralMessage, ephemeral_message
from ringfence.privacy.secagg.graph import Terms
from ringfence.privacy.secagg.recovery import Deal, Revealed, SealedShares, check_boxes, deal, reveal
from ringfence.privacy.secagg.roster import AgreedRoster, Roster, roster_echo, verify_echoes, verify_roster
from ringfence.privacy.secagg.survivors import (
    Settled,
    SurvivorsEcho,
    check_survivors,
    survivors_digest,
    survivors_echo,
)
from ringfence.privacy.stores.journal import listed


def not_bound() -> WaistError:
    """The refusal of a message that belongs to something else."""
    return WaistError(
        "RF-W065",
        N_(
            "A message of the coordinator does not belong where it says: another study, run, round, attempt "
            "or roster."
        ),
    )


def check_mode(admitted: Admitted, *, recover: bool) -> None:
    """Refuse the steps of one way to sum in a study that was signed for the other.

    Raises:
        WaistError: RF-W067.
    """
    dropouts = admitted.study.privacy.dropouts
    if recover != (dropouts == "recover"):
        raise WaistError(
            "RF-W067",
            N_('The coordinator asks for a step that a study with dropouts = "{dropouts}" does not have.'),
            dropouts=dropouts,
        )


@dataclass(slots=True, kw_only=True)
class Fresh:
    """What this process holds for one roster of one attempt.

    Attributes:
        keys: this holder's secrets.
        message: their public half.
        roster: as this holder verified it; None until it was shown.
        dealt: the shares it dealt.
        boxes: what its partners dealt it, by sender.
        answered: the attempt, once this holder's vector went out under these keys.
        survivors: the list it signed; empty until then.
        revealed: what it revealed; None until then.
    """

    keys: EphemeralKeys
    message: EphemeralMessage
    roster: Roster | None = None
    dealt: Deal | None = None
    boxes: Mapping[str, SealedShares] = field(default_factory=dict)
    answered: AttemptKey | None = None
    survivors: tuple[str, ...] = ()
    revealed: Revealed | None = None

    @classmethod
    def make(cls, holder: Holder, admitted: Admitted, call: KeyCall, last: Fresh | None) -> Fresh:
        """Fresh keys; those before are dropped.

        Raises:
            WaistError: RF-W065 for an attempt beyond the study's, or a number that does not grow.
        """
        before = -1 if last is None else last.keys.turn[2]
        if call.attempt >= admitted.plan.max_attempts or call.number <= before:
            raise not_bound()
        if last is not None:
            last.keys.close()
        keys = EphemeralKeys(
            holder=holder.name,
            study=admitted.digest,
            run=admitted.run,
            round=call.round,
            attempt=call.attempt,
            number=call.number,
        )
        return cls(keys=keys, message=ephemeral_message(holder.identity, keys))

    def deal(self, holder: Holder, admitted: Admitted, call: ShareCall) -> Dealt:
        """Verify the roster, sign it, and share this holder's secrets among its partners; once.

        Raises:
            WaistError: RF-W065 for other keys' roster or a second one; as `verify_roster`.
        """
        if self.roster is not None or (call.round, call.attempt, call.number) != self.keys.turn:
            raise not_bound()
        self.roster = verify_roster(
            call.members,
            number=call.number,
            own=self.message,
            participants={p.name: PublicIdentity.from_hex(p.key) for p in admitted.study.holders},
            terms=Terms.of(admitted.study.privacy),
            vouched=admitted.obligations.vouched,
        )
        self.dealt = deal(self.keys, self.roster)
        return Dealt(echo=roster_echo(holder.identity, self.roster), boxes=self.dealt.boxes)

    def agree(self, call: RoundCall, turn: tuple[int, int]) -> AgreedRoster:
        """The roster as all its members signed it, with the shares of this holder's partners at hand.

        Raises:
            WaistError: RF-W065 for another attempt or roster, RF-W182 for missing shares; as `verify_echoes`.
        """
        if self.roster is None or (*turn, call.number) != self.keys.turn:
            raise not_bound()
        agreed = verify_echoes(self.roster, call.echoes)
        self.boxes = check_boxes(self.roster, call.boxes)
        return agreed

    def settle(self, holder: Holder, call: SurvivorsCall, turn: tuple[int, int]) -> SurvivorsEcho:
        """Sign who answered: one list for an attempt, for good.

        Raises:
            WaistError: RF-W065 for another attempt or roster, RF-W176 or RF-W177 for a list that cannot be
                signed, RF-W180 another list was signed, RF-W181 this holder has not answered.
        """
        roster = self.roster
        if roster is None or (*turn, call.number) != self.keys.turn:
            raise not_bound()
        if self.answered is None:
            raise WaistError(
                "RF-W181", N_("This holder has not answered the attempt whose sum is to be unmasked.")
            )
        names = check_survivors(roster, call.survivors)
        holder.attempts.settle(self.answered, survivors_digest(roster, names))
        if not self.survivors:
            self._record(holder, "sum.settled", roster, names)
            self.survivors = names
        return survivors_echo(holder.identity, roster, names)

    def reveal(self, holder: Holder, call: UnmaskCall, turn: tuple[int, int]) -> Revealed:
        """The shares that unmask the sum of those on the signed list, and nothing else of the attempt.

        Raises:
            WaistError: RF-W065 for another attempt or roster, RF-W185 before this holder has signed a list,
                RF-W178 or RF-W179 without a quorum for that very list.
        """
        roster = self.roster
        if roster is None or self.dealt is None or (*turn, call.number) != self.keys.turn:
            raise not_bound()
        if not self.survivors:
            raise WaistError(
                "RF-W185",
                N_("Shares are asked for before this holder has signed who answered; none is given."),
            )
        settled = Settled(roster=roster, names=self.survivors, echoes=call.echoes)
        if self.revealed is None:
            self._record(holder, "sum.unmasked", roster, self.survivors)
            self.revealed = reveal(self.keys, settled, self.dealt, self.boxes)
        return self.revealed

    def _record(self, holder: Holder, action: str, roster: Roster, names: tuple[str, ...]) -> None:
        round_index, attempt, _ = self.keys.turn
        holder.log.record(
            action,
            "allow",
            resource=f"study:{roster.study}",
            public={
                "run": roster.run,
                "round": round_index,
                "attempt": attempt,
                "roster": listed(names),
                "missing": listed(set(roster.names) - set(names)),
            },
        )
