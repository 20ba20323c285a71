"""Lines of items, paths and notes become one bounded list of codes a customer.

Invariant: a customer's list is a function of its own lines, its key and the schema alone, whatever order the
lines stand in and whoever else is there. What is over the bound is left out by time, or by a keyed hash of
the customer and the entry, never by the order of the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ringfence.privacy.agreements.inputs import ItemsInput, NotesInput, PathsInput
from ringfence.privacy.tables.coded_lists import CodedLists

Numbers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Moments = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Seeds = Callable[[Numbers], Words]
"""Customers' numbers to 64 bits for each, of their keys alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What lines come to.

    Attributes:
        lists: one for every customer number from 0 to n - 1.
        folded: entries alike that were counted once.
        beyond: entries left out since their customer has more than the schema allows.
        bounded: customers who had more.
        later: touches after a customer's first conversion.
    """

    lists: CodedLists
    folded: int
    beyond: int
    bounded: int
    later: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """Usable lines, `(n,)` each.

    Attributes:
        customer: number of the customer, 0 to `customers` - 1.
        moment: as in `values.points_in_time`; 0 where time does not count.
        code: position among the input's codes.
        basket: 64 bits that name the basket among its customer's; 0 where there are none.
        customers: how many there are.
    """

    customer: Numbers
    moment: Moments
    code: Numbers
    basket: Words
    customers: int

    def take(self, rows: Flags | Numbers) -> Entries:
        """Some of the lines."""
        return Entries(
            customer=self.customer[rows],
            moment=self.moment[rows],
            code=self.code[rows],
            basket=self.basket[rows],
            customers=self.customers,
        )


def seeds_of(keys: Any, context: str) -> Seeds:
    """Sixty-four bits for each customer that is asked for.

    Args:
        keys: customer keys by number, an Arrow array of text.
        context: names schema and input, so that one customer's bits differ from input to input.
    """
    key = hashlib.sha256(f"ringfence/choice/v1\n{context}".encode()).digest()

    def seeds(customers: Numbers) -> Words:
        texts = keys.take(customers) if len(customers) else keys.slice(0, 0)
        return text_words(texts, key)

    return seeds


def text_words(texts: Any, key: bytes) -> Words:
    """BLAKE2b of texts under a key, the first 64 bits, uint64 `(n,)`; texts are looked at in parts."""
    made = np.empty(len(texts), dtype=np.uint64)
    for begin in range(0, len(texts), 1 << 16):
        part = texts.slice(begin, 1 << 16).to_pylist()
        digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8, key=key).digest() for text in part)
        made[begin : begin + len(part)] = np.frombuffer(digests, dtype="<u8")
    return made


def mixed(*words: Words) -> Words:
    """One word of several, each bit depending on all of theirs (the finaliser of SplitMix64, Steele et al.
    2014).
    """
    made = np.zeros(len(words[0]), dtype=np.uint64)
    for word in words:
        made = (made ^ word) + np.uint64(0x9E3779B97F4A7C15)
        made = (made ^ (made >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        made = (made ^ (made >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        made ^= made >> np.uint64(31)
    return made


def item_lists(entries: Entries, declared: ItemsInput, seeds: Seeds) -> Listed:
    """Each article once a customer or basket; at most so many baskets, and articles in each."""
    entries, beyond, bounded = _few_baskets(entries, declared, seeds)
    # Each article once in its basket, at its first moment.
    by = np.lexsort((entries.moment, entries.code, entries.basket, entries.customer))
    ordered = entries.take(by)
    fresh = _changes(ordered.customer, ordered.basket, ordered.code)
    once = ordered.take(fresh)
    folded = len(by) - len(once.customer)
    timed = declared.choice == "first"
    over = _over(declared.most, once.customer, once.basket)
    rank = np.zeros(len(once.customer), dtype=np.uint64)
    rank[over] = mixed(seeds(once.customer[over]), once.basket[over], once.code[over].astype(np.uint64))
    place = _places((once.customer, once.basket), (once.moment,) if timed else (), rank)
    kept = once.take(place < declared.most)
    bounded |= set(np.unique(once.customer[place >= declared.most]).tolist())
    groups = _group_numbers(kept)
    by = np.lexsort((kept.code, groups, kept.customer))
    lists = CodedLists.of(
        kept.customer[by], kept.code[by], groups[by], np.zeros(entries.customers, dtype=np.bool_)
    )
    return Listed(
        lists=lists,
        folded=folded,
        beyond=beyond + len(once.customer) - len(kept.customer),
        bounded=len(bounded),
    )


def _few_baskets(entries: Entries, declared: ItemsInput, seeds: Seeds) -> tuple[Entries, int, set[int]]:
    """The lines of each customer's baskets as far as they count, how many lines are left out, and whose."""
    if declared.baskets == 1:
        return entries, 0, set()
    by = np.lexsort((entries.moment, entries.basket, entries.customer))
    ordered = entries.take(by)
    fresh = _changes(ordered.customer, ordered.basket)
    basket = np.cumsum(fresh) - 1
    firsts = ordered.take(fresh)
    over = _over(declared.baskets, firsts.customer)
    rank = np.zeros(len(firsts.customer), dtype=np.uint64)
    rank[over] = mixed(seeds(firsts.customer[over]), firsts.basket[over])
    timed = declared.choice == "first"
    place = _places((firsts.customer,), (firsts.moment,) if timed else (), rank)
    out = (place >= declared.baskets)[basket]
    return ordered.take(~out), int(out.sum()), set(np.unique(ordered.customer[out]).tolist())


