"""The narrow waist: the only values about customers that may leave a holder, as types.

    query --> Contribution --(waist gate: reserve, noise, mask, log)--> MaskedUpdate ==> Aggregate

A contribution is a vector of integers, in named blocks, to which one customer adds entries whose squared
Euclidean norm is bounded exactly. Everything that decides privacy (sensitivity, noise, number of rounds)
stands in the `StudyPlan`, which every holder recomputes from the signed study with its own code; a `Query`
is data only.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import rfc8785

IntVector: TypeAlias = npt.NDArray[np.int64]
Words: TypeAlias = npt.NDArray[np.uint32] | npt.NDArray[np.uint64]
Part: TypeAlias = Literal["train", "test"]
Scope: TypeAlias = Literal["train", "test", "both"]
BOTH: Scope = "both"
Rule: TypeAlias = Literal["mean", "median", "trimmed-mean"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPlan:
    """One stretch of a release whose entries share one noise scale.

    Attributes:
        name: unique within the round.
        sensitivity_squared: bound on the squared L2 norm of one customer's entries, in grid units squared.
        max_abs: bound on the absolute value of one customer's single entry, in grid units.
        share_scale: parameter s of the discrete Gaussian share that each holder adds to every entry.
        max_length: most entries the block may have, whatever the query says.
    """

    name: str
    sensitivity_squared: int
    max_abs: int
    share_scale: float
    max_length: int

    def mu_squared(self, honest: int) -> float:
        """Price of the block under `honest` shares: Delta^2 / (h s^2 - 4), see privacy/accounting."""
        return self.sensitivity_squared / (honest * self.share_scale**2 - 4.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadBlock:
    """What leaves after steps that were noised inside the holder: a public function of them, for nothing.

    Attributes:
        name: unique within the round.
        max_abs: bound on the absolute value of one entry of a holder's upload, in grid units.
        max_length: most entries.
    """

    name: str
    max_abs: int
    max_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """How the holders' vectors of a round become one, worked out on what was released, for nothing.

    Attributes:
        rule: `mean` is their plain sum; the others need visible uploads that mean the same whatever a
            holder's size.
        wrong: holders that may be wrong without ruining it; 0 for the mean, which withstands none.
    """

    rule: Rule = "mean"
    wrong: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPlan:
    """One secure sum of a study: its name and its blocks, in the order they are sent.

    Attributes:
        name: of the stage, for people.
        blocks: what is noised, and how.
        part: whose rows are read. A customer is in one part only, by a public function of the customer's key;
            a round that reads `both` reads everybody, as the cohort count does.
        sampling_rate: q; each customer of the part takes part in an attempt with this probability, drawn by
            the holder from the operating system's randomness (Poisson sampling, empty samples included).
        local_steps: 0, or how often the holder draws a sample, adds up and noises `blocks` for itself before
            it uploads what follows from them; for studies with local noise only.
        uploads: what leaves after local steps, empty without them.
        combination: how the holders' vectors become one.
    """

    name: str
    blocks: tuple[BlockPlan, ...]
    part: Scope = "train"
    sampling_rate: Fraction = Fraction(1)
    local_steps: int = 0
    uploads: tuple[UploadBlock, ...] = ()
    combination: Combination = Combination()

    @property
    def releases(self) -> int:
        """How often one attempt draws noise."""
        return max(1, self.local_steps)

    @property
    def sent(self) -> tuple[BlockPlan, ...] | tuple[UploadBlock, ...]:
        """The blocks that leave, in order."""
        return self.uploads if self.local_steps else self.blocks

    def mu_squared(self, honest: int) -> float:
        """Price of one attempt at the round as if everybody were sampled: an upper bound."""
        return self.releases * math.fsum(block.mu_squared(honest) for block in self.blocks)

    @property
    def max_length(self) -> int:
        """Most entries of the round's vector."""
        return sum(block.max_length for block in self.sent)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """All that a study will ever ask of a holder, fixed by the signed study.

    Attributes:
        honest: h, the least number of honest shares in a sum (1 for local noise).
        cohort: the noisy cohort count each holder draws for itself when it joins (its own noise only).
        rounds: the secure sums in order.
        max_attempts: attempts reserved for every round.

    *Formal guarantees*: rounds of different parts read different customers, so the dearer part is the price
    of both (parallel composition); the cohort count and rounds that read both parts come on top of either.
    """

    honest: int
    cohort: BlockPlan
    rounds: tuple[RoundPlan, ...]
    max_attempts: int

    @property
    def sampled(self) -> bool:
        """Whether a round reads a sample only, so that the plan is not one of plain Gaussian releases."""
        return any(each.sampling_rate != 1 for each in self.rounds)

    def of_part(self, part: Part) -> tuple[RoundPlan, ...]:
        """The rounds that read a customer of one part, those that read everybody among them."""
        return tuple(each for each in self.rounds if each.part in (part, BOTH))

    @property
    def mu_squared(self) -> float:
        """Price of the study when no attempt is void: what `epsilon` of the study stands for."""
        return self.cohort.mu_squared(1) + self._dearer_part

    @property
    def reserved_mu_squared(self) -> float:
        """Price of the study when every round needs all its attempts: what the ledger reserves."""
        return self.cohort.mu_squared(1) + self.max_attempts * self._dearer_part

    @property
    def _dearer_part(self) -> float:
        return max(
            math.fsum(each.mu_squared(self.honest) for each in self.of_part(part)) for part in get_args(Part)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a round asks: public integers only; it carries no privacy parameter.

    Attributes:
        task: name of the task.
        round: index into the plan's rounds, from 0.
        numbers: named integers.
        arrays: named integer arrays, int64, any shape.
    """

    task: str
    round: int
    numbers: Mapping[str, int] = field(default_factory=dict)
    arrays: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    def digest(self) -> bytes:
        """SHA-256 over an unambiguous encoding; part of every mask's derivation."""
        header = rfc8785.dumps(
            {
                "task": self.task,
                "round": self.round,
                "numbers": {name: str(value) for name, value in self.numbers.items()},
                "arrays": {name: list(array.shape) for name, array in self.arrays.items()},
            }
        )
        state = hashlib.sha256(len(header).to_bytes(8, "big") + header)
        for name in sorted(self.arrays):
            state.update(np.ascontiguousarray(self.arrays[name], dtype="<i8").tobytes())
        return state.digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """A holder's exact integer vector for one query, in blocks; it never leaves the waist gate as it is."""

    query_digest: bytes
    blocks: Mapping[str, IntVector]

    def vector(self, plan: RoundPlan) -> IntVector:
        """All blocks in the plan's order, shape `(length,)`, int64."""
        return np.concatenate([self.blocks[block.name] for block in plan.sent])


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedUpdate:
    """What a holder sends: noisy, masked words, uniform to everyone who lacks a peer's key."""

    holder: str
    round: int
    attempt: int
    word_bits: int
    words: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibleUpdate:
    """What a holder sends where uploads are visible: its noisy vector, private by its own noise."""

    holder: str
    round: int
    attempt: int
    word_bits: int
    words: Words


Update: TypeAlias = MaskedUpdate | VisibleUpdate


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """The noisy sum over one attempt's roster, in the plan's blocks, or `holders` times a middle."""

    round: int
    holders: int
    blocks: Mapping[str, IntVector]


def split_blocks(vector: IntVector, lengths: Mapping[str, int]) -> Iterator[tuple[str, IntVector]]:
    """Cut a vector into its named blocks, in order."""
    start = 0
    for name, length in lengths.items():
        yield name, vector[start : start + length]
        start += length
