"""How fast discrete noise is drawn, OpenDP beside it in the same run.

    python -m ringfence.simulations.benchmarks.noise --json out/bench/noise.json

All draws come from the operating system's randomness, ours and OpenDP's. One process, one core.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from ringfence.privacy.accounting.noise_laws import LARGEST_TABLE, gaussian_law, laplace_law
from ringfence.privacy.command_line.terminal import Parser, Terminal, add_json, run
from ringfence.privacy.mechanisms import entropy, gaussian, laplace
from ringfence.simulations.benchmarks.peers import require
from ringfence.simulations.benchmarks.timing import take_turns

SCALES = (16.0, 256.0, 4096.0, 16_384.0, 1_048_576.0)
PEER_SCALE = 256.0
GOALS = {"up_to_4096": 4e6, "above_4096": 1.5e6}


def main() -> int:
    """Entry point of `python -m`."""
    return run(command, program="benchmark-noise")


def command(argv: Sequence[str]) -> int:
    """Run the benchmark and print a table."""
    parser = Parser(
        prog="python -m ringfence.simulations.benchmarks.noise",
        description="How fast discrete noise is drawn.",
    )
    parser.add_argument("--draws", type=int, default=1_000_000, help="values of each draw (default: 1000000)")
    parser.add_argument("--repetitions", type=int, default=7, help="medians are over so many (default: 7)")
    add_json(parser)
    arguments = parser.parse_args(argv)
    terminal = Terminal.of(arguments)
    report = measure(draws=arguments.draws, repetitions=arguments.repetitions)
    for line in lines(report):
        terminal.say(line)
    terminal.write_json(report)
    return 0


def measure(
    *,
    draws: int = 1_000_000,
    peer_draws: int = 20_000,
    repetitions: int = 7,
    scales: Sequence[float] = SCALES,
) -> dict[str, Any]:
    """Samples a second of one core, by law and scale.

    Args:
        draws: values of each of our draws.
        peer_draws: values of each of OpenDP's, which is slow.
        repetitions: medians are over so many.
        scales: parameters of both laws, grid units.

    Returns:
        `gaussian`, `laplace`: rate by scale; `opendp`: rate by law at scale 256; `ratio`: the least of our
        rates of a law over OpenDP's; `least`: our least rates on either side of scale 4096, with `goals`;
        `random_words`: what the operating system alone delivers.
    """
    peers = opendp(peer_draws)
    candidates: dict[str, Callable[[], object]] = {"random_words": partial(entropy.words, draws)}
    for scale in scales:
        candidates[f"gaussian {scale:.10g}"] = partial(gaussian.draw_values, gaussian_law(scale), draws)
        candidates[f"laplace {scale:.10g}"] = partial(laplace.draw_values, laplace_law(scale), draws)
    counts = dict.fromkeys(candidates, draws) | dict.fromkeys(peers, peer_draws)
    timings = take_turns(candidates | peers, repetitions)
    rates = {name: counts[name] / timing.processor for name, timing in timings.items()}
    laws = {
        law: {f"{scale:.10g}": rates[f"{law} {scale:.10g}"] for scale in scales}
        for law in ("gaussian", "laplace")
    }
    return {
        "unit": "samples per second of one core",
        "draws": draws,
        "repetitions": repetitions,
        "random_words": rates["random_words"],
        **laws,
        "opendp": {law: rates[f"opendp {law}"] for law in laws},
        "ratio": {law: min(laws[law].values()) / rates[f"opendp {law}"] for law in laws},
        "least": {
            "up_to_4096": least(laws, [scale for scale in scales if scale <= LARGEST_TABLE]),
            "above_4096": least(laws, [scale for scale in scales if scale > LARGEST_TABLE]),
        },
        "goals": GOALS,
    }


def least(laws: dict[str, dict[str, float]], scales: Sequence[float]) -> float | None:
    """The least rate of any law at these scales; None when there are none."""
    return min((rates[f"{scale:.10g}"] for rates in laws.values() for scale in scales), default=None)


def opendp(count: int) -> dict[str, Callable[[], object]]:
    """OpenDP's samplers of both laws over vectors of zeros; exact, from the same randomness."""
    require("opendp")
    dp: Any = import_module("opendp.prelude")  # it declares no names for type checkers
    dp.enable_features("contrib")
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    zeros = [0] * count
    gauss = dp.m.make_gaussian(domain, dp.l2_distance(T="f64"), scale=PEER_SCALE)
    laplacian = dp.m.make_laplace(domain, dp.l1_distance(T="i64"), scale=PEER_SCALE)
    return {"opendp gaussian": partial(gauss, zeros), "opendp laplace": partial(laplacian, zeros)}


def lines(report: dict[str, Any]) -> list[str]:
    """The table for people."""
    rows = [f"{'scale':>10} {'gaussian':>12} {'laplace':>12}   million samples per second of one core"]
    for scale, rate in report["gaussian"].items():
        rows.append(f"{scale:>10} {rate / 1e6:12.2f} {report['laplace'][scale] / 1e6:12.2f}")
    rows.append(
        f"{'OpenDP':>10} {report['opendp']['gaussian'] / 1e6:12.3f} {report['opendp']['laplace'] / 1e6:12.3f}"
    )
    rows.append(
        f"{'ratio':>10} {report['ratio']['gaussian']:12.0f} {report['ratio']['laplace']:12.0f}   at least"
    )
    return rows


if __name__ == "__main__":
    sys.exit(main())
