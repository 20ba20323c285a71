"""One private step of a neural task beside Opacus' hooks: engine alone, and end to end with safe noise.

    python -m ringfence.simulations.benchmarks.engines --json out/bench/engines.json

Ours is what a holder runs: a Poisson sample by the system's randomness, fixed-point sums by the closed form,
rounding, a discrete Gaussian share, one step. Opacus is its own recipe: DPDataLoader, GradSampleModule,
DPOptimizer, with `add_noise` replaced by the same discrete noise. One thread; the table holds 20 batches;
synthetic numbers.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ringfence.models.neural.architecture import Architecture
from ringfence.models.neural.network import Network, Rows
from ringfence.models.neural.plan import largest_grid_bits
from ringfence.models.neural.rounding import (
    ACTIVATION_BITS,
    WEIGHT_BITS,
    rounded_sensitivity_squared,
    vector_to_grid,
)
from ringfence.privacy.accounting.scales import share_scale
from ringfence.privacy.command_line.terminal import Parser, Terminal, add_json, run
from ringfence.privacy.mechanisms.sampling import poisson_sample
from ringfence.privacy.mechanisms.source import OsNoise
from ringfence.privacy.waist import BlockPlan, IntVector, RoundPlan
from ringfence.simulations.benchmarks.peers import require
from ringfence.simulations.benchmarks.timing import take_turns

PERCEPTRON = Architecture(inputs=30, hidden=(64, 64))
RECURRENT = Architecture(inputs=8, hidden=(16,), periods=12, channels=4, recurrent=32)
NOISE_MULTIPLIER = 1.0
BATCHES_IN_TABLE = 20
RATE = 0.1
GOALS = {"mlp 256": 6.0, "mlp 1024": 10.0, "lstm 256": 3.0, "lstm 1024": 3.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One network, its table and its noise.

    Attributes:
        architecture: of the network.
        batch: expected size of a sample.
        rows: the table, 20 batches.
        label: shape `(n,)`.
        weights: first weights, units of 2^-16.
        plan: one round with one block, C = 1.
        grid_bits: binary places of its grid.
    """

    architecture: Architecture
    batch: int
    rows: Rows
    label: np.ndarray[Any, np.dtype[np.uint8]]
    weights: IntVector
    plan: RoundPlan
    grid_bits: int

    @classmethod
    def make(cls, architecture: Architecture, batch: int) -> Bench:
        """A table of numbers from a fixed generator."""
        rng = np.random.default_rng(1)
        customers = BATCHES_IN_TABLE * batch

        def numbers(*shape: int) -> Any:
            return rng.integers(-255, 256, shape).astype(np.float64) * 2.0 ** (ACTIVATION_BITS - 8)

        sequence = (
            numbers(architecture.periods, customers, architecture.channels)
            if architecture.recurrent
            else None
        )
        grid_bits = largest_grid_bits(1.0, architecture.length, NOISE_MULTIPLIER)
        sensitivity = rounded_sensitivity_squared(1.0, 0.0, architecture.length, grid_bits)
        block = BlockPlan(
            name="gradient",
            sensitivity_squared=sensitivity,
            max_abs=1 << grid_bits,
            share_scale=share_scale(sensitivity, NOISE_MULTIPLIER**-2, 1),
            max_length=architecture.length,
        )
        return cls(
            architecture=architecture,
            batch=batch,
            rows=Rows(static=numbers(customers, architecture.inputs), sequence=sequence),
            label=rng.integers(0, 2, customers).astype(np.uint8),
            weights=np.rint(rng.normal(0, 0.2, architecture.length) * 2**WEIGHT_BITS).astype(np.int64),
            plan=RoundPlan(name="step", blocks=(block,)),
            grid_bits=grid_bits,
        )

    def noise(self) -> IntVector:
        """A share of discrete noise, grid units, shape `(d,)`."""
        drawn = OsNoise().share(self.plan, {"gradient": self.architecture.length}, 1)
        return drawn.blocks["gradient"]


