"""Generated tables of many kinds, on which defaults are chosen so that no public table is looked at for it.

A population is drawn from a few hidden factors; numbers may be skewed or heavy-tailed and fill their public
bounds badly, categories may be many, features may say nothing, effects may bend and interact. The true chance
of every customer is known, so a model is judged by it and not by drawn labels. A seed fixes a population; it
is data generation, not privacy noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, ndtri

from ringfence.models.features import Codes, FeatureMatrix
from ringfence.privacy.agreements.schema import Schema

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a population is like.

    Attributes:
        customers: rows to learn from.
        numbers: features that are numbers.
        categories: the sizes categories are drawn from; `tables` features of them.
        tables: features that are categories.
        rate: share of positive labels.
        relevant: share of features that say anything.
        strength: standard deviation of the log odds.
        interactions: pairs of features with an effect of their own.
        tails: how far numbers may be from normal.
        factors: hidden factors behind the features.
        load: how strongly features follow them; with 1 each follows a single one, nearly like a copy.
    """

    customers: int
    numbers: int
    tables: int
    categories: tuple[int, ...]
    rate: float
    relevant: float = 0.7
    strength: float = 1.3
    interactions: int = 2
    tails: float = 0.5
    factors: int = 3
    load: float = 0.6


KINDS = {
    "flags": Kind(
        customers=5_600,
        numbers=3,
        tables=16,
        categories=(2, 2, 2, 2, 3, 4),
        rate=0.27,
        strength=1.6,
        tails=0.3,
        load=0.75,
    ),
    "amounts": Kind(
        customers=16_000,
        numbers=14,
        tables=9,
        categories=(2, 4, 3, 11, 11),
        rate=0.22,
        relevant=0.6,
        strength=1.1,
        interactions=4,
        tails=1.5,
        factors=4,
        load=0.9,
    ),
    "few": Kind(
        customers=2_000,
        numbers=6,
        tables=4,
        categories=(2, 3, 5),
        rate=0.45,
        interactions=1,
        factors=2,
        load=0.4,
    ),
    "rare": Kind(
        customers=30_000,
        numbers=14,
        tables=14,
        categories=(2, 3, 6),
        rate=0.05,
        relevant=0.3,
        strength=1.2,
        tails=1.0,
    ),
    "catalogue": Kind(
        customers=12_000,
        numbers=3,
        tables=12,
        categories=(3, 8, 12, 20),
        rate=0.12,
        strength=1.2,
        interactions=3,
        load=0.5,
    ),
    "curved": Kind(
        customers=20_000,
        numbers=10,
        tables=2,
        categories=(2, 4),
        rate=0.3,
        relevant=0.8,
        strength=1.5,
        interactions=4,
        tails=0.3,
        factors=2,
        load=0.5,
    ),
    "heavy": Kind(
        customers=8_000,
        numbers=20,
        tables=5,
        categories=(2, 3),
        rate=0.15,
        relevant=0.45,
        tails=2.0,
        factors=5,
        load=0.8,
    ),
    "copies": Kind(
        customers=5_600,
        numbers=4,
        tables=15,
        categories=(2, 2, 2, 3, 4),
        rate=0.27,
        relevant=0.8,
        strength=1.8,
        interactions=1,
        load=1.0,
    ),
    "blocks": Kind(
        customers=24_000,
        numbers=16,
        tables=8,
        categories=(2, 4, 9),
        rate=0.22,
        relevant=0.6,
        strength=1.2,
        tails=1.2,
        factors=4,
        load=1.0,
    ),
    "clear": Kind(
        customers=7_000,
        numbers=8,
        tables=4,
        categories=(2, 4),
        rate=0.3,
        relevant=0.9,
        strength=2.5,
        interactions=0,
        tails=0.6,
        factors=2,
        load=0.8,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A population.

    Attributes:
        schema: its public schema; the label is `outcome`.
        train: customers to learn from.
        test: customers to judge by.
        chance: true probability of each test customer.
    """

    schema: Schema
    train: FeatureMatrix
    test: FeatureMatrix
    chance: FloatArray


def draw_population(name: str, seed: int, *, test: int = 8_000) -> Drawn:
    """Draw a population of a kind."""
    kind = KINDS[name]
    rng = np.random.default_rng([list(KINDS).index(name), seed])
    hidden = _hidden(kind, kind.customers + test, rng)
    effects = np.zeros(len(hidden))
    codes: list[Codes] = []
    features: list[dict[str, Any]] = []
    relevant = np.where(rng.random(hidden.shape[1]) < kind.relevant, 1.0, 0.0)
    weight = rng.exponential(1.0, hidden.shape[1]) * rng.choice([-1.0, 1.0], hidden.shape[1])
    for column, values in enumerate(hidden.T):
        if column < kind.numbers:
            code, effect, feature = _number(kind, values, rng)
        else:
            code, effect, feature = _category(kind, values, rng)
        codes.append(code)
        features.append(feature | {"name": f"f{column:02d}"})
        effects += (
            relevant[column] * weight[column] * (effect - effect.mean()) / max(float(effect.std()), 1e-9)
        )
    chance = _chance(kind, effects, hidden, rng)
    label = (rng.random(len(chance)) < chance).astype(np.uint8)
    whole = FeatureMatrix(
        names=tuple(feature["name"] for feature in features),
        codes=np.column_stack(codes).astype(np.uint16),
        label=label,
        is_test=np.zeros(len(label), dtype=bool),
    )
    features.append({"name": "outcome", "kind": "flag"})
    schema = Schema.model_validate({"id": f"varied-{name}", "version": 1, "feature": features})
    rows = np.arange(len(label))
    return Drawn(
        schema=schema, train=whole.take(rows[test:]), test=whole.take(rows[:test]), chance=chance[:test]
    )


def expected_auc(scores: npt.NDArray[Any], chance: FloatArray) -> float:
    """AUC over all labels that the true chances may bring, each pair by its probability; ties count half."""
    order = np.argsort(scores, kind="stable")
    chances = chance[order]
    starts = np.unique(scores[order], return_index=True)[1]
    negative = np.add.reduceat(1 - chances, starts)
    positive = np.add.reduceat(chances, starts)
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))


def _hidden(kind: Kind, rows: int, rng: np.random.Generator) -> FloatArray:
    width = kind.numbers + kind.tables
    loads = rng.standard_normal((width, kind.factors)) * (rng.random((width, kind.factors)) < 0.6)
    length = np.linalg.norm(loads, axis=1, keepdims=True)
    loads = loads / np.where(length > 0, length, 1.0)
    common = kind.load * np.sqrt(rng.random(width)) * (length[:, 0] > 0)
    if kind.load == 1.0:
        loads = np.eye(kind.factors)[rng.integers(0, kind.factors, width)]
        common = np.sqrt(0.8 + 0.19 * rng.random(width))
    factors = rng.standard_normal((rows, kind.factors)) @ loads.T
    return np.asarray(factors * common + rng.standard_normal((rows, width)) * np.sqrt(1 - common**2))


def _number(
    kind: Kind, hidden: FloatArray, rng: np.random.Generator
) -> tuple[Codes, FloatArray, dict[str, Any]]:
    tail = kind.tails * rng.random()
    values = np.sinh(tail * hidden) / max(tail, 0.05) if rng.random() < 0.5 else np.exp(tail * hidden)
    low, high = np.quantile(values, [0.0005, 0.9995])
    low, high = low - rng.random() * 0.3 * (high - low), high + rng.random() * 0.6 * (high - low)
    codes = np.clip((values - low) / (high - low) * 256, 0, 255).astype(np.uint16)
    absent = rng.random(len(codes)) < (0.1 * rng.random() if rng.random() < 0.3 else 0.0)
    shapes: tuple[Any, ...] = (
        hidden,
        np.abs(hidden) + 0.3 * hidden,
        1.5 * (hidden > rng.normal()),
        np.tanh(2 * hidden),
        np.logaddexp(0, 2 * hidden),
    )
    effect: FloatArray = np.asarray(shapes[int(rng.integers(len(shapes)))], dtype=np.float64)
    return np.where(absent, 256, codes).astype(np.uint16), effect, {"kind": "number", "bounds": [0, 1]}


def _category(
    kind: Kind, hidden: FloatArray, rng: np.random.Generator
) -> tuple[Codes, FloatArray, dict[str, Any]]:
    size = int(rng.choice(kind.categories))
    shares = rng.dirichlet(np.full(size, 1.5 if size < 6 else 0.7))
    codes = np.searchsorted(ndtri(np.clip(np.cumsum(shares)[:-1], 1e-4, 1 - 1e-4)), hidden)
    effect = rng.standard_normal(size)[codes] + 0.5 * hidden
    feature = {"kind": "category", "categories": [f"c{i}" for i in range(size)], "missing": "refuse"}
    return codes.astype(np.uint16), effect, feature


def _chance(kind: Kind, effects: FloatArray, hidden: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Effects and interactions scaled to the kind's strength, shifted to its rate."""
    odds = effects / max(float(effects.std()), 1e-9)
    for _ in range(kind.interactions):
        first, second = rng.choice(hidden.shape[1], 2, replace=False)
        odds = odds + 0.25 * np.sign(hidden[:, first]) * hidden[:, second]
    odds = odds * (kind.strength / max(float(odds.std()), 1e-9))
    low, high = -12.0, 12.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(odds + middle).mean() < kind.rate else (low, middle)
    return np.asarray(expit(odds + (low + high) / 2))
