"""A drafted study with its price, which is that of the draft with stand-ins for what is open."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from ringfence.models.catalogue import task_named
from ringfence.models.pricing import planned, price_of
from ringfence.models.task import StudyContext
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.series import SeriesTerms
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.agreements.study_draft import StudyOutline, draft_study
from ringfence.privacy.agreements.terms import Participant
from ringfence.privacy.errors import RingfenceError
from ringfence.privacy.toml.faults import PLACEHOLDER
from ringfence.privacy.toml.validation import build

SERIES_RUNS = 12
_STAND_INS = {"legal_basis": "consent", "expires": "9999-12-31", "dpia": "-"}


def priced_draft(known: StudyOutline, holders: Sequence[Participant]) -> str:
    """The study's text, its price beside epsilon where label and purpose are known.

    Args:
        known: what it is drafted from.
        holders: who would take part; for a simulation whoever stands for them.

    Raises:
        StudyError: the label cannot be one, or the task takes none; RF-S050 there is no such task.
    """
    task = task_named(known.task)
    known = replace(known, labelled=task.labelled)
    if task.template is not None:
        asked = [name for name in known.allowed if name not in known.schema.future]  # those are labels alone
        first = task.template(known.schema, asked)
        known = replace(known, allowed=first.features, settings=first.settings)
    text = draft_study(known)
    study = _stood_in(text, known.schema, holders)
    if study is None:
        return text
    try:
        context = StudyContext.of(study, known.schema)
        report = price_of(study, planned(task_named(study.task), context)).as_report()
        runs = SeriesTerms.of(runs=SERIES_RUNS, every="month", begins="2000-01-01")
        series = study.revised(series=runs)
        composed = price_of(series, planned(task_named(study.task), StudyContext.of(series, known.schema)))
    except RingfenceError:
        return text  # told with its reason when the finished study is signed or run
    price = {name: report[name] for name in ("customer_epsilon", "customer_epsilon_worst_case")}
    lines = (
        f"A customer's price over all holders is then {price['customer_epsilon']} if no attempt is repeated,",
        f"and {price['customer_epsilon_worst_case']} in the worst case, which holders reserve.",
        f"As a series of {SERIES_RUNS} such runs it is "
        f"{composed.as_report()['series_customer_epsilon_worst_case']} in the worst case.",
    )
    return draft_study(replace(known, price=lines))


def _stood_in(text: str, schema: Schema, holders: Sequence[Participant]) -> Study | None:
    """The draft as a study, with something in the open places that does not touch the price."""
    data: dict[str, Any] = tomllib.loads(text, parse_float=Decimal)
    data |= {key: value for key, value in _STAND_INS.items() if data.get(key) == PLACEHOLDER}
    if data.get("positive") == PLACEHOLDER:
        data["positive"] = (schema.feature(data["label"]).categories or ("",))[0]
    if PLACEHOLDER in data.values() or "features" not in data:
        return None
    study, _problems = build(Study, {**data, "schema": schema.digest(), "holders": tuple(holders)})
    return study
