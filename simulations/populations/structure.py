"""The latent customers of the demo city: who they are, how they deal with a holder, why they leave or borrow.

Everything is a stated draw or a stated formula, so that what a model finds can be compared with what is
there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from scipy.special import expit

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Integers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

OVERLAP: Mapping[tuple[str, str], float] = {
    ("bank", "retailer"): 0.12,
    ("bank", "partner"): 0.08,
    ("retailer", "partner"): 0.05,
}
"""Customers two holders share, as a fraction of the smaller one, rounded down. Nobody is at all three."""

FEATURES = (
    "age",
    "income_band",
    "tenure_months",
    "monthly_spend",
    "visits_90d",
    "days_since_last",
    "channel",
    "tier",
    "autopay",
    "complaints_180d",
    "late_payments_12m",
    "satisfaction",
)
LABELS = ("churn", "credit_uptake")
INCOME_BANDS = ("low", "lower_middle", "middle", "upper_middle", "high")
CHANNELS = ("branch", "web", "app", "phone")
TIERS = ("basic", "standard", "premium")


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderProfile:
    """What sets one holder's customers apart (the covariate shift) and its label intercepts."""

    age: float
    affluence: float
    tenure: float
    spend: float
    visits: float
    branch: float
    complaints: float
    surveyed: float
    churn: float
    credit: float


HOLDER_PROFILES: Mapping[str, HolderProfile] = {
    "bank": HolderProfile(
        age=46,
        affluence=0.35,
        tenure=80,
        spend=3_200,
        visits=5,
        branch=0.6,
        complaints=0.30,
        surveyed=0.5,
        churn=-3.95,
        credit=-2.20,
    ),
    "retailer": HolderProfile(
        age=38,
        affluence=0.0,
        tenure=36,
        spend=900,
        visits=9,
        branch=0.9,
        complaints=0.45,
        surveyed=0.1,
        churn=-4.05,
        credit=-2.75,
    ),
    "partner": HolderProfile(
        age=34,
        affluence=-0.2,
        tenure=30,
        spend=160,
        visits=14,
        branch=-0.8,
        complaints=0.55,
        surveyed=0.8,
        churn=-4.45,
        credit=-2.75,
    ),
}


def memberships(counts: Mapping[str, int]) -> dict[str, Integers]:
    """Assign persons to holders so that pairs share exactly their documented number, triples none."""
    members: dict[str, list[Integers]] = {holder: [] for holder in counts}
    start = 0
    for pair, fraction in OVERLAP.items():
        common = int(fraction * min(counts[pair[0]], counts[pair[1]]))
        for holder in pair:
            members[holder].append(np.arange(start, start + common))
        start += common
    for holder, count in counts.items():
        alone = count - sum(len(part) for part in members[holder])
        members[holder].append(np.arange(start, start + alone))
        start += alone
    return {holder: np.concatenate(parts) for holder, parts in members.items()}


def draw_persons(rng: np.random.Generator, members: Mapping[str, Integers]) -> pd.DataFrame:
    """Draw what belongs to a person wherever it is a customer: key, age, affluence, loyalty, income band.

    A shared customer is drawn from the first holder's part of the city.
    """
    n = 1 + max(int(rows.max()) for rows in members.values())
    home = np.empty(n, dtype=object)
    for holder in reversed(tuple(members)):
        home[members[holder]] = holder
    mean_age = np.array([HOLDER_PROFILES[holder].age for holder in home])
    affluence = np.array([HOLDER_PROFILES[holder].affluence for holder in home]) + rng.standard_normal(n)
    age = np.clip(np.rint(mean_age + 13 * rng.standard_normal(n)), 18, 90).astype(np.int64)
    income = affluence + 0.4 * rng.standard_normal(n) - 0.3 * (age < 26)
    return pd.DataFrame(
        {
            "key": [f"K{number:07d}" for number in rng.choice(10**7, size=n, replace=False).tolist()],
            "age": age,
            "affluence": affluence,
            "loyalty": 0.25 * affluence + rng.standard_normal(n),
            "income_band": np.array(INCOME_BANDS)[np.digitize(income, (-1.0, -0.3, 0.5, 1.3))],
        }
    )


