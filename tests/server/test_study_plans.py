"""What a study's answers are expected to be worth, told before it is signed: from declarations alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from kits.command_kit import SCHEMA, Town, read, refused, server, town

from ringfence.privacy.agreements.study import load_study
from ringfence.simulations.cli import command as simulate

FILLED = {'legal_basis = "???"': 'legal_basis = "consent"', 'expires = "???"': "expires = 2099-12-31"}


@pytest.fixture
def here(tmp_path: Path) -> Town:
    made = town(tmp_path)
    (made.root / "schema.toml").write_text(SCHEMA, encoding="utf-8")
    return made


def declared(here: Town) -> list[object]:
    return [word for one in here.declarations for word in ("--declaration", one)]


def test_a_drafted_study_of_tables_is_planned_signed_and_planned_again(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    study, out, desk = here.root / "tables.toml", here.root / "out.json", ("--config", here.desk)
    schema = here.root / "schema.toml"
    assert (
        server("study", "draft", schema, *declared(here), "--task", "statistics", "--out", study, *desk) == 0
    )
    text = study.read_text(encoding="utf-8")
    for old, new in FILLED.items():
        assert old in text
        text = text.replace(old, new)
    study.write_text(text.replace('"???"', '"D-1"'), encoding="utf-8")
    written = load_study(study)
    assert (written.label, written.evaluation.test_fraction) == (None, 0)
    assert set(written.features or ()) == {"age", "plan", "churn"}

    assert server("study", "plan", study, *declared(here), "--json", out, *desk) == 0
    before = read(out)
    assert [each["question"] for each in before["expected"]["answers"]] == list(written.model["questions"])
    assert before["expected"]["customers_stated"] is False
    assert sum(each["share"] for each in before["expected"]["answers"]) == pytest.approx(1, abs=1e-4)
    told = capsys.readouterr().out
    assert "count by plan, churn: ±" in told
    assert "the most that contracts allow" in told

    signed = here.root / "tables.signed.json"
    assert server("study", "sign", study, *declared(here), *desk) == 0
    assert server("study", "plan", signed, "--json", out, *desk) == 0
    assert read(out) == before


def test_a_task_that_cannot_tell_says_so(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    signed = here.sign()
    capsys.readouterr()
    assert server("study", "plan", signed, "--config", here.desk) == 1
    refused(capsys, 1, "RF-S523", expected=1)


TABLES = """\
id = "t"
schema = "schema.toml"
purpose = "churn-prediction"
legal_basis = "consent"
task = "statistics"
features = ["age", "plan"]
expires = 2099-12-31
dpia = "D"
[privacy]
epsilon = 1
delta = 1e-6
noise = "distributed"
min_holders = 3
[model]
questions = ["mean of age by plan", "count by plan"]
[evaluation]
test_fraction = 0
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "schema.toml").write_text(SCHEMA, encoding="utf-8")
    (tmp_path / "study.toml").write_text(TABLES, encoding="utf-8")
    return tmp_path / "study.toml"


def half_widths(study: Path, *words: str) -> list[float]:
    out = study.parent / "out.json"
    assert simulate(["plan", str(study), *words, "--json", str(out)]) == 0
    return [each["half_width"] for each in read(out)["expected"]["answers"]]


def test_a_file_is_planned_for_so_many_customers_and_holders(study: Path) -> None:
    few, many = half_widths(study, "--customers", "1000"), half_widths(study, "--customers", "100000")
    assert few[0] / many[0] == pytest.approx(100, rel=0.01)  # a mean
    assert few[1] == pytest.approx(many[1], rel=0.01)  # a count
    twice = half_widths(study, "--customers", "1000", "--overlap", "2")
    assert twice[1] / few[1] == pytest.approx(2, rel=0.1)


def test_a_series_is_planned_with_the_price_of_all_its_runs(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = study.read_text(encoding="utf-8")
    study.write_text(text + '[series]\nruns = 12\nevery = "month"\nbegins = 2030-01-01\n', encoding="utf-8")
    out = study.parent / "out.json"
    assert simulate(["plan", str(study), "--customers", "1000", "--json", str(out)]) == 0
    price = read(out)["price"]
    assert (price["customer_epsilon"], price["series_runs"]) == ("1", 12)
    assert float(price["series_customer_epsilon"]) > 3
    assert (
        f"all 12 runs together cost epsilon {price['series_customer_epsilon']}, and "
        f"{price['series_customer_epsilon_worst_case']} when every attempt"
    ) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], "RF-U821"),
        (["--customers", "2"], "RF-U820"),
        (["--customers", "1000", "--holders", "2"], "RF-U820"),
        (["--customers", "1000", "--overlap", "0"], "RF-U820"),
    ],
)
def test_a_plan_needs_its_public_facts(study: Path, words: list[str], code: str) -> None:
    with pytest.raises(Exception, match=code):
        simulate(["plan", str(study), *words])


def test_what_is_expected_of_a_count_is_what_its_noise_is(study: Path) -> None:
    from ringfence.models.statistics.plan import asked_questions
    from ringfence.simulations.commands.planning import context_of_file

    context = context_of_file(study, holders=5, customers=50_000, overlap=1)
    block = asked_questions(context)[1].blocks[0]
    deviation = block.block.share_scale * 5**0.5 / 2**block.bits
    assert half_widths(study, "--customers", "50000", "--holders", "5")[1] == pytest.approx(
        1.96 * deviation, rel=0.01
    )
