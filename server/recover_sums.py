"""Sums of a study with `dropouts = "recover"`: an attempt ends with the sum of those who answered.

    keys -> roster, shares -> masked words -> who answered, signed -> shares revealed -> sum

Every attempt has keys and a roster of its own. Members that fall silent before the roster is agreed are asked
to join again and left out if they do not; whoever falls silent later is recovered from, as long as `needed`
members (`privacy/secagg/graph.py`) stay in each step. Otherwise the attempt is void, charged to whoever
answered it, and the next one begins with keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ringfence.privacy.errors import N_, RingfenceError, WaistError
from ringfence.privacy.protocol.control import (
    ControlMessage,
    Dealt,
    KeyCall,
    Message,
    RoundCall,
    ShareCall,
    SurvivorsCall,
    UnmaskCall,
)
from ringfence.privacy.secagg.ephemeral import EphemeralMessage, check_turn
from ringfence.privacy.secagg.graph import Terms
from ringfence.privacy.secagg.keys import verify_key_message
from ringfence.privacy.secagg.recovery import Revealed
from ringfence.privacy.secagg.roster import RosterView, roster_view, verify_echo
from ringfence.privacy.secagg.survivors import SurvivorsEcho, survivors_digest, verify_survivors_echo
from ringfence.privacy.secagg.unmask import Unmasked, check_revealed, unmask
from ringfence.privacy.waist import MaskedUpdate, Query
from ringfence.server.replies import foreign
from ringfence.server.sums import Begin, Conduct, Summed


@dataclass(slots=True, kw_only=True)
class Recover:
    """A run's recovered sums; rosters are numbered over all of them.

    Attributes:
        conduct: of the study.
        numbered: told a roster's number before anybody is shown it.
        number: of the last roster.
    """

    conduct: Conduct
    numbered: Callable[[int], None]
    number: int = -1

    def round(self, query: Query, begin: Begin, first: int = 0) -> Summed:
        """Attempt a round until enough of a roster answer, or its attempts are used up.

        Args:
            query: what is asked.
            begin: told the attempt before its vectors are asked for.
            first: number of the first attempt.

        Raises:
            WaistError: RF-W200 too few holders are left, RF-W201 no attempt succeeded.
        """
        for attempt in range(first, self.conduct.opened.plan.max_attempts):
            layout, dealt = self._agree(query.round, attempt)
            begin(attempt)
            self.conduct.begun(query, attempt)
            step = _Attempt(conduct=self.conduct, query=query, attempt=attempt, layout=layout)
            updates = step.collect(dealt)
            missing = set(layout.names) - set(updates)
            try:
                found = step.unmask(updates)
                aggregate = self.conduct.aggregate(found.total, query, attempt, updates)
            except WaistError as error:
                self.conduct.void(query, attempt, missing, (error.code,))
                continue
            for dealer, giver in found.misfits:
                self.conduct.misfit(query, attempt, dealer, giver)
            return Summed(aggregate=aggregate, attempts=attempt + 1, holders=tuple(sorted(updates)))
        raise self.conduct.failed(query)

    def _agree(self, round_index: int, attempt: int) -> tuple[RosterView, Mapping[str, Dealt]]:
        """Keys of every member, and every member's echo and shares; members that stay silent leave."""
        conduct = self.conduct
        excused: set[str] = set()
        while True:
            self.number += 1
            self.numbered(self.number)
            turn = (round_index, attempt, self.number)
            asked = set(conduct.members.keys)
            keys = self._keys(turn, asked)
            if keys.keys() == asked:
                layout = self._layout(keys, turn)
                dealt = self._shares(layout, turn)
                if dealt.keys() == asked:
                    return layout, dealt
                silent = asked - set(dealt)
            else:
                silent = asked - set(keys)
            # Once an attempt a silent member is offered the study again: one that was restarted joins anew.
            conduct.members.lose(silent & excused)
            conduct.lose(silent - excused)
            excused |= silent

    def _keys(self, turn: tuple[int, int, int], names: set[str]) -> dict[str, EphemeralMessage]:
        """Fresh keys of those who publish sound ones."""
        round_index, attempt, number = turn
        opened = self.conduct.opened
        call = KeyCall(number=number, round=round_index, attempt=attempt)
        found: dict[str, EphemeralMessage] = {}
        taken: set[str] = set()
        for name, data in self.conduct.ask(dict.fromkeys(sorted(names), call), round_index, attempt).items():
            try:
                message = self.conduct.open(EphemeralMessage, name, data, round_index, attempt)
                pinned = opened.participants[name]
                verify_key_message(message, study=opened.digest, run=opened.run, pinned=pinned)
                check_turn(message, turn)
                if message.holder != name or message.x25519 in taken:
                    raise foreign(name)
            except RingfenceError as error:
                self.conduct.refuse(name, data, error, round_index, attempt)
                continue
            found[name] = message
            taken.add(message.x25519)
        return found

    def _layout(self, keys: Mapping[str, EphemeralMessage], turn: tuple[int, int, int]) -> RosterView:
        opened = self.conduct.opened
        return roster_view(
            list(keys.values()),
            number=turn[2],
            study=opened.digest,
            run=opened.run,
            turn=turn,
            participants=opened.participants,
            terms=Terms.of(opened.study.privacy),
        )

    def _shares(self, layout: RosterView, turn: tuple[int, int, int]) -> dict[str, Dealt]:
        """Echo and shares of those who signed the roster and dealt to all their partners."""
        round_index, attempt, number = turn
        opened = self.conduct.opened
        members = tuple(member for member in layout.members if isinstance(member, EphemeralMessage))
        call = ShareCall(number=number, round=round_index, attempt=attempt, members=members)
        found: dict[str, Dealt] = {}
        for name, data in self.conduct.ask(dict.fromkeys(layout.names, call), round_index, attempt).items():
            try:
                dealt = self.conduct.open(Dealt, name, data, round_index, attempt)
                verify_echo(
                    dealt.echo,
                    opened.participants[name],
                    study=opened.digest,
                    run=opened.run,
                    number=number,
                    roster=layout.digest,
                )
                dealt_to = sorted(box.recipient for box in dealt.boxes)
                if {box.sender for box in dealt.boxes} != {name} or dealt_to != list(
                    layout.graph.partners(name)
                ):
                    raise foreign(name)
            except RingfenceError as error:
                self.conduct.refuse(name, data, error, round_index, attempt)
                continue
            found[name] = dealt
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One attempt from masked words to their sum."""

    conduct: Conduct
    query: Query
    attempt: int
    layout: RosterView

    def collect(self, dealt: Mapping[str, Dealt]) -> dict[str, MaskedUpdate]:
        """Masked words of the members that answered; each is handed what its partners dealt it."""
        names = self.layout.names
        echoes = tuple(dealt[name].echo for name in names)
        boxes = {
            name: tuple(box for other in names for box in dealt[other].boxes if box.recipient == name)
            for name in names
        }
        calls = {
            name: RoundCall(number=self.layout.number, echoes=echoes, query=self.query, boxes=boxes[name])
            for name in names
        }
        found = self.conduct.collect(calls, self.query, self.attempt)
        return {name: update for name, update in found.items() if isinstance(update, MaskedUpdate)}

    def unmask(self, updates: Mapping[str, MaskedUpdate]) -> Unmasked:
        """The sum of those who answered.

        Raises:
            WaistError: RF-W204 too few stayed in one of the steps; as `privacy.secagg.unmask`.
        """
        survivors = tuple(sorted(updates))
        self._enough(len(survivors))
        call = SurvivorsCall(number=self.layout.number, survivors=survivors)
        digest = survivors_digest(self.layout, survivors)
        echoes = {
            name: echo
            for name, echo in self._replies(SurvivorsEcho, dict.fromkeys(survivors, call)).items()
            if self._signed(name, echo, digest)
        }
        self._enough(len(echoes))
        asked = UnmaskCall(number=self.layout.number, echoes=tuple(echoes[name] for name in sorted(echoes)))
        revealed: dict[str, Revealed] = {}
        for name, reply in self._replies(Revealed, dict.fromkeys(sorted(echoes), asked)).items():
            try:
                revealed[name] = check_revealed(self.layout, set(survivors), name, reply)
            except WaistError as error:
                self.conduct.refuse(name, None, error, self.query.round, self.attempt)
        self._enough(len(revealed))
        return unmask(self.layout, updates, revealed, query_digest=self.query.digest())

    def _replies(self, cls: type[Message], calls: Mapping[str, ControlMessage]) -> dict[str, Message]:
        found: dict[str, Message] = {}
        for name, data in self.conduct.ask(calls, self.query.round, self.attempt).items():
            try:
                found[name] = self.conduct.open(cls, name, data, self.query.round, self.attempt)
            except RingfenceError as error:
                self.conduct.refuse(name, data, error, self.query.round, self.attempt)
        return found

    def _signed(self, name: str, echo: SurvivorsEcho, digest: str) -> bool:
        """Whether an echo is a survivor's own signature on the list; one that is not counts as silence."""
        try:
            verify_survivors_echo(echo, self.conduct.opened.participants[name], self.layout, digest)
            if echo.holder != name:
                raise foreign(name)
        except WaistError as error:
            self.conduct.refuse(name, None, error, self.query.round, self.attempt)
            return False
        return True

    def _enough(self, found: int) -> None:
        if found < self.layout.design.needed:
            raise WaistError(
                "RF-W204",
                N_(
                    "{found} of the roster's {size} members stayed in the attempt; {wanted} are needed to "
                    "unmask its sum."
                ),
                found=found,
                size=len(self.layout.names),
                wanted=self.layout.design.needed,
            )
