"""A house's secrets under a passphrase, for a copy that leaves its disk: scrypt (RFC 7914), AES-256-GCM."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Mapping
from io import BytesIO

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ringfence.privacy.crypto.encrypted_files import read_encrypted, write_encrypted
from ringfence.privacy.errors import N_, KeyFault

_SALT, LOG2_COST, _CONTEXT = 16, 17, b"ringfence/wrapped-secrets/v1"


def wrap_secrets(files: Mapping[str, bytes], passphrase: str) -> bytes:
    """Files of secrets by name, readable with the passphrase alone.

    Raises:
        KeyFault: RF-B613 the passphrase is too short.
    """
    if len(passphrase) < 8:
        raise KeyFault("RF-B613", N_("The passphrase of a backup needs at least 8 characters."))
    salt, target = secrets.token_bytes(_SALT), BytesIO()
    content = {name: base64.b64encode(data).decode() for name, data in files.items()}
    write_encrypted(target, _key(passphrase, salt), json.dumps(content).encode(), context=_CONTEXT)
    return salt + target.getvalue()


def unwrap_secrets(wrapped: bytes, passphrase: str) -> dict[str, bytes]:
    """The files.

    Raises:
        KeyFault: RF-B614 the passphrase is wrong, or they were altered.
    """
    wrong = KeyFault(
        "RF-B614", N_("The secrets of the backup do not open: the passphrase is wrong, or they were altered.")
    )
    try:
        key = _key(passphrase, wrapped[:_SALT])
        content = json.loads(read_encrypted(BytesIO(wrapped[_SALT:]), key, context=_CONTEXT))
        return {str(name): base64.b64decode(data, validate=True) for name, data in content.items()}
    except (KeyFault, ValueError, AttributeError, TypeError, binascii.Error) as error:
        raise wrong from error


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=1 << LOG2_COST, r=8, p=1).derive(passphrase.encode())
