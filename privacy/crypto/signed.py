"""Signed documents: exact canonical JSON bytes with Ed25519 signatures over a domain-separated message.

The message signed is `ringfence/<kind>/v1`, a line feed, and the body; so a signature of one kind of document
never stands for another. Verification returns the body or raises; bytes are never serialised anew to verify.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import rfc8785

from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.errors import N_, KeyFault

FORMAT = "ringfence-signed/v1"
MAX_BYTES = 16 * 2**20
MAX_SIGNATURES = 1000
_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}")


def message(kind: str, body: bytes) -> bytes:
    """What is signed for a document of a kind.

    Raises:
        KeyFault: RF-K010 when the kind is not a short lower-case word.
    """
    if not _KIND.fullmatch(kind):
        raise KeyFault("RF-K010", N_("The kind of a signed document is a short word in lower case."))
    return b"ringfence/" + kind.encode() + b"/v1\n" + body


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedDocument:
    """A body and who signed it.

    Attributes:
        kind: `schema`, `contract`, `study`, `approval`, ...
        body: canonical JSON (RFC 8785), kept byte for byte.
        signatures: pairs of public key and signature, both in hex, in the order they were made.
    """

    kind: str
    body: bytes
    signatures: tuple[tuple[str, str], ...] = ()

    def signed_by(self, identity: Identity) -> SignedDocument:
        """The document with one more signature.

        Raises:
            KeyFault: RF-K011 when this key has signed already.
        """
        key = identity.public.hex
        if any(key == other for other, _ in self.signatures):
            raise KeyFault(
                "RF-K011",
                N_("The key {fingerprint} has signed this document already."),
                fingerprint=identity.public.fingerprint,
            )
        signature = identity.sign(message(self.kind, self.body)).hex()
        return replace(self, signatures=(*self.signatures, (key, signature)))

    def verify(self, kind: str, trusted: Iterable[PublicIdentity], *, threshold: int = 1) -> bytes:
        """The body, once `threshold` different trusted keys are seen to have signed it as this kind.

        Signatures of keys that are not trusted are passed over; a bad one under a trusted key refuses.

        Raises:
            KeyFault: RF-K012 another kind, RF-K013 the body is not canonical JSON, RF-K014 one key signed
                twice, RF-K015 too few trusted signatures, RF-K003 a signature does not verify.
        """
        self.signers(kind, trusted, threshold=threshold)
        return self.body

    def require_kind(self, kind: str) -> None:
        """Refuse a document of another kind, before its fields are looked at.

        Raises:
            KeyFault: RF-K012.
        """
        if self.kind != kind:
            raise KeyFault(
                "RF-K012",
                N_("This is a signed {found}; a signed {expected} was expected."),
                found=self.kind,
                expected=kind,
            )

    def signers(
        self, kind: str, trusted: Iterable[PublicIdentity], *, threshold: int = 1
    ) -> tuple[PublicIdentity, ...]:
        """As `verify`, but returns the trusted keys that signed, in the order of their signatures."""
        if threshold < 1:
            raise ValueError("a threshold is at least 1")
        self.require_kind(kind)
        _canonical_json(self.body)
        keys = [key for key, _ in self.signatures]
        if len(set(keys)) != len(keys):
            raise KeyFault("RF-K014", N_("One key stands among the signatures twice."))
        known = {identity.hex: identity for identity in trusted}
        found: list[PublicIdentity] = []
        for key, signature in self.signatures:
            if key in known:
                known[key].verify(_signature_bytes(signature), message(kind, self.body))
                found.append(known[key])
        if len(found) < threshold:
            raise KeyFault(
                "RF-K015",
                N_("Signatures of trusted keys under the {kind}: {count}; {threshold} are needed."),
                kind=kind,
                count=len(found),
                threshold=threshold,
            )
        return tuple(found)

    def to_json(self) -> str:
        """The file form."""
        return json.dumps(
            {
                "format": FORMAT,
                "kind": self.kind,
                "body": self.body.decode(),
                "signatures": [{"key": key, "signature": signature} for key, signature in self.signatures],
            },
            ensure_ascii=False,
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> SignedDocument:
        """Read the file form; nothing is verified yet.

        Raises:
            KeyFault: RF-K016 when it is not a signed document of this format.
        """
        try:
            if len(text) > MAX_BYTES:
                raise ValueError("too large")
            data = json.loads(text, object_pairs_hook=_no_duplicates)
            if set(data) != {"format", "kind", "body", "signatures"} or data["format"] != FORMAT:
                raise ValueError("other members")
            signatures = tuple(_pair(entry) for entry in _list(data["signatures"]))
            message(_text(data["kind"]), b"")
            return cls(kind=data["kind"], body=_text(data["body"]).encode(), signatures=signatures)
        except (ValueError, TypeError, KeyError, RecursionError, KeyFault) as error:
            raise KeyFault(
                "RF-K016",
                N_("This is not a signed document of Ringfence; ask its sender for the file again."),
            ) from error


def write_signed(path: Path, document: SignedDocument) -> None:
    """Write the file form so that a reader sees the old file or the new one, never half of it."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(document.to_json().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def write_after(target: Path, document: SignedDocument, record: Callable[[], None]) -> None:
    """Write a document under another name, record the event, then give the document its name.

    A folder that cannot be written is thus found before the event, and a crash leaves an event without its
    effect, never an effect without its event.
    """
    waiting = target.with_name(f".{target.name}.new")
    try:
        write_signed(waiting, document)
        record()
        os.replace(waiting, target)
    except BaseException:
        with suppress(OSError):
            waiting.unlink()
        raise


def read_signed(path: Path) -> SignedDocument:
    """Read a signed document from its file; nothing is verified yet.

    Raises:
        KeyFault: RF-K020 when there is no such file, RF-K017 when it cannot be read, RF-K016 when it is not a
            signed document.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise KeyFault(
            "RF-K020", N_("There is no signed document {file}; check its name and folder."), file=str(path)
        ) from error
    except OSError as error:
        raise KeyFault(
            "RF-K017",
            N_("The signed document {file} cannot be read; check its name and rights."),
            file=str(path),
        ) from error
    return SignedDocument.from_json(raw)


def _canonical_json(body: bytes) -> None:
    try:
        data = json.loads(body, object_pairs_hook=_no_duplicates, parse_float=_no_float)
        if rfc8785.dumps(data) == body:
            return
    except (ValueError, RecursionError):
        pass
    raise KeyFault("RF-K013", N_("The body of the signed document is not canonical JSON (RFC 8785)."))


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"a float of {len(text)} characters")


def _signature_bytes(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-f]{128}", text):
        raise KeyFault("RF-K019", N_("A signature is written as 128 hex digits in lower case."))
    return bytes.fromhex(text)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list) or len(value) > MAX_SIGNATURES:
        raise TypeError("list expected")
    return value


def _pair(entry: object) -> tuple[str, str]:
    if not isinstance(entry, dict) or set(entry) != {"key", "signature"}:
        raise TypeError("signature expected")
    return _text(entry["key"]), _text(entry["signature"])
