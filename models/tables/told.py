"""What is told of released tables: how they were asked for, under which terms, and their lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ringfence.models.tables.disclosure import REASONS
from ringfence.models.tables.noisy import CONFIDENCE, NoisyTable

FORMAT = "ringfence-tables/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldTables:
    """The tables of a study and the terms they were made under.

    Attributes:
        task: what made them.
        study: id of the study.
        study_digest: its digest.
        purpose: what it may be used for.
        epsilon, delta: the study's price for a customer; of a series one run's.
        holders: in the sum.
        cohort: digest of who was asked, as it was signed; equal for studies over the same customers
            that name their holders by the same keys.
        titles: what people call the features, English and Chinese.
        tables: the answers.
        runs: how many runs the series has; 0 for a study that is run once.
        composed: epsilon of all its runs with every attempt; empty for a study that is run once.
    """

    task: str
    study: str
    study_digest: str
    purpose: str
    epsilon: str
    delta: str
    holders: int
    cohort: str
    titles: dict[str, tuple[str, str]]
    tables: tuple[NoisyTable, ...]
    runs: int = 0
    composed: str = ""

    def about(self) -> dict[str, Any]:
        """What programs read beside the tables: how each was asked, and what its columns are."""
        return {
            "format": FORMAT,
            "task": self.task,
            "study": self.study,
            "study_digest": self.study_digest,
            "purpose": self.purpose,
            "epsilon": self.epsilon,
            "delta": self.delta,
            **({"series_runs": self.runs, "series_epsilon_worst_case": self.composed} if self.runs else {}),
            "holders_in_sum": self.holders,
            "confidence": f"{CONFIDENCE:g}",
            "tables": [_about(table) for table in self.tables],
        }


def _about(table: NoisyTable) -> dict[str, Any]:
    return {
        "file": table.name,
        "question": table.question,
        "kind": table.kind,
        "groups": list(table.by),
        "figures": list(table.measures),
        "smallest_cell": str(table.threshold),
        "noise_in_one_count": f"{table.deviation:.6g}",
        "lines_not_shown": {
            reason: REASONS[reason].format(threshold=table.threshold) for reason in table.hidden
        },
    }
