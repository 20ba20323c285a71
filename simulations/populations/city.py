"""The demo city: one latent customer structure seen by a bank, a retailer and a partner (a telecom operator).

A seed gives the same population every time; this is data generation, not privacy noise. Both labels are drawn
from a stated probability that depends on the shared features alone (`churn_logit`, `credit_logit`), so the
best AUC any model can reach is known: `python -m ringfence.simulations.populations.city` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from ringfence.models.metrics.exact import auc
from ringfence.privacy.errors import N_, UsageError
from ringfence.simulations.populations import files
from ringfence.simulations.populations.people import people, service_notes
from ringfence.simulations.populations.structure import (
    HOLDER_PROFILES,
    LABELS,
    churn_logit,
    credit_logit,
    draw_persons,
    draw_relationship,
    memberships,
)

DEFAULT_SIZES: Mapping[str, int] = {"bank": 12_000, "retailer": 9_000, "partner": 6_000}
MAX_CUSTOMERS: Mapping[str, int] = {"bank": 20_000, "retailer": 15_000, "partner": 10_000}
"""The public upper bound in each holder's contract; a larger population would break the contract."""

MIN_CUSTOMERS = 500
"""Below this a holder is too small for the documented base rates to mean anything."""

BASE_RATES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "bank": {"churn": (0.19, 0.22), "credit_uptake": (0.17, 0.21)},
    "retailer": {"churn": (0.25, 0.28), "credit_uptake": (0.12, 0.15)},
    "partner": {"churn": (0.22, 0.27), "credit_uptake": (0.095, 0.135)},
}
"""Documented range of each label's rate by holder at the default sizes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """A generated city; every mapping has the holder's name as key and frames agree row by row.

    Attributes:
        seed: what it was generated from.
        frames: each holder's table in its own column names and file coding, as `write_population` stores it.
        shared: the same customers in the shared schema: `key`, `FEATURES`, `LABELS`; categories as texts.
        chances: `(n, 2)` true probability of each label, columns `LABELS`; exists only because nobody is
            real.
        notes: service notes (key, language, note), some with planted personal data.
        planted: what stands in those notes (key, kind, value): the truth for a masking demo.
        consents: consent events by holder, columns `population_files.CONSENT_COLUMNS`, one row an event.
    """

    seed: int
    frames: Mapping[str, pd.DataFrame]
    shared: Mapping[str, pd.DataFrame]
    chances: Mapping[str, pd.DataFrame]
    notes: Mapping[str, pd.DataFrame]
    planted: Mapping[str, pd.DataFrame]
    consents: Mapping[str, pd.DataFrame]

    def overlap(self, first: str, second: str) -> int:
        """Number of customers whom both holders have."""
        return int(self.shared[first]["key"].isin(self.shared[second]["key"]).sum())


def generate(seed: int, sizes: Mapping[str, int] | None = None) -> Population:
    """Generate the city.

    Args:
        seed: any non-negative integer; equal seeds and sizes give equal populations.
        sizes: customers of `bank`, `retailer` and `partner`; a holder left out has its default size.

    Raises:
        UsageError: a holder is unknown, or smaller or larger than this city can describe.
    """
    counts = _checked_sizes(sizes or {})
    rng = np.random.default_rng(seed)
    members = memberships(counts)
    persons = draw_persons(rng, members)
    identities = people(rng, persons["age"].to_numpy())
    frames, shared, chances, notes, planted, consents = {}, {}, {}, {}, {}, {}
    for holder, rows in members.items():
        order = rng.permutation(rows)
        mine, who = persons.iloc[order].reset_index(drop=True), identities.iloc[order].reset_index(drop=True)
        table = draw_relationship(rng, mine, HOLDER_PROFILES[holder])
        chances[holder] = pd.DataFrame(
            {"churn": expit(churn_logit(table, holder)), "credit_uptake": expit(credit_logit(table, holder))}
        )
        for label in LABELS:
            table[label] = np.where(rng.random(len(table)) < chances[holder][label], "yes", "no")
        shared[holder] = table
        frames[holder] = files.holder_file(holder, table, who)
        notes[holder], planted[holder] = service_notes(rng, table["key"], who)
        consents[holder] = files.consent_events(rng, table["key"])
    return Population(
        seed=seed,
        frames=frames,
        shared=shared,
        chances=chances,
        notes=notes,
        planted=planted,
        consents=consents,
    )


def _checked_sizes(sizes: Mapping[str, int]) -> dict[str, int]:
    """Fill in the defaults and refuse what the contracts could not describe."""
    for holder, count in sizes.items():
        if holder not in DEFAULT_SIZES:
            raise UsageError(
                "RF-U301",
                N_("The demo city has no holder {holder}; it has {known}. Name one of these."),
                holder=repr(holder),
                known=", ".join(DEFAULT_SIZES),
            )
        if not MIN_CUSTOMERS <= count <= MAX_CUSTOMERS[holder]:
            raise UsageError(
                "RF-U302",
                N_("Holder {holder} cannot have {count} customers; choose between {low} and {high}."),
                holder=holder,
                count=count,
                low=MIN_CUSTOMERS,
                high=MAX_CUSTOMERS[holder],
            )
    return {**DEFAULT_SIZES, **sizes}


def oracle(population: Population) -> pd.DataFrame:
    """Best reachable AUC by label and holder, `all` for the pooled rows.

    Returns:
        Frame with columns label, holder, rows, rate, oracle_auc (the true probability as score: nothing beats
        it in expectation) and additive_auc (the same without the interaction: about where an additive model
        ends).
    """
    lines = []
    for label, logit in (("churn", churn_logit), ("credit_uptake", credit_logit)):
        truth = {h: (t[label] == "yes").to_numpy().astype(np.uint8) for h, t in population.shared.items()}
        best = {h: population.chances[h][label].to_numpy() for h in truth}
        additive = {h: logit(t, h, interaction=False) for h, t in population.shared.items()}
        for part in ("all", *truth):
            names = list(truth) if part == "all" else [part]
            y = np.concatenate([truth[h] for h in names])
            p = np.concatenate([best[h] for h in names])
            a = np.concatenate([additive[h] for h in names])
            lines.append((label, part, len(y), float(y.mean()), auc(p, y), auc(a, y)))
    return pd.DataFrame(lines, columns=["label", "holder", "rows", "rate", "oracle_auc", "additive_auc"])


def write_population(population: Population, directory: Path) -> list[Path]:
    """Write data files, consent files, notes, schema, contracts and studies into a directory.

    Args:
        population: what `generate` made.
        directory: is created when absent; nothing in it is overwritten.

    Returns:
        The files written.

    Raises:
        UsageError: a file of that name is there already.
    """
    return files.write_population_files(
        directory, population.frames, population.notes, population.planted, population.consents
    )


def main() -> None:
    """Print base rates and oracle AUC of the default population."""
    import sys

    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    print(oracle(generate(seed)).round(4).to_string(index=False))


if __name__ == "__main__":
    main()
