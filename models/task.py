"""What a task is: pure functions over values, two for the work and three that make it checkable.

At the holder `(query, features) -> Contribution`; at the coordinator `(state, aggregate) -> (state, next
query or result)`. State goes in and comes out. The plan is a function of the signed study alone and every
holder computes it with its own installed code; `lengths` judges a query's shape and range before any row is
read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from ringfence.models.features import CellGrid, FeatureMatrix, grid_of
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import Study, positive_category
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.release.artefact import ResultFile
from ringfence.privacy.waist import Aggregate, Contribution, IntVector, Query, StudyPlan


class Released(Protocol):
    """What a task ends with: something that knows its own digest and what people get of it."""

    def digest(self) -> str:
        """`sha256:<hex>` over its canonical form."""
        ...

    def files(self) -> tuple[ResultFile, ...]:
        """The files it is given out as; each has to pass the export gate (`models.releasing`)."""
        ...


class Outlook(Protocol):
    """What is expected of a study's answers before it runs, for people and programs."""

    def told(self) -> Iterator[str]:
        """Lines for people."""
        ...

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        ...


IntArray: TypeAlias = npt.NDArray[np.int64]
# No feature of a schema can have this name.
HOLDER_FEATURE = "(holder)"
State = TypeVar("State")
Result = TypeVar("Result", bound=Released)
Own = TypeVar("Own")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyContext:
    """A study, the schema it is written in, and what follows from the two alone.

    Attributes:
        study: the signed study.
        schema: the schema whose digest the study names.
        features: names of the D features, in order; last the holder itself where the study has offsets. None
            in a study of inputs alone.
        grids: their public cells.
    """

    study: Study
    schema: Schema
    features: tuple[str, ...]
    grids: tuple[CellGrid, ...]

    @classmethod
    def of(cls, study: Study, schema: Schema) -> StudyContext:
        """Derive the cells of the study's features.

        Raises:
            StudyError: RF-S053 the study names neither inputs nor features (the coordinator writes them in
                when it signs), or RF-S020 its label has no positive category; said here, so before it is
                signed, admitted or charged.
        """
        if not study.features and not study.inputs:
            raise StudyError(
                "RF-S053",
                N_("The study {study} names no features, so its price cannot be computed; sign it again."),
                study=study.id,
            )
        if study.label is not None:
            positive_category(study, schema)
        grids = [grid_of(schema.feature(name)) for name in study.features or ()]
        if holder_offsets(study):
            grids.append(holder_grid(study))
        return cls(
            study=study, schema=schema, features=tuple(grid.name for grid in grids), grids=tuple(grids)
        )


def holder_offsets(study: Study) -> bool:
    """Whether every holder gets an offset of its own: its customers' base rate may differ from the others'.

    `offsets = "holder"` in `[model]`. The holder then is one more category of every customer, with one cell a
    holder, so its customers count and cost like those of any other category.

    Raises:
        StudyError: offsets of another kind.
    """
    found = study.model.get("offsets", "none")
    if found not in ("none", "holder"):
        raise StudyError(
            "RF-S055", N_('[model] offsets is {found}; expected "none" or "holder".'), found=str(found)[:60]
        )
    return found == "holder"


def holder_grid(study: Study) -> CellGrid:
    """One cell for each holder of the study, in the study's order."""
    return CellGrid(
        name=HOLDER_FEATURE, ordered=False, values=max(1, len(study.holders)), other=None, missing=None
    )


def with_offset(study: Study, holder: str, features: FeatureMatrix) -> FeatureMatrix:
    """A holder's customers with the holder as their last feature, where the study has offsets."""
    if not holder_offsets(study):
        return features
    place = [each.name for each in study.holders].index(holder)
    column = np.full((len(features.label), 1), place, dtype=np.uint16)
    return replace(
        features,
        names=(*features.names, HOLDER_FEATURE),
        codes=np.concatenate([features.codes, column], axis=1),
    )


