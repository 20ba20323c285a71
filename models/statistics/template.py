"""A first statistics study from a schema: a few questions over the features that may be used."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ringfence.models.task import TaskTemplate
from ringfence.privacy.agreements.schema import Schema

MOST_CATEGORIES = 3
MOST_NUMBERS = 3


def template(schema: Schema, allowed: Sequence[str]) -> TaskTemplate:
    """Counts by the first categories, and of the first numbers their spread, quantiles and means.

    Args:
        schema: of the study.
        allowed: features that may be used, in the schema's order.
    """
    features = [schema.feature(name) for name in allowed]
    categories = [each.name for each in features if each.categories is not None][:MOST_CATEGORIES]
    numbers = [each.name for each in features if each.kind in ("number", "date")][:MOST_NUMBERS]
    questions = [f"count by {', '.join(categories[:2])}"] if categories else []
    questions += [f"count by {name}" for name in categories[2:]]
    for name in numbers:
        questions += [f"histogram of {name} in 16", f"quantiles of {name} at 10, 50, 90"]
        questions += [f"mean of {name} by {categories[0]}"] if categories else []
    if len(numbers) > 1:
        questions.append(f"correlations of {', '.join(numbers)}")
    chosen = {*categories, *numbers}
    listed = "".join(f"    {json.dumps(each, ensure_ascii=False)},\n" for each in questions or ["count"])
    return TaskTemplate(
        features=tuple(name for name in allowed if name in chosen) or tuple(allowed[:1]),
        settings=(
            "[model]  # docs/methods/statistics.md",
            "# customers = 10000  # expected in all, for ringfence-server study plan",
            f"questions = [  # delete what is not needed, and its features\n{listed}]",
        ),
    )