class Ours:
    """Fixed-point closed form; weights as a holder and a coordinator hold them."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.weights = bench.weights

    def engine(self) -> IntVector:
        """The rounded clipped sum of the first batch of the table."""
        return self._summed(np.arange(self.bench.batch))

    def step(self) -> None:
        """Sample, sum, noise, descend."""
        bench = self.bench
        taken = np.flatnonzero(poisson_sample(len(bench.label), Fraction(1, BATCHES_IN_TABLE)))
        noisy = self._summed(taken) + bench.noise()
        change = noisy * (RATE * 2.0 ** (WEIGHT_BITS - bench.grid_bits) / bench.batch)
        self.weights = self.weights - np.rint(change).astype(np.int64)

    def _summed(self, taken: np.ndarray[Any, np.dtype[np.int64]]) -> IntVector:
        bench, rows = self.bench, self.bench.rows
        sequence = None if rows.sequence is None else rows.sequence[:, taken]
        network = Network.of(bench.architecture, self.weights)
        taken_rows = Rows(static=rows.static.take(taken, axis=0), sequence=sequence)
        exact = network.clipped_sum(taken_rows, bench.label.take(taken), 1.0)
        return vector_to_grid(bench.architecture, exact, 1.0, bench.grid_bits)


class Ordinary(nn.Module):
    """The same network of PyTorch's and Opacus' own layers, float32."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        from opacus.layers import DPLSTM

        self.lstm = None
        if architecture.recurrent:
            self.lstm = DPLSTM(
                architecture.channels + 1, architecture.recurrent, bias=False, batch_first=True
            )
        layers: list[nn.Module] = []
        for entering, leaving in zip(architecture.widths, architecture.widths[1:], strict=False):
            layers += [nn.Linear(entering, leaving), nn.ReLU()]
        self.head = nn.Sequential(*layers[:-1])

    def forward(self, static: Tensor, sequence: Tensor | None = None) -> Tensor:
        """Log odds, shape `(n,)`."""
        if self.lstm is not None and sequence is not None:
            _, (last, _) = self.lstm(sequence)
            static = torch.cat((last[-1], static), dim=1)
        out: Tensor = self.head(static).squeeze(1)
        return out


class Opacus:
    """Opacus' recipe with our noise in its optimiser."""

    def __init__(self, bench: Bench) -> None:
        from opacus import GradSampleModule
        from opacus.data_loader import DPDataLoader
        from opacus.optimizers import DPOptimizer

        self.bench = bench
        self.model = GradSampleModule(Ordinary(bench.architecture))
        tensors = [torch.from_numpy(bench.rows.static).float() / 2.0**ACTIVATION_BITS]
        if bench.rows.sequence is not None:
            sequence = torch.from_numpy(bench.rows.sequence).float().transpose(0, 1) / 2.0**ACTIVATION_BITS
            tensors.append(torch.cat((sequence, torch.ones(*sequence.shape[:2], 1)), dim=2).contiguous())
        tensors.append(torch.from_numpy(bench.label).float())
        self.first = tuple(tensor[: bench.batch] for tensor in tensors)
        data = torch.utils.data.TensorDataset(*tensors)
        self.loader = DPDataLoader(data, sample_rate=1.0 / BATCHES_IN_TABLE)
        self.batches: Iterator[Any] = iter(self.loader)
        inner = torch.optim.SGD(self.model.parameters(), lr=RATE)
        self.optimizer = _with_safe_noise(DPOptimizer, bench)(
            inner, noise_multiplier=NOISE_MULTIPLIER, max_grad_norm=1.0, expected_batch_size=bench.batch
        )

    def engine(self) -> None:
        """Clipped sums of the first batch of the table."""
        self._sums(self.first)
        self.optimizer.clip_and_accumulate()
        self.optimizer.zero_grad()

    def step(self) -> None:
        """Sample, sum, noise, descend."""
        batch = next(self.batches, None)
        if batch is None:
            self.batches = iter(self.loader)
            batch = next(self.batches)
        self._sums(batch)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _sums(self, batch: Sequence[Tensor]) -> None:
        *inputs, label = batch
        losses = nn.functional.binary_cross_entropy_with_logits(self.model(*inputs), label, reduction="mean")
        torch.autograd.backward(losses)


