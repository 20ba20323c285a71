"""A coordinator's gateway and link, kept running: who is admitted is let in, whatever ends is started again.

Invariants: what listens beyond loopback is the gateway alone; one process serves a store.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import httpx
import uvicorn

from ringfence.privacy.errors import N_, WaistError, _
from ringfence.server.connections.admissions import Admissions, AdmittedHolder
from ringfence.server.connections.gateway import Gateway, door_server
from ringfence.server.connections.premises import GatewayFolder, Running
from ringfence.server.connections.superlink import SuperLink
from ringfence.server.connections.vitals import Vitals

_LOOK_SECONDS = 1.0
_DOOR_SECONDS = 30.0


@dataclass(slots=True, kw_only=True)
class Serving:
    """What one process of the coordinator keeps running.

    Attributes:
        folder: of the gateway, its certificates issued.
        admissions: who is let in.
        host, port: where the door listens.
        report: told, in sentences for the coordinator's people, what happens.
        look: called once a second while all is well.
        vitals: told how the process does.
    """

    folder: GatewayFolder
    admissions: Admissions
    host: str
    port: int
    report: Callable[[str], None] = lambda _: None
    look: Callable[[], None] = lambda: None
    vitals: Vitals = field(default_factory=Vitals)
    _allowed: Mapping[str, bytes] = field(default_factory=dict)
    _identities: Mapping[str, str] = field(default_factory=dict)
    _nodes: dict[str, int] = field(default_factory=dict)
    _server: uvicorn.Server | None = None
    _shown: bytes = b""

    def serve(self, stop: threading.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until told to stop.

        Raises:
            WaistError: RF-W340 the link does not come up, RF-W355 the door's port is taken.
        """
        require_free_port(self.host, self.port)
        link = self._link()
        try:
            with self._door(lambda: link.address) as door:
                self.vitals.link = self.vitals.door = True
                self.vitals.tick()
                ready()
                while not stop.wait(_LOOK_SECONDS):
                    self.vitals.tick()
                    if not door.is_alive():
                        raise _door_ended(self.host, self.port)
                    if not link.alive:
                        self.vitals.link = False
                        self.vitals.restarts += 1
                        self.report(str(_link_ended()))
                        link.stop()
                        link = self._link()
                        self.vitals.link = True
                    self._look_up(link)
                    self._renew()
                    self.look()
        finally:
            self.vitals.link = self.vitals.door = False
            self.vitals.tick()
            self.folder.ended()
            link.stop()

    def _link(self) -> SuperLink:
        """A fresh link that knows whoever is let in."""
        self._nodes = {}
        link = SuperLink.start(self.folder.link_files(), free_loopback_port())
        self._look_up(link, fresh=True)
        return link

    def _look_up(self, link: SuperLink, *, fresh: bool = False) -> None:
        """Who is let in at this moment; the link is told of nodes that came and of those that went."""
        let_in = self.admissions.let_in()
        self._allowed = {each.certificate: each.node_key.encode("ascii") for each in let_in}
        identities = {each.certificate: each.identity for each in let_in}
        changed = fresh or identities != self._identities  # a holder's key may have been replaced
        self._identities = identities
        wanted = {each.node_key: each for each in let_in}
        for key in [key for key in self._nodes if key not in wanted]:
            with suppress(httpx.HTTPError):
                link.unregister(self._nodes[key])
            del self._nodes[key]
            changed = True
        for key, each in wanted.items():
            if key in self._nodes:
                continue
            try:
                self._nodes[key] = link.register(key.encode("ascii"), each.holder)
                changed = True
            except httpx.HTTPError as error:
                # The others are served all the same; this one is tried again a moment later.
                self.report(f"{each.holder}: {type(error).__name__}")
        if changed:
            self.folder.tell_running(Running(port=link.port, nodes=self._by_identity(wanted)))

    def _by_identity(self, wanted: Mapping[str, AdmittedHolder]) -> dict[str, int]:
        return {wanted[key].identity: number for key, number in self._nodes.items()}

    def _renew(self) -> None:
        """Show a certificate that was renewed from the next connection on; those that are open go on."""
        files = self.folder.door_files()
        try:
            found = files.certificate.read_bytes()
            if self._server is None or found == self._shown:
                return
            # In a context apart first: a key that does not fit yet would leave the door without one.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key)
            shown = self._server.config.ssl
            assert shown is not None
            shown.load_cert_chain(files.certificate, files.key)
        except OSError:  # being written: it is looked at again a moment later; an SSLError is one
            return
        self._shown = found
        self.report(_("The gateway shows its new certificate from the next connection on."))

    @contextmanager
    def _door(self, link: Callable[[], str]) -> Iterator[threading.Thread]:
        """The door in a thread of its own."""
        app = Gateway(
            link=link,
            authority=self.folder.link_files().authority,
            allowed=lambda: self._allowed,
            told=lambda peer, status: self.vitals.answered(self._identities.get(peer, ""), status),
        )
        server = door_server(app, self.folder.door_files(), self.host, self.port)
        self._server, self._shown = server, self.folder.door_files().certificate.read_bytes()
        thread = threading.Thread(target=_quietly, args=(server,), name="ringfence-door", daemon=True)
        thread.start()
        try:
            if not _started(server, thread):
                raise _door_ended(self.host, self.port)
            yield thread
        finally:
            server.should_exit = True
            thread.join(_DOOR_SECONDS)


def _quietly(server: uvicorn.Server) -> None:
    """Run a server; its own way to end a process ends this thread alone."""
    with suppress(SystemExit):
        server.run()


def _started(server: uvicorn.Server, thread: threading.Thread) -> bool:
    waited = threading.Event()
    for _turn in range(int(_DOOR_SECONDS / 0.02)):
        if server.started or not thread.is_alive():
            break
        waited.wait(0.02)
    return server.started


def free_loopback_port() -> int:
    """A port of loopback that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_free_port(host: str, port: int) -> None:
    """Refuse a port that something listens on, or that this user may not have.

    Raises:
        WaistError: RF-W355.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _door_ended(host, port) from error


def _door_ended(host: str, port: int) -> WaistError:
    return WaistError(
        "RF-W355",
        N_(
            "The gateway cannot listen on {host} port {port}; something else may, or this user may not. Stop "
            "the other, or change bind in server.toml."
        ),
        host=host,
        port=port,
    )


def _link_ended() -> WaistError:
    return WaistError(
        "RF-W356", N_("Flower's link ended and is started again; runs that were going on have to be resumed.")
    )
