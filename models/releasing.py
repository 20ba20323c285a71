"""Letting a study's result out: every result is files, and all go through the export gate, all or none.

Simulations call this, and so does whatever program of a coordinator writes a result for people. What a holder
keeps of a study for itself (its own network) stays in the holder's home and is no export.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from ringfence.models.task import Released
from ringfence.privacy.release import Artefact, Exported, ExportGate, ResultFile


def release_result(
    result: Released,
    folder: Path,
    *,
    gate: ExportGate,
    epsilon: Decimal,
    resource: str,
    beside: Iterable[ResultFile] = (),
) -> tuple[Exported, ...]:
    """Write what a study released as files in a new folder.

    Args:
        result: what the task ended with.
        folder: which does not exist yet.
        gate: of whoever holds the result.
        epsilon: of the study.
        resource: what the gate's events name, such as `study:sha256:...`.
        beside: further files of the same study for the same folder.

    Returns:
        What left, file by file.

    Raises:
        ExportRefused, ExportError: it may not leave, or cannot be written; nothing is left behind.
    """
    artefacts = [
        Artefact(
            name=file.name,
            kind=file.kind,
            content=file.content,
            columns=file.columns,
            cohort=file.cohort,
            epsilon=epsilon,
            resource=resource,
        )
        for file in (*result.files(), *beside)
    ]
    return gate.release_all(artefacts, folder)
