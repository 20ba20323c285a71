"""Gateway, invitations and admissions: who may connect, decided by people of the coordinator.

A certificate lets a holder send bytes and nothing more: what its messages count for hangs on its identity,
whose fingerprint stands in server.toml.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ringfence.privacy.agreements.declaration import Shown
from ringfence.privacy.command_line.terminal import require_writable, write_atomically
from ringfence.privacy.command_line.trust import Keys
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import SignedDocument, read_signed, write_signed
from ringfence.privacy.errors import N_, KeyFault, UsageError, WaistError
from ringfence.privacy.protocol.enrolment import (
    ADDRESS,
    ADMISSION,
    INVITATION,
    Admission,
    Enrolment,
    Invitation,
    enrolment_of,
)
from ringfence.privacy.succession.book import KeyBook
from ringfence.privacy.toml.editing import edited
from ringfence.privacy.wire.fields import new_nonce
from ringfence.server.config import load_settings
from ringfence.server.connections.admissions import Admissions, AdmittedHolder
from ringfence.server.connections.premises import FOLDER, GatewayFolder
from ringfence.server.desk.trusting import enter_holders
from ringfence.server.home import Office

_SECTION = """
# Where holders reach this coordinator.
[gateway]
address = "{address}"
bind = "{bind}"
"""


def gateway_folder(office: Office) -> GatewayFolder:
    """The gateway's folder in a home."""
    return GatewayFolder(office.settings.folder / FOLDER)


def make_gateway(office: Office, address: str, bind: str, now: datetime.datetime) -> Path:
    """Make the gateway's authority and enter its addresses into server.toml.

    Raises:
        UsageError: RF-U521 there is one already, RF-U522 an address cannot be used.
    """
    file = office.settings.file
    if office.settings.config.gateway is not None:
        raise UsageError(
            "RF-U521",
            N_("There is a gateway already, and holders trust its authority: {folder}"),
            folder=str(gateway_folder(office).path),
        )
    require_reachable(address)
    require_host_and_port(bind)
    content = edited(
        file, UsageError, lambda text: text.rstrip("\n") + "\n" + _SECTION.format(address=address, bind=bind)
    )
    require_writable(file)
    gateway_folder(office).found(office.settings.name, now)
    write_atomically(file, content)
    load_settings(file)
    return file


def renew_gateway(office: Office, now: datetime.datetime) -> datetime.datetime:
    """Give the gateway a new certificate under its authority; one that serves shows it from then on.

    Returns:
        The end of its validity.

    Raises:
        UsageError: RF-U520 there is no gateway.
        KeyFault, StoreError: its authority cannot be read.
    """
    host, _port = require_host_and_port(office.settings.gateway.address)
    folder = gateway_folder(office)
    folder.authority()
    office.log.record("gateway.renewed", "allow", resource=f"gateway:{host}")
    return folder.renew_door(host, now).not_valid_after_utc


def require_host_and_port(address: str) -> tuple[str, int]:
    """Host and port of an address.

    Raises:
        UsageError: RF-U522 it is none.
    """
    host, _colon, port = address.rpartition(":")
    if not (re.fullmatch(ADDRESS, address) and 1 <= int(port) <= 65535):
        raise UsageError(
            "RF-U522",
            N_('"{address}" is not a host and a port; expected one such as analytics.example:8443.'),
            address=address[:80],
        )
    return host.strip("[]"), int(port)


def require_reachable(address: str) -> tuple[str, int]:
    """Host and port of an address that somebody can connect to.

    Raises:
        UsageError: RF-U522 it is none, RF-U526 it stands for all addresses of a machine.
    """
    host, port = require_host_and_port(address)
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_unspecified:
            raise UsageError(
                "RF-U526",
                N_(
                    "Nobody can connect to {address}, which stands for all addresses of a machine. Name the "
                    "one that holders reach; --bind is for the other."
                ),
                address=address,
            )
    return host, port


