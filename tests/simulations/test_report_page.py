"""The page of a report: well-formed, passive, complete, escaped, and its figures are the facts'."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from kits.report_kit import NAMESPACES, facts, read

from ringfence.models.pages import charts, words
from ringfence.models.pages.markup import Html, TableColumn, element, table
from ringfence.models.pages.words import Words
from ringfence.privacy.release import Artefact, Cleared, ExportPolicy, examine
from ringfence.simulations.report.page import render

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def english() -> str:
    return render(facts())


@pytest.fixture(scope="module")
def chinese() -> str:
    return render(facts(), "zh-CN")


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
    answer = examine(Artefact(name="report.html", kind="html", content=page.encode()), ExportPolicy())
    assert isinstance(answer, Cleared), answer
    planted = page.replace("DPIA-1", "13800138000 a@b.example.com")
    refused = examine(Artefact(name="report.html", kind="html", content=planted.encode()), ExportPolicy())
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
    for shown in (
        "0.812",
        "1.235",
        "10⁻⁶",
        "26,789",
        "4,813",
        "379",
        "12.3",
        "1.45072",
        "0.475232",
        "0.687061",
        "0.118352",
        "0.166956",
        "2.2e-29",
        "3.1e-50",
        "0.476",
        "2.943",
        "25.0%",
        "12.5%",
        "62.5%",
        "4,559",
        "19.9%",
        "65.4%",
        "61.3%",
        "70.6%",
        "0.472",
        "0.136",
        "k = 3",
        "4,321",
    ):
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
    assert words.epsilon_text(1.0000001) == "1.001"
    assert words.epsilon_text(0.9999999999999999) == "1.000"
    assert words.rounded(2.9439, 3, "ROUND_FLOOR") == "2.943"
    assert words.epsilon_text(float("inf")) == "∞"


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
        table("t", [TableColumn(title="one")], [("a", "b")])


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
    """With a catalogue that turns every sentence into marked digits, no English word is left but names and
    codes.
    """

    def mark(self: Words, sentence: str, **values: object) -> str:
        fields = re.findall(r"\{\w+\}", sentence)
        return ("〔" + " ".join(fields) + "〕").format(**values)

    monkeypatch.setattr(Words, "__call__", mark)
    monkeypatch.setattr(Words, "event", lambda self, meaning: "〔〕")
    reader = read(render(facts(), "zh-CN"))
    left = set(re.findall(r"[A-Za-z]{3,}", " ".join(reader.text)))
    known = {
        "Ringfence",
        "ringfence",
        "audit",
        "verify",
        "bundle",
        "client",
        "log",
        "AUC",
        "Gini",
        "Brier",
        "DPIA",
        "sha",
        "abcdef",
        "churn",
        "age",
        "tier",
        "basic",
        "gold",
        "bank",
        "retailer",
        "partner",
        "histogram",
        "two",
        "way",
        "round",
        "opened",
        "waist",
        "send",
        "study",
        "refused",
        "city",
        "Gaussian",
        "differential",
        "privacy",
    }
    assert {word for word in left if not re.fullmatch("(ab)+|(cd)+", word)} <= known


def test_a_study_without_a_test_part_has_no_figures() -> None:
    empty = replace(
        facts(),
        test_customers=0,
        metrics=dict.fromkeys(facts().metrics),
        figures=None,
        calibration=facts().calibration.iloc[:0],
        roc=facts().roc.iloc[:0],
    )
    page = render(empty)
    assert "every figure is undefined" in page
    assert "0.812" not in page


def test_one_class_among_the_test_customers_leaves_figures_undefined() -> None:
    known = facts().figures
    assert known is not None
    nothing = dict.fromkeys(("auc", "ks", "gini", "calibration_error", "base_rate"))
    hidden = replace(known, measurable=False, calibration=(), cutoffs=(), **nothing)
    page = render(
        replace(
            facts(),
            metrics={**dict.fromkeys(facts().metrics), "brier": 0.1},
            figures=hidden,
            gains=facts().gains.iloc[:0],
            roc=facts().roc.iloc[:0],
        )
    )
    assert "The exact figures are undefined: all test customers have one label." in page
    assert "the noise hides one class of the test customers" in page
    assert "0.5000" not in page
    assert "ROC curve, exact" not in page


def test_many_holders_stay_readable() -> None:
    many = facts(names=tuple(f"holder-{n:03}" for n in range(60)))
    page = render(many)
    assert "and 48 more" in page
    assert "all holders" in page
    picture = charts.budget_chart(many.budgets, Words.of("en"))
    assert picture.count("holder-") == 2 * charts.MOST_HOLDERS  # description and labels


def test_the_figures_the_study_released_come_first_with_their_intervals() -> None:
    page = render(facts())
    cards = page[page.index('class="cards"') :]
    assert re.search(r"<dt>AUC</dt><dd>0\.803</dd>", cards)
    assert re.search(r"<small>0\.812 exact, in a simulation only</small>", cards)
    assert cards.index("0.803") < cards.index("0.761 – 0.844") < cards.index("0.812")
    for text in ("0.461", "0.401 – 0.521", "0.017", "25.0%", "23.1% – 27.2%"):
        assert text in page
    blind = render(replace(facts(), figures=None))
    assert "The study released no figure of quality" in blind
    assert re.search(r"<dt>AUC</dt><dd>undefined</dd>", blind)


def test_the_promise_carries_its_conditions_and_the_worst_case(english: str) -> None:
    promise = english[english.index('id="privacy"') : english.index('id="parties"')]
    assert "no more than a factor of 3.44, give or take a probability of 0.000001" in promise
    assert "at most k = 3 holders" in promise
    assert "h = 2 or more holders" in promise
    assert "In this run 1 attempt(s) were repeated" in promise
    assert "Had every round needed all 5 attempts that the study allows, the factor would be 4.27." in promise
    calm = render(replace(facts(), rounds=facts().rounds.assign(attempts=1)))
    assert "No attempt was repeated in this run." in calm


def test_the_page_names_its_day_its_version_and_who_approved(english: str) -> None:
    assert "Made on 2026-11-28 by Ringfence 0.1.0." in english
    assert "Approved by bank: Al (8888888888888888…), Bo (8888888888888888…); retailer: Al" in english


def test_a_charge_stands_with_more_digits_than_its_price(english: str) -> None:
    budgets = english[english.index('id="budget"') : english.index('id="points"')]
    assert ">0.475230<" in budgets
    assert ">0.014007<" in budgets
    assert "a charge of 0.4757 is told as 0.476" in budgets


def test_rows_left_out_are_told_and_small_counts_and_people_without_consent_in_words(english: str) -> None:
    rows = english[english.index('<section id="rows"') : english.index('<section id="rounds"')]
    assert "Of 26,789 rows 25,123 were learned from or tested." in rows
    assert "Left out for lack of consent: about one in ten of the customers" in rows
    assert "clipped to its bounds in 217 of 26789 rows" in rows
    assert "not a category of the schema in fewer than 10 of 26789 rows" in rows


def test_who_is_called_is_told_with_lift_and_intervals(english: str) -> None:
    called = english[english.index("Who is called") : english.index("Calibration</h3>")]
    for text in (
        "5%",
        "about 543 points",
        "75.7% (63.7% – 85.8%)",
        "3.40 (2.90 – 3.90)",
        "17.0% (14.4% – 19.6%)",
    ):
        assert text in called
    assert "76.5%, 3.08, 15.4%" in called


def test_a_network_has_a_page_without_points() -> None:
    page = render(replace(facts(), points=facts().points.iloc[:0], task="mlp"))
    assert "The study releases a network" in page
    assert "log odds 1.50" in page


def test_a_study_that_ended_early_says_at_which_stage() -> None:
    assert "could not go on at the stage gradient-3" in render(replace(facts(), unfinished="gradient-3"))
    assert "could not go on" not in render(facts())
