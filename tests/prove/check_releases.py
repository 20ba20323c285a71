"""What is released of every task, in every form of sum, at every attempt: the declared noise, fresh and paid.

Each run of `releases.py` is asked the same: whether the coordinator's sum less the exact one is the noise
that the holders drew for this attempt and for nothing else, by the plan and number of honest shares that are
charged; whether that noise has the declared law; whether any two of all vectors of noise are related; whether
any entry goes without; whether samples are drawn anew; whether one customer moves what is declared; whether
the cohort was counted with its own noise; and whether the ledger holds the price of it all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import lru_cache, partial

import numpy as np
from prove.bounds import chi_square, masses_of_sum, worst_correlation
from prove.cases import CASES, Case
from prove.finding import Finding
from prove.releases import Attempt, Trace
from prove.ways import NAMES, forms_of_sum, ways
from scipy import stats

from ringfence.privacy.ledger import Reservation
from ringfence.privacy.waist import BlockPlan, Contribution, IntVector, RoundPlan

ALARM = 1e-14
"""Of one comparison; there are some thousands of them over all tasks."""
WIDE = 300.0
"""From this scale on the law of a sum of shares is the normal one in every digit that matters here."""
LOOKED_AT = 12


def check(case: Case) -> Finding:
    """All ways of a task, up to the first that is not as declared."""
    every = ways(case)
    for way in every:
        fault = next(faults_of(Trace.of(way)), None)
        if fault is not None:
            return Finding(evidence=f"{way.name}: {fault}", bound="none of this", holds=False)
    return Finding(
        evidence=f"{len(every)} studies, every block at every attempt: noise as declared, fresh, paid",
        bound=f"chance of a false alarm {ALARM:g} a comparison",
        holds=len(every) >= len(forms_of_sum()),
    )


CHECKS = {case.name: partial(check, case) for case in CASES}


def faults_of(trace: Trace) -> Iterator[str]:
    """What is not as it is declared, in words."""
    for index, plan in enumerate(trace.plan.rounds):
        attempts = trace.of_round(index)
        if len(attempts) != trace.plan.max_attempts:
            yield f"{plan.name} was summed {len(attempts)} times"
        for attempt in attempts:
            yield from _not_accounted(trace, plan, attempt)
        yield from _not_the_law(trace, plan, attempts)
        yield from _entries_without(plan, attempts)
        yield from _moved_too_far(trace, index)
    yield from _related(trace)
    yield from _sampled_again(trace)
    yield from _cohorts(trace)
    yield from _unpaid(trace)


def _not_accounted(trace: Trace, plan: RoundPlan, attempt: Attempt) -> Iterator[str]:
    """Noise that is not the shares drawn for this attempt, each of them once, by the charged plan."""
    told = f"attempt {attempt.number} at {plan.name}"
    if set(attempt.released) != {block.name for block in plan.sent}:
        yield f"{told} has other blocks than planned"
        return
    if len(attempt.drawn) != len(NAMES) * plan.releases:
        yield f"{told} drew {len(attempt.drawn)} shares of noise, planned {len(NAMES) * plan.releases}"
        return
    if sorted(each.holder for each in attempt.drawn) != sorted(NAMES * plan.releases):
        yield f"{told} has not one share of every holder"
    honest = 1 if plan.local_steps else trace.plan.honest
    if any(each.plan.blocks != plan.blocks or each.honest != honest for each in attempt.drawn):
        yield f"{told} drew noise by another plan than the one that is charged"
    if plan.local_steps:
        if len(attempt.steps) != len(attempt.drawn):
            yield f"{told} took {len(attempt.steps)} local steps, planned {len(attempt.drawn)}"
        for step in attempt.steps:
            (share,) = step.drawn
            for name, exact in step.exact.items():
                if not np.array_equal(step.given[name] - exact, share.blocks[name]):
                    yield f"a step of {told} has other noise in {name} than was drawn for it"
    for name, released in attempt.released.items():
        noise = _noise_of(attempt, name)
        drawn = 0 if plan.local_steps else sum(each.blocks[name] for each in attempt.drawn)
        if not np.array_equal(noise, np.broadcast_to(drawn, released.shape)):
            yield f"{told} has other noise in {name} than was drawn for it"


def _noise_of(attempt: Attempt, name: str) -> IntVector:
    return np.asarray(attempt.released[name] - attempt.exact[name])


def _vectors(plan: RoundPlan, attempts: list[Attempt], block: BlockPlan) -> tuple[list[IntVector], int]:
    """The noise of a block as others see it, a vector a release, and of how many shares each is."""
    if plan.local_steps:
        return [step.given[block.name] - step.exact[block.name] for a in attempts for step in a.steps], 1
    return [_noise_of(attempt, block.name) for attempt in attempts], len(NAMES)


def _not_the_law(trace: Trace, plan: RoundPlan, attempts: list[Attempt]) -> Iterator[str]:
    """Chi-square and second moment of a block over all attempts."""
    for block in plan.blocks:
        vectors, shares = _vectors(plan, attempts, block)
        if not vectors:
            yield f"nothing of {block.name} was released at {plan.name}"
            continue
        yield from unlike(np.concatenate(vectors), block.share_scale, shares, f"{block.name} at {plan.name}")


def unlike(noise: IntVector, scale: float, shares: int, told: str) -> Iterator[str]:
    """Say so where noise is not a sum of shares of that scale."""
    variance = shares * scale**2
    off = (float((noise.astype(np.float64) ** 2).mean()) / variance - 1) / math.sqrt(2 / len(noise))
    if abs(off) > stats.norm.isf(ALARM / 2):
        yield f"the noise of {told} has {1 + off * math.sqrt(2 / len(noise)):.3f} of its declared variance"
    if scale > WIDE:
        ends = np.floor(stats.norm.ppf(np.arange(1, 20) / 20) * math.sqrt(variance)).astype(np.int64)
        running = stats.norm.cdf((ends + 0.5) / math.sqrt(variance))
        expected = np.diff(np.concatenate([[0.0], running, [1.0]])) * len(noise)
        counts = np.bincount(np.searchsorted(ends, noise), minlength=20)
        statistic, freedom = float(((counts - expected) ** 2 / expected).sum()), 19
    else:
        statistic, freedom = chi_square(noise, _law(scale, shares))
    if statistic > stats.chi2.isf(ALARM, freedom):
        yield f"the noise of {told} has not the declared law: {statistic:.0f} on {freedom} degrees"


_law = lru_cache(maxsize=64)(masses_of_sum)


def _entries_without(plan: RoundPlan, attempts: list[Attempt]) -> Iterator[str]:
    """Entries that no share of any attempt has noise in; a share has none in one of forty by chance."""
    for block in plan.blocks:
        shares = [each.blocks[block.name] for attempt in attempts for each in attempt.drawn]
        if not shares or len({len(each) for each in shares}) != 1:
            yield f"{block.name} at {plan.name} has not one length at all attempts"
            continue
        silent = np.flatnonzero(~np.any(np.stack(shares), axis=0))
        for entry in silent[:1]:
            yield f"entry {entry} of {block.name} at {plan.name} has no noise in {len(shares)} shares"


def _moved_too_far(trace: Trace, index: int) -> Iterator[str]:
    """Single customers against what the plan declares, under the queries of the run itself."""
    task, context, plan = trace.way.case.task, trace.context, trace.plan.rounds[index]
    rows = [features.take(np.array([row])) for features in trace.customers for row in range(LOOKED_AT)]
    for query in [attempt.query for attempt in trace.of_round(index)[:1] if not plan.local_steps]:
        for customer in rows:
            found: Contribution = task.contribute(context, query, customer)
            for block in plan.blocks:
                values = found.blocks[block.name].tolist()
                if sum(v * v for v in values) > block.sensitivity_squared:
                    yield f"a customer moves {block.name} at {plan.name} by more than is declared"
                    return


def _related(trace: Trace) -> Iterator[str]:
    """Any two vectors of noise in the whole run, and their shifts by one."""
    blocks = [(plan, block, i) for i, plan in enumerate(trace.plan.rounds) for block in plan.blocks]
    released = [v for plan, b, i in blocks for v in _vectors(plan, trace.of_round(i), b)[0]]
    drawn = [v for attempt in trace.attempts for each in attempt.drawn for v in each.blocks.values()]
    for rows, told in ((released, "released"), (drawn, "drawn")):
        length, pairs = min(map(len, rows)), len(rows) * (2 * len(rows) - 1)
        found = worst_correlation(np.vstack([row[:length] for row in rows]))
        if found > stats.norm.isf(ALARM / (2 * pairs)) / math.sqrt(length - 1):
            yield f"of {len(rows)} vectors of noise {told}, two have a correlation of {found:.2f}"


def _sampled_again(trace: Trace) -> Iterator[str]:
    samples = sum(
        len(NAMES) * plan.releases * len(trace.of_round(index))
        for index, plan in enumerate(trace.plan.rounds)
        if plan.sampling_rate != 1
    )
    if len(trace.samples) != samples:
        yield f"{len(trace.samples)} samples were drawn, planned {samples}"
    elif len(set(trace.samples)) != samples:
        yield f"of {samples} samples {samples - len(set(trace.samples))} were used again"


def _cohorts(trace: Trace) -> Iterator[str]:
    """The noisy count that a holder goes by is the true one and the noise drawn for it, whole."""
    block = trace.plan.cohort
    if [each.holder for each in trace.joins] != list(NAMES):
        yield f"{len(trace.joins)} shares of noise were drawn for {len(NAMES)} cohorts"
        return
    for each in trace.joins:
        log = trace.parties.holders[each.holder].log
        (event,) = log.events(action="cohort.counted")
        kept = json.loads(log.open_event(event.seq).private)
        told = kept["members"] + int(each.blocks[block.name][0]) / block.max_abs
        if each.plan.blocks != (block,) or each.honest != 1 or round(told) != kept["noisy"]:
            yield "a cohort was not counted with the noise that was drawn and charged for it"


def _unpaid(trace: Trace) -> Iterator[str]:
    """Each ledger against prices that are worked out here from the plan's numbers alone."""
    for holder in trace.parties.holders.values():
        (reservation,) = holder.ledger.reservations()
        for part in ("train", "test"):
            owed = _cost(trace.plan.cohort, 1)
            for index, plan in enumerate(trace.plan.rounds):
                if plan.part in (part, "both"):
                    rate = float(plan.sampling_rate)
                    mu2 = sum(_cost(block, trace.plan.honest) for block in plan.blocks)
                    # At order 2 a Gaussian costs mu^2, and one of a sample log(1 + q^2 (e^mu^2 - 1)).
                    one = math.log1p(rate**2 * math.expm1(mu2)) if rate < 1 else mu2
                    owed += len(trace.of_round(index)) * max(1, plan.local_steps) * one
            paid, limit = _amounts(reservation, part)
            if not owed * (1 - 1e-9) < paid < owed * (1 + 1e-6):
                yield f"a ledger was charged {paid / owed:.6f} of the price of part {part}"
            if not paid <= limit < paid * (1 + 1e-6):
                yield f"a ledger set aside {limit / paid:.6f} of all attempts of part {part}"


def _cost(block: BlockPlan, honest: int) -> float:
    return block.sensitivity_squared / (honest * block.share_scale**2 - 4.0)


def _amounts(reservation: Reservation, part: str) -> tuple[float, float]:
    """What a part was charged, and what was set aside for it: mu squared, or the divergence at order 2."""
    taken, limits = reservation.taken[part], reservation.limits[part]  # type: ignore[index]
    axis = "mu2" if "mu2" in taken else "rdp:2"
    return float(taken[axis]), float(limits[axis])
