"""The catalogue of purposes: a closed list, with labels in English and Chinese and a DPV term each."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Literal

from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.toml.faults import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """One purpose.

    Attributes:
        id: the name used in contracts and studies.
        en: label in English.
        zh: label in Chinese.
        dpv: IRI of the term in the W3C Data Privacy Vocabulary, https://w3id.org/dpv.
        match: `exact`, or `broader` where the vocabulary only has a wider term.
    """

    id: str
    en: str
    zh: str
    dpv: str
    match: Literal["exact", "broader"]

    def label(self, language: str = "en") -> str:
        """The label in `en` or `zh`."""
        return self.zh if language.startswith("zh") else self.en


@lru_cache(maxsize=1)
def catalogue() -> Mapping[str, Purpose]:
    """All purposes by name, in the order of the file."""
    text = resources.files("ringfence.privacy").joinpath("purposes.toml").read_text(encoding="utf-8")
    return MappingProxyType({name: Purpose(id=name, **entry) for name, entry in tomllib.loads(text).items()})


def purpose(name: str) -> Purpose:
    """The purpose of that name.

    Raises:
        StudyError: RF-S002 when the catalogue has no such purpose.
    """
    found = catalogue().get(name)
    if found is None:
        problem = unknown_purpose(name)
        raise StudyError("RF-S002", problem.template, **problem.values)
    return found


def unknown_purpose(name: str, *path: str | int) -> Problem:
    """What is said of a purpose that the catalogue does not have."""
    close = difflib.get_close_matches(name, catalogue(), n=1, cutoff=0.5)
    known = f"{close[0]}?" if close else ", ".join(catalogue())
    return Problem(
        code="RF-S002",
        path=path,
        values={"name": name, "known": known},
        template=N_('"{name}" is not a purpose of the catalogue (docs/reference/purposes.md): {known}'),
    )
