"""What a coordinator keeps of a run so that it can go on after a restart: the released sums, and nothing else.

A task's state is a function of the signed study and of the sums it was given, so the sums are the state: they are
replayed, and every query that comes out must be the one that was asked at the time, or the file was written by code
that asks otherwise and is refused. The sums are released values; the file is no secret and holds no key. It is one
safetensors file, written whole before the next round begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ringfence.privacy.documents.tensors import read_tensors, write_tensors
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.terminal import write_atomically
from ringfence.privacy.waist import Aggregate, IntVector, Query
from ringfence.server.coordinator import OpenStudy

FORMAT = "ringfence-released-sums-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedSum:
    """One round that has ended.

    Attributes:
        query: digest of what was asked, hexadecimal.
        aggregate: the noisy sum.
        attempts: spent on it.
        names: holders in the sum.
    """

    query: str
    aggregate: Aggregate
    attempts: int
    names: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class RunFile:
    """The file of one run.

    Attributes:
        path: where it is, or None to keep nothing.
        study: digest of the signed study.
        run: id of the run.
        sums: released so far.
        begun: round and attempt that were asked last, which may have no sum.
        roster: number of the last roster.
    """

    path: Path | None
    study: str
    run: str
    sums: list[ReleasedSum] = field(default_factory=list)
    begun: tuple[int, int] = (-1, -1)
    roster: int = -1

    @classmethod
    def open(cls, path: Path | None, opened: OpenStudy) -> RunFile:
        """Take up the run in a file, or begin one where there is none.

        Raises:
            StudyError: the file is cut short, of another version, or of another study.
        """
        if path is None or not path.exists():
            return cls(path=path, study=opened.digest, run=opened.run)
        described, tensors = _read(path)
        if described.get("study") != opened.digest:
            raise StudyError(
                "RF-S071",
                N_("The state in {file} is of another study; a study goes on from its own sums alone."),
                file=path.name,
            )
        try:
            begun = described["begun"]
            return cls(
                path=path,
                study=opened.digest,
                run=str(described["run"]),
                sums=[_sum(index, each, tensors) for index, each in enumerate(described["sums"])],
                begun=(int(begun[0]), int(begun[1])),
                roster=int(described["roster"]),
            )
        except (KeyError, TypeError, ValueError, IndexError):
            raise _unreadable(path) from None

    def asked(self, query: Query, attempt: int, roster: int) -> None:
        """Keep that an attempt begins, before anything is asked."""
        self.begun, self.roster = (query.round, attempt), roster
        self._write()

    def released(self, each: ReleasedSum) -> None:
        """Keep a sum, before the next round begins."""
        self.sums.append(each)
        self._write()

    def replayed(self, query: Query) -> ReleasedSum | None:
        """The kept sum of the next round, or None where the run stopped.

        Raises:
            StudyError: that round was asked with another query, so by another version.
        """
        position = next((i for i, each in enumerate(self.sums) if each.aggregate.round == query.round), None)
        if position is None:
            return None
        if self.sums[position].query != query.digest().hex():
            raise StudyError(
                "RF-S072",
                N_("The state asks something else at round {round} than was asked: another version wrote it. Go on with "
                   "that version, or run the study anew under a new name."),
                round=query.round,
            )  # fmt: skip
        return self.sums[position]

    def first_attempt(self, query: Query) -> int:
        """The first attempt that was not begun before a restart; numbers only grow."""
        return self.begun[1] + 1 if self.begun[0] == query.round else 0

    def _write(self) -> None:
        if self.path is None:
            return
        tensors = {
            f"{index}.{name}": values.astype(np.int64)
            for index, each in enumerate(self.sums)
            for name, values in each.aggregate.blocks.items()
        }
        described = {
            "format": FORMAT,
            "study": self.study,
            "run": self.run,
            "begun": list(self.begun),
            "roster": self.roster,
            "sums": [
                {
                    "query": each.query,
                    "round": each.aggregate.round,
                    "holders": each.aggregate.holders,
                    "attempts": each.attempts,
                    "names": list(each.names),
                    "blocks": list(each.aggregate.blocks),
                }
                for each in self.sums
            ],
        }
        write_atomically(self.path, write_tensors(described, tensors))


def _read(path: Path) -> tuple[dict[str, Any], Mapping[str, npt.NDArray[Any]]]:
    try:
        described, tensors = read_tensors(path.read_bytes())
    except ValueError:
        raise _unreadable(path) from None
    form = described["format"]
    if form != FORMAT:
        raise StudyError(
            "RF-S073",
            N_("The state in {file} is of the form {found}; this version reads {expected}. Use the version that wrote it."),
            file=path.name,
            found=form[:60],
            expected=FORMAT,
        )
    return described, tensors


def _sum(index: int, described: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> ReleasedSum:
    blocks = dict(_blocks(index, described["blocks"], tensors))
    return ReleasedSum(
        query=str(described["query"]),
        aggregate=Aggregate(round=int(described["round"]), holders=int(described["holders"]), blocks=blocks),
        attempts=int(described["attempts"]),
        names=tuple(str(name) for name in described["names"]),
    )


def _blocks(
    index: int, names: list[str], tensors: Mapping[str, npt.NDArray[Any]]
) -> Iterator[tuple[str, IntVector]]:
    for name in names:
        values = tensors[f"{index}.{name}"]
        if values.dtype != np.int64 or values.ndim != 1:
            raise ValueError(name)
        yield name, values


def _unreadable(path: Path) -> StudyError:
    return StudyError(
        "RF-S074", N_("{file} is no state of a run; it may be cut short or of another kind."), file=path.name
    )
