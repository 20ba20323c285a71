"""Key files: one secret each, readable by its owner only, wrapped with a passphrase or plainly not.

A wrapped secret is encrypted with AES-256-GCM under a key that scrypt (RFC 7914) derives from the passphrase;
kind, public key, simulation mark and parameters are authenticated with it. The public half stands beside the
file as `.pub`. A file that others can read, or that holds another kind of key, is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import rfc8785
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ringfence.privacy.crypto.identity import KINDS, Identity, KeyKind
from ringfence.privacy.crypto.private_files import create, read_private
from ringfence.privacy.crypto.public_files import public_path, public_text, simulated
from ringfence.privacy.errors import N_, KeyFault

FORMAT = "ringfence-key/v1"
_LOG2_COST = 17  # scrypt N; with r = 8 this takes 128 MiB and some tenths of a second
_MEMBERS = {"format", "kind", "simulation", "public", "wrapping", "secret"}
_WRAPPING = {"kdf", "log2_n", "r", "p", "salt", "cipher", "nonce"}


def write_key(
    path: str | Path,
    identity: Identity,
    passphrase: str | None,
    *,
    unwrapped: bool = False,
    log2_cost: int = _LOG2_COST,
) -> None:
    """Write a key file (mode 0600) and its `.pub`; an existing file is never replaced.

    Args:
        path: the key file; its folder must exist.
        identity: the key pair.
        passphrase: what wraps the secret; None only together with `unwrapped`.
        unwrapped: asks explicitly for a file without passphrase.
        log2_cost: scrypt's N as a power of two, 14 to 20.

    Raises:
        KeyFault: RF-K030 neither passphrase nor `unwrapped`, or both; RF-K031 the passphrase is too short;
            RF-K032 a file stands there already; RF-K033 the file cannot be written.
    """
    path = Path(path)
    if (passphrase is None) != unwrapped:
        raise KeyFault(
            "RF-K030",
            N_(
                "A key is wrapped with a passphrase, or expressly left unwrapped: say exactly one of the two."
            ),
        )
    if passphrase is not None and len(passphrase) < 8:
        raise KeyFault("RF-K031", N_("The passphrase needs at least 8 characters."))
    public = public_path(path)
    for file in (path, public):
        if file.exists() or file.is_symlink():
            raise KeyFault(
                "RF-K032",
                N_("The file {file} exists; a key is never overwritten. Choose another name."),
                file=file.name,
            )
    header = _header(identity)
    if passphrase is None:
        members = {**header, "wrapping": None, "secret": _encode(identity.secret_bytes())}
    else:
        members = _wrap(header, identity.secret_bytes(), passphrase, log2_cost)
    _create(path, json.dumps(members, indent=1) + "\n", 0o600)
    _create(public, public_text(identity), 0o644)


def read_key(
    path: str | Path,
    kind: KeyKind,
    passphrase: str | None = None,
    *,
    simulation: bool = False,
) -> Identity:
    """Read the key pair of a kind.

    Args:
        path: the key file.
        kind: what the key is needed for.
        passphrase: needed when the file is wrapped.
        simulation: accept a throw-away key of a simulation; never so where rows are real.

    Raises:
        KeyFault: RF-K034 missing, RF-K035 not a plain file or readable by others, RF-K036 not a key file,
            RF-K037 another kind, RF-K038 a simulation's key, RF-K039 a passphrase is needed, RF-K040 it is
            wrong or the file was changed, RF-K042 a passphrase was given for an unwrapped file.
    """
    path = Path(path)
    members = _parse(path, _read_private(path))
    if members["kind"] != kind:
        raise KeyFault(
            "RF-K037",
            N_("The file {file} holds a key of kind {found}; one of kind {expected} is needed here."),
            file=path.name,
            found=members["kind"],
            expected=kind,
        )
    if members["simulation"] and not simulation:
        raise simulated(path)
    secret = _secret(path, members, passphrase)
    identity = Identity.from_secret(secret, kind=kind, simulation=members["simulation"])
    if identity.public.hex != members["public"]:
        _damaged(path)
    return identity


def _header(identity: Identity) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "kind": identity.kind,
        "simulation": identity.simulation,
        "public": identity.public.hex,
    }


def _wrap(header: dict[str, Any], secret: bytes, passphrase: str, log2_cost: int) -> dict[str, Any]:
    wrapping: dict[str, Any] = {
        "kdf": "scrypt",
        "log2_n": log2_cost,
        "r": 8,
        "p": 1,
        "salt": _encode(os.urandom(16)),
        "cipher": "AES-256-GCM",
        "nonce": _encode(os.urandom(12)),
    }
    key = _derive(passphrase, wrapping)
    aad = rfc8785.dumps({**header, "wrapping": wrapping})
    sealed = AESGCM(key).encrypt(base64.b64decode(wrapping["nonce"]), secret, aad)
    return {**header, "wrapping": wrapping, "secret": _encode(sealed)}


def _secret(path: Path, members: Mapping[str, Any], passphrase: str | None) -> bytes:
    wrapping, stored = members["wrapping"], members["secret"]
    if wrapping is None:
        if passphrase is not None:
            # Otherwise a wrapped file could be exchanged for an unwrapped one without anybody noticing.
            raise KeyFault(
                "RF-K042",
                N_("A passphrase was given, but the key in {file} is not wrapped. Was the file exchanged?"),
                file=path.name,
            )
        return _decode(path, stored)
    if passphrase is None:
        raise KeyFault(
            "RF-K039", N_("The key in {file} is wrapped; its passphrase is needed."), file=path.name
        )
    header = {name: members[name] for name in ("format", "kind", "simulation", "public", "wrapping")}
    nonce, sealed = _decode(path, wrapping["nonce"]), _decode(path, stored)
    try:
        return AESGCM(_derive(passphrase, wrapping)).decrypt(nonce, sealed, rfc8785.dumps(header))
    except (InvalidTag, ValueError) as error:
        raise KeyFault(
            "RF-K040",
            N_("The passphrase of {file} is wrong, or the file was changed since it was written."),
            file=path.name,
        ) from error


def _derive(passphrase: str, wrapping: Mapping[str, Any]) -> bytes:
    salt = base64.b64decode(wrapping["salt"])
    scrypt = Scrypt(salt=salt, length=32, n=2 ** wrapping["log2_n"], r=wrapping["r"], p=wrapping["p"])
    return scrypt.derive(passphrase.encode("utf-8"))


def _read_private(path: Path) -> bytes:
    absent = KeyFault(
        "RF-K034", N_("There is no key file {file}; make one, or check the name."), file=path.name
    )
    unsafe = KeyFault(
        "RF-K035",
        N_("The key file {file} must be a plain file that only its owner can read: chmod 600 {file}"),
        file=path.name,
    )
    return read_private(path, absent=absent, unsafe=unsafe)


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        members = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _not_a_key(path) from error
    if not isinstance(members, dict) or not _valid(members):
        raise _not_a_key(path)
    return members


def _valid(members: dict[str, Any]) -> bool:
    return (
        set(members) == _MEMBERS
        and members["format"] == FORMAT
        and members["kind"] in KINDS
        and isinstance(members["simulation"], bool)
        and isinstance(members["public"], str)
        and isinstance(members["secret"], str)
        and (members["wrapping"] is None or _valid_wrapping(members["wrapping"]))
    )


def _valid_wrapping(wrapping: object) -> bool:
    if not isinstance(wrapping, dict) or set(wrapping) != _WRAPPING:
        return False
    numbers = [wrapping["log2_n"], wrapping["r"], wrapping["p"]]
    if any(isinstance(number, bool) or not isinstance(number, int) for number in numbers):
        return False
    # Bounded, so that a forged file cannot ask for endless memory.
    return (
        wrapping["kdf"] == "scrypt"
        and wrapping["cipher"] == "AES-256-GCM"
        and 14 <= wrapping["log2_n"] <= 20
        and wrapping["r"] == 8
        and wrapping["p"] == 1
        and all(_is_base64(wrapping[name], size) for name, size in (("salt", 16), ("nonce", 12)))
    )


def _is_base64(value: object, size: int) -> bool:
    try:
        return isinstance(value, str) and len(base64.b64decode(value, validate=True)) == size
    except binascii.Error:
        return False


def _not_a_key(path: Path) -> KeyFault:
    return KeyFault("RF-K036", N_("The file {file} is not a key file of Ringfence."), file=path.name)


def _damaged(path: Path) -> NoReturn:
    raise KeyFault(
        "RF-K043", N_("The secret and the public key in {file} do not belong together."), file=path.name
    )


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(path: Path, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise _not_a_key(path) from error


def _create(path: Path, text: str, mode: int) -> None:
    try:
        create(path, text, mode)
    except OSError as error:
        raise KeyFault(
            "RF-K033",
            N_("The key file {file} cannot be written; does its folder exist, and may you write to it?"),
            file=path.name,
        ) from error
