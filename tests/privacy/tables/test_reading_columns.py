"""A file that is written while it is read gives nothing, rather than half of either state."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from ringfence.privacy.errors import TableError
from ringfence.privacy.tables import tabular
from ringfence.privacy.tables.tabular import Layout, read_columns


def appended(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b"c,3\n")


def replaced(file: Path) -> None:
    """As exports do it: another file takes the name, here with the same length and time."""
    status = file.stat()
    other = file.with_name("new")
    other.write_bytes(file.read_bytes().replace(b"1", b"9"))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)


@pytest.mark.parametrize("change", [appended, replaced, Path.unlink])
@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, change: Any
) -> None:
    file, layout = tmp_path / name, Layout(delimiter=",", encoding="utf-8")
    if name == "t.csv":
        file.write_bytes(b"key,age\na,1\nb,2\n")
    else:
        parquet.write_table(pa.table({"key": ["a", "b"], "age": [1, 2]}), file)
    assert read_columns(file, ["key", "age"], layout).num_rows == 2
    for reader in ("read_delimited", "_read_parquet"):
        read = getattr(tabular, reader)

        def slow(*words: Any, _read: Any = read) -> Any:
            table = _read(*words)
            change(file)
            return table

        monkeypatch.setattr(tabular, reader, slow)
    with pytest.raises(TableError, match=r"RF-T171.*changed while it was read"):
        read_columns(file, ["key", "age"], layout)
