"""Name the first bad event of an altered log, and how it was altered.

What is compared are leaf hashes: those of the events found, and those stated by the bundle's `hashes` file.
When the stated ones lead to the signed root they are as good as signed, and the first difference is the first
bad event. When they were altered too, earlier checkpoints that still hold bound the place from below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ringfence.audit.errors import N_, AuditError, BundleError
from ringfence.audit.merkle import HASH_SIZE


def first_difference(found: bytes | bytearray, stated: bytes | bytearray) -> int | None:
    """Number of the first leaf hash in which two tables differ; None when they are the same."""
    if found == stated:
        return None
    low, high = 0, min(len(found), len(stated)) // HASH_SIZE
    # Invariant: the first `low` hashes agree. Halving compares big slices in C instead of hash by hash.
    while low < high:
        middle = (low + high + 1) // 2
        if found[low * HASH_SIZE : middle * HASH_SIZE] == stated[low * HASH_SIZE : middle * HASH_SIZE]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_end(found: bytes | bytearray, stated: bytes | bytearray, start: int) -> int:
    """How many hashes at the end agree, not counting the first `start` of either table."""
    limit = min(len(found), len(stated)) // HASH_SIZE - start
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if found[len(found) - middle * HASH_SIZE :] == stated[len(stated) - middle * HASH_SIZE :]:
            low = middle
        else:
            high = middle - 1
    return low


def _items(table: bytes | bytearray, start: int, end: int) -> list[bytes]:
    stretch = bytes(table[start * HASH_SIZE : len(table) - end * HASH_SIZE])
    return [stretch[i : i + HASH_SIZE] for i in range(0, len(stretch), HASH_SIZE)]


def name_alteration(found: bytes | bytearray, stated: bytes | bytearray) -> tuple[AuditError, int]:
    """The fault and its first event, where `stated` holds the leaf hashes as signed and `found` differs."""
    first = first_difference(found, stated) or 0
    end = _common_end(found, stated, first)
    here, there = _items(found, first, end), _items(stated, first, end)
    return _alteration(here, there, first, at_the_end=end == 0), first


def _alteration(here: list[bytes], there: list[bytes], first: int, *, at_the_end: bool) -> AuditError:
    """The fault for a stretch from `first` on that holds `here` and should hold `there`."""
    at = {"event": first, "line": first + 1}
    if not here and at_the_end:
        return BundleError(
            "RF-A081",
            N_("Events were cut off: the log ends before event {event} (line {line}), {count} are missing."),
            **at,
            count=len(there),
        )
    if not here:
        return BundleError(
            "RF-A080",
            N_(
                "Events were deleted: event {event} is missing before line {line} of log.jsonl, {count} in "
                "all."
            ),
            **at,
            count=len(there),
        )
    if not there:
        return BundleError(
            "RF-A082",
            N_("Events were inserted: event {event} (line {line} of log.jsonl) is not in the signed log."),
            **at,
        )
    if sorted(here) == sorted(there):
        return BundleError(
            "RF-A083",
            N_(
                "Events were reordered: event {event} (line {line} of log.jsonl) is not the one signed there."
            ),
            **at,
        )
    return BundleError(
        "RF-A084",
        N_("Events were altered: event {event} (line {line} of log.jsonl) is not the one that was signed."),
        **at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Where the first bad event lies when no table of hashes can be trusted: in `[low, high]`."""

    low: int
    high: int


def bound_alteration(claims: Mapping[int, bytes], roots: Mapping[int, bytes], count: int) -> Bounds:
    """Bound the first bad event by signed prefix roots.

    Args:
        claims: signed root per size.
        roots: root per size as computed from the events found.
        count: number of events found.
    """
    low = max((size for size, root in claims.items() if roots.get(size) == root), default=0)
    high = min(
        (size for size, root in claims.items() if size > low and roots.get(size) != root), default=count
    )
    return Bounds(low=low, high=max(low, high - 1))
