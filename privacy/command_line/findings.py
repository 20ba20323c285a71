"""What `doctor` finds: one line for each thing it looked at, and what to do where something is wrong."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from ringfence.privacy.command_line.terminal import Spoken, Terminal
from ringfence.privacy.errors import N_, RingfenceError, _, reason_of

Grade = Literal["ok", "warning", "fault"]
_SHOWN: dict[Grade, str] = {"ok": "OK", "warning": "WARNING", "fault": "FAULT"}
WARN_BEFORE = timedelta(days=30)
_LITTLE, _TOO_LITTLE = 2 << 30, 200 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One thing that was looked at.

    Attributes:
        name: of the check, for programs.
        grade: how it is.
        sentence: what was found and what to do, translated.
        code: of a refusal, or empty.
    """

    name: str
    grade: Grade
    sentence: str
    code: str = ""


@dataclass(slots=True, kw_only=True)
class Examination:
    """A list of checks in the making; a check that fails is a finding and the next one is made."""

    found: list[Diagnosis] = field(default_factory=list)

    def note(self, name: str, grade: Grade, sentence: str) -> None:
        """Enter one finding."""
        self.found.append(Diagnosis(name=name, grade=grade, sentence=sentence))

    def check(self, name: str, look: Callable[[], str | None]) -> bool:
        """Make one check: its sentence is an OK, its refusal a fault; None enters nothing."""
        try:
            said = look()
        except Exception as error:
            self.found.append(_fault(name, error))
            return False
        if said is not None:
            self.note(name, "ok", said)
        return True

    @property
    def status(self) -> int:
        """1 where a fault was found."""
        return int(any(each.grade == "fault" for each in self.found))


def _fault(name: str, error: Exception) -> Diagnosis:
    if isinstance(error, Spoken):
        return Diagnosis(name=name, grade="fault", sentence=error.sentence(), code=error.code)
    if isinstance(error, OSError):
        spoken = RingfenceError(
            "RF-U571",
            N_("The operating system refused what this check needs: {reason}."),
            reason=reason_of(error),
        )
    else:
        spoken = RingfenceError(
            "RF-U572",
            N_("This check met a fault that it has no sentence for ({kind})."),
            kind=type(error).__name__,
        )
    return Diagnosis(name=name, grade="fault", sentence=spoken.sentence(), code=spoken.code)


def tell_findings(arguments: argparse.Namespace, made: Examination) -> int:
    """Say all of them; the exit status."""
    terminal = Terminal.of(arguments)
    for each in made.found:
        code = f"{each.code}: " if each.code else ""
        terminal.say(f"{_SHOWN[each.grade]:8}{each.name:14} {code}{each.sentence}")
    terminal.write_json(
        {
            "sound": not made.status,
            "findings": [
                {"name": each.name, "grade": each.grade, "code": each.code, "sentence": each.sentence}
                for each in made.found
            ],
        }
    )
    return made.status


def check_expiry(
    made: Examination, name: str, what: str, until: datetime, now: datetime, remedy: str
) -> None:
    """A certificate's end: a warning 30 days ahead, a fault when it is past.

    Args:
        made: takes the finding.
        name: of the check.
        what: whose certificate, translated.
        until: its end.
        now: the moment.
        remedy: what to do, a translated sentence.
    """
    told = _("{what} is good until {until}.").format(what=what, until=until.isoformat(timespec="minutes"))
    if now >= until:
        told = _("{what} ended on {until}.").format(what=what, until=until.isoformat(timespec="minutes"))
        made.note(name, "fault", f"{told} {remedy}")
    elif until - now < WARN_BEFORE:
        made.note(name, "warning", f"{told} {remedy}")
    else:
        made.note(name, "ok", told)


def check_space(made: Examination, folder: Path, free: Callable[[Path], int] | None = None) -> None:
    """Room on the disk of a home."""
    bytes_ = (free or (lambda path: shutil.disk_usage(path).free))(folder)
    told = _("The disk of the home has {space} GiB free.").format(space=round(bytes_ / (1 << 30), 1))
    remedy = _("Free some: a store that cannot write refuses every study.")
    if bytes_ < _LITTLE:
        made.note("disk", "fault" if bytes_ < _TOO_LITTLE else "warning", f"{told} {remedy}")
    else:
        made.note("disk", "ok", told)


def check_flower(made: Examination) -> None:
    """The installed Flower is one that this version was tried with."""
    wanted = next((line for line in _required() if line.startswith("flwr")), "")
    found = version("flwr")
    if in_range(found, wanted):
        made.note(
            "flower", "ok", _("Flower {found} is one that this version was tried with.").format(found=found)
        )
        return
    said = _("Flower {found} is installed; expected {wanted}. Install Ringfence anew, with its dependencies.")
    made.note("flower", "fault", said.format(found=found, wanted=wanted or "?"))


def _required() -> Sequence[str]:
    with suppress(PackageNotFoundError):
        return [line for line in requires("ringfence") or () if ";" not in line]
    return ()


def in_range(found: str, wanted: str) -> bool:
    """Whether a version lies in a range such as `flwr<1.42,>=1.41`; in none where the range is not known."""
    bounds = list(_bounds(wanted))
    here = _numbers(found)
    return bool(bounds) and all(here >= at if at_least else here < at for at_least, at in bounds)


def _bounds(wanted: str) -> Iterator[tuple[bool, tuple[int, ...]]]:
    for part in wanted.removeprefix("flwr").split(","):
        if part.startswith((">=", "<")):
            yield part.startswith(">="), _numbers(part.lstrip("<>="))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())
