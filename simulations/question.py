"""What `ringfence-simulate run` is asked: a study, and one table to cut into holders or one a holder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ringfence.models.scorecard import Scorecard
from ringfence.models.scorecard.prior import with_prior
from ringfence.privacy.agreements.contract import LoadedContract, load_contract
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import Study, load_study
from ringfence.privacy.errors import N_, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table and what it means.

    Attributes:
        contract: of the whole table, with its schema.
        data: its file.
    """

    contract: LoadedContract
    data: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A study and the tables it is asked of.

    Attributes:
        study: as people wrote it.
        tables: one, which is cut into holders, or one a holder.
        spec: how one table is cut: `iid`, `dirichlet:ALPHA` or `by:COLUMN`.
        holders: into how many; None for `by:COLUMN`.
        seed: of the cut (it is no privacy noise).
        row_is_customer: whether every row is another customer, because the table has no key.
    """

    study: Study
    tables: tuple[Table, ...]
    spec: str
    holders: int | None
    seed: int
    row_is_customer: bool = False

    @property
    def cut(self) -> bool:
        """Whether one table is cut into holders."""
        return len(self.tables) == 1

    @property
    def schema(self) -> Schema:
        """What all tables are written in."""
        return self.tables[0].contract.schema

    @classmethod
    def load(
        cls,
        study: Path,
        contracts: Sequence[Path],
        data: Sequence[Path] = (),
        *,
        spec: str | None = None,
        holders: int | None = None,
        seed: int = 1,
        row_is_customer: bool = False,
    ) -> Question:
        """Read study and contracts, and check that they speak of one schema.

        Args:
            study: its file.
            contracts: files of one contract, or of one a holder.
            data: files of the tables in the contracts' order; none, where the contracts name them.
            spec: how one table is cut, `iid` by default.
            holders: into how many.
            seed: of the cut.
            row_is_customer: see above.

        Raises:
            StudyError: every fault of the study.
            ContractError: every fault of a contract.
            UsageError: two schemas, no file to read, or options that do not go together.
        """
        _check_tables(len(contracts), len(data))
        loaded = [load_contract(path) for path in contracts]
        if len(loaded) > 1:
            _check_holders([each.contract.holder for each in loaded], spec, holders)
        asked = require_one_run(load_study(study, [loaded[0].schema]))
        for each in loaded:
            if asked.schema_ref != each.schema.digest():
                raise UsageError(
                    "RF-U340",
                    N_(
                        "The study {study} and the contract {contract} name two different schemas; make "
                        "them name one."
                    ),
                    study=study.name,
                    contract=each.path.name,
                )
        files = data or [_named(each) for each in loaded]
        spec = spec or "iid"
        if not spec.startswith("by:") and holders is None:
            holders = max(3, asked.privacy.min_holders)
        return cls(
            study=asked,
            tables=tuple(Table(contract=c, data=file) for c, file in zip(loaded, files, strict=True)),
            spec=spec,
            holders=holders,
            seed=seed,
            row_is_customer=row_is_customer,
        )

    def beginning_from(self, card: Path) -> Question:
        """The same question, whose model begins from an earlier scorecard.

        Raises:
            StudyError: the file is no scorecard, or one over other features or another schema.
        """
        earlier = Scorecard.from_json(card.read_text(encoding="utf-8", errors="replace"))
        return replace(self, study=with_prior(self.study, self.schema, earlier))


def require_one_run(study: Study) -> Study:
    """Refuse a series: a simulation has no windows to wait for.

    Raises:
        UsageError: RF-U740.
    """
    if study.series is not None:
        raise UsageError(
            "RF-U740",
            N_(
                "The study {study} is a series of {runs} runs, and a simulation runs one: leave [series] out "
                "of the file that is simulated."
            ),
            study=study.id,
            runs=study.runs,
        )
    return study


def _check_tables(contracts: int, tables: int) -> None:
    """One table for each contract, or none where the contracts name them."""
    if tables and tables != contracts:
        raise UsageError(
            "RF-U621",
            N_(
                "{contracts} contract(s) and {tables} table(s) were given; give one --data for each "
                "--contract, in the same order, or none where the contracts name their files."
            ),
            contracts=contracts,
            tables=tables,
        )


def _check_holders(names: Sequence[str], spec: str | None, holders: int | None) -> None:
    """Several contracts are several holders: of different names, and with nothing left to cut."""
    if spec is not None or holders is not None:
        raise UsageError(
            "RF-U622",
            N_(
                "Several contracts are several holders with tables of their own, so nothing is cut; leave "
                "--partition and --holders out, or give one contract."
            ),
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(
            "RF-U623",
            N_("Two contracts name the holder {holder}; each holder has one. Correct holder in one of them."),
            holder=twice[0],
        )


def _named(contract: LoadedContract) -> Path:
    """The file that a contract names."""
    if contract.contract.source.file is None:
        raise UsageError(
            "RF-U341",
            N_("The contract {contract} names no file; give the table with --data."),
            contract=contract.path.name,
        )
    return _at_hand(contract.contract.source.file, contract.path.parent)


def _at_hand(file: str, beside: Path) -> Path:
    """The contract's data file in the folder of RINGFENCE_DATA, if it is there; else beside it."""
    folder = os.environ.get("RINGFENCE_DATA", "")
    in_folder = Path(folder) / file
    return in_folder if folder and in_folder.exists() else beside / file
