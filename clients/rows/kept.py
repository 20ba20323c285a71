"""The bytes in which an attested table is kept: coded columns and customer keys, as Arrow writes them.

Works for `clients/rows/table` alone. What is read back is what was kept, to the last bit: no cell is decoded
a second time, so nothing that a source could hold can make it fail.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from ringfence.privacy.errors import N_, TableError

# No feature of a schema can have this name.
_KEY: Final = "(key)"
_ROWS_AT_ONCE: Final = 1 << 20


def to_bytes(keys: tuple[str, ...], frame: pd.DataFrame) -> bytes:
    """The rows as one Arrow file.

    Args:
        keys: the customer keys, one a row.
        frame: the coded columns `(n, d)`.
    """
    import pyarrow as pa

    columns = pa.Table.from_pandas(frame, preserve_index=False)
    table = columns.append_column(_KEY, pa.array(keys, pa.large_string()))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as file:
        file.write_table(table, max_chunksize=_ROWS_AT_ONCE)
    return bytes(sink.getvalue())


def from_bytes(content: bytes, names: tuple[str, ...]) -> tuple[tuple[str, ...], pd.DataFrame]:
    """Keys and coded columns of what `to_bytes` made.

    Args:
        content: the bytes.
        names: of the columns, in their order.

    Raises:
        TableError: RF-T150 when the bytes are of another kind or hold other columns.
    """
    import pyarrow as pa

    try:
        with pa.ipc.open_file(pa.BufferReader(content)) as file:
            table = file.read_all()
        keys, frame = tuple(table[_KEY].to_pylist()), table.drop_columns([_KEY]).to_pandas()
    except (pa.ArrowException, KeyError, ValueError):
        keys, frame = (), pd.DataFrame()
    if tuple(frame.columns) != names:
        raise TableError(
            "RF-T150",
            N_("The kept table is of another version or damaged; attest the table of this study again."),
        )
    return keys, frame
