"""The finished scorecard: bins, weights, points and probabilities, with nothing in it but released values.

Weights are integers in units of 2^-16 of log odds. Points follow the habit of credit scoring (Siddiqi 2006): 20
points double the odds of the positive label, 500 points are even odds, and a feature's lowest bin has 0 points.
Where two features matter together a pair has points of its own, for each two groups of their bins; its mean is zero.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import rfc8785

from ringfence.models.features import CellGrid, FeatureMatrix, cell_edges
from ringfence.models.scorecard.binning import Binning
from ringfence.models.scorecard.holder import PARAMETER_BITS, PARAMETER_LIMIT, bins_of
from ringfence.models.task import HOLDER_FEATURE, StudyContext
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.schema import Feature

POINTS_TO_DOUBLE = 20
EVEN_ODDS_POINTS = 500
FACTOR = POINTS_TO_DOUBLE / math.log(2.0)
FORMAT = "ringfence-scorecard-2"
# Between the names of a pair, and between its groups.
TIMES, AND = " × ", " & "


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One line of the points table.

    Attributes:
        label: what falls into it, for people.
        weight: log odds in units of 2^-16.
        customers: noisy number of customers, rounded; may be negative, and is not part of what is released.
    """

    label: str
    weight: int
    customers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One feature's bins, and the cell table that leads to them.

    Attributes:
        name: the feature's.
        cells: bin of each cell of the schema.
        bins: the lines of the points table.
        average: mean weight over all customers, as the noisy histogram knows it; reasons are told against it.
        groups: group of each bin, where the feature is in a pair; else empty.
        group_labels: what falls into each group, for people.
    """

    name: str
    cells: tuple[int, ...]
    bins: tuple[Bin, ...]
    average: int = 0
    groups: tuple[int, ...] = ()
    group_labels: tuple[str, ...] = ()

    @property
    def lowest(self) -> int:
        """The smallest weight."""
        return min(b.weight for b in self.bins)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPart:
    """What two features say together beyond what each says alone.

    Attributes:
        first: position of the one feature.
        second: position of the other, larger.
        weights: log odds in units of 2^-16, a row for each group of the first, with an entry for each of the second.
    """

    first: int
    second: int
    weights: tuple[tuple[int, ...], ...]

    @property
    def lowest(self) -> int:
        """The smallest weight."""
        return min(weight for row in self.weights for weight in row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """A logistic model that adds one bin a feature, and one cell for each pair of features that matter together.

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
    parts: tuple[Part, ...]
    pairs: tuple[PairPart, ...] = ()

    @classmethod
    def of(
        cls,
        context: StudyContext,
        binning: Binning,
        weights: npt.NDArray[np.int64],
        *,
        groups: npt.NDArray[np.int64] | None = None,
        pairs: Mapping[tuple[int, int], npt.NDArray[np.int64]] | None = None,
    ) -> Scorecard:
        """Put bins and weights together.

        Args:
            context: the study.
            binning: bins of all features.
            weights: of the bins, units of 2^-16 of log odds.
            groups: group of each bin among those of its feature; needed where there are pairs.
            pairs: weights of the groups of pairs, shape `(groups of the first, groups of the second)`.
        """
        pairs = pairs or {}
        paired = {feature for pair in pairs for feature in pair}
        parts, cell = [], 0
        for index, (name, grid) in enumerate(zip(context.features, context.grids, strict=True)):
            first, after = int(binning.offsets[index]), int(binning.offsets[index + 1])
            local = binning.table[cell : cell + grid.size] - first
            labels = _labels(context, name, grid, local)
            member = groups[first:after] if groups is not None and index in paired else None
            bins = tuple(
                Bin(label=labels[b], weight=int(weights[first + b]), customers=round(binning.mass[first + b]))
                for b in range(after - first)
            )
            mass = np.maximum(binning.mass[first:after], 0.0)
            average = float(mass @ weights[first:after]) / max(1.0, float(mass.sum()))
            parts.append(
                Part(
                    name=name,
                    cells=tuple(int(b) for b in local),
                    bins=bins,
                    average=round(average),
                    groups=() if member is None else tuple(int(g) for g in member),
                    group_labels=() if member is None else tuple(_labels(context, name, grid, member[local])),
                )
            )
            cell += grid.size
        from ringfence.privacy.study import positive_category

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
        """What is added up, by name, with its mean weight over all customers: the features, then the pairs."""
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
        offsets = np.cumsum([0, *(len(part.bins) for part in self.parts)])
        table = np.concatenate(
            [np.array(part.cells) + first for part, first in zip(self.parts, offsets, strict=False)]
        )
        weights = np.array([b.weight for part in self.parts for b in part.bins], dtype=np.int64)
        bins = bins_of(context, features.codes, table)
        columns = [weights[bins]]
        for pair in self.pairs:
            row, column = (
                np.array(self.parts[i].groups, dtype=np.int64)[bins[:, i] - offsets[i]] for i in (pair.first, pair.second)
            )
            columns.append(np.array(pair.weights, dtype=np.int64)[row, column][:, None])
        return np.hstack(columns)

    def predict(self, context: StudyContext, features: FeatureMatrix) -> pd.DataFrame:
        """Points and probability of each customer, columns `points` and `probability`, in the rows' order."""
        scores = self.scores(context, features) / 2**PARAMETER_BITS
        points = np.rint(EVEN_ODDS_POINTS + FACTOR * scores).astype(np.int64)
        return pd.DataFrame({"points": points, "probability": 1.0 / (1.0 + np.exp(-scores))})

    def points_table(self) -> pd.DataFrame:
        """One row a bin: feature, bin, weight (log odds), points above the feature's lowest; then those of pairs.

        Noisy counts of customers stay out: small ones may not be shown to people, and a card does not need them.
        """
        rows = [
            {
                "feature": part.name,
                "bin": b.label,
                "weight": round(b.weight / 2**PARAMETER_BITS, 4),
                "points": round(FACTOR * (b.weight - part.lowest) / 2**PARAMETER_BITS),
            }
            for part in self.parts
            for b in part.bins
        ]
        return pd.DataFrame([*rows, *(row for pair in self.pairs for row in self._pair_rows(pair))])

    def _pair_rows(self, pair: PairPart) -> Iterator[dict[str, Any]]:
        """A pair's lines of the points table."""
        labels = (self.parts[pair.first].group_labels, self.parts[pair.second].group_labels)
        for row, weights in zip(labels[0], pair.weights, strict=True):
            for column, weight in zip(labels[1], weights, strict=True):
                yield {
                    "feature": self.pair_name(pair),
                    "bin": row + AND + column,
                    "weight": round(weight / 2**PARAMETER_BITS, 4),
                    "points": round(FACTOR * (weight - pair.lowest) / 2**PARAMETER_BITS),
                }

    @property
    def unresolved(self) -> tuple[str, ...]:
        """Features left with a single bin, because noise hid every difference of customers; they say nothing."""
        return tuple(part.name for part in self.parts if len(part.bins) == 1)

    @property
    def base_points(self) -> int:
        """Points of a customer who is in the lowest bin of every feature and the lowest cell of every pair."""
        parts, pairs = (sum(each.lowest for each in terms) for terms in (self.parts, self.pairs))
        lowest: float = (parts + pairs) / 2**PARAMETER_BITS
        return round(EVEN_ODDS_POINTS + FACTOR * lowest)

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
                    "bins": [{"label": b.label, "weight": b.weight} for b in part.bins],
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
                    N_("The scorecard is of the form {found}; this version reads {expected}. Use the version that wrote it."),
                    found=str(data["format"])[:60],
                    expected=FORMAT,
                )
            parts = tuple(_part(each) for each in data["features"])
            card = cls(
                study=str(data["study"]),
                schema=str(data["schema"]),
                label=str(data["label"]),
                positive=str(data["positive"]),
                parts=parts,
                pairs=tuple(_pair(each, parts) for each in data["pairs"]),
            )
            if len({(pair.first, pair.second) for pair in card.pairs}) < len(card.pairs):
                raise ValueError(card.pairs)
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
            raise StudyError("RF-S058", N_("The file is no scorecard; it may be cut short or of another kind.")) from None
        return card

    def digest(self) -> str:
        """`sha256:` and the SHA-256 of the card's canonical JSON (RFC 8785)."""
        return "sha256:" + hashlib.sha256(rfc8785.dumps(self.to_dict())).hexdigest()


