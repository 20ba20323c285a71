"""Interactions: found where there are some, left alone where there are none, and the same wherever a card is
read.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from kits.small import context_of, schema_of, study_of

from ringfence.models.features import FeatureMatrix
from ringfence.models.metrics.exact import auc
from ringfence.models.scorecard import SCORECARD, Scorecard
from ringfence.models.scorecard.card import TIMES
from ringfence.models.scorecard.interactions import centred
from ringfence.models.scorecard.labels import AND
from ringfence.models.scorecard.reasons import reasons
from ringfence.models.scorecard.scoring import arrays, check_scorecard, scores
from ringfence.models.task import StudyContext
from ringfence.privacy.errors import StudyError, WaistError
from ringfence.privacy.waist import Query
from ringfence.simulations.reference import central, run_reference

NAMES = [f"f{i}" for i in range(6)]


def world(epsilon: str = "4", **model: object) -> StudyContext:
    features = [{"name": name, "kind": "number", "bounds": [0, 1], "missing": "refuse"} for name in NAMES]
    schema = schema_of([*features, {"name": "churn", "kind": "flag"}])
    study = study_of(
        schema, features=NAMES, privacy={"epsilon": epsilon}, model=model, evaluation={"test_fraction": "0"}
    )
    return central(StudyContext.of(study, schema))


def customers(context: StudyContext, interaction: float, count: int = 12_000, seed: int = 1) -> FeatureMatrix:
    """Churn rises with f2, and with f0 where f1 is large but falls with it where f1 is small."""
    rng = np.random.default_rng(seed)
    values = rng.random((count, len(NAMES)))
    odds = (
        2 * (values[:, 2] - 0.5) + interaction * np.sign(values[:, 1] - 0.5) * (values[:, 0] - 0.5) * 2 - 0.5
    )
    label = (rng.random(count) < 1 / (1 + np.exp(-odds))).astype(np.uint8)
    return FeatureMatrix(
        names=context.features,
        codes=(values * 256).astype(np.uint16),
        label=label,
        is_test=np.zeros(count, dtype=bool),
    )


def fit(context: StudyContext, rows: FeatureMatrix) -> Scorecard:
    card = run_reference(context, [rows], task=SCORECARD)
    assert isinstance(card, Scorecard)
    return card


CONTEXT = world()
ROWS, TEST = customers(CONTEXT, 1.5), customers(CONTEXT, 1.5, 6000, 2)
CARD = fit(CONTEXT, ROWS)


def test_an_interaction_is_found_and_ranks_customers_better() -> None:
    assert (CARD.pairs[0].first, CARD.pairs[0].second) == (0, 1)
    alone = replace(CARD, pairs=())
    gained = auc(CARD.scores(CONTEXT, TEST), TEST.label) - auc(alone.scores(CONTEXT, TEST), TEST.label)
    # Twelve draws of noise gave .108 to .111, with a standard deviation of .0006.
    assert gained > 0.09
    effect = np.array(CARD.pairs[0].weights)
    assert effect[0, 0] > 0 > effect[0, -1]
    assert effect[-1, 0] < 0 < effect[-1, -1]


def test_without_interactions_next_to_none_is_found() -> None:
    rows, test = customers(CONTEXT, 0.0), customers(CONTEXT, 0.0, 6000, 2)
    for _ in range(4):
        card = fit(CONTEXT, rows)
        found = card.weights(CONTEXT, test)[:, len(NAMES) :]
        # Standard deviation of the log odds that a pair adds: .75 for the real one above; here .07 at most in
        # 631 draws, of which a quarter had any pair. An effect of normal noise would reach .2 less than once
        # in 1e9 draws.
        assert not found.size or float(found.std(axis=0).max()) / 2**16 < 0.2


def test_where_noise_would_hide_pairs_one_more_gradient_is_asked_for() -> None:
    asked: list[Query] = []

    def listening(context: StudyContext, query: Query, rows: FeatureMatrix) -> object:
        asked.append(query)
        return SCORECARD.contribute(context, query, rows)

    task = replace(SCORECARD, contribute=listening)
    for epsilon, over_pairs in (("0.2", False), ("4", True)):
        asked.clear()
        run_reference(world(epsilon), [ROWS], task=task)
        assert ("groups" in asked[-1].arrays) is over_pairs
        assert "groups" in asked[1].arrays
        assert not any("groups" in query.arrays for query in asked[2:-1])


def test_a_direction_keeps_a_number_out_of_pairs() -> None:
    context = world(rising=["f0"])
    card = fit(context, ROWS)
    assert all(0 not in (pair.first, pair.second) for pair in card.pairs)
    assert CARD.pairs, "without a direction f0 is in one"


def test_a_pair_says_nothing_that_its_members_could_say() -> None:
    effect = centred(
        np.array([[3.0, 1.0], [2.0, -1.0], [0.5, 4.0]]), np.array([[1.0, 2.0], [3.0, 1.0], [1.0, 1.0]])
    )
    weights = np.array([[1.0, 2.0], [3.0, 1.0], [1.0, 1.0]])
    assert np.allclose((effect * weights).sum(axis=0), 0, atol=1e-6)
    assert np.allclose((effect * weights).sum(axis=1), 0, atol=1e-6)
    assert np.abs(effect).max() > 0.5
    added = np.add.outer([1.0, -2.0, 0.3], [0.7, -0.1])
    assert np.allclose(centred(added, weights), 0, atol=1e-6)


def test_holders_score_like_the_card() -> None:
    query = Query(task="scorecard", round=99, arrays=arrays(CARD))
    check_scorecard(CONTEXT, query)
    assert np.array_equal(scores(CONTEXT, query, TEST), CARD.scores(CONTEXT, TEST))
    assert np.array_equal(CARD.scores(CONTEXT, TEST), CARD.weights(CONTEXT, TEST).sum(axis=1))
    bare = replace(CARD, pairs=())
    plain = Query(task="scorecard", round=99, arrays=arrays(bare))
    check_scorecard(CONTEXT, plain)
    assert np.array_equal(scores(CONTEXT, plain, TEST), bare.scores(CONTEXT, TEST))


LAWFUL = arrays(CARD)
BAD = {
    "no weights": {name: array for name, array in LAWFUL.items() if name != "pair_theta"},
    "no groups": {name: array for name, array in LAWFUL.items() if name != "groups"},
    "a pair with itself": LAWFUL | {"pairs": np.zeros_like(LAWFUL["pairs"])},
    "a feature that is none": LAWFUL | {"pairs": LAWFUL["pairs"] + len(NAMES)},
    "too many pairs": LAWFUL | {"pairs": np.tile(LAWFUL["pairs"], (9, 1))},
    "short weights": LAWFUL | {"pair_theta": LAWFUL["pair_theta"][1:]},
    "weights beyond 32 bits": LAWFUL | {"pair_theta": LAWFUL["pair_theta"] + 2**40},
    "the least of all weights": LAWFUL | {"pair_theta": np.full_like(LAWFUL["pair_theta"], -(2**63))},
    "a group of another feature": LAWFUL | {"groups": LAWFUL["groups"][::-1].copy()},
    "a flat list of pairs": LAWFUL | {"pairs": LAWFUL["pairs"].ravel()},
    "an unknown array": LAWFUL | {"rows": LAWFUL["pairs"]},
}


@pytest.mark.parametrize("found", BAD.values(), ids=BAD.keys())
def test_pairs_out_of_shape_or_range_are_refused(found: dict[str, np.ndarray]) -> None:
    with pytest.raises(WaistError, match="RF-W050"):
        check_scorecard(CONTEXT, Query(task="scorecard", round=99, arrays=found))


def test_a_card_with_pairs_is_read_as_it_was_written() -> None:
    read = Scorecard.from_json(json.dumps(CARD.to_dict()))
    assert read.to_dict() == CARD.to_dict()
    assert np.array_equal(read.scores(CONTEXT, TEST), CARD.scores(CONTEXT, TEST))
    assert read.points_table().equals(CARD.points_table())


@pytest.mark.parametrize(
    "change",
    [
        {"first": 1, "second": 0},
        {"second": 99},
        {"weights": [[1]]},
        {"weights": []},
        {"first": 3, "second": 4},
        {"weights": [[2**70] * 4] * 4},
        {"weights": [[float("inf")] * 4] * 4},
    ],
)
def test_a_pair_that_is_not_of_the_cards_features_is_refused(change: dict[str, object]) -> None:
    alone = replace(CARD, pairs=CARD.pairs[:1])
    # Only features in a pair have groups.
    alone = replace(
        alone,
        parts=tuple(
            p if i < 2 else replace(p, groups=(), group_labels=()) for i, p in enumerate(alone.parts)
        ),
    )
    whole = json.loads(json.dumps(alone.to_dict()))
    Scorecard.from_json(json.dumps(whole))
    whole["pairs"][0] |= change
    with pytest.raises(StudyError) as caught:
        Scorecard.from_json(json.dumps(whole))
    assert caught.value.code == "RF-S058"


def test_a_card_with_one_pair_twice_or_members_without_groups_is_refused() -> None:
    twice = json.loads(json.dumps(CARD.to_dict()))
    twice["pairs"] = twice["pairs"][:1] * 2
    bare = json.loads(json.dumps(CARD.to_dict()))
    bare["features"][0]["groups"] = []
    for found in (twice, bare):
        with pytest.raises(StudyError) as caught:
            Scorecard.from_json(json.dumps(found))
        assert caught.value.code == "RF-S058"


def test_residuals_of_pairs_are_added_up_exactly_in_single_precision() -> None:
    from ringfence.models.scorecard.holder import CHUNK
    from ringfence.models.scorecard.pairs import pair_sums
    from ringfence.models.scorecard.plan import PAIR_RESIDUAL_BITS

    assert CHUNK << max(PAIR_RESIDUAL_BITS) <= 2**24
    residual = np.full(CHUNK, 1 << max(PAIR_RESIDUAL_BITS))
    residual[-1] -= 1
    groups = np.tile(np.array([[0, 1]]), (CHUNK, 1))
    assert pair_sums(groups, 2, residual)[0, 1] == int(residual.sum())


def test_people_read_pairs_like_features() -> None:
    table = CARD.points_table()
    pair = table[table["feature"] == "f0" + TIMES + "f1"]
    assert len(pair) == len(CARD.parts[0].group_labels) * len(CARD.parts[1].group_labels)
    assert pair["points"].min() == 0
    assert all(AND in label for label in pair["bin"])
    assert pair["bin"].is_unique
    lowest = CARD.base_points + table.groupby("feature")["points"].max().sum()
    assert CARD.predict(CONTEXT, TEST)["points"].max() <= lowest + len(CARD.terms)
    told = reasons(CARD, CONTEXT, TEST, most=1)
    assert (told["feature_1"] == "f0" + TIMES + "f1").mean() > 0.2


def test_points_of_pairs_add_up_too() -> None:
    table = CARD.points_table().set_index(["feature", "bin"])["points"]
    total = np.full(len(TEST.label), CARD.base_points)
    for index, part in enumerate(CARD.parts):
        bins = np.array(part.cells)[TEST.codes[:, index]]
        total += np.array([table[part.name, part.bins[b].label] for b in bins])
    for pair in CARD.pairs:
        sides = [
            np.array(CARD.parts[i].groups)[np.array(CARD.parts[i].cells)[TEST.codes[:, i]]]
            for i in (pair.first, pair.second)
        ]
        labels = [CARD.parts[i].group_labels for i in (pair.first, pair.second)]
        total += np.array(
            [
                table[CARD.pair_name(pair), labels[0][a] + AND + labels[1][b]]
                for a, b in zip(*sides, strict=True)
            ]
        )
    assert CARD.pairs
    assert (CARD.points(CONTEXT, TEST) == total).all()


def test_a_label_of_what_is_below_zero_is_no_formula_to_a_spreadsheet() -> None:
    features = [{"name": "bill", "kind": "number", "bounds": [-500, 500]}, {"name": "churn", "kind": "flag"}]
    schema = schema_of(features)
    study = study_of(schema, features=["bill"], privacy={"epsilon": "8"}, evaluation={"test_fraction": "0"})
    context = central(StudyContext.of(study, schema))
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 256, (3000, 1)).astype(np.uint16)
    rows = FeatureMatrix(
        names=context.features,
        codes=codes,
        label=(codes[:, 0] > 100).astype(np.uint8),
        is_test=np.zeros(3000, dtype=bool),
    )
    labels = fit(context, rows).points_table()["bin"]
    assert labels[0].startswith("below \N{MINUS SIGN}")
    assert labels[1].startswith("\N{MINUS SIGN}")
    assert not labels.str.match("[-=+@]").any()


def test_one_gradient_or_one_feature_leaves_no_room_for_pairs() -> None:
    assert fit(world(iterations=1), ROWS).pairs == ()
    alone = central(context_of(features=["age"], privacy={"epsilon": "8"}))
    from kits.small import frame_of, matrix_of

    assert fit(alone, matrix_of(alone, frame_of(3000))).pairs == ()
