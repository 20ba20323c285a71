"""How holder and coordinator enter another party's key into a file of theirs: shown first, then written.

A key in a file proves nothing about whose it is. Whoever enters one says with `--compared` that its
fingerprint was compared with what its owner told by another way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ringfence.privacy.agreements.declaration import Shown
from ringfence.privacy.command_line.terminal import require_writable, write_atomically
from ringfence.privacy.errors import RingfenceError, _
from ringfence.privacy.stores.journal import Journal
from ringfence.privacy.toml.editing import ListItem, edited, with_entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Keys that were shown, sorted by what is to be done with them.

    Attributes:
        new: to be entered.
        known: entered before.
        own: of this very house, which is never entered.
    """

    new: tuple[Shown, ...]
    known: tuple[Shown, ...] = ()
    own: tuple[Shown, ...] = ()

    @classmethod
    def sort(cls, shown: Iterable[Shown], known: Iterable[str], own: str = "") -> Keys:
        """Sort keys by the fingerprints there and the house's own; a key shown twice counts once."""
        each = list({one.public.fingerprint: one for one in shown}.values())
        there = set(known)
        return cls(
            new=tuple(one for one in each if one.public.fingerprint not in {*there, own}),
            known=tuple(one for one in each if one.public.fingerprint in there - {own}),
            own=tuple(one for one in each if one.public.fingerprint == own),
        )

    def lines(self) -> list[str]:
        """All of them, for people."""
        said = (
            *((one, _("new")) for one in self.new),
            *((one, _("entered before")) for one in self.known),
            *((one, _("your own, left out")) for one in self.own),
        )
        return [f"{one.public.fingerprint}  {one.said}  ({word})" for one, word in said]

    def as_json(self) -> dict[str, object]:
        """Fingerprints, for programs."""
        return {
            "entered": [one.public.fingerprint for one in self.new],
            "known": [one.public.fingerprint for one in self.known],
        }


def record_trusted(journal: Journal, role: str, keys: Iterable[Shown]) -> None:
    """Record whose keys are trusted from now on, as what."""
    for one in keys:
        fingerprint = one.public.fingerprint
        journal.record(
            "key.trusted",
            "allow",
            resource=f"key:{fingerprint}",
            public={"kind": role, "fingerprint": fingerprint},
        )


def fingerprint_entry(one: Shown) -> ListItem:
    """A fingerprint in a list, with whose it is behind it."""
    return ListItem(value=one.public.fingerprint, comment=one.said)


def key_entry(one: Shown) -> ListItem:
    """A whole public key in a list, with its fingerprint and whose it is behind it."""
    return ListItem(value=one.public.hex, comment=f"{one.said} {one.public.fingerprint}")


def enter(
    file: Path,
    content: bytes,
    note: Callable[[], None],
) -> None:
    """Record, then write a file that a person keeps, whole or not at all."""
    require_writable(file)
    note()
    write_atomically(file, content)


def enter_list(
    file: Path, key: str, entries: Sequence[ListItem], error: type[RingfenceError], note: Callable[[], None]
) -> None:
    """Add entries to a list at the top level of a file; nothing to add writes nothing."""
    if entries:
        enter(file, edited(file, error, lambda text: with_entries(text, key, entries)), note)
