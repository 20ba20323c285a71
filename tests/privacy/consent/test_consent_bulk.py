"""Columns read in pieces are the columns read row by row, whatever stands in them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Column, Connection, Integer, LargeBinary, MetaData, Table, func, select

from ringfence.privacy.consent import bulk, snapshot
from ringfence.privacy.consent.pseudonym import RegistryKeys, SubjectIndex, pseudonyms
from ringfence.privacy.consent.registry import ConsentRegistry
from ringfence.privacy.stores.store import open_store

_METADATA = MetaData()
_ROWS = Table(
    "rows",
    _METADATA,
    Column("id", Integer, primary_key=True),
    Column("at", BigInteger),
    Column("name", LargeBinary),
)
_INT64 = st.integers(-(2**63), 2**63 - 1)


@pytest.fixture
def connection() -> Iterator[Connection]:
    with open_store(None).begin() as transaction:
        _METADATA.create_all(transaction)
        yield transaction


@given(
    cells=st.dictionaries(
        st.integers(0, 3 * bulk.PIECE),
        st.tuples(st.none() | _INT64, st.none() | st.binary(min_size=16, max_size=16)),
    )
)
@settings(max_examples=60, deadline=None)
def test_pieces_hold_every_row_once(cells: dict[int, tuple[int | None, bytes | None]]) -> None:
    with open_store(None).begin() as transaction:
        _METADATA.create_all(transaction)
        for number, (at, name) in cells.items():
            transaction.execute(_ROWS.insert().values(id=number, at=at, name=name))
        last = max(cells, default=-1)
        found = bulk.integer_columns(
            transaction, (_ROWS.c.id, func.coalesce(_ROWS.c.at, 7)), bulk.key_ranges(_ROWS.c.id, last)
        )
        assert dict(found.T.tolist()) == {
            number: 7 if at is None else at for number, (at, _) in cells.items()
        }
        assert found.shape == (2, len(cells))
        joined, numbers = bulk.joined(
            transaction, _ROWS.c.name, _ROWS.c.id, bulk.key_ranges(_ROWS.c.id, last)
        )
        named = {number: name for number, (_, name) in cells.items() if name is not None}
        assert {n: joined[16 * i : 16 * i + 16] for i, n in enumerate(numbers.tolist())} == named
        assert len(joined) == 16 * len(named)


def test_a_null_among_numbers_is_refused_and_never_shifts_a_column(connection: Connection) -> None:
    connection.execute(_ROWS.insert(), [{"id": 1, "at": 5}, {"id": 2, "at": None}])
    with pytest.raises(ValueError, match="other lengths"):
        bulk.integer_columns(connection, (_ROWS.c.id, _ROWS.c.at), [_ROWS.c.id > 0])


def test_no_condition_reads_nothing(connection: Connection) -> None:
    assert bulk.integer_columns(connection, (_ROWS.c.id, _ROWS.c.at), []).shape == (2, 0)
    assert list(bulk.key_ranges(_ROWS.c.id, -1)) == []
    assert bulk.joined(connection, _ROWS.c.name, _ROWS.c.id, [])[0] == b""


def test_a_piece_ends_where_the_next_begins(connection: Connection) -> None:
    edges = [0, bulk.PIECE - 1, bulk.PIECE, 2 * bulk.PIECE - 1, 2 * bulk.PIECE]
    connection.execute(_ROWS.insert(), [{"id": edge, "at": edge} for edge in edges])
    found = bulk.integer_columns(connection, (_ROWS.c.id,), bulk.key_ranges(_ROWS.c.id, edges[-1]))
    assert found[0].tolist() == edges == sorted(connection.scalars(select(_ROWS.c.id)))


@given(customers=st.lists(st.text(max_size=200), max_size=20), key=st.binary(min_size=32, max_size=32))
@settings(max_examples=100, deadline=None)
def test_pseudonyms_are_keyed_blake2b_of_each_key_alone(customers: list[str], key: bytes) -> None:
    keys = RegistryKeys.derive(key)
    writable = [each.encode("utf-8", "replace").decode() for each in customers]
    straight = [
        hashlib.blake2b(each.encode(), key=keys.subject, digest_size=16, person=b"rf-pseudonym").digest()
        for each in writable
    ]
    assert pseudonyms(keys, writable) == straight


def test_an_index_of_joined_pseudonyms_finds_each(connection: Connection) -> None:
    references = [hashlib.blake2b(bytes([i]), digest_size=16).digest() for i in range(200)]
    index = SubjectIndex(b"".join(references), np.arange(200)[::-1].copy())
    assert index.find([*references, bytes(16)]).tolist() == [*range(199, -1, -1), -1]


def test_a_registry_folded_in_many_pieces_is_the_one_folded_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(1)
    words, years = ("granted", "renewed", "withdrawn", "refused"), range(2020, 2028)
    lines = [
        f"k{rng.randrange(300)},{rng.choice(words)},churn-prediction,{rng.choice(years)}-01-01,made-up,1,en,"
        f"sha256:{'0' * 64},consent,bank"
        for _ in range(900)
    ]
    names = (
        "customer_key,event,purpose,at,notice_id,notice_version,"
        "notice_language,notice_digest,legal_basis,recipients"
    )
    (tmp_path / "consent.csv").write_text("\n".join([names, *lines]))
    engine, now = open_store(None), datetime(2026, 11, 22, tzinfo=UTC)
    registry = ConsentRegistry.open(engine, bytes(32))
    later = datetime(2027, 6, 1, tzinfo=UTC)
    registry.import_file(tmp_path / "consent.csv", jurisdiction="CN", now=later)
    at_once = registry.eligible("churn-prediction", now)
    asked = [f"k{number}" for number in range(2500)]
    numbers = registry.indices(asked)
    monkeypatch.setattr(snapshot, "CHUNK", 64)
    monkeypatch.setattr(bulk, "PIECE", 16)
    again = ConsentRegistry.open(engine, bytes(32))
    assert again.eligible("churn-prediction", now) == at_once
    assert 0 < len(at_once) < len({line.split(",")[0] for line in lines}) == (numbers >= 0).sum()
    assert again.indices(asked).tolist() == numbers.tolist()
