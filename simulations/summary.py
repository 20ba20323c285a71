"""What a run says at its end, in a few lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringfence.models.metrics.noisy import NoisyFigures
from ringfence.privacy.errors import _


def released(figures: NoisyFigures | None) -> str:
    """What a real study would know of its model's quality."""
    if figures is None:
        return _("the study released no figure of quality")
    auc = figures.auc
    if auc is None:
        return _("released by the study: AUC undefined, since the noise hides a class of test customers")
    return _("released by the study: AUC {value:.3f} (95 % interval {low:.3f} to {high:.3f})").format(
        value=auc.value, low=auc.low, high=auc.high
    )


def _own(each: Mapping[str, Any]) -> str:
    """How one holder's own network does beside the common one."""
    if each["auc"] is None:
        return _(
            "{holder}: a network of its own; its {test_customers} test customers all have one label"
        ).format(**each)
    return _(
        "{holder}: AUC {auc:.4f} of its own network, {auc_common:.4f} of the common one, on its "
        "{test_customers} test customers"
    ).format(**each)


def exact(result: Mapping[str, Any]) -> str:
    """The exact figures, or why there are none."""
    exactness = str(result["metrics"])
    if result["auc"] is not None:
        return _("AUC {auc:.4f}, PR-AUC {pr_auc:.4f} on {test_customers} test customers; {metrics}").format(
            **{**result, "metrics": _(exactness)}
        )
    if not result["test_customers"]:
        return _("AUC undefined: the study has no test customers")
    return _("AUC undefined: the {test_customers} test customers all have one label; {metrics}").format(
        **{**result, "metrics": _(exactness)}
    )


def tables(result: Mapping[str, Any]) -> str:
    """How many answers there are, and how many of their lines are shown."""
    lines = [row for each in result["tables"] for row in each["rows"]]
    return _("Tables released: {tables}; of their {lines} lines {shown} are shown").format(
        tables=len(result["tables"]), lines=len(lines), shown=sum(not row["not_shown"] for row in lines)
    )


def summary(result: Mapping[str, Any], figures: NoisyFigures | None) -> list[str]:
    """A run in a few lines for people.

    Args:
        result: of the run, as JSON holds it.
        figures: what the study released of its model's quality, not rounded yet.
    """
    privacy = result["privacy"]
    lines = [
        _(
            "Study {study}: {holders} holders, {rows} rows ({rows_used} used), {rounds} secure sums in "
            "{seconds} s"
        ).format(**result),
        *([tables(result)] if result.get("tables") else [released(figures), exact(result)]),
        _("epsilon {epsilon} at delta {delta} for a customer over all holders (overlap {overlap})").format(
            epsilon=privacy["customer_epsilon"], delta=privacy["delta"], overlap=privacy["overlap"]
        ),
        _("noise {noise_form}, honest shares counted on: {honest_shares}").format(**privacy),
    ]
    lines += [_own(each) for each in result["own"]]
    if result["unresolved"]:
        lines.append(
            _("hidden by the noise, so all customers have the same points: {names}").format(
                names=_(", ").join(result["unresolved"])
            )
        )
    if result["unfinished"]:
        lines.append(_("ended early, at the stage {stage}").format(stage=result["unfinished"]))
    if result["absent"]:
        lines.append(_("absent: {names}").format(names=_(", ").join(result["absent"])))
    return lines
