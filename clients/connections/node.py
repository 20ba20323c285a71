"""A holder's process as a node of each of its federations: an agent behind letters, on a coordinator's link.

Invariant: what the holder's people wrote is what is answered by. A node whose settings, contract or people
    were changed since it began answers nothing more and ends; started again, it goes by what they wrote.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from ringfence.clients.agent import Agent
from ringfence.clients.config import HolderSettings, LoopbackPort
from ringfence.clients.connections.contact import Contact
from ringfence.clients.connections.late import try_again
from ringfence.clients.connections.membership import MembershipFolder, membership_of
from ringfence.clients.connections.metrics import HolderMetrics
from ringfence.clients.connections.pacing import PacedAgent
from ringfence.clients.connections.routes import route_of
from ringfence.clients.connections.supernode import Place, SuperNode
from ringfence.clients.connections.watching import StoreWatch, sentence_of
from ringfence.clients.flower import Answering, make_client_app
from ringfence.clients.holder import Holder
from ringfence.clients.home import signed_path
from ringfence.clients.letters import LetterBox
from ringfence.privacy.command_line.listening import LOOPBACK, Pages, listening, probes
from ringfence.privacy.crypto.tls_keys import read_tls_key
from ringfence.privacy.errors import N_, WaistError, _
from ringfence.privacy.stores.lease import require_lease
from ringfence.privacy.succession.book import KeyBook
from ringfence.privacy.wire.fields import utc_now

_LAST_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A holder's way to one of its coordinators, ready to be served.

    Attributes:
        holder: with the federation's log.
        node: what connects.
        contact: when its gateway was heard of.
        expires: tells when its certificate ends.
    """

    holder: Holder
    node: SuperNode
    contact: Contact
    expires: Callable[[], datetime]


def serve_holders(
    holders: Mapping[str, Holder],
    settings: HolderSettings,
    stop: threading.Event,
    *,
    report: Callable[[str], None],
    ready: Callable[[str], None],
) -> None:
    """Answer every federation's coordinator until told to stop; one that cannot be served stops no other.

    Such a one is tried again while the others are served, and taken up once it can be.

    Args:
        holders: by federation, under the lease of their store.
        settings: from which they were opened.
        stop: ends it after the messages that are being answered.
        report: told, in sentences for the holder's people, what is refused or goes wrong.
        ready: told in a sentence that it begins, once a federation.

    Raises:
        RingfenceError: RF-U570 the port of metrics or probes cannot be listened on.
        WaistError: RF-W360 to RF-W363 not one federation was joined to the end; RF-W366 what its people
            wrote has changed.
        StoreError: RF-S561 or RF-B660 another process may have the store by now.
    """
    first_holder = next(iter(holders.values()))
    chains = first_holder.chains
    watch = StoreWatch(ask=partial(require_lease, first_holder.engine), report=report, stop=stop)
    changes = Changes(
        written=settings, chains=chains, began=written(settings, chains), stop=stop, watch=watch
    )
    saying = {
        name: report if len(holders) == 1 else partial(_in_federation, report, name) for name in holders
    }
    serving = _Serving(holders=holders, settings=settings, changes=changes, saying=saying, ready=ready)
    first, refused = serving.looked()
    with on_loopback(first_holder, settings, serving.shown, store=lambda: watch.answers):
        # Not waited for long at the end: a question to a database that is gone may hang.
        watching = threading.Thread(target=watch.keep, name="ringfence-store", daemon=True)
        watching.start()
        try:
            serving.answer(first, refused)
        finally:
            stop.set()
            watching.join(_LAST_SECONDS)
    if watch.lost is not None:
        raise watch.lost
    if changes.found:
        raise WaistError(
            "RF-W366",
            N_(
                "client.toml, the contract or the people who approve were changed since this process began, "
                "so it answers nothing more. Start it again: ringfence-client run"
            ),
        )


