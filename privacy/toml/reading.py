"""Reading TOML with line numbers: a file that cannot be read at all is one clear fault.

The standard parser decides what is valid and gives values; `line_index` walks the same, already valid text
once more to learn on which line each key stands. Numbers with a fraction stay exact decimals.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from ringfence.privacy.errors import N_, RingfenceError
from ringfence.privacy.toml.faults import (
    PLACEHOLDER,
    Fault,
    Path_,
    Problem,
    as_fault,
    gather,
    placeholders,
    without_placeholders,
)

MAX_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class TomlFile:
    """A parsed file.

    Attributes:
        path: where it stands.
        data: its values; numbers with a fraction are `Decimal`.
        lines: key path to line number, from 1; positions in lists are numbers from 0.
    """

    path: Path
    data: dict[str, Any]
    lines: Mapping[Path_, int]

    def line(self, path: Path_) -> int:
        """The line of the path, or of the nearest thing that encloses it; 1 for the document."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return 1

    def fault(self, problem: Problem) -> Fault:
        """The problem with its place in this file."""
        return as_fault(problem, self.path.name, self.line(problem.path), self.data)

    def settle(
        self, problems: Iterable[Problem], error: type[RingfenceError], others: Iterable[Fault] = ()
    ) -> None:
        """Raise all faults of the file at once, if there are any: the problems and every ??? left.

        Args:
            problems: what was found, by path.
            error: the class to raise.
            others: faults of another file that this one refers to.

        Raises:
            error: RF-C001, which lists them.
        """
        waiting = list(placeholders(self.data))
        kept = [*waiting, *without_placeholders(problems, waiting)]
        faults = [*others, *(self.fault(problem) for problem in kept)]
        if faults:
            raise gather(error, self.path.name, faults)


def read_toml(path: Path, error: type[RingfenceError]) -> TomlFile:
    """Read a file; a UTF-8 byte order mark is passed over.

    Raises:
        error: RF-C001 with the one fault that keeps the file from being read: RF-C002 missing, RF-C003 not
            readable, RF-C004 empty, RF-C005 too large, RF-C006 not UTF-8, RF-C007 or RF-C008 not TOML.
    """
    path = Path(path)

    def stop(code: str, template: str, line: int = 0, **values: object) -> RingfenceError:
        fault = Fault(file=path.name, line=line, path="", code=code, template=template, values=values)
        return gather(error, path.name, [fault])

    raw = _read(path, stop)
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as reason:
        line = raw.count(b"\n", 0, reason.start) + 1
        raise stop(
            "RF-C006", N_("Not UTF-8 text; save the file again with the encoding UTF-8."), line
        ) from reason
    if not text.strip():
        raise stop("RF-C004", N_("The file is empty; start from a draft or from docs/reference."))
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, ArithmeticError, RecursionError, ValueError) as reason:
        raise _syntax(text, reason, stop) from reason
    return TomlFile(path=path, data=data, lines=line_index(text))


def _read(path: Path, stop: Any) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise stop("RF-C005", N_("Larger than 4 MiB; this is not a document written by a person."))
        return path.read_bytes()
    except FileNotFoundError as reason:
        raise stop("RF-C002", N_("There is no such file; check its name and folder.")) from reason
    except (OSError, ValueError) as reason:
        raise stop("RF-C003", N_("Cannot be read; is it a file, and may you read it?")) from reason


def _syntax(text: str, reason: Exception, stop: Any) -> RingfenceError:
    message = str(reason)
    place = re.search(r"\(at line (\d+), column (\d+)\)$", message)
    lines = text.split("\n")
    line = int(place[1]) if place else len(lines) if "end of document" in message else 1
    here = lines[line - 1] if line <= len(lines) else ""
    if PLACEHOLDER in here.split("#")[0]:
        error = stop("RF-C008", N_("Still to be filled: replace the ??? by a value."), line)
    else:
        detail = re.sub(r" ?\(at .*\)$", "", message) if isinstance(reason, tomllib.TOMLDecodeError) else "?"
        error = stop("RF-C007", N_("Not TOML: {detail}."), line, detail=detail)
    assert isinstance(error, RingfenceError)
    return error


