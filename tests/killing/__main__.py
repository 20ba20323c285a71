"""`python -m killing`: kill every party at every named step and at instants by chance, and look what is left.

    python -m killing --steps all --instants 200 --doors --processes 200 --out out/killing
    python -m killing --steps few

Writes `matrix.json` and `matrix.md` as it goes, says every study that did not end as it has to, and ends with
status 1 where there was one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from killing.doors import doors
from killing.matrix import Case, Field, steps_named
from killing.mistakes import unnoticed
from killing.table import Matrix
from killing.towns import VICTIMS, Street, street

DEATHS = 5
"""Of one study of real processes."""
_STRIDE = 11
TELLING_SECONDS = 400.0
"""Between two tries of `serve` to say an end that was not heard there are five minutes at most."""


def main() -> int:
    """Parse, kill, tell."""
    parser = argparse.ArgumentParser(prog="python -m killing", description=__doc__)
    parser.add_argument("--steps", choices=("all", "few", "none"), default="none", help="of forked parties")
    parser.add_argument("--part", default="1/1", help="of the steps, I/N: each N-th from the I-th on")
    parser.add_argument("--instants", type=int, default=0, help="by chance, in studies of forked parties")
    parser.add_argument("--processes", type=int, default=0, help="deaths of real processes, by chance")
    parser.add_argument("--doors", action="store_true", help="every route of the gateway, real processes")
    parser.add_argument("--mistakes", action="store_true", help="see that the oracle notices each")
    parser.add_argument("--names", action="store_true", help="write steps.py anew, and end")
    parser.add_argument("--seed", type=int, help="of the instants (default: by chance, printed)")
    parser.add_argument("--out", type=Path, default=Path("out/killing"))
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    matrix = Matrix()
    with tempfile.TemporaryDirectory(prefix="killing-") as name:
        tell = _teller(matrix, given.out, seed)
        if given.steps != "none" or given.instants or given.mistakes or given.names:
            field = Field.founded(Path(name) / "forked")
            matrix.steps = steps_named(step for steps in field.steps.values() for step in steps)
            if given.names:
                write_names(matrix.steps)
                return 0
            if given.mistakes:
                matrix.faults += [f"the oracle does not notice: {each}" for each in unnoticed(field)]
            for case in _cases(field, given, seed):
                matrix.add_forked(field.run(case))
                tell()
        if given.processes or given.doors:
            with _quietly(), street(Path(name) / "town") as here:
                if given.doors:
                    _doors(matrix, here, tell)
                if given.processes:
                    _processes(matrix, here, given.processes, seed, tell)
                matrix.faults += here.never_told(TELLING_SECONDS)
    tell(last=True)
    print("\n".join(matrix.lines()))
    return int(bool(matrix.faults))


def write_names(steps: dict[str, tuple[str, ...]]) -> None:
    """Keep the names of the steps as they are now, below what the file says of them."""
    file = Path(__file__).with_name("steps.py")
    head, _, _ = file.read_text(encoding="utf-8").partition("STEPS:")
    lines = ["STEPS: dict[str, tuple[str, ...]] = {"]
    for party, names in steps.items():
        lines += [f'    "{party}": (', *(f'        "{name}",' for name in sorted(names)), "    ),"]
    file.write_text(head + "\n".join([*lines, "}"]) + "\n", encoding="utf-8")


def _cases(field: Field, given: argparse.Namespace, seed: int) -> Iterator[Case]:
    """What is asked for, in an order in which a run that is stopped has seen some of everything."""
    first, every = (int(word) for word in given.part.split("/"))
    if given.steps != "none":
        wanted = list(field.cases() if given.steps == "all" else field.few())[first - 1 :: every]
        for start in range(_STRIDE):
            yield from wanted[start::_STRIDE]
    yield from field.by_chance(given.instants, seed)


def _doors(matrix: Matrix, here: Street, tell: Callable[[], None]) -> None:
    """Studies of real processes until every step of the gateway was reached, or is found out of reach."""
    waiting, idle = doors(), 0
    while waiting and idle < 2:
        before, some = len(waiting), waiting[:DEATHS]
        del waiting[: len(some)]
        told = here.run(here.sign(), [], 0, some)
        waiting += some  # those that were not reached come once more
        idle = 0 if len(waiting) < before else idle + 1
        matrix.add_real(told)
        tell()
    matrix.faults += [f"never reached: {door}" for door in waiting]


def _processes(matrix: Matrix, here: Street, wanted: int, seed: int, tell: Callable[[], None]) -> None:
    """Studies of real processes until so many were killed; what their commands say goes to nobody."""
    chance = random.Random(seed)
    # The first is cold, the second says how long one takes; nobody is killed in either.
    length = [here.run(here.sign(), [], seed) for _ in range(2)][-1].seconds
    deaths, number = 0, 0
    while deaths < wanted:
        victims = [VICTIMS[(number * DEATHS + turn) % len(VICTIMS)] for turn in range(DEATHS)]
        chance.shuffle(victims)
        instants = sorted(chance.uniform(0.0, length) for _ in victims)
        told = here.run(here.sign(), list(zip(instants, victims, strict=True)), seed + number)
        matrix.add_real(told)
        deaths, number = deaths + sum(told.deaths.values()), number + 1
        tell()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    with open(os.devnull, "w", encoding="utf-8") as nobody, contextlib.redirect_stdout(nobody):
        yield


def _teller(matrix: Matrix, out: Path, seed: int) -> Callable[..., None]:
    began, told = time.monotonic(), 0

    def tell(*, last: bool = False) -> None:
        nonlocal told
        for fault in matrix.faults[told:]:
            print(f"fault: {fault}", file=sys.stderr, flush=True)
        told = len(matrix.faults)
        found = {"seed": seed, "seconds": round(time.monotonic() - began), "whole": last} | matrix.as_json()
        (out / "matrix.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (out / "matrix.md").write_text("\n".join(matrix.lines()) + "\n", encoding="utf-8")

    return tell


if __name__ == "__main__":
    raise SystemExit(main())
