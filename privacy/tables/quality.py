"""The quality gate: what a table's own people have to know before it takes part, and what stops it.

The report holds exact counts, so it is for the holder's own people only: nothing of it is sent, and public
parts of events hold none of it. The gate runs before a holder joins a study; a label of one class, an unknown
category or a small table are told, never a reason to stop in the middle of a study. Whether the cohort is
large enough is decided elsewhere, once, by a noisy count that is charged.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ringfence.privacy.errors import N_, TableError
from ringfence.privacy.tables.event_findings import event_findings
from ringfence.privacy.tables.facts import ColumnFacts, TableFacts
from ringfence.privacy.tables.findings import Finding, column_findings, label_findings, table_findings
from ringfence.privacy.tables.input_findings import input_findings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Finding", "QualityReport", "assess"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReport:
    """The gate's answer, for the holder's own people."""

    facts: TableFacts
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Findings that stop the table."""
        return tuple(finding for finding in self.findings if finding.stops)

    @property
    def notes(self) -> tuple[Finding, ...]:
        """Findings that people should know and that stop nothing."""
        return tuple(finding for finding in self.findings if not finding.stops)

    @property
    def passed(self) -> bool:
        """Whether nothing stops the table; code that goes on calls `check` instead."""
        return not self.faults

    def check(self) -> None:
        """Refuse a table that does not pass.

        Raises:
            TableError: RF-T040 with every fault.
        """
        if self.faults:
            raise TableError(
                "RF-T040",
                N_("The table does not pass the quality gate ({count} fault(s)):\n{faults}"),
                count=len(self.faults),
                faults=_Lines(self.faults),
            )

    def as_frame(self) -> pd.DataFrame:
        """Counts by column, with the findings of each column in words."""
        import pandas as pd

        words: dict[str, list[str]] = {}
        for finding in self.findings:
            words.setdefault(finding.column, []).append(str(finding))
        rows = [
            {**asdict(column), "findings": " ".join(words.get(column.name, []))}
            for column in self.facts.columns
        ]
        frame = pd.DataFrame(rows, columns=[*ColumnFacts.__dataclass_fields__, "findings"])
        frame["max_missing"] = [
            None if c.max_missing is None else float(c.max_missing) for c in self.facts.columns
        ]
        return frame.set_index("name")


class _Lines(tuple[Finding, ...]):
    """Findings, one a line, translated when printed."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(str(finding) for finding in self)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def assess(facts: TableFacts) -> QualityReport:
    """Judge a table by what was counted while it was read."""
    events = () if facts.events is None else event_findings(facts.events)
    findings = [
        *events,
        *table_findings(facts),
        *(
            finding
            for column in facts.columns
            for finding in column_findings(column, is_label=column.name == facts.label)
        ),
    ]
    findings += label_findings(facts)
    findings += (finding for each in facts.inputs for finding in input_findings(each))
    return QualityReport(facts=facts, findings=tuple(findings))
