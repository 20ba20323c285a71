"""The reference pages: every key of every document stands there, the examples load, the purposes are
current.
"""

from __future__ import annotations

import re
import types
import typing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from checkout import ROOT
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ringfence.privacy.agreements.contract import Column, Contract, EventSource, Source, load_contract
from ringfence.privacy.agreements.event_window import EventLabel
from ringfence.privacy.agreements.input_sources import ItemsSource, NotesSource, PathsSource
from ringfence.privacy.agreements.inputs import ItemsInput, NotesInput, NoteTopic, PathsInput
from ringfence.privacy.agreements.purposes import catalogue
from ringfence.privacy.agreements.schema import EventWindow, Feature, Schema, load_schema
from ringfence.privacy.agreements.study import (
    Evaluation,
    Participant,
    PrivacyTerms,
    ReleaseTerms,
    SeriesTerms,
    Study,
    load_study,
)
from ringfence.privacy.toml.canonical import plain
from ringfence.privacy.toml.validation import key_of

PAGES: dict[str, tuple[type[BaseModel], ...]] = {
    "schema": (Schema, Feature, EventWindow, EventLabel, ItemsInput, PathsInput, NotesInput, NoteTopic),
    "contract": (Contract, Source, Column, EventSource, ItemsSource, PathsSource, NotesSource),
    "study": (Study, PrivacyTerms, Evaluation, ReleaseTerms, SeriesTerms, Participant),
}
MODELS = [(page, model) for page, models in PAGES.items() for model in models]


def page(name: str) -> str:
    return (ROOT / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")


def words(annotation: Any) -> str:
    """A type as a person calls it."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return words(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f'`"{value}"`' for value in arguments)
    if origin in {typing.Union, types.UnionType}:
        kinds = [words(argument) for argument in arguments if argument is not type(None)]
        return " or ".join(dict.fromkeys(kinds))
    if origin is tuple:
        inner = words(arguments[0])
        if len(arguments) == 2 and arguments[1] is not Ellipsis:
            return f"two {inner}s"
        return "tables" if inner == "table" else f"list of {inner}"
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return "table"
    return {str: "text", int: "whole number", Decimal: "number", bool: "true or false"}.get(
        annotation, getattr(annotation, "__name__", "?")
    )


def toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case list() | tuple():
            return "[" + ", ".join(toml(item) for item in value) + "]"
        case dict():
            return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
        case Decimal():
            return str(plain(value))
    return str(value)


def default(info: Any) -> str:
    if info.is_required():
        return "required"
    if info.default is None or info.default_factory is not None or info.default in ((), PydanticUndefined):
        return "none"
    return f"`{toml(info.default)}`"


def rows(model: type[BaseModel]) -> list[str]:
    """The table of a model, one row a key: key, type, default, meaning, example."""
    lines = []
    for name, info in model.model_fields.items():
        example = f"`{toml(info.examples[0])}`" if info.examples else ""
        if words(info.annotation) in {"number", "date"}:
            example = example.replace('"', "")
        lines.append(
            f"| `{key_of(name, info)}` | {words(info.annotation)} | {default(info)} | {info.description} | "
            f"{example} |"
        )
    return lines


@pytest.mark.parametrize(("name", "model"), MODELS, ids=lambda value: getattr(value, "__name__", value))
def test_every_key_is_documented(name: str, model: type[BaseModel]) -> None:
    table = "\n".join(rows(model))
    assert "None" not in table, "a key has no description"
    assert table in page(name), f"docs/reference/{name}.md should hold:\n{table}"


@pytest.mark.parametrize("name", PAGES)
def test_no_key_is_documented_that_is_gone(name: str) -> None:
    known = {key_of(key, info) for model in PAGES[name] for key, info in model.model_fields.items()}
    documented = re.findall(r"^\| `([a-z_]+)` \|(?:[^|]*\|){4}$", page(name), re.MULTILINE)
    assert len(documented) > 5
    assert set(documented) == known


def test_the_examples_of_the_pages_are_valid_together(tmp_path: Path) -> None:
    for name in PAGES:
        (example,) = re.findall(r"```toml\n(.*?)```", page(name), re.DOTALL)
        (tmp_path / f"{name}.toml").write_text(example, encoding="utf-8")
    schema = load_schema(tmp_path / "schema.toml")
    assert load_contract(tmp_path / "contract.toml").contract.schema_ref == schema.digest()
    assert load_study(tmp_path / "study.toml").schema_ref == schema.digest()


def test_every_purpose_is_documented() -> None:
    table = "\n".join(
        f"| `{p.id}` | {p.en} | {p.zh} | [{p.dpv.rpartition('#')[2]}]({p.dpv}) | {p.match} |"
        for p in catalogue().values()
    )
    assert table in page("purposes"), f"docs/reference/purposes.md should hold:\n{table}"
