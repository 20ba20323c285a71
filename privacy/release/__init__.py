"""The export gate: the only way from a holder or coordinator to a person or a file."""

from ringfence.privacy.release.artefact import (
    Artefact,
    ColumnRule,
    ExportPolicy,
    ExportRefused,
    Reason,
    Release,
    ReleaseRefused,
    SmallCells,
)
from ringfence.privacy.release.cells import suppress_small_cells
from ringfence.privacy.release.decision import Cleared, decide
from ringfence.privacy.release.gate import ExportGate

__all__ = [
    "Artefact",
    "Cleared",
    "ColumnRule",
    "ExportGate",
    "ExportPolicy",
    "ExportRefused",
    "Reason",
    "Release",
    "ReleaseRefused",
    "SmallCells",
    "decide",
    "suppress_small_cells",
]
