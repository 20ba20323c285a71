"""How long a secure sum takes in one process, by its steps, with nothing left out but the network.

    python -m ringfence.simulations.benchmarks.secure_sum --json out/bench/secure_sum.json

Keys, signed rosters and their echoes, masks and the sum are those of the protocol, and the sum is compared
with the sum of the vectors. The holders work one after another here; in a deployment each has a core of its
own. Their noise shares are timed beside it: they are drawn whether or not the sum is masked.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from ringfence.privacy.command_line.terminal import Parser, Terminal, add_json, run
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.mechanisms import gaussian
from ringfence.privacy.secagg.graph import Terms
from ringfence.privacy.secagg.keys import SessionKeys, key_message
from ringfence.privacy.secagg.masks import mask, sum_words
from ringfence.privacy.secagg.roster import AgreedRoster, roster_echo, verify_echoes, verify_roster
from ringfence.privacy.waist import IntVector
from ringfence.privacy.wire.fields import digest_of, new_run_id

STEPS = ("keys", "masks", "sum")
GOALS = {"seconds": 0.5}
_SCALE = 64.0


def main() -> int:
    """Entry point of `python -m`."""
    return run(command, program="benchmark-secure-sum")


def command(argv: Sequence[str]) -> int:
    """Run the benchmark and print a table."""
    parser = Parser(
        prog="python -m ringfence.simulations.benchmarks.secure_sum",
        description="How long a secure sum takes in one process.",
    )
    parser.add_argument(
        "--words", type=int, default=1_000_000, help="length of the vector (default: 1000000)"
    )
    parser.add_argument("--holders", type=int, default=10, help="default: 10")
    parser.add_argument("--repetitions", type=int, default=5, help="medians are over so many (default: 5)")
    add_json(parser)
    arguments = parser.parse_args(argv)
    terminal = Terminal.of(arguments)
    report = measure(words=arguments.words, holders=arguments.holders, repetitions=arguments.repetitions)
    terminal.say(line(report))
    terminal.write_json(report)
    return 0


def measure(*, words: int = 1_000_000, holders: int = 10, repetitions: int = 5) -> dict[str, Any]:
    """Seconds of a whole secure sum and of its steps, medians.

    Args:
        words: length of each holder's vector, in words of 32 bits.
        holders: how many.
        repetitions: medians are over so many sums, each a run of its own.

    Returns:
        `seconds`: on the wall, of keys, masks and sum of all holders one after another; `processor_seconds`:
        the same on the processor, with every step; `noise_processor_seconds`: of all holders' noise shares;
        `goals`.

    Raises:
        WaistError: a sum is wrong.
    """
    rng = np.random.default_rng()
    vectors = [rng.integers(-(1 << 20), 1 << 20, words, dtype=np.int64) for _ in range(holders)]
    exact: IntVector = np.sum(vectors, axis=0)
    spent = [one_sum(vectors, exact) for _ in range(repetitions)]
    return {
        "words": words,
        "holders": holders,
        "repetitions": repetitions,
        "seconds": median(each["wall"] for each in spent),
        "processor_seconds": {
            "all": median(sum(each[step] for step in STEPS) for each in spent),
            **{step: median(each[step] for each in spent) for step in STEPS},
        },
        "noise_processor_seconds": noise(words, holders),
        "goals": GOALS,
    }


def one_sum(vectors: Sequence[IntVector], exact: IntVector) -> dict[str, float]:
    """One sum: seconds of the processor by step, and on the wall in all."""
    start = time.perf_counter()
    marks = [time.process_time()]
    keys, agreed = agree([f"holder-{index:03d}" for index in range(len(vectors))])
    marks.append(time.process_time())
    updates = [
        mask(
            vector,
            keys=keys[name],
            agreed=agreed[name],
            round=0,
            attempt=0,
            query_digest=hashlib.sha256(b"benchmark").digest(),
            word_bits=32,
        )
        for name, vector in zip(keys, vectors, strict=True)
    ]
    marks.append(time.process_time())
    total = sum_words(updates, members=list(keys))
    marks.append(time.process_time())
    wall = time.perf_counter() - start
    if not np.array_equal(total, exact):
        raise WaistError("RF-W290", N_("The secure sum is not the sum of the vectors."))
    return {
        step: after - before for step, before, after in zip(STEPS, marks[:-1], marks[1:], strict=True)
    } | {"wall": wall}


def agree(names: Sequence[str]) -> tuple[dict[str, SessionKeys], dict[str, AgreedRoster]]:
    """Keys and agreed rosters of all holders, as the protocol makes them."""
    study, run_id = digest_of(b"benchmark"), new_run_id()
    identities = {name: Identity.generate() for name in names}
    keys = {name: SessionKeys(holder=name, study=study, run=run_id) for name in names}
    messages = [key_message(identities[name], keys[name]) for name in names]
    participants = {name: identity.public for name, identity in identities.items()}
    vouched = {public.fingerprint for public in participants.values()}
    rosters = {
        message.holder: verify_roster(
            messages,
            number=0,
            own=message,
            participants=participants,
            terms=Terms(min_holders=len(names), colluders=0),
            vouched=vouched,
        )
        for message in messages
    }
    echoes = [roster_echo(identities[name], rosters[name]) for name in names]
    return keys, {name: verify_echoes(rosters[name], echoes) for name in names}


def noise(words: int, holders: int) -> float:
    """Seconds of the processor for the shares of all holders, once their table is made."""
    gaussian.draw(_SCALE, 1)
    start = time.process_time()
    for _ in range(holders):
        gaussian.draw(_SCALE, words)
    return time.process_time() - start


def line(report: dict[str, Any]) -> str:
    """The sum in a line."""
    spent = report["processor_seconds"]
    return (
        f"{report['words']} words over {report['holders']} holders: {report['seconds']:.3f} s (on the "
        f"processor {spent['all']:.3f} s: keys {spent['keys']:.3f}, masks {spent['masks']:.3f}, sum "
        f"{spent['sum']:.3f}); their noise {report['noise_processor_seconds']:.3f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
