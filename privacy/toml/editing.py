"""Enters values into a TOML file that a person keeps: every other byte stays, comments and order included.

An edit is proved before it counts: the new text is parsed, and has to say what the old one said with this one
change.
"""

from __future__ import annotations

import codecs
import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringfence.privacy.errors import N_, RingfenceError, UsageError
from ringfence.privacy.toml.reading import line_index, read_toml, spans


@dataclass(frozen=True, slots=True, kw_only=True)
class ListItem:
    """One text of a list, and what is written behind it for people."""

    value: str
    comment: str


def with_entries(text: str, key: str, entries: Sequence[ListItem]) -> str:
    """The text with more entries in a list of its top level, which is made where it is missing.

    Args:
        text: a valid TOML text.
        key: a bare key.
        entries: what to add, one a line.

    Raises:
        UsageError: RF-U660 the text is written in a way that this cannot change safely.
    """
    before = tomllib.loads(text).get(key, [])
    if not isinstance(before, list):
        raise _unsafe(key)
    new_line, found = _new_line(text), spans(text).values.get((key,))
    lines = "".join(f"{new_line}    {_quoted(one.value)},  # {_comment(one.comment)}" for one in entries)
    if found is None:
        made = _inserted(text, key, f"{key} = [{lines}{new_line}]")
    else:
        made = text[: found[1] - 1].rstrip(" \t\r\n") + lines + new_line + text[found[1] - 1 :]
        last = spans(text).values.get((key, len(before) - 1))
        if last is not None and not _comma_follows(text[last[1] :]):
            made = made[: last[1]] + "," + made[last[1] :]
    return _proved(text, made, key, [*before, *(one.value for one in entries)])


def with_value(text: str, key: str, value: str | int, comment: str = "") -> str:
    """The text with another value of one key of its top level.

    Args:
        text: a valid TOML text.
        key: a bare key.
        value: what it becomes.
        comment: what is written behind it where the key is new.

    Raises:
        UsageError: RF-U660 the text is written in a way that this cannot change safely.
    """
    written = str(value) if isinstance(value, int) else _quoted(value)
    found = spans(text).values.get((key,))
    if found is None:
        note = f"  # {_comment(comment)}" if comment else ""
        made = _inserted(text, key, f"{key} = {written}{note}")
    else:
        made = text[: found[0]] + written + text[found[1] :]
    return _proved(text, made, key, value)


def edited(path: Path, error: type[RingfenceError], change: Callable[[str], str]) -> bytes:
    """What a file would hold after a change of its text; nothing is written.

    Raises:
        error: RF-C001 with the fault that keeps the file from being read.
        UsageError: RF-U660 as the change raises it.
    """
    read_toml(path, error)  # in words, with the line, what the parser would only raise
    raw = path.read_bytes()
    mark = codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b""
    return mark + change(raw.removeprefix(mark).decode("utf-8")).encode("utf-8")


def _inserted(text: str, key: str, line: str) -> str:
    """The text with a line of its top level: behind its hint (`# key = ...`), else before the first table."""
    new_line, end = _new_line(text), spans(text).tables
    top = text[:end]
    hints = list(re.finditer(rf"^#[ \t]*{re.escape(key)}[ \t]*=[^\n]*\n?", top, re.MULTILINE))
    at = hints[-1].end() if hints else end
    above = text[:at]
    lead = new_line if above and not above.endswith("\n") else ""
    gap = new_line if not hints and at < len(text) else ""
    return above + lead + line + new_line + gap + text[at:]


def _proved(text: str, made: str, key: str, value: object) -> str:
    """The new text, shown to differ in this key alone."""
    wanted: dict[str, Any] = {**tomllib.loads(text), key: value}
    try:
        kept = tomllib.loads(made) == wanted
    except tomllib.TOMLDecodeError:
        kept = False
    if not kept:
        raise _unsafe(key)
    return made


def _unsafe(key: str) -> UsageError:
    return UsageError(
        "RF-U660",
        N_("The key {key} is written in a way that cannot be changed safely here; enter it by hand."),
        key=key,
    )


def _comma_follows(rest: str) -> bool:
    blank = re.match(r"(?:[ \t\r\n]|#[^\n]*)*", rest)
    return rest.startswith(",", blank.end() if blank else 0)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    """A comment on one line; what a file's name might hold beside letters is not passed on."""
    return "".join(letter for letter in text if letter.isprintable())[:120]


def _new_line(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def with_table(text: str, key: str, values: Mapping[str, str], comments: Mapping[str, str]) -> str:
    """The text with one more table of a list of tables, at its end.

    Args:
        text: a valid TOML text.
        key: of the list, a bare key.
        values: of the table, by bare key.
        comments: what is written behind a value for people.

    Raises:
        UsageError: RF-U660 the text is written in a way that this cannot change safely.
    """
    new_line, before = _new_line(text), tomllib.loads(text).get(key, [])
    lines = [f"[[{key}]]"]
    for name, value in values.items():
        note = f"  # {_comment(comments[name])}" if name in comments else ""
        lines.append(f"{name} = {_quoted(value)}{note}")
    gap = new_line if text and not text.endswith("\n") else ""
    made = text + gap + new_line + new_line.join(lines) + new_line
    return _proved(text, made, key, [*(before if isinstance(before, list) else []), dict(values)])


def without_table(text: str, key: str, position: int) -> str:
    """The text without one table of a list of tables, with the tables below it and the comments in it.

    Args:
        text: a valid TOML text.
        key: of the list, a bare key.
        position: of the table in the list, from 0.

    Raises:
        UsageError: RF-U660 the text is written in a way that this cannot change safely.
    """
    before = list(tomllib.loads(text)[key])
    lines, index = text.splitlines(keepends=True), line_index(text)
    start = index[key, position] - 1
    inside = {line for path, line in index.items() if path[:2] == (key, position)}
    headers = [number for number, line in enumerate(lines) if line.lstrip().startswith("[")]
    end = next((each for each in headers if each > start and each + 1 not in inside), len(lines))
    kept = before[:position] + before[position + 1 :]
    made = "".join(lines[:start] + lines[end:])
    if kept:
        return _proved(text, made, key, kept)
    wanted = {name: value for name, value in tomllib.loads(text).items() if name != key}
    try:
        gone = tomllib.loads(made) == wanted
    except tomllib.TOMLDecodeError:
        gone = False
    if not gone:
        raise _unsafe(key)
    return made
