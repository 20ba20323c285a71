"""What may be asked, in which words, and what is said to those who ask otherwise."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from kits.small import FEATURES, schema_of, study_of
from kits.statistics_kit import asking

from ringfence.models.catalogue import TASKS
from ringfence.models.pricing import planned
from ringfence.models.releasing import require_releasable
from ringfence.models.statistics.plan import asked_questions, optimal_shares
from ringfence.models.statistics.questions import read_question
from ringfence.models.tables.release import cohort_of
from ringfence.models.task import StudyContext
from ringfence.privacy.errors import StudyError

STATISTICS = TASKS["statistics"]


def refused(*questions: str, **changes: Any) -> str:
    with pytest.raises(StudyError) as error:
        planned(STATISTICS, asking(*questions, **changes))
    return str(error.value)


def test_a_question_is_read_whatever_its_blanks() -> None:
    context = asking("quantiles of age", "histogram of plan")
    found = read_question("  quantiles   of age at 2.5 ,97.5", context)
    assert found.text == "quantiles of age at 2.5 ,97.5"
    assert found.percents == (Decimal("2.5"), Decimal("97.5"))
    assert read_question("histogram of plan", context).number == 16
    assert read_question("histogram of age in 4", context).number == 4


@pytest.mark.parametrize(
    "question",
    [
        "",
        "count of",
        "count by",
        "count by age,",
        "count by ,age",
        "count by age age",
        "how many by age",
        "mean by age",
        "mean of age of age",
        "sum of age at 5",
        "top of plan",
        "top 0 of plan",
        "top -1 of plan",
        "top ten of plan",
        "histogram of age in sixteen",
        "quantiles of age at",
        "quantiles of age at 1e3",
        "quantiles of age at 50 50",
        "distinct of age",
        "correlations",
    ],
)
def test_what_is_no_question_is_refused_with_examples(question: str) -> None:
    told = refused(question)
    assert told.startswith("RF-S513")
    assert "quantiles of NUMBER" in told


@pytest.mark.parametrize(
    ("question", "rule"),
    [
        ("count by weight", "does not list"),
        ("count by age, age", "twice"),
        ("count by age, spend, plan, active", "at most three"),
        ("mean of age, spend", "of one feature"),
        ("mean of plan", "a category or a flag"),
        ("correlations of age", "2 to 20"),
        ("correlations of age, plan", "a category or a flag"),
        ("top 3 of age", "of a category"),
        ("histogram of age in 10", "2, 4, 8"),
        ("quantiles of age at 0", "between 0 and 100"),
        ("quantiles of age at 50, 25", "rising"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_rule(question: str, rule: str) -> None:
    told = refused(question)
    assert told.startswith("RF-S514")
    assert rule in told


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"model": {"iterations": 4}}, "RF-S515"),
        ({"model": {"bins": 10}}, "RF-S516"),
        ({"model": {"bins": 256}, "questions": ("count by age, spend",)}, "RF-S517"),
        ({"features": ["plan", "age"]}, "RF-S518"),
        ({"release": {"plain": ["active"]}}, "RF-S520"),
        ({"model": {"shares": ["0.5", "0.5"]}}, "RF-S521"),
        ({"model": {"shares": ["0"]}}, "RF-S521"),
        ({"model": {"shares": ["much"]}}, "RF-S521"),
        ({"label": "churn"}, "RF-S510"),
        ({"evaluation": {"test_fraction": "0.2"}}, "RF-S323"),
    ],
)
def test_what_a_study_may_not_say(changes: dict[str, Any], code: str) -> None:
    questions = changes.pop("questions", ("count by plan",))
    assert refused(*questions, **changes).startswith(code)


def test_together_tables_have_a_limit() -> None:
    questions = ["count by age, spend"] * 40
    assert refused(*questions, model={"bins": 128}).startswith("RF-S522")


def test_a_study_that_learns_needs_its_label_as_before() -> None:
    with pytest.raises(StudyError, match="RF-S020"):
        planned(TASKS["scorecard"], asking("count by plan", task="scorecard"))


def test_stated_shares_are_kept_and_others_follow_from_the_size_of_errors() -> None:
    stated = asked_questions(asking("count by plan", "distinct", model={"shares": ["3", 1]}))
    assert [each.share for each in stated] == pytest.approx([0.75, 0.25])
    free = asked_questions(asking("count by plan", "distinct"))
    # Five cells against one: errors of an average cell are 5 to 1.
    assert free[0].share / free[1].share == pytest.approx(5 ** (2 / 3))


def test_the_split_is_the_best_there_is() -> None:
    errors = [1.0, 5.0, 40.0]
    best = optimal_shares(errors)

    def told(shares: list[float]) -> float:
        return sum(error / share**0.5 for error, share in zip(errors, shares, strict=True))

    assert sum(best) == pytest.approx(1.0)
    for move in (0.01, -0.01):
        for place in range(3):
            other = [share - move / 2 for share in best]
            other[place] = best[place] + move
            assert told(other) > told(list(best))


def small_schema(name: str = "mark", **feature: Any) -> StudyContext:
    """A study for counts by one category of its own."""
    features = [*FEATURES[:2], {"name": name, "kind": "category", **feature}, *FEATURES[3:]]
    schema = schema_of(features)
    study = study_of(
        schema,
        task="statistics",
        label=None,
        features=[name],
        model={"questions": [f"count by {name}"]},
        evaluation={"test_fraction": "0"},
    )
    return StudyContext.of(study, schema)


def test_a_table_that_could_never_be_released_is_refused_before_it_is_paid_for() -> None:
    planned(STATISTICS, small_schema(categories=["-1", "two"]))
    require_releasable(STATISTICS, small_schema(categories=["one", "two"]))
    with pytest.raises(StudyError, match="RF-S526"):
        require_releasable(STATISTICS, small_schema(categories=["one", "13800138000"]))
    for label in ("=SUM(A1)", "-two", "@x"):
        with pytest.raises(StudyError, match="RF-S525"):
            planned(STATISTICS, small_schema(categories=["one", label]))


def test_a_table_is_held_to_the_larger_threshold_unless_all_its_features_are_plain() -> None:
    terms = {"plain": ["plan", "active"], "min_cell": 15, "min_cell_quasi": 70}
    context = asking(
        "count", "count by plan, active", "mean of age by plan", "quantiles of age", release=terms
    )
    asked = [each.inquiry for each in asked_questions(context)]
    assert [each.threshold for each in asked] == [15, 15, 70, 70]
    assert [each.quasi for each in asked] == [(), (), ("age",), ("age",)]
    careful = asked_questions(asking("count by plan", release={"plain": None, "min_cell_quasi": None}))
    assert careful[0].inquiry.threshold == 50, "what is not said to be plain may be a quasi-identifier"


def test_a_cohort_is_who_is_asked_as_it_is_signed() -> None:
    context = asking("count by plan")
    same = [
        asking("histogram of plan"),
        asking("count by plan", privacy={"epsilon": "1"}),
        asking("count by plan, active"),
        asking("count by plan", id="another", model={"shares": ["1"]}),
    ]
    others = [
        asking("count by plan", holders=4),
        asking("count by plan", purpose="retention-analysis"),
        asking("count by plan", legal_basis="contract"),
        asking("count by plan", jurisdiction="CN"),
        small_schema(categories=["a", "b"]),
        small_schema(categories=["a", "b"], unknown="exclude"),
    ]
    assert {cohort_of(each) for each in same} == {cohort_of(context)}
    assert len({cohort_of(each) for each in (context, *others)}) == 7


@pytest.mark.parametrize("name", ["customers", "customers_low", "mean_high", "not_shown", "distinct"])
def test_a_group_column_is_not_called_like_figures(name: str) -> None:
    with pytest.raises(StudyError, match="RF-S519"):
        planned(STATISTICS, small_schema(name, categories=["a", "b"]))
    planned(STATISTICS, small_schema(name + "x", categories=["a", "b"]))


def test_the_two_sums_of_a_mean_and_of_a_sum_share_by_what_their_noise_does() -> None:
    asked = asked_questions(asking("mean of age", "sum of age", "sum of spend"))
    counts = [question.blocks[0].shape.share for question in asked]
    # Ages are 18 to 98, so 58 in the middle and 40 to either side; spends 1 to 10000, where both are alike.
    assert counts == pytest.approx([1 / (1 + 3**0.5), 58 / 98, 5000.5 / (5000.5 + 4999.5)])
    for question in asked:
        assert sum(each.shape.share for each in question.blocks) == pytest.approx(1)


def test_every_kind_of_answer_could_leave() -> None:
    questions = [
        "count",
        "count by plan, active",
        "histogram of age in 8",
        "mean of spend by plan",
        "sum of age",
    ]
    questions += ["quantiles of spend", "top 2 of plan", "distinct by active", "correlations of age, spend"]
    require_releasable(STATISTICS, asking(*questions))
    require_releasable(STATISTICS, asking(*questions, release={"plain": None, "min_cell_quasi": 500}))
