"""Fetches the allowed columns of the contract's source, for `clients/rows/table` and `raw_events` alone.

What a database holds is passed on as it is, cell by cell: a type for a whole column would let one row change
how the others are read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ringfence.privacy.agreements.columns import Source
from ringfence.privacy.errors import N_, TableError
from ringfence.privacy.tables import tabular
from ringfence.privacy.tables.driver_cells import DriverColumn, extend_all

if TYPE_CHECKING:
    from sqlalchemy import Engine

Locate = Callable[[Sequence[int]], list[int]]
"""Rows (from 0) to the numbers people know them by: lines of a CSV file, rows from 1 elsewhere."""


_DRIVERS: Final = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
"""Which package speaks to a database whose url names none."""


def fetch(source: Source, headers: Sequence[str], base_dir: Path) -> tuple[dict[str, Any], str, Locate]:
    """Decode the named columns and no other.

    Args:
        source: of the contract.
        headers: names of columns in the file or database table, the customer key first.
        base_dir: what a relative path stands against.

    Returns:
        The columns by name (of a file an Arrow array each, of a database a `DriverColumn`), of which the
        caller lets go one by one; the source's name for messages, and a way to locate rows for messages.

    Raises:
        TableError: RF-T001 to RF-T019 when it cannot be read.
    """
    if source.url is not None and source.table is not None:
        return _fetch_rows(source.url, source.table, headers, base_dir), source.table, _by_count
    if source.file is None:
        raise TableError(
            "RF-T018",
            N_("The contract names neither a file nor a database; give one in [source] or with --data."),
        )
    path = base_dir / source.file
    layout = tabular.Layout(delimiter=source.delimiter, encoding=source.encoding, names=source.header)
    table = tabular.read_columns(path, headers, layout, key=headers[0], compact=True)
    return (
        {header: table[header] for header in headers},
        path.name,
        lambda rows: tabular.line_numbers(path, layout, rows),
    )


def _by_count(rows: Sequence[int]) -> list[int]:
    return [row + 1 for row in rows]


def _fetch_rows(url: str, name: str, headers: Sequence[str], base_dir: Path) -> dict[str, DriverColumn]:
    from sqlalchemy import column, inspect, select, table
    from sqlalchemy.exc import NoSuchTableError, SQLAlchemyError

    schema, _dot, bare = name.rpartition(".")
    engine = _engine(url, base_dir)
    columns = [DriverColumn() for _header in headers]
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
                hint=tabular.lacking(missing, headers, headers[0], tabular.nearest(missing[0], known)),
            )
        chosen: list[Any] = [column(header) for header in headers]
        statement = select(*chosen).select_from(table(bare, schema=schema or None))
        with engine.connect() as connection:
            result = connection.execution_options(stream_results=True).execute(statement)
            for rows in result.partitions(1 << 16):
                extend_all(columns, rows)
    except NoSuchTableError:
        raise TableError(
            "RF-T021", N_("The database has no table or view {table}. Check table in [source]."), table=name
        ) from None
    except SQLAlchemyError:
        # The driver's own text may name users, hosts or values, so it is not repeated.
        raise TableError(
            "RF-T022",
            N_(
                "The database cannot be read. Check url in [source], that the server runs and that this user "
                "may read {table}."
            ),
            table=name,
        ) from None
    finally:
        engine.dispose()
    if not len(columns[0]):
        raise TableError(
            "RF-T023", N_("The table {table} has no rows; at least one row is expected."), table=name
        )
    return dict(zip(headers, columns, strict=True))


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
                    "RF-T001",
                    N_("The file {file} does not exist. Check its path, in [source] or on the command line."),
                    file=str(path),
                )
            # Opened for reading only: a misspelt name must not make an empty database.
            return create_engine(f"sqlite:///file:{os.path.abspath(path)}?mode=ro&uri=true")
        if target.drivername in _DRIVERS:
            target = target.set(drivername=f"{target.drivername}+{_DRIVERS[target.drivername]}")
        return create_engine(target)
    except (SQLAlchemyError, ImportError):
        raise TableError(
            "RF-T024",
            N_(
                "The url in [source] cannot be used; expected e.g. postgresql://user@host/database, and its "
                "driver installed."
            ),
        ) from None
