"""Sums of a study with `dropouts = "retry"`: everybody on the roster answers, or the attempt is void.

Where uploads are visible there is no mask that a missing answer would leave in the sum: an attempt ends with
those who answered, as long as they are as many as the study needs, and the others are offered the study
again.

A roster is agreed once and serves every round until a member is lost. A void attempt stays charged; the next
one has fresh noise and fresh masks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ringfence.privacy.errors import RingfenceError, WaistError
from ringfence.privacy.protocol.control import RosterCall, RoundCall
from ringfence.privacy.secagg.keys import KeyMessage
from ringfence.privacy.secagg.roster import RosterEcho, roster_hash, verify_echo
from ringfence.privacy.waist import Query
from ringfence.server.sums import Begin, Conduct, Summed


@dataclass(slots=True, kw_only=True)
class Retry:
    """The roster in force and its echoes; a new one is agreed when membership changes.

    Attributes:
        conduct: of the study.
        numbered: told a roster's number before anybody is shown it: holders sign a number once.
        number: of the last roster.
        members: its key messages, by holder.
        echoes: its members' signatures on it.
    """

    conduct: Conduct
    numbered: Callable[[int], None]
    number: int = -1
    members: Mapping[str, KeyMessage] = field(default_factory=dict)
    echoes: tuple[RosterEcho, ...] = ()

    def round(self, query: Query, begin: Begin, first: int = 0) -> Summed:
        """Attempt a round until all of a roster answer (enough, if visibly), or its attempts are used up.

        Args:
            query: what is asked.
            begin: told the attempt before its vectors are asked for.
            first: number of the first attempt.

        Raises:
            WaistError: RF-W200 too few holders are left, RF-W201 no attempt succeeded.
        """
        conduct = self.conduct
        for attempt in range(first, conduct.opened.plan.max_attempts):
            if set(self.members.values()) != set(conduct.members.keys.values()):
                self._agree(query.round, attempt)
            begin(attempt)
            conduct.begun(query, attempt)
            call = RoundCall(number=self.number, echoes=self.echoes, query=query)
            updates = conduct.collect(dict.fromkeys(self.members, call), query, attempt)
            missing = set(self.members) - set(updates)
            reasons: tuple[str, ...] = ()
            if conduct.enough(updates, self.members):
                try:
                    aggregate = conduct.aggregate(
                        conduct.total(updates, query, self.members), query, attempt, updates
                    )
                except WaistError as error:
                    reasons = (error.code,)
                else:
                    # Nobody is asked anything before the sum is kept; those who were missing are welcome
                    # before the next round.
                    conduct.members.lose(missing)
                    return Summed(aggregate=aggregate, attempts=attempt + 1, holders=tuple(sorted(updates)))
            conduct.void(query, attempt, missing, reasons)
            conduct.lose(missing)
            self.members = {}
        raise conduct.failed(query)

    def _agree(self, round_index: int, attempt: int) -> None:
        """Number a new roster and gather every member's echo of it; members that stay silent leave."""
        conduct, opened, keys = self.conduct, self.conduct.opened, self.conduct.members.keys
        while True:
            self.number += 1
            self.numbered(self.number)
            call = RosterCall(
                number=self.number, round=round_index, attempt=attempt, members=tuple(keys.values())
            )
            replies = conduct.ask(dict.fromkeys(keys, call), round_index, attempt)
            digest = roster_hash(keys.values(), study=opened.digest, run=opened.run, number=self.number)
            echoes: dict[str, RosterEcho] = {}
            for name, data in replies.items():
                try:
                    echo = conduct.open(RosterEcho, name, data, round_index, attempt)
                    echoes[name] = verify_echo(
                        echo,
                        opened.participants[name],
                        study=opened.digest,
                        run=opened.run,
                        number=self.number,
                        roster=digest,
                    )
                except RingfenceError as error:
                    # Whoever does not echo the roster it was shown leaves; the others go on under a new one.
                    conduct.refuse(name, data, error, round_index, attempt)
            silent = set(keys) - set(echoes)
            if not silent:
                self.members, self.echoes = dict(keys), tuple(echoes[name] for name in sorted(echoes))
                return
            conduct.members.lose(silent)
            conduct.require()