def line_index(text: str) -> dict[Path_, int]:
    """Line numbers of all keys, tables and list entries of a valid TOML text."""
    return _Walk(text).run()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """Where things stand in a TOML text, as offsets.

    Attributes:
        values: key path to begin and end of its value; entries of lists too.
        tables: where the first table header begins; the end of the text without one.
    """

    values: Mapping[Path_, tuple[int, int]]
    tables: int


def spans(text: str) -> Spans:
    """Where the values of a valid TOML text stand."""
    walk = _Walk(text)
    walk.run()
    return Spans(values=walk.spans, tables=len(text) if walk.tables is None else walk.tables)


_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"(?:[ \t\n\r]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_SCALAR = re.compile(r"[^,\]}\n#]*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")'  # multi-line basic
    r"|'''(?:.*?)'{3,5}(?!')"  # multi-line literal
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)


class _Walk:
    """One pass over a valid text; `at` is the position, `base` the table that keys belong to."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.base: Path_ = ()
        self.lines: dict[Path_, int] = {}
        self.counts: dict[Path_, int] = {}
        self.spans: dict[Path_, tuple[int, int]] = {}
        self.tables: int | None = None
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def run(self) -> dict[Path_, int]:
        self._skip(_BLANK)
        while self.at < len(self.text):
            if self.text.startswith("[", self.at):
                self._header()
            else:
                self._pair(self.base)
            self._skip(_BLANK)
        return self.lines

    def _header(self) -> None:
        line = self._line()
        self.tables = self.at if self.tables is None else self.tables
        array = self.text.startswith("[[", self.at)
        self.at += 2 if array else 1
        keys = self._keys()
        self.at += 2 if array else 1
        if array:
            path = (*self._resolve(keys[:-1]), keys[-1])
            position = self.counts.get(path, 0)
            self.counts[path] = position + 1
            self._record(path, line)
            self.base = (*path, position)
        else:
            self.base = self._resolve(keys)
        self._record(self.base, line)

    def _resolve(self, keys: list[str]) -> Path_:
        """A header's keys as a path: a list of tables on the way means its latest entry."""
        path: Path_ = ()
        for key in keys:
            path = (*path, key)
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
            self._record(path, self._line())
        return path

    def _pair(self, base: Path_) -> None:
        line = self._line()
        path = base
        for key in self._keys():
            path = (*path, key)
            self._record(path, line)
        self.at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip(_SPACE)
            bare = _BARE.match(self.text, self.at)
            if bare:
                keys.append(bare[0])
                self.at = bare.end()
            else:
                keys.append(tomllib.loads(f"{self._string()} = 0").popitem()[0])
            self._skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return keys
            self.at += 1

    def _value(self, path: Path_) -> None:
        start = self.at
        self._any_value(path)
        end = self.at
        while self.text[end - 1].isspace():  # a bare scalar is walked with the blanks behind it
            end -= 1
        self.spans.setdefault(path, (start, end))

    def _any_value(self, path: Path_) -> None:
        match self.text[self.at]:
            case '"' | "'":
                self._string()
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case _:
                self._skip(_SCALAR)

    def _array(self, path: Path_) -> None:
        self.at += 1
        self._skip(_BLANK)
        position = 0
        while self.text[self.at] != "]":
            self._record((*path, position), self._line())
            self._value((*path, position))
            position += 1
            self._comma()
        self.at += 1

    def _inline_table(self, path: Path_) -> None:
        self.at += 1
        self._skip(_BLANK)
        while self.text[self.at] != "}":
            self._pair(path)
            self._comma()
        self.at += 1

    def _comma(self) -> None:
        self._skip(_BLANK)
        if self.text[self.at] == ",":
            self.at += 1
            self._skip(_BLANK)

    def _string(self) -> str:
        found = _STRING.match(self.text, self.at)
        if found is None:
            raise AssertionError("the text is not valid TOML")
        self.at = found.end()
        return found[0]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()

    def _line(self) -> int:
        return bisect_right(self.starts, self.at)

    def _record(self, path: Path_, line: int) -> None:
        self.lines.setdefault(path, line)
