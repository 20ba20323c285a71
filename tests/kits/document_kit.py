"""What the tests of documents share: good files, and a museum of bad ones whose faults are marked in the
files.
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

from ringfence.privacy.errors import RingfenceError
from ringfence.privacy.toml.faults import faults_of

ASSETS = Path(__file__).parents[1] / "assets"
GOOD = ASSETS / "good_documents"
_MARK = re.compile(rb"# ! ((?:RF-[A-Z][0-9]{3} ?)+)")
# Files that cannot carry a mark, or whose fault stands on no line.
_UNMARKED = {"empty": {(0, "RF-C004")}, "only_blanks": {(0, "RF-C004")}, "not_utf8": {(4, "RF-C006")}}


def museum(folder: str) -> list[Path]:
    return sorted((ASSETS / folder).glob("*.toml"))


def expected(path: Path) -> set[tuple[int, str]]:
    """Line and code of each fault, as marked by `# ! CODE` at the end of a line."""
    if path.stem in _UNMARKED:
        return _UNMARKED[path.stem]
    marks: set[tuple[int, str]] = set()
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        found = _MARK.search(line)
        if found:
            marks |= {(number, code.decode()) for code in found[1].split()}
    assert marks, f"{path.name} marks no fault"
    return marks


def found(error: RingfenceError) -> set[tuple[int, str]]:
    return {(fault.line, fault.code) for fault in faults_of(error)}


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def written(value: Any) -> str:
    """A value as TOML, with lists over several lines."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case list():
            return "[\n" + "".join(f"{written(item)}, # ]\n" for item in value) + "]"
        case dict():
            return "{" + ", ".join(f"{quoted(key)} = {written(item)}" for key, item in value.items()) + "}"
        case datetime.date():
            return value.isoformat()
    return str(value)