def _with_safe_noise(optimizer: Any, bench: Bench) -> Any:
    """Opacus' optimiser that takes its noise from our source."""

    class WithSafeNoise(optimizer):  # type: ignore[misc]
        def add_noise(self) -> None:
            noise = torch.from_numpy(bench.noise()).float() / 2.0**bench.grid_bits
            start = 0
            for parameter in self.params:
                piece = noise[start : start + parameter.numel()].view_as(parameter)
                parameter.grad = (parameter.summed_grad + piece).view_as(parameter)
                start += parameter.numel()

    return WithSafeNoise


def measure(*, batches: Sequence[int] = (256, 1024), repetitions: int = 15) -> dict[str, Any]:
    """Milliseconds of the processor for one step, medians, both candidates taking turns.

    Args:
        batches: expected sample sizes.
        repetitions: medians are over so many.

    Returns:
        By `mlp 256` and the like: `ours_ms`, `opacus_ms` end to end, their `ratio`; the same of the engine
        alone under `engine_`; `noise_ms`, and `noise_share` of our step; with `goals`.
    """
    require("opacus")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            # Opacus and PyTorch warn of hooks and of secure randomness, which is ours here.
            warnings.simplefilter("ignore")
            found = {
                f"{name} {batch}": _measured(Bench.make(architecture, batch), repetitions)
                for name, architecture in (("mlp", PERCEPTRON), ("lstm", RECURRENT))
                for batch in batches
            }
    finally:
        torch.set_num_threads(threads)
    return {"unit": "milliseconds of one core a step", "steps": found, "goals": GOALS}


def _measured(bench: Bench, repetitions: int) -> dict[str, float]:
    ours, theirs = Ours(bench), Opacus(bench)
    candidates: dict[str, Callable[[], object]] = {
        "ours": ours.step,
        "opacus": theirs.step,
        "engine_ours": ours.engine,
        "engine_opacus": theirs.engine,
        "noise": bench.noise,
    }
    spent = {name: timing.processor * 1e3 for name, timing in take_turns(candidates, repetitions).items()}
    return {
        "parameters": bench.architecture.length,
        **{f"{name}_ms": round(value, 3) for name, value in spent.items()},
        "ratio": round(spent["opacus"] / spent["ours"], 2),
        "engine_ratio": round(spent["engine_opacus"] / spent["engine_ours"], 2),
        "noise_share": round(spent["noise"] / spent["ours"], 3),
    }


def lines(report: dict[str, Any]) -> Iterator[str]:
    """The report for people."""
    for name, step in report["steps"].items():
        goal = report["goals"].get(name, math.nan)
        yield (
            f"{name:10} ours {step['ours_ms']:8.2f} ms  opacus {step['opacus_ms']:8.2f} ms  "
            f"x{step['ratio']:5.1f} (goal x{goal:.0f})  engine alone x{step['engine_ratio']:5.1f}  noise "
            f"{step['noise_share']:.0%} of our step"
        )


def main() -> int:
    """Entry point of `python -m`."""
    return run(command, program="benchmark-engines")


def command(argv: Sequence[str]) -> int:
    """Run the benchmark and print a table."""
    parser = Parser(
        prog="python -m ringfence.simulations.benchmarks.engines",
        description="One private step, ours and Opacus'.",
    )
    parser.add_argument("--repetitions", type=int, default=15, help="medians are over so many (default: 15)")
    add_json(parser)
    arguments = parser.parse_args(argv)
    terminal = Terminal.of(arguments)
    report = measure(repetitions=arguments.repetitions)
    for line in lines(report):
        terminal.say(line)
    terminal.write_json(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
