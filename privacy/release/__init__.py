"""The export gate: the only way from a holder or coordinator to a person or a file."""

from ringfence.privacy.release.artefact import (
    Artefact,
    ColumnRule,
    Exported,
    ExportPolicy,
    ExportRefused,
    Objection,
    ReleaseRefused,
    ResultFile,
    SmallCells,
)
from ringfence.privacy.release.counts import suppress_small_cells
from ringfence.privacy.release.examination import Cleared, examine
from ringfence.privacy.release.gate import ExportGate
from ringfence.privacy.release.register import TableRegister

__all__ = [
    "Artefact",
    "Cleared",
    "ColumnRule",
    "ExportGate",
    "ExportPolicy",
    "ExportRefused",
    "Exported",
    "Objection",
    "ReleaseRefused",
    "ResultFile",
    "SmallCells",
    "TableRegister",
    "examine",
    "suppress_small_cells",
]
