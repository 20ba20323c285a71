"""Losses of a ledger: what an older copy of it lacks, and what of that two people have settled.

A mark that is shown back (`marks.py`) says to its holder which entry it is of and when it was made. Once two
people have entered what was spent beyond a copy, marks of that loss that come later are accounted for. A mark
that is made after the settling never is: its entry stands in the ledger, or was lost anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class LostEntries:
    """Entries that a ledger no longer holds.

    Attributes:
        after: number of the last entry that a restored copy holds; 0 where another party's mark told.
        last: number of the last entry that is known to be lost; 0 where nobody knows how many were.
        until: marks of it were made up to here, in milliseconds since 1970; once it is settled, up to the
            settling.
    """

    after: int
    last: int
    until: int

    def covers(self, entry: int, made: int) -> bool:
        """Whether an entry that is not here, of whose mark that is the moment, belongs to it.

        An entry beyond the last one that people knew of does not: they have not entered what it cost.
        """
        return made <= self.until and self.after < entry and (not self.last or entry <= self.last)

    def reason(self) -> str:
        """Why a ledger that lacks them is frozen, for people; of another party's mark."""
        return f"entry {self.last}, which was shown elsewhere, is missing here"


def reasons_told(before: str, losses: Iterable[LostEntries], reason: str) -> str:
    """Every reason why a ledger is frozen: whoever thaws it settles all that is missing, so all is told.

    Args:
        before: the reasons so far, or empty.
        losses: found so far; of marks the latest entry is told, since it stands for those before it.
        reason: a further one.
    """
    outdated = {each.reason() for each in losses if each.last} if reason.startswith("entry ") else set()
    told = [each for each in before.split("; ") if each and each not in outdated]
    return "; ".join(told if reason in told else [*told, reason])


def settled(losses: Iterable[LostEntries], at: int) -> tuple[LostEntries, ...]:
    """Losses that two people have settled at a moment; a mark that told of one was made before it."""
    found = tuple(losses)
    until = max((at, *(each.until for each in found)))
    return tuple(replace(each, until=until) for each in found)


def moment_after(settlements: Iterable[LostEntries]) -> int:
    """The present moment in milliseconds since 1970, after every settling whatever the clock was set to."""
    return max((1, time.time_ns() // 1_000_000, *(each.until + 1 for each in settlements)))
