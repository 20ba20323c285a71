"""The page of a report: well-formed, passive, complete, escaped, and its figures are the facts'."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from itertools import pairwise
from typing import Literal
from xml.etree import ElementTree

import pandas as pd
import pytest

from ringfence.models.metrics.noisy import Estimate, NoisyFigures
from ringfence.privacy.release import Artefact, Cleared, ExportPolicy, decide
from ringfence.simulations.report import charts, words
from ringfence.simulations.report.facts import FeatureTitle, HolderBudget, RunFacts
from ringfence.simulations.report.markup import Column, Html, element, table
from ringfence.simulations.report.page import render
from ringfence.simulations.report.svg import accessible
from ringfence.simulations.report.traces import Party
from ringfence.simulations.report.words import Words

HOSTILE = '<script>alert("x")</script>'
VOID = {"meta", "br", "hr", "img", "col"}
NAMESPACES = {"http://www.w3.org/2000/svg"}


def budget(name: str) -> HolderBudget:
    return HolderBudget(
        holder=name, epsilon=3.0, delta="0.000001", released=0.4752, reserved=0.61, left=2.9439,
        share_released=0.25, share_reserved=0.125, share_left=0.625,
    )  # fmt: skip


def party(name: str, role: Literal["coordinator", "holder"] = "holder", present: bool = True) -> Party:
    return Party(
        name=name, role=role, present=present, vectors=7 if present else 0, words=4321, sums=6, peers=2
    )


def facts(
    *, names: tuple[str, ...] = ("bank", "retailer"), absent: tuple[str, ...] = ("partner",)
) -> RunFacts:
    """Made-up facts in which every figure is recognisable."""
    everybody = (*names, *absent)
    return RunFacts(
        study="city-churn", study_digest="sha256:" + "ab" * 32, run="0123456789abcdef", model="sha256:" + "cd" * 32,
        task="scorecard", purpose="churn-prediction", purpose_titles=("Churn prediction", "客户流失预测"),
        legal_basis="consent", dpia="DPIA-1", expires=date(2035, 12, 31), label="churn", positive="yes",
        features=(FeatureTitle(name="age", en="Age in years", zh="年龄"), FeatureTitle(name="tier", en="", zh="")),
        present=names, absent=absent, rows=26789, test_customers=4813,
        rounds=pd.DataFrame({"round": ["histogram", "two-way"], "entries": [286, 4559], "attempts": [1, 2]}),
        seconds=12.345, runner="in-process", profile="simulation", metrics_kind="exact (simulation only)",
        figures=NoisyFigures(
            measurable=True, auc=Estimate(value=0.8031, low=0.7612, high=0.8443),
            ks=Estimate(value=0.4611, low=0.4012, high=0.5213), gini=Estimate(value=0.6062, low=0.5224, high=0.6886),
            calibration_error=Estimate(value=0.0171, low=0.0042, high=0.0313), calibration=(), customers=4807,
            positives=1203, noise=5.25,
        ),
        unfinished="",
        metrics={"auc": 0.81234, "pr_auc": 0.61111, "ks": 0.47222, "gini": 0.62468, "brier": 0.13579},
        privacy={
            "unit": "customer", "neighbouring_relation": "add/remove", "accountant": "Gaussian differential privacy",
            "parts": "all customers", "sampling": "no sampling", "sampling_rate": "1", "sampled_steps": 0,
            "noise_form": "distributed", "uploads": "the coordinator sees the holders' sum alone", "honest_shares": 2, "overlap": 3, "colluders": 1, "max_attempts": 5,
            "delta": "0.000001", "customer_epsilon": "0.987655", "customer_epsilon_worst_case": "1.45072",
            "holder_epsilon": "0.475232", "holder_epsilon_worst_case": "0.687061", "holder_mu": "0.118352",
            "holder_mu_worst_case": "0.166956", "epsilon_slack": "2.2e-29", "sampler_total_variation": "3.1e-50",
            "not_covered": "what one customer spends in other studies at other holders",
        },
        epsilon_asked=1.0, epsilon_run=1.23401,
        points=pd.DataFrame(
            [("age", "18 to 40", 0.31, 12), ("age", "40 to 1,090.5, (missing)", -0.1, 0), ("tier", "basic", 0.9, 33),
             ("tier", "gold, (other)", -0.2, 0)],
            columns=["feature", "bin", "weight", "points"],
        ),
        base_points=379,
        calibration=pd.DataFrame({"predicted": [0.0512, 0.6134], "observed": [0.0423, 0.7056], "customers": [2407, 2406]}),
        roc=pd.DataFrame({"false_positive_rate": [0.0, 0.1987, 1.0], "true_positive_rate": [0.0, 0.6543, 1.0]}),
        budgets=tuple(budget(name) for name in everybody),
        parties=(party("coordinator", "coordinator"), *(party(n) for n in names),
                 *(party(n, present=False) for n in absent)),
        events=pd.DataFrame(
            [("coordinator", "round.opened", "allow", 2), (names[0], "waist.send", "allow", 7),
             (names[0], "study.refused", "deny", 1)],
            columns=["log", "action", "outcome", "count"],
        ),
        log_sizes={"coordinator": 2, **dict.fromkeys(everybody, 8)},
    )  # fmt: skip


@pytest.fixture(scope="module")
def english() -> str:
    return render(facts())


@pytest.fixture(scope="module")
def chinese() -> str:
    return render(facts(), "zh-CN")


class Reader(HTMLParser):
    """Collects elements and attributes, and fails on what is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style"} & set(self.open):
            self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_the_page_is_well_formed_and_passive(language: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue(language)
    reader = read(page)
    allowed = {"charset", "name", "content", "http-equiv"}
    for tag, attributes in reader.elements:
        assert tag not in {"script", "iframe", "object", "embed", "link", "base", "form", "foreignobject"}
        assert not any(name.startswith("on") or name in {"src", "srcset", "style"} for name in attributes)
        assert attributes.get("href", "#").startswith("#")
        assert tag != "meta" or set(attributes) <= allowed
    assert set(re.findall(r"(?i)https?://[^\"'<\s]+", page)) <= NAMESPACES
    assert "url(" not in page
    assert "@import" not in page
    policy = next(
        a["content"] for _, a in reader.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_the_export_gate_lets_the_page_out(language: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue(language)
    answer = decide(Artefact(name="report.html", kind="html", content=page.encode()), ExportPolicy())
    assert isinstance(answer, Cleared), answer
    planted = page.replace("DPIA-1", "13800138000 a@b.example.com")
    refused = decide(Artefact(name="report.html", kind="html", content=planted.encode()), ExportPolicy())
    assert not isinstance(refused, Cleared)


def test_the_page_can_be_walked_without_seeing_it(english: str) -> None:
    reader = read(english)
    by_tag = Counter(tag for tag, _ in reader.elements)
    ids = [a["id"] for _, a in reader.elements if "id" in a]
    assert len(set(ids)) == len(ids)
    assert reader.elements[0] == ("html", {"lang": "en"})
    assert by_tag["main"] == by_tag["h1"] == 1
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert by_tag["caption"] == by_tag["table"] > 5
    assert all(a.get("scope") in {"row", "col"} for tag, a in reader.elements if tag == "th")
    links = [a["href"][1:] for tag, a in reader.elements if tag == "a"]
    assert set(links) <= set(ids)
    assert links[0] == "content"
    named = [a[key] for _, a in reader.elements for key in ("aria-labelledby",) if key in a]
    assert set(" ".join(named).split()) <= set(ids)


def test_every_chart_has_a_title_a_description_and_a_table(english: str) -> None:
    pictures = re.findall(r"<svg.*?</svg>", english, re.DOTALL)
    assert len(pictures) == 5  # two features, budget, calibration, ROC
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        assert root.attrib["role"] == "img"
        told = {node.attrib["id"]: node.text for node in list(root)[:2]}
        assert list(told) == root.attrib["aria-labelledby"].split()
        assert all(told.values())
    for section in re.findall(r"<section.*?</section>", english, re.DOTALL):
        if "<svg" in section:
            assert "<details>" in section
            assert section.rindex("<table") > section.index("<svg")


def test_the_figures_on_the_page_are_the_facts(english: str) -> None:
    text = " ".join(read(english).text)
    for shown in ("0.812", "1.235", "10⁻⁶", "26,789", "4,813", "379", "12.3", "1.45072", "0.475232", "0.687061",
                  "0.118352", "0.166956", "2.2e-29", "3.1e-50", "0.476", "2.943", "25.0%", "12.5%", "62.5%", "4,559",
                  "19.9%", "65.4%", "61.3%", "70.6%", "0.472", "0.136", "k = 3", "4,321"):  # fmt: skip
        assert shown in text, shown
    assert text.count("exact (simulation only)") >= 3
    assert "ringfence-audit verify audit-bundle" in text


def test_every_number_of_the_price_is_on_the_page() -> None:
    """A row whose field is forgotten would leave a value out."""
    values = {key: f"value-of-{key}" for key in facts().privacy}
    marked = replace(facts(), privacy={**values, "delta": "0.000001", "overlap": 71, "honest_shares": 73})
    text = " ".join(read(render(marked)).text)
    missing = [
        key for key in values if key not in {"delta", "overlap", "honest_shares"} and values[key] not in text
    ]
    assert missing == []
    assert {"71", "73"} <= set(re.findall(r"\d+", text))


def test_prices_are_never_rounded_down_and_what_is_left_never_up() -> None:
    assert words.price(1.0000001) == "1.001"
    assert words.price(0.9999999999999999) == "1.000"
    assert words.rounded(2.9439, 3, "ROUND_FLOOR") == "2.943"
    assert words.price(float("inf")) == "∞"


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.000001", "10⁻⁶"), ("2.5E-7", "2.5·10⁻⁷"), ("0.0010", "0.001"), ("1E-12", "10⁻¹²"), ("0.05", "0.05")],
)
def test_a_small_probability_is_short(value: str, text: str) -> None:
    assert words.small(Decimal(value)) == text


def test_hostile_names_are_text() -> None:
    hostile = facts(names=(HOSTILE, '" onload="x'), absent=("</style><b>{0}",))
    points = hostile.points.assign(feature=HOSTILE, bin="'];alert(1)//</text>")
    page = render(
        replace(hostile, study=HOSTILE, dpia="{dpia}&lt;", positive="{", points=points, run=HOSTILE)
    )
    reader = read(page)
    assert "script" not in {tag for tag, _ in reader.elements}
    assert "<b>" not in page
    assert HOSTILE in "".join(reader.text)
    assert "{dpia}&lt;" in "".join(reader.text)
    assert not any(name.startswith("on") for _, attributes in reader.elements for name in attributes)


def test_only_html_is_markup() -> None:
    assert element("p", "<b>", Html("<i></i>"), class_='"&') == '<p class="&quot;&amp;">&lt;b&gt;<i></i></p>'
    assert element("meta", name="x") == '<meta name="x">'
    with pytest.raises(ValueError):
        table("t", [Column(title="one")], [("a", "b")])


def test_absent_holders_are_named_without_a_reason(english: str) -> None:
    assert "Absent: partner." in english
    assert "ringfence-client log" in english
    everybody = render(replace(facts(), absent=()))
    assert "Absent:" not in everybody
    assert "ringfence-client log" not in everybody


def test_the_chinese_page_says_so_and_uses_chinese_titles(chinese: str) -> None:
    assert '<html lang="zh-CN">' in chinese
    assert "客户流失预测" in chinese
    assert "年龄" in chinese
    assert "Age in years" not in chinese
    with pytest.raises(KeyError):
        render(facts(), "fr")  # type: ignore[arg-type]


def test_every_visible_sentence_passes_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a catalogue that turns every sentence into marked digits, no English word is left but names and codes."""

    def mark(self: Words, sentence: str, **values: object) -> str:
        fields = re.findall(r"\{\w+\}", sentence)
        return ("〔" + " ".join(fields) + "〕").format(**values)

    monkeypatch.setattr(Words, "__call__", mark)
    monkeypatch.setattr(Words, "event", lambda self, meaning: "〔〕")
    reader = read(render(facts(), "zh-CN"))
    left = set(re.findall(r"[A-Za-z]{3,}", " ".join(reader.text)))
    known = {"Ringfence", "ringfence", "audit", "verify", "bundle", "client", "log", "AUC", "Gini", "Brier", "DPIA",
             "sha", "abcdef", "churn", "age", "tier", "basic", "gold", "bank", "retailer", "partner", "histogram", "two",
             "way", "round", "opened", "waist", "send", "study", "refused", "city", "Gaussian", "differential",
             "privacy"}  # fmt: skip
    assert {word for word in left if not re.fullmatch("(ab)+|(cd)+", word)} <= known


def test_a_bin_is_said_in_the_readers_language(monkeypatch: pytest.MonkeyPatch) -> None:
    spoken = Words.of("zh-CN")
    chinese = {"{low} to {high}": "{low}至{high}", "(missing)": "（缺失）"}

    class Catalogue:
        def gettext(self, sentence: str) -> str:
            return chinese.get(sentence, sentence)

    spoken = replace(spoken, catalogue=Catalogue())  # type: ignore[arg-type]
    assert spoken.bin("40 to 1,090.5, (missing)") == "40至1,090.5, （缺失）"
    assert spoken.bin("-3 to 1e-05, 7 to 8") == "-3至1e-05, 7至8"
    assert spoken.bin("time to go") == "time to go"


def test_a_study_without_a_test_part_has_no_figures() -> None:
    empty = replace(
        facts(), test_customers=0, calibration=facts().calibration.iloc[:0], roc=facts().roc.iloc[:0]
    )
    page = render(empty)
    assert "no figures" in page
    assert "0.812" not in page


def test_many_holders_stay_readable() -> None:
    many = facts(names=tuple(f"holder-{n:03}" for n in range(60)))
    page = render(many)
    assert "and 48 more" in page
    assert "all holders" in page
    picture = charts.budget_chart(many, Words.of("en"))
    assert picture.count("holder-") == 2 * charts.MOST_HOLDERS  # description and labels


def test_charts_are_the_same_every_time() -> None:
    spoken = Words.of("en")
    first = [charts.roc_chart(facts(), spoken), charts.budget_chart(facts(), spoken)]
    assert first == [charts.roc_chart(facts(), spoken), charts.budget_chart(facts(), spoken)]


def test_the_strongest_features_come_first_and_keep_their_bins() -> None:
    assert charts.strongest(facts().points) == ["tier", "age"]
    assert charts.strongest(facts().points, most=1) == ["tier"]
    repeated = replace(facts(), points=facts().points.assign(bin="same"))
    (_, tier), _ = charts.points_charts(repeated, Words.of("en"))
    assert tier.count(">same<") == 2  # equal labels are two bars
    assert ">33<" in tier


def test_a_long_chinese_label_stays_inside_the_picture() -> None:
    points = facts().points.assign(bin="近一百八十天内的投诉次数很多很多很多很多")
    (_, picture), *_ = charts.points_charts(replace(facts(), points=points), Words.of("zh-CN"))
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
        'aria-label="English"><g><path d=""/></g><rect clip-path="url(#clip0)" width="1" height="1"/></g></svg>'
    )
    done = accessible(raw, name="one", title="T & <b>", description="D")
    assert "aria-label=" not in done
    assert "<path" not in done
    assert 'id="one-0"' in done
    assert 'clip-path="url(#one-0)"' in done
    assert '<title id="one-title">T &amp; &lt;b&gt;</title>' in done


def test_the_figures_the_study_released_stand_with_their_intervals() -> None:
    page = render(facts())
    assert "What the study released" in page
    for text in ("0.803", "0.761 – 0.844", "0.461", "0.401 – 0.521", "0.017"):
        assert text in page
    blind = render(replace(facts(), figures=None))
    assert "What the study released" not in blind
    assert "released no figure of quality" in blind


def test_a_study_that_ended_early_says_at_which_stage() -> None:
    assert "could not go on at the stage gradient-3" in render(replace(facts(), unfinished="gradient-3"))
    assert "could not go on" not in render(facts())