@dataclass(slots=True, kw_only=True)
class _Serving:
    """The federations of a home while its process runs.

    Attributes:
        holders: by federation.
        settings: from which they were opened.
        changes: ends them all.
        saying: tells people of a federation, by its name.
        ready: told in a sentence that one begins.
        shown: contact and end of the certificate of those that are served.
    """

    holders: Mapping[str, Holder]
    settings: HolderSettings
    changes: Changes
    saying: Mapping[str, Callable[[str], None]]
    ready: Callable[[str], None]
    shown: dict[str, tuple[Contact, Callable[[], datetime]]] = field(default_factory=dict)
    _threads: list[threading.Thread] = field(default_factory=list)

    def looked(self) -> tuple[list[Link], dict[str, str]]:
        """The federations that can be served, and what was said of each other one.

        Raises:
            Exception: none can be served; what was met with the last.
        """
        links, refusals = list[Link](), dict[str, Exception]()
        for name in self.holders:
            try:
                links.append(self._link(name))
            except Exception as error:  # one coordinator's files keep no other from being served
                refusals[name] = error
        if not links:
            last = tuple(self.holders)[-1]
            for name in (each for each in refusals if each != last):
                self.saying[name](sentence_of(refusals[name]))
            raise refusals[last]
        said = {name: sentence_of(refusal) for name, refusal in refusals.items()}
        for name, refusal in said.items():
            again = _("It is tried again while this process runs.")
            self.saying[name](f"{refusal} {again}")
        return links, said

    def answer(self, first: list[Link], refused: Mapping[str, str]) -> None:
        """Serve some at once and the others once they can be; return when all were told to stop."""
        for link in first:
            self._begin(link)
        late = (refused, self._take_up, lambda name, said: self.saying[name](said), self.changes.stop)
        self._start(threading.Thread(target=try_again, args=late))
        for thread in self._threads:  # and those that come while it waits
            thread.join()

    def _link(self, name: str) -> Link:
        link = link_of(name, self.holders[name], self.settings, self.changes, self.saying[name])
        self.shown[name] = (link.contact, link.expires)
        return link

    def _take_up(self, name: str) -> None:
        self._begin(self._link(name))

    def _begin(self, link: Link) -> None:
        self.ready(_("Answering {address}.").format(address=link.node.place.address))
        self._start(threading.Thread(target=link.node.serve, args=(self.changes.stop,)))

    def _start(self, thread: threading.Thread) -> None:
        self._threads.append(thread)
        thread.start()


def _in_federation(report: Callable[[str], None], name: str, sentence: str) -> None:
    """The code stays in front, where those who read lines look for it."""
    report(f"{sentence} [{name}]")


def link_of(
    name: str, holder: Holder, settings: HolderSettings, changes: Changes, report: Callable[[str], None]
) -> Link:
    """A federation's node, ready to be served.

    Raises:
        WaistError: RF-W360 to RF-W363 it was not joined, or not to the end.
        KeyFault: a key or a document of its membership is missing or unsafe.
    """
    former = {
        *holder.chains.former("holder", holder.identity.public),
        *holder.chains.former("coordinator", holder.coordinator),
    }
    folder = membership_of(settings.folder, name, frozenset(each.hex for each in former))
    newest = _Newest(name=name, folder=folder, holder=holder, settings=settings)
    place, key = newest.look()
    contact = Contact(folder=folder.path)
    agent = Agent(holder=holder, report=report)
    paced = PacedAgent(agent=agent, holder=holder, stop=changes.stop)
    changes.paced.append(paced)
    guard = AsWritten(box=LetterBox(agent=agent, answering=paced.handle), changes=changes)
    node = SuperNode(
        place=place,
        key=key,
        app=make_client_app(lambda _context: guard),
        report=report,
        remembered=folder.remembered(),
        remember=folder.remember,
        contact=contact,
        look=newest.look,
    )
    return Link(holder=holder, node=node, contact=contact, expires=newest.expires)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Newest:
    """What a membership's folder holds at the moment: it is renewed while the node runs.

    Attributes:
        name: of the federation.
        folder: its membership.
        holder, settings: of the home.
    """

    name: str
    folder: MembershipFolder
    holder: Holder
    settings: HolderSettings

    def look(self) -> tuple[Place, EllipticCurvePrivateKey]:
        """Where to go, what to show there, and the node's key."""
        found = self.folder.place(self.holder.coordinator, self.holder.identity.public, utc_now())
        route = route_of(self.settings, self.settings.federation(self.name))
        return replace(found, route=route), read_tls_key(self.folder.node_file)

    def expires(self) -> datetime:
        """When the certificate of connections ends."""
        return self.folder.certificate(self.holder.coordinator).not_valid_after_utc


