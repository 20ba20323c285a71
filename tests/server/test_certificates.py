"""Certificates let in whom the authority named, over TLS 1.3, and nobody else: through real connections."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from ringfence.privacy.crypto.tls_keys import key_pem, request_for, tls_key
from ringfence.privacy.errors import KeyFault
from ringfence.server.connections.certificates import Authority

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


def files(folder: Path, name: str, certificate: x509.Certificate, key: bytes) -> tuple[str, str]:
    at, secret = folder / f"{name}.pem", folder / f"{name}.key"
    at.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(key)
    return str(at), str(secret)


def server_side(folder: Path, authority: Authority, *, hosts: tuple[str, ...]) -> ssl.SSLContext:
    key = tls_key()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    certificate = authority.for_server(key.public_key(), hosts, NOW)
    context.load_cert_chain(*files(folder, "server", certificate, key_pem(key)))
    context.load_verify_locations(cadata=authority.pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_side(
    folder: Path, trusted: Authority, issuer: Authority, now: datetime.datetime = NOW
) -> ssl.SSLContext:
    key = tls_key()
    context = ssl.create_default_context(cadata=trusted.pem.decode())
    certificate = issuer.for_holder(request_for(key, "whoever"), "bank", now)
    context.load_cert_chain(*files(folder, "client", certificate, key_pem(key)))
    return context


def meet(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> tuple[str, str]:
    """The peer's name as the server has it and the version; raises what the client meets."""
    seen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            raw, _ = listening.accept()
            try:
                with server.wrap_socket(raw, server_side=True) as tls:
                    subject = dict(pair[0] for pair in (tls.getpeercert() or {})["subject"])  # type: ignore[misc,index]
                    seen.append(subject["commonName"])
                    tls.sendall(b"in")
            except (ssl.SSLError, OSError):
                raw.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                socket.create_connection(listening.getsockname(), timeout=10) as raw,
                client.wrap_socket(raw, server_hostname=name) as tls,
            ):
                if tls.recv(2) != b"in":
                    raise ssl.SSLError("turned away")
                return seen[0], tls.version() or ""
        finally:
            thread.join(10)


def test_a_holder_of_the_authority_gets_in_under_the_name_the_coordinator_gave(tmp_path: Path) -> None:
    authority = Authority.found("coordinator", NOW)
    server = server_side(tmp_path, authority, hosts=("127.0.0.1", "gateway.example"))
    for name in ("127.0.0.1", "gateway.example"):
        assert meet(server, client_side(tmp_path, authority, authority), name) == ("bank", "TLSv1.3")


def test_whoever_else_stays_out(tmp_path: Path) -> None:
    authority, other = Authority.found("coordinator", NOW), Authority.found("coordinator", NOW)
    server = server_side(tmp_path, authority, hosts=("127.0.0.1",))
    own = client_side(tmp_path, authority, authority)
    old = client_side(tmp_path, authority, authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    bare = ssl.create_default_context(cadata=authority.pem.decode())
    for client, name in (
        (client_side(tmp_path, authority, other), "127.0.0.1"),  # another authority's certificate
        (client_side(tmp_path, other, authority), "127.0.0.1"),  # trusts another authority
        (own, "gateway.example"),  # another host
        (old, "127.0.0.1"),  # TLS 1.2
        (bare, "127.0.0.1"),  # no certificate
        (client_side(tmp_path, authority, authority, NOW - 400 * DAY), "127.0.0.1"),  # expired
        (client_side(tmp_path, authority, authority, NOW + 2 * DAY), "127.0.0.1"),  # not yet valid
    ):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            meet(server, client, name)


def test_a_server_s_certificate_is_none_for_a_holder_nor_a_holder_s_for_a_server(tmp_path: Path) -> None:
    authority = Authority.found("coordinator", NOW)
    key = tls_key()
    as_client = ssl.create_default_context(cadata=authority.pem.decode())
    wrong = authority.for_server(key.public_key(), ("127.0.0.1",), NOW)
    as_client.load_cert_chain(*files(tmp_path, "wrong", wrong, key_pem(key)))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        meet(server_side(tmp_path, authority, hosts=("127.0.0.1",)), as_client, "127.0.0.1")


def test_an_authority_is_read_back_and_its_parts_must_belong_together() -> None:
    first, second = Authority.found("one", NOW), Authority.found("two", NOW)
    assert Authority.read(key_pem(first.key), first.pem).certificate == first.certificate
    for key, certificate in (
        (key_pem(second.key), first.pem),
        (b"", first.pem),
        (key_pem(first.key), b"nonsense"),
    ):
        with pytest.raises(KeyFault) as caught:
            Authority.read(key, certificate)
        assert caught.value.code == "RF-K100"


def test_a_request_that_is_not_signed_by_its_own_key_gets_no_certificate() -> None:
    authority = Authority.found("coordinator", NOW)
    own, other = tls_key(), tls_key()
    stolen = x509.load_pem_x509_csr(request_for(own, "bank"))
    body = bytearray(stolen.public_bytes(serialization.Encoding.DER))
    body[-1] ^= 1
    broken = x509.load_der_x509_csr(bytes(body)).public_bytes(serialization.Encoding.PEM)
    for request in (broken, b"", key_pem(other)):
        with pytest.raises(KeyFault) as caught:
            authority.for_holder(request, "bank", NOW)
        assert caught.value.code == "RF-K101"


def test_a_certificate_says_who_made_it_and_for_how_long() -> None:
    authority = Authority.found("coordinator", NOW)
    made = authority.for_holder(request_for(tls_key(), "self-styled"), "bank", NOW)
    made.verify_directly_issued_by(authority.certificate)
    assert made.signature_hash_algorithm is not None
    assert made.signature_hash_algorithm.name == hashes.SHA256.name
    assert made.not_valid_before_utc <= NOW < made.not_valid_after_utc <= NOW + 398 * DAY
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
