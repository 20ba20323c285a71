"""A round that has ended, and how its noisy sum stands in the coordinator's store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Row

from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.stores.tensors import read_tensors, write_tensors
from ringfence.privacy.waist import Aggregate, IntVector
from ringfence.server.coordinator import OpenStudy

FORMAT = "ringfence-released-sum-1"


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


def row_of_sum(each: ReleasedSum) -> dict[str, object]:
    """The columns of a sum as they are kept."""
    blocks = {name: values.astype(np.int64) for name, values in each.aggregate.blocks.items()}
    described = {"format": FORMAT, "blocks": list(blocks), "holders": each.aggregate.holders}
    return {
        "round": each.aggregate.round,
        "query": each.query,
        "attempts": each.attempts,
        "holders": json.dumps(each.names),
        "blocks": write_tensors(described, blocks),
    }


def read_sum(index: int, row: Row[Any], opened: OpenStudy) -> ReleasedSum:
    """A sum as it was kept.

    Raises:
        StudyError: RF-S073 another version wrote it, RF-S074 it is damaged.
    """
    try:
        described, tensors = read_tensors(bytes(row.blocks))
        if described["format"] != FORMAT:
            raise _other_form(opened, str(described["format"]))
        blocks: dict[str, IntVector] = {}
        for name in described["blocks"]:
            values = tensors[name]
            if values.dtype != np.int64 or values.ndim != 1:
                raise ValueError(name)
            blocks[name] = values
        names = tuple(str(name) for name in json.loads(row.holders))
        aggregate = Aggregate(round=index, holders=int(described["holders"]), blocks=blocks)
    except (KeyError, TypeError, ValueError):
        raise StudyError(
            "RF-S074",
            N_("The sum of round {round} of the study {study} cannot be read; restore the store."),
            round=index,
            study=opened.study.id,
        ) from None
    return ReleasedSum(query=row.query, aggregate=aggregate, attempts=row.attempts, names=names)


def _other_form(opened: OpenStudy, found: str) -> StudyError:
    return StudyError(
        "RF-S073",
        N_(
            "The sums of the study {study} are of the form {found}; this version reads {expected}. Use the "
            "version that wrote them."
        ),
        study=opened.study.id,
        found=found[:60],
        expected=FORMAT,
    )
