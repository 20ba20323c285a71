"""Reads the lines of a holder's items, paths and notes and cleans them; `listing` makes lists of them.

Works for `clients/rows/table` alone, as `raw_events` does. What a line is worth depends on its own cells, on
the signed documents and on other lines of the same customer, never on another customer's. A note's text is
masked and turned into a topic here, and goes no further.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from ringfence.clients.rows.cells import Cells, null_marks, raise_together
from ringfence.clients.rows.customers import KeyColumn
from ringfence.clients.rows.listing import (
    Entries,
    Flags,
    Listed,
    Moments,
    Numbers,
    Words,
    item_lists,
    mixed,
    note_lists,
    path_lists,
    seeds_of,
    text_words,
)
from ringfence.clients.rows.note_topics import topics_of
from ringfence.clients.rows.reading import fetch
from ringfence.clients.rows.texts import looked_up, numbered_apart, plain_texts
from ringfence.clients.rows.values import numbers, points_in_time
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.input_sources import AnySource, ItemsSource, PathsSource
from ringfence.privacy.agreements.inputs import AnyInput, ItemsInput, NotesInput, PathsInput
from ringfence.privacy.agreements.policy import Allowed
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.errors import TableError
from ringfence.privacy.tables import tabular
from ringfence.privacy.tables.celltext import compute
from ringfence.privacy.tables.coded_lists import CodedLists
from ringfence.privacy.tables.facts import InputFacts

_THOUSANDTHS: Final = 1000
"""Quantities are whole numbers of this part of a piece, so that they add up exactly."""
_LARGEST: Final = 10.0**9
_NAMELESS: Final = -1
_OUTSIDE: Final = -2


@dataclass(frozen=True, slots=True, kw_only=True)
class InputTable:
    """What one input's source comes to.

    Attributes:
        keys: of the customers with a usable line, without repeats.
        lists: one for each of them.
        facts: what was counted on the way.
    """

    keys: KeyColumn
    lists: CodedLists
    facts: InputFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Decoded columns, `(n,)` each; what is not mapped says nothing.

    Attributes:
        keys: customer keys by number, an Arrow array.
        customer: number of the customer, -1 without a key.
        moment: NaN for missing.
        code: position among the codes, -1 for missing, -2 for outside the catalogue.
        quantity: in thousandths, NaN for missing.
        basket: names of baskets, an Arrow array, or None.
        converts: whether the line tells a conversion.
    """

    keys: Any
    customer: Numbers
    moment: Moments
    code: Numbers
    quantity: Moments
    basket: Any
    converts: Flags
    cut: int


def read_inputs(
    contract: Contract, schema: Schema, allowed: Allowed, base_dir: Path
) -> dict[str, InputTable]:
    """Read the inputs that a decision allows, each from its own source.

    Args:
        contract: this holder's.
        schema: the schema it is mapped to.
        allowed: the policy's decision; no other input is read.
        base_dir: what a relative path stands against.

    Raises:
        TableError: RF-T001 to RF-T034 when a source cannot be read as the contract says.
    """
    read: dict[str, InputTable] = {}
    for name in allowed.inputs:
        source, declared = contract.inputs[name], schema.inputs[name]
        context = f"{schema.id}\n{schema.version}\n{name}"
        columns = _decoded(source, declared, contract, base_dir)
        read[name] = _listed(columns, source, declared, context)
    return read


def beside(
    keys: KeyColumn, inputs: Mapping[str, InputTable]
) -> tuple[dict[str, CodedLists], tuple[InputFacts, ...]]:
    """The list of every row, and the counts with those who are in one table and not in the other."""
    lists: dict[str, CodedLists] = {}
    facts: list[InputFacts] = []
    for name, table in inputs.items():
        places = keys.among(table.keys)
        lists[name] = table.lists.take(places)
        lengths = lists[name].lengths
        facts.append(
            replace(
                table.facts,
                strangers=len(table.keys) - int((places >= 0).sum()),
                without=int((lengths == 0).sum()),
            )
        )
    return lists, tuple(facts)


