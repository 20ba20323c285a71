"""How long a coordinator's store takes to list its runs.

`python -m ringfence.simulations.benchmarks.listing [URL]`; it prints time that passed and time of the
processor, since the first says little on a machine that is busy.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import insert, select

from ringfence.privacy.stores.schema import lay
from ringfence.privacy.stores.store import open_store, reading
from ringfence.server.migrations.schema import COORDINATOR_STORE
from ringfence.server.records.runs import RUNS

RUNS_LISTED = 10_000
TIMES = 20
_LIST = select(RUNS.c.run, RUNS.c.study, RUNS.c.name, RUNS.c.started, RUNS.c.outcome, RUNS.c.ended)


def listing_seconds(target: str, count: int = RUNS_LISTED, times: int = TIMES) -> list[tuple[float, float]]:
    """Seconds, and seconds of the processor, of several listings of a fresh store, newest run first.

    Args:
        target: of an empty store: a file, or a `postgresql://` URL.
        count: runs in it.
        times: listings.
    """
    engine = open_store(target)
    try:
        lay(engine, COORDINATOR_STORE)
        rows = [_run(number) for number in range(count)]
        with engine.begin() as connection:
            connection.execute(insert(RUNS), rows)
        taken = []
        for _ in range(times):
            begun, worked = time.perf_counter(), time.process_time()
            with reading(engine) as connection:
                found = connection.execute(_LIST.order_by(RUNS.c.started.desc())).all()
            taken.append((time.perf_counter() - begun, time.process_time() - worked))
            if len(found) != count:
                raise RuntimeError(f"Expected {count} runs, found {len(found)}.")
    finally:
        engine.dispose()
    return taken


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
    for name, seconds in zip(("passed", "processor"), zip(*found, strict=True), strict=True):
        ordered = sorted(1e3 * each for each in seconds)
        middle = ordered[len(ordered) // 2]
        print(f"{RUNS_LISTED} runs, {name}: median {middle:.0f}, most {ordered[-1]:.0f} ms")
