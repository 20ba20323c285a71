"""The coordinator's export gate: its log, the study's limit, and the register of what left."""

from __future__ import annotations

from decimal import Decimal

from ringfence.privacy.agreements.quorum import ReleaseTerms
from ringfence.privacy.release import ExportGate, ExportPolicy, SmallCells, TableRegister
from ringfence.server.coordinator import Coordinator


def export_gate(coordinator: Coordinator, epsilon: Decimal, terms: ReleaseTerms | None = None) -> ExportGate:
    """The gate through which a coordinator lets out what a study gave.

    Args:
        coordinator: whose log and store.
        epsilon: of the study; nothing leaves that states more, or nothing.
        terms: of the study; they say how few customers a count may stand for.
    """
    terms = terms or ReleaseTerms()
    cells = SmallCells(threshold=terms.plain_cell, with_quasi=terms.other_cell)
    return ExportGate(
        coordinator.log,
        ExportPolicy(epsilon=epsilon, small_cells=cells),
        TableRegister.open(coordinator.registry.engine),
    )
