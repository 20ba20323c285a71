"""The coordinator's export gate: its log, the study's limit, and the register of what left."""

from __future__ import annotations

from decimal import Decimal

from ringfence.privacy.release import ExportGate, ExportPolicy, TableRegister
from ringfence.server.coordinator import Coordinator


def export_gate(coordinator: Coordinator, epsilon: Decimal) -> ExportGate:
    """The gate through which a coordinator lets out what a study gave.

    Args:
        coordinator: whose log and store.
        epsilon: of the study; nothing leaves that states more, or nothing.
    """
    return ExportGate(
        coordinator.log,
        ExportPolicy(epsilon=epsilon),
        TableRegister.open(coordinator.registry.engine),
    )
