"""Mutants: the product with one line of its own source changed, in this process and for a while.

A mutant's edit names a function, a piece of its source and what to write instead. The new source is compiled
and put into the function object itself, so that every module that holds the function runs it. An edit that no
longer fits the source is an error and not a survivor: the proof must be brought up to date.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import CodeType, FunctionType
from typing import Any


class StaleEdit(Exception):
    """An edit that does not fit the source any more."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of one function.

    Attributes:
        function: `module:name` or `module:Class.name`, the module without `ringfence.`.
        old: a piece of its source that stands there exactly once.
        new: what to write instead.
    """

    function: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A broken product.

    Attributes:
        name: as it is printed.
        edits: what is broken.
        claim: name of the claim whose check must reject it.
    """

    name: str
    edits: tuple[Edit, ...]
    claim: str


def broken(name: str, claim: str, *edits: tuple[str, str, str]) -> Mutant:
    """A mutant; each edit names a function, a piece of its source, and what to write instead."""
    return Mutant(name=name, edits=tuple(Edit(*edit) for edit in edits), claim=claim)


@contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """Run a block with the product broken as the mutant says.

    Raises:
        StaleEdit: an edit does not fit the source.
    """
    with ExitStack() as stack:
        for edit in mutant.edits:
            stack.enter_context(_edited(edit))
        yield


@contextmanager
def _edited(edit: Edit) -> Iterator[None]:
    function = _function(edit.function)
    before, after = function.__code__, _compiled(function, edit)
    function.__code__ = after
    _forget()
    try:
        yield
    finally:
        function.__code__ = before
        _forget()


def _function(path: str) -> FunctionType:
    """The plain function behind a name, whatever it is wrapped in."""
    module, _, names = path.partition(":")
    found: Any = import_module(f"ringfence.{module}")
    for name in names.split("."):
        try:
            found = inspect.getattr_static(found, name)
        except AttributeError:
            raise StaleEdit(f"{path}: there is no {name}") from None
    while not isinstance(found, FunctionType) or hasattr(found, "__wrapped__"):
        found = getattr(found, "fget", None) or getattr(found, "__wrapped__", None) or found.__func__
    return found


def _compiled(function: FunctionType, edit: Edit) -> CodeType:
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(edit.old) != 1:
        raise StaleEdit(f"{edit.function}: {source.count(edit.old)} times, not once: {edit.old}")
    whole = compile(
        "from __future__ import annotations\n" + source.replace(edit.old, edit.new), edit.function, "exec"
    )
    return next(
        part for part in whole.co_consts if isinstance(part, CodeType) and part.co_name == function.__name__
    )


def _forget() -> None:
    """Empty the product's caches: what another version computed must not be seen."""
    for name, module in list(sys.modules.items()):
        if name.startswith("ringfence."):
            for value in list(vars(module).values()):
                clear = getattr(value, "cache_clear", None)
                if clear is not None and getattr(value, "__module__", "").startswith("ringfence."):
                    clear()
