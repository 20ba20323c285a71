"""How long a coordinator takes to list its studies and its runs, as its commands do.

`python -m ringfence.simulations.benchmarks.listing [URL]`; it prints time that passed and time of the
processor, since the first says little on a machine that is busy.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import insert

from ringfence.privacy.stores.schema import lay
from ringfence.privacy.stores.store import open_store
from ringfence.server.migrations.schema import COORDINATOR_STORE
from ringfence.server.records.runs import MEMBERS, RUNS, runs_kept
from ringfence.server.records.submissions import METADATA, Submissions

LISTED = 10_000
TIMES = 20
HOLDERS = ("north", "south", "west")
Taken = dict[str, list[tuple[float, float]]]


def listing_seconds(target: str, count: int = LISTED, times: int = TIMES) -> Taken:
    """Seconds, and seconds of the processor, of several listings of a fresh store: of studies, and of runs.

    Args:
        target: of an empty store: a file, or a `postgresql://` URL.
        count: studies in it, each with three holders, and each run.
        times: listings.
    """
    engine = open_store(target)
    try:
        lay(engine, COORDINATOR_STORE)
        studies, standings = (METADATA.tables[name] for name in ("submitted_studies", "study_standings"))
        with engine.begin() as connection:
            connection.execute(insert(RUNS), [_run(number) for number in range(count)])
            connection.execute(insert(studies), [_study(number) for number in range(count)])
            for table, row in ((MEMBERS, _member), (standings, _standing)):
                rows = [row(number, holder) for number in range(count) for holder in HOLDERS]
                connection.execute(insert(table), rows)
        submissions = Submissions(engine)
        ways: dict[str, Callable[[], int]] = {
            "studies": lambda: len(submissions.listed()),
            "runs": lambda: len(runs_kept(engine)),
        }
        taken: Taken = {name: [] for name in ways}
        for name, way in ways.items():
            for _ in range(times):
                begun, worked = time.perf_counter(), time.process_time()
                found = way()
                taken[name].append((time.perf_counter() - begun, time.process_time() - worked))
                if found != count:
                    raise RuntimeError(f"Expected {count} {name}, found {found}.")
    finally:
        engine.dispose()
    return taken


def _study(number: int) -> dict[str, object]:
    return {
        "study": f"sha256:{number:064x}",
        "name": f"study-{number}",
        "expires": "2030-12-31",
        "submitted": f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}+00:00",
        "document": "d" * 3000,
        "schema": "s" * 1500,
    }


def _member(number: int, holder: str) -> dict[str, object]:
    return {"run": f"{number:032x}", "holder": holder, "joined": "2026-01-01T00:00:00+00:00"}


def _standing(number: int, holder: str) -> dict[str, object]:
    moment = "2026-01-01T00:00:00+00:00"
    told = {"state": "approved", "delivered": moment, "heard": moment, "missed": ""}
    return {"study": f"sha256:{number:064x}", "holder": holder, **told}


def _run(number: int) -> dict[str, object]:
    return {
        "run": f"{number:032x}",
        "study": f"sha256:{number:064x}",
        "name": f"study-{number}",
        "started": f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}+00:00",
        "round": 7,
        "attempt": 0,
        "roster": 3,
        "outcome": "released",
        "model": f"sha256:{number:064x}",
        "ended": "2026-01-02T00:00:00+00:00",
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        found = listing_seconds(sys.argv[1] if sys.argv[1:] else str(Path(folder) / "runs.db"))
    for kind, each in found.items():
        for name, seconds in zip(("passed", "processor"), zip(*each, strict=True), strict=True):
            ordered = sorted(1e3 * one for one in seconds)
            middle = ordered[len(ordered) // 2]
            print(f"{LISTED} {kind}, {name}: median {middle:.0f}, least {ordered[0]:.0f} ms")
