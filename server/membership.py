"""Who is in a study's run: offers and joins at its start, farewells at its end.

A join counts when its key message is signed by the key pinned in the study, two people of the holder have signed
the study, and the holder's log continues the one seen before. The checkpoint is then anchored in the
coordinator's own log.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ringfence.audit.checkpoint import read_unverified
from ringfence.audit.errors import AuditError
from ringfence.audit.note import Verifier
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import RingfenceError
from ringfence.privacy.journal import listed
from ringfence.privacy.secagg.keys import KeyMessage, verify_key_message
from ringfence.privacy.wire.control import (
    Done,
    Finish,
    Join,
    LedgerHead,
    LogPosition,
    StudyOffer,
    open_message,
    seal_message,
)
from ringfence.privacy.wire.fields import new_nonce
from ringfence.server.approvals import approvers_of
from ringfence.server.coordinator import COORDINATOR, Coordinator, OpenStudy
from ringfence.server.transport import Transport


@dataclass(slots=True, kw_only=True)
class Members:
    """Holders of a run.

    Attributes:
        keys: key message of each holder that takes part, by name.
        absent: holders that did not join, or dropped out and did not come back.
        log_keys: key of each joined holder's log.
    """

    keys: dict[str, KeyMessage] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    log_keys: dict[str, PublicIdentity] = field(default_factory=dict)

    def lose(self, names: Iterable[str]) -> None:
        """Take holders out."""
        for name in names:
            self.keys.pop(name, None)
            self.absent.add(name)


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
        public={"run": opened.run, "purpose": opened.study.purpose, "legal_basis": opened.study.legal_basis,
                "holders": listed(asked), "epsilon": str(opened.study.privacy.epsilon),
                "delta": str(opened.study.privacy.delta)},
    )  # fmt: skip
    messages = {
        name: seal_message(
            coordinator.identity, message, study=opened.digest, run=opened.run, sender=COORDINATOR, recipient=name
        )
        for name, message in offers.items()
    }
    replies = transport.exchange(messages)
    for name in asked:
        try:
            _join(coordinator, opened, members, name, replies[name], offers[name].nonce)
            members.absent.discard(name)
        except (KeyError, RingfenceError, AuditError):
            members.lose([name])
    return members


def finish(
    coordinator: Coordinator, opened: OpenStudy, transport: Transport, members: Members, model: str
) -> None:
    """Tell the members what was released, and anchor their logs' last checkpoints."""
    note = coordinator.log.checkpoint().decode()
    message = Finish(model=model, checkpoint=note)
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
            for name in members.keys
        }
    )
    for name, data in replies.items():
        try:
            _, done = open_message(
                Done,
                data,
                senders={name: opened.participants[name]},
                study=opened.digest,
                run=opened.run,
                recipient=COORDINATOR,
            )
            _anchor(coordinator, members, name, done.checkpoint, done.proof, done.ledger)
        except (RingfenceError, AuditError):
            # The model stands; the holder's newest checkpoint is anchored when it joins again.
            continue
    coordinator.log.record(
        "study.finished", "allow", resource=f"study:{opened.digest}", public={"run": opened.run}
    )


def _offer_to(coordinator: Coordinator, opened: OpenStudy, name: str) -> StudyOffer:
    known = coordinator.registry.last(name)
    return StudyOffer(
        study=opened.document.to_json(),
        schema=opened.schema_document.to_json(),
        run=opened.run,
        nonce=new_nonce(),
        ledger=known[0] if known else None,
        log=known[1] if known else None,
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
    if join.nonce != nonce or join.key.holder != name:
        raise KeyError(name)
    verify_key_message(join.key, study=opened.digest, run=opened.run, pinned=opened.participants[name])
    approvers = approvers_of(join.approvals, study=opened.digest, holder=name)
    members.log_keys[name] = PublicIdentity.from_hex(join.log_key)
    _anchor(coordinator, members, name, join.checkpoint, join.proof, join.ledger)
    members.keys[name] = join.key
    resource = f"study:{opened.digest}"
    coordinator.log.record(
        "study.approved", "allow", resource=resource, public={"holder": name, "approvers": listed(approvers)}
    )
    coordinator.log.record(
        "study.joined", "allow", resource=resource, public={"holder": name, "run": opened.run}
    )


def _anchor(
    coordinator: Coordinator,
    members: Members,
    name: str,
    note: str,
    proof: tuple[str, ...],
    ledger: LedgerHead,
) -> None:
    """Anchor a holder's checkpoint and remember where it stands."""
    claimed = read_unverified(note.encode())
    verifier = Verifier(name=claimed.origin, raw=members.log_keys[name].raw)
    coordinator.log.anchor(note.encode(), verifier, [bytes.fromhex(h.removeprefix("sha256:")) for h in proof])
    coordinator.registry.seen(
        name, ledger, LogPosition(size=claimed.size, root="sha256:" + claimed.root.hex())
    )
