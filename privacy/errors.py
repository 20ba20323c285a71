"""The error family of the privacy layer and of everything built on it: one code, one clear sentence.

A message says what was found, what was expected and what to do. It never carries a customer's value or a
secret. English sentences are the gettext message ids; `locale/` holds the Chinese ones.
"""

from __future__ import annotations

import errno
import gettext
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

_LOCALE = Path(__file__).parent / "locale"


def N_(message: str) -> str:
    """Mark a sentence for translation without translating it yet."""
    return message


@lru_cache(maxsize=8)
def catalogue_of(languages: tuple[str, ...] | None) -> gettext.NullTranslations:
    """The sentences in these languages, or, for None, in those of the environment."""
    return gettext.translation("ringfence", _LOCALE, list(languages) if languages else None, fallback=True)


chosen_language: tuple[str, ...] | None = None


def use_language(language: str | None) -> None:
    """Choose the language of messages, e.g. `"zh"`; `None` follows the environment (LANGUAGE, LANG)."""
    global chosen_language
    aliases = {"zh": ("zh_CN",), "en": ("en",)}
    chosen_language = None if language is None else aliases.get(language, (language,))


def _(message: str) -> str:
    """Translate a sentence into the chosen language, or leave it in English."""
    return catalogue_of(chosen_language).gettext(message)


def language() -> str:
    """The language that messages are in now: `zh` or `en`."""
    return "zh" if catalogue_of(chosen_language).info().get("language", "").startswith("zh") else "en"


class Clause(str):
    """A part of a sentence, marked with `N_`, that fills a field of it and is translated with it."""

    __slots__ = ()


SYSTEM_REASONS = (
    N_("No such file or directory"),
    N_("Not a directory"),
    N_("Is a directory"),
    N_("Permission denied"),
    N_("Operation not permitted"),
    N_("No space left on device"),
    N_("Read-only file system"),
    N_("File name too long"),
    N_("Input/output error"),
    N_("Invalid argument"),
    N_("Too many open files"),
    N_("Too many levels of symbolic links"),
)
"""What operating systems answer most often; they answer in English."""


def reason_of(error: OSError) -> Clause:
    """Why the operating system refused."""
    return Clause(os.strerror(errno.EIO if error.errno is None else error.errno))


def told(template: str, values: Mapping[str, object]) -> str:
    """A sentence in the chosen language, its fields filled in; of these only clauses are translated."""
    filled = {name: _(value) if isinstance(value, Clause) else value for name, value in values.items()}
    return _(template).format(**filled)


class RingfenceError(Exception):
    """A refusal or a failure that a person can act on.

    Attributes:
        code: stable code such as `RF-C012`, documented in docs/reference/errors.md.
        template: the English sentence with named fields.
        values: what fills the fields; never a customer's value, never a secret.
        exit_status: 1 refused or failed, 2 usage.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, code: str, template: str, **values: object) -> None:
        self.code = code
        self.template = template
        self.values = values
        super().__init__(code, template, values)

    def sentence(self) -> str:
        """The sentence in the chosen language, fields filled in."""
        return told(self.template, self.values)

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence()}"


class UsageError(RingfenceError):
    """A command was called in a way it does not understand (exit status 2)."""

    exit_status: ClassVar[int] = 2


class SchemaError(RingfenceError):
    """A schema is malformed or its signature does not verify."""


class ContractError(RingfenceError):
    """A contract is malformed, or forbids what is asked."""


class StudyError(RingfenceError):
    """A study is malformed, unsigned, expired, unapproved or not allowed here."""


class TableError(RingfenceError):
    """A holder's table cannot be read as its contract says, or fails the quality gate."""


class ConsentError(RingfenceError):
    """Consent is missing, or a consent record is malformed."""


class BudgetError(RingfenceError):
    """The privacy budget is exhausted, frozen or misused."""


class WaistError(RingfenceError):
    """A value may not pass the waist gate, or a secure sum cannot be completed."""


class ExportError(RingfenceError):
    """An artefact may not be released to people or files."""


class KeyFault(RingfenceError):
    """A key file is missing, unsafe, of the wrong kind, or a signature does not verify."""


class StoreError(RingfenceError):
    """A database that holds consent, ledger or log cannot be opened safely, read or written."""
