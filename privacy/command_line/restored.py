"""What a restored home says of keys: which are in force in it, and that it may not know the newest.

A key that was replaced after the backup was made, perhaps since somebody had stolen it, counts again in a
home that was restored from it. Nothing in the backup can tell; the other parties can.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from ringfence.privacy.command_line.findings import Examination
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import _
from ringfence.privacy.succession.book import KeyBook
from ringfence.privacy.succession.document import VALID, KeyRole


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInForce:
    """A key that a home has, or believes.

    Attributes:
        whose: name of the party, or of the federation whose coordinator it is.
        role: what it is for.
        fingerprint: of the key.
        changes: how many are known that led to it.
    """

    whose: str
    role: KeyRole
    fingerprint: str
    changes: int

    @classmethod
    def of(cls, book: KeyBook, whose: str, role: KeyRole, first: PublicIdentity) -> KeyInForce:
        """The key in force in the place of one, frozen or not."""
        last = (first, *book.after(role, first))[-1]
        return cls(whose=whose, role=role, fingerprint=last.fingerprint, changes=len(book.former(role, last)))

    def line(self) -> str:
        """For people."""
        return _("{key}  {whose}, {role}; changes known here: {count}").format(
            key=self.fingerprint, whose=self.whose, role=self.role, count=self.changes
        )

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "whose": self.whose,
            "role": self.role,
            "fingerprint": self.fingerprint,
            "changes": self.changes,
        }


def keys_in_force(book: KeyBook, pinned: Iterable[KeyInForce]) -> tuple[KeyInForce, ...]:
    """Keys that a home names, then those of others that it knows by their successions alone."""
    found = {each.fingerprint: each for each in pinned}
    for each in book.known():
        if not each.own:
            last = KeyInForce.of(book, each.said.party, each.said.role, each.said.former)
            found.setdefault(last.fingerprint, last)
    return tuple(found.values())


def told_keys(keys: Iterable[KeyInForce], made: str) -> Iterator[str]:
    """For people who restored a home from a backup that was made then."""
    yield _(
        "In force here are the keys below. One that was replaced after {made} counts here again, a stolen "
        "one too: compare all with their owners, and take in what is missing before you sign or serve."
    ).format(made=made)
    yield from (f"  {each.line()}" for each in keys)


def check_restored(made: Examination, restores: Iterable[str], now: datetime) -> None:
    """Warn for a while after a restore, in which people compare the keys in force with the other parties.

    Args:
        made: what is looked over.
        restores: when the home was restored, the last time last.
        now: the present moment, UTC.
    """
    at = list(restores)
    if at and now - datetime.fromisoformat(at[-1]) <= VALID:
        made.note(
            "restored",
            "warning",
            _(
                "This home was restored from a backup on {at}. A key that was replaced after the backup was "
                "made counts here again: compare with the other parties (key list), and take in what is "
                "missing."
            ).format(at=at[-1][:10]),
        )
