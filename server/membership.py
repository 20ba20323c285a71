"""Who is in a study's run: offers and joins at its start, farewells at its end.

A join counts when its key message is signed by the key pinned in the study, two people of the holder have
signed the study, and the holder's log is the one it came with first and continues what was seen of it. The
checkpoint is then anchored in the coordinator's own log.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from ringfence.audit.checkpoint import read_unverified
from ringfence.audit.errors import AuditError
from ringfence.audit.note import Verifier
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import N_, RingfenceError, WaistError
from ringfence.privacy.protocol.control import (
    COORDINATOR,
    Join,
    Message,
    StudyOffer,
    Unavailable,
    open_message,
    seal_message,
)
from ringfence.privacy.protocol.endings import Done, NoRun
from ringfence.privacy.protocol.releases import Proof, hashes_of
from ringfence.privacy.secagg.keys import KeyMessage, verify_key_message
from ringfence.privacy.stores.journal import Json, listed
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.privacy.wire.fields import new_nonce, utc_now
from ringfence.privacy.wire.heads import LedgerHead, LogPosition, verify_head
from ringfence.server.approvals import approvers_of
from ringfence.server.coordinator import Coordinator, OpenStudy
from ringfence.server.records.farewells import farewell_heard, owe_farewell
from ringfence.server.records.intents import farewell
from ringfence.server.records.runs import KeptRun
from ringfence.server.registry import HolderLog
from ringfence.server.replies import refuse_reply
from ringfence.server.transport import Transport


@dataclass(slots=True, kw_only=True)
class Members:
    """Holders of a run.

    Attributes:
        keys: key message of each holder that takes part, by name.
        absent: holders that did not join, or dropped out and did not come back.
        joined: all that ever joined; they are told when the study is over.
        refused: code of the last reply of a holder that was refused, until it joins again.
        unsure: holders that were offered the study and are not known to have joined; they may have.
        due: of an absent holder, the round before which it is offered the study next, and how many rounds it
            was left in peace last.
    """

    keys: dict[str, KeyMessage] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    joined: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    due: dict[str, tuple[int, int]] = field(default_factory=dict)

    def lose(self, names: Iterable[str]) -> None:
        """Take holders out."""
        for name in names:
            self.keys.pop(name, None)
            self.absent.add(name)

    def back(self, name: str) -> None:
        """A holder takes part, for the first time or again."""
        self.absent.discard(name)
        self.unsure.discard(name)
        self.refused.pop(name, None)

    def told(self) -> str:
        """The absent holders for people, with the code of what was refused of each."""
        return ", ".join(
            f"{name} ({self.refused[name]})" if name in self.refused else name for name in sorted(self.absent)
        )


def offer(
    coordinator: Coordinator,
    opened: OpenStudy,
    transport: Transport,
    members: Members | None = None,
    *,
    names: Iterable[str] | None = None,
) -> Members:
    """Offer the study to holders and take in those that join.

    Args:
        coordinator: who offers.
        opened: the signed study.
        transport: reaches the holders.
        members: the run so far; changed in place.
        names: holders to ask; all of the study by default.
    """
    members = members or Members()
    asked = sorted(opened.participants if names is None else names)
    if not asked:
        return members
    offers = {name: _offer_to(coordinator, opened, name) for name in asked}
    coordinator.log.record(
        "study.offered",
        "allow",
        resource=f"study:{opened.digest}",
        public={
            "run": opened.run,
            "purpose": opened.study.purpose,
            "legal_basis": opened.study.legal_basis,
            "holders": listed(asked),
            **_window(opened),
            "epsilon": str(opened.study.privacy.epsilon),
            "delta": str(opened.study.privacy.delta),
        },
    )
    messages = {
        name: seal_message(
            coordinator.identity,
            message,
            study=opened.digest,
            run=opened.run,
            sender=COORDINATOR,
            recipient=name,
        )
        for name, message in offers.items()
    }
    replies = transport.exchange(messages)
    for name in asked:
        _take_in(coordinator, opened, members, name, replies.get(name, b""), offers[name].nonce)
    return members


def _take_in(
    coordinator: Coordinator, opened: OpenStudy, members: Members, name: str, reply: bytes, nonce: str
) -> None:
    """What a holder answered to the offer: it joins, or is absent."""
    try:
        _join(coordinator, opened, members, name, reply, nonce)
        members.back(name)
    except (RingfenceError, AuditError) as error:
        code = refuse_reply(coordinator, opened, name, reply, error)
        if code:
            members.refused[name] = code
        members.lose([name])
        if name not in members.joined:
            # Whatever it answered, it may have reserved: its store can fail after that, it can be late at a
            # fixed pace, its answer can be lost. Only its answer to the end tells.
            members.unsure.add(name)


def finish(
    coordinator: Coordinator,
    opened: OpenStudy,
    transport: Transport,
    members: Members,
    model: str | None,
    kept: KeptRun,
) -> None:
    """Tell the members that the study is over, and anchor their logs' last checkpoints.

    Args:
        coordinator: who ran it.
        opened: the signed study.
        transport: reaches the holders.
        members: who is told.
        model: digest of what was released; None when the study ended without.
        kept: the run, which is over with this; who did not answer is told again later (`post/ending.py`).
    """
    message = farewell(coordinator, kept.intent, model, kept.withdrawn)
    told, owed = set[str](), members.joined | members.unsure
    replies = transport.exchange(
        {
            name: seal_message(
                coordinator.identity,
                message,
                study=opened.digest,
                run=opened.run,
                sender=COORDINATOR,
                recipient=name,
            )
            for name in sorted(members.joined | transport.present(members.unsure))
        }
    )
    for name, data in replies.items():
        try:
            ending = Ending(study=opened.digest, run=opened.run, joined=name in members.joined)
            take_end(coordinator, ending, name, opened.participants[name], data)
            told.add(name)
        except (RingfenceError, AuditError) as error:
            # The model stands; the holder's newest checkpoint is anchored when it answers later.
            refuse_reply(coordinator, opened, name, data, error)
    with kept.over() as connection:
        if connection is not None:
            keep_owed(connection, opened, owed)
            farewell_heard(connection, opened.run, told, kept.moment().isoformat(timespec="seconds"))
        coordinator.log.record(
            "study.finished",
            "allow" if model else "error",
            resource=f"study:{opened.digest}",
            public={"run": opened.run},
            connection=connection,
        )


def keep_owed(connection: Connection, opened: OpenStudy, names: Iterable[str]) -> None:
    """Keep that these are to be told the end of the run."""
    keys = {name: opened.participants[name].hex for name in names}
    owe_farewell(connection, opened.run, opened.digest, opened.study.privacy.held[1], keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Of which run a holder was told the end.

    Attributes:
        study: digest of its study.
        run: its id.
        joined: whether the holder is known to have joined.
    """

    study: str
    run: str
    joined: bool


