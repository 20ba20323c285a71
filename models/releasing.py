"""Letting a study's result out: every result is files, and all go through the export gate, all or none.

Simulations call this, and so does whatever program of a coordinator writes a result for people. What a holder
keeps of a study for itself (its own network) stays in the holder's home and is no export.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from ringfence.models.task import Released, StudyContext, Task
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.release import (
    Artefact,
    Exported,
    ExportGate,
    ExportPolicy,
    ReleaseRefused,
    ResultFile,
    SmallCells,
    examine,
)
from ringfence.privacy.waist import Aggregate, Query


def release_result(
    result: Released,
    folder: Path,
    *,
    gate: ExportGate,
    epsilon: Decimal,
    resource: str,
    cohort: str = "",
    beside: Iterable[ResultFile] = (),
) -> tuple[Exported, ...]:
    """Write what a study released as files in a new folder.

    Args:
        result: what the task ended with.
        folder: which does not exist yet.
        gate: of whoever holds the result.
        epsilon: of the study.
        resource: what the gate's events name, such as `study:sha256:...`.
        cohort: digest of whose counts with noise these are, where the gate's house knows of keys that were
            replaced since they were signed; as they were signed by default.
        beside: further files of the same study for the same folder.

    Returns:
        What left, file by file.

    Raises:
        ExportRefused, ExportError: it may not leave, or cannot be written; nothing is left behind.
    """
    files = (*result.files(), *beside)
    known = [replace(file, cohort=cohort) if file.cohort and cohort else file for file in files]
    artefacts = [_artefact(file, epsilon, resource) for file in known]
    return gate.release_all(artefacts, folder)


def _artefact(file: ResultFile, epsilon: Decimal, resource: str) -> Artefact:
    return Artefact(
        name=file.name,
        kind=file.kind,
        content=file.content,
        columns=file.columns,
        cohort=file.cohort,
        epsilon=epsilon,
        resource=resource,
    )


MADE_UP = 1_000_000
"""Customers in every entry of a made-up sum: none of its lines is a small cell."""


def rehearsed(task: Task[Any, Any], context: StudyContext) -> tuple[ReleaseRefused, ...]:
    """What the export gate would refuse of a study's result whatever the numbers, before anything is spent.

    A result is made of sums that are made up, the same in every entry, and examined as a real one will be:
    names of groups and columns are those of the signed study.

    Args:
        task: of tables; a model's files hang on its numbers.
        context: the study.
    """
    terms, plan = context.study.release, task.plan(context)
    cells = SmallCells(threshold=terms.plain_cell, with_quasi=terms.other_cell)
    policy = ExportPolicy(epsilon=context.study.privacy.epsilon, small_cells=cells)
    state, step = task.start(context)
    while isinstance(step, Query):
        blocks = {
            block.name: np.full(block.max_length, MADE_UP * block.max_abs, dtype=np.int64)
            for block in plan.rounds[step.round].sent
        }
        state, step = task.step(context, state, Aggregate(round=step.round, holders=1, blocks=blocks))
    found = [
        examine(_artefact(file, context.study.privacy.epsilon, "study:rehearsal"), policy)
        for file in step.files()
    ]
    return tuple(each for each in found if isinstance(each, ReleaseRefused))


def require_releasable(task: Task[Any, Any], context: StudyContext) -> None:
    """Refuse a study of tables whose result the export gate would keep whatever the numbers.

    Raises:
        StudyError: RF-S526, with the gate's first reason.
    """
    for refused in () if task.labelled else rehearsed(task, context):
        raise StudyError(
            "RF-S526",
            N_(
                "The export gate would keep {file} of this study whatever its numbers, so it is not worth "
                "its price: {reason}"
            ),
            file=refused.name,
            reason=refused.reasons[0].sentence(),
        )
