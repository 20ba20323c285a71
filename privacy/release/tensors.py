"""Strict reading of numbers in bulk: safetensors and npz without objects.

Source: the safetensors format (8 bytes little-endian header length, JSON header, one contiguous buffer) and
the NumPy format NEP 1. Invariant: the header describes every byte of the buffer exactly once.
"""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ringfence.privacy.errors import N_, ExportError
from ringfence.privacy.release.cells import number_texts
from ringfence.privacy.release.documents import distinct, parse_json
from ringfence.privacy.release.grids import of_arrays
from ringfence.privacy.release.parsed import Grid, Parsed, Text, not_finite

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}
_MOST_HEADER = 1 << 20
_SMALLEST = 100_000
_READABLE = re.compile(rb"[\x20-\x7e]{6,}")


def _safetensors_fault() -> ExportError:
    return ExportError(
        "RF-X017",
        N_("The safetensors file is malformed: header and buffer do not agree. Write it with the library."),
    )


def parse_safetensors(content: bytes) -> Parsed:
    """Read a safetensors file: names, metadata and values.

    Raises:
        ExportError: RF-X017 malformed or bytes nobody describes, RF-X043 a value that is not finite.
    """
    size = int.from_bytes(content[:8], "little")
    if not 2 <= size <= min(_MOST_HEADER, len(content) - 8):
        raise _safetensors_fault()
    try:
        header = json.loads(content[8 : 8 + size].decode("utf-8"), object_pairs_hook=distinct)
    except (ValueError, RecursionError):
        raise _safetensors_fault() from None
    texts: list[Text] = []
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _safetensors_fault()
    grids: list[Grid] = []
    arrays: dict[str, npt.NDArray[Any]] = {}
    if metadata:
        columns = tuple((value,) for value in metadata.values())
        grids.append(Grid(where="metadata", names=tuple(metadata), columns=columns, record=True))
    for key, value in metadata.items():
        texts += Text(where="metadata", text=key), Text(where="metadata", text=value, context=key)
        described = _described(value)
        if described is not None:
            texts += [replace(text, where="metadata") for text in described.texts]
            grids += described.grids
    buffer, expected = content[8 + size :], 0
    for name, entry in sorted(header.items(), key=_offset):
        array, start, end = _tensor(entry, buffer)
        if start != expected:
            raise _safetensors_fault()
        expected = end
        texts.append(Text(where="tensor name", text=name))
        texts += _values(array, name, bfloat=entry["dtype"] == "BF16")
        arrays[name] = array
    if expected != len(buffer):
        raise _safetensors_fault()
    return Parsed(content=content, texts=tuple(texts), grids=(*grids, *of_arrays(arrays)))


def _described(value: str) -> Parsed | None:
    """What a metadata field says, where it is a JSON document: its strings without their escapes."""
    if not value.lstrip().startswith(("{", "[")):
        return None
    try:
        return parse_json(value.encode())
    except ExportError:
        return None  # no JSON: it is read as the text it is


def _offset(item: tuple[str, Any]) -> int:
    try:
        return int(item[1]["data_offsets"][0])
    except (KeyError, TypeError, IndexError, ValueError):
        raise _safetensors_fault() from None


def _tensor(entry: Any, buffer: bytes) -> tuple[npt.NDArray[Any], int, int]:
    """One tensor from its header entry, with its place in the buffer."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _safetensors_fault()
    shape, offsets, dtype = entry["shape"], entry["data_offsets"], _DTYPES.get(entry["dtype"])
    numbers = [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [None]
    if dtype is None or len(offsets) != 2 or not all(type(n) is int and 0 <= n < 2**40 for n in numbers):
        raise _safetensors_fault()
    start, end = offsets
    if end > len(buffer) or end - start != prod(shape) * np.dtype(dtype).itemsize:
        raise _safetensors_fault()
    return np.frombuffer(buffer[start:end], dtype=dtype).reshape(shape), start, end


def _values(array: npt.NDArray[Any], name: str, *, bfloat: bool = False) -> list[Text]:
    """Check that values are finite; give back those that a person could read as text or a number."""
    if bfloat:
        if bool(((array & 0x7F80) == 0x7F80).any()):
            not_finite()
        return []  # eight bits of a number tell nobody
    if array.dtype.kind == "f" and not bool(np.isfinite(array).all()):
        not_finite()
    if array.dtype.kind not in "fiu":
        return []
    texts = [Text(where="values", text=text, context=name) for text in number_texts(array.ravel(), _SMALLEST)]
    if array.dtype.kind in "iu":
        runs = _READABLE.findall(array.tobytes())
        if array.dtype.itemsize > 1:
            letters = np.where((array >= 0x20) & (array < 0x7F), array, 0).astype(np.uint8)
            runs += _READABLE.findall(letters.tobytes())
        texts += [Text(where="values", text=run.decode()) for run in runs]
    return texts


def parse_npz(content: bytes) -> Parsed:
    """Read an npz file of plain arrays and write it anew, so that nothing hides between its members.

    Raises:
        ExportError: RF-X018 malformed, objects, or names that are no array names; RF-X043 a value not finite.
    """
    fault = ExportError(
        "RF-X018",
        N_(
            "The npz file is malformed or holds objects. Save plain arrays of numbers or text with "
            "numpy.savez."
        ),
    )
    texts: list[Text] = []
    arrays: dict[str, npt.NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            total = sum(m.file_size for m in members)
            if archive.comment or total > 64 * len(content) + 4096:
                raise fault
            for member in members:
                name = member.filename.removesuffix(".npy")
                plain = member.filename.endswith(".npy") and re.fullmatch(r"\w[\w.-]{0,99}", name)
                if not plain or name in arrays or member.comment or name == "file":
                    raise fault
                arrays[name] = _read_array(archive.read(member), fault)
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError, RuntimeError):
        raise fault from None
    for name, array in arrays.items():
        texts.append(Text(where="array name", text=name))
        if array.dtype.kind == "U":
            texts += [Text(where="values", text=str(v), context=name) for v in np.unique(array).tolist()]
        else:
            texts += _values(array, name)
    sink = io.BytesIO()
    np.savez(sink, allow_pickle=False, **arrays)
    return Parsed(content=sink.getvalue(), texts=tuple(texts), grids=tuple(of_arrays(arrays)))


def _read_array(member: bytes, fault: ExportError) -> npt.NDArray[Any]:
    stream = io.BytesIO(member)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            array = np.lib.format.read_array(stream, allow_pickle=False)
        except (ValueError, Warning, SyntaxError, MemoryError):
            raise fault from None
    if array.dtype.kind not in "biufU" or stream.read(1):
        raise fault
    return array
