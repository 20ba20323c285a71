"""A study without a label between three holders: tables, their price, and their way out through the gate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kits.noise import SeededNoise
from kits.parties import federation_of, write_site
from kits.small import frame_of, schema_of
from kits.statistics_kit import FEATURES

from ringfence.models.releasing import release_result
from ringfence.models.tables.release import TableRelease
from ringfence.privacy.release import Exported, ExportRefused
from ringfence.server.coordinator import sign_study
from ringfence.server.release.gate import export_gate
from ringfence.simulations.federation import Federation, Outcome, result_of, run_in_process
from ringfence.simulations.summary import summary

QUESTIONS = ["count by plan, active", "histogram of age in 4", "mean of age by active", "quantiles of age"]


def tables_of(folder: Path, *questions: str, **study: Any) -> Federation:
    return federation_of(
        folder,
        customers=1500,
        **{
            "id": "small-tables",
            "task": "statistics",
            "label": None,
            "features": [each for each in FEATURES if any(each in line for line in questions or QUESTIONS)],
            "model": {"questions": list(questions or QUESTIONS)},
            "evaluation": {"test_fraction": "0"},
        }
        | study,
    )


def run(federation: Federation, seed: int = 3) -> tuple[Outcome, TableRelease]:
    outcome, holders = run_in_process(
        federation, noise=lambda name: SeededNoise(seed=seed, holder=name), say=print
    )
    for holder in holders.values():
        spends = [each.part for each in holder.ledger.statement() if each.kind == "charged"]
        assert spends == ["both", "both"], "the cohort count and the one sum"
    found = outcome.release.result
    assert isinstance(found, TableRelease)
    return outcome, found


def let_out(federation: Federation, found: TableRelease, folder: Path) -> tuple[Exported, ...]:
    study = federation.opened.study
    gate = export_gate(federation.coordinator, study.privacy.epsilon, study.release)
    return release_result(
        found, folder, gate=gate, epsilon=study.privacy.epsilon, resource=f"study:{federation.opened.digest}"
    )


def test_tables_are_summed_priced_and_released_as_files(tmp_path: Path) -> None:
    federation = tables_of(tmp_path)
    outcome, found = run(federation)
    report = federation.price().as_report()
    assert (report["parts"], report["customer_epsilon"]) == ("all customers", "4")
    out = tmp_path / "out"
    names = {each.path.name for each in let_out(federation, found, out)}
    files = {f"question-{n}.{kind}" for n in range(1, 5) for kind in ("csv", "json", "parquet")}
    assert names == files | {"tables.json", "tables.html", "tables-zh.html"}
    told = json.loads((out / "tables.json").read_text())
    assert [each["question"] for each in told["tables"]] == QUESTIONS
    frames = [
        pd.read_csv(out / "question-1.csv", dtype={"customers": "Int64"}),
        pd.read_parquet(out / "question-1.parquet"),
        pd.DataFrame(json.loads((out / "question-1.json").read_text())),
    ]
    records = list(found.tables[0].records())
    for frame in frames:
        assert list(frame.columns) == list(found.tables[0].columns)
        assert frame["customers"].dropna().astype(int).tolist() == [
            row["customers"] for row in records if row["customers"] is not None
        ]
    exact = frame_of(1500, 0)
    assert frames[0]["customers"].sum() == pytest.approx(3 * len(exact), rel=0.1)
    for name in ("tables.html", "tables-zh.html"):
        page = (out / name).read_text(encoding="utf-8")
        assert page.count("<svg") == 4
        assert "script" not in page
    result = result_of(federation, outcome, rows=dict.fromkeys(federation.sites, 1500), runner="in-process")
    assert result["tables"][0]["rows"] == records
    assert any("Tables released: 4" in line for line in summary(result, None))


def test_the_digest_covers_every_line(tmp_path: Path) -> None:
    _outcome, found = run(tables_of(tmp_path))
    table = found.tables[0]
    (first, *rest) = table.rows
    changed = replace(found, tables=(replace(table, rows=(*rest, first)), *found.tables[1:]))
    assert changed.digest() != found.digest() == replace(found).digest()


def test_the_same_cohort_may_be_asked_again_and_another_may_not_differ_by_few(tmp_path: Path) -> None:
    """Noise differs from study to study; a holder of a few customers more is what the difference tells of."""
    for name in "abc":
        (tmp_path / name).mkdir()
    first = tables_of(tmp_path / "a", "count by plan")
    again = tables_of(tmp_path / "b", "histogram of plan", id="small-tables-2")
    again = _with(again, first)
    let_out(first, run(first)[1], tmp_path / "first")
    let_out(first, run(again, 4)[1], tmp_path / "again")
    # Who receives the result decides who has consented: another cohort, whose table differs by a few.
    other = _with(tables_of(tmp_path / "c", "count by plan", id="small-tables-3", jurisdiction="CN"), first)
    with pytest.raises(ExportRefused, match="RF-X100"):
        let_out(first, run(other, 5)[1], tmp_path / "other")
    assert not (tmp_path / "other").exists()


def _with(federation: Federation, earlier: Federation) -> Federation:
    """The same study of the holders of an earlier one."""
    study = federation.opened.study.revised(holders=earlier.opened.study.holders)
    opened = sign_study(federation.coordinator.identity, study, earlier.schema)
    return replace(federation, keys=earlier.keys, opened=opened)


def test_plain_tables_show_smaller_cells_than_others_of_the_same_release(tmp_path: Path) -> None:
    terms = {"plain": ["plan", "active"], "min_cell": 10, "min_cell_quasi": 400}
    federation = tables_of(
        tmp_path, "count by age, plan", "count by plan, active", release=terms, privacy={"epsilon": "8"}
    )
    _outcome, found = run(federation)
    assert [table.threshold for table in found.tables] == [400, 10]
    assert min(row.figures[0].value for row in found.tables[1].rows if row.figures) < 400
    assert let_out(federation, found, tmp_path / "out")


def test_small_cells_are_hidden_by_noisy_counts_and_pass_the_gate(tmp_path: Path) -> None:
    schema = schema_of()
    federation = tables_of(tmp_path, "count by plan, active", release={"min_cell_quasi": 300})
    for seed, name in enumerate(federation.sites):
        write_site(tmp_path, name, frame_of(700, seed), schema.digest())
    _outcome, found = run(federation)
    hidden = [row for row in found.tables[0].rows if row.why]
    assert hidden
    assert all(row.figures == () for row in hidden)
    let_out(federation, found, tmp_path / "out")
    frame = pd.read_csv(tmp_path / "out" / "question-1.csv")
    assert frame["customers"].isna().sum() == len(hidden)
    assert np.nanmin(frame["customers"]) >= 300
    assert set(frame.loc[frame["customers"].isna(), "not_shown"]) <= {"small", "complement", "within"}
