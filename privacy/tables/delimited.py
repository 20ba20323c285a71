"""Reads delimited text: cut into fields as bytes, strictly, and only the columns asked for are decoded.

A column nobody may use is thus never decoded, whatever it holds. `tabular` is the way in.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ringfence.privacy.tables import cutting, encodings
from ringfence.privacy.tables.cutting import BLOCK, WHITESPACE
from ringfence.privacy.tables.layouts import (
    MULTIBYTE,
    Layout,
    header,
    misfits,
    records,
    require_strict,
    undecodable,
    unparsable,
)

_LARGEST_BLOCK: Final = (1 << 31) - 1
_UTF8: Final = ("utf-8", "utf-8-sig", "ascii")
_GUESSED_FROM: Final = 4096
_BLOCKS_A_PIECE: Final = 64


def _content(path: Path, layout: Layout) -> Any:
    """What Arrow reads: the file itself, unless it needs a hand.

    Cells between blanks come with one tab between two of them, for the one reader there is; of several byte
    order marks Arrow would leave all but the first in the first cell.
    """
    if layout.delimiter == WHITESPACE:
        raw = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return io.BytesIO(b"\n".join(b"\t".join(line.split()) for line in raw.split(b"\n")))
    with path.open("rb") as stream:
        start = stream.read(2 * len(cutting.UTF8_MARK))
    if start != 2 * cutting.UTF8_MARK:
        return path
    raw = path.read_bytes()
    while raw.startswith(cutting.UTF8_MARK):
        raw = raw[len(cutting.UTF8_MARK) :]
    return io.BytesIO(raw)


def read_delimited(
    path: Path, names: Sequence[str], wanted: Sequence[str], layout: Layout, compact: bool = False
) -> Any:
    """The wanted columns as text, a `pyarrow.Table`; `names` are all of the header's, without repeats.

    With `compact` texts that recur are held once a block of the file, so that a large table needs little more
    than its distinct cells.
    """
    import pyarrow as pa

    require_strict(path, layout)
    positions = [str(names.index(name)) for name in wanted]
    if compact and layout.splits_as_bytes() and layout.codec() in _UTF8:
        table = _streamed(path, names, positions, layout)
        if table is not None:
            return table.rename_columns(list(wanted))
    try:
        table, ragged = _parsed(path, names, positions, layout, BLOCK)
    except UnicodeDecodeError:
        raise undecodable(path, layout, None, b"") from None
    except pa.ArrowInvalid:
        size = path.stat().st_size
        if not any(True for _record in records(path, layout)):  # a header and nothing else
            table, ragged = pa.table({position: pa.array([], pa.binary()) for position in positions}), False
        elif size > BLOCK:  # a row longer than a block
            table, ragged = _in_one_block(path, names, positions, layout)
        else:
            raise (misfits(path, len(names), layout) or unparsable(path)) from None
    if ragged:
        raise misfits(path, len(names), layout) or unparsable(path)
    codec = layout.codec() if layout.splits_as_bytes() else "utf-8"
    columns = []
    for name, position in zip(wanted, positions, strict=True):
        column = table[position].combine_chunks()
        try:
            columns.append(_decode(column, codec))
        except (UnicodeDecodeError, pa.ArrowInvalid):
            raise undecodable(path, layout, name, _beyond_ascii(table)) from None
    return pa.table(dict(zip(wanted, columns, strict=True)))


def _streamed(path: Path, names: Sequence[str], positions: list[str], layout: Layout) -> Any:
    """The columns of UTF-8 text block by block; None where anything is wrong, so that the whole is read and
    the fault told as it is told of every file.
    """
    import pyarrow as pa
    from pyarrow import csv as pa_csv

    ragged: list[object] = []
    parts: list[list[Any]] = [[] for _position in positions]
    options = _options(names, positions, layout, BLOCK, ragged, header(path, layout)[1])
    try:
        with pa_csv.open_csv(_content(path, layout), **options) as blocks:
            for number, block in enumerate(blocks, start=1):
                for column, part in zip(block.columns, parts, strict=True):
                    part.append(_recurring(column.cast(pa.string())))
                if number % _BLOCKS_A_PIECE == 0:
                    for part in parts:
                        part[-_BLOCKS_A_PIECE:] = [_joined(part[-_BLOCKS_A_PIECE:])]
    except (UnicodeDecodeError, pa.ArrowInvalid):
        return None
    if ragged or not parts[0]:
        return None
    return pa.table({position: _chunked(part) for position, part in zip(positions, parts, strict=True)})


def _recurring(texts: Any) -> Any:
    """Texts with a dictionary where most recur, else as they are."""
    # A few tell; a wrong guess costs memory and nothing else.
    few = texts.slice(0, _GUESSED_FROM)
    if len(few) and 4 * len(few.unique()) > len(few):
        return texts
    return texts.dictionary_encode()


def _joined(parts: list[Any]) -> Any:
    """Blocks of one column in one piece: what is large the machine gets back when it is let go of, of many
    small ones Arrow keeps the place.
    """
    import pyarrow as pa

    return pa.concat_arrays(_alike(parts))


def _chunked(parts: list[Any]) -> Any:
    """Pieces of one column as one column."""
    import pyarrow as pa

    return pa.chunked_array(_alike(parts))


def _alike(parts: list[Any]) -> list[Any]:
    """All as texts where some have a dictionary and some have none."""
    import pyarrow as pa

    return [part.cast(pa.string()) for part in parts] if len({part.type for part in parts}) > 1 else parts


def _in_one_block(path: Path, names: Sequence[str], positions: list[str], layout: Layout) -> tuple[Any, bool]:
    import pyarrow as pa

    try:
        return _parsed(path, names, positions, layout, min(2 * path.stat().st_size, _LARGEST_BLOCK))
    except (UnicodeDecodeError, pa.ArrowInvalid):
        raise (misfits(path, len(names), layout) or unparsable(path)) from None


def _parsed(
    path: Path, names: Sequence[str], positions: list[str], layout: Layout, block: int
) -> tuple[Any, bool]:
    """The columns at some positions as bytes, and whether rows had other numbers of cells than the header."""
    from pyarrow import csv as pa_csv

    ragged: list[object] = []
    options = _options(names, positions, layout, block, ragged, header(path, layout)[1])
    table = pa_csv.read_csv(_content(path, layout), **options)
    return table, bool(ragged)


def _options(
    names: Sequence[str], positions: list[str], layout: Layout, block: int, ragged: list[object], skipped: int
) -> dict[str, Any]:
    """How Arrow reads; a row of another number of cells is left out, and entered in `ragged`."""
    import pyarrow as pa
    from pyarrow import csv as pa_csv

    def skip(_row: object) -> str:
        if not ragged:
            ragged.append(None)
        return "skip"

    blanks = layout.delimiter == WHITESPACE
    return {
        "read_options": pa_csv.ReadOptions(
            column_names=[str(i) for i in range(len(names))],
            skip_rows=skipped,
            encoding="utf8" if layout.splits_as_bytes() else layout.codec(),
            block_size=block,
        ),
        "parse_options": pa_csv.ParseOptions(
            delimiter="\t" if blanks else layout.delimiter,
            quote_char=False if blanks else '"',
            newlines_in_values=not blanks,
            invalid_row_handler=skip,
        ),
        "convert_options": pa_csv.ConvertOptions(
            include_columns=positions,
            column_types=dict.fromkeys(positions, pa.binary()),
            strings_can_be_null=False,
            check_utf8=False,
        ),
    }


def _beyond_ascii(table: Any) -> bytes:
    """Some bytes that are not ASCII of all columns asked for, one cell a line, to guess an encoding from."""
    cells: list[bytes] = []
    for column in table.columns:
        distinct = column.combine_chunks().dictionary_encode().dictionary.to_pylist()
        cells += [cell for cell in distinct if not cell.isascii()][:10_000]
    return b"\n".join(cells)


def _decode(column: Any, codec: str) -> Any:
    """Bytes to text; other encodings than UTF-8 once per distinct value.

    Raises:
        UnicodeDecodeError: also where the bytes decode but are another encoding's: read so, keys and
            categories would be other ones without a word.
    """
    import pyarrow as pa

    if codec in _UTF8:
        return column.cast(pa.string())
    coded = column.dictionary_encode()
    distinct = coded.dictionary.to_pylist()
    texts = [value.decode(codec) for value in distinct]
    odd = [value for value in distinct if not value.isascii()]
    if odd and _is_another(odd, codec):
        raise UnicodeDecodeError(codec, b"", 0, 0, "another encoding")
    return pa.DictionaryArray.from_arrays(coded.indices, pa.array(texts, pa.string())).cast(pa.string())


def _is_another(values: Sequence[bytes], codec: str) -> bool:
    """Whether texts that one encoding can read are practically never meant in it."""
    if codec in MULTIBYTE:
        return _is_chinese_utf8(values) or (
            encodings.is_western(b"\n".join(values)) and not encodings.is_chinese(b"\n".join(values))
        )
    if codec == "iso8859-1":  # which has control characters where Windows-1252 has signs
        return encodings.western_encoding(b"\n".join(values)) != "latin-1"
    return False


def _is_chinese_utf8(values: Sequence[bytes]) -> bool:
    """Whether all of some texts are UTF-8 of East Asian characters, which GB18030 bytes hardly ever are.

    Read as GB18030 they would decode into other characters without an error.
    """
    try:
        texts = [value.decode() for value in values]
    except UnicodeDecodeError:
        return False
    return bool(texts) and all(char.isascii() or char >= "\u2e80" for text in texts for char in text)
