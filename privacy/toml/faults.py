"""Faults of a document that a person wrote: where each one stands, what is wrong, what to do; all at once.

A validator of a model raises `Problems` (paths relative to the model). The reader of a file turns them, and
whatever pydantic found, into `Fault`s with line numbers and gathers them into one error of the family.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

from ringfence.privacy.errors import N_, RingfenceError, _, told

Path_: TypeAlias = "tuple[str | int, ...]"
PLACEHOLDER = "???"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong inside a model: a path relative to it, a stable code, a sentence and its fields."""

    code: str
    template: str
    path: Path_ = ()
    values: Mapping[str, object] = field(default_factory=dict)

    def under(self, *prefix: str | int) -> Problem:
        """The same problem seen from an enclosing model."""
        return Problem(code=self.code, template=self.template, path=(*prefix, *self.path), values=self.values)


class Problems(ValueError):
    """What a model's validator raises: one or more problems."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(p.template.format(**p.values) for p in self.problems))


def refuse(code: str, template: str, /, *path: str | int, **values: object) -> NoReturn:
    """Raise one problem from a validator."""
    raise Problems([Problem(code=code, template=template, path=path, values=values)])


def settle(problems: Iterable[Problem]) -> None:
    """Raise the problems if there are any."""
    found = tuple(problems)
    if found:
        raise Problems(found)


def need_entries(entries: object, key: str) -> Iterator[Problem]:
    """What is wrong with a list of tables that has to have one; None when it was not given."""
    if entries is None:
        yield Problem(code="RF-C012", template=N_("Missing; it has to be given."), path=(key,))
    elif isinstance(entries, list | tuple) and not entries:
        yield Problem(
            code="RF-C020",
            path=(key,),
            values={"min_length": 1},
            template=N_("Needs at least {min_length} entries."),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of a file.

    Attributes:
        file: name of the file, without its folder; empty for a document that came over the network.
        line: line number from 1; 0 when there are no lines.
        path: for people, e.g. `column[age].purposes`; empty for the document itself.
        code: stable code such as `RF-C013`.
        template: English sentence with named fields.
        values: what fills them; never a customer's value.
    """

    file: str
    line: int
    path: str
    code: str
    template: str
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The sentence in the chosen language."""
        return told(self.template, self.values)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.path + ': ' if self.path else ''}{self.sentence} ({self.code})"


def as_fault(problem: Problem, file: str, line: int, data: object) -> Fault:
    """The problem with its place; `data` is the document, for names in the path."""
    return Fault(
        file=file,
        line=line,
        path=readable_path(problem.path, data),
        code=problem.code,
        template=problem.template,
        values=problem.values,
    )


class FaultList(tuple[Fault, ...]):
    """Faults in the order of the file; prints one a line, translated when printed."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self)


def faults_of(error: RingfenceError) -> tuple[Fault, ...]:
    """The single faults gathered in an error of a document; empty for any other error."""
    found = error.values.get("faults")
    return tuple(found) if isinstance(found, FaultList) else ()


def gather(error: type[RingfenceError], file: str, faults: Iterable[Fault]) -> RingfenceError:
    """All faults of a document as one error, in the order of the file; each fault once."""
    unique = {(f.file, f.line, f.path, f.code): f for f in faults}
    # A fault of another file (a schema that is referred to) comes first: the others may follow from it.
    ordered = sorted(unique.values(), key=lambda f: (f.file == file, f.file, f.line))
    return error(
        "RF-C001",
        N_("Faults found in {file}: {count}\n{faults}"),
        file=file,
        count=len(ordered),
        faults=FaultList(ordered),
    )


def readable_path(path: Path_, data: object) -> str:
    """`("column", 2, "purposes")` as `column[age].purposes`, or counted from 1 where there is no name."""
    text, here = "", data
    for part in path:
        if isinstance(part, int):
            here = here[part] if isinstance(here, list | tuple) and part < len(here) else None
            name = here.get("name") if isinstance(here, Mapping) else None
            text += f"[{name if isinstance(name, str) and name != PLACEHOLDER else part + 1}]"
        else:
            here = here.get(part) if isinstance(here, Mapping) else None
            text += f".{part}" if text else str(part)
    return text


def placeholders(data: object, path: Path_ = ()) -> Iterator[Problem]:
    """Every `???` that a draft left to be filled."""
    if isinstance(data, str) and data.strip() == PLACEHOLDER:
        yield Problem(
            code="RF-C011",
            template=N_("Still to be filled: a person has to replace the ??? of the draft."),
            path=path,
        )
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield from placeholders(value, (*path, str(key)))
    elif isinstance(data, list | tuple):
        for position, value in enumerate(data):
            yield from placeholders(value, (*path, position))


def _overlaps(one: Path_, other: Path_) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def without_placeholders(problems: Iterable[Problem], waiting: Sequence[Problem]) -> list[Problem]:
    """Drop the problems that only say what an unfilled `???` already says."""
    paths = [problem.path for problem in waiting]
    return [p for p in problems if not p.path or not any(_overlaps(p.path, path) for path in paths)]


def kind_name(value: object) -> str:
    """What a TOML value is, in words; never the value itself."""
    match value:
        case bool():
            return _("true or false")
        case int():
            return _("a whole number")
        case str():
            return _("text")
        case list() | tuple():
            return _("a list")
        case Mapping():
            return _("a table")
        case _ if type(value).__name__ in {"Decimal", "float"}:
            return _("a number with a fraction")
        case _ if type(value).__name__ in {"date", "datetime", "time"}:
            return _("a date or time")
    return _("nothing")
