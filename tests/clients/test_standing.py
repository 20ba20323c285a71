"""Where a holder's log and ledger stand, as its messages say it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kits.ledger_support import is_mark_of, new_ledger

from ringfence.audit.checkpoint import verify_checkpoint
from ringfence.audit.errors import ProofError
from ringfence.audit.log import AuditLog
from ringfence.audit.merkle import verify_consistency
from ringfence.clients.standing import ledger_head, log_checkpoint, log_proof
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.ledger import HeadMarks
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.wire.heads import LogPosition, verify_head


@pytest.fixture
def holder() -> Any:
    engine = open_store(None)
    log = AuditLog(
        engine,
        origin="ringfence.simulation/holder/bank",
        signer=Identity.generate("log", simulation=True),
        organisation="bank",
        actor="client",
        profile="simulation",
    )
    identity = Identity.generate("holder", simulation=True)
    ledger, _ = new_ledger(open_store(None))
    marks = HeadMarks.of(b"s" * 32, log.origin)
    return SimpleNamespace(log=log, identity=identity, ledger=ledger, marks=marks)


def grow(holder: Any, events: int = 1) -> LogPosition:
    for number in range(events):
        holder.log.record("key.created", "allow", resource=f"key:{number}")
    return log_checkpoint(holder)[1]


def raw(root: str) -> bytes:
    return bytes.fromhex(root.removeprefix("sha256:"))


def test_a_checkpoint_comes_with_the_position_it_claims(holder: Any) -> None:
    grow(holder, 3)
    note, position = log_checkpoint(holder)
    found = verify_checkpoint(note.encode(), [holder.log.verifier])
    assert position == LogPosition(size=3, root="sha256:" + found.root.hex())
    assert found.size == 3


def test_a_proof_leads_from_what_another_party_knows_to_now(holder: Any) -> None:
    known = [grow(holder) for _ in range(6)]
    now = known[-1]
    for since in known:
        proof = log_proof(holder, since)
        verify_consistency(
            since.size, now.size, raw(since.root), raw(now.root), [raw(node) for node in proof]
        )
        assert all(node.startswith("sha256:") and len(node) == 71 for node in proof)
        assert bool(proof) == (since.size < now.size)


def test_who_knows_nothing_needs_no_proof(holder: Any) -> None:
    grow(holder, 2)
    assert log_proof(holder, None) == ()
    assert log_proof(holder, LogPosition(size=0, root="sha256:" + "0" * 64)) == ()


def test_a_position_that_this_log_never_had_is_refused(holder: Any) -> None:
    first, last = grow(holder), grow(holder)
    wrong = "sha256:" + "12" * 32
    for size in (1, 2, 3):
        with pytest.raises(ProofError):
            log_proof(holder, LogPosition(size=size, root=wrong))
    with pytest.raises(ProofError):
        log_proof(holder, LogPosition(size=first.size, root=last.root))


def test_the_ledgers_head_is_signed_by_the_holder(holder: Any) -> None:
    head, again = ledger_head(holder), ledger_head(holder)
    assert verify_head(head, holder.identity.public, holder.log.origin) == head
    with pytest.raises(WaistError, match="RF-W166"):
        verify_head(head, Identity.generate("holder").public, holder.log.origin)
    own = holder.ledger.head()
    assert all(is_mark_of(holder.marks, each.mark, own) for each in (head, again))
    assert head.mark != again.mark, "whoever is shown one entry twice cannot tell"
