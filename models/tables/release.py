"""What a study of tables ends with: its answers, the terms they were made under, and the files people get."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import rfc8785

from ringfence.models.tables.noisy import CUSTOMERS, ENDS, NOT_SHOWN, NoisyTable
from ringfence.models.tables.page import page_files
from ringfence.models.tables.told import ToldTables
from ringfence.models.task import StudyContext
from ringfence.privacy.release.artefact import ColumnRule, ResultFile
from ringfence.privacy.release.tables import write_csv, write_parquet

ABOUT_FILE = "tables.json"
COHORT = "ringfence/cohort/v1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRelease(ToldTables):
    """The released tables of a study, as what people get of it."""

    @classmethod
    def of(
        cls, context: StudyContext, tables: tuple[NoisyTable, ...], holders: int, composed: str = ""
    ) -> TableRelease:
        """The release of a study's answers.

        Args:
            context: the study.
            tables: its answers.
            holders: how many are in the sum.
            composed: of a series, epsilon of all its runs with every attempt.
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
            runs=study.runs,
            composed=composed,
        )

    def digest(self) -> str:
        """`sha256:` over the canonical JSON of everything that is told."""
        told = self.about() | {"rows": [list(table.records()) for table in self.tables]}
        return "sha256:" + hashlib.sha256(rfc8785.dumps(told)).hexdigest()

    def files(self) -> tuple[ResultFile, ...]:
        """For each table CSV, Parquet and JSON of the same columns; what they are; and a page for people."""
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


def cohort_of(context: StudyContext, first_keys: Mapping[str, str] | None = None) -> str:
    """Digest of who a study asks, as it is signed: equal for two studies of the same customers.

    What the customers are follows from the schema, the purpose and its legal basis, who is asked and who
    receives what, the features whose unknown values leave a customer out, and the inputs: a holder without a
    table beside them counts whoever has a line in one.

    Args:
        context: the study.
        first_keys: of a holder's key in the study, the first one of its chain, both in hexadecimal: a holder
            whose key was replaced has the customers that it had.
    """
    study, first = context.study, first_keys or {}
    told = {
        "schema": study.schema_ref,
        "purpose": study.purpose,
        "legal_basis": study.legal_basis,
        "jurisdiction": study.jurisdiction or "",
        "label": study.label or "",
        "holders": sorted(first.get(each.key, each.key) for each in study.holders),
        "inputs": sorted(study.inputs or ()),
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
