"""A log that goes on from a copy, at those who anchored more: one size, two roots, and both known."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ringfence.audit.cli import main
from ringfence.audit.errors import LogError
from ringfence.audit.log import AuditLog
from ringfence.audit.note import MemorySigner
from ringfence.audit.recovery import Told, accept_recovery, continued, find_loss, record_recovery, remembered
from ringfence.privacy.stores.store import open_store

HUB = "x.example/coordinator"
TOLD = Told(
    statement="sha256:" + "11" * 32, approvals=("ed25519:" + "22" * 16,), private={"reason": "a test"}
)


def log_at(path: Path, signer: MemorySigner, name: str) -> AuditLog:
    return AuditLog(
        open_store(path),
        origin=HUB if name == "hub" else f"x.example/holder/{name}",
        signer=signer,
        organisation=name,
        actor="client",
        profile="durable",
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
    notes = remembered(bank._engine, HUB)
    loss, held = find_loss(again, again._engine, notes)
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
        find_loss(other, other._engine, [second, later])
    hub_again = [second, mine]
    third = log_at(tmp_path / "third.db", signer, "hub")
    grow(third, 1)
    with pytest.raises(LogError, match="RF-A263"):
        find_loss(third, third._engine, hub_again)
