"""How accurate the private scorecard is, over epsilon, noise and splits, beside peers on the same splits.

    python -m ringfence.simulations.benchmarks.scorecard --splits 10 --draws 1 --json out/bench/scorecard.json

Forms: `central` is one party with all customers (a yardstick, h = 1); `distributed-3` and `distributed-10`
are what a federation does; `local-10` is ten holders with noise of their own. Peers: DP-EBM (interpret,
bounds and types given), and without privacy a logistic regression and gradient boosting. Figures are exact
AUCs on customers that were not learned from, for researchers only; on generated tables the AUC expected under
the true chances.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ringfence.models.metrics.exact import auc
from ringfence.models.scorecard import SCORECARD, Scorecard
from ringfence.privacy.command_line.terminal import Parser, Terminal, add_json, run
from ringfence.simulations.benchmarks.cases import defined
from ringfence.simulations.benchmarks.peers import require
from ringfence.simulations.benchmarks.subjects import Subject, subject
from ringfence.simulations.benchmarks.varied import expected_auc
from ringfence.simulations.reference import central, run_reference

EPSILONS = ("0.1", "0.5", "1", "2", "4", "8")
FORMS = ("central", "distributed-3", "distributed-10", "local-10")
DELTA = 1e-6

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Figures = dict[str, list[list[float]]]


def main() -> int:
    """Entry point of `python -m`."""
    return run(command, program="benchmark-scorecard")


def command(argv: Sequence[str]) -> int:
    """Run the benchmark and print a table."""
    parser = Parser(
        prog="python -m ringfence.simulations.benchmarks.scorecard",
        description="How accurate the private scorecard is, beside its peers.",
    )
    parser.add_argument(
        "--splits", type=int, default=10, help="random 80/20 splits of each table (default: 10)"
    )
    parser.add_argument("--draws", type=int, default=1, help="draws of noise a split (default: 1)")
    parser.add_argument("--tables", default="telco,credit_default", help="names, with commas between")
    parser.add_argument(
        "--epsilons", default=",".join(EPSILONS), help="values of epsilon, with commas between"
    )
    parser.add_argument("--forms", default=",".join(FORMS), help="forms of noise, with commas between")
    parser.add_argument(
        "--no-peers", action="store_true", help="leave DP-EBM and the models without privacy out"
    )
    add_json(parser)
    arguments = parser.parse_args(argv)
    terminal = Terminal.of(arguments)
    report = measure(
        arguments.tables.split(","),
        splits=arguments.splits,
        draws=arguments.draws,
        epsilons=arguments.epsilons.split(","),
        forms=arguments.forms.split(","),
        peers=not arguments.no_peers,
        say=terminal.say,
    )
    terminal.write_json(report)
    return 0


def measure(
    tables: Sequence[str],
    *,
    splits: int,
    draws: int,
    epsilons: Sequence[str] = EPSILONS,
    forms: Sequence[str] = FORMS,
    peers: bool = True,
    say: Any = lambda _line: None,
) -> dict[str, Any]:
    """Measure the frozen default.

    Args:
        tables: see `subjects.subject`.
        splits: random 80/20 splits (or generated populations) of each table.
        draws: draws of noise of each split and form.
        epsilons: as a study would write them.
        forms: see the module.
        peers: whether to run them too.
        say: told a line a table and epsilon.

    Returns:
        By table and epsilon: for every method mean, standard error over splits, worst draw, and the paired
        difference to `central`; the ceilings without privacy; seconds of the processor a fit.
    """
    if peers:
        require("interpret", "sklearn")
    report: dict[str, Any] = {"delta": DELTA, "splits": splits, "draws": draws, "tables": {}}
    for name in tables:
        found: dict[str, Figures] = {epsilon: {} for epsilon in epsilons}
        ceilings: dict[str, list[float]] = {}
        seconds: list[float] = []
        for split in range(splits):
            each = subject(name, split)
            places = each.split(split)
            for epsilon in epsilons:
                for form in forms:
                    values = [_ours(each, places, epsilon, form, seconds) for _ in range(draws)]
                    found[epsilon].setdefault(form, []).append(values)
                if peers:
                    found[epsilon].setdefault("dp-ebm", []).append([_dp_ebm(each, places, float(epsilon))])
            if peers:
                for method, value in _without_privacy(each, places):
                    ceilings.setdefault(method, []).append(value)
        report["tables"][name] = {
            "epsilon": {epsilon: _summary(figures) for epsilon, figures in found.items()},
            "without_privacy": {method: _mean(values) for method, values in ceilings.items()},
            "seconds_a_fit": float(np.mean(seconds)) if seconds else 0.0,
        }
        for epsilon in epsilons:
            say(_line(name, epsilon, report["tables"][name]["epsilon"][epsilon]))
        for method, value in report["tables"][name]["without_privacy"].items():
            say(f"{name:15} no privacy  {method} {value['mean']:.4f}")
    return report


def _ours(
    each: Subject, places: tuple[Places, Places], epsilon: str, form: str, seconds: list[float]
) -> float:
    """AUC of one fit of the frozen default."""
    learn, judge = places
    kind, _, count = form.partition("-")
    holders = int(count or 3)
    context = each.context(epsilon, holders, "local" if kind == "local" else "distributed")
    # Rows are dealt out evenly; what each holder has does not matter, only how many shares are added.
    parts = (
        [each.rows.take(part) for part in np.array_split(learn, holders)]
        if count
        else [each.rows.take(learn)]
    )
    started = time.process_time()
    card = run_reference(context if count else central(context), parts, task=SCORECARD)
    seconds.append(time.process_time() - started)
    assert isinstance(card, Scorecard)
    return _judge(each, judge, card.scores(context, each.rows.take(judge)).astype(np.float64))


def _judge(each: Subject, judge: Places, scores: Floats) -> float:
    if each.chance is not None:
        return expected_auc(scores, each.chance)
    return defined(auc(scores, each.rows.label[judge]))


def _dp_ebm(each: Subject, places: tuple[Places, Places], epsilon: float) -> float:
    """AUC of interpret's DP-EBM, with bounds and types given so that it spends nothing on them."""
    from interpret.privacy import DPExplainableBoostingClassifier  # pyright: ignore[reportMissingImports]  # comes with ringfence[bench]

    learn, judge = places
    table, types, bounds = each.frame.copy(), [], {}
    for column, name in enumerate(each.features):
        feature = each.schema.feature(name)
        if feature.kind == "number":
            types.append("continuous")
            low, high = feature.limits
            bounds[column] = (low, high) if each.chance is None else (0.0, 256.0)
        else:
            types.append("nominal")
    peer = DPExplainableBoostingClassifier(
        feature_types=types, epsilon=epsilon, delta=DELTA, privacy_bounds=bounds, random_state=None, n_jobs=1
    )
    peer.fit(table.iloc[learn], each.rows.label[learn].astype(int))
    return _judge(each, judge, np.asarray(peer.predict_proba(table.iloc[judge]))[:, 1])


