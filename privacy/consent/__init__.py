"""Who has agreed to what, at the holder only: the consent registry and the cohorts frozen from it."""

from ringfence.privacy.consent.cohort import Cohort, Members
from ringfence.privacy.consent.events import ALL_PURPOSES, EventKind
from ringfence.privacy.consent.registry import ConsentRegistry, ImportReport
from ringfence.privacy.consent.snapshot import Snapshot
from ringfence.privacy.consent.status import Coverage, PurposeStatus

__all__ = [
    "ALL_PURPOSES",
    "Cohort",
    "ConsentRegistry",
    "Coverage",
    "EventKind",
    "ImportReport",
    "Members",
    "PurposeStatus",
    "Snapshot",
]
