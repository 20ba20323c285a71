"""Read one log of a bundle in a single pass: leaf hashes, order of every producer, anchors, files.

Nothing is believed here; what is found is laid out for `verify` to compare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ringfence.audit.bundle import read_lines
from ringfence.audit.canonical import HEX_64, is_whole
from ringfence.audit.catalogue import EVENT_TYPES
from ringfence.audit.errors import N_, AuditError, EventError
from ringfence.audit.events import Event, parse_event
from ringfence.audit.guard import check_numbers
from ringfence.audit.merkle import HASH_SIZE, leaf_hash
from ringfence.audit.verification.intents import IntentBook
from ringfence.audit.verification.keychain import KeyChain
from ringfence.audit.verification.losses import LossEvent, loss_event
from ringfence.audit.verification.report import Flaw
from ringfence.audit.verification.rollcall import Mentions

PROGRESS_STEP = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A checkpoint of another log that an event of this log anchors."""

    origin: str
    size: int
    root: bytes
    event: int


@dataclass(slots=True, kw_only=True)
class Scan:
    """What one pass over `log.jsonl` found.

    Attributes:
        hashes: leaf hashes of the lines, 32 bytes each.
        faults: lines that are no events, breaks in a producer's sequence, malformed numbers and anchors; in
            order.
        anchors: checkpoints of other logs.
        chain: the changes of the log's key.
        says: what the log says of parties and runs.
        intents: what it says of releases.
        losses: what it says of logs that go on from an older copy.
        simulation: events that name the simulation profile.
        unknown: events of a type that this version does not list.
    """

    hashes: bytearray = field(default_factory=bytearray)
    faults: list[Flaw] = field(default_factory=list)
    anchors: list[Anchor] = field(default_factory=list)
    chain: KeyChain = field(default_factory=KeyChain)
    says: Mentions = field(default_factory=Mentions)
    intents: IntentBook = field(default_factory=IntentBook)
    losses: list[LossEvent] = field(default_factory=list)
    simulation: int = 0
    unknown: int = 0


def _anchor(event: Event, number: int) -> Anchor:
    match event.public:
        case {"log": str(origin), "size": size, "root": str(root)} if is_whole(size, 0) and HEX_64.fullmatch(
            root
        ):
            return Anchor(origin=origin, size=size, root=bytes.fromhex(root), event=number)
    raise EventError(
        "RF-A056",
        N_("Event {event} anchors a checkpoint but does not name log, size and root."),
        event=number,
    )


def _expect(event: Event, number: int, following: dict[str, int]) -> None:
    expected = following.get(event.source, 0)
    following[event.source] = event.sequence + 1
    if event.sequence != expected:
        raise EventError(
            "RF-A057",
            N_(
                "Event {event} of {source} has sequence number {found} where {expected} is due: events are "
                "missing."
            ),
            event=number,
            source=event.source,
            found=event.sequence,
            expected=expected,
        )


def _read(line: bytes, number: int, scan: Scan, following: dict[str, int]) -> None:
    event = parse_event(line)
    scan.simulation += event.profile == "simulation"
    scan.unknown += event.action not in EVENT_TYPES
    _expect(event, number, following)
    if event.action == "checkpoint.anchored":
        anchor = _anchor(event, number)
        scan.anchors.append(anchor)
        anchored = scan.says.anchored
        anchored[anchor.origin] = max(anchor.size, anchored.get(anchor.origin, 0))
    scan.chain.take(number, event)
    check_numbers(event.public)
    scan.says.take(event)
    if (loss := loss_event(event, number)) is not None:
        scan.losses.append(loss)
    scan.intents.take(event, number, bytes(scan.hashes[-HASH_SIZE:]))


def scan_events(path: Path, progress: Callable[[int], None] | None = None) -> Scan:
    """Read a `log.jsonl`.

    Args:
        path: the file.
        progress: called now and then with the number of events read.

    Raises:
        BundleError: when the file is missing.
    """
    scan = Scan()
    following: dict[str, int] = {}
    for number, line in enumerate(read_lines(path)):
        scan.hashes += leaf_hash(line)
        try:
            _read(line, number, scan, following)
        except AuditError as error:
            scan.faults.append(Flaw(error=error, event=number))
        if progress and number % PROGRESS_STEP == 0:
            progress(number)
    return scan
