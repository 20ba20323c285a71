"""A log's keys over time: each hands over to the next in the log itself, and both sign the tree that says so.

The event `log.key_replaced` names the former key, its successor and the number in the chain (1, 2, ...). The
checkpoint that ends with that event is the handover: the last one under the former key and the first under
its successor, one text with both signatures. A signature line alone shows nothing, since anybody can add one;
the event under a tree that the former key signed does. A lost key signs no handover: then whoever trusted it
has to be given the next one.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Final

from ringfence.audit.canonical import is_whole
from ringfence.audit.checkpoint import Checkpoint, parse_body, signed_checkpoint
from ringfence.audit.errors import N_, BundleError, EventError, NoteError
from ringfence.audit.events import Event
from ringfence.audit.note import Verifier, verify_note

ACTION: Final = "log.key_replaced"
LOST: Final = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """One change of a log's key, as its event says it.

    Attributes:
        event: number of the event; the handover is the checkpoint of one event more.
        number: in the chain, from 1.
        former, successor: the keys.
        lost: the former key was lost and did not sign.
    """

    event: int
    number: int
    former: Verifier
    successor: Verifier
    lost: bool

    @property
    def size(self) -> int:
        """Number of events that the handover is signed for."""
        return self.event + 1


@dataclass(slots=True, kw_only=True)
class KeyChain:
    """The changes of key that the events of one log tell of, in order; believed once the handovers verify."""

    links: list[Handover] = field(default_factory=list)

    def take(self, number: int, event: Event) -> None:
        """Take note of an event, which may be a change of key.

        Raises:
            EventError: RF-A250 it is malformed, RF-A251 its key was replaced before, RF-A252 it does not
                follow the change before it.
        """
        if event.action != ACTION or event.outcome != "allow":
            return
        link = _handover(number, event)
        before = self.links[-1] if self.links else None
        for known in self.links:
            if known.former == link.former:
                raise EventError(
                    "RF-A251",
                    N_(
                        "Event {event} gives the log's key {key} a second successor, after the one in event "
                        "{before}: the chain of keys forks, and nothing after it is believed."
                    ),
                    event=number,
                    key=link.former,
                    before=known.event,
                )
        used = {key for known in self.links for key in (known.former, known.successor)} | {link.former}
        follows = before is None or before.successor == link.former
        if link.number != len(self.links) + 1 or not follows or link.successor in used:
            raise EventError(
                "RF-A252",
                N_(
                    "Event {event} is change {found} of the log's key, and change {due} from the key before "
                    "to a new one is expected: a link of the chain of keys is missing."
                ),
                event=number,
                found=link.number,
                due=len(self.links) + 1,
            )
        self.links.append(link)

    @property
    def keys(self) -> tuple[Verifier, ...]:
        """Every key of the chain, the first one first; none where the key never changed."""
        return tuple(dict.fromkeys(key for link in self.links for key in (link.former, link.successor)))

    def vouching(self, key: Verifier) -> tuple[Verifier, ...]:
        """A key with those before it from which signed handovers lead to it without a break."""
        found = [key]
        for link in reversed(self.links):
            if link.successor == found[-1] and not link.lost:
                found.append(link.former)
        return tuple(found)

    def statement(
        self, data: bytes, current: Verifier, lost: Container[tuple[int, bytes]] = ()
    ) -> Checkpoint:
        """A checkpoint that a key of this log signed while it was the log's key.

        Args:
            data: the checkpoint.
            current: the key that signs for the log now.
            lost: size and root of states that the log says it lost: that history may have changed its key at
                another size.

        Raises:
            NoteError: no key of the log signed it, or RF-A254 one that was not in force at that size.
        """
        keys = [*self.keys, *(() if current in self.keys else (current,))]
        checkpoint, _ = signed_checkpoint(data, keys)
        _, good = verify_note(data, keys)
        if (checkpoint.size, checkpoint.root) not in lost:
            self.require_in_time(good, checkpoint.size)
        return checkpoint

    def require_in_time(self, signers: Sequence[Verifier], size: int) -> None:
        """Refuse a checkpoint whose signers were all retired, or not yet in force, at its size.

        Raises:
            NoteError: RF-A254.
        """
        if not any(self._first(key) <= size <= self._last(key, size) for key in signers):
            raise NoteError(
                "RF-A254",
                N_(
                    "The checkpoint of {size} events is signed by the key {key}, which was the log's from "
                    "{first} to {last} events: a retired key was used. Keep it, it is evidence of theft."
                ),
                size=size,
                key=signers[0],
                first=self._first(signers[0]),
                last=self._last(signers[0], size),
            )

    def _first(self, key: Verifier) -> int:
        return next((link.size for link in self.links if link.successor == key), 0)

    def _last(self, key: Verifier, size: int) -> int:
        return next((link.size for link in self.links if link.former == key), size)


def verify_handover(link: Handover, data: bytes) -> Checkpoint:
    """The checkpoint of a change of key, once both keys are seen to have signed it.

    Raises:
        NoteError: a signature does not hold.
        BundleError: RF-A253 one is missing, or it is of another size.
    """
    needed = {link.successor} if link.lost else {link.former, link.successor}
    text, good = verify_note(data, [link.former, link.successor])
    found = parse_body(text)
    if not needed <= set(good) or (found.origin, found.size) != (link.successor.name, link.size):
        raise unsigned_handover(link)
    return found


def unsigned_handover(link: Handover) -> BundleError:
    """The fault of a change of key that the keys did not sign."""
    return BundleError(
        "RF-A253",
        N_(
            "Event {event} changes the log's key, and no checkpoint of {size} events that {keys} signed lies "
            "with the log: the change is not believed."
        ),
        event=link.event,
        size=link.size,
        keys=link.successor if link.lost else f"{link.former}, {link.successor}",
    )


def _handover(number: int, event: Event) -> Handover:
    origin = event.source.rpartition("#")[0]
    match event.public:
        case {"former": str(former), "successor": str(successor), "number": place, "reason": str(reason)} if (
            is_whole(place, 1) and isinstance(place, int)
        ):
            try:
                keys = Verifier.parse(former), Verifier.parse(successor)
            except NoteError:
                keys = None
            if keys and keys[0].name == keys[1].name == origin and keys[0].raw != keys[1].raw:
                return Handover(
                    event=number, number=place, former=keys[0], successor=keys[1], lost=reason == LOST
                )
    raise EventError(
        "RF-A250",
        N_("Event {event} changes the log's key and does not name two keys of this log and their number."),
        event=number,
    )
