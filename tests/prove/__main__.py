"""`make prove`: every claim about privacy against its evidence, and every known way of breaking it against
the claims.

Exit status 1 when a claim fails, or a mutant survives or cannot be judged.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from prove.claims import CLAIMS
from prove.running import Outcome, failures, report, run, tasks


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m prove", description=__doc__)
    parser.add_argument(
        "claims", nargs="*", metavar="CLAIM", help="claims to examine, with their mutants (default: all)"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=min(4, os.cpu_count() or 1),
        help="processes (default: one a core, at most 4)",
    )
    parser.add_argument("--times", action="store_true", help="also tell how long each check took")
    arguments = parser.parse_args()
    unknown = set(arguments.claims) - {claim.name for claim in CLAIMS}
    if unknown:
        parser.error(f"no claim is called {', '.join(sorted(unknown))}")
    started = time.perf_counter()

    def tell(outcome: Outcome) -> None:
        if arguments.times:
            verdict = "as it should be" if outcome.good else "NOT as it should be"
            print(
                f"{outcome.seconds:6.1f} s  {outcome.task.kind} {outcome.task.name}: {verdict}",
                file=sys.stderr,
                flush=True,
            )

    outcomes = run(tasks(arguments.claims), arguments.jobs, tell)
    print("\n".join(report(outcomes)))
    bad = failures(outcomes)
    claims = sum(outcome.task.kind == "claim" for outcome in outcomes)
    print(
        f"\n{claims} claims, {len(outcomes) - claims} mutants, {time.perf_counter() - started:.0f} s on "
        f"{arguments.jobs} processes: "
        + (f"FAILED: {'; '.join(bad)}" if bad else "every claim holds, every mutant is rejected")
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
