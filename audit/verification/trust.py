"""Keys that the caller trusts, in every form in which a house hands a key out.

    NAME+ID+BASE64             a log's verifier key, as `key.pub` of a bundle and `log export` show it
    64 hexadecimal digits      the key alone, as the first line of a key's `.pub` file
    ed25519: and 32 digits     the key's fingerprint, as people read it out to each other

A form without the log's name vouches for the key under whatever name it signs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ringfence.audit.bundle import read_small
from ringfence.audit.canonical import HEX_64
from ringfence.audit.errors import N_, NoteError
from ringfence.audit.note import Verifier

_FINGERPRINT = re.compile(r"ed25519:[0-9a-f]{32}")


def fingerprint(raw: bytes) -> str:
    """`ed25519:` and the first 32 hexadecimal digits of SHA-256 over a public key."""
    return f"ed25519:{sha256(raw).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """One key that the caller trusts.

    Attributes:
        text: as it was given, for messages.
        fingerprint: of the key.
        raw: the key; None when only its fingerprint is known.
        name: the log whose key it is; None when the form does not say.
    """

    text: str
    fingerprint: str
    raw: bytes | None = None
    name: str | None = None

    @classmethod
    def of(cls, key: Verifier) -> TrustedKey:
        """A log's verifier key."""
        return cls(text=str(key), fingerprint=fingerprint(key.raw), raw=key.raw, name=key.name)

    def is_key(self, key: Verifier) -> bool:
        """Whether a log's key is this one."""
        return (
            fingerprint(key.raw) == self.fingerprint
            and self.raw in (None, key.raw)
            and self.name in (None, key.name)
        )

    def verifier(self, origin: str) -> Verifier | None:
        """The key to check a checkpoint of a log with; None when it is another log's.

        Raises:
            NoteError: when only the fingerprint is known, so that nothing can be checked.
        """
        if self.name not in (None, origin):
            return None
        if self.raw is None:
            raise NoteError(
                "RF-A230",
                N_(
                    "Only the fingerprint {key} was given, and an opened event does not bring the key; give "
                    "the key itself with --trust."
                ),
                key=self.text,
            )
        return Verifier(name=origin, raw=self.raw)


def parse_trusted(text: str) -> TrustedKey:
    """Read one of the three forms.

    Raises:
        NoteError: when it is none of them, or a house's key that is for something else than a log.
    """
    first, _, rest = text.strip().partition("\n")
    if _FINGERPRINT.fullmatch(first) and not rest:
        return TrustedKey(text=first, fingerprint=first)
    if HEX_64.fullmatch(first):
        words = rest.removeprefix("#").split()
        if words and words[0] != "log":
            raise NoteError(
                "RF-A228",
                N_(
                    "The public key given is for {found}; a log signs with a key of its own, which `log "
                    "export` prints."
                ),
                found=words[0],
            )
        raw = bytes.fromhex(first)
        return TrustedKey(text=first, fingerprint=fingerprint(raw), raw=raw)
    return TrustedKey.of(Verifier.parse(text.removesuffix("\n")))


def read_trusted(given: str) -> TrustedKey:
    """A key as it stands in a command: the key itself or a file that holds it.

    Raises:
        NoteError: as `parse_trusted`.
        BundleError: the file cannot be read.
    """
    path = Path(given)
    # A text of another form can be longer than a file's name may be, and `is_file` answers that with False.
    return parse_trusted(read_small(path).decode("utf-8", "replace") if _is_file(path) else given)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def verifiers(trusted: Iterable[TrustedKey], origin: str) -> list[Verifier]:
    """The keys among the trusted ones that may sign for a log, as far as they are known.

    Raises:
        NoteError: when there is none, but a fingerprint that might be.
    """
    found, refused = [], None
    for key in trusted:
        try:
            found.append(key.verifier(origin))
        except NoteError as error:
            refused = error
    known = [key for key in found if key is not None]
    if not known and refused is not None:
        raise refused
    return known
