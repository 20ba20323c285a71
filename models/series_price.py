"""The composed price of a series, for whoever has its study and schema alone."""

from __future__ import annotations

from ringfence.models.catalogue import task_named
from ringfence.models.pricing import composed_epsilon, planned
from ringfence.models.task import StudyContext
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.errors import RingfenceError


def composed_price(study: Study, schema: Schema) -> str:
    """Epsilon of all runs of a series with every attempt, rounded up; empty for a study that is run once.

    Also where the price cannot be computed, which is told with its reason when the study is looked at.
    """
    if study.series is None:
        return ""
    try:
        return composed_epsilon(study, planned(task_named(study.task), StudyContext.of(study, schema)))
    except RingfenceError:
        return ""
