"""Every way in which a task can be summed: its own options that change what leaves, under every form of sum.

A `Way` is one task under one set of `[model]` options and one form of sum. They are made of the cases, which
are those of the catalogue, and of every choice that the terms of a study have, so that a new one is under
proof or the proof fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pandas as pd
from kits.neural_kit import schema_with_periods
from kits.parties import write_site
from kits.small import frame_of, schema_of, study_of
from prove.cases import Case, privacy
from pydantic import ValidationError

from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.terms import PrivacyTerms
from ringfence.simulations.federation import Federation
from ringfence.simulations.parties import Site

NAMES = ("bank", "partner", "retailer")
CUSTOMERS = 80
ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One task, one set of its options, one form of sum.

    Attributes:
        case: the task, and the study it is proved with.
        options: `[model]` of the study beside the case's own.
        terms: noise, drop-outs and uploads of the study.
    """

    case: Case
    options: Mapping[str, Any]
    terms: Mapping[str, str]

    @property
    def name(self) -> str:
        """For people."""
        told = [f"{key}={value}" for key, value in self.options.items()]
        return " ".join([self.case.name, *told, *self.terms.values()])

    def federation(self, folder: Path) -> Federation:
        """Holders with files, and the signed study."""
        schema = schema_with_periods() if self.case.periods else schema_of()
        sites = {name: _site(folder, name, seed, schema) for seed, name in enumerate(NAMES)}
        labelled = self.case.task.labelled
        study = study_of(
            schema,
            task=self.case.name,
            features=[each.name for each in schema.features if each.name != "churn"],
            model={**self.case.brief, **self.options},
            privacy=privacy(max_attempts=ATTEMPTS, **self.terms),
            evaluation={"test_fraction": "0.5" if labelled else "0"},
            **({} if labelled else {"label": None}),
        )
        unsigned = study.model_copy(update={"holders": ()})
        return Federation.make(unsigned, schema, sites, profile="simulation", folder=folder)


# When an answer leaves, which is nothing of what is in it.
_NOT_OF_A_SUM = {"pace"}


def forms_of_sum() -> tuple[Mapping[str, str], ...]:
    """Every choice of form that a study's terms may have: what `[privacy]` lets one choose of a few words."""
    choices = {
        name: get_args(field.annotation)
        for name, field in PrivacyTerms.model_fields.items()
        if name not in _NOT_OF_A_SUM
        and get_origin(field.annotation) is Literal
        and len(get_args(field.annotation)) > 1
    }
    return tuple(
        terms
        for words in product(*choices.values())
        if _lawful(terms := dict(zip(choices, words, strict=True)))
    )


def _lawful(terms: Mapping[str, str]) -> bool:
    try:
        PrivacyTerms.model_validate(privacy(min_holders=len(NAMES), **terms))
    except ValidationError:
        return False
    return True


def ways(case: Case) -> tuple[Way, ...]:
    """All of a task, the few that cover every form and every shape first."""
    every = [
        Way(case=case, options=options, terms=terms)
        for terms in forms_of_sum()
        for options in _lawful_shapes(case, terms)
    ]
    first = covering(case)
    return (*first, *(way for way in every if way not in first))


def covering(case: Case) -> tuple[Way, ...]:
    """One way for each form of sum, the task's shapes in turn."""
    return tuple(
        Way(case=case, options=shapes[number % len(shapes)], terms=terms)
        for number, terms in enumerate(forms_of_sum())
        for shapes in [_lawful_shapes(case, terms)]
    )


def _lawful_shapes(case: Case, terms: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """What is noised inside a holder needs the noise to be local."""
    return [each for each in case.shapes if terms["noise"] == "local" or not each.get("local_steps")]


def _site(folder: Path, name: str, seed: int, schema: Schema) -> Site:
    columns = [
        {"name": each.name, "sensitivity": "plain", "purposes": ["churn-prediction"]}
        for each in schema.features
    ]
    frame = frame_of(CUSTOMERS, seed)
    rng = np.random.default_rng(seed)
    for feature in schema.features:
        if feature.name not in frame:
            frame[feature.name] = rng.uniform(0, 10, CUSTOMERS)
    kept = frame[[each.name for each in schema.features]]
    return write_site(folder, name, pd.DataFrame(kept), schema.digest(), column=columns, min_cohort=1)
