"""The bytes in which an attested table is kept: coded columns and customer keys, as Arrow writes them.

Works for `clients/rows/table` alone. What is read back is what was kept, to the last bit: no cell is decoded
a second time, so nothing that a source could hold can make it fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from ringfence.clients.rows.customers import KeyColumn
from ringfence.privacy.errors import N_, TableError
from ringfence.privacy.tables.coded_lists import CodedLists

# No feature of a schema can have such a name.
_KEY: Final = "(key)"
_CODES: Final = "(codes) "
_GROUPS: Final = "(groups) "
_FLAGS: Final = "(flags) "
_ROWS_AT_ONCE: Final = 1 << 20


def to_bytes(keys: KeyColumn, frame: pd.DataFrame, lists: Mapping[str, CodedLists]) -> bytes:
    """The rows as one Arrow file.

    Args:
        keys: the customer keys, one a row.
        frame: the coded columns `(n, d)`.
        lists: of the inputs by name, one list a row each.
    """
    import pyarrow as pa

    sink, file = pa.BufferOutputStream(), None
    # Part by part, since Arrow copies what has gaps on the way from a frame.
    for begin in range(0, max(len(frame), 1), _ROWS_AT_ONCE):
        part = _part(keys, frame, lists, begin)
        if file is None:
            options = pa.ipc.IpcWriteOptions(compression="zstd")
            file = pa.ipc.new_file(sink, part.schema, options=options)
        file.write_table(part)
    assert file is not None  # there is one part at least
    file.close()
    return bytes(sink.getvalue())


def _part(keys: KeyColumn, frame: pd.DataFrame, lists: Mapping[str, CodedLists], begin: int) -> Any:
    """An Arrow table of the rows from one on."""
    import pyarrow as pa

    columns = pa.Table.from_pandas(frame.iloc[begin : begin + _ROWS_AT_ONCE], preserve_index=False)
    parts = dict(zip(columns.column_names, columns.columns, strict=True))
    texts = keys.texts.slice(begin, _ROWS_AT_ONCE)
    for name, whole in lists.items():
        each = whole.take(np.arange(begin, begin + len(texts)))
        offsets = pa.array(each.offsets)
        parts[_CODES + name] = pa.LargeListArray.from_arrays(offsets, pa.array(each.codes))
        parts[_GROUPS + name] = pa.LargeListArray.from_arrays(offsets, pa.array(each.groups))
        parts[_FLAGS + name] = pa.array(each.flags)
    return pa.table({**parts, _KEY: texts}, metadata=columns.schema.metadata)


def from_bytes(
    content: bytes, names: tuple[str, ...], inputs: tuple[str, ...] = ()
) -> tuple[KeyColumn, pd.DataFrame, dict[str, CodedLists]]:
    """Keys, coded columns and lists of what `to_bytes` made.

    Args:
        content: the bytes.
        names: of the columns, in their order.
        inputs: names of the inputs.

    Raises:
        TableError: RF-T150 when the bytes are of another kind or hold other columns.
    """
    import pyarrow as pa

    try:
        with pa.ipc.open_file(pa.BufferReader(content)) as file:
            table = file.read_all()
        keys, lists = KeyColumn(table[_KEY]), {name: _lists_of(table, name) for name in inputs}
        beside = [_KEY, *(kind + name for name in inputs for kind in (_CODES, _GROUPS, _FLAGS))]
        frame = table.drop_columns(beside).to_pandas()
    except (pa.ArrowException, KeyError, ValueError):
        keys, lists, frame = None, {}, pd.DataFrame()
    if keys is None or tuple(frame.columns) != names:
        raise TableError(
            "RF-T150",
            N_("The kept table is of another version or damaged; attest the table of this study again."),
        )
    # Without a column the frame would not know how many rows there are.
    return keys, frame if names else pd.DataFrame(index=pd.RangeIndex(len(keys))), lists


def _lists_of(table: Any, name: str) -> CodedLists:
    codes = table[_CODES + name].combine_chunks()
    lengths = codes.value_lengths().to_numpy(zero_copy_only=False)
    return CodedLists(
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        codes=codes.flatten().to_numpy(zero_copy_only=False),
        groups=table[_GROUPS + name].combine_chunks().flatten().to_numpy(zero_copy_only=False),
        flags=table[_FLAGS + name].combine_chunks().to_numpy(zero_copy_only=False),
    )
