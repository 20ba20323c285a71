"""Every benchmark of the privacy engine in one run: figures as JSON, and a page with tables and plots.

    python -m ringfence.simulations.benchmarks.privacy --splits 5 --folder out/bench

Writes `privacy.json`, `privacy.html` and `privacy.md` into the folder. Accuracy needs the public tables
(RINGFENCE_DATA, default ../shared/data); without them generated populations are measured, and the page says
so. Speeds are ratios to peers in the same run, per second of the processor where a neighbour on the machine
would spoil a wall clock.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ringfence.privacy.command_line.terminal import Parser, Terminal, run, write_atomically
from ringfence.simulations.benchmarks import engines, masks, noise, scale, scorecard, secure_sum
from ringfence.simulations.benchmarks.page import markdown, render
from ringfence.simulations.benchmarks.peers import PACKAGES, require
from ringfence.simulations.cases import TABLES

PUBLIC = ("telco", "credit_default")
GENERATED = ("flags", "amounts")


def main() -> int:
    """Entry point of `python -m`."""
    return run(command, program="benchmark-privacy")


def command(argv: Sequence[str]) -> int:
    """Run all benchmarks, or lay out the figures of an earlier run."""
    parser = Parser(
        prog="python -m ringfence.simulations.benchmarks.privacy",
        description="Every benchmark of the privacy engine.",
    )
    parser.add_argument("--splits", type=int, default=5, help="splits of each table (default: 5)")
    parser.add_argument("--draws", type=int, default=1, help="draws of noise a split (default: 1)")
    parser.add_argument(
        "--rows",
        type=int,
        nargs="+",
        default=list(scale.DEFAULT_ROWS),
        help="sizes of the study that is timed",
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("out/bench"), help="where results go (default: out/bench)"
    )
    parser.add_argument(
        "--from",
        dest="earlier",
        type=Path,
        default=None,
        metavar="JSON",
        help="lay out these figures, measure nothing",
    )
    arguments = parser.parse_args(argv)
    terminal = Terminal()
    require(*(("altair", "vl_convert") if arguments.earlier is not None else PACKAGES))
    if arguments.earlier is not None:
        report: dict[str, Any] = json.loads(arguments.earlier.read_text(encoding="utf-8"))
    else:
        report = measure(
            splits=arguments.splits, draws=arguments.draws, rows=arguments.rows, say=terminal.say
        )
    arguments.folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "privacy.json": json.dumps(report, indent=2) + "\n",
        "privacy.html": render(report),
        "privacy.md": markdown(report),
    }
    for name, text in texts.items():
        write_atomically(arguments.folder / name, text.encode())
        terminal.say(str(arguments.folder / name))
    return 0


def measure(
    *, splits: int, draws: int, rows: Sequence[int], say: Callable[[str], None] = lambda _line: None
) -> dict[str, Any]:
    """All parts, one after another.

    Args:
        splits: random 80/20 splits of each table.
        draws: draws of noise of each split.
        rows: sizes of the study that is timed.
        say: told a line at a time.
    """
    tables = PUBLIC if _public() else GENERATED
    stages: dict[str, Callable[[], dict[str, Any]]] = {
        "noise": noise.measure,
        "masks": masks.measure,
        "secure_sum": secure_sum.measure,
        "engines": engines.measure,
        "scale": lambda: scale.measure(rows),
        "scorecard": lambda: scorecard.measure(tables, splits=splits, draws=draws, say=say),
    }
    report: dict[str, Any] = {"machine": machine(), "parts": {}}
    for name, stage in stages.items():
        started = time.perf_counter()
        say(f"measuring {name}")
        report["parts"][name] = stage() | {"took_seconds": 0.0}
        report["parts"][name]["took_seconds"] = round(time.perf_counter() - started, 1)
    return report


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processors": os.cpu_count() or 0,
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }


def _public() -> bool:
    folder = Path(os.environ.get("RINGFENCE_DATA", "../shared/data"))
    return all((folder / file).is_file() for file in TABLES.values())


if __name__ == "__main__":
    sys.exit(main())