def draw_relationship(rng: np.random.Generator, persons: pd.DataFrame, holder: HolderProfile) -> pd.DataFrame:
    """Draw how these persons deal with one holder; `(n, 13)` frame of `key` and `FEATURES`."""
    n = len(persons)
    age, affluence, loyalty = (persons[name].to_numpy() for name in ("age", "affluence", "loyalty"))
    tenure = np.clip(np.floor(rng.exponential(holder.tenure, n) * np.exp(0.3 * loyalty)), 0, 240)
    spend = np.clip(
        holder.spend * np.exp(0.45 * affluence + 0.25 * loyalty + 0.6 * rng.standard_normal(n)), 0, 5e4
    )
    visits = np.minimum(rng.poisson(rng.gamma(2.0, holder.visits / 2 * np.exp(0.35 * loyalty))), 200)
    recency = np.minimum(np.floor(rng.exponential(150 / (1 + visits))), 365)
    liking = np.column_stack(
        [holder.branch + 0.03 * (age - 40), np.full(n, 0.3), 0.9 - 0.035 * (age - 35), np.full(n, -0.4)]
    )
    channel = np.argmax(liking + rng.gumbel(size=(n, 4)), axis=1)
    tier = np.digitize(affluence + 0.3 * loyalty + 0.9 * rng.standard_normal(n), (0.1, 1.4))
    autopay = rng.random(n) < expit(0.2 + 0.3 * loyalty + 0.6 * (channel == 2) - 0.5 * (channel == 0))
    complaints = np.minimum(rng.poisson(holder.complaints * rng.gamma(1.0, np.exp(-0.3 * loyalty))), 20)
    late = np.minimum(rng.poisson(np.exp(-0.5 - 0.6 * affluence - 0.4 * autopay)), 12)
    satisfaction = (
        np.clip(np.rint(7 + 0.8 * loyalty - 0.8 * complaints + 1.3 * rng.standard_normal(n)), 0, 10) + 0.0
    )
    answered = rng.random(n) < expit(holder.surveyed + 0.4 * loyalty)
    return pd.DataFrame(
        {
            "key": persons["key"],
            "age": age,
            "income_band": persons["income_band"],
            "tenure_months": tenure.astype(np.int64),
            "monthly_spend": np.round(spend, 2),
            "visits_90d": visits.astype(np.int64),
            "days_since_last": recency.astype(np.int64),
            "channel": np.array(CHANNELS)[channel],
            "tier": np.array(TIERS)[tier],
            "autopay": np.where(autopay, "yes", "no"),
            "complaints_180d": complaints.astype(np.int64),
            "late_payments_12m": late.astype(np.int64),
            "satisfaction": np.where(answered, satisfaction, np.nan),
        }
    )


def churn_logit(table: pd.DataFrame, holder: str, *, interaction: bool = True) -> Floats:
    """Log-odds of churn: `(n,)`.

    Tenure decays (a new customer is at risk, an old one hardly), age is U-shaped, recency counts from a month
    on, satisfaction only below 7, no answer to the survey is itself a sign. Complaints saturate at three and
    interact with autopay: they weigh 1.2 each without it and 0.15 with it. Credit features play no part.

    Args:
        table: frame in the shared schema.
        holder: whose intercept to use.
        interaction: False replaces the interaction by its mean weight: what an additive model can know.
    """
    satisfaction, manual = table["satisfaction"].to_numpy(), (table["autopay"] == "no").to_numpy()
    complaints = np.minimum(table["complaints_180d"].to_numpy(), 3)
    weight = np.where(manual, 1.2, 0.15) if interaction else np.full(len(table), 0.45 * 1.2 + 0.55 * 0.15)
    return np.asarray(
        HOLDER_PROFILES[holder].churn
        + 2.6 * np.exp(-table["tenure_months"].to_numpy() / 14)
        + 0.7 * np.clip((table["age"].to_numpy() - 48) / 20, -1.5, 1.5) ** 2
        + 0.9 * np.log1p(np.maximum(table["days_since_last"].to_numpy() - 30, 0) / 15)
        + np.where(np.isnan(satisfaction), 0.5, 0.6 * np.maximum(7 - np.nan_to_num(satisfaction, nan=7.0), 0))
        + weight * complaints
        + 0.35 * manual
        + table["tier"].map({"basic": 0.7, "standard": 0.0, "premium": -0.6}).to_numpy(dtype=float)
        + 0.3 * (table["channel"] == "phone").to_numpy()
    )


def credit_logit(table: pd.DataFrame, holder: str, *, interaction: bool = True) -> Floats:
    """Log-odds of taking up a credit offer: `(n,)`.

    A hump over age with its top at 35, a hump over income, late payments that raise demand up to two and end
    eligibility from four on, log spend; and an interaction: the app brings in the under-40s (+1.1), nobody
    else.

    Args:
        table: frame in the shared schema.
        holder: whose intercept to use.
        interaction: False gives every app user the mean effect: what an additive model can know.
    """
    age, late = table["age"].to_numpy(), table["late_payments_12m"].to_numpy()
    app = (table["channel"] == "app").to_numpy()
    young = (age < 40).astype(float) if interaction else np.full(len(table), 0.5)
    bands = {"low": -0.9, "lower_middle": 0.1, "middle": 0.6, "upper_middle": 0.2, "high": -0.7}
    return np.asarray(
        HOLDER_PROFILES[holder].credit
        - 1.1 * np.minimum(((age - 35) / 16) ** 2, 4)
        + table["income_band"].map(bands).to_numpy(dtype=float)
        + np.select([late == 0, late <= 2, late == 3], [-0.3, 0.6, 0.1], -1.4)
        + 0.3 * np.log1p(table["monthly_spend"].to_numpy() / 100)
        + 1.1 * app * young
        + 0.3 * (table["visits_90d"].to_numpy() > 10)
    )
