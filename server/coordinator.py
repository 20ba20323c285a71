"""The coordinator as values: its identity, its log, its memory of holders, and a study ready to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ringfence.audit.log import AuditLog
from ringfence.models.catalogue import task_named
from ringfence.models.pricing import planned
from ringfence.models.task import StudyContext, Task
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.waist import StudyPlan
from ringfence.privacy.wire.fields import new_run_id
from ringfence.server.registry import HolderRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinator:
    """Who runs studies.

    Attributes:
        identity: its Ed25519 key, known to the holders.
        log: its audit log, which anchors the holders' checkpoints.
        registry: what it last saw of each holder.
    """

    identity: Identity
    log: AuditLog
    registry: HolderRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStudy:
    """A signed study with everything that follows from it, for one run.

    Attributes:
        document: the study as signed.
        schema_document: its schema as signed.
        context: study, schema, features and cells.
        task: the task the study names.
        plan: its secure sums.
        run: fresh id of this run.
        window: of a series, number of this run; 0 for a study that is run once.
    """

    document: SignedDocument
    schema_document: SignedDocument
    context: StudyContext
    task: Task[Any, Any]
    plan: StudyPlan
    run: str = field(default_factory=new_run_id)
    window: int = 0

    @property
    def study(self) -> Study:
        """The study's fields."""
        return self.context.study

    @property
    def digest(self) -> str:
        """The study's digest."""
        return self.study.digest()

    @property
    def participants(self) -> Mapping[str, PublicIdentity]:
        """Name and pinned key of every holder of the study."""
        return {holder.name: PublicIdentity.from_hex(holder.key) for holder in self.study.holders}


def sign_study(coordinator: Identity, study: Study, schema: Schema) -> OpenStudy:
    """Sign a study and its schema, and derive the run.

    The study names its features: who signs knows what the holders allow, and every holder has to compute the
    same plan.

    Raises:
        StudyError: the study is incomplete, RF-S053 it names no features, its task is unknown, its options
            are out of range, or its epsilon is too small for its noise to be drawn.
    """
    task = task_named(study.task)
    context = StudyContext.of(study, schema)
    return OpenStudy(
        document=SignedDocument(kind="study", body=study.canonical()).signed_by(coordinator),
        schema_document=SignedDocument(kind="schema", body=schema.canonical()).signed_by(coordinator),
        context=context,
        task=task,
        plan=planned(task, context),
    )
