"""How a holder comes into a federation: three signed documents, carried by people.

The coordinator invites, once and for some days; the holder answers with what its new keys need and no secret;
the coordinator admits it with a certificate. Each document names the invitation's number, so that none stands
for another, and counts at either side only once its people have compared the other's fingerprint.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import Field

from ringfence.privacy.agreements.parties import HolderName, PartyName
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import N_, KeyFault, RingfenceError
from ringfence.privacy.toml.canonical import Document

INVITATION: Final = "invitation"
ENROLMENT: Final = "enrolment"
ADMISSION: Final = "admission"

_Hex: TypeAlias = Annotated[str, Field(pattern=re.compile(r"\A[0-9a-f]{64}\Z"))]
_Pem: TypeAlias = Annotated[
    str, Field(pattern=re.compile(r"\A-----BEGIN [A-Z ]+-----\n"), min_length=1, max_length=8192)
]
ADDRESS: Final = re.compile(r"\A(?:[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\]):[0-9]{1,5}\Z")
Address: TypeAlias = Annotated[str, Field(pattern=ADDRESS)]
"""A host or an address and a port; an address of IPv6 in brackets."""


class Invitation(Document):
    """What a coordinator tells one holder, once.

    Attributes:
        coordinator: its name.
        key: its public key, hex; it signs the invitation.
        gateway: where it is reached.
        authority: the certificate that its gateway's is verified with, PEM.
        holder: who is invited.
        number: of this invitation, drawn by chance.
        expires: the moment after which it is void, UTC.
    """

    error: ClassVar[type[RingfenceError]] = KeyFault

    coordinator: PartyName
    key: _Hex
    gateway: Address
    authority: _Pem
    holder: HolderName
    number: _Hex
    expires: Annotated[str, Field(pattern=re.compile(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\Z"))]


class Enrolment(Document):
    """What the invited holder answers.

    Attributes:
        number: of the invitation.
        holder: its name.
        key: its public key, hex; it signs the enrolment.
        node_key: by which Flower knows its node, PEM.
        request: for a certificate, PEM.
    """

    error: ClassVar[type[RingfenceError]] = KeyFault

    number: _Hex
    holder: HolderName
    key: _Hex
    node_key: _Pem
    request: _Pem


class Admission(Document):
    """What the coordinator admits the holder with.

    Attributes:
        number: of the invitation.
        holder: its name.
        key: the holder's public key, hex.
        node_key: as enrolled, PEM.
        certificate: for the holder's key of connections, PEM.
    """

    error: ClassVar[type[RingfenceError]] = KeyFault

    number: _Hex
    holder: HolderName
    key: _Hex
    node_key: _Pem
    certificate: _Pem


def invitation_of(document: SignedDocument) -> Invitation:
    """An invitation, signed by the very key it names; whose key that is, is not yet shown.

    Raises:
        KeyFault: it is none (RF-C001, RF-C071, RF-C072, RF-K012), its signature does not hold, or RF-K123 or
            RF-W485 the authority in it is not one certificate.
    """
    document.require_kind(INVITATION)
    found = Invitation.from_canonical(document.body)
    document.verify(INVITATION, [PublicIdentity.from_hex(found.key)])
    certificate_of(found.authority)
    return found


def enrolment_of(document: SignedDocument) -> Enrolment:
    """An enrolment, signed by the very key it names; whose key that is, is not yet shown.

    Raises:
        KeyFault: it is none (RF-C001, RF-C071, RF-C072, RF-K012), or its signature does not hold.
    """
    document.require_kind(ENROLMENT)
    found = Enrolment.from_canonical(document.body)
    document.verify(ENROLMENT, [PublicIdentity.from_hex(found.key)])
    return found


def admission_of(document: SignedDocument, *coordinators: PublicIdentity) -> Admission:
    """An admission that this coordinator signed, with its key or one that it had before.

    Raises:
        KeyFault: it is none (RF-C001, RF-C071, RF-C072, RF-K012), its signature does not hold, or RF-K123
            or RF-W485 what it admits with is not one certificate.
    """
    found = Admission.from_canonical(document.verify(ADMISSION, coordinators))
    certificate_of(found.certificate)
    return found


def certificate_of(pem: str) -> x509.Certificate:
    """The one certificate that stands in a document.

    What reads it again, OpenSSL for a connection, reads all that is written there and not only the first
    block; so nothing but the certificate may be.

    Raises:
        KeyFault: RF-K123 it is none, RF-W485 something is written beside it.
    """
    try:
        found = x509.load_pem_x509_certificate(pem.encode("ascii"))
    except ValueError as error:  # a letter that is not ASCII, too
        raise KeyFault(
            "RF-K123",
            N_("The certificate in this document cannot be read; ask its signer for the document again."),
        ) from error
    if found.public_bytes(Encoding.PEM) != pem.encode("ascii"):
        raise KeyFault(
            "RF-W485",
            N_(
                "Something is written beside the certificate in this document; expected one certificate in "
                "PEM and nothing else. Ask its signer for the document again."
            ),
        )
    return found


def moment(text: str) -> datetime:
    """The moment that an invitation ends at."""
    return datetime.fromisoformat(text).astimezone(UTC)
