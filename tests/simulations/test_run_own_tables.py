"""`run` on own tables: what was left out is told, several holders bring theirs, rows may be customers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kits.run_kit import call, table, write
from kits.small import frame_of

from ringfence.privacy.command_line.terminal import run
from ringfence.privacy.tables.tabular import keyless_advice
from ringfence.simulations.cli import command


def result_of(folder: Path, *extra: str) -> dict[str, Any]:
    target = folder / "result.json"
    assert call(folder, *extra, "--json", str(target)) == 0
    found: dict[str, Any] = json.loads(target.read_text())
    return found


def dirty(customers: int) -> pd.DataFrame:
    """Every seventh label is neither category, every tenth plan unknown, every twentieth age too high."""
    frame = frame_of(customers)
    frame["age"] = np.where(np.arange(customers) % 20 == 0, 150.0, frame["age"].clip(18, 98))
    frame["plan"] = np.where(np.arange(customers) % 10 == 0, "platinum", "gold")
    frame.loc[np.arange(customers) % 7 == 0, "churn"] = "perhaps"
    return frame


@pytest.mark.parametrize("parts", [["--holders", "3"], ["--partition", "by:region"]])
def test_rows_left_out_unknown_and_clipped_are_told_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], parts: list[str]
) -> None:
    write(tmp_path, dirty(1400))
    result = result_of(tmp_path, *parts)
    assert (result["rows"], result["rows_used"]) == (1400, 1200)
    counts = {(note["column"], note["code"]): note["count"] for note in result["notes"]}
    assert counts["churn", "RF-T111"] == 200
    assert counts["plan", "RF-T053"] == 140
    assert counts["age", "RF-T055"] == 70
    out = capsys.readouterr().out
    assert "1400 rows (1200 used)" in out
    assert 'note: 200 of 1400 rows are left out because the label "churn"' in out


def test_a_report_is_written_for_any_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, dirty(1400))
    assert call(tmp_path, "--report", str(tmp_path / "report")) == 0
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "Of 1,400 rows 1,200 were learned from or tested." in page
    assert "140 of 1400 rows" in page
    assert "因没有同意而被排除的客户：无人" in (tmp_path / "report" / "report-zh.html").read_text(
        encoding="utf-8"
    )
    assert str(tmp_path / "report" / "report.html") in capsys.readouterr().out
    assert call(tmp_path, "--report", str(tmp_path / "report")) == 2
    assert capsys.readouterr().err.startswith("RF-U342")


def test_a_label_of_one_class_gives_no_area(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, frame_of(600).assign(churn="no"))
    result = result_of(tmp_path, "--report", str(tmp_path / "report"))
    assert [result[name] for name in ("auc", "pr_auc", "ks", "gini")] == [None] * 4
    assert 0.0 <= result["brier"] <= 1.0
    assert result["dp_evaluation"]["auc"] is None
    out = capsys.readouterr().out
    assert "AUC undefined: the " in out
    assert "released by the study: AUC undefined" in out
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "all test customers have one label" in page


def holders(folder: Path, names: tuple[str, ...] = ("bank", "shop", "club")) -> list[str]:
    """One folder a holder with a contract and a table of its own; the arguments of `run`."""
    write(folder)
    arguments = ["run", str(folder / "study.toml")]
    for position, name in enumerate(names):
        own = folder / f"own-{position}"
        own.mkdir()
        contract = (folder / "contract.toml").read_text(encoding="utf-8")
        contract = contract.replace('holder = "own"', f'holder = "{name}"').replace(
            'schema = "schema.toml"', 'schema = "../schema.toml"'
        )
        (own / "contract.toml").write_text(contract, encoding="utf-8")
        table(frame_of(400 + 100 * position, seed=position)).to_csv(own / "table.csv", index=False)
        arguments += ["--contract", str(own / "contract.toml")]
    return arguments


def test_several_contracts_are_several_holders_with_their_own_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "result.json"
    assert run(command, [*holders(tmp_path), "--json", str(target)], program="x") == 0
    result = json.loads(target.read_text())
    assert sorted(result["present"]) == ["bank", "club", "shop"]
    assert (result["rows"], result["rows_used"]) == (1500, 1500)
    assert result["partition"] == "none: each holder has a table of its own"
    assert all(note["holder"] in result["present"] for note in result["notes"])
    assert "shop: " in capsys.readouterr().out


def test_tables_go_with_contracts_in_their_order(tmp_path: Path) -> None:
    arguments = holders(tmp_path)
    files = []
    for position in range(3):
        moved = tmp_path / f"elsewhere-{position}.csv"
        (tmp_path / f"own-{position}" / "table.csv").rename(moved)
        files += ["--data", str(moved)]
    target = tmp_path / "result.json"
    assert run(command, [*arguments, *files, "--json", str(target)], program="x") == 0
    assert json.loads(target.read_text())["rows"] == 1500


@pytest.mark.parametrize(
    ("extra", "names", "code"),
    [
        (["--partition", "iid"], ("bank", "shop", "club"), "RF-U622"),
        (["--holders", "3"], ("bank", "shop", "club"), "RF-U622"),
        (["--data", "one.csv"], ("bank", "shop", "club"), "RF-U621"),
        ([], ("bank", "shop", "bank"), "RF-U623"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], names: tuple[str, ...], code: str
) -> None:
    assert run(command, [*holders(tmp_path, names), *extra], program="x") == 2
    assert capsys.readouterr().err.startswith(code)


def test_two_tables_for_one_contract_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path)
    assert call(tmp_path, "--data", "a.csv", "--data", "b.csv") == 2
    assert "1 contract(s) and 2 table(s)" in capsys.readouterr().err


def keyless(folder: Path, form: str) -> list[str]:
    """The table without its customer key; the option that names it."""
    write(folder)
    frame = table(frame_of(900)).drop(columns="key")
    if form == "parquet":
        frame.to_parquet(folder / "keyless.parquet")
    else:
        frame.to_csv(folder / "keyless.csv", index=False, header=form == "csv")
    if form == "headless":
        contract = (folder / "contract.toml").read_text(encoding="utf-8")
        names = json.dumps(list(frame.columns))
        (folder / "contract.toml").write_text(contract.replace("[source]", f"[source]\nheader = {names}"))
    return ["--data", str(folder / ("keyless.parquet" if form == "parquet" else "keyless.csv"))]


@pytest.mark.parametrize("form", ["csv", "parquet", "headless"])
def test_rows_are_customers_where_no_column_names_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    data = keyless(tmp_path, form)
    assert call(tmp_path, *data) == 1
    error = capsys.readouterr().err
    assert error.startswith("RF-T093")
    assert keyless_advice() in error
    result = result_of(tmp_path, *data, "--row-is-customer")
    assert (result["rows"], result["rows_used"]) == (900, 900)


def test_a_table_with_a_key_has_customers_already(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path)
    assert call(tmp_path, "--row-is-customer") == 2
    assert capsys.readouterr().err.startswith("RF-U624")
