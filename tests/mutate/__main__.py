"""`make mutants`: one-line faults by chance, in the modules that guard, and whether their tests notice them.

Draws a sample of all changes that mutmut's operators make of the chosen modules, runs each module's own tests
on it, and prints which were noticed. Exit status 1 when the score is below the least that is asked for, 2
when an entry of the list of equivalents fits no change any more.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence

from mutate.equivalents import known, stale
from mutate.forking import Result, baseline, examine, warm_up
from mutate.generating import Change, Mutant, changes
from mutate.targets import TARGETS, chosen


def main() -> int:
    """Parse, draw, run, print."""
    parser = argparse.ArgumentParser(prog="python -m mutate", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"groups ({', '.join(TARGETS)}) or files (default: all)"
    )
    parser.add_argument("--sample", type=int, default=60, help="how many mutants (default: 60; 0 for all)")
    parser.add_argument("--seed", type=int, help="of the draw (default: by chance, printed)")
    parser.add_argument("--least", type=float, default=90.0, help="score below which it fails, in percent")
    arguments = parser.parse_args()
    try:
        modules = chosen(arguments.names)
    except KeyError as missing:
        parser.error(f"there is no group or file {missing}")
    gone = stale([each for each in known() if each.module in modules])
    for each in gone:
        print(f"equivalents.toml: no change of {each.module} is\n    - {each.minus}\n    + {each.plus}")
    if gone:
        return 2
    seed = random.SystemRandom().randrange(2**32) if arguments.seed is None else arguments.seed
    drawn, total = draw(sorted(modules), arguments.sample, seed)
    print(f"{len(drawn)} of {total} mutants of {len(modules)} modules, seed {seed}", flush=True)
    warm_up()
    results, started = [], time.perf_counter()
    for module in sorted({mutant.module for mutant in drawn}):
        limit = int(5 + 4 * baseline(module, modules[module], 600))
        for mutant in (each for each in drawn if each.module == module):
            results.append(examine(mutant, modules[module], limit))
            if not results[-1].noticed:
                print(f"survived: {mutant}", flush=True)
    print(report(results))
    print(f"{time.perf_counter() - started:.0f} s")
    return int(score(results) < arguments.least)


def draw(modules: Sequence[str], size: int, seed: int) -> tuple[list[Mutant], int]:
    """A sample of all changes of the modules, those that are equivalent left out, and how many there are."""
    every: list[Change] = [change for module in modules for change in changes(module)]
    order, equivalents = list(every), known()
    random.Random(seed).shuffle(order)
    found: list[Mutant] = []
    for change in order:
        if size and len(found) == size:
            break
        mutant = change.mutant()
        if mutant is not None and not any(each.fits(mutant) for each in equivalents):
            found.append(mutant)
    return found, len(every)


def score(results: Sequence[Result]) -> float:
    """Percent of the mutants that were noticed."""
    return 100 * sum(each.noticed for each in results) / max(1, len(results))


def report(results: Sequence[Result]) -> str:
    """A line for each module, and the score of all."""
    drawn = Counter(each.mutant.module for each in results)
    noticed = Counter(each.mutant.module for each in results if each.noticed)
    lines = [f"{noticed[module]:4} of {count:4}  {module}" for module, count in sorted(drawn.items())]
    return "\n".join([*lines, f"{sum(noticed.values())} of {len(results)} noticed: {score(results):.1f} %"])


if __name__ == "__main__":
    sys.exit(main())
