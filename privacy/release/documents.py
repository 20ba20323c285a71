"""Strict reading of JSON, TOML, Markdown and plain text."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import tomllib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NoReturn

from ringfence.privacy.errors import N_, ExportError
from ringfence.privacy.identifiers.masking import scanned_text
from ringfence.privacy.release.formats import text_of
from ringfence.privacy.release.grids import of_document, of_text
from ringfence.privacy.release.parsed import Jsonic, Parsed, Text, not_finite

_ACTIVE = re.compile(
    r"(?i)<\s*(?:script|iframe|object|embed|img|link|meta|base|form|svg|style)\b|javascript:|\son\w+\s*="
)
_LINE = re.compile(r"(?i)</?(?:tr|table|p|div|li|ul|ol|dl|dt|br|h[1-6])\b[^<>]*>")
_CELL = re.compile(r"(?i)</?(?:td|th|dd)\b[^<>]*>")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>")
_EMPHASIS = re.compile(r"[*`~\\]|(?<![^\W_])_+|_+(?![^\W_])")
_DEPTH = 64


def _constant(_: str) -> NoReturn:
    not_finite()


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else not_finite()


def distinct(pairs: list[tuple[str, Jsonic]]) -> dict[str, Jsonic]:
    """Build a JSON object whose keys all differ."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ExportError("RF-X022", N_("A JSON object names one key twice. Write each key once."))
    return found


def parse_json(content: bytes) -> Parsed:
    """Read one JSON document: finite numbers, each key once.

    Raises:
        ExportError: RF-X012 malformed, RF-X022 a repeated key, RF-X043 a number that is not finite.
    """
    document = load_json(content)
    return Parsed(
        content=content,
        texts=tuple(_texts(document)),
        keys=tuple(dict.fromkeys(key for _, key, _ in _walk(document, "document", "", 0))),
        bare=isinstance(document, list),
        grids=tuple(of_document(document)),
    )


def _texts(document: Jsonic) -> Iterator[Text]:
    """Names and values of a document, numbers that are large enough to tell something included."""
    leaves = list(_walk(document, "document", "", 0))
    yield from (Text(where=where, text=key) for where, key in _keys(document, "document"))
    for where, key, value in leaves:
        if (text := _leaf(value)) is not None:
            yield Text(where=where, text=text, context=key, column=True)


def load_json(content: bytes) -> Jsonic:
    """The document behind some bytes; raises as `parse_json` does."""
    try:
        document: Jsonic = json.loads(
            text_of(content), parse_constant=_constant, parse_float=_finite, object_pairs_hook=distinct
        )
    except (ValueError, RecursionError):
        raise ExportError("RF-X012", N_("The JSON is malformed. Write it with a JSON library.")) from None
    return document


def write_json(document: Jsonic) -> bytes:
    """Write a document as JSON, indented."""
    return (json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()


def map_strings(document: Jsonic, change: Callable[[str, str], str], key: str = "") -> Jsonic:
    """Apply `change(text, key)` to all strings and keys of a document and to numbers it alters."""
    if isinstance(document, dict):
        return {change(k, ""): map_strings(v, change, k) for k, v in document.items()}
    if isinstance(document, list):
        return [map_strings(v, change, key) for v in document]
    text = _leaf(document)
    if text is None:
        return document
    changed = change(text, key)
    return document if changed == text else changed


def _leaf(value: Jsonic) -> str | None:
    return None if value is None else scanned_text(value, 0)


def _walk(value: Jsonic, where: str, key: str, depth: int) -> Iterator[tuple[str, str, Jsonic]]:
    if depth > _DEPTH:
        raise ExportError(
            "RF-X023", N_("The document is nested deeper than {depth}. Flatten it."), depth=_DEPTH
        )
    if isinstance(value, dict):
        for place, (name, inner) in enumerate(value.items(), start=1):
            yield from _walk(inner, f"{where}/{place}", name, depth + 1)
    elif isinstance(value, list):
        for place, inner in enumerate(value, start=1):
            yield from _walk(inner, f"{where}/{place}", key, depth + 1)
    else:
        yield where, key, value


def _keys(value: Jsonic, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for place, (name, inner) in enumerate(value.items(), start=1):
            yield f"{where}/{place} (key)", name
            yield from _keys(inner, f"{where}/{place}")
    elif isinstance(value, list):
        for place, inner in enumerate(value, start=1):
            yield from _keys(inner, f"{where}/{place}")


def parse_toml(content: bytes) -> Parsed:
    """Read TOML: its strings after their escapes are undone, and every line as it stands, comments included.

    Raises:
        ExportError: RF-X013 malformed, RF-X043 a number that is not finite.
    """
    try:
        document = tomllib.loads(text_of(content), parse_float=_finite)
    except tomllib.TOMLDecodeError:
        raise ExportError("RF-X013", N_("The TOML is malformed. Write it with a TOML library.")) from None
    plain = _without_dates(document)
    texts = (*parse_text(content).texts, *_texts(plain))
    return Parsed(content=content, texts=texts, grids=tuple(of_document(plain)))


def _without_dates(value: object) -> Jsonic:
    if isinstance(value, dict):
        return {str(k): _without_dates(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_dates(v) for v in value]
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool) else str(value)


def parse_text(content: bytes) -> Parsed:
    """Read plain text, line by line and with lines joined, so that a wrapped address is seen."""
    lines = text_of(content).splitlines()
    texts = [
        Text(where=f"line {number}", text=line) for number, line in enumerate(lines, start=1) if line.strip()
    ]
    pairs = [
        Text(where=f"line {number}", text=f"{first.rstrip()}\n{second.strip()}")
        for number, (first, second) in enumerate(pairwise(lines), start=1)
        if first.rstrip().endswith((":", "：", "-"))
    ]
    return Parsed(content=content, texts=(*texts, *pairs), grids=tuple(of_text(lines)))


def parse_markdown(content: bytes) -> Parsed:
    """Read Markdown; markup that a viewer would run or load is refused.

    Raises:
        ExportError: RF-X024, active HTML or a picture loaded from elsewhere.
    """
    text = text_of(content)
    if _ACTIVE.search(text) or re.search(r"!\[[^\]]*\]\s*[(\[]", text):
        raise ExportError(
            "RF-X024", N_("The Markdown holds active HTML or a picture. Leave plain text, tables and links.")
        )
    written, shown = parse_text(content), parse_text(_shown(text).encode())
    return Parsed(content=content, texts=(*written.texts, *shown.texts), grids=(*written.grids, *shown.grids))


def _shown(text: str) -> str:
    """Markdown as a viewer shows it: without emphasis, code marks and escapes, the cells of HTML apart."""
    plain = _CELL.sub("\t", _LINE.sub("\n", text))
    return _EMPHASIS.sub("", _TAG.sub("", plain))
