"""Joins a federation: an invitation is taken up with fresh keys, an admission completes it.

Invariant: nothing is written before the coordinator's fingerprint was compared; the coordinator of
    client.toml stays the only one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ringfence.clients.connections.membership import FOLDER, MembershipFolder, require_for
from ringfence.clients.desk.trusting import enter_coordinator, require_the_coordinator
from ringfence.clients.home import Home
from ringfence.privacy.agreements.declaration import Shown
from ringfence.privacy.command_line.trust import Keys
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import SignedDocument, write_signed
from ringfence.privacy.protocol.enrolment import (
    ENROLMENT,
    Enrolment,
    Invitation,
    admission_of,
    invitation_of,
)
from ringfence.privacy.wire.fields import utc_now


def membership_folder(home: Home) -> MembershipFolder:
    """The folder of the federation that a holder joined."""
    return MembershipFolder(home.settings.folder / FOLDER, home.former_keys())


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """An invitation with the key it came with.

    Attributes:
        invitation: its fields, signed by that key.
        document: as it came.
        keys: the key, sorted by whether client.toml names it.
    """

    invitation: Invitation
    document: SignedDocument
    keys: Keys


def invited(home: Home, document: SignedDocument) -> Invited:
    """Who invites; nothing is believed yet but that the key signed.

    Raises:
        KeyFault: it is no invitation.
        WaistError: RF-W364 it is another holder's, RF-W365 it is over.
        UsageError: RF-U662 client.toml names another coordinator.
    """
    invitation = invitation_of(document)
    require_for(invitation, home.settings.name, utc_now())
    shown = Shown(public=PublicIdentity.from_hex(invitation.key), said=invitation.coordinator)
    return Invited(invitation=invitation, document=document, keys=require_the_coordinator(home, shown))


def take_up(home: Home, asked: Invited, out: Path, passphrases: Passphrases) -> Enrolment:
    """Make keys for a federation whose coordinator's fingerprint was compared, and write the enrolment.

    Raises:
        KeyFault: the holder's key cannot be opened.
    """
    identity, name = home.key(passphrases), home.settings.name
    enter_coordinator(home, asked.keys)

    def note() -> None:
        _record(home, "invitation", asked.invitation)

    node, request = membership_folder(home).take_up(asked.document, name, note)
    made = Enrolment.of(
        number=asked.invitation.number,
        holder=name,
        key=identity.public.hex,
        node_key=node.decode("ascii"),
        request=request.decode("ascii"),
    )
    write_signed(out, SignedDocument(kind=ENROLMENT, body=made.canonical()).signed_by(identity))
    return made


def complete(home: Home, document: SignedDocument) -> Invitation:
    """Keep the coordinator's admission.

    Raises:
        KeyFault: it is none of the coordinator's.
        WaistError: RF-W360 no invitation was taken up, RF-W361 it does not fit the keys here.
    """
    coordinator, folder = home.coordinator(), membership_folder(home)
    invitation = folder.invitation(coordinator)
    folder.require_fitting(admission_of(document, coordinator), invitation, home.identity)
    folder.admitted(document, lambda: _record(home, "admission", invitation))
    return invitation


def _record(home: Home, step: str, invitation: Invitation) -> None:
    coordinator = PublicIdentity.from_hex(invitation.key).fingerprint
    home.log.record(
        "federation.joined",
        "allow",
        resource=f"key:{coordinator}",
        public={"step": step, "gateway": invitation.gateway},
    )
