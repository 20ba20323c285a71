"""The finished scorecard: bins, weights, points and probabilities, with nothing in it but released values.

Weights are integers in units of 2^-16 of log odds. Points follow the habit of credit scoring (Siddiqi 2006): 20
points double the odds of the positive label, 500 points are even odds, and a feature's lowest bin has 0 points.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import rfc8785

from ringfence.models.features import CellGrid, FeatureMatrix, cell_edges
from ringfence.models.scorecard.binning import Binning
from ringfence.models.scorecard.holder import PARAMETER_BITS, bins_of, coarse_codes
from ringfence.models.scorecard.plan import Design
from ringfence.models.task import HOLDER_FEATURE, StudyContext
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.schema import Feature

POINTS_TO_DOUBLE = 20
EVEN_ODDS_POINTS = 500
FACTOR = POINTS_TO_DOUBLE / math.log(2.0)
FORMAT = "ringfence-scorecard-1"


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
        cells: bin of each cell of the first histogram.
        bins: the lines of the points table.
        average: mean weight over all customers, as the noisy histogram knows it; reasons are told against it.
    """

    name: str
    cells: tuple[int, ...]
    bins: tuple[Bin, ...]
    average: int = 0

    @property
    def lowest(self) -> int:
        """The smallest weight."""
        return min(b.weight for b in self.bins)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """A logistic additive model with one bin a feature.

    Attributes:
        study: digest of the signed study.
        schema: digest of the schema its features are written in.
        label: what is predicted; `positive` is the value whose probability is given.
        parts: one a feature, in the study's order.
    """

    study: str
    schema: str
    label: str
    positive: str
    parts: tuple[Part, ...]

    @classmethod
    def of(
        cls, context: StudyContext, shape: Design, binning: Binning, weights: npt.NDArray[np.int64]
    ) -> Scorecard:
        """Put bins and weights together."""
        parts, cell = [], 0
        for index, (name, grid) in enumerate(zip(context.features, context.grids, strict=True)):
            size = (shape.options.cells if grid.ordered else grid.values) + grid.size - grid.values
            first, after = int(binning.offsets[index]), int(binning.offsets[index + 1])
            local = binning.table[cell : cell + size] - first
            labels = _labels(context, name, grid, local, shape.options.cells)
            bins = tuple(
                Bin(label=labels[b], weight=int(weights[first + b]), customers=round(binning.mass[first + b]))
                for b in range(after - first)
            )
            mass = np.maximum(binning.mass[first:after], 0.0)
            average = float(mass @ weights[first:after]) / max(1.0, float(mass.sum()))
            parts.append(Part(name=name, cells=tuple(int(b) for b in local), bins=bins, average=round(average)))
            cell += size
        from ringfence.privacy.study import positive_category

        return cls(
            study=context.study.digest(),
            schema=context.schema.digest(),
            label=context.study.label or "",
            positive=positive_category(context.study, context.schema),
            parts=tuple(parts),
        )

    def scores(self, context: StudyContext, features: FeatureMatrix) -> npt.NDArray[np.int64]:
        """Log odds of customers in units of 2^-16, shape `(n,)`."""
        return np.asarray(self.weights(context, features).sum(axis=1))

    def weights(self, context: StudyContext, features: FeatureMatrix) -> npt.NDArray[np.int64]:
        """What each feature adds to a customer's log odds, in units of 2^-16, shape `(n, D)`."""
        offsets = np.cumsum([0, *(len(part.bins) for part in self.parts)])
        table = np.concatenate(
            [np.array(part.cells) + first for part, first in zip(self.parts, offsets, strict=False)]
        )
        weights = np.array([b.weight for part in self.parts for b in part.bins], dtype=np.int64)
        return np.asarray(weights[bins_of(context, coarse_codes(context, features.codes), table)])

    def predict(self, context: StudyContext, features: FeatureMatrix) -> pd.DataFrame:
        """Points and probability of each customer, columns `points` and `probability`, in the rows' order."""
        scores = self.scores(context, features) / 2**PARAMETER_BITS
        points = np.rint(EVEN_ODDS_POINTS + FACTOR * scores).astype(np.int64)
        return pd.DataFrame({"points": points, "probability": 1.0 / (1.0 + np.exp(-scores))})

    def points_table(self) -> pd.DataFrame:
        """One row a bin: feature, bin, weight (log odds), points above the feature's lowest.

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
        return pd.DataFrame(rows)

    @property
    def unresolved(self) -> tuple[str, ...]:
        """Features left with a single bin, because noise hid every difference of customers; they say nothing."""
        return tuple(part.name for part in self.parts if len(part.bins) == 1)

    @property
    def base_points(self) -> int:
        """Points of a customer who is in the lowest bin of every feature."""
        lowest: float = sum(part.lowest for part in self.parts) / 2**PARAMETER_BITS
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
                }
                for part in self.parts
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
            card = cls(
                study=str(data["study"]),
                schema=str(data["schema"]),
                label=str(data["label"]),
                positive=str(data["positive"]),
                parts=tuple(_part(each) for each in data["features"]),
            )
        except (KeyError, TypeError, ValueError, RecursionError):
            raise StudyError("RF-S058", N_("The file is no scorecard; it may be cut short or of another kind.")) from None
        return card

    def digest(self) -> str:
        """`sha256:` and the SHA-256 of the card's canonical JSON (RFC 8785)."""
        return "sha256:" + hashlib.sha256(rfc8785.dumps(self.to_dict())).hexdigest()


def _part(data: dict[str, Any]) -> Part:
    """One feature of a card that was read; raises ValueError for cells that lead to no bin."""
    bins = tuple(Bin(label=str(b["label"]), weight=int(b["weight"]), customers=0) for b in data["bins"])
    cells = tuple(int(cell) for cell in data["cells"])
    if not bins or not cells or not all(0 <= cell < len(bins) for cell in cells):
        raise ValueError(data["name"])
    return Part(name=str(data["name"]), cells=cells, bins=bins, average=int(data["average"]))


def _labels(
    context: StudyContext, name: str, grid: CellGrid, local: npt.NDArray[np.int64], cells: int
) -> list[str]:
    """What falls into each bin, for people."""
    if name == HOLDER_FEATURE:
        holders = [each.name for each in context.study.holders]
        return [", ".join(np.array(holders)[local == b]) for b in range(int(local.max()) + 1)]
    feature = context.schema.feature(name)
    names: list[list[str]] = [[] for _ in range(int(local.max()) + 1)]
    ordinary = cells if grid.ordered else grid.values
    if grid.ordered:
        edges = cell_edges(feature)[:: (len(cell_edges(feature)) - 1) // cells]
        for b, texts in enumerate(names):
            inside = np.flatnonzero(local[:cells] == b)
            if inside.size:
                low, high = float(edges[inside[0]]), float(edges[inside[-1] + 1])
                texts.append(f"{_written(low, feature)} to {_written(high, feature)}")
    else:
        for position, category in enumerate(feature.categories or ()):
            names[local[position]].append(category)
    if not grid.ordered and grid.other is not None:
        names[local[grid.other]].append("(other)")
    if grid.missing is not None:
        names[local[ordinary + grid.missing - grid.values]].append("(missing)")
    return [", ".join(texts) for texts in names]


def _written(value: float, feature: Feature) -> str:
    """An edge as people read it: a date, or a number of few digits."""
    if feature.kind == "date":
        return date.fromordinal(int(value)).isoformat()
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.4g}"
