"""What a study of tables ends with: its answers, the terms they were made under, and the files people get."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import rfc8785

from ringfence.models.tables.disclosure import REASONS
from ringfence.models.tables.noisy import CONFIDENCE, CUSTOMERS, ENDS, NOT_SHOWN, NoisyTable
from ringfence.models.task import StudyContext
from ringfence.privacy.release.artefact import ColumnRule, ResultFile
from ringfence.privacy.release.tables import write_csv, write_parquet

FORMAT = "ringfence-tables/1"
ABOUT_FILE = "tables.json"
COHORT = "ringfence/cohort/v1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRelease:
    """The released tables of a study.

    Attributes:
        task: what made them.
        study: id of the study.
        study_digest: its digest.
        purpose: what it may be used for.
        epsilon, delta: the study's price for a customer.
        holders: in the sum.
        cohort: digest of who was asked, as it was signed; equal for studies over the same customers.
        titles: what people call the features, English and Chinese.
        tables: the answers.
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

    @classmethod
    def of(cls, context: StudyContext, tables: tuple[NoisyTable, ...], holders: int) -> TableRelease:
        """The release of a study's answers.

        Args:
            context: the study.
            tables: its answers.
            holders: how many are in the sum.
        """
        study = context.study
        return cls(
            task=study.task,
            study=study.id,
            study_digest=study.digest(),
            purpose=study.purpose,
            epsilon=f"{study.privacy.epsilon:f}",
            delta=f"{study.privacy.delta:f}",
            holders=holders,
            cohort=cohort_of(context),
            titles={
                name: (
                    context.schema.feature(name).title or name,
                    context.schema.feature(name).title_zh or name,
                )
                for name in study.features or ()
            },
            tables=tables,
        )

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
            "holders_in_sum": self.holders,
            "confidence": f"{CONFIDENCE:g}",
            "tables": [_about(table) for table in self.tables],
        }

    def digest(self) -> str:
        """`sha256:` over the canonical JSON of everything that is told."""
        told = self.about() | {"rows": [list(table.records()) for table in self.tables]}
        return "sha256:" + hashlib.sha256(rfc8785.dumps(told)).hexdigest()

    def files(self) -> tuple[ResultFile, ...]:
        """For each table CSV, Parquet and JSON of the same columns; what they are; and a page for people."""
        from ringfence.models.tables.page import page_files

        about = json.dumps(self.about(), indent=1, ensure_ascii=False)
        return (
            ResultFile(name=ABOUT_FILE, kind="json", content=about.encode(), cohort=self.cohort),
            *(file for table in self.tables for file in self._files_of(table)),
            *page_files(self),
        )

    def _files_of(self, table: NoisyTable) -> tuple[ResultFile, ...]:
        import pandas as pd

        frame = pd.DataFrame(list(table.records()), columns=list(table.columns))
        days = {f"{name}{end}" for name in table.days for end in ("", *ENDS)}
        for name in table.columns:
            if name.startswith(CUSTOMERS):
                frame[name] = frame[name].astype("Int64")
            elif name not in table.by and name != NOT_SHOWN and name not in days:
                frame[name] = frame[name].astype("float64")
        records = json.dumps(list(table.records()), indent=1, ensure_ascii=False)
        rules = rules_of(table)
        return (
            ResultFile(
                name=f"{table.name}.csv",
                kind="csv",
                content=write_csv(frame),
                columns=rules,
                cohort=self.cohort,
            ),
            ResultFile(
                name=f"{table.name}.parquet",
                kind="parquet",
                content=write_parquet(frame),
                columns=rules,
                cohort=self.cohort,
            ),
            ResultFile(
                name=f"{table.name}.json",
                kind="json",
                content=records.encode(),
                columns=rules,
                cohort=self.cohort,
            ),
        )


def cohort_of(context: StudyContext) -> str:
    """Digest of who a study asks, as it is signed: equal for two studies of the same customers.

    What the customers are follows from the schema, the purpose and its legal basis, who is asked and who
    receives what, and the features whose unknown values leave a customer out.
    """
    study = context.study
    told = {
        "schema": study.schema_ref,
        "purpose": study.purpose,
        "legal_basis": study.legal_basis,
        "jurisdiction": study.jurisdiction or "",
        "label": study.label or "",
        "holders": sorted(each.key for each in study.holders),
        "leaving_out": sorted(
            name for name in study.features or () if context.schema.feature(name).unknown == "exclude"
        ),
    }
    return "sha256:" + hashlib.sha256(COHORT.encode() + rfc8785.dumps(told)).hexdigest()


def rules_of(table: NoisyTable) -> tuple[ColumnRule, ...]:
    """What the export gate is told of a table's columns: its counts are held to the small-cell rules."""
    return tuple(
        ColumnRule(
            name=name,
            sensitivity="quasi" if name in table.by and name in table.quasi else "plain",
            count=name == CUSTOMERS,
            amount=name not in table.by,
        )
        for name in table.columns
    )


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
