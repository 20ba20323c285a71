"""Fetches the allowed columns of the contract's source, file or database, for `clients/table` alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringfence.privacy import tabular
from ringfence.privacy.documents.columns import Source
from ringfence.privacy.errors import N_, TableError

if TYPE_CHECKING:
    from sqlalchemy import Engine

Locate = Callable[[Sequence[int]], list[int]]
"""Rows (from 0) to the numbers people know them by: lines of a CSV file, rows from 1 elsewhere."""


def fetch(source: Source, headers: Sequence[str], base_dir: Path) -> tuple[Any, str, Locate]:
    """Decode the named columns and no other.

    Args:
        source: of the contract.
        headers: names of columns in the file or database table.
        base_dir: what a relative path stands against.

    Returns:
        A `pyarrow.Table`, the source's name for messages, and a way to locate rows for messages.

    Raises:
        TableError: RF-T001 to RF-T019 when it cannot be read.
    """
    if source.url is not None and source.table is not None:
        return _fetch_rows(source.url, source.table, headers, base_dir), source.table, _by_count
    if source.file is None:
        raise TableError(
            "RF-T018", N_("The contract names neither a file nor a database; give one in [source] or with --data.")
        )
    path = base_dir / source.file
    layout = tabular.Layout(delimiter=source.delimiter, encoding=source.encoding)
    table = tabular.read_columns(path, headers, layout)
    return table, path.name, lambda rows: tabular.line_numbers(path, layout, rows)


def _by_count(rows: Sequence[int]) -> list[int]:
    return [row + 1 for row in rows]


def _fetch_rows(url: str, name: str, headers: Sequence[str], base_dir: Path) -> Any:
    import pyarrow as pa
    from sqlalchemy import column, inspect, select, table
    from sqlalchemy.exc import NoSuchTableError, SQLAlchemyError

    schema, _dot, bare = name.rpartition(".")
    engine = _engine(url, base_dir)
    try:
        known = [entry["name"] for entry in inspect(engine).get_columns(bare, schema=schema or None)]
        missing = [header for header in headers if header not in known]
        if missing:
            raise TableError(
                "RF-T019",
                N_("The table {table} lacks {count} column(s) that are needed: {columns}.{hint}"),
                table=name,
                count=len(missing),
                columns=", ".join(f'"{header}"' for header in missing[:10]),
                hint=tabular.nearest(missing[0], known),
            )
        chosen: list[Any] = [column(header) for header in headers]
        statement = select(*chosen).select_from(table(bare, schema=schema or None))
        with engine.connect() as connection:
            result = connection.execution_options(stream_results=True).execute(statement)
            batches = [_arrays(rows) for rows in result.partitions(1 << 16)]
    except NoSuchTableError:
        raise TableError(
            "RF-T021", N_("The database has no table or view {table}. Check table in [source]."), table=name
        ) from None
    except SQLAlchemyError:
        # The driver's own text may name users, hosts or values, so it is not repeated.
        raise TableError(
            "RF-T022",
            N_("The database cannot be read. Check url in [source], that the server runs and that this user may read {table}."),
            table=name,
        ) from None
    finally:
        engine.dispose()
    if not batches:
        raise TableError(
            "RF-T023", N_("The table {table} has no rows; at least one row is expected."), table=name
        )
    return pa.table({header: _joined([batch[i] for batch in batches]) for i, header in enumerate(headers)})


def _engine(url: str, base_dir: Path) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        target = make_url(url)
        if target.get_backend_name() == "sqlite":
            path = base_dir / (target.database or "")
            if not path.is_file():
                raise TableError(
                    "RF-T001", N_("The file {file} does not exist. Point [source] at the table."), file=str(path)
                )
            # Opened for reading only: a misspelt name must not make an empty database.
            return create_engine(f"sqlite:///file:{os.path.abspath(path)}?mode=ro&uri=true")
        if target.drivername == "postgresql":
            target = target.set(drivername="postgresql+psycopg")
        return create_engine(target)
    except (SQLAlchemyError, ImportError):
        raise TableError(
            "RF-T024",
            N_("The url in [source] cannot be used; expected e.g. postgresql://user@host/database, and its driver installed."),
        ) from None


def _arrays(rows: Sequence[Any]) -> list[Any]:
    import pyarrow as pa

    arrays = []
    for values in zip(*rows, strict=True):
        try:
            arrays.append(pa.array(values))
        except (pa.ArrowException, TypeError):  # SQLite lets a column hold several types
            arrays.append(pa.array([None if value is None else str(value) for value in values], pa.string()))
    return arrays


def _joined(pieces: Sequence[Any]) -> Any:
    """One column from its pieces; pieces that Arrow read as different types meet as text."""
    import pyarrow as pa

    kinds = {piece.type for piece in pieces if not pa.types.is_null(piece.type)}
    if not kinds:
        return pa.concat_arrays([piece.cast(pa.string()) for piece in pieces])
    kind = kinds.pop() if len(kinds) == 1 else pa.string()
    return pa.concat_arrays([piece.cast(kind) for piece in pieces])