def _without_privacy(each: Subject, places: tuple[Places, Places]) -> Iterable[tuple[str, float]]:
    """AUC of a logistic regression and of gradient boosting that see everything."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    learn, judge = places
    texts = [name for name in each.features if each.schema.feature(name).kind != "number"]
    numbers = each.frame.drop(columns=texts)
    wide = pd.concat(
        [numbers.fillna(numbers.median()), pd.get_dummies(each.frame[texts], dtype=float)], axis=1
    )
    codes = pd.concat(
        [numbers, each.frame[texts].apply(lambda column: pd.factorize(column, sort=True)[0])], axis=1
    )
    label = each.rows.label[learn]
    linear = LogisticRegression(max_iter=1000)
    scaled = StandardScaler().fit(wide.iloc[learn])
    linear.fit(scaled.transform(wide.iloc[learn]), label)
    yield (
        "logistic regression",
        _judge(each, judge, linear.decision_function(scaled.transform(wide.iloc[judge]))),
    )
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=150, max_leaf_nodes=15, random_state=0
    )
    trees.fit(codes.iloc[learn], label)
    yield "gradient boosting", _judge(each, judge, np.asarray(trees.predict_proba(codes.iloc[judge]))[:, 1])


def _summary(figures: Figures) -> dict[str, Any]:
    """Every method over its splits, and against `central` on the same splits."""
    means = {
        method: np.array([np.mean(values) for values in rows], dtype=np.float64)
        for method, rows in figures.items()
    }
    out: dict[str, Any] = {}
    for method, rows in figures.items():
        out[method] = _mean(means[method]) | {"worst": float(min(min(values) for values in rows))}
        if "central" in means and method != "central":
            out[method]["against_central"] = _mean((means[method] - means["central"]).astype(np.float64))
    return out


def _mean(values: Sequence[float] | Floats) -> dict[str, float]:
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    return {"mean": float(np.mean(values)), "standard_error": error}


def _line(name: str, epsilon: str, summary: Mapping[str, Any]) -> str:
    parts = []
    for method, value in summary.items():
        text = f"{method} {value['mean']:.4f} (worst {value['worst']:.3f}"
        if "against_central" in value:
            difference = value["against_central"]
            text += f"; {difference['mean']:+.4f} +- {difference['standard_error']:.4f}"
        parts.append(text + ")")
    return f"{name:15} epsilon {epsilon:4} " + "  ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