def invite(office: Office, holder: str, days: int, out: Path, passphrases: Passphrases) -> Invitation:
    """Write an invitation for one holder.

    Raises:
        UsageError: RF-U520 there is no gateway, RF-U523 the number of days is out of range.
        KeyFault: the name is none that a holder may have, or the coordinator's key cannot be opened.
    """
    if not 1 <= days <= 90:
        raise UsageError("RF-U523", N_("An invitation is good for 1 to 90 days; found {days}."), days=days)
    address = office.settings.gateway.address
    admissions = Admissions(office.engine)
    expires = admissions.now() + datetime.timedelta(days=days)
    made = Invitation.of(
        coordinator=office.settings.name,
        key=office.identity.hex,
        gateway=address,
        authority=gateway_folder(office).authority().pem.decode("ascii"),
        holder=holder,
        number=new_nonce(),
        expires=expires.isoformat(),
    )
    document = SignedDocument(kind=INVITATION, body=made.canonical()).signed_by(office.key(passphrases))
    with office.engine.begin() as connection:
        admissions.invite(made.number, holder, expires, connection=connection)
        office.log.record(
            "holder.invited",
            "allow",
            resource=f"holder:{holder}",
            public={"expires": made.expires},
            connection=connection,
        )
    write_signed(out, document)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """An enrolment with the key it came with.

    Attributes:
        enrolment: its fields, signed by that key.
        keys: the key, sorted by whether server.toml lists it.
    """

    enrolment: Enrolment
    keys: Keys


def applicant(office: Office, file: Path) -> Applicant:
    """Who asks to be admitted; nothing is believed yet but that the key signed.

    Raises:
        KeyFault: the file is no enrolment, RF-W433 its key was replaced, RF-K161 it has two successors.
    """
    enrolment = enrolment_of(read_signed(file))
    shown = Shown(public=PublicIdentity.from_hex(enrolment.key), said=enrolment.holder)
    KeyBook(office.engine).require_current("holder", shown.public, shown.said)
    return Applicant(enrolment=enrolment, keys=Keys.sort([shown], office.holders()))


def admit_holder(office: Office, asked: Applicant, out: Path, passphrases: Passphrases) -> Admission:
    """Let a holder in whose fingerprint was compared, and write what it is admitted with.

    Raises:
        WaistError: RF-W350 to RF-W353 its invitation does not admit it.
        KeyFault: RF-K101 its request, or its node's key, is none.
    """
    try:
        return _admit(office, asked, out, passphrases)
    except (WaistError, KeyFault) as refusal:
        office.log.record(
            "holder.admitted",
            "deny",
            resource=f"holder:{asked.enrolment.holder}",
            public={"code": refusal.code},
        )
        raise


def _admit(office: Office, asked: Applicant, out: Path, passphrases: Passphrases) -> Admission:
    enrolment, admissions = asked.enrolment, Admissions(office.engine)
    key = office.key(passphrases)
    require_node_key(enrolment)
    certificate = (
        gateway_folder(office)
        .authority()
        .for_holder(enrolment.request.encode("ascii", "replace"), enrolment.holder, admissions.now())
    )
    made = Admission.of(
        number=enrolment.number,
        holder=enrolment.holder,
        key=enrolment.key,
        node_key=enrolment.node_key,
        certificate=certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"),
    )
    document = SignedDocument(kind=ADMISSION, body=made.canonical()).signed_by(key)
    with office.engine.begin() as connection:
        admissions.require_open(enrolment.number, enrolment.holder, connection=connection)
    enter_holders(office, asked.keys)  # before it is let in: a file that cannot be changed stops it here
    with office.engine.begin() as connection:
        admissions.admit(
            enrolment.number,
            AdmittedHolder(
                holder=enrolment.holder,
                identity=enrolment.key,
                certificate=certificate.fingerprint(hashes.SHA256()).hex(),
                node_key=enrolment.node_key,
                until=certificate.not_valid_after_utc.isoformat(),
            ),
            connection=connection,
        )
        # The file in the transaction: a holder that cannot be told is not let in.
        office.log.record(
            "holder.admitted",
            "allow",
            resource=f"holder:{enrolment.holder}",
            public={"fingerprint": PublicIdentity.from_hex(enrolment.key).fingerprint},
            connection=connection,
        )
        write_signed(out, document)
    return made


def require_node_key(enrolment: Enrolment) -> None:
    """Refuse a node's key that Flower could not use.

    Raises:
        KeyFault: RF-K121.
    """
    try:
        key = serialization.load_pem_public_key(enrolment.node_key.encode("ascii", "replace"))
        fits = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp384r1"
    except (ValueError, TypeError):
        fits = False
    if not fits:
        raise KeyFault(
            "RF-K121",
            N_("The node's key that {holder} enrolled is not one on P-384; ask it to join anew."),
            holder=enrolment.holder,
        )


def revoke(office: Office, holder: str) -> None:
    """Let a holder connect no more; connections that are open end within half a minute.

    Raises:
        WaistError: RF-W354 it is neither let in nor invited.
    """
    admissions = Admissions(office.engine)
    with office.engine.begin() as connection:
        admissions.revoke(holder, connection=connection)
        office.log.record("holder.revoked", "allow", resource=f"holder:{holder}", connection=connection)