@contextmanager
def on_loopback(
    holder: Holder,
    settings: HolderSettings,
    links: Mapping[str, tuple[Contact, Callable[[], datetime]]],
    *,
    store: Callable[[], bool],
) -> Iterator[dict[str, int]]:
    """Metrics and probes on loopback, where client.toml asks for them; their ports, by section.

    Args:
        holder: any of the home's; the ledger is one.
        settings: which say where, and which federations there are; one without a link is not served so far.
        links: contact and end of the certificate, by federation.
        store: whether it answered a moment ago. It is not asked when a probe is: how long it takes to answer
            would show when a round is charged.
    """
    names = [each.name for each in settings.config.federation]

    def ready() -> tuple[bool, Mapping[str, object]]:
        # All of them: that one coordinator is reached says nothing to whoever waits for another.
        reached = {name: name in links and links[name][0].connected for name in names}
        kept = store()
        return kept and bool(names) and all(reached.values()), {"federations": reached, "store": kept}

    metrics = HolderMetrics(links=links, names=names, ledger=holder.ledger, clock=utc_now)
    wanted: Mapping[str, tuple[LoopbackPort | None, Pages]] = {
        "metrics": (settings.config.metrics, {"/metrics": metrics.page}),
        "probes": (
            settings.config.probes,
            probes(alive=lambda: True, ready=ready),
        ),
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
    keys = (*(each.coordinator for each in config.federation), *config.approvers)
    files += [settings.folder / name for name in keys]
    digest = hashlib.sha256(chains.digest())
    for file in files:
        try:
            content = file.read_bytes()
        except OSError:  # a key that is written out is no file, and a file may be gone
            content = b""
        digest.update(hashlib.sha256(content).digest())
    return digest.digest()


@dataclass(slots=True, kw_only=True)
class Changes:
    """Whether what the holder's people wrote is what the process began with.

    Attributes:
        written: the settings.
        chains: the keys that took the place of others.
        began: their digest when it began.
        stop: set once they were changed.
        watch: told what is met when the store is read.
        found: whether they were.
        paced: what keeps answers back, for every federation: nothing is taken up for one while the answer
            of another is late, so that none learns from its own waiting what another's study needed.
        turn: one message at a time is taken up, whichever federation it is of, until its answer goes out:
            one that is answered beside a study at a fixed pace would tell how long that computes.
    """

    written: HolderSettings
    chains: KeyBook
    began: bytes
    stop: threading.Event
    watch: StoreWatch
    found: bool = False
    paced: list[PacedAgent] = field(default_factory=list)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def settle(self) -> None:
        """Wait for every answer that was late."""
        for each in self.paced:
            each.settle()

    def made(self) -> bool:
        """Look; after a change everything ends."""
        if written(self.written, self.chains) != self.began:
            self.found = True
            self.stop.set()
        return self.found


@dataclass(slots=True, kw_only=True)
class AsWritten:
    """Lets messages through to the letter box for as long as nothing was changed."""

    box: Answering
    changes: Changes

    def handle(self, data: bytes) -> bytes:
        """The letter box's answer; none, and the end, after a change. What goes wrong is told here.

        Whoever calls is Flower, where nothing may be told (clients/flower.py).
        """
        with self.changes.turn:
            try:
                self.changes.settle()
                return b"" if self.changes.made() else self.box.handle(data)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # the cryptography library's panics are no Exceptions
                self.changes.watch.met(error)
                return b""
