"""The finished scorecard: bins, weights, points and probabilities, with nothing in it but released values.

Weights are integers in units of 2^-16 of log odds. Points follow the habit of credit scoring (Siddiqi 2006):
20 points double the odds of the positive label, 500 points are even odds, and a feature's lowest bin has 0
points. Where two features matter together a pair has points of its own, for each two groups of their bins;
its mean is zero. A customer's points are the sum of the printed ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import rfc8785

from ringfence.models.features import CellGrid, FeatureMatrix
from ringfence.models.scorecard.binning import Binning
from ringfence.models.scorecard.holder import PARAMETER_BITS, bins_of
from ringfence.models.scorecard.labels import AND, labels_of, reachable
from ringfence.models.scorecard.parts import (
    Bin,
    FeaturePart,
    PairPart,
    exact_points,
    plus_minus,
    read_pair,
    read_part,
)
from ringfence.models.task import StudyContext
from ringfence.privacy.agreements.study import positive_category
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.release.artefact import ColumnRule, ResultFile

EVEN_ODDS_POINTS = 500
FORMAT = "ringfence-scorecard-3"
CARD_FILE = "scorecard.json"
POINTS_FILE = "points.csv"
# Between the names of a pair.
TIMES = " × "


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """A logistic model that adds one bin a feature, and one cell for each pair that matters together.

    Attributes:
        study: digest of the signed study.
        schema: digest of the schema its features are written in.
        label: what is predicted; `positive` is the value whose probability is given.
        parts: one a feature, in the study's order.
        pairs: features that matter together, the likeliest first; often none.
    """

    study: str
    schema: str
    label: str
    positive: str
    parts: tuple[FeaturePart, ...]
    pairs: tuple[PairPart, ...] = ()

    @classmethod
    def of(
        cls,
        context: StudyContext,
        binning: Binning,
        weights: npt.NDArray[np.int64],
        *,
        deviation: npt.NDArray[np.float64] | None = None,
        groups: npt.NDArray[np.int64] | None = None,
        pairs: Mapping[tuple[int, int], npt.NDArray[np.int64]] | None = None,
    ) -> Scorecard:
        """Put bins and weights together.

        Args:
            context: the study.
            binning: bins of all features.
            weights: of the bins, units of 2^-16 of log odds.
            deviation: standard deviation of each weight, in log odds.
            groups: group of each bin among those of its feature; needed where there are pairs.
            pairs: weights of the groups of pairs, shape `(groups of the first, groups of the second)`.
        """
        pairs = pairs or {}
        paired = {feature for pair in pairs for feature in pair}
        spread = np.zeros(len(weights)) if deviation is None else deviation
        table = np.column_stack([binning.mass, weights, np.rint(spread * 2**PARAMETER_BITS)]).astype(
            np.float64
        )
        parts, cell = [], 0
        for index, grid in enumerate(context.grids):
            first, after = int(binning.offsets[index]), int(binning.offsets[index + 1])
            local = binning.table[cell : cell + grid.size] - first
            member = groups[first:after] if groups is not None and index in paired else None
            parts.append(_part(context, grid, local, table[first:after], member))
            cell += grid.size
        return cls(
            study=context.study.digest(),
            schema=context.schema.digest(),
            label=context.study.label or "",
            positive=positive_category(context.study, context.schema),
            parts=tuple(parts),
            pairs=tuple(
                PairPart(first=a, second=b, weights=tuple(tuple(int(w) for w in row) for row in table))
                for (a, b), table in pairs.items()
            ),
        )

    @property
    def terms(self) -> tuple[tuple[str, int], ...]:
        """What is added up, by name, with its mean weight over all: features, then pairs."""
        return (
            *((part.name, part.average) for part in self.parts),
            *((self.pair_name(pair), 0) for pair in self.pairs),
        )

    def pair_name(self, pair: PairPart) -> str:
        """A pair's name for people."""
        return self.parts[pair.first].name + TIMES + self.parts[pair.second].name

    def scores(self, context: StudyContext, features: FeatureMatrix) -> npt.NDArray[np.int64]:
        """Log odds of customers in units of 2^-16, shape `(n,)`."""
        return np.asarray(self.weights(context, features).sum(axis=1))

    def weights(self, context: StudyContext, features: FeatureMatrix) -> npt.NDArray[np.int64]:
        """What each term adds to a customer's log odds, in units of 2^-16, shape `(n, features + pairs)`."""
        bins = [b.weight for part in self.parts for b in part.bins]
        return self._looked_up(context, features, bins, [pair.weights for pair in self.pairs])

    def points(self, context: StudyContext, features: FeatureMatrix) -> npt.NDArray[np.int64]:
        """A customer's points as the printed card gives them, int64 `(n,)`: the base and one line a term."""
        bins = [points for part in self.parts for points in part.points]
        terms = self._looked_up(context, features, bins, [pair.points for pair in self.pairs])
        return np.asarray(self.base_points + terms.sum(axis=1))

    def _looked_up(
        self,
        context: StudyContext,
        features: FeatureMatrix,
        bins: Sequence[int],
        pairs: Sequence[tuple[tuple[int, ...], ...]],
    ) -> npt.NDArray[np.int64]:
        """Each customer's entry of each term's table, shape `(n, features + pairs)`.

        Args:
            context: the study.
            features: customers as cell codes.
            bins: an entry a bin, all features one after the other.
            pairs: an entry a cell of each pair.
        """
        offsets = np.cumsum([0, *(len(part.bins) for part in self.parts)])
        table = np.concatenate(
            [np.array(part.cells) + first for part, first in zip(self.parts, offsets, strict=False)]
        )
        hit = bins_of(context, features.codes, table)
        columns = [np.array(bins, dtype=np.int64)[hit]]
        for pair, entries in zip(self.pairs, pairs, strict=True):
            row, column = (
                np.array(self.parts[i].groups, dtype=np.int64)[hit[:, i] - offsets[i]]
                for i in (pair.first, pair.second)
            )
            columns.append(np.array(entries, dtype=np.int64)[row, column][:, None])
        return np.hstack(columns)

    def predict(self, context: StudyContext, features: FeatureMatrix) -> pd.DataFrame:
        """Points and probability of each customer, columns `points` and `probability`, in the rows' order.

        Points are the sum of the printed ones, so that the card and the score never differ; the probability
        comes from the weights, which are finer (`rounding` says by how much).
        """
        scores = self.scores(context, features) / 2**PARAMETER_BITS
        return pd.DataFrame(
            {"points": self.points(context, features), "probability": 1.0 / (1.0 + np.exp(-scores))}
        )

    def points_table(self) -> pd.DataFrame:
        """One row a bin: feature, bin, weight (log odds), points above the feature's lowest, and by how many
        points the noise and chance may have moved them (95 %, not told for pairs); then those of pairs.

        Noisy counts of customers stay out: small ones may not be shown to people, and a card does not need
        them.
        """
        rows = [
            {
                "feature": part.name,
                "bin": b.label,
                "weight": round(b.weight / 2**PARAMETER_BITS, 4),
                "points": points,
                "plus_minus": plus_minus(b.deviation),
            }
            for part in self.parts
            for b, points in zip(part.bins, part.points, strict=True)
        ]
        table = pd.DataFrame([*rows, *(row for pair in self.pairs for row in self._pair_rows(pair))])
        return table.astype({"plus_minus": "Int64"})

    def _pair_rows(self, pair: PairPart) -> Iterator[dict[str, Any]]:
        """A pair's lines of the points table."""
        labels = (self.parts[pair.first].group_labels, self.parts[pair.second].group_labels)
        for row, weights, points in zip(labels[0], pair.weights, pair.points, strict=True):
            for column, weight, told in zip(labels[1], weights, points, strict=True):
                yield {
                    "feature": self.pair_name(pair),
                    "bin": row + AND + column,
                    "weight": round(weight / 2**PARAMETER_BITS, 4),
                    "points": told,
                    "plus_minus": None,
                }

    @property
    def unresolved(self) -> tuple[str, ...]:
        """Features left with a single bin, because noise hid every difference; they say nothing."""
        return tuple(part.name for part in self.parts if len(part.bins) == 1)

    @property
    def base_points(self) -> int:
        """Points of a customer in the lowest bin of every feature and the lowest cell of every pair."""
        return round(EVEN_ODDS_POINTS + exact_points(self._lowest))

    @property
    def rounding(self) -> float:
        """By how many points a customer's sum of printed points may be off its log odds, at most."""
        base = self.base_points - EVEN_ODDS_POINTS - exact_points(self._lowest)
        terms = [
            *(
                [
                    p - exact_points(b.weight - each.lowest)
                    for p, b in zip(each.points, each.bins, strict=True)
                ]
                for each in self.parts
            ),
            *(
                [
                    p - exact_points(w - each.lowest)
                    for points, weights in zip(each.points, each.weights, strict=True)
                    for p, w in zip(points, weights, strict=True)
                ]
                for each in self.pairs
            ),
        ]
        high, low = (base + sum(best(errors) for errors in terms) for best in (max, min))
        return max(high, -low)

    @property
    def _lowest(self) -> int:
        return sum(each.lowest for each in self.parts) + sum(each.lowest for each in self.pairs)

    def to_dict(self) -> dict[str, Any]:
        """The card as strings, integers, lists and objects."""
        return {
            "format": FORMAT,
            "study": self.study,
            "schema": self.schema,
            "label": self.label,
            "positive": self.positive,
            "weight_unit": "2^-16 log odds",
            "base_points": self.base_points,
            "unresolved": list(self.unresolved),
            "features": [
                {
                    "name": part.name,
                    "cells": list(part.cells),
                    "average": part.average,
                    "bins": [
                        {"label": b.label, "weight": b.weight, "deviation": b.deviation} for b in part.bins
                    ],
                    "groups": list(part.groups),
                    "group_labels": list(part.group_labels),
                }
                for part in self.parts
            ],
            "pairs": [
                {"first": pair.first, "second": pair.second, "weights": [list(row) for row in pair.weights]}
                for pair in self.pairs
            ],
        }

    @classmethod
    def from_json(cls, text: str) -> Scorecard:
        """Read what `to_dict` gave, e.g. the `scorecard.json` of a release.

        Raises:
            StudyError: it is no scorecard, or one of another version.
        """
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise StudyError(
                    "RF-S059",
                    N_(
                        "The scorecard is of the form {found}; this version reads {expected}. Use the "
                        "version that wrote it."
                    ),
                    found=str(data["format"])[:60],
                    expected=FORMAT,
                )
            parts = tuple(read_part(each) for each in data["features"])
            card = cls(
                study=str(data["study"]),
                schema=str(data["schema"]),
                label=str(data["label"]),
                positive=str(data["positive"]),
                parts=parts,
                pairs=tuple(read_pair(each, parts) for each in data["pairs"]),
            )
            if len({(pair.first, pair.second) for pair in card.pairs}) < len(card.pairs):
                raise ValueError(card.pairs)
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
            raise StudyError(
                "RF-S058", N_("The file is no scorecard; it may be cut short or of another kind.")
            ) from None
        return card

    def files(self) -> tuple[ResultFile, ...]:
        """The card as people get it: for programs, and its points table."""
        points = self.points_table()
        card = json.dumps(self.to_dict(), indent=1, ensure_ascii=False)
        table = points.to_csv(index=False, lineterminator="\n")
        columns = tuple(ColumnRule(name=str(name), sensitivity="plain") for name in points.columns)
        return (
            ResultFile(name=CARD_FILE, kind="json", content=card.encode()),
            ResultFile(name=POINTS_FILE, kind="csv", content=table.encode(), columns=columns),
        )

    def digest(self) -> str:
        """`sha256:` and the SHA-256 of the card's canonical JSON (RFC 8785)."""
        return "sha256:" + hashlib.sha256(rfc8785.dumps(self.to_dict())).hexdigest()


