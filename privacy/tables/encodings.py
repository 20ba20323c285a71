"""Which encoding some bytes of text are in, as far as they tell.

GB18030 gives almost any bytes a meaning, so that a Western file decodes into Chinese characters without an
error. Hence it is looked at which characters come out, and where in a word they stand.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

_RUN: Final = re.compile(rb"([A-Za-z])?([\x80-\xff]+)([A-Za-z])?")
_PAIR: Final = re.compile(rb"[\xa1-\xa3\xb0-\xd7][\xa1-\xfe]")
_HIGH: Final = re.compile(rb"[\x80-\xff][\x40-\x7e\x80-\xfe]?")
_CONTROLS: Final = re.compile(rb"[\x80-\x9f]")
_MOST: Final = 0.7


def is_utf16(start: bytes) -> bool:
    """Whether a file that begins with these bytes says that it is UTF-16."""
    return start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def guessed_encoding(raw: bytes, *, whole: bool = True) -> str | None:
    """The encoding of some text, by the names that a contract has for it; None where the bytes do not tell.

    Args:
        raw: the text, or a piece of it from its beginning.
        whole: a piece may end within a character where this is false.
    """
    if is_utf16(raw):
        return "utf-16"
    if b"\0" in raw:
        return None
    if _decodes(raw, "utf-8", whole):
        return "utf-8-sig" if raw.startswith(codecs.BOM_UTF8) else "utf-8"
    if raw.startswith(codecs.BOM_UTF8):
        return None
    chinese = is_chinese(raw) and _decodes(raw, "gb18030", whole)
    if chinese == is_western(raw):  # both or none
        return None
    return "gb18030" if chinese else western_encoding(raw)


def western_encoding(raw: bytes) -> str | None:
    """Latin-1, or Windows-1252 where bytes stand that Latin-1 has only as control characters."""
    if not _CONTROLS.search(raw):
        return "latin-1"
    return "cp1252" if _decodes(raw, "cp1252", True) else None


def is_chinese(raw: bytes) -> bool:
    """Whether most characters beyond ASCII are the common ones of GB 2312 (level 1 and punctuation)."""
    common = len(_PAIR.findall(raw))
    return common > 0 and common >= _MOST * len(_HIGH.findall(raw))


def is_western(raw: bytes) -> bool:
    """Whether most bytes beyond ASCII stand alone, or a few together inside words of Latin letters."""
    runs = _RUN.findall(raw)
    inside = sum(len(run) == 1 or (len(run) < 4 and bool(before or after)) for before, run, after in runs)
    return bool(runs) and inside >= _MOST * len(runs)


def _decodes(raw: bytes, encoding: str, whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(raw, final=whole)
    except UnicodeDecodeError:
        return False
    return True
