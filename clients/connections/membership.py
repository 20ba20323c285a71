"""What a holder keeps of a federation it joined: invitation, admission, and its keys of connections.

A holder that joins again goes on with what it has: the new invitation and its keys lie in a folder inside
until their admission is there, and then take the place of the former ones as a whole.

Invariant: a connection is made only with what the federation's coordinator in client.toml signed, to the
    gateway that its invitation names, and with a certificate for the key that lies here.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from ringfence.clients.config import FederationSettings
from ringfence.clients.connections.supernode import Place
from ringfence.clients.home import Home
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.signed import SignedDocument, read_signed, write_signed
from ringfence.privacy.crypto.tls_keys import (
    node_key,
    public_bytes,
    read_tls_key,
    request_for,
    tls_key,
    write_tls_key,
)
from ringfence.privacy.errors import N_, KeyFault, WaistError, reason_of
from ringfence.privacy.protocol.enrolment import (
    Admission,
    Invitation,
    admission_of,
    certificate_of,
    invitation_of,
    moment,
)

FOLDER = "federation"
_PENDING, _LOCK = "pending", ".lock"
_INVITATION, _ADMISSION = "invitation.json", "admission.json"
_TLS, _NODE = "tls.key", "node.key"
_CERTIFICATE, _NUMBER = "certificate.pem", "node.number"


@dataclass(frozen=True, slots=True)
class MembershipFolder:
    """The folder of one federation.

    Attributes:
        path: it.
        former: keys, hex, that this holder and its coordinator had before; what they signed and was taken up
            then stands on.
    """

    path: Path
    former: frozenset[str] = frozenset()

    def take_up(
        self, invitation: SignedDocument, holder: str, note: Callable[[], None], *, anew: bool = False
    ) -> tuple[bytes, bytes]:
        """Make keys for an invitation; a membership that works goes on until this one is admitted.

        The key of connections is always fresh. The node's stays with a coordinator that knows it, so that a
        study that is running still finds this node; it opens nothing without a certificate.

        Args:
            invitation: verified.
            holder: this holder's name.
            note: records it, before the folder has its name.
            anew: make another key of the node too, as where somebody else may have it.

        Returns:
            The node's public key and the certificate request, PEM.
        """
        if self.admitted_before:
            node = node_key() if anew else self._node_for(invitation)
            return self.pending._made(invitation, holder, node, note)
        return self._made(invitation, holder, node_key(), note)

    def _node_for(self, invitation: SignedDocument) -> EllipticCurvePrivateKey:
        """The node's key as it is, for the coordinator that let it in; a fresh one for another."""
        former = invitation_of(read_signed(self.path / _INVITATION))
        same = former.key in {invitation_of(invitation).key, *self.former}
        return read_tls_key(self.path / _NODE) if same else node_key()

    def _made(
        self, invitation: SignedDocument, holder: str, node: EllipticCurvePrivateKey, note: Callable[[], None]
    ) -> tuple[bytes, bytes]:
        """The folder with fresh contents, in the place of what an earlier invitation left."""
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=self.path.parent, prefix=f".{self.path.name}."))
        try:
            tls = tls_key()
            write_tls_key(made / _NODE, node)
            write_tls_key(made / _TLS, tls)
            write_signed(made / _INVITATION, invitation)
            note()
            if self.path.exists():
                former = self.path.with_name(f".{self.path.name}.former")
                shutil.rmtree(former, ignore_errors=True)
                os.replace(self.path, former)
                os.replace(made, self.path)
                shutil.rmtree(former)
            else:
                os.replace(made, self.path)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        return public_bytes(node), request_for(tls, holder)

    @property
    def pending(self) -> MembershipFolder:
        """The membership that is to take this one's place, once it is admitted."""
        return MembershipFolder(self.path / _PENDING, self.former)

    def meant_by(self, admission: Admission) -> MembershipFolder:
        """Whose invitation an admission answers: the pending one's, or this one's."""
        waiting = self.pending.path / _INVITATION
        if waiting.exists() and invitation_of(read_signed(waiting)).number == admission.number:
            return self.pending
        return self

    def admitted(self, document: SignedDocument, note: Callable[[], None]) -> None:
        """Keep a verified admission that fits the keys here."""
        note()
        write_signed(self.path / _ADMISSION, document)

    def promoted(self, document: SignedDocument, note: Callable[[], None]) -> None:
        """Let the pending membership, whose admission this is, take this one's place."""
        self.pending.admitted(document, note)
        number = self.remembered()
        if number is not None and self._same_node(self.pending):  # the link numbers nodes by their keys
            self.pending.remember(number)
        self.settle()

    def _same_node(self, other: MembershipFolder) -> bool:
        own, others = (public_bytes(read_tls_key(each.path / _NODE)) for each in (self, other))
        return own == others

    def settle(self) -> None:
        """Put a pending membership that is admitted in this one's place; also what a crash left half done."""
        following = self.path.with_name(f".{self.path.name}.next")
        former = self.path.with_name(f".{self.path.name}.former")
        if not (self.pending.admitted_before or following.exists()):
            return
        with _alone(self.path.parent / f".{self.path.name}{_LOCK}"):
            if self.pending.admitted_before:
                os.replace(self.pending.path, following)
            if not following.exists():
                return
            shutil.rmtree(former, ignore_errors=True)
            if self.path.exists():
                os.replace(self.path, former)
            os.replace(following, self.path)
            shutil.rmtree(former, ignore_errors=True)

    def invitation(self, coordinator: PublicIdentity) -> Invitation:
        """The invitation that was taken up.

        Raises:
            WaistError: RF-W360 there is none.
            KeyFault: it is not of the federation's coordinator in client.toml.
        """
        self.settle()
        if not (self.path / _INVITATION).exists():
            raise WaistError(
                "RF-W360",
                N_("This holder has joined no federation: ringfence-client join INVITATION"),
            )
        found = invitation_of(read_signed(self.path / _INVITATION))
        if found.key not in {coordinator.hex, *self.former}:
            raise _another_coordinator(found)
        return found

    def require_fitting(self, admission: Admission, invitation: Invitation, own: PublicIdentity) -> None:
        """Refuse an admission of another invitation, of another holder, or for other keys.

        Raises:
            WaistError: RF-W361.
        """
        certificate = certificate_of(admission.certificate)
        node, tls = read_tls_key(self.path / _NODE), read_tls_key(self.path / _TLS)
        if (
            (admission.number, admission.holder) != (invitation.number, invitation.holder)
            or admission.key not in {own.hex, *self.former}
            or admission.node_key.encode("ascii", "replace") != public_bytes(node)
            or certificate.public_key() != tls.public_key()
        ):
            raise WaistError(
                "RF-W361",
                N_(
                    "This admission does not fit the keys that were made here; hand the coordinator the last "
                    "enrolment, or join anew with a new invitation."
                ),
            )

    def place(self, coordinator: PublicIdentity, own: PublicIdentity, now: datetime) -> Place:
        """Where the node goes to, and what it shows there.

        Raises:
            WaistError: RF-W360 no federation was joined, RF-W362 the coordinator has not admitted this holder
                yet, RF-W361 the admission does not fit, RF-W363 its certificate is over or not yet valid.
            KeyFault: a document is not the coordinator's, or a key is missing or unsafe; RF-W483 TLS does not
                take a certificate, RF-W484 a file cannot be read or written.
        """
        try:
            return self._place(coordinator, own, now)
        except ssl.SSLError as error:  # before OSError, of which it is one
            raise KeyFault(
                "RF-W483",
                N_(
                    "TLS does not take the certificates that the coordinator gave this holder ({reason}). "
                    "Ask it for a new invitation, and join anew: ringfence-client join INVITATION"
                ),
                reason=getattr(error, "reason", None) or type(error).__name__,
            ) from error
        except OSError as error:
            raise KeyFault(
                "RF-W484",
                N_(
                    "The folder {folder} of this membership cannot be used: {reason}. Let this user write "
                    "there, and see that its disk is not full."
                ),
                folder=self.path.name,
                reason=reason_of(error),
            ) from error

    def _place(self, coordinator: PublicIdentity, own: PublicIdentity, now: datetime) -> Place:
        invitation = self.invitation(coordinator)
        if not (self.path / _ADMISSION).exists():
            raise WaistError(
                "RF-W362",
                N_(
                    "The coordinator has not admitted this holder yet. When it has, take its file up: "
                    "ringfence-client join ADMISSION"
                ),
            )
        admission = self._admission(coordinator)
        self.require_fitting(admission, invitation, own)
        certificate = certificate_of(admission.certificate)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise WaistError(
                "RF-W363",
                N_(
                    "The certificate of this holder is valid from {start} to {end}, and it is {now} here. "
                    "Look at the clock, or ask the coordinator for a new invitation."
                ),
                start=certificate.not_valid_before_utc.isoformat(),
                end=certificate.not_valid_after_utc.isoformat(),
                now=now.isoformat(timespec="seconds"),
            )
        (self.path / _CERTIFICATE).write_text(admission.certificate, encoding="ascii")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(cadata=invitation.authority)
        context.load_cert_chain(self.path / _CERTIFICATE, self.path / _TLS)
        return Place(address=invitation.gateway, tls=context)

    @property
    def admitted_before(self) -> bool:
        """Whether an admission was taken up here."""
        return (self.path / _ADMISSION).exists()

    def certificate(self, coordinator: PublicIdentity) -> x509.Certificate:
        """The certificate of connections that the coordinator's admission carries.

        Raises:
            KeyFault: there is no admission, or it is not this coordinator's.
        """
        return certificate_of(self._admission(coordinator).certificate)

    def _admission(self, coordinator: PublicIdentity) -> Admission:
        before = sorted(map(PublicIdentity.from_hex, self.former), key=lambda key: key.hex)
        return admission_of(read_signed(self.path / _ADMISSION), coordinator, *before)

    def remembered(self) -> int | None:
        """The number that the link gave this node last."""
        try:
            return int((self.path / _NUMBER).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def remember(self, number: int) -> None:
        """Keep the number that the link gave this node."""
        (self.path / _NUMBER).write_text(f"{number}\n", encoding="ascii")

    @property
    def node_file(self) -> Path:
        """The node's key."""
        return self.path / _NODE


def membership_of(home: Path, federation: str, former: frozenset[str] = frozenset()) -> MembershipFolder:
    """The folder of a federation in a home's folder; `former` as in `MembershipFolder`."""
    return MembershipFolder(home / FOLDER / federation, former)


def membership_at(home: Home, federation: FederationSettings) -> MembershipFolder:
    """The folder of a federation of an open home; what former keys signed for it stands on.

    Raises:
        KeyFault: the coordinator's key cannot be read.
    """
    return membership_of(home.settings.folder, federation.name, home.former_keys(federation))


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One process of a home at a time."""
    handle = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def require_for(invitation: Invitation, holder: str, now: datetime) -> None:
    """Refuse an invitation of another holder, or one that is over.

    Raises:
        WaistError: RF-W364 another holder's, RF-W365 over.
    """
    if invitation.holder != holder:
        raise WaistError(
            "RF-W364",
            N_('The invitation is for the holder "{found}"; this is "{name}".'),
            found=invitation.holder,
            name=holder,
        )
    if now >= moment(invitation.expires):
        raise WaistError(
            "RF-W365",
            N_("The invitation ended on {expires}; ask the coordinator for a new one."),
            expires=invitation.expires,
        )


def _another_coordinator(found: Invitation) -> KeyFault:
    return KeyFault(
        "RF-K122",
        N_("The invitation is of {name}, {fingerprint}, and client.toml names another coordinator."),
        name=found.coordinator,
        fingerprint=PublicIdentity.from_hex(found.key).fingerprint,
    )
