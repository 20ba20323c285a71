"""The page of the privacy benchmarks: the same figures in page and Markdown, nothing that runs or loads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ringfence.simulations.benchmarks.page import METHODS, markdown, render
from ringfence.simulations.benchmarks.privacy import main


def mean(value: float) -> dict[str, Any]:
    return {
        "mean": value,
        "standard_error": 0.0011,
        "worst": value - 0.02,
        "against_central": {"mean": -0.0012, "standard_error": 0.0004},
    }


SCALE = {
    "holders": 3,
    "columns": 20,
    "fits": [
        {
            "rows": 30_000,
            "profile": "simulation",
            "seconds": 0.91,
            "processor_seconds": 0.88,
            "peak_rss_mb": 301.0,
            "stages": {"tables read": {"seconds": 0.5, "processor_seconds": 0.47}},
        },
        {
            "rows": 30_000,
            "profile": "durable",
            "seconds": 2.22,
            "processor_seconds": 1.1,
            "peak_rss_mb": 305.0,
            "stages": {
                "tables read": {"seconds": 0.6, "processor_seconds": 0.58},
                "farewell": {"seconds": 0.1, "processor_seconds": 0.06},
            },
        },
    ],
}


def report() -> dict[str, Any]:
    """Made-up figures in which every one is recognisable."""
    methods = {"central": mean(0.8123), "distributed-3": mean(0.8111), "dp-ebm": mean(0.8055)}
    rate = {"least": {"up_to_4096": 8.1e6, "above_4096": 3.3e6}, "ratio": {"gaussian": 77.0, "laplace": 55.0}}
    return {
        "machine": {"processors": 2, "architecture": "made-up", "python": "3.11.0"},
        "parts": {
            "noise": rate,
            "masks": {"masks_32": 0.87e9, "ratio": {"cipher": 0.88, "long": 21.5}},
            "secure_sum": {
                "words": 1_000_000,
                "holders": 10,
                "seconds": 0.41,
                "processor_seconds": {"all": 0.39},
            },
            "engines": {
                "steps": {
                    "mlp 256": {
                        "ours_ms": 1.25,
                        "opacus_ms": 9.5,
                        "ratio": 7.6,
                        "engine_ratio": 11.1,
                        "noise_share": 0.42,
                    }
                },
                "goals": {"mlp 256": 6.0},
            },
            "scale": SCALE,
            "scorecard": {
                "delta": 1e-6,
                "splits": 5,
                "draws": 1,
                "tables": {
                    "telco": {
                        "epsilon": {"0.5": methods, "1": methods},
                        "without_privacy": {"gradient boosting": mean(0.8444)},
                    }
                },
            },
        },
    }


SAID = (
    "0.8123 ± 0.0011",
    "0.8055",
    "0.7923",
    "-0.0012 ± 0.0004",
    "0.91",
    "2.22",
    "9.50",
    "7.6",
    "42%",
    "8.1",
    "0.87",
    "21.5",
    "0.41",
)


def test_page_and_markdown_say_the_same_figures() -> None:
    page, text = render(report()), markdown(report())
    for figure in SAID:
        assert figure in page
        assert figure in text
    assert page.count("<svg") == 2
    for forbidden in ("<script", "http:", "https:"):
        assert forbidden not in page.replace('xmlns="http://www.w3.org/2000/svg"', "")


def legend(page: str) -> set[str]:
    """Texts of the first plot that are names of methods, as they are drawn."""
    plot = page[page.index("<svg") : page.index("</svg>")]
    drawn = set(re.findall(r"<text[^>]*>([^<]*)</text>", plot))
    return {text for text in drawn if any(text.startswith(title[:8]) for title in METHODS.values())}


def test_the_legend_names_the_measured_methods_in_full() -> None:
    assert legend(render(report())) == {"scorecard, central", "scorecard, 3 holders", "DP-EBM"}
    whole = report()
    for found in whole["parts"]["scorecard"]["tables"]["telco"]["epsilon"].values():
        found |= dict.fromkeys(METHODS, mean(0.8))
    assert legend(render(whole)) == set(METHODS.values())
    assert max(map(len, METHODS.values())) > 30, "names so long were cut once"


def test_a_method_that_was_not_measured_has_no_row() -> None:
    assert "local noise" not in markdown(report())
    assert "local noise" not in render(report())


def test_earlier_figures_are_laid_out_again(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(json.dumps(report()))
    import sys

    argv, sys.argv = sys.argv, ["x", "--from", str(tmp_path / "old.json"), "--folder", str(tmp_path / "out")]
    try:
        assert main() == 0
    finally:
        sys.argv = argv
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "privacy.html",
        "privacy.json",
        "privacy.md",
    ]
    assert json.loads((tmp_path / "out" / "privacy.json").read_text()) == report()
