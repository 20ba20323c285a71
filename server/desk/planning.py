"""What a study would cost and what errors its answers are expected to have, before it is signed or after."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ringfence.models.catalogue import task_named
from ringfence.models.pricing import outlook_of, planned, price_of
from ringfence.models.releasing import require_releasable
from ringfence.models.task import Outlook, StudyContext
from ringfence.privacy.accounting.study import StudyPrice
from ringfence.privacy.agreements.study import load_study
from ringfence.server.desk.asking import read_asked
from ringfence.server.desk.signing import schema_beside, trusted_declaration, with_declared
from ringfence.server.home import Office


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStudy:
    """A study before anything is spent.

    Attributes:
        study: its id.
        price: what it would cost.
        outlook: what is expected of its answers.
    """

    study: str
    price: StudyPrice
    outlook: Outlook


def plan_study(
    office: Office, given: Path, declarations: Sequence[Path], schema: Path | None = None
) -> PlannedStudy:
    """Plan a study; nothing is signed, sent or written.

    Args:
        office: the coordinator's.
        given: the study's TOML file, with declarations; without them a signed study's file or id.
        declarations: the holders' files.
        schema: of a signed study, where it does not lie beside it.

    Raises:
        StudyError: it has faults, its task cannot tell (RF-S523), or its result could not leave (RF-S526).
    """
    if declarations:
        written = load_study(given, today=datetime.datetime.now(datetime.UTC).date())
        meaning = schema_beside(given, written)
        found = [trusted_declaration(each, office.holders()) for each in declarations]
        study = with_declared(given, written, meaning, found)
    else:
        study, meaning = read_asked(office, given, schema)
    task, context = task_named(study.task), StudyContext.of(study, meaning)
    outlook = outlook_of(task, context)
    require_releasable(task, context)
    return PlannedStudy(
        study=study.id,
        price=price_of(study, planned(task, context)),
        outlook=outlook,
    )
