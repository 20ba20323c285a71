"""Pydantic's findings in our own sentences, with codes, expectations and guesses at misspelt keys."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from ringfence.privacy.errors import N_, _
from ringfence.privacy.toml.faults import Path_, Problem, Problems, kind_name

Model = TypeVar("Model", bound=BaseModel)


def build(model: type[Model], data: object) -> tuple[Model | None, list[Problem]]:
    """The model, or what is wrong with the data."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, problems_of(error, model)


def valid_entries(kind: type[Model], data: object) -> tuple[tuple[int, Model], ...]:
    """The entries of a list that are valid by themselves, with their positions."""
    entries = data if isinstance(data, list | tuple) else ()
    found = ((position, salvage(kind, entry)) for position, entry in enumerate(entries))
    return tuple((position, entry) for position, entry in found if entry is not None)


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
        if item["type"] == "too_short" and len(item["input"]) >= item.get("ctx", {})["min_length"]:
            continue  # entries were given, they only did not survive their own faults
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
            values={"expected": ctx["expected"].replace(" or ", ", ")},
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