def _part(data: dict[str, Any]) -> Part:
    """One feature of a card that was read; raises ValueError for cells that lead to no bin."""
    bins = tuple(Bin(label=str(b["label"]), weight=_weight(b["weight"]), customers=0) for b in data["bins"])
    cells = tuple(int(cell) for cell in data["cells"])
    groups = tuple(int(group) for group in data["groups"])
    labels = tuple(str(label) for label in data["group_labels"])
    whole = bool(bins and cells) and all(0 <= cell < len(bins) for cell in cells)
    if not whole or len(groups) not in (0, len(bins)) or not all(0 <= group < len(labels) for group in groups):
        raise ValueError(data["name"])
    return Part(
        name=str(data["name"]),
        cells=cells,
        bins=bins,
        average=int(data["average"]),
        groups=groups,
        group_labels=labels,
    )


def _weight(value: Any) -> int:
    """Log odds of a card that was read; raises ValueError for what does not fit 32 bits."""
    weight = int(value)
    if abs(weight) > PARAMETER_LIMIT:
        raise ValueError(weight)
    return weight


def _pair(data: dict[str, Any], parts: tuple[Part, ...]) -> PairPart:
    """One pair of a card that was read; raises ValueError for one that is not of its features."""
    first, second = int(data["first"]), int(data["second"])
    weights = tuple(tuple(_weight(weight) for weight in row) for row in data["weights"])
    if not 0 <= first < second < len(parts) or not (parts[first].groups and parts[second].groups):
        raise ValueError(first, second)
    rows, columns = (len(parts[each].group_labels) for each in (first, second))
    if not rows * columns or len(weights) != rows or any(len(row) != columns for row in weights):
        raise ValueError(weights)
    return PairPart(first=first, second=second, weights=weights)


