"""The error family of the audit log: one code and one clear sentence each, from the standard library alone.

The layer above has a family of the same form; this one stands apart so that an auditor can read and run this
folder by itself. English sentences are the gettext message ids of the domain `ringfence_audit`.
"""

from __future__ import annotations

import errno
import gettext
import os
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

_LOCALE = Path(__file__).parent / "locale"
_ALIASES = {"zh": ("zh_CN",), "en": ("en",)}
_language: tuple[str, ...] | None = None


def N_(message: str) -> str:
    """Mark a sentence for translation without translating it yet."""
    return message


@lru_cache(maxsize=8)
def _catalogue(languages: tuple[str, ...] | None) -> gettext.NullTranslations:
    chosen = list(languages) if languages else None
    return gettext.translation("ringfence_audit", _LOCALE, chosen, fallback=True)


def use_language(language: str | None) -> None:
    """Choose the language of messages, e.g. `"zh"`; `None` follows the environment (LANGUAGE, LANG)."""
    global _language
    _language = None if language is None else _ALIASES.get(language, (language,))


def _(message: str) -> str:
    """Translate a sentence into the chosen language, or leave it in English."""
    return _catalogue(_language).gettext(message)


def printable(value: object) -> str:
    """Text that is safe on a terminal: what a hostile file says cannot move the cursor or forge a line."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


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


def system_reason(error: OSError) -> str:
    """Why the operating system refused, in the chosen language."""
    return _(os.strerror(errno.EIO if error.errno is None else error.errno))


class AuditError(Exception):
    """A refusal or a failure of the audit log that a person can act on.

    Attributes:
        code: stable code such as `RF-A031`.
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
        return _(self.template).format(**{name: printable(value) for name, value in self.values.items()})

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence()}"


class AuditUsageError(AuditError):
    """The command was called in a way it does not understand (exit status 2)."""

    exit_status: ClassVar[int] = 2


class CanonicalError(AuditError):
    """A value has no canonical JSON form here, or bytes are not canonical JSON."""


class EventError(AuditError):
    """An event may not be logged as it is, or a leaf is not a well-formed event."""


class ProofError(AuditError):
    """A Merkle proof does not verify."""


class NoteError(AuditError):
    """A signed note or checkpoint is malformed, or its signature does not verify."""


class LogError(AuditError):
    """The log's store is not as this log left it, or the log is misused."""


class BundleError(AuditError):
    """A bundle cannot be read, or does not hold what its checkpoint commits to."""