def _part(
    context: StudyContext,
    grid: CellGrid,
    local: npt.NDArray[np.int64],
    table: npt.NDArray[np.float64],
    member: npt.NDArray[np.int64] | None,
) -> FeaturePart:
    """One feature's lines, without those that no value can be in.

    Args:
        context: the study.
        grid: the feature's cells.
        local: bin of each cell, counted from the feature's first.
        table: noisy customers, weight and its deviation in each bin.
        member: group of each bin, where the feature is in a pair.
    """
    if grid.ordered:
        local, kept = _without_empty(context, grid, local)
        table = table[kept]
        member = None if member is None else member[kept]
    texts = labels_of(context, grid.name, grid, local)
    filled = np.maximum(table[:, 0], 0.0)
    return FeaturePart(
        name=grid.name,
        cells=tuple(local.tolist()),
        bins=tuple(
            Bin(label=text, weight=int(weight), customers=round(customers), deviation=int(deviation))
            for text, (customers, weight, deviation) in zip(texts, table.tolist(), strict=True)
        ),
        average=round(float(filled @ table[:, 1]) / max(1.0, float(filled.sum()))),
        groups=() if member is None else tuple(member.tolist()),
        group_labels=() if member is None else tuple(labels_of(context, grid.name, grid, member[local])),
    )


def _without_empty(
    context: StudyContext, grid: CellGrid, local: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The bin of each cell, where cells that hold no day follow the day before; and which bins are left."""
    possible = np.concatenate(
        [reachable(context.schema.feature(grid.name)), np.ones(grid.size - grid.values, dtype=np.bool_)]
    )
    source = np.where(possible, np.arange(grid.size), -1)
    first = int(np.argmax(possible))
    local = local[np.maximum(np.maximum.accumulate(source), first)]
    kept, local = np.unique(local, return_inverse=True)
    return local.astype(np.int64), kept