def path_lists(entries: Entries, converts: Flags, declared: PathsInput) -> Listed:
    """Steps in the order of time up to the first conversion; steps at one moment in the order of channels.

    Args:
        entries: touches; code -1 where a line tells a conversion and no step.
        converts: whether a line tells a conversion, bool `(n,)`.
        declared: the schema's.
    """
    first = np.full(entries.customers, np.inf)
    np.minimum.at(first, entries.customer[converts], entries.moment[converts])
    late = (entries.moment > first[entries.customer]) & (entries.code >= 0)
    steps = entries.take((entries.code >= 0) & ~late)
    steps = steps.take(np.lexsort((steps.code, steps.moment, steps.customer)))
    folded = 0
    if declared.repeats == "fold":
        fresh = _changes(steps.customer, steps.code)
        folded = int((~fresh).sum())
        steps = steps.take(fresh)
    count = np.bincount(steps.customer, minlength=entries.customers)
    begin = np.cumsum(count) - count
    place = np.arange(len(steps.customer)) - begin[steps.customer]
    if declared.keep == "last":
        place = count[steps.customer] - 1 - place
    kept = steps.take(place < declared.most)
    groups = np.zeros(len(kept.customer), dtype=np.int64)
    return Listed(
        lists=CodedLists.of(kept.customer, kept.code, groups, np.isfinite(first)),
        folded=folded,
        beyond=len(place) - len(kept.customer),
        bounded=int((count > declared.most).sum()),
        later=int(late.sum()),
    )


def note_lists(entries: Entries, declared: NotesInput, seeds: Seeds) -> Listed:
    """Topics of a customer's notes, each note one entry; notes of one topic and moment are as good as each
    other.
    """
    ordered = entries.take(np.lexsort((entries.moment, entries.code, entries.customer)))
    over = _over(declared.most, ordered.customer)
    fresh = _changes(ordered.customer, ordered.code, ordered.moment)
    first = np.flatnonzero(fresh)
    turn = np.arange(len(fresh)) - first[np.cumsum(fresh) - 1] if len(fresh) else np.zeros(0, dtype=np.int64)
    rank = np.zeros(len(ordered.customer), dtype=np.uint64)
    rank[over] = mixed(
        seeds(ordered.customer[over]),
        ordered.code[over].astype(np.uint64),
        ordered.moment[over].view(np.uint64),
        turn[over].astype(np.uint64),
    )
    timed = (-ordered.moment,) if declared.choice == "last" else ()
    place = _places((ordered.customer,), timed, rank)
    kept = ordered.take(place < declared.most)
    by = np.lexsort((kept.code, kept.customer))
    none = np.zeros(len(by), dtype=np.int64)
    flags = np.zeros(entries.customers, dtype=np.bool_)
    return Listed(
        lists=CodedLists.of(kept.customer[by], kept.code[by], none, flags),
        folded=0,
        beyond=len(place) - len(by),
        bounded=len(np.unique(ordered.customer[place >= declared.most])),
    )


def _changes(*keys: npt.NDArray[Any]) -> Flags:
    """Where ordered entries differ from the one before, bool `(n,)`; the first does."""
    fresh = np.ones(len(keys[0]), dtype=np.bool_)
    fresh[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return fresh


def _over(most: int, *keys: npt.NDArray[Any]) -> Flags:
    """Which of entries ordered by some keys belong to a group of more than `most`."""
    fresh = _changes(*keys)
    group = np.cumsum(fresh) - 1
    counts = np.bincount(group) if len(group) else np.zeros(0, dtype=np.int64)
    over: Flags = (counts > most)[group]
    return over


def _places(group: tuple[npt.NDArray[Any], ...], times: tuple[Moments, ...], rank: Words) -> Numbers:
    """Place of each entry in its group, from 0, by time and then by rank; the order of entries stays."""
    by = np.lexsort((rank, *times, *reversed(group)))
    fresh = _changes(*(key[by] for key in group))
    first = np.flatnonzero(fresh)
    place = np.empty(len(by), dtype=np.int64)
    if len(by):
        place[by] = np.arange(len(by)) - first[np.cumsum(fresh) - 1]
    return place


def _group_numbers(kept: Entries) -> Numbers:
    """Number of each entry's basket within its customer: by the first moment that is kept, then by name."""
    by = np.lexsort((kept.moment, kept.basket, kept.customer))
    fresh = _changes(kept.customer[by], kept.basket[by])
    group = np.empty(len(by), dtype=np.int64)
    group[by] = np.cumsum(fresh) - 1
    firsts = kept.take(by[fresh])
    place = _places((firsts.customer,), (firsts.moment,), firsts.basket)
    numbers: Numbers = place[group]
    return numbers
