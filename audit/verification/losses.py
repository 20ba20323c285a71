"""What events say of logs that go on from an older copy: in the log itself, and in those that accepted it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ringfence.audit.canonical import HEX_64, Json, is_whole
from ringfence.audit.errors import N_, EventError, LogError
from ringfence.audit.events import Event

RECOVERED, ACCEPTED = "log.recovered", "recovery.accepted"
MOST_LOST = 200
"""Lost states that one recovery names: they stand in one event."""
_LOST = re.compile(r"(0|[1-9][0-9]{0,15}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LogState:
    """A state of a log: how many events, and their root (32 bytes)."""

    size: int
    root: bytes

    def __str__(self) -> str:
        return f"{self.size}:{self.root.hex()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a log lost.

    Attributes:
        kept: the last state that is known to be of both histories; nothing at all where none is.
        lost: states that were signed and are not of the present history, by size.
    """

    kept: LogState
    lost: tuple[LogState, ...]

    @classmethod
    def of(cls, kept: tuple[int, bytes], lost: Iterable[tuple[int, bytes]]) -> Loss:
        """A loss of states by size and root."""
        states = tuple(LogState(size=size, root=root) for size, root in lost)
        return cls(kept=LogState(size=kept[0], root=kept[1]), lost=states)

    def pairs(self) -> tuple[tuple[int, bytes], list[tuple[int, bytes]]]:
        """The kept state and the lost ones, by size and root."""
        return (self.kept.size, self.kept.root), [(each.size, each.root) for each in self.lost]

    def public(self, statement: str, approvals: Sequence[str]) -> dict[str, Json]:
        """As an event says it."""
        return {
            "size": self.kept.size,
            "root": self.kept.root.hex(),
            "lost": [str(state) for state in self.lost],
            "statement": statement,
            "approvals": list(approvals),
        }


def checked_loss(loss: Loss) -> Loss:
    """A loss that can be one: states after the kept one, each size once.

    Raises:
        LogError: RF-A263 another history was signed, RF-A264 nothing was lost, RF-A265 too much.
    """
    if not loss.lost:
        raise LogError(
            "RF-A264",
            N_("All checkpoints given are of the log as it is; nothing was lost, so it needs none."),
        )
    if len(loss.lost) > MOST_LOST:
        raise LogError(
            "RF-A265",
            N_(
                "{count} lost checkpoints were given, and a recovery names {most} at most. Nothing was "
                "changed: restore a newer copy, which lost fewer."
            ),
            count=len(loss.lost),
            most=MOST_LOST,
        )
    sizes = [state.size for state in loss.lost]
    if len(set(sizes)) != len(sizes) or min(sizes) <= loss.kept.size:
        raise LogError(
            "RF-A263",
            N_(
                "The checkpoints are of two histories that the log signed at one time, which no loss "
                "explains: it still has the state of {kept} events, or two states have one size."
            ),
            kept=loss.kept.size,
        )
    return loss


def read_recovered(event: Event, number: int) -> Loss:
    """The loss that an event names.

    Raises:
        EventError: RF-A266 it names none.
        LogError: as `checked_loss`.
    """
    match event.public:
        case {"size": size, "root": str(kept), "lost": list(lost)} if (
            is_whole(size, 0) and HEX_64.fullmatch(kept) and isinstance(size, int)
        ):
            states = [_LOST.fullmatch(each) if isinstance(each, str) else None for each in lost]
            if all(states):
                found = [LogState(size=int(m[1]), root=bytes.fromhex(m[2])) for m in states if m]
                return checked_loss(
                    Loss(kept=LogState(size=size, root=bytes.fromhex(kept)), lost=tuple(found))
                )
    raise EventError(
        "RF-A266",
        N_("Event {event} says that a log was recovered, and names no states that it can have had."),
        event=number,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LossEvent:
    """An event that names a loss: of its own log, or of another one that it accepts.

    Attributes:
        number: of the event.
        origin: of the log that lost something; empty in that log itself.
        loss: what it lost.
    """

    number: int
    origin: str
    loss: Loss


def loss_event(event: Event, number: int) -> LossEvent | None:
    """What an event says of a loss; None where it is of something else.

    Raises:
        EventError, LogError: as `read_recovered`.
    """
    if event.action not in {RECOVERED, ACCEPTED} or event.outcome != "allow":
        return None
    origin = "" if event.action == RECOVERED else str(event.public.get("log", ""))
    return LossEvent(number=number, origin=origin, loss=read_recovered(event, number))
