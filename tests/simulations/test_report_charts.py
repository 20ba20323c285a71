"""The charts of a report: the same every time, readable, and with colours that can be told apart."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
from kits.report_kit import facts

from ringfence.models.pages import charts, svg
from ringfence.models.pages.svg import accessible
from ringfence.models.pages.words import Words
from ringfence.privacy.command_line.terminal import Terminal
from ringfence.privacy.errors import UsageError
from ringfence.simulations.demo import run_demo
from ringfence.simulations.report.page import render


def test_a_bin_is_said_in_the_readers_language(monkeypatch: pytest.MonkeyPatch) -> None:
    spoken = Words.of("zh-CN")
    chinese = {"{0} to below {1}": "{0}至小于{1}", "(missing)": "（缺失）"}

    class Catalogue:
        def gettext(self, sentence: str) -> str:
            return chinese.get(sentence, sentence)

    spoken = replace(spoken, catalogue=Catalogue())  # type: ignore[arg-type]
    assert spoken.bin("40 to below 1090.5, (missing)") == "40至小于1090.5, （缺失）"
    assert spoken.bin("\N{MINUS SIGN}3 to below 0.5 & 7 to below 8") == "\N{MINUS SIGN}3至小于0.5 & 7至小于8"
    assert spoken.bin("time to go") == "time to go"


def test_charts_are_the_same_every_time() -> None:
    spoken = Words.of("en")
    first = [charts.roc_chart(facts().roc, 0.8, spoken), charts.budget_chart(facts().budgets, spoken)]
    assert first == [charts.roc_chart(facts().roc, 0.8, spoken), charts.budget_chart(facts().budgets, spoken)]


def test_the_strongest_features_come_first_and_keep_their_bins() -> None:
    assert charts.strongest(facts().points) == ["tier", "age"]
    assert charts.strongest(facts().points, most=1) == ["tier"]
    repeated = replace(facts(), points=facts().points.assign(bin="same"))
    (_, tier), _ = charts.points_charts(repeated.points, Words.of("en"))
    assert tier.count(">same<") == 2  # equal labels are two bars
    assert ">33<" in tier


def test_a_long_chinese_label_stays_inside_the_picture() -> None:
    points = facts().points.assign(bin="近一百八十天内的投诉次数很多很多很多很多")
    (_, picture), *_ = charts.points_charts(points, Words.of("zh-CN"))
    assert 'viewBox="0 0 440 ' in picture
    assert "…" in picture
    assert "Noto Sans CJK SC" in picture


def test_colours_keep_their_contrast_to_white() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(colour: str) -> float:
        return 1.05 / (luminance(colour) + 0.05)

    assert all(
        contrast(colour) >= 3.0 for colour in (charts.SPENT, charts.RESERVED, charts.LEFT, charts.MUTED)
    )
    assert contrast(charts.INK) >= 4.5
    assert contrast("#e69f00") < 3.0  # the measure tells a weak colour


def test_a_picture_is_cleaned_and_its_ids_are_its_own() -> None:
    raw = (
        '<svg xmlns="http://www.w3.org/2000/svg" class="marks" width="10" height="20" viewBox="0 0 10 20">'
        '<defs><clipPath id="clip0"><rect width="1" height="1"/></clipPath></defs><g role="graphics-object" '
        'aria-label="English"><g><path d=""/></g><rect clip-path="url(#clip0)" width="1" '
        'height="1"/></g></svg>'
    )
    done = accessible(raw, name="one", title="T & <b>", description="D")
    assert "aria-label=" not in done
    assert "<path" not in done
    assert 'id="one-0"' in done
    assert 'clip-path="url(#one-0)"' in done
    assert '<title id="one-title">T &amp; &lt;b&gt;</title>' in done


def test_every_colour_of_a_picture_has_another_on_a_dark_page() -> None:
    """White boxes and dark letters on a dark page came from colours without a rule."""
    style = (resources.files("ringfence.simulations.report") / "style.css").read_text(encoding="utf-8")
    dark = style[style.index("@media screen and (prefers-color-scheme: dark)") :]
    page = render(facts())
    used = set(re.findall(r'(?:fill|stroke)="(?:#[0-9a-f]{6}|white|black)"', page))
    assert used
    assert [each for each in sorted(used) if f".picture [{each}]" not in dark] == []
    assert "background: #ffffff; border-radius" not in style


def test_a_label_too_long_for_its_room_stands_on_two_lines() -> None:
    assert charts.label_lines("below 40, (missing)") == ["below 40, (missing)"]
    assert charts.label_lines("premium、（其他）、（缺失）、以及别的") == [
        "premium、（其他）、",
        "（缺失）、以及别的",
    ]
    points = facts().points.assign(bin="premium、（其他）、（缺失）、以及别的")
    (_, picture), *_ = charts.points_charts(points, Words.of("en"))
    assert "…" not in picture
    assert "（缺失）、以及别的" in picture


def test_ranges_of_points_are_drawn_where_they_are_known() -> None:
    (_, tier), _ = charts.points_charts(facts().points, Words.of("en"))
    assert tier.count(charts.RESERVED) == 1  # basic is known within 8 points, gold is not


@pytest.mark.parametrize("absent", ["altair", "vl_convert"])
def test_what_draws_is_asked_for_before_the_work(
    absent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = svg.find_spec
    monkeypatch.setattr(svg, "find_spec", lambda name: None if name == absent else found(name))
    with pytest.raises(UsageError, match=r"RF-U640.*ringfence\[simulate\]"):
        run_demo(tmp_path / "demo", seed=1, runner="local", terminal=Terminal())
    assert not (tmp_path / "demo").exists()
