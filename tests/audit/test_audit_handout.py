"""What a log hands out and takes in: openings of single events, and anchors of other logs."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import rfc8785
from kits.audit_kit import COORDINATOR, HOLDER, check_log, fill
from sqlalchemy import delete

from ringfence.audit import merkle, store
from ringfence.audit.canonical import dumps
from ringfence.audit.checkpoint import Checkpoint, verify_checkpoint
from ringfence.audit.errors import EventError, LogError, NoteError, ProofError
from ringfence.audit.log import AuditLog
from ringfence.audit.note import MemorySigner, Verifier
from ringfence.audit.verification.opening import Opening

MakeLog = Callable[..., AuditLog]


def test_anchoring_demands_a_checkpoint_that_continues_the_last(make_log: MakeLog) -> None:
    holder, coordinator = make_log("a"), make_log("b", COORDINATOR)
    fill(holder, 3)
    assert coordinator.anchored(HOLDER) is None
    assert coordinator.anchor(holder.checkpoint(), holder.verifier) == 0
    assert coordinator.anchor(holder.checkpoint(), holder.verifier) is None
    fill(holder, 4)
    with pytest.raises(ProofError):
        coordinator.anchor(holder.checkpoint(), holder.verifier)
    assert coordinator.anchor(holder.checkpoint(), holder.verifier, holder.consistency(3)) == 1
    anchored = coordinator.anchored(HOLDER)
    assert anchored == verify_checkpoint(holder.checkpoint(), [holder.verifier])
    older = replace(anchored, size=3)
    with pytest.raises(ProofError, match="RF-A026"):
        coordinator.anchor(older.sign(holder._signer), holder.verifier)
    forked = replace(anchored, root=merkle.leaf_hash(b"other"))
    with pytest.raises(ProofError, match="RF-A023"):
        coordinator.anchor(forked.sign(holder._signer), holder.verifier)
    with pytest.raises(NoteError, match="RF-A043"):
        coordinator.anchor(holder.checkpoint(), Verifier(name=HOLDER, raw=MemorySigner().public.raw))
    with pytest.raises(LogError, match="RF-A068"):
        coordinator.anchor(coordinator.checkpoint(), coordinator.verifier)
    (first, second) = coordinator.events(action="checkpoint.anchored")
    assert first.event.public["size"] == 3
    assert second.event.public == {"log": HOLDER, "size": 7, "root": anchored.root.hex()}
    check_log(coordinator)


def test_opened_event_verifies_alone_and_only_unaltered(make_log: MakeLog) -> None:
    log = make_log()
    fill(log, 5)
    opening = Opening.loads(log.open_event(2).dumps())
    found = opening.verify([log.verifier])
    assert found.private == {"rows": 1002}
    assert found.index == 2
    assert found.checkpoint.size == log.size == 6
    assert [one.event.action for one in log.events()][-1] == "event.opened"
    other = log.open_event(3)
    for altered in (
        replace(opening, private=b'{"rows":1003}'),
        replace(opening, salt=other.salt),
        replace(opening, index=3),
        replace(opening, leaf=other.leaf),
        replace(opening, proof=opening.proof[1:]),
        replace(opening, checkpoint=other.checkpoint),
    ):
        with pytest.raises((EventError, ProofError)):
            altered.verify([log.verifier])
    with pytest.raises(NoteError):
        opening.verify([Verifier(name=HOLDER, raw=MemorySigner().public.raw)])
    for data in (b"{}", b'{"format":"x"}', opening.dumps().replace(b'"salt":"', b'"salt":"zz')):
        with pytest.raises(EventError, match="RF-A055"):
            Opening.loads(data)


def test_erasing_a_private_part_leaves_the_log_whole(make_log: MakeLog, tmp_path: Path) -> None:
    log = make_log()
    fill(log, 5)
    with log._engine.begin() as connection:
        connection.execute(delete(store.private).where(store.private.c.seq == 2))
    check_log(log)
    with pytest.raises(LogError, match="RF-A062"):
        log.open_event(2)
    assert isinstance(log.export_bundle(tmp_path / "bundle"), Checkpoint)


def test_an_opening_is_one_object_with_all_its_members(make_log: MakeLog) -> None:
    """A file handed to an auditor, who may read it with another version or another program."""
    log = make_log()
    fill(log, 5)
    opening = log.open_event(3)
    members = {
        "format": "ringfence-opened-event/1",
        "leaf": opening.leaf.decode(),
        "index": 3,
        "salt": opening.salt.hex(),
        "private": '{"rows":1003}',
        "proof": [base64.b64encode(item).decode() for item in merkle_path(log, 3, 6)],
        "checkpoint": log.checkpoint().decode(),
    }
    data = rfc8785.dumps(members) + b"\n"
    assert opening.dumps() == data
    for given in (data, data[:-1]):
        assert Opening.loads(given) == opening
    wrong: list[dict[str, object]] = [{name: None} for name in members]
    wrong += [
        {"format": "ringfence-opened-event/2"},
        {"more": 1},
        {"index": -1},
        {"index": True},
        {"index": "3"},
    ]
    wrong += [{"salt": "0" * 63}, {"salt": "0" * 65}, {"salt": "A" * 64}, {"proof": [1]}, {"proof": ""}]
    for change in wrong:
        kept = {name: value for name, value in (members | change).items() if value is not None}
        with pytest.raises(EventError, match="RF-A055"):
            Opening.loads(dumps(kept))


def merkle_path(log: AuditLog, index: int, size: int) -> list[bytes]:
    """The inclusion path from the log's own events."""
    return merkle.inclusion_path(
        index, size, merkle.list_node([merkle.leaf_hash(one.leaf) for one in log.events()])
    )
