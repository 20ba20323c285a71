"""What a process that runs for long says: sentences for people, or one JSON object a line for programs.

Invariant: a JSON line holds no personal data. Its sentence is one of ours, and where a sentence hangs on rows
    of a customer table or on consents, or carries a foreign text, it is left in the log of the holder and
    only its code stands here.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Literal, Protocol, TextIO

from ringfence.privacy.errors import N_, _

TEXT, JSON = "text", "json"
Level = Literal["info", "warning", "error"]
_CODED = re.compile(r"(RF-[A-Z]\d{3}): (.*)", re.DOTALL)
# Sentences on tables (T) and consents (N) tell of rows; RF-W080 and RF-W331 carry another library's words.
_LEFT_OUT = re.compile(r"RF-[TN]\d{3}|RF-W080|RF-W331")


def add_log_format(parser: argparse.ArgumentParser) -> None:
    """Give a command that runs for long `--log-format`."""
    parser.add_argument(
        "--log-format",
        choices=(TEXT, JSON),
        default=TEXT,
        help=_(
            "how it says what happens: sentences (default), or one JSON object a line without personal data"
        ),
    )


class CodedEnd(Protocol):
    """An exception with a code and a sentence, whichever folder it comes from."""

    @property
    def code(self) -> str:
        """Such as `RF-A003`."""
        ...

    def sentence(self) -> str:
        """The sentence in the chosen language."""
        ...


def complaining(argv: Sequence[str]) -> Callable[[CodedEnd], None]:
    """How the end of a command is told on standard error, by a command line that is not parsed yet."""
    if _format_in(argv) == JSON:
        return lambda error: _complain(json_line("error", "ended", error.sentence(), error.code))
    return lambda error: _complain(f"{error.code}: {error.sentence()}")


def _complain(line: str) -> None:
    with suppress(BrokenPipeError):
        print(line, file=sys.stderr, flush=True)


def _format_in(argv: Sequence[str]) -> str:
    for index, argument in enumerate(argv):
        if argument == "--":
            break
        name, equals, value = argument.partition("=")
        if name == "--log-format":
            return value if equals else next(iter(argv[index + 1 :]), "")
    return ""


def _moment() -> datetime:
    return datetime.now(UTC)


def json_line(level: Level, event: str, sentence: str, code: str = "", *, now: datetime | None = None) -> str:
    """One line, without its end; what a sentence may not tell is left out.

    Args:
        level: how much it matters.
        event: what happened, a fixed word such as `ready`.
        sentence: for people.
        code: of a refusal or failure, or empty.
        now: UTC; the present moment by default.
    """
    if _LEFT_OUT.fullmatch(code):
        sentence = _(WITHHELD)
    members = {
        "time": (now or _moment()).isoformat(timespec="milliseconds"),
        "level": level,
        "event": event,
        **({"code": code} if code else {}),
        "sentence": sentence,
    }
    return json.dumps(members, ensure_ascii=True)


WITHHELD = N_("The sentence of this code is not written here; the holder's log says what happened.")
UNCODED = N_(
    "Something happened that has no sentence of its own; started without --log-format json it is said."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidLines:
    """Where one process says what happens.

    Attributes:
        say: takes a sentence for people, where lines are text.
        json: whether lines are JSON.
        stream: of JSON lines; standard output at the moment of writing when None.
        clock: the moment, UTC.
    """

    say: Callable[[str], None]
    json: bool = False
    stream: TextIO | None = None
    clock: Callable[[], datetime] = _moment
    _lock: Lock = field(default_factory=Lock)

    @classmethod
    def of(cls, arguments: argparse.Namespace, say: Callable[[str], None]) -> SaidLines:
        """As the command line says."""
        return cls(say=say, json=arguments.log_format == JSON)

    def tell(self, event: str, sentence: str) -> None:
        """Say one of our own sentences, under the word for what happened."""
        if self.json:
            self._write("info", event, sentence)
        else:
            self.say(sentence)

    def report(self, told: str) -> None:
        """Say what came up from below: a refusal or failure with its code, or words without one.

        Words without a code may be anybody's, an exception's too: JSON lines do not repeat them.
        """
        if not self.json:
            self.say(told)
        elif coded := _CODED.fullmatch(told):
            self._write("warning", "reported", coded[2], coded[1])
        else:
            self._write("warning", "reported", _(UNCODED))

    def _write(self, level: Level, event: str, sentence: str, code: str = "") -> None:
        line = json_line(level, event, sentence, code, now=self.clock())
        stream = self.stream or sys.stdout
        with self._lock, suppress(BrokenPipeError):
            stream.write(line + "\n")
            stream.flush()
