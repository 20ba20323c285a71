"""Joins a federation: an invitation is taken up with fresh keys, an admission completes it.

Invariant: nothing is written before the coordinator's fingerprint was compared; an invitation belongs to the
    federation of the key that signed it, whatever it says.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ringfence.clients.config import FederationSettings, load_settings
from ringfence.clients.connections.membership import membership_at, require_for
from ringfence.clients.desk.belonging import Entering, enter_federation, entering, federation_by
from ringfence.clients.home import Home
from ringfence.privacy.agreements.declaration import Shown
from ringfence.privacy.command_line.trust import Keys
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import SignedDocument, write_signed
from ringfence.privacy.errors import KeyFault
from ringfence.privacy.protocol.enrolment import (
    ADMISSION,
    ENROLMENT,
    Enrolment,
    Invitation,
    admission_of,
    invitation_of,
)
from ringfence.privacy.wire.fields import utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """An invitation with the key it came with.

    Attributes:
        invitation: its fields, signed by that key.
        document: as it came.
        federation: that of the key, or the one that it becomes.
    """

    invitation: Invitation
    document: SignedDocument
    federation: Entering

    @property
    def keys(self) -> Keys:
        """The key, sorted by whether client.toml names it."""
        return self.federation.keys


def invited(home: Home, document: SignedDocument, name: str | None = None) -> Invited:
    """Who invites; nothing is believed yet but that the key signed.

    Args:
        home: the holder's.
        document: the invitation.
        name: of a federation that is new here; the coordinator's name by default.

    Raises:
        KeyFault: it is no invitation.
        WaistError: RF-W364 it is another holder's, RF-W365 it is over.
        UsageError: as `belonging.entering`.
    """
    invitation = invitation_of(document)
    require_for(invitation, home.settings.name, utc_now())
    shown = Shown(public=PublicIdentity.from_hex(invitation.key), said=invitation.coordinator)
    there = federation_by(home, shown.public)
    asked = name or (invitation.coordinator if there is None else there.name)
    return Invited(invitation=invitation, document=document, federation=entering(home, asked, shown))


def take_up(
    home: Home, asked: Invited, out: Path, passphrases: Passphrases, *, new_node: bool = False
) -> Enrolment:
    """Make keys for a federation whose coordinator's fingerprint was compared, and write the enrolment.

    Args:
        home: the holder's.
        asked: who invites.
        out: the enrolment's file.
        passphrases: of the holder's key.
        new_node: make another key of the node, where this home has one with this coordinator.

    Raises:
        KeyFault: the holder's key cannot be opened.
    """
    identity, name, federation = home.key(passphrases), home.settings.name, asked.federation.name
    enter_federation(home, asked.federation, passphrases)
    joined = replace(home, settings=load_settings(home.settings.file))
    belongs = joined.settings.federation(federation)
    joined = joined.of(belongs)

    def note() -> None:
        _record(joined, "invitation", asked.invitation)

    node, request = membership_at(joined, belongs).take_up(asked.document, name, note, anew=new_node)
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
        KeyFault: it is none of a coordinator's of client.toml.
        WaistError: RF-W360 no invitation was taken up, RF-W361 it does not fit the keys here.
        UsageError: RF-U402 client.toml names no federation.
    """
    federation = _whose(home, document)
    coordinator = home.coordinator_of(federation)
    folder = membership_at(home, federation)
    folder.settle()
    admission = admission_of(document, coordinator)
    meant = folder.meant_by(admission)
    invitation = meant.invitation(coordinator)
    meant.require_fitting(admission, invitation, home.identity)
    keep, joined = folder.admitted if meant == folder else folder.promoted, home.of(federation)
    keep(document, lambda: _record(joined, "admission", invitation))
    return invitation


def _whose(home: Home, admission: SignedDocument) -> FederationSettings:
    """The federation whose coordinator signed an admission; where none did, the first, which refuses it."""
    every = home.settings.config.federation
    for each in every:
        with suppress(KeyFault):
            admission.verify(ADMISSION, [home.coordinator_of(each)])  # what it says is looked at later
            return each
    return every[0] if every else home.settings.federation(None)


def _record(home: Home, step: str, invitation: Invitation) -> None:
    coordinator = PublicIdentity.from_hex(invitation.key).fingerprint
    home.log.record(
        "federation.joined",
        "allow",
        resource=f"key:{coordinator}",
        public={"step": step, "gateway": invitation.gateway},
    )
