"""A holder's process as a node of a federation: its agent behind letters, on the coordinator's link.

Invariant: what the holder's people wrote is what is answered by. A node whose settings, contract or people
    were changed since it began answers nothing more and ends; started again, it goes by what they wrote.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from ringfence.clients.agent import Agent
from ringfence.clients.config import HolderSettings, LoopbackPort
from ringfence.clients.connections.contact import Contact
from ringfence.clients.connections.membership import FOLDER, MembershipFolder
from ringfence.clients.connections.metrics import HolderMetrics
from ringfence.clients.connections.routes import route_of
from ringfence.clients.connections.supernode import SuperNode
from ringfence.clients.flower import Answering, make_client_app
from ringfence.clients.holder import Holder
from ringfence.clients.home import signed_path
from ringfence.clients.letters import LetterBox
from ringfence.privacy.command_line.listening import LOOPBACK, Pages, listening, probes
from ringfence.privacy.crypto.tls_keys import read_tls_key
from ringfence.privacy.errors import N_, WaistError, _
from ringfence.privacy.succession.book import KeyBook
from ringfence.privacy.wire.fields import utc_now


def serve_holder(
    holder: Holder,
    settings: HolderSettings,
    stop: threading.Event,
    *,
    report: Callable[[str], None],
    ready: Callable[[str], None],
) -> None:
    """Answer the coordinator until told to stop.

    Args:
        holder: under the lease of its store.
        settings: from which it was opened.
        stop: ends it after the message that is being answered.
        report: told, in sentences for the holder's people, what is refused or goes wrong.
        ready: told in a sentence that it begins.

    Raises:
        RingfenceError: RF-U570 the port of metrics or probes cannot be listened on.
        WaistError: RF-W360 to RF-W363 no federation was joined, or not to the end; RF-W366 what its people
            wrote has changed.
    """
    former = {
        *holder.chains.former("holder", holder.identity.public),
        *holder.chains.former("coordinator", holder.coordinator),
    }
    folder = MembershipFolder(settings.folder / FOLDER, frozenset(each.hex for each in former))
    found = folder.place(holder.coordinator, holder.identity.public, utc_now())
    place = replace(found, route=route_of(settings))
    contact = Contact(folder=folder.path)
    guard = _AsWritten(
        box=LetterBox(agent=Agent(holder=holder, report=report)),
        written=settings,
        chains=holder.chains,
        began=written(settings, holder.chains),
        stop=stop,
    )
    node = SuperNode(
        place=place,
        key=read_tls_key(folder.node_file),
        app=make_client_app(lambda _context: guard),
        report=report,
        remembered=folder.remembered(),
        remember=folder.remember,
        contact=contact,
    )
    expires = folder.certificate(holder.coordinator).not_valid_after_utc
    with on_loopback(holder, settings, contact, expires):
        ready(_("Answering {address}.").format(address=place.address))
        node.serve(stop)
    if guard.changed:
        raise WaistError(
            "RF-W366",
            N_(
                "client.toml, the contract or the people who approve were changed since this process began, "
                "so it answers nothing more. Start it again: ringfence-client run"
            ),
        )


@contextmanager
def on_loopback(
    holder: Holder, settings: HolderSettings, contact: Contact, expires: datetime
) -> Iterator[dict[str, int]]:
    """Metrics and probes on loopback, where client.toml asks for them; their ports, by section."""
    metrics = HolderMetrics(contact=contact, expires=expires, ledger=holder.ledger, clock=utc_now)
    wanted: Mapping[str, tuple[LoopbackPort | None, Pages]] = {
        "metrics": (settings.config.metrics, {"/metrics": metrics.page}),
        "probes": (settings.config.probes, probes(alive=lambda: True, ready=lambda: contact.connected)),
    }
    with ExitStack() as open_:
        yield {
            name: open_.enter_context(listening(pages, host=LOOPBACK, port=said.port, name=name))
            for name, (said, pages) in wanted.items()
            if said is not None
        }


def written(settings: HolderSettings, chains: KeyBook) -> bytes:
    """A digest of what a holder's people wrote: settings, contract as it is and as signed, keys and their
    successors.
    """
    config = settings.config
    files = [settings.file]
    if config.contract is not None:
        contract = settings.folder / config.contract
        files += [contract, signed_path(contract)]
    files += [settings.folder / name for name in (config.coordinator, *config.approvers) if name is not None]
    digest = hashlib.sha256(chains.digest())
    for file in files:
        try:
            content = file.read_bytes()
        except OSError:  # a key that is written out is no file, and a file may be gone
            content = b""
        digest.update(hashlib.sha256(content).digest())
    return digest.digest()


@dataclass(slots=True, kw_only=True)
class _AsWritten:
    """Lets messages through to the letter box for as long as nothing was changed."""

    box: Answering
    written: HolderSettings
    chains: KeyBook
    began: bytes
    stop: threading.Event
    changed: bool = False

    def handle(self, data: bytes) -> bytes:
        """The letter box's answer; none, and the end, after a change."""
        if written(self.written, self.chains) != self.began:
            self.changed = True
            self.stop.set()
            return b""
        return self.box.handle(data)
