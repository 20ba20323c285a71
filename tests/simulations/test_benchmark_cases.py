"""The benchmark of whole cases: what it does not know it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringfence.simulations.benchmarks.cases import Figures, main
from ringfence.simulations.cases import EVENT_TABLES, TABLES


@pytest.mark.parametrize("cases", ["nothing", "Telco"])
def test_an_unknown_case_is_refused_by_name(
    cases: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmark-cases", "--cases", cases])
    monkeypatch.setenv("RINGFENCE_DATA", str(tmp_path))
    assert main() == 2
    told = capsys.readouterr().err
    assert "RF-U362" in told
    assert all(name in told for name in (*TABLES, *EVENT_TABLES))


def test_one_split_has_no_error_of_its_mean() -> None:
    figures = Figures(auc=[0.8], seconds=[1.0], durable=2.0, peak_rss_mb=100, start_rss_mb=90).as_json()
    assert figures["auc_standard_error"] == 0.0
    two = Figures(auc=[0.8, 0.9], seconds=[1.0, 1.0], durable=2.0, peak_rss_mb=100, start_rss_mb=90).as_json()
    assert two["auc_standard_error"] == pytest.approx(0.05)