def _labels(context: StudyContext, name: str, grid: CellGrid, local: npt.NDArray[np.int64]) -> list[str]:
    """What falls into each bin, or each group of bins, for people.

    Args:
        context: the study.
        name: of the feature.
        grid: its cells.
        local: bin of each cell.
    """
    if name == HOLDER_FEATURE:
        holders = [each.name for each in context.study.holders]
        return [", ".join(np.array(holders)[local == b]) for b in range(int(local.max()) + 1)]
    feature = context.schema.feature(name)
    names: list[list[str]] = [[] for _ in range(int(local.max()) + 1)]
    if grid.ordered:
        edges = cell_edges(feature)
        for b, texts in enumerate(names):
            inside = np.flatnonzero(local[: grid.values] == b)
            if inside.size:
                low, high = float(edges[inside[0]]), float(edges[inside[-1] + 1])
                texts.append(f"{_written(low, feature)} to {_written(high, feature)}")
    else:
        for position, category in enumerate(feature.categories or ()):
            names[local[position]].append(category)
    if not grid.ordered and grid.other is not None:
        names[local[grid.other]].append("(other)")
    if grid.missing is not None:
        names[local[grid.missing]].append("(missing)")
    return [", ".join(texts) for texts in names]


def _written(value: float, feature: Feature) -> str:
    """An edge as people read it: a date, or a number of few digits."""
    if feature.kind == "date":
        return date.fromordinal(int(value)).isoformat()
    text = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.4g}"
    # A cell that begins with a hyphen is a formula to a spreadsheet.
    return "\N{MINUS SIGN}" + text[1:] if text.startswith("-") else text
