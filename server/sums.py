"""One sum as the coordinator conducts it: what it asks, what it believes of the replies, what it logs.

Both ways to meet drop-outs (`retry_sums.py`, `recover_sums.py`) are made of these steps. No reply is believed
before its signature, its binding to study, run, round and attempt, and its shape have been checked; one that
fails counts as no reply, and is an event. So does a visible upload that no holder of its size could have
sent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ringfence.audit.errors import AuditError
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import N_, RingfenceError, WaistError
from ringfence.privacy.protocol.control import (
    COORDINATOR,
    MAX_MESSAGE,
    ControlMessage,
    Message,
    RoundCall,
    open_message,
    seal_message,
)
from ringfence.privacy.secagg.masks import sum_words
from ringfence.privacy.secagg.visible import seen
from ringfence.privacy.secagg.wordsize import check_range, choose_word_bits, sum_bound
from ringfence.privacy.stores.journal import Json, Outcome, listed
from ringfence.privacy.waist import (
    Aggregate,
    IntVector,
    MaskedUpdate,
    Query,
    Update,
    VisibleUpdate,
    split_blocks,
)
from ringfence.privacy.wire.envelope import Expected, MessageKind, open_envelope
from ringfence.privacy.wire.fields import digest_of
from ringfence.privacy.wire.heads import LedgerHead
from ringfence.privacy.wire.payload import decode_update
from ringfence.server.combining import combined
from ringfence.server.coordinator import Coordinator, OpenStudy
from ringfence.server.membership import Members, offer
from ringfence.server.replies import refuse_reply
from ringfence.server.transport import Transport

Begin: TypeAlias = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summed:
    """What a round ended with: the noisy sum, the attempts spent, and whose vectors are in it."""

    aggregate: Aggregate
    attempts: int
    holders: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """Who conducts which study over what, and with whom.

    Attributes:
        coordinator: who runs the study.
        opened: the signed study.
        transport: reaches the holders.
        members: the holders of the run; changed in place when one is lost or comes back.
    """

    coordinator: Coordinator
    opened: OpenStudy
    transport: Transport
    members: Members

    def ask(
        self, messages: Mapping[str, ControlMessage], round_index: int, attempt: int
    ) -> Mapping[str, bytes]:
        """Seal a message for each holder and bring the replies back, unopened."""
        return self.transport.exchange(
            {
                name: seal_message(
                    self.coordinator.identity,
                    message,
                    study=self.opened.digest,
                    run=self.opened.run,
                    sender=COORDINATOR,
                    recipient=name,
                    round=round_index,
                    attempt=attempt,
                )
                for name, message in messages.items()
            }
        )

    def open(self, cls: type[Message], name: str, data: bytes, round_index: int, attempt: int) -> Message:
        """One holder's reply of the kind that was asked for.

        Raises:
            WaistError: it is anything else.
        """
        return open_message(
            cls,
            data,
            senders={name: self.opened.participants[name]},
            study=self.opened.digest,
            run=self.opened.run,
            recipient=COORDINATOR,
            round=round_index,
            attempt=attempt,
        )[1]

    def refuse(
        self,
        name: str,
        data: bytes | None,
        error: RingfenceError | AuditError,
        round_index: int,
        attempt: int,
    ) -> None:
        """Let a reply count as none, on record and told."""
        code = refuse_reply(
            self.coordinator, self.opened, name, data, error, round=round_index, attempt=attempt
        )
        if code:
            self.members.refused[name] = code

    @property
    def visible(self) -> bool:
        """Whether holders' uploads come without masks."""
        return self.opened.study.privacy.visible

    def collect(self, calls: Mapping[str, RoundCall], query: Query, attempt: int) -> dict[str, Update]:
        """Words of the members that answered properly; masked or visible, as the signed study says."""
        opened = self.opened
        replies = self.ask(calls, query.round, attempt)
        length = sum(opened.task.lengths(opened.context, query).values())
        bits = choose_word_bits(opened.plan.rounds[query.round], self._declared())
        updates: dict[str, Update] = {}
        heads: dict[PublicIdentity, LedgerHead] = {}
        expect = Expected(
            kind=MessageKind.VISIBLE_UPDATE if self.visible else MessageKind.MASKED_UPDATE,
            study=opened.digest,
            run=opened.run,
            recipient=COORDINATOR,
            round=query.round,
            attempt=attempt,
        )
        for name, data in replies.items():
            key = opened.participants[name]
            try:
                envelope = open_envelope(data, senders={name: key}, expect=expect, max_bytes=MAX_MESSAGE)
                update, head = decode_update(envelope, length=length, word_bits=bits)
                heads[key] = self.coordinator.registry.verified(key, head)
                if isinstance(update, VisibleUpdate):
                    self._in_range(update, query)
                updates[name] = update
            except RingfenceError as error:
                self.refuse(name, data, error, query.round, attempt)
        self.coordinator.registry.spent(heads)
        came = [f"{name}={digest_of(replies[name])}" for name in updates]
        self._record("round.answered", "allow", query, attempt, received=came)
        return updates

    def enough(self, answered: Collection[str], roster: Collection[str]) -> bool:
        """Whether those who answered make a sum: the whole roster, or enough visible uploads."""
        return set(roster) == set(answered) or (self.visible and len(answered) >= self._needed)

    def total(self, updates: Mapping[str, Update], query: Query, roster: Collection[str]) -> IntVector:
        """The vector that the words of those who answered come to.

        Args:
            updates: of the whole roster where they are masked; of whoever answered where they are visible.
            query: what was asked.
            roster: who was asked.

        Raises:
            WaistError: as `sum_words` and `combined`.
        """
        if self.visible:
            vectors = [seen(update) for update in updates.values() if isinstance(update, VisibleUpdate)]
            return combined(vectors, self.opened.plan.rounds[query.round].combination)
        return sum_words(
            [update for update in updates.values() if isinstance(update, MaskedUpdate)], members=roster
        )

    def aggregate(self, total: IntVector, query: Query, attempt: int, holders: Iterable[str]) -> Aggregate:
        """The sum in the plan's blocks, once it is in range; visible uploads were checked one by one.

        Raises:
            WaistError: RF-W158 when it is corrupt.
        """
        opened, names = self.opened, tuple(holders)
        plan = opened.plan.rounds[query.round]
        if not self.visible:
            check_range(total, sum_bound(plan, self._declared()))
        lengths = opened.task.lengths(opened.context, query)
        ordered = {block.name: lengths[block.name] for block in plan.sent}
        self._record("aggregate.received", "allow", query, attempt, plan.combination.rule, roster=names)
        return Aggregate(round=query.round, holders=len(names), blocks=dict(split_blocks(total, ordered)))

    def begun(self, query: Query, attempt: int) -> None:
        """An attempt begins."""
        self.coordinator.log.record(
            "round.opened",
            "allow",
            resource=f"study:{self.opened.digest}",
            public={
                "run": self.opened.run,
                "round": query.round,
                "attempt": attempt,
                "query": query.digest().hex(),
                "roster": listed(self.members.keys),
            },
        )

    def misfit(self, query: Query, attempt: int, dealer: str, giver: str) -> None:
        """A share did not fit what its dealer had published."""
        self._record("share.misfit", "deny", query, attempt, roster=(dealer, giver))

    def void(self, query: Query, attempt: int, missing: Iterable[str], reasons: Iterable[str] = ()) -> None:
        """An attempt is given up; its price stays charged."""
        self._record("attempt.voided", "error", query, attempt, missing=missing, reasons=reasons)

    def lose(self, names: Iterable[str]) -> None:
        """Take holders out and offer them the study again: one that was restarted comes back with a new key.

        Where enough are left, only those that can be reached are waited for; the others are offered it when
        they are back (`welcome`).

        Raises:
            WaistError: RF-W200 when too few are left.
        """
        gone = set(names)
        self.members.lose(gone)
        enough = len(self.members.keys) >= self._needed
        again = self.transport.present(gone) if enough else gone
        offer(self.coordinator, self.opened, self.transport, self.members, names=again)
        self.require()

    def welcome(self, round_index: int) -> None:
        """Before a round, offer the study once more to the absent that can be reached by now.

        Whoever stays away all the same is asked after twice as many rounds as before, so that a holder
        that refuses is not asked for ever.
        """
        members = self.members
        due = {name for name in members.absent if members.due.get(name, (0, 0))[0] <= round_index}
        reached = self.transport.present(due)
        offer(self.coordinator, self.opened, self.transport, members, names=reached)
        for name in reached & members.absent:
            wait = 2 * members.due.get(name, (0, 1))[1]
            members.due[name] = (round_index + wait, wait)

    def require(self) -> None:
        """Refuse to go on with fewer holders than the study needs.

        Raises:
            WaistError: RF-W200.
        """
        needed = self._needed
        if len(self.members.keys) < needed:
            raise WaistError(
                "RF-W200",
                N_(
                    "{count} of the study's holders take part, {needed} are needed; absent: {absent}. A code "
                    "beside a name says why its reply was refused here; otherwise the holder's own log says "
                    "why it stayed away, if it answered."
                ),
                count=len(self.members.keys),
                needed=needed,
                absent=self.members.told() or "-",
            )

    def failed(self, query: Query) -> WaistError:
        """The end of a study whose round failed in all its attempts."""
        return WaistError(
            "RF-W201",
            N_(
                "Round {round} failed in all its {attempts} attempts; the study stops, and no model is "
                "released. Replies refused here: {refused}."
            ),
            round=self.opened.plan.rounds[query.round].name,
            attempts=self.opened.plan.max_attempts,
            refused=", ".join(f"{name} ({code})" for name, code in sorted(self.members.refused.items()))
            or "-",
        )

    @property
    def _needed(self) -> int:
        return max(self.opened.study.privacy.min_holders, 2)

    def _in_range(self, update: VisibleUpdate, query: Query) -> None:
        """Refuse an upload that is larger than a holder of that size can make.

        Raises:
            WaistError: RF-W158.
        """
        declared = [
            holder.max_customers for holder in self.opened.study.holders if holder.name == update.holder
        ]
        check_range(seen(update), sum_bound(self.opened.plan.rounds[query.round], declared))

    def _declared(self) -> list[int]:
        return [holder.max_customers for holder in self.opened.study.holders]

    def _record(
        self,
        action: str,
        outcome: Outcome,
        query: Query,
        attempt: int,
        combine: str = "",
        **names: Iterable[str],
    ) -> None:
        public: dict[str, Json] = {"run": self.opened.run, "round": query.round, "attempt": attempt}
        public |= {"combine": combine} if combine else {}
        public |= {member: listed(values) for member, values in names.items()}
        self.coordinator.log.record(action, outcome, resource=f"study:{self.opened.digest}", public=public)
