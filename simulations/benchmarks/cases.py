"""How good and how fast: the public cases over many splits, in memory and with stores on disk.

    python -m ringfence.simulations.benchmarks.cases --splits 10 --json out/bench/cases.json
    python -m ringfence.simulations.benchmarks.cases --cases cdnow,online_retail --splits 8

Every split is a study of its own name, so its test part is another one; the partition into three holders is
drawn anew as well. Needs the public tables (RINGFENCE_DATA, default ../shared/data) and says so where they
are absent.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ringfence.audit.events import Profile
from ringfence.privacy.command_line.terminal import Parser, Terminal, add_json, run
from ringfence.privacy.errors import N_, UsageError
from ringfence.simulations.cases import EVENT_TABLES, TABLES, copy_case
from ringfence.simulations.experiment import lay_out
from ringfence.simulations.federation import Federation, Outcome, peak_rss_mb, run_in_process
from ringfence.simulations.question import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One case over all splits.

    Attributes:
        auc: exact test AUC of each split, simulation profile.
        seconds: wall time of each run, simulation profile.
        durable: wall time of one run with stores on disk.
        peak_rss_mb: largest resident set of the process, start-up included.
        start_rss_mb: the same before the first run.
    """

    auc: list[float]
    seconds: list[float]
    durable: float
    peak_rss_mb: float
    start_rss_mb: float

    def as_json(self) -> dict[str, Any]:
        """Means, standard errors and every single figure."""
        return {
            "auc_mean": float(np.mean(self.auc)),
            "auc_standard_error": float(np.std(self.auc, ddof=1) / np.sqrt(len(self.auc)))
            if len(self.auc) > 1
            else 0.0,
            "auc": self.auc,
            "seconds_mean": float(np.mean(self.seconds)),
            "seconds_max": max(self.seconds),
            "seconds_durable": self.durable,
            "peak_rss_mb": self.peak_rss_mb,
            "start_rss_mb": self.start_rss_mb,
        }


def main() -> int:
    """Entry point of `python -m`."""
    return run(command, program="benchmark-cases")


def command(argv: Sequence[str]) -> int:
    """Run the benchmark and print a table."""
    parser = Parser(
        prog="python -m ringfence.simulations.benchmarks.cases",
        description="How good and how fast: the public cases over many splits.",
    )
    known = TABLES | EVENT_TABLES
    parser.add_argument(
        "--cases",
        default=",".join(TABLES),
        help=f"of {', '.join(known)}, with commas between (default: %(default)s)",
    )
    parser.add_argument("--splits", type=int, default=10, help="splits of each case (default: 10)")
    parser.add_argument("--holders", type=int, default=3, help="iid holders (default: 3)")
    parser.add_argument("--epsilon", default=None, help="instead of the case's own")
    add_json(parser)
    arguments = parser.parse_args(argv)
    terminal = Terminal.of(arguments)
    data = Path(os.environ.get("RINGFENCE_DATA", "../shared/data"))
    report = {}
    for case in arguments.cases.split(","):
        file = known.get(case, "")
        if not file:
            raise UsageError(
                "RF-U362",
                N_("There is no table {name} to measure on; known are: {known}."),
                name=case,
                known=", ".join(known),
            )
        if not (data / file).is_file():
            raise UsageError(
                "RF-U350",
                N_("The public table {file} is not in {folder}; set RINGFENCE_DATA."),
                file=file,
                folder=str(data),
            )
        report[case] = measure(case, data / file, arguments).as_json()
        terminal.say(line(case, report[case]))
    terminal.write_json(report)
    return 0


def measure(case: str, table: Path, arguments: argparse.Namespace) -> Figures:
    """All splits of one case."""
    start = peak_rss_mb()
    auc, seconds = [], []
    for split in range(arguments.splits):
        outcome = one_run(case, table, split, arguments, "simulation")
        auc.append(defined(outcome.metrics.auc))
        seconds.append(outcome.seconds)
    durable = one_run(case, table, 0, arguments, "durable").seconds
    return Figures(auc=auc, seconds=seconds, durable=durable, peak_rss_mb=peak_rss_mb(), start_rss_mb=start)


def defined(figure: float | None) -> float:
    """A figure to be measured.

    Raises:
        UsageError: there is none.
    """
    if figure is None:
        raise UsageError(
            "RF-U620",
            N_("The test customers all have one label, so there is no AUC to measure; use a larger table."),
        )
    return figure


def one_run(case: str, table: Path, split: int, arguments: argparse.Namespace, profile: Profile) -> Outcome:
    """One run: a study named after its split."""
    with tempfile.TemporaryDirectory(prefix="ringfence-") as name:
        folder = Path(name)
        copy_case(case, folder / "case")
        question = Question.load(
            folder / "case" / "study.toml",
            [folder / "case" / "contract.toml"],
            [table],
            holders=arguments.holders,
            seed=split,
        )
        study = question.study.revised(id=f"{case}-split-{split}".replace("_", "-"))
        if arguments.epsilon is not None:
            study = study.revised(privacy=study.privacy.revised(epsilon=arguments.epsilon))
        sites, _rows = lay_out(replace(question, study=study), folder)
        federation = Federation.make(study, question.schema, sites, profile=profile, folder=folder)
        outcome, _holders = run_in_process(federation)
        return outcome


def line(case: str, figures: dict[str, Any]) -> str:
    """One case in a line."""
    return (
        f"{case:16} AUC {figures['auc_mean']:.4f} +- {figures['auc_standard_error']:.4f} over "
        f"{len(figures['auc'])} splits; {figures['seconds_mean']:.2f} s a run "
        f"({figures['seconds_durable']:.2f} s durable); {figures['peak_rss_mb']:.0f} MB at most, "
        f"{figures['start_rss_mb']:.0f} MB after start-up"
    )


if __name__ == "__main__":
    sys.exit(main())
