"""How fast masks are made and added, Flower's generator and the bare cipher beside them in the same run.

    python -m ringfence.simulations.benchmarks.masks --json out/bench/masks.json

A word is a member of Z_2^32 that is added to the vector; our figures include the addition. Flower's generator
(`pseudo_rand_gen` of SecAgg+) makes numbers of 32 bits from a Mersenne Twister whose seed has 32 bits, and
adds nothing; it is timed over one long array, over as many words in short arrays, and together with the
additions of its masking step. The limit is AES-256 in counter mode alone, which no mask of this kind can
pass.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import CipherContext

from ringfence.privacy.command_line.terminal import Parser, Terminal, add_json, run
from ringfence.privacy.secagg.masks import CHUNK_BYTES, add_streams, keystream
from ringfence.simulations.benchmarks.peers import require
from ringfence.simulations.benchmarks.timing import take_turns

SHORT = 100
GOALS = {"words_per_second": 0.8e9, "times_flower": 20.0, "share_of_cipher": 0.76}


def main() -> int:
    """Entry point of `python -m`."""
    return run(command, program="benchmark-masks")


def command(argv: Sequence[str]) -> int:
    """Run the benchmark and print a table."""
    parser = Parser(
        prog="python -m ringfence.simulations.benchmarks.masks",
        description="How fast masks are made and added.",
    )
    parser.add_argument(
        "--words", type=int, default=1_000_000, help="length of the vector (default: 1000000)"
    )
    parser.add_argument("--peers", type=int, default=9, help="masks on the vector (default: 9)")
    parser.add_argument("--repetitions", type=int, default=15, help="medians are over so many (default: 15)")
    add_json(parser)
    arguments = parser.parse_args(argv)
    terminal = Terminal.of(arguments)
    report = measure(words=arguments.words, peers=arguments.peers, repetitions=arguments.repetitions)
    for line in lines(report):
        terminal.say(line)
    terminal.write_json(report)
    return 0


def measure(*, words: int = 1_000_000, peers: int = 9, repetitions: int = 15) -> dict[str, Any]:
    """Words a second of one core.

    Args:
        words: length of the vector.
        peers: masks that are put on it.
        repetitions: medians are over so many.

    Returns:
        `masks_32`, `masks_64`: ours, keys derived and masks added; `cipher`: AES-256-CTR alone, in words of
        32 bits; `flower`: its generator over one array (`long`), over arrays of 100 (`short`), and its
        masking step; `ratio`: `masks_32` over each of these; `goals`.
    """
    require("flwr")
    candidates: dict[str, Callable[[], object]] = {
        "masks_32": partial(derived_and_masked, np.zeros(words, dtype=np.uint32), peers),
        "masks_64": partial(derived_and_masked, np.zeros(words, dtype=np.uint64), peers),
        "cipher": partial(keystream_alone, words, peers),
        "long": partial(flower_generator, [(words,)], peers),
        "short": partial(flower_generator, [(SHORT,)] * max(1, words // SHORT), 1),
        "step": partial(flower_step, np.zeros(words, dtype=np.int64), peers),
    }
    made = dict.fromkeys(candidates, words * peers) | {"short": max(1, words // SHORT) * SHORT}
    timings = take_turns(candidates, repetitions)
    rates = {name: made[name] / timing.processor for name, timing in timings.items()}
    ours = rates["masks_32"]
    return {
        "unit": "words per second of one core",
        "words": words,
        "peers": peers,
        "repetitions": repetitions,
        "masks_32": ours,
        "masks_64": rates["masks_64"],
        "cipher": rates["cipher"],
        "flower": {name: rates[name] for name in ("long", "short", "step")},
        "ratio": {name: ours / rates[name] for name in ("cipher", "long", "short", "step")},
        "goals": GOALS,
    }


def derived_and_masked(vector: Any, peers: int) -> None:
    """Derive a key for each peer and add or subtract its keystream."""
    streams = [(peer % 2 == 0, keystream(os.urandom(32), b"benchmark")) for peer in range(peers)]
    add_streams(vector, streams)


def keystream_alone(words: int, peers: int) -> None:
    """As many bytes of keystream of the same cipher, and nothing else."""
    zeros, buffer = bytes(CHUNK_BYTES), bytearray(CHUNK_BYTES)
    streams: list[CipherContext] = [keystream(os.urandom(32), b"benchmark") for _ in range(peers)]
    for start in range(0, 4 * words, CHUNK_BYTES):
        piece = memoryview(zeros)[: 4 * words - start]
        for stream in streams:
            stream.update_into(piece, buffer)


def flower_generator(shapes: list[tuple[int, ...]], peers: int) -> None:
    """Flower's numbers for the masks of so many peers, over arrays of these shapes."""
    from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen

    for _ in range(peers):
        pseudo_rand_gen(os.urandom(32), 1 << 32, shapes)


def flower_step(vector: Any, peers: int) -> None:
    """Flower's masking of one vector: generate, add or subtract, and reduce at the end."""
    from flwr.common.secure_aggregation.ndarrays_arithmetic import (
        parameters_addition,
        parameters_mod,
        parameters_subtraction,
    )
    from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen

    total = [vector]
    for peer in range(peers):
        stream = pseudo_rand_gen(os.urandom(32), 1 << 32, [vector.shape])
        total = (parameters_addition if peer % 2 == 0 else parameters_subtraction)(total, stream)
    parameters_mod(total, 1 << 32)


def lines(report: dict[str, Any]) -> list[str]:
    """The table for people."""
    flower, ratio = report["flower"], report["ratio"]
    return [
        f"masks of 32 bits  {report['masks_32'] / 1e9:7.3f} G words per second of one core",
        f"masks of 64 bits  {report['masks_64'] / 1e9:7.3f}",
        f"AES-256-CTR       {report['cipher'] / 1e9:7.3f}   masks reach {ratio['cipher']:.0%} of it",
        f"Flower, one array {flower['long'] / 1e9:7.3f}   masks are {ratio['long']:.1f} times as fast",
        f"Flower, its step  {flower['step'] / 1e9:7.3f}   {ratio['step']:.1f} times",
        f"Flower, of 100    {flower['short'] / 1e9:7.3f}   {ratio['short']:.1f} times",
    ]


if __name__ == "__main__":
    sys.exit(main())
