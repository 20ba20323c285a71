"""Attacks on a released scorecard, for people who want to see what epsilon does; they are not the proof.

Membership: the likelihood-ratio attack (Carlini et al. 2022) with as many cards as asked for, learnt with and
without each target; half of them fit the attacker's two normals, the other half are attacked. Reconstruction:
a coordinator that knows every customer but one subtracts them from what it unmasked, and guesses the missing
one's cells. Generated people only. An attack that fails proves nothing: `make prove` holds the evidence,
whose attacker knows more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from ringfence.models.features import FeatureMatrix, encode_rows
from ringfence.models.scorecard import SCORECARD, Scorecard
from ringfence.models.scorecard.holder import coarse_codes
from ringfence.models.scorecard.plan import coarse_size, design
from ringfence.models.task import StudyContext
from ringfence.privacy.accounting.gaussian import mu_of
from ringfence.privacy.agreements.contract import load_contract
from ringfence.privacy.agreements.study import load_study, positive_category
from ringfence.privacy.command_line.terminal import Terminal
from ringfence.privacy.errors import N_, UsageError, _
from ringfence.privacy.mechanisms.source import OsNoise
from ringfence.privacy.waist import Aggregate
from ringfence.simulations.parties import HolderKeys, Site, with_holders
from ringfence.simulations.populations.city import MIN_CUSTOMERS, Population, generate, write_population
from ringfence.simulations.populations.structure import HOLDER_PROFILES
from ringfence.simulations.reference import NoiseOfPart, run_reference
from ringfence.simulations.unsplit_rows import UnsplitRows

VICTIMS_OF = "bank"
FALSE_POSITIVES = 0.01
FEWEST_RUNS = 16

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arena:
    """A small city as cell codes, and the study that is asked of it.

    Attributes:
        context: the study.
        parts: every customer of each holder, the attacked one's first.
        targets: rows of the first part that are attacked, at one holder only.
    """

    context: StudyContext
    parts: tuple[FeatureMatrix, ...]
    targets: npt.NDArray[np.int64]


def run_attack(*, epsilon: Decimal, runs: int, targets: int, seed: int, terminal: Terminal) -> int:
    """Attack and say what was tried and what came of it.

    Args:
        epsilon: of the study, over all its holders.
        runs: cards that are learnt, half of them to fit the attacker.
        targets: customers that are attacked.
        seed: of the generated people and of who is in which run; never of noise.
        terminal: where to speak and to write JSON.

    Raises:
        UsageError: too few runs or targets, or more targets than there are customers.
    """
    if runs < FEWEST_RUNS or not 2 <= targets <= MIN_CUSTOMERS // 2:
        raise UsageError(
            "RF-U375",
            N_(
                "An attack with {runs} runs on {targets} customers says nothing; give at least {least} runs, "
                "and 2 to {most} customers."
            ),
            runs=runs,
            targets=targets,
            least=FEWEST_RUNS,
            most=MIN_CUSTOMERS // 2,
        )
    terminal.say(_("Generating a small city of {count} customers a holder ...").format(count=MIN_CUSTOMERS))
    arena = _arena(epsilon, targets, seed)
    with terminal.progress(_("Learning cards with and without each target ..."), runs) as advance:
        membership = membership_inference(arena.context, arena.parts, arena.targets, runs, seed, advance)
    cells = reconstruction(arena.context, arena.parts, arena.targets)
    privacy = arena.context.study.privacy
    mu = mu_of(float(privacy.epsilon), float(privacy.delta))
    most = float(stats.norm.sf(stats.norm.isf(FALSE_POSITIVES) - mu))
    result = {
        "epsilon": str(privacy.epsilon),
        "delta": f"{privacy.delta:f}",
        "holders": len(arena.parts),
        "customers": sum(len(part.label) for part in arena.parts),
        "targets": len(arena.targets),
        "runs": runs,
        "membership": membership,
        "most_any_attack": most,
        "reconstruction": cells,
        "proof": "no: see docs/methods/proof.md",
    }
    terminal.write_json(result)
    for line in _story(result):
        terminal.say(line)
    return 0


def membership_inference(
    context: StudyContext,
    parts: Sequence[FeatureMatrix],
    targets: npt.NDArray[np.int64],
    runs: int,
    seed: int,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, float]:
    """Who was in? Judged by how sure the card is of each target's true label.

    Args:
        context: the study.
        parts: all customers; the targets are in the first part.
        targets: their rows there.
        runs: cards; a target is in each with even chances.
        seed: of who is in which run.
        advance: told of each run.

    Returns:
        `auc`, and `tpr` at one per cent of false positives with its 95 % interval `tpr_low` to `tpr_high` (as
        if targets and runs were independent), over targets and attacked runs.
    """
    inside = np.random.default_rng(seed).random((runs, len(targets))) < 0.5
    victims = parts[0].take(targets)
    sign = np.where(victims.label == 1, 1.0, -1.0)
    sure = np.empty(inside.shape)
    for run in range(runs):
        keep = np.ones(len(parts[0].label), dtype=np.bool_)
        keep[targets] = inside[run]
        card = run_reference(context, [parts[0].take(keep), *parts[1:]], task=SCORECARD)
        assert isinstance(card, Scorecard)
        sure[run] = sign * card.scores(context, victims) / 2**16
        advance(1)
    half = runs // 2
    ratio = likelihood_ratio(sure[:half], inside[:half], sure[half:])
    members, others = ratio[inside[half:]], ratio[~inside[half:]]
    threshold = float(np.quantile(others, 1 - FALSE_POSITIVES))
    ranks = stats.rankdata(np.concatenate([members, others]))[: len(members)]
    wins = float(ranks.sum()) - len(members) * (len(members) + 1) / 2
    found = int((members > threshold).sum())
    interval = stats.binomtest(found, len(members)).proportion_ci()
    return {
        "auc": wins / (len(members) * len(others)),
        "tpr": found / len(members),
        "tpr_low": float(interval.low),
        "tpr_high": float(interval.high),
    }


def likelihood_ratio(known: Floats, inside: Flags, seen: Floats) -> Floats:
    """Log likelihood of in over out for each target, two normals with one spread, which few runs can tell."""
    count_in = np.maximum(inside.sum(axis=0), 1)
    count_out = np.maximum((~inside).sum(axis=0), 1)
    with_them = np.where(inside, known, 0.0).sum(axis=0) / count_in
    without = np.where(inside, 0.0, known).sum(axis=0) / count_out
    spread = np.maximum((known - np.where(inside, with_them, without)).std(axis=0), 1e-9)
    return np.asarray(((seen - without) ** 2 - (seen - with_them) ** 2) / (2 * spread**2))


def reconstruction(
    context: StudyContext,
    parts: Sequence[FeatureMatrix],
    targets: npt.NDArray[np.int64],
    noise: NoiseOfPart = lambda _part: OsNoise(),
) -> dict[str, float]:
    """What was a missing customer's row? Guessed from the unmasked histogram by one who knows all the others.

    Args:
        context: the study.
        parts: all customers.
        targets: rows of the first part.
        noise: a source by position of the holder; the operating system's by default.

    Returns:
        `right`, the part of cells guessed right, and `by_frequency`, the same without looking at the release.
    """
    aggregates: list[Aggregate] = []

    def listening(heard: StudyContext, state: Any, aggregate: Aggregate) -> Any:
        aggregates.append(aggregate)
        return SCORECARD.step(heard, state, aggregate)

    run_reference(context, parts, task=replace(SCORECARD, step=listening), noise=noise)
    released, block = aggregates[0], SCORECARD.plan(context).rounds[0].blocks[0]
    sizes = [coarse_size(grid, design(context).options) for grid in context.grids]
    starts = np.cumsum([0, *sizes])[:-1]
    codes = [coarse_codes(context, part.codes) + starts for part in parts]
    exact = sum(np.bincount(each.ravel(), minlength=sum(sizes)) for each in codes)
    truth = codes[0][targets]
    right, usual = np.zeros(truth.shape, dtype=np.bool_), np.zeros(truth.shape, dtype=np.bool_)
    # With every share but the attacker's own holder's counted on: the noise it cannot know.
    variance = (len(parts) - 1) * block.share_scale**2
    for row, cells in enumerate(truth):
        others = np.asarray(exact).copy()
        others[cells] -= 1
        left = (released.blocks[block.name] - others * block.max_abs) * block.max_abs / variance
        frequency = np.log(others + 0.5)
        for column, (start, size) in enumerate(zip(starts, sizes, strict=True)):
            part = slice(start, start + size)
            right[row, column] = start + int(np.argmax(left[part] + frequency[part])) == cells[column]
            usual[row, column] = start + int(np.argmax(frequency[part])) == cells[column]
    return {"right": float(right.mean()), "by_frequency": float(usual.mean())}


def _arena(epsilon: Decimal, targets: int, seed: int) -> _Arena:
    """Three small holders and their study; the targets are customers of the first alone."""
    population = generate(seed, dict.fromkeys(HOLDER_PROFILES, MIN_CUSTOMERS))
    with tempfile.TemporaryDirectory(prefix="ringfence-") as name:
        folder = Path(name)
        write_population(population, folder)
        loaded = {holder: load_contract(folder / f"contract-{holder}.toml") for holder in HOLDER_PROFILES}
        schema = loaded[VICTIMS_OF].schema
        study = load_study(folder / "study.toml", [schema])
        sites = {
            holder: Site(contract=each.contract, base=folder, consent=folder / f"{holder}-consent.csv")
            for holder, each in loaded.items()
        }
    features = study.features or tuple(
        feature.name for feature in schema.features if feature.kind != "text" and feature.name != study.label
    )
    privacy = study.privacy.model_copy(update={"epsilon": epsilon})
    asked = with_holders(
        study.revised(features=features, privacy=privacy),
        schema,
        sites,
        {holder: HolderKeys.make() for holder in HOLDER_PROFILES},
    )
    context = StudyContext.of(asked, schema)
    parts = tuple(_encoded(population, holder, context) for holder in HOLDER_PROFILES)
    own = population.shared[VICTIMS_OF]["key"]
    elsewhere = pd.concat(
        [population.shared[holder]["key"] for holder in HOLDER_PROFILES if holder != VICTIMS_OF]
    )
    alone = np.flatnonzero(~own.isin(elsewhere).to_numpy(dtype=bool))
    chosen = np.random.default_rng(seed).permutation(alone)[:targets]
    return _Arena(context=context, parts=parts, targets=np.sort(chosen))


def _encoded(population: Population, holder: str, context: StudyContext) -> FeatureMatrix:
    label = context.study.label or ""
    positive = positive_category(context.study, context.schema)
    return encode_rows(
        UnsplitRows(population.shared[holder]), context.schema, context.features, label, positive
    )


def _story(result: dict[str, Any]) -> list[str]:
    """What was tried and what came of it, for people."""
    percent = {
        **{name: f"{result['membership'][name]:.1%}" for name in ("tpr", "tpr_low", "tpr_high")},
        "most": f"{result['most_any_attack']:.1%}",
        "right": f"{result['reconstruction']['right']:.1%}",
        "usual": f"{result['reconstruction']['by_frequency']:.1%}",
    }
    return [
        _(
            "Attacked: a scorecard of {holders} holders and {customers} generated customers, epsilon "
            "{epsilon} at delta {delta}"
        ).format(**result),
        _(
            "Membership by likelihood ratio, {targets} customers, {runs} cards: AUC {auc:.3f} (guessing: "
            "0.5), {tpr} found at 1 % false alarms (95 % interval {tpr_low} to {tpr_high}; guessing: 1 %)"
        ).format(**result, auc=result["membership"]["auc"], **percent),
        _(
            "What no attack on this study can exceed, if its epsilon is true: {most} at 1 % false alarms"
        ).format(**percent),
        _(
            "Reconstruction by a coordinator that knows all other customers: {right} of the cells right; by "
            "frequency alone {usual}"
        ).format(**percent),
        _(
            "This is not the proof: another attacker may be cleverer. The proof is make prove "
            "(docs/methods/proof.md)."
        ),
    ]
