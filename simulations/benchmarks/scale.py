"""How long one scorecard takes and how much memory, against the number of rows.

    python -m ringfence.simulations.benchmarks.scale --rows 30000 250000 1000000 --json out/bench/scale.json

Three holders, 20 columns (12 numbers, 8 categories), epsilon 1, delta 1e-7 up to a million rows and less
beyond (`delta`), one process, one thread of algebra. The clock runs from the tables' attestation (reading and
checking them, which people do before a study is offered) over the offer to the farewell: signatures and
policy, looking up every customer's consent in a registry that nothing was read from before, the noisy cohort
count, the coding of the rows, all secure sums with noise, masks, ledger and events, the evaluation's secure
sum, and the card under a checkpoint of every log.

Before the clock: Python and its libraries are loaded, keys are made, the contracts signed, the stores opened
and the consent records imported (in the same process, so they count in its memory). After it: the exact
figures that only a simulation may compute. The tables are written by another process.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ringfence.audit.events import Profile
from ringfence.clients import gate, joining, pipeline
from ringfence.clients.agent import Agent
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.command_line.terminal import Parser, Terminal, add_json, run
from ringfence.privacy.consent.registry import ConsentRegistry
from ringfence.privacy.protocol.control import COORDINATOR
from ringfence.server import rounds
from ringfence.simulations import parties
from ringfence.simulations.benchmarks.timing import Stages
from ringfence.simulations.cli import one_thread_of_algebra
from ringfence.simulations.federation import Federation, outcome_of, peak_rss_mb
from ringfence.simulations.parties import InProcess, Site

HOLDERS = 3
NUMBERS = 12
# No delta above 1e-7, however few the rows.
DELTA_DIGITS = 7
CATEGORIES = ("a", "b", "c", "d", "e")
LABELLED = 8
DEFAULT_ROWS = (30_000, 250_000, 500_000, 1_000_000)

# In the order of a study; a stage holds what it does itself, without the others that it calls.
STAGES = {
    "offers: signatures, policy, checkpoints": (Agent, "_offered"),
    "tables read, checked and kept": (parties, "with_attested_table"),
    "kept tables taken up": (joining, "_attested"),
    "customers looked up in the registry": (ConsentRegistry, "indices"),
    "consent folded, cohort counted and frozen": (joining, "_freeze"),
    "rows filtered by consent": (joining, "consented"),
    "rows split and coded": (joining, "encoded"),
    "rounds: messages, rosters": (Agent, "_answer"),
    "rounds: attempts made durable": (gate, "begin"),
    "rounds: consent re-read, sums over rows": (pipeline, "contribute"),
    "rounds: noise": (gate, "with_noise"),
    "rounds: masks, ledger, events, signatures": (gate, "send"),
    "farewell": (Agent, "_finished"),
}


def main() -> int:
    """Entry point of `python -m`."""
    return run(command, program="benchmark-scale")


def command(argv: Sequence[str]) -> int:
    """Run the benchmark and print a table."""
    parser = Parser(
        prog="python -m ringfence.simulations.benchmarks.scale",
        description="Time and memory of one scorecard.",
    )
    parser.add_argument(
        "--rows", type=int, nargs="+", default=list(DEFAULT_ROWS), help="rows of all tables together"
    )
    add_json(parser)
    arguments = parser.parse_args(argv)
    terminal = Terminal.of(arguments)
    report = measure(arguments.rows)
    for each in report["fits"]:
        terminal.say(line(each))
        for stage, spent in each["stages"].items():
            terminal.say(
                f"{spent['seconds']:10.3f} s ({spent['processor_seconds']:.3f} s of processor)  {stage}"
            )
    terminal.write_json(report)
    return 0


def measure(rows: Sequence[int]) -> dict[str, Any]:
    """One fit at every size, and a durable one at the smallest.

    Args:
        rows: of all tables together.
    """
    fits = [fit(count, "simulation") for count in rows]
    fits.append(fit(min(rows), "durable"))
    return {"holders": HOLDERS, "columns": NUMBERS + LABELLED, "epsilon": 1, "fits": fits}


def line(each: dict[str, Any]) -> str:
    """One fit in a line."""
    return (
        f"{each['rows']:>9} rows, {each['profile']:10}: {each['seconds']:7.2f} s "
        f"({each['processor_seconds']:.2f} s of processor), {each['peak_rss_mb']:6.0f} MB at most, AUC "
        f"{each['auc']:.4f}"
    )


def fit(rows: int, profile: Profile) -> dict[str, Any]:
    """Make the tables in one process and run the study in another."""
    one_thread_of_algebra()
    with tempfile.TemporaryDirectory(prefix="ringfence-") as name:
        folder = Path(name)
        for stage in (write_tables, run_timed_study):
            process = multiprocessing.get_context("spawn").Process(target=stage, args=(folder, rows, profile))
            process.start()
            process.join()
            if process.exitcode:
                raise ChildProcessError(f"{stage.__name__} ended with status {process.exitcode}")
        found: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return found


def write_tables(folder: Path, rows: int, _profile: Profile) -> None:
    """A Parquet table and consent records for each holder."""
    for index in range(HOLDERS):
        count = rows // HOLDERS
        rng = np.random.default_rng([7, index, rows])
        values = rng.normal(size=(count, NUMBERS))
        levels = rng.integers(0, len(CATEGORIES), size=(count, LABELLED))
        logit = (
            -1.5
            + values[:, :6] @ np.linspace(0.8, 0.1, 6)
            + 0.3 * np.abs(values[:, 6])
            + 0.25 * (levels[:, 0] - 2)
        )
        frame = pd.DataFrame({f"n{i:02}": values[:, i] for i in range(NUMBERS)})
        for i in range(LABELLED):
            frame[f"c{i}"] = np.array(CATEGORIES)[levels[:, i]]
        frame["churn"] = np.where(rng.random(count) < 1 / (1 + np.exp(-logit)), "yes", "no")
        frame.insert(0, "key", [f"h{index}-{row:07}" for row in range(count)])
        frame.to_parquet(folder / f"holder-{index}.parquet", index=False)
        grants = pd.DataFrame(
            {"customer_key": frame["key"], "event": "granted", "purpose": "churn-prediction"}
        )
        grants = grants.assign(
            at="2020-01-01",
            valid_until="",
            notice_id="made-up",
            notice_version="1",
            notice_language="en",
            notice_digest="sha256:" + "0" * 64,
            legal_basis="consent",
            recipients=f"holder-{index}",
            separate_consents="provision",
        )
        grants.to_csv(folder / f"holder-{index}-consent.csv", index=False)


def signed_federation(folder: Path, rows: int, profile: Profile) -> Federation:
    """The holders and the study that they are asked for, signed; no table is read."""
    schema = _schema()
    sites = {
        name: Site(
            contract=_contract(name, schema, rows), base=folder, consent=folder / f"{name}-consent.csv"
        )
        for name in (f"holder-{index}" for index in range(HOLDERS))
    }
    return Federation.make(_study(schema, rows), schema, sites, profile=profile, folder=folder)


def run_timed_study(folder: Path, rows: int, profile: Profile) -> None:
    """One study over the tables; the result goes beside them."""
    federation = signed_federation(folder, rows, profile)
    holders = {name: federation.assembled(name) for name in federation.sites}
    transport = InProcess(agents={name: Agent(holder=holder) for name, holder in holders.items()})
    stages = Stages()
    wall, processor = time.perf_counter(), time.process_time()
    with stages.watching(STAGES), stages.stage(COORDINATOR):
        for holder in holders.values():
            parties.with_attested_table(holder, federation.opened.study)
        release = rounds.run_study(federation.coordinator, federation.opened, transport)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    result = {
        "rows": rows,
        "delta": delta(rows),
        "profile": profile,
        "seconds": round(wall, 3),
        "processor_seconds": round(processor, 3),
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "stages": {
            stage: spent[stage] for stage in (*STAGES, COORDINATOR) if stage in (spent := stages.as_json())
        },
        "auc": outcome_of(federation, release, wall, holders, {}).metrics.auc,
    }
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def _schema() -> Schema:
    numbers = [{"name": f"n{i:02}", "kind": "number", "bounds": [-4, 4]} for i in range(NUMBERS)]
    categories = [
        {"name": f"c{i}", "kind": "category", "categories": list(CATEGORIES)} for i in range(LABELLED)
    ]
    label = {"name": "churn", "kind": "flag"}
    return Schema.model_validate({"id": "scale", "version": 1, "feature": [*numbers, *categories, label]})


def _contract(name: str, schema: Schema, rows: int) -> Contract:
    return Contract.model_validate(
        {
            "id": f"{name}-scale",
            "holder": name,
            "version": 1,
            "schema": schema.digest(),
            "subject": "key",
            "population": f"{name}-customers",
            "jurisdiction": "CN",
            "max_customers": rows,
            "overlap": 1,
            "source": {"file": f"{name}.parquet"},
            "column": [
                {"name": feature.name, "sensitivity": "plain", "purposes": ["churn-prediction"]}
                for feature in schema.features
            ],
        }
    )


def delta(rows: int) -> str:
    """A power of ten of at most a tenth of one over the rows, which a holder's contract names as its most
    customers, and never more than 1e-7.
    """
    return f"1e-{max(DELTA_DIGITS, len(str(rows - 1)) + 1)}"


def _study(schema: Schema, rows: int) -> Study:
    return Study.model_validate(
        {
            "id": "scale",
            "schema": schema.digest(),
            "purpose": "churn-prediction",
            "legal_basis": "consent",
            "jurisdiction": "CN",
            "task": "scorecard",
            "label": "churn",
            "positive": "yes",
            "expires": "2099-12-31",
            "dpia": "made-up rows",
            "privacy": {"epsilon": "1", "delta": delta(rows), "noise": "distributed", "min_holders": HOLDERS},
        }
    )


if __name__ == "__main__":
    sys.exit(main())
