"""What Ringfence claims about its privacy, and the check that could refute each claim."""

from __future__ import annotations

from prove import (
    check_accountant,
    check_attempts,
    check_canary,
    check_dropouts,
    check_law,
    check_ledger,
    check_price,
    check_releases,
    check_sampling,
    check_sensitivity,
    check_sums,
)
from prove.finding import Claim

CLAIMS = (
    Claim(
        name="canary",
        says="a scorecard study tells a coordinator and one holder no more than its epsilon",
        check=check_canary.SCORECARD_ALONE,
    ),
    Claim(
        name="canary-overlap",
        says="the same, of a customer whom two holders have",
        check=check_canary.SCORECARD_TWICE,
    ),
    Claim(
        name="canary-local",
        says="the same with local noise, against everybody but the customer's own holder",
        check=check_canary.SCORECARD_LOCAL,
    ),
    Claim(
        name="canary-network",
        says="the same of a network: the sum of clipped gradients of every step",
        check=check_canary.MLP_ALONE,
    ),
    Claim(
        name="canary-statistics",
        says="the same of a study without a label: all its tables, of everybody",
        check=check_canary.STATISTICS_ALONE,
    ),
    Claim(
        name="law",
        says="released minus exact sum is the declared discrete noise, also when nobody is in a sample",
        check=check_law.law,
    ),
    Claim(
        name="independence",
        says="noise is fresh for every coordinate, round and holder",
        check=check_law.independence,
    ),
    *(
        Claim(
            name=f"releases-{task}",
            says=f"every block of every round of {task}, in every form of sum and at every attempt, has its "
            "own noise, and is paid",
            check=check,
        )
        for task, check in check_releases.CHECKS.items()
    ),
    Claim(
        name="sampling",
        says="a sample is drawn anew in every round, each customer by itself",
        check=check_sampling.samples,
    ),
    Claim(
        name="sensitivity",
        says="a customer moves a release by no more than its task declares, and by itself alone",
        check=check_sensitivity.worst,
    ),
    Claim(
        name="files",
        says="so does a customer added to a file, however many rows it has",
        check=check_sensitivity.from_files,
    ),
    Claim(name="figures", says="the accountant computes what others compute", check=check_accountant.figures),
    Claim(
        name="discrete",
        says="what is charged covers the exact loss of the discrete laws",
        check=check_accountant.discrete,
    ),
    Claim(
        name="slacks",
        says="what separates the laws drawn from the laws accounted is in epsilon",
        check=check_accountant.slacks,
    ),
    Claim(
        name="price",
        says="a plan costs what the signed study says, all attempts are reserved",
        check=check_accountant.study,
    ),
    Claim(
        name="overlap",
        says="sampled steps of a customer at several holders are charged what their mixture costs",
        check=check_price.overlap,
    ),
    Claim(
        name="steps",
        says="every local step is a release that is paid, at every holder",
        check=check_price.steps,
    ),
    Claim(
        name="scopes",
        says="what reads everybody is paid beside the dearer part, and never as a part of its own",
        check=check_price.scopes,
    ),
    Claim(
        name="budgets",
        says="all that a new ledger may ever spend is worth its epsilon and delta",
        check=check_price.budgets,
    ),
    Claim(name="charges", says="every answer that left its holder is charged", check=check_attempts.charges),
    Claim(name="repeats", says="an attempt is answered once", check=check_attempts.repeats),
    Claim(
        name="withdrawals",
        says="who withdraws is out by the next round",
        check=check_attempts.withdrawals,
    ),
    Claim(
        name="rollback",
        says="a holder put back to an earlier state spends nothing more",
        check=check_attempts.rollback,
    ),
    Claim(
        name="crashes",
        says="a holder killed at any moment has charged what it sent",
        check=check_ledger.crashes,
    ),
    Claim(name="crowd", says="programs at one ledger cannot overspend together", check=check_ledger.crowd),
    Claim(name="masks", says="a masked answer shows nothing, nor do two of them", check=check_sums.masks),
    Claim(
        name="veils",
        says="a holder shows its vector without masks in no study that does not say so",
        check=check_attempts.veils,
    ),
    Claim(name="words", says="the largest possible sum arrives exactly", check=check_sums.words),
    Claim(
        name="dropouts",
        says="of one holder nobody reveals both what unmasks it and what replaces it",
        check=check_dropouts.shares,
    ),
    Claim(
        name="rosters",
        says="nobody masks for a roster that others do not see, or of strangers",
        check=check_sums.rosters,
    ),
)


def claim_named(name: str) -> Claim:
    """Look a claim up."""
    return next(claim for claim in CLAIMS if claim.name == name)
