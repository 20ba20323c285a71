"""Who has agreed to what, at the holder only: the consent registry and the cohorts frozen from it."""

from ringfence.privacy.consent.cohort import Cohort, CohortMembers
from ringfence.privacy.consent.records import ALL_PURPOSES, EventKind
from ringfence.privacy.consent.registry import ConsentRegistry, ImportReport
from ringfence.privacy.consent.snapshot import Snapshot
from ringfence.privacy.consent.status import Coverage, PurposeStatus

__all__ = [
    "ALL_PURPOSES",
    "Cohort",
    "CohortMembers",
    "ConsentRegistry",
    "Coverage",
    "EventKind",
    "ImportReport",
    "PurposeStatus",
    "Snapshot",
]