def _decoded(source: AnySource, declared: AnyInput, contract: Contract, base_dir: Path) -> _Columns:
    where = source.source or contract.source
    named = {key: header for key, header in source.columns.items() if key != "time" or declared.span}
    headers = [source.key(contract.subject), *named.values()]
    table, name, locate = fetch(where, headers, base_dir)
    number, keys = numbered_apart(tabular.key_text(table[headers[0]], null_marks(where)), blank="")
    count, faults = len(number), list[TableError]()

    def read(key: str, how: Callable[[Cells], Any], absent: Any) -> Any:
        if key not in named:
            return absent
        try:
            return how(Cells.of(table[named[key]], named[key], where, locate))
        except TableError as fault:
            faults.append(fault)
            return absent

    moment = read("time", lambda cells: points_in_time(cells, _century(declared)), np.zeros(count))
    quantity = read("quantity", numbers, np.ones(count))
    basket = read("basket", plain_texts, None)
    cut = 0
    if isinstance(declared, NotesInput):
        longest = declared.longest
        notes = read("text", lambda cells: topics_of(plain_texts(cells), declared.topics, longest), None)
        code, cut = (np.full(count, _NAMELESS), 0) if notes is None else notes
        converts = np.zeros(count, dtype=np.bool_)
    else:
        texts = read("item" if isinstance(source, ItemsSource) else "channel", plain_texts, None)
        code = _codes(texts, source, declared, count)
        converts = _conversions(read("converted", plain_texts, texts), source, count)
    raise_together(faults, name)
    return _Columns(
        keys=keys,
        customer=number,
        moment=moment,
        code=code,
        quantity=np.rint(np.clip(quantity, -_LARGEST, _LARGEST) * _THOUSANDTHS),
        basket=basket,
        converts=converts,
        cut=cut,
    )


def _century(declared: AnyInput) -> tuple[float, float]:
    """Days that a year of two digits can mean: around the days that count."""
    first, end = declared.span or (0, 0)
    middle = (first + end) // 2
    return middle - 18_262, middle + 18_262


def _codes(texts: Any, source: AnySource, declared: ItemsInput | PathsInput, count: int) -> Numbers:
    """Positions among the input's codes, by the contract's `values`, looked up once a distinct text."""
    if texts is None:
        return np.full(count, _NAMELESS, dtype=np.int64)
    number, distinct = numbered_apart(texts)
    values = source.values if isinstance(source, ItemsSource | PathsSource) else {}
    place = {name: position for position, name in enumerate(declared.codes)}
    meaning = place | {code.strip(): place[name] for code, name in values.items() if name in place}
    known = looked_up(distinct, meaning)
    codes: Numbers = np.append(np.where(known < 0, _OUTSIDE, known), _NAMELESS)[number]
    return codes


def _conversions(texts: Any, source: AnySource, count: int) -> Flags:
    import pyarrow as pa

    if texts is None or not isinstance(source, PathsSource):
        return np.zeros(count, dtype=np.bool_)
    wanted = pa.array([text.strip() for text in source.conversions], pa.string())
    found: Flags = compute().is_in(texts, wanted).to_numpy(zero_copy_only=False)
    return found


def _listed(columns: _Columns, source: AnySource, declared: AnyInput, context: str) -> InputTable:
    """Clean the lines, and bound what is left of each customer's."""
    left, taken, code, facts = _cleaned(columns, source, declared)
    rows = np.flatnonzero(left)
    numbers_left, first = np.unique(columns.customer[rows], return_index=True)
    rank = np.empty(len(numbers_left), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(numbers_left))
    # Customers in the order of their first usable line; those without one have no list.
    keys = KeyColumn(columns.keys).take(numbers_left[np.argsort(first, kind="stable")])
    owner = rank[np.searchsorted(numbers_left, columns.customer[rows])]
    moment = columns.moment[rows] if declared.span is not None else np.zeros(len(rows))
    code = code[rows]
    entries = Entries(
        customer=owner,
        moment=moment,
        code=code,
        basket=_baskets(columns.basket, declared, rows, moment, code, context),
        customers=len(numbers_left),
    )
    seeds = seeds_of(keys.texts, context)
    match declared:
        case ItemsInput():
            made = item_lists(entries.take(~taken[rows]), declared, seeds)
        case PathsInput():
            made = path_lists(entries, columns.converts[rows], declared)
        case NotesInput():
            made = note_lists(entries, declared, seeds)
    return InputTable(keys=keys, lists=made.lists, facts=_with_lists(facts, made))


