"""The coordinator's own certificate authority: who may connect, said by certificates of X.509 (RFC 5280).

An authority signs one certificate for each server address and one for each holder, from the holder's own
request: keys are made where they stay. A bank's own authority can take its place; nothing here is needed for
what messages promise, which hangs on identities (`privacy/crypto/identity.py`).
"""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ringfence.privacy.crypto.tls_keys import tls_key
from ringfence.privacy.errors import N_, KeyFault

AUTHORITY_DAYS, CERTIFICATE_DAYS = 3650, 397
_PEM = serialization.Encoding.PEM
_EARLIER = datetime.timedelta(minutes=5)
"""Two clocks never agree: a certificate is valid from a little before it was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate authority.

    Attributes:
        key: its key.
        certificate: its own certificate.
    """

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def found(cls, name: str, now: datetime.datetime) -> Authority:
        """A new authority."""
        key = tls_key()
        builder = (
            _builder(_name(name), _name(name), key.public_key(), now, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return cls(key=key, certificate=builder.sign(key, hashes.SHA256()))

    @classmethod
    def read(cls, key: bytes, certificate: bytes) -> Authority:
        """From its two PEM files.

        Raises:
            KeyFault: RF-K100 one of them cannot be read, or they do not belong together.
        """
        try:
            secret = serialization.load_pem_private_key(key, None)
            public = x509.load_pem_x509_certificate(certificate)
            if not isinstance(secret, ec.EllipticCurvePrivateKey):
                raise ValueError("another kind of key")
            if secret.public_key() != public.public_key():
                raise ValueError("another key")
        except (ValueError, TypeError) as error:
            raise KeyFault(
                "RF-K100",
                N_("Key and certificate of the authority cannot be read, or do not belong together."),
            ) from error
        return cls(key=secret, certificate=public)

    @property
    def pem(self) -> bytes:
        """The certificate that others verify with."""
        return self.certificate.public_bytes(_PEM)

    def for_server(
        self, key: ec.EllipticCurvePublicKey, hosts: tuple[str, ...], now: datetime.datetime
    ) -> x509.Certificate:
        """A certificate for a server under these names and addresses."""
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        builder = self._leaf(hosts[0], key, now, ExtendedKeyUsageOID.SERVER_AUTH)
        return builder.add_extension(names, critical=False).sign(self.key, hashes.SHA256())

    def for_holder(self, request: bytes, name: str, now: datetime.datetime) -> x509.Certificate:
        """A certificate for the holder that made a request; the name is the coordinator's to give.

        Raises:
            KeyFault: RF-K101 the request cannot be read, or is not signed by its own key.
        """
        try:
            asked = x509.load_pem_x509_csr(request)
            public = asked.public_key()
            if not asked.is_signature_valid or not isinstance(public, ec.EllipticCurvePublicKey):
                raise ValueError("not its own signature")
        except (ValueError, TypeError) as error:
            raise KeyFault(
                "RF-K101",
                N_("The certificate request of {name} cannot be read, or is not signed by its own key."),
                name=name,
            ) from error
        builder = self._leaf(name, public, now, ExtendedKeyUsageOID.CLIENT_AUTH)
        return builder.sign(self.key, hashes.SHA256())

    def _leaf(
        self, name: str, key: ec.EllipticCurvePublicKey, now: datetime.datetime, use: x509.ObjectIdentifier
    ) -> x509.CertificateBuilder:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            _builder(_name(name), self.certificate.subject, key, now, CERTIFICATE_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(authority, critical=False)
        )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
