"""The methods by the kind of question they answer."""

from __future__ import annotations

from collections.abc import Mapping

from ringfence.models.statistics.correlations import CORRELATIONS
from ringfence.models.statistics.counts import COUNT, TOP
from ringfence.models.statistics.distinct import DISTINCT_CUSTOMERS
from ringfence.models.statistics.inquiry import Method
from ringfence.models.statistics.means import MEAN
from ringfence.models.statistics.quantiles import QUANTILES
from ringfence.models.statistics.questions import QuestionKind

METHODS: Mapping[QuestionKind, Method] = {
    "count": COUNT,
    "histogram": COUNT,
    "sum": MEAN,
    "mean": MEAN,
    "quantiles": QUANTILES,
    "top": TOP,
    "distinct": DISTINCT_CUSTOMERS,
    "correlations": CORRELATIONS,
}