class NoisySteps(Protocol):
    """Steps inside a holder, noised before the task sees their sums; lent for one attempt."""

    def step(self, add_up: Callable[[FeatureMatrix], Mapping[str, IntVector]]) -> Mapping[str, IntVector]:
        """Draw a sample, add it up, add this holder's noise.

        Args:
            add_up: the exact integer blocks of the round's plan for the sampled customers, maybe none.

        Returns:
            The same blocks with noise: what may be used freely from here on.

        Raises:
            WaistError: more steps than the plan has, or blocks that are not the plan's.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring(Generic[Result]):
    """How customers are scored with a finished model, inside their holder.

    Attributes:
        arrays: the model as arrays of a query.
        check: refuses arrays that are no model of the study; raises WaistError.
        scores: log odds of customers in units of 2^-16, shape `(n,)`, int64.
    """

    arrays: Callable[[Result], Mapping[str, IntArray]]
    check: Callable[[StudyContext, Query], None]
    scores: Callable[[StudyContext, Query, FeatureMatrix], IntVector]


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal(Generic[Own]):
    """How a task keeps something of its own at each holder from round to round; it never leaves the holder.

    It follows from the holder's noisy sums and public queries alone, so it costs nothing beside the uploads.

    Attributes:
        wanted: whether the study asks for it.
        train: in place of `train_locally`, from what was kept before the round (None: nothing yet, or lost);
            the upload, and what is kept now.
        file: what is left at the holder of that name when the study is over, as a safetensors file.
    """

    wanted: Callable[[StudyContext], bool]
    train: Callable[[StudyContext, Query, NoisySteps, Own | None], tuple[Contribution, Own]]
    file: Callable[[StudyContext, Own, str], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTemplate:
    """A first study of a task.

    Attributes:
        features: which of those that may be used it asks for.
        settings: lines of the study's text, from `[model]` on.
    """

    features: tuple[str, ...]
    settings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Generic[State, Result]):
    """A method of learning or counting over the waist.

    Attributes:
        name: what a study's `task` field says.
        plan: everything the study will ask, and its price.
        lengths: entries of each block for a query; raises WaistError for a query out of shape or range.
        contribute: the holder's exact integer vector for a query that `lengths` has accepted.
        start: the coordinator's first state and query.
        step: the next state, and the next query or the result.
        train_locally: the upload of a round with local steps, from noisy sums alone; None where a task has
            none.
        personal: how each holder keeps a model of its own, in studies that ask for it; None where a task has
            none.
        scoring: how its model scores customers; None for a task without a model.
        so_far: the model that the released sums make by now, or None while there is none; for a study that
            stops before its end.
        labelled: whether its studies have a label; one without makes tables of everybody and has no test
            part.
        reads_inputs: whether it looks at items, paths and notes; a study of any other task may name none.
        measured: names of the numbers of a study whose values it adds up, beside their cells.
        template: features and `[model]` lines of a first study, from the schema and the features that may be
            used; None where all of them are features and the defaults are a beginning.
        outlook: what errors its answers are expected to have, from public facts alone; None where a task
            cannot say before it has run.
    """

    name: str
    plan: Callable[[StudyContext], StudyPlan]
    lengths: Callable[[StudyContext, Query], Mapping[str, int]]
    contribute: Callable[[StudyContext, Query, FeatureMatrix], Contribution]
    start: Callable[[StudyContext], tuple[State, Query]]
    step: Callable[[StudyContext, State, Aggregate], tuple[State, Query | Result]]
    train_locally: Callable[[StudyContext, Query, NoisySteps], Contribution] | None = None
    personal: Personal[Any] | None = None
    scoring: Scoring[Result] | None = None
    so_far: Callable[[StudyContext, State], Result | None] | None = None
    labelled: bool = True
    reads_inputs: bool = False
    measured: Callable[[StudyContext], tuple[str, ...]] = lambda _context: ()
    template: Callable[[Schema, Sequence[str]], TaskTemplate] | None = None
    outlook: Callable[[StudyContext], Outlook] | None = None


def require_fitting(task: Task[Any, Any], context: StudyContext) -> None:
    """Refuse a study whose label or inputs are not what its task takes.

    Raises:
        StudyError: RF-S020 no label with a positive category, RF-S510 a label that nothing would look at,
            RF-S570 inputs that nothing would look at, RF-S571 a label and no features to predict it by.
    """
    study = context.study
    if study.inputs and not task.reads_inputs:
        raise StudyError(
            "RF-S570",
            N_(
                "The task {task} reads no items, paths or notes, so {inputs} would be read for nothing: "
                "delete inputs, or choose a task that reads them."
            ),
            task=task.name,
            inputs=", ".join(study.inputs),
        )
    if task.labelled:
        positive_category(study, context.schema)
        if not study.features:
            raise StudyError(
                "RF-S571",
                N_(
                    "The task {task} predicts {label} by features, and the study names inputs alone: add "
                    "features, or choose a task without a label."
                ),
                task=task.name,
                label=study.label or "-",
            )
    elif study.label is not None:
        raise StudyError(
            "RF-S510",
            N_(
                "The task {task} predicts nothing, so the label {label} would only leave customers out: "
                "delete label and positive, and list {label} among the features if its values are wanted."
            ),
            task=task.name,
            label=study.label,
        )