def take_end(
    coordinator: Coordinator, ending: Ending, name: str, pinned: PublicIdentity, data: bytes
) -> None:
    """Take a holder's answer to the end of a run: where its log stands, or that it has no such run.

    Raises:
        WaistError: it is anything else, and the end is to be said again; RF-W480 a holder that joined says
            that it has no such run, RF-W481 the holder cannot answer now.
        AuditError: its log does not continue what was seen of it.
    """

    def opened(cls: type[Message]) -> Message:
        senders = {name: pinned}
        return open_message(
            cls, data, senders=senders, study=ending.study, run=ending.run, recipient=COORDINATOR
        )[1]

    kind = read_header(data).kind
    if kind == MessageKind.UNAVAILABLE.value:
        opened(Unavailable)
        raise WaistError(
            "RF-W481",
            N_("{holder} cannot confirm the end of the run {run} now; it is told again."),
            holder=name,
            run=ending.run,
        )
    if kind == MessageKind.NO_RUN.value:
        opened(NoRun)
        if ending.joined:
            raise WaistError(
                "RF-W480",
                N_(
                    "{holder} joined the run {run} and says now that it has no such run: its store may be an "
                    "older copy. It is told the end again; ask its people."
                ),
                holder=name,
                run=ending.run,
            )
        return
    done = opened(Done)
    known = coordinator.registry.last(pinned)
    if known is not None:
        anchor_holder(coordinator, pinned, known[1].key, done.checkpoint, done.proof, done.ledger)


def _offer_to(coordinator: Coordinator, opened: OpenStudy, name: str) -> StudyOffer:
    known = coordinator.registry.last(opened.participants[name])
    return StudyOffer(
        study=opened.document.to_json(),
        schema=opened.schema_document.to_json(),
        run=opened.run,
        nonce=new_nonce(),
        log_key=PublicIdentity(coordinator.log.verifier.raw).hex,
        ledger=known[0] if known else None,
        log=known[1].position if known else None,
        window=opened.window,
        clock=int(utc_now().timestamp()) if opened.window else 0,
    )


def _join(
    coordinator: Coordinator, opened: OpenStudy, members: Members, name: str, data: bytes, nonce: str
) -> None:
    """Take one holder in, or raise."""
    _, join = open_message(
        Join,
        data,
        senders={name: opened.participants[name]},
        study=opened.digest,
        run=opened.run,
        recipient=COORDINATOR,
    )
    others = [key for other, key in members.keys.items() if other != name]
    if join.nonce != nonce or join.key.holder != name or join.key.x25519 in {key.x25519 for key in others}:
        raise WaistError(
            "RF-W203",
            N_("The answer of {holder} to the offer is a replay, or copies another holder's key."),
            holder=name,
        )
    pinned = opened.participants[name]
    verify_key_message(join.key, study=opened.digest, run=opened.run, pinned=pinned)
    approvers = approvers_of(join.approvals, study=opened.digest, holder=name, runs=opened.study.runs)
    log_key = PublicIdentity.from_hex(join.log_key)
    anchor_holder(coordinator, pinned, log_key, join.checkpoint, join.proof, join.ledger)
    members.keys[name] = join.key
    members.joined.add(name)
    resource = f"study:{opened.digest}"
    coordinator.log.record(
        "study.approved",
        "allow",
        resource=resource,
        public={"holder": name, "approvals": len(approvers)},
        private={"approvers": listed(approvers)},
    )
    coordinator.log.record(
        "study.joined",
        "allow",
        resource=resource,
        public={"holder": name, "run": opened.run} | _window(opened),
    )


def _window(opened: OpenStudy) -> dict[str, Json]:
    """Which run of a series an event is about."""
    return {"window": opened.window} if opened.window else {}


def anchor_holder(
    coordinator: Coordinator,
    holder: PublicIdentity,
    log_key: PublicIdentity,
    note: str,
    proof: Proof,
    head: LedgerHead,
) -> None:
    """Anchor a holder's checkpoint and remember where it stands."""
    claimed = read_unverified(note.encode())
    coordinator.registry.check_log(holder, claimed.origin, log_key)
    verify_head(head, holder, claimed.origin)
    position = LogPosition(size=claimed.size, root="sha256:" + claimed.root.hex())
    known = HolderLog(origin=claimed.origin, key=log_key, position=position)
    verifier = Verifier(name=claimed.origin, raw=log_key.raw)
    with coordinator.registry.engine.begin() as connection:
        coordinator.log.anchor(note.encode(), verifier, hashes_of(proof), connection)
        coordinator.registry.seen(holder, head, known, connection)
