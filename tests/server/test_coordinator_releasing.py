"""The coordinator's gate: its own log, the study's limit, and a register of tables that outlives the gate."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from kits.reply_kit import tiny

from ringfence.server.release.gate import export_gate


def test_the_gate_writes_to_the_coordinators_log_and_keeps_to_the_studys_epsilon(tmp_path: Path) -> None:
    coordinator = tiny(tmp_path).federation.coordinator
    gate = export_gate(coordinator, Decimal("2.5"))
    assert gate.journal is coordinator.log
    assert gate.policy.epsilon == Decimal("2.5")
    assert gate.register is not None
    assert export_gate(coordinator, Decimal(1)).register is not None
