"""How long a holder's table takes to be read, and how much memory that needs at its peak.

    python -m ringfence.simulations.benchmarks.reading --rows 1000000 --source csv parquet sqlite

Twenty columns beside the customer key: numbers, dates, categories and flags, with gaps and unknown codes.
Each source is read in a process of its own, from the first byte of the file to the bytes of the copy that is
kept for a study; its largest resident set is what the system says of that process.
"""

from __future__ import annotations

import csv
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ringfence.privacy.command_line.terminal import Parser, Terminal, add_json, run

NUMBERS, DATES, CATEGORIES, FLAGS = 10, 2, 5, 3
AT_ONCE = 200_000
PURPOSE = "churn-prediction"
_PLANS = ("basic", "silver", "gold", "none", "trial")


def main() -> int:
    """Entry point of `python -m`."""
    return run(command, program="benchmark-reading")


def command(argv: Sequence[str]) -> int:
    """Run the benchmark and print a line for each source."""
    parser = Parser(
        prog="python -m ringfence.simulations.benchmarks.reading",
        description="How long a table takes to be read, and how much memory.",
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the table (default: 1000000)")
    parser.add_argument(
        "--source",
        nargs="+",
        choices=("csv", "parquet", "sqlite"),
        default=["csv", "parquet", "sqlite"],
        help="kinds of source (default: all)",
    )
    parser.add_argument("--folder", type=Path, help="where tables are made; a temporary folder by default")
    parser.add_argument(
        "--child", type=Path, help="read the table of this folder, once, and say what it took"
    )
    add_json(parser)
    arguments = parser.parse_args(argv)
    terminal = Terminal.of(arguments)
    if arguments.child is not None:
        terminal.say(json.dumps(read_once(arguments.child, arguments.source[0])))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        report = measure(arguments.rows, arguments.source, arguments.folder or Path(temporary))
    for line in lines(report):
        terminal.say(line)
    terminal.write_json(report)
    return 0


def measure(rows: int, sources: Sequence[str], folder: Path) -> dict[str, Any]:
    """Seconds and peak memory of each source, `{"rows": ..., "csv": {"seconds": ..., "peak_gb": ...}}`."""
    report: dict[str, Any] = {"rows": rows, "columns": NUMBERS + DATES + CATEGORIES + FLAGS}
    for source in sources:
        make(folder, source, rows)
        command = [sys.executable, "-m", "ringfence.simulations.benchmarks.reading"]
        done = subprocess.run(
            [*command, "--child", str(folder), "--source", source], capture_output=True, text=True, check=True
        )
        report[source] = json.loads(done.stdout.splitlines()[-1])
    return report


def read_once(folder: Path, source: str) -> dict[str, float]:
    """Read, judge and keep the table in this process."""
    from ringfence.clients.rows.table import attested, kept, read_table
    from ringfence.simulations.federation import peak_rss_mb

    contract, schema, allowed = documents(source)
    before, begun, worked = peak_rss_mb(), time.perf_counter(), time.process_time()
    raw = read_table(contract, schema, allowed, folder)
    read, peak = time.perf_counter() - begun, peak_rss_mb()
    content = kept(attested(raw))
    return {
        "rows": len(raw),
        "seconds": round(read, 2),
        "seconds_kept": round(time.perf_counter() - begun, 2),
        "processor_seconds": round(time.process_time() - worked, 2),
        "start_gb": round(before / 1e3, 3),
        "peak_gb_read": round(peak / 1e3, 3),
        "peak_gb": round(peak_rss_mb() / 1e3, 3),
        "kept_gb": round(len(content) / 1e9, 3),
    }


def columns() -> list[tuple[str, str]]:
    """Names and kinds, in order."""
    kinds = (("number", NUMBERS), ("date", DATES), ("category", CATEGORIES), ("flag", FLAGS))
    return [(f"{kind}{place}", kind) for kind, count in kinds for place in range(count)]


def documents(source: str) -> tuple[Any, Any, Any]:
    """Contract, schema and decision over all columns."""
    from ringfence.privacy.agreements.contract import Contract
    from ringfence.privacy.agreements.obligations import Allowed
    from ringfence.privacy.agreements.schema import Schema

    keys: dict[str, dict[str, object]] = {
        "number": {"bounds": [0, 10_000]},
        "date": {"bounds": ["2000-01-01", "2027-01-01"]},
        "category": {"categories": list(_PLANS[:-1])},
        "flag": {},
    }
    features = [{"name": name, "kind": kind, **keys[kind]} for name, kind in columns()]
    schema = Schema.of(id="bench", version=1, feature=features)
    files = {"csv": {"file": "t.csv"}, "parquet": {"file": "t.parquet"}}
    contract = Contract.of(
        id="bench",
        holder="bench",
        version=1,
        schema=schema.digest(),
        subject="id",
        population="people",
        jurisdiction="DE",
        max_customers=2**30,
        source=files.get(source, {"url": "sqlite:///t.db", "table": "t"}),
        column=[{"name": name, "purposes": [PURPOSE]} for name, _kind in columns()],
    )
    names = [name for name, _kind in columns()]
    allowed = Allowed(
        subject="id",
        label=None,
        features=tuple(names),
        headers={name: name for name in names},
        sensitive=(),
        separate=(),
    )
    return contract, schema, allowed


def make(folder: Path, source: str, rows: int) -> None:
    """Write the table of that many rows."""
    parts = _parts(rows)
    match source:
        case "csv":
            with (folder / "t.csv").open("w", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream)
                writer.writerow(["id", *(name for name, _kind in columns())])
                for part in parts:
                    writer.writerows(zip(*part.values(), strict=True))
        case "parquet":
            _write_parquet(folder / "t.parquet", parts)
        case _:
            (folder / "t.db").unlink(missing_ok=True)
            with sqlite3.connect(folder / "t.db") as database:
                names = ", ".join(f'"{name}"' for name in ("id", *(name for name, _kind in columns())))
                database.execute(f"create table t ({names})")
                marks = ", ".join("?" * (1 + len(columns())))
                for part in parts:
                    database.executemany(f"insert into t values ({marks})", zip(*part.values(), strict=True))


def _write_parquet(path: Path, parts: Iterator[dict[str, list[Any]]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    writer = None
    for part in parts:
        table = pa.table(part)
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _parts(rows: int) -> Iterator[dict[str, list[Any]]]:
    """The table in parts, by a fixed seed."""
    draw = np.random.default_rng(1)
    first = np.datetime64("2000-01-01")
    for begin in range(0, rows, AT_ONCE):
        count = min(AT_ONCE, rows - begin)
        part: dict[str, list[Any]] = {"id": [f"c{begin + place:09d}" for place in range(count)]}
        for name, kind in columns():
            gaps = draw.random(count) < 0.02
            if kind == "number":
                values = np.round(draw.random(count) * 10_500, 2).tolist()
            elif kind == "date":
                values = np.datetime_as_string(first + draw.integers(0, 9_800, count)).tolist()
            else:
                words = _PLANS if kind == "category" else ("no", "yes")
                values = np.array(words)[draw.integers(0, len(words), count)].tolist()
            part[name] = [None if gap else value for gap, value in zip(gaps.tolist(), values, strict=True)]
        yield part


def lines(report: dict[str, Any]) -> list[str]:
    """The table for people."""
    return [
        f"{source:8} {found['rows']:,} rows x {report['columns']} columns: read in {found['seconds']:.1f} s, "
        f"kept after {found['seconds_kept']:.1f} s ({found['processor_seconds']:.1f} s of the processor), "
        f"peak {found['peak_gb_read']:.2f} and {found['peak_gb']:.2f} GB"
        for source, found in report.items()
        if isinstance(found, dict)
    ]


if __name__ == "__main__":
    sys.exit(main())
