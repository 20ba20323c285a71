"""Prices for which the accountant's own formulas are not believed: overlap, local steps, budgets at orders.

`overlap` compares what sampled steps of a customer at several holders are charged with the binomial mixture
that such a customer really meets (`mixture.py`). `steps` counts the releases of local steps by hand. `scopes`
adds up what reads one part of the customers, the other, and everybody.
`budgets` asks whether what a new ledger may spend is worth its epsilon and delta, order by order.
"""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import permutations

import mpmath as mp
import numpy as np
from prove.cases import DELTA, MLP, privacy
from prove.finding import Finding
from prove.mixture import mixture_epsilon

from ringfence.privacy.accounting.amounts import study_amount
from ringfence.privacy.accounting.composition import Composition, SampledSteps, at_holders, composition
from ringfence.privacy.accounting.filters import MU_AXIS, gdp_budget, rdp_budget, rdp_epsilon
from ringfence.privacy.accounting.gaussian import epsilon_of
from ringfence.privacy.accounting.pld import epsilon_of_composition
from ringfence.privacy.accounting.study import price
from ringfence.privacy.ledger.planned import quote
from ringfence.privacy.waist import BlockPlan, RoundPlan, Scope, StudyPlan

# delta, holders, rate, mu of a step, steps, mu of what is not sampled: likely ones, and two in which most of
# what is seen is whether the customer is in any sample at all.
POINTS = (
    (1e-6, 1, Fraction(1, 20), 0.8, 30, 0.2),
    (1e-6, 3, Fraction(1, 10), 0.4, 10, 0.3),
    (0.01, 5, Fraction(1, 200), 2.0, 2, 0.0),
    (0.05, 3, Fraction(1, 20), 4.0, 1, 0.0),
)


def overlap() -> Finding:
    """What is charged at several holders is never less than the mixture costs, and at one holder the same."""
    least, alone = math.inf, 0.0
    for delta, holders, rate, mu, steps, besides in POINTS:
        one = SampledSteps(rate=rate, mu_squared=Decimal(mu) ** 2, steps=steps)
        met = at_holders(
            Composition(mu_squared=Decimal(besides) ** 2, sampled=(one,)), holders, "distributed"
        )
        found = mixture_epsilon(
            delta=delta, holders=holders, rate=float(rate), mu=mu, steps=steps, besides=holders * besides
        )
        least = min(least, _claimed(met, delta) / found)
        alone = _claimed(met, delta) / found if holders == 1 else alone
    return Finding(
        evidence=f"{len(POINTS)} mixtures: charged at least {least:.3f} of what they cost, {alone:.4f} of it "
        "at one holder",
        bound="at least 0.99; 0.99 to 1.01",
        holds=least > 0.99 and 0.99 < alone < 1.01,
    )


def _claimed(met: Composition, delta: float) -> float:
    """Epsilon of a composition; none where the accountant finds no loss beyond delta at all."""
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            return epsilon_of_composition(met, delta)
    except OverflowError:
        return 0.0


def steps() -> Finding:
    """The releases of local steps, counted by hand: at one holder, and at all that a customer may be at."""
    rounds, local, holders = 3, 4, 2
    model = {"hidden": [2], "rounds": rounds, "local_steps": local}
    case = replace(MLP, study={**MLP.study, "model": model, "privacy": privacy(noise="local")})
    plan = case.task.plan(case.context(holders))
    (step,) = {block for each in plan.rounds[1:] for block in each.blocks}
    (count,) = plan.rounds[0].blocks
    mu2 = sum(
        times * block.sensitivity_squared / (block.share_scale**2 - 4)
        for times, block in ((1, plan.cohort), (1, count), (rounds * local, step))
    )
    told = price(plan, delta=DELTA, overlap=holders, noise_form="local").customer_epsilon
    wanted = epsilon_of(DELTA, math.sqrt(holders * mu2))
    sampled = replace(plan, rounds=tuple(replace(r, sampling_rate=Fraction(1, 2)) for r in plan.rounds[1:]))
    (met,) = composition(sampled, "train", [2] * rounds).sampled
    return Finding(
        evidence=f"{rounds} rounds of {local} steps at {holders} holders: {told / wanted:.6f} of the price "
        f"counted by hand; {met.steps} sampled releases in two attempts each",
        bound=f"1 to 1.0001, with what is kept for slacks; {2 * rounds * local}",
        holds=0 <= told / wanted - 1 < 1e-4 and met.steps == 2 * rounds * local,
    )


