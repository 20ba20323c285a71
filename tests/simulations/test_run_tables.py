"""`ringfence-simulate run` of a study of tables: its summary, its files, its report; and careless studies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kits.run_kit import call, write

STUDY = """
id = "own-tables"
schema = "schema.toml"
purpose = "churn-prediction"
legal_basis = "consent"
task = "statistics"
features = ["age", "plan"]
expires = 2035-12-31
dpia = "test"
[privacy]
epsilon = "4"
delta = "1e-6"
noise = "distributed"
min_holders = 3
[model]
questions = ["count by plan", "quantiles of age"]
[evaluation]
test_fraction = 0
"""


@pytest.fixture
def case(tmp_path: Path) -> Path:
    write(tmp_path)
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def test_tables_are_told_written_and_reported(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, report = case / "tables", case / "report"
    assert call(case, "--model", str(out), "--report", str(report), "--json", str(case / "r.json")) == 0
    told = capsys.readouterr().out
    assert "Tables released: 2" in told
    assert "AUC" not in told
    result = json.loads((case / "r.json").read_text(encoding="utf-8"))
    assert [each["question"] for each in result["tables"]] == ["count by plan", "quantiles of age"]
    assert (result["auc"], result["dp_evaluation"], result["test_customers"]) == (None, None, 0)
    page = (report / "report.html").read_text(encoding="utf-8")
    assert "counted their customers together" in page
    assert "quantiles of age" in page
    assert "scorecard" not in page
    assert "AUC" not in page
    assert (report / "report-zh.html").exists()
    assert (out / "tables-zh.html").read_text(encoding="utf-8").count("<svg") == 2


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('task = "statistics"', 'task = "statistics"\nlabel = "churn"', "RF-S510"),
        ("test_fraction = 0", 'test_fraction = "0.2"', "RF-S323"),
        ("[evaluation]\ntest_fraction = 0", "", "RF-S323"),
        ('["count by plan", "quantiles of age"]', '["count by plans"]', "RF-S514"),
        ('["count by plan", "quantiles of age"]', '["count by plan"]', "RF-S518"),
        ('["count by plan", "quantiles of age"]', '"count by plan"', "RF-S515"),
        ('features = ["age", "plan"]\n', "", "RF-S518"),
        ('task = "statistics"', 'task = "scorecard"', "RF-S020"),
    ],
)
def test_a_careless_study_ends_in_one_sentence(
    case: Path, old: str, new: str, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = STUDY.replace(old, new)
    assert text != STUDY
    (case / "study.toml").write_text(text, encoding="utf-8")
    assert call(case) == 1
    error = capsys.readouterr().err
    assert error.startswith(code + ": ")
    assert "Traceback" not in error
