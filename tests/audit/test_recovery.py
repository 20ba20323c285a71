"""A log that goes on from a copy, at those who anchored more: one size, two roots, and both known."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ringfence.audit import store
from ringfence.audit.cli import main
from ringfence.audit.errors import LogError
from ringfence.audit.events import Profile
from ringfence.audit.log import AuditLog
from ringfence.audit.note import MemorySigner
from ringfence.audit.recovery import Told, accept_recovery, continued, find_loss, record_recovery, remembered
from ringfence.audit.verification.losses import MOST_LOST
from ringfence.privacy.protocol.recoveries import AnchoredCheckpoints, checkpoints_in, file_text
from ringfence.privacy.stores.store import open_store

HUB = "x.example/coordinator"
TOLD = Told(
    statement="sha256:" + "11" * 32, approvals=("ed25519:" + "22" * 16,), private={"reason": "a test"}
)


def log_at(path: Path, signer: MemorySigner, name: str) -> AuditLog:
    return log_in(open_store(path), signer, name, "durable")


def log_in(engine: Engine, signer: MemorySigner, name: str, profile: Profile = "simulation") -> AuditLog:
    return AuditLog(
        engine,
        origin=HUB if name == "hub" else f"x.example/holder/{name}",
        signer=signer,
        organisation=name,
        actor="client",
        profile=profile,
    )


def grow(log: AuditLog, count: int) -> None:
    for number in range(count):
        log.record("key.created", "allow", resource=f"key:{number}")


@pytest.mark.parametrize("before", [True, False])
def test_two_roots_of_one_size_are_anchored_around_the_acceptance_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], before: bool
) -> None:
    signer = MemorySigner()
    hub, bank = (
        log_at(tmp_path / "hub.db", signer, "hub"),
        log_at(tmp_path / "bank.db", MemorySigner(), "bank"),
    )
    grow(hub, 2)
    if before:
        bank.anchor(hub.checkpoint(), hub.verifier)
    hub._engine.dispose()
    shutil.copy(tmp_path / "hub.db", tmp_path / "copy.db")
    grow(hub, 2)
    bank.anchor(hub.checkpoint(), hub.verifier, hub.consistency(2) if before else ())
    again = log_at(tmp_path / "copy.db", signer, "hub")
    notes = remembered(bank, bank._engine, HUB)
    loss, held = find_loss(again, again._engine, [notes])
    assert (loss.kept.size, [state.size for state in loss.lost], held) == (
        (2, [4], (2,)) if before else (0, [4], ())
    )
    event = record_recovery(again, again._engine, loss, TOLD)
    grow(again, 1)
    shown = continued(again, event, held)
    with bank._engine.begin() as connection:
        accept_recovery(bank, connection, shown, (again.verifier, loss), TOLD)
    with pytest.raises(LogError, match="RF-A268"), bank._engine.begin() as connection:
        accept_recovery(bank, connection, shown, (again.verifier, loss), TOLD)
    for log, name in ((again, "hub"), (bank, "bank")):
        log.export_bundle(tmp_path / "bundle" / name)
    status = main(["verify", str(tmp_path / "bundle")])
    out = capsys.readouterr().out
    assert (status, "RF-A267" in out, "RF-A101" in out) == (3, True, False)
    assert main(["verify", str(tmp_path / "bundle" / "bank"), "--alone"]) in {0, 3}
    assert "RF-A101" not in capsys.readouterr().out


def test_two_histories_signed_at_one_time_are_no_loss(tmp_path: Path) -> None:
    signer = MemorySigner()
    hub = log_at(tmp_path / "hub.db", signer, "hub")
    grow(hub, 1)
    hub._engine.dispose()
    shutil.copy(tmp_path / "hub.db", tmp_path / "copy.db")
    grow(hub, 1)
    second = hub.checkpoint()
    other = log_at(tmp_path / "copy.db", signer, "hub")
    grow(other, 1)
    mine = other.checkpoint()
    grow(other, 2)
    later = other.checkpoint()
    # The log has the state of four events, and signed another one of two: it was never restored behind that.
    with pytest.raises(LogError, match="RF-A263"):
        find_loss(other, other._engine, [[second, later]])
    hub_again = [second, mine]
    third = log_at(tmp_path / "third.db", signer, "hub")
    grow(third, 1)
    with pytest.raises(LogError, match="RF-A263"):
        find_loss(third, third._engine, [hub_again])


def test_as_many_lost_checkpoints_as_a_recovery_names_are_taken_and_one_more_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is left out in silence: a recovery that named some of them alone could be taken by nobody."""
    signer = MemorySigner()
    hub, older, newer = (log_in(open_store(None), signer, "hub") for _ in range(3))
    bank = log_in(open_store(None), MemorySigner(), "bank")
    for number in range(MOST_LOST + 2):
        hub.record("key.created", "allow", resource=f"key:{number}")
        bank.anchor(hub.checkpoint(), hub.verifier, hub.consistency(hub.size - 1) if number else ())
        if number < 2:
            copy(hub, (older, newer)[number])
    notes = remembered(bank, bank._engine, HUB)
    file = AnchoredCheckpoints(log=HUB, checkpoints=tuple(note.decode() for note in notes))
    written = tmp_path / "seen.json"
    written.write_text(file_text(file), encoding="utf-8")
    seen = [[note.encode() for note in checkpoints_in(written)]]
    with pytest.raises(LogError, match="RF-A265"):
        find_loss(older, older._engine, seen)
    loss, held = find_loss(newer, newer._engine, seen)
    assert (loss.kept.size, len(loss.lost), held) == (2, MOST_LOST, (2,))
    event = record_recovery(newer, newer._engine, loss, TOLD)
    with bank._engine.begin() as connection:
        accept_recovery(bank, connection, continued(newer, event, held), (newer.verifier, loss), TOLD)
    for log, name in ((newer, "hub"), (bank, "bank")):
        log.export_bundle(tmp_path / "bundle" / name)
    assert main(["verify", str(tmp_path / "bundle")]) == 3
    assert f"it had signed {MOST_LOST + 2} events, and those from 2 on" in capsys.readouterr().out


def copy(log: AuditLog, backup: AuditLog) -> None:
    """The store of a log as it is now in place of another one's."""
    with log._engine.begin() as original, backup._engine.begin() as connection:
        tables = store.metadata.sorted_tables
        for table in reversed(tables):
            connection.execute(table.delete())
        for table in tables:
            if rows := [dict(row._mapping) for row in original.execute(table.select())]:
                connection.execute(table.insert(), rows)


def test_what_is_shown_of_a_continued_log_is_the_last_that_each_party_saw(tmp_path: Path) -> None:
    """Parties that keep hundreds of checkpoints between them get one file that all of them can read."""
    signer = MemorySigner()
    hub = log_in(open_store(None), signer, "hub")
    notes = []
    for number in range(6):
        hub.record("key.created", "allow", resource=f"key:{number}")
        notes.append(hub.checkpoint())
    other = log_in(open_store(None), signer, "hub")
    grow(other, 8)
    gone = other.checkpoint()
    loss, held = find_loss(hub, hub._engine, [[*notes[:3], gone], notes[1:5], [gone]])
    assert (loss.kept.size, [each.size for each in loss.lost], held) == (5, [8], (3, 5))
    event = record_recovery(hub, hub._engine, loss, TOLD)
    assert set(continued(hub, event, held).proofs) == {3, 5}
