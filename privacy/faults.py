"""Faults of a document that a person wrote: where each one stands, what is wrong, what to do; all at once.

A validator of a model raises `Problems` (paths relative to the model). The reader of a file turns them, and
whatever pydantic found, into `Fault`s with line numbers and gathers them into one error of the family.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

from pydantic import BaseModel, TypeAdapter, ValidationError

from ringfence.privacy.errors import N_, RingfenceError, _

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
        return _(self.template).format(**self.values)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.path + ': ' if self.path else ''}{self.sentence} ({self.code})"


class FaultList(tuple[Fault, ...]):
    """Faults in the order of the file; prints one a line, translated when printed."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self)


def faults_of(error: RingfenceError) -> tuple[Fault, ...]:
    """The single faults gathered in an error of a document; empty for any other error."""
    found = error.values.get("faults")
    return tuple(found) if isinstance(found, FaultList) else ()


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


def salvage(kind: Any, value: object) -> Any:
    """The value as `kind`, or None when it is not valid: for cross checks beside other faults."""
    if value is None:
        return None
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return None


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Pydantic's findings in our own sentences."""
    found: list[Problem] = []
    for item in error.errors(include_url=False):
        location = tuple(part for part in item["loc"] if not _is_tag(part))
        inner = item.get("ctx", {}).get("error")
        if isinstance(inner, Problems):
            found.extend(problem.under(*location) for problem in inner.problems)
        else:
            found.append(_translate(item["type"], location, item.get("ctx", {}), item["input"], model))
    return found


def _is_tag(part: str | int) -> bool:
    return part == "[key]" or (
        isinstance(part, str) and bool(re.match(r"(tuple|function|union|list|dict)[\[-]", part))
    )


_EXPECTED: dict[str, str] = {
    "string_type": N_("text in quotation marks"),
    "int_type": N_("a whole number"),
    "int_from_float": N_("a whole number"),
    "int_parsing": N_("a whole number"),
    "tuple_type": N_("a list in square brackets"),
    "list_type": N_("a list in square brackets"),
    "dict_type": N_("a table of keys and values"),
    "model_type": N_("a table of keys and values"),
    "model_attributes_type": N_("a table of keys and values"),
    "date_type": N_("a date such as 2027-12-31"),
    "date_parsing": N_("a date such as 2027-12-31"),
    "date_from_datetime_parsing": N_("a date such as 2027-12-31"),
    "date_from_datetime_inexact": N_("a date such as 2027-12-31"),
}


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


def _limit(template: str, code: str = "RF-C016") -> Callable[[Mapping[str, Any], Path_], Problem]:
    return lambda ctx, path: Problem(code=code, template=template, path=path, values=dict(ctx))


_LIMITS: dict[str, Callable[[Mapping[str, Any], Path_], Problem]] = {
    "greater_than": _limit(N_("Must be greater than {gt}."), "RF-C016"),
    "greater_than_equal": _limit(N_("Must be at least {ge}."), "RF-C017"),
    "less_than": _limit(N_("Must be less than {lt}."), "RF-C018"),
    "less_than_equal": _limit(N_("Must be at most {le}."), "RF-C019"),
    "too_short": _limit(N_("Needs at least {min_length} entries."), "RF-C020"),
    "too_long": _limit(N_("May have at most {max_length} entries."), "RF-C021"),
    "string_too_short": _limit(N_("Must not be empty."), "RF-C022"),
    "string_too_long": _limit(N_("May have at most {max_length} characters."), "RF-C023"),
}


def _translate(
    kind: str, path: Path_, ctx: Mapping[str, Any], found: object, model: type[BaseModel]
) -> Problem:
    if kind == "missing":
        return Problem(code="RF-C012", template=N_("Missing; it has to be given."), path=path)
    if kind == "extra_forbidden":
        return _unknown_key(path, model)
    if kind == "literal_error":
        return Problem(
            code="RF-C014",
            template=N_("Must be one of {expected}."),
            path=path,
            values={"expected": ctx["expected"]},
        )
    if kind in _EXPECTED:
        return Problem(
            code="RF-C015",
            template=N_("Must be {expected}; found {found}."),
            path=path,
            values={"expected": _Lazy(_EXPECTED[kind]), "found": kind_name(found)},
        )
    if kind in _LIMITS:
        return _LIMITS[kind](ctx, path)
    if kind == "string_pattern_mismatch":
        return Problem(
            code="RF-C024",
            path=path,
            template=N_(
                "Not a name: use letters, digits, dots, hyphens and underscores, at most 64, "
                "starting with a letter or a digit."
            ),
        )
    return Problem(code="RF-C025", template=N_("Not a valid value here; see docs/reference."), path=path)


class _Lazy(str):
    """A phrase that is translated when it is printed."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        return format(_(str(self)), spec)


def _unknown_key(path: Path_, model: type[BaseModel]) -> Problem:
    known = _keys_at(model, path[:-1])
    close = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.6)
    if close:
        return Problem(
            code="RF-C013",
            path=path,
            template=N_('Unknown key "{key}". Did you mean "{guess}"?'),
            values={"key": path[-1], "guess": close[0]},
        )
    return Problem(
        code="RF-C026",
        path=path,
        template=N_('Unknown key "{key}"; known here are: {known}.'),
        values={"key": path[-1], "known": ", ".join(known)},
    )


def key_of(name: str, info: Any) -> str:
    """The TOML key of a model's field."""
    return str(info.serialization_alias or info.alias or name)


def _keys_at(model: type[BaseModel], path: Path_) -> list[str]:
    here: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int) or here is None:
            continue
        fields = {key_of(name, info): info.annotation for name, info in here.model_fields.items()}
        here = _inner_model(fields.get(part))
    return [] if here is None else [key_of(name, info) for name, info in here.model_fields.items()]


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    for argument in typing.get_args(annotation):
        inner = _inner_model(argument)
        if inner is not None:
            return inner
    return None
