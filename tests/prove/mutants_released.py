"""Broken products whose releases are not what they are declared to be: noise that is missing, halved or used
again.
"""

from __future__ import annotations

from prove.mutation import broken

_GATE = "clients.gate:with_noise"
_ADDED = "answer.contribution.blocks[block.name] + share.blocks[block.name]"
_STEP = "clients.noisy_steps:CountedSteps.step"
_SHARE = "self.noise.share(one, {name: len(values) for name, values in blocks.items()}, 1)"
_SAMPLE = "poisson_sample(len(self.rows.label), self.plan.sampling_rate)"


def kept(key: str, value: str) -> str:
    """An expression that works out a value as often as it is asked for and gives the first one for ever."""
    return f'globals().setdefault("_kept", {{}}).setdefault({key}, {value})'


RELEASED = (
    broken(
        "one kind of block without noise, seen by an attacker",
        "canary-overlap",
        (_GATE, _ADDED, f'{_ADDED} * (block.name != "masses")'),
    ),
    broken(
        "evaluation without noise",
        "releases-scorecard",
        (_GATE, "if answer.plan.local_steps:", 'if answer.plan.local_steps or answer.plan.part == "test":'),
    ),
    broken(
        "two-way tables without noise",
        "releases-scorecard",
        (_GATE, _ADDED, f'{_ADDED} * (block.name != "two-way")'),
    ),
    broken(
        "recovered sums without noise",
        "releases-scorecard",
        (
            _GATE,
            "if answer.plan.local_steps:",
            'if answer.plan.local_steps or joined.admitted.study.privacy.dropouts == "recover":',
        ),
    ),
    broken(
        "evaluation's first cell without noise",
        "releases-scorecard",
        (
            _GATE,
            _ADDED,
            f'{_ADDED} * ((answer.plan.part != "test") | (np.arange(len(share.blocks[block.name])) > 0))',
        ),
    ),
    broken(
        "noise used again at the next attempt",
        "releases-scorecard",
        (
            _GATE,
            "holder.noise.share(answer.plan, answer.lengths, joined.admitted.plan.honest)",
            kept(
                "(id(joined), answer.plan.name)",
                "holder.noise.share(answer.plan, answer.lengths, joined.admitted.plan.honest)",
            ),
        ),
    ),
    broken(
        "offsets left out of the counts' sensitivity",
        "releases-scorecard",
        (
            "models.scorecard.plan:design",
            "dimensions = len(context.features)",
            "dimensions = len(context.study.features)",
        ),
    ),
    broken(
        "cohort's noise halved and charged in full",
        "releases-scorecard",
        ("clients.joining:_freeze", 'int(share.blocks["cohort"][0])', 'int(share.blocks["cohort"][0]) // 2'),
    ),
    broken(
        "local steps without noise",
        "releases-mlp",
        (_STEP, "values + share.blocks[name]", "values"),
    ),
    broken(
        "one share for all local steps",
        "releases-mlp",
        (_STEP, _SHARE, kept("(id(self.rows), id(self.plan))", _SHARE)),
    ),
    broken(
        "a local step more than planned", "releases-mlp", (_STEP, "self._taken >= self", "self._taken > self")
    ),
    broken(
        "a sample used again by the next local step",
        "releases-mlp",
        (_STEP, _SAMPLE, kept("(id(self), len(self.rows.label))", _SAMPLE)),
    ),
    broken(
        "a sample used again at the next attempt",
        "releases-mlp",
        (
            "clients.pipeline:_computed",
            "poisson_sample(len(rows.label), plan.sampling_rate)",
            kept("(id(joined), len(rows.label))", "poisson_sample(len(rows.label), plan.sampling_rate)"),
        ),
    ),
    broken(
        "local steps charged as one",
        "releases-mlp",
        ("privacy.waist:RoundPlan.releases", "max(1, self.local_steps)", "1"),
    ),
    broken(
        "sampled steps at several holders charged at one holder's rate",
        "overlap",
        (
            "privacy.accounting.composition:at_holders",
            "(1 - (1 - each.rate) ** overlap, multiply",
            "(each.rate, multiply",
        ),
    ),
    broken(
        "shift at several holders charged as at one",
        "overlap",
        (
            "privacy.accounting.composition:at_holders",
            "multiply(each.mu_squared, overlap**2)",
            "each.mu_squared",
        ),
    ),
    broken(
        "price forgets the releases of local steps",
        "steps",
        (
            "privacy.accounting.composition:composition",
            "multiply(one, each.releases * count)",
            "multiply(one, count)",
        ),
    ),
    broken(
        "price forgets the releases of sampled local steps",
        "steps",
        ("privacy.accounting.composition:composition", "+= each.releases * count", "+= count"),
    ),
    broken(
        "delta not divided among the orders of a budget",
        "budgets",
        ("privacy.accounting.filters:rdp_budget", " / len(orders)", ""),
    ),
)
