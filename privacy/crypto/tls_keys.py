"""Keys of connections: they say who may connect, and nothing about who somebody is.

A holder makes two: one for its certificate (TLS 1.3), one by which Flower knows its node. Both lie in files
of their owner alone and are never sent; a certificate is made from a request (PKCS #10) that shows the public
half.
"""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ringfence.privacy.crypto.private_files import create
from ringfence.privacy.crypto.secret_files import secret_bytes
from ringfence.privacy.errors import N_, KeyFault

_PEM = serialization.Encoding.PEM


def tls_key() -> ec.EllipticCurvePrivateKey:
    """A fresh key for a certificate, on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def node_key() -> ec.EllipticCurvePrivateKey:
    """A fresh key for a Flower node, on P-384."""
    return ec.generate_private_key(ec.SECP384R1())


def public_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public half of a node key, as Flower writes it."""
    return key.public_key().public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A key as an unencrypted PEM file; the file is its owner's alone."""
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def write_tls_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Make a key's file, mode 0600; an existing file is never replaced.

    Raises:
        FileExistsError: it is there already.
    """
    create(path, key_pem(key).decode("ascii"), 0o600)


def read_tls_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key in a file.

    Raises:
        KeyFault: RF-K051 missing, RF-K052 others can read it, RF-K102 it holds something else.
    """
    try:
        key = serialization.load_pem_private_key(secret_bytes(path), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("another kind of key")
    except (ValueError, TypeError) as error:
        raise KeyFault(
            "RF-K102",
            N_("The file {file} holds no key of a connection; restore it from a backup."),
            file=path.name,
        ) from error
    return key


def request_for(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """A holder's certificate request, PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, hashes.SHA256()).public_bytes(_PEM)