def scopes() -> Finding:
    """Rounds over one part, the other and both, in every order: both + max(train, test) by each account."""
    prices: dict[Scope, float] = {"train": 0.3, "test": 0.2, "both": 0.25}
    block = BlockPlan(name="b", sensitivity_squared=4096, max_abs=64, share_scale=1.0, max_length=1)
    blocks = {part: replace(block, share_scale=math.sqrt(4096 / mu2 + 4)) for part, mu2 in prices.items()}
    rounds = [RoundPlan(name=part, blocks=(each,), part=part) for part, each in blocks.items()]
    cohort = replace(block, share_scale=math.sqrt(4096 / 0.01 + 4))
    worst, count = 0.0, 0
    for chosen in (each for size in (1, 2, 3) for each in permutations(rounds, size)):
        plan = StudyPlan(honest=1, cohort=cohort, rounds=chosen, max_attempts=2)
        paid = {each.part: prices[each.part] for each in chosen}
        owed = paid.get("both", 0.0) + max(paid.get("train", 0.0), paid.get("test", 0.0))
        told = price(plan, delta=DELTA, overlap=1, noise_form="local").customer_epsilon
        orders = {MU_AXIS: Decimal(0)}
        ratios = (
            plan.mu_squared / (0.01 + owed),
            plan.reserved_mu_squared / (0.01 + 2 * owed),
            float(study_amount(plan)) / (0.01 + 2 * owed),
            float(quote(plan, orders).mu_squared) / (0.01 + 2 * owed),
            told / epsilon_of(DELTA, math.sqrt(0.01 + owed)),
        )
        worst, count = max(worst, *(abs(each - 1) for each in ratios)), count + 1
    return Finding(
        evidence=f"{count} plans over train, test and both, five accounts each: off by at most {worst:.1e}",
        bound="at most 1e-3, with what is kept for slacks",
        holds=worst < 1e-3,
    )


def budgets() -> Finding:
    """All that a ledger may spend, at its delta, by a conversion of Renyi divergences of its own.

    A divergence r at order a gives delta = exp((a-1) (r - epsilon)) / (a-1) * (1 - 1/a)^a (Canonne, Kamath,
    Steinke 2020, proposition 12). A filter over several orders pays for each (Feldman, Zrnic 2021).
    """
    worst, epsilon, delta = mp.mpf(0), Decimal(3), Decimal("1e-6")
    with mp.workdps(40):
        total = mp.mpf(0)
        budget = rdp_budget(epsilon, delta)
        for axis, most in budget.items():
            a = mp.mpf(axis.removeprefix("rdp:"))
            if most:
                exponent = (a - 1) * (mp.mpf(str(most)) - mp.mpf(str(epsilon)))
                total += mp.exp(exponent) / (a - 1) * (1 - 1 / a) ** a
        worst = total / mp.mpf(str(delta))
    gaussian = epsilon_of(float(delta), math.sqrt(gdp_budget(epsilon, delta)[MU_AXIS])) / float(epsilon)
    told = rdp_epsilon(budget, delta) / float(epsilon)
    return Finding(
        evidence=f"all orders of a budget used up: {float(worst):.4f} of its delta; filter gdp: "
        f"{gaussian:.8f} of its epsilon; a full ledger says {told:.6f}",
        bound="at most 1, and more than half; at least 1 - 1e-6",
        holds=bool(0.5 < worst <= 1) and 0.999 < gaussian <= 1 and 1 - 1e-6 < told <= 1 + 1e-9,
    )