def _with_lists(facts: InputFacts, made: Listed) -> InputFacts:
    return replace(
        facts,
        folded=made.folded,
        beyond=made.beyond,
        bounded=made.bounded,
        later=made.later,
        listed=len(made.lists.codes),
        converted=int(made.lists.flags.sum()),
    )


def _baskets(
    names: Any, declared: AnyInput, rows: Numbers, moment: Moments, code: Numbers, context: str
) -> Words:
    """Sixty-four bits that name each line's basket; a line without a name is a basket of its own."""
    if names is None or not isinstance(declared, ItemsInput) or declared.baskets == 1:
        return np.zeros(len(rows), dtype=np.uint64)
    number, distinct = numbered_apart(names.take(rows))
    words = np.append(text_words(distinct, context.encode()[:64]), np.uint64(0))[number]
    own = mixed(moment.view(np.uint64), code.astype(np.uint64))
    return np.where(number >= 0, words, own)


def _cleaned(
    columns: _Columns, source: AnySource, declared: AnyInput
) -> tuple[Flags, Flags, Numbers, InputFacts]:
    """The lines that count, those among them that returns take away, their codes, and how many lines do not
    count and why; each is told of once, for the first reason.
    """
    total = len(columns.customer)
    left, counted = np.ones(total, dtype=np.bool_), dict[str, int]()

    def told(reason: str, which: Flags, out: bool = True) -> None:
        nonlocal left
        counted[reason] = int((left & which).sum())
        left = left & ~which if out else left

    other = None if isinstance(declared, NotesInput) else declared.unknown
    returns = source.returns if isinstance(source, ItemsSource) else "drop"
    told("keyless", columns.customer < 0)
    told("undated", np.isnan(columns.moment))
    told("unquantified", np.isnan(columns.quantity))
    told("nameless", (columns.code == _NAMELESS) & ~columns.converts)
    told("cancelled", _cancelled(columns.basket, source, total))
    is_return = columns.quantity < 0
    told("returns", is_return, out=returns != "subtract")
    told("zero", columns.quantity == 0)
    first, end = declared.span or (0, 1)
    timed = np.nan_to_num(columns.moment) if declared.span is not None else np.zeros(total)
    told("before", timed < first)
    told("after", timed >= end)
    outside = columns.code == _OUTSIDE
    told("outside", outside & ~columns.converts, out=other == "drop")
    # What is outside becomes the last code, but for a line that tells a conversion and no step.
    code = np.where(outside & ~columns.converts, len(declared.codes) - 1, columns.code)
    taken = _taken_away(columns, code, left, is_return) if returns == "subtract" else is_return
    facts = InputFacts(
        name=declared.name,
        kind=_kind(declared),
        lines=total,
        cut=columns.cut,
        returns_rule=returns,
        unknown_rule=other or "other",
        max_unusable=source.max_unusable,
        **counted,
    )
    return left, taken, code, facts


def _kind(declared: AnyInput) -> str:
    return {ItemsInput: "items", PathsInput: "paths", NotesInput: "notes"}[type(declared)]


def _cancelled(baskets: Any, source: AnySource, count: int) -> Flags:
    found = np.zeros(count, dtype=np.bool_)
    beginnings = source.cancelled if isinstance(source, ItemsSource) else ()
    for beginning in beginnings if baskets is not None else ():
        starts = compute().fill_null(compute().starts_with(baskets, beginning), False)
        found |= starts.to_numpy(zero_copy_only=False)
    return found


def _taken_away(columns: _Columns, codes: Numbers, left: Flags, is_return: Flags) -> Flags:
    """Returns, and purchases of articles of which the customer gave back as much as it bought or more."""
    rows = np.flatnonzero(left)
    owner, code = columns.customer[rows], codes[rows]
    by = np.lexsort((code, owner))
    fresh = np.ones(len(by), dtype=np.bool_)
    fresh[1:] = (owner[by][1:] != owner[by][:-1]) | (code[by][1:] != code[by][:-1])
    pair = np.empty(len(by), dtype=np.int64)
    pair[by] = np.cumsum(fresh) - 1
    net = np.zeros(int(fresh.sum()), dtype=np.int64)
    np.add.at(net, pair, columns.quantity[rows].astype(np.int64))
    taken = is_return.copy()
    taken[rows] |= net[pair] <= 0
    return taken
