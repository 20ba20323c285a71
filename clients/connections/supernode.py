"""A holder's node: its process is Flower's SuperNode and answers with the installed wheel's app alone.

Everything that is not Flower's public interface and that a holder needs is used here and nowhere else in
`clients`; `tests/clients/test_supernode_fingerprint.py` holds names and shapes.

Invariants:
    No bundle is fetched or run; a run whose bundle is not that of a spoken protocol version is not answered.
    One message at a time; whatever goes wrong with one, the next is taken. Connections lead outwards only.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from flwr.app import Context, Message, RecordDict
from flwr.app.message import make_message, remove_content_from_message
from flwr.app.message.arraychunk import ArrayChunk
from flwr.clientapp import ClientApp
from flwr.common.constant import FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE as PART_BYTES
from flwr.common.serde import message_from_proto, message_to_proto, run_from_proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.message_pb2 import ObjectTree
from flwr.proto.node_pb2 import Node as NodeNumber
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore import telemetry
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_id,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_confirm_message_received_fn_protobuf,
    make_pull_object_fn_protobuf,
    make_push_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import (
    inflate_object_from_contents,
    pull_objects,
    push_objects,
)
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from ringfence.clients.connections.contact import Contact
from ringfence.clients.connections.looking import reason_unreached, refused_login
from ringfence.clients.connections.routes import ProxyRoute, client_by
from ringfence.clients.flower import packed, unpacked
from ringfence.privacy.errors import N_, RingfenceError, WaistError
from ringfence.privacy.protocol.bundle import PROTOCOL, version_of
from ringfence.privacy.protocol.carried import (
    MOST_BYTES,
    NONCE_BYTES,
    most_parts,
    of_one_piece,
    one_piece,
)

# Flower tells its makers when it ends a process; nobody is told anything from here.
telemetry.FLWR_TELEMETRY_ENABLED = "0"
HEARTBEAT_SECONDS = 10.0
BUSY_SECONDS, IDLE_SECONDS = 0.1, 5.0
"""How often messages are looked for: while some come, and when none came for a while."""
LOGIN_SECONDS = 60.0
"""How long a login that the proxy refused is not shown again."""
_BUSY_FOR = 30.0
_ANSWER_SECONDS = 30.0
_LONGEST_TRANSFER = 600.0
_FRAME_BYTES = 1 << 20
"""What an answer of the link has around one part of a message, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a node goes to.

    Attributes:
        address: host and port of the coordinator's gateway.
        tls: verifies the gateway, and shows this holder's certificate where it has one.
        route: the house's own proxy, or None to go straight.
    """

    address: str
    tls: ssl.SSLContext
    route: ProxyRoute | None = None


@dataclass(slots=True, kw_only=True)
class SuperNode:
    """One holder's node.

    Attributes:
        place: where it goes to.
        key: its node key, registered by the coordinator.
        app: answers messages.
        report: told, in sentences for the holder's own people, what goes wrong.
        remembered: number that the link gave this node before, so that a node that was killed need not wait.
        remember: keeps that number.
        contact: told when the gateway answers and when it does not.
        look: where to go and with which key, asked before each connection: certificates are renewed while
            the node runs. `place` and `key` for ever by default.
    """

    place: Place
    key: EllipticCurvePrivateKey
    app: ClientApp
    report: Callable[[str], None] = lambda _: None
    remembered: int | None = None
    remember: Callable[[int], None] = lambda _: None
    contact: Contact = field(default_factory=Contact)
    look: Callable[[], tuple[Place, EllipticCurvePrivateKey]] | None = None
    _runs: dict[int, bool] = field(default_factory=dict)

    def serve(self, stop: threading.Event) -> None:
        """Answer until told to stop; connect anew whenever the connection is lost."""
        pause, last = BUSY_SECONDS, ""
        while not stop.is_set():
            began = time.monotonic()
            try:
                if self.look is not None:
                    self.place, self.key = self.look()
                with Connection(self.place, self.key) as client:
                    self._serve(client, stop)
            except (Exception, SystemExit) as error:
                # Flower ends the process where the link wants another version of it, and what the link sends
                # may fit no form; ours goes on and tells.
                if time.monotonic() - began > _BUSY_FOR:
                    pause, last = BUSY_SECONDS, ""
                known = (
                    error
                    if isinstance(error, RingfenceError)
                    else reason_unreached(self.place.address, self.place.route, self.place.tls, error)
                )
                told = str(known or _unreached(self.place.address, error))
                self.contact.failed(told)
                if told != last:  # once, not at each of the tries of a night
                    self.report(told)
                last = told
                # A proxy locks a login that is wrong too often.
                stop.wait(LOGIN_SECONDS if refused_login(known) else pause)
                pause = min(2 * pause, IDLE_SECONDS)

    def _serve(self, client: FleetHttpClient, stop: threading.Event) -> None:
        node = self._activate(client)
        over = threading.Event()
        beat = threading.Thread(target=_beat, args=(client, node, over, self.contact), daemon=True)
        beat.start()
        try:
            last = time.monotonic()
            while not stop.is_set():
                found = client.PullMessages(PullMessagesRequest(node=node))
                for message, tree in zip(found.messages_list, found.message_object_trees, strict=True):
                    self._answer(client, node, message, tree)
                    last = time.monotonic()
                if not found.messages_list:
                    idle = time.monotonic() - last > _BUSY_FOR
                    stop.wait(IDLE_SECONDS if idle else BUSY_SECONDS)
        finally:
            over.set()
            with suppress(httpx.HTTPError, OSError):
                client.DeactivateNode(DeactivateNodeRequest(node_id=node.node_id))

    def _activate(self, client: FleetHttpClient) -> NodeNumber:
        """Tell the link that the node is there.

        A node that was killed counts as there until its heartbeat is missed, and is not activated twice.
        """
        if self.remembered is not None:
            with suppress(httpx.HTTPStatusError):
                client.DeactivateNode(DeactivateNodeRequest(node_id=self.remembered))
        request = ActivateNodeRequest(
            public_key=public_key_to_bytes(self.key.public_key()), heartbeat_interval=3 * HEARTBEAT_SECONDS
        )
        node = NodeNumber(node_id=client.ActivateNode(request).node_id)
        self.remembered = node.node_id
        self.remember(node.node_id)
        self.contact.answered()
        return node

    def _answer(
        self, client: FleetHttpClient, node: NodeNumber, sent: MessageProto, tree: ObjectTree
    ) -> None:
        """Take one message in, let the app answer it, and send the answer."""
        run = sent.metadata.run_id
        try:
            if not self._spoken(client, node, run):
                return
            whole = whole_message(client, node, message_from_proto(sent), tree)
            context = Context(
                run_id=run, node_id=node.node_id, node_config={}, state=RecordDict(), run_config={}
            )
            send_reply(client, node, self.app(whole, context))
        except httpx.TransportError:
            raise
        except Exception as error:
            # The coordinator sees nothing of it: it asks again, or does without this holder.
            self.report(str(error) if isinstance(error, RingfenceError) else _told(error))

    def _spoken(self, client: FleetHttpClient, node: NodeNumber, run: int) -> bool:
        """Whether a run is of a protocol version that is spoken here; told once a run."""
        if run not in self._runs:
            found = run_from_proto(client.GetRun(GetRunRequest(node=node, run_id=run)).run).fab_hash
            self._runs[run] = version_of(found) is not None
            if not self._runs[run]:
                self.report(str(_other_version()))
        return self._runs[run]


def _unreached(address: str, error: BaseException) -> WaistError:
    return WaistError(
        "RF-W331",
        N_(
            "The coordinator's gateway {address} cannot be reached, or does not let this holder in ({why}). "
            "It is tried again until it answers."
        ),
        address=address,
        why=_told(error),
    )


def _other_version() -> WaistError:
    return WaistError(
        "RF-W330",
        N_(
            "The coordinator started a run of another protocol version than {version}, or of code that is "
            "not Ringfence's; this holder does not answer. Bring the older side up to date."
        ),
        version=PROTOCOL,
    )


class Connection:
    """A client of the link with this node's signature on every request."""

    def __init__(self, place: Place, key: EllipticCurvePrivateKey) -> None:
        self._client = FleetHttpClient(
            f"https://{place.address}",
            verify=place.tls,
            interceptors=[
                RuntimeVersionHttpInterceptor(component_name="SuperNode"),
                NodeAuthHttpInterceptor(key, key.public_key()),
            ],
        )
        # Flower's own client goes by the environment's proxies and follows redirects.
        self._client._client.close()
        self._client._client = client_by(
            place.route, place.tls, _ANSWER_SECONDS, most=PART_BYTES + _FRAME_BYTES
        )

    def __enter__(self) -> FleetHttpClient:
        return self._client

    def __exit__(self, *_: object) -> None:
        self._client.close()


def _beat(client: FleetHttpClient, node: NodeNumber, over: threading.Event, contact: Contact) -> None:
    request = SendNodeHeartbeatRequest(node=node, heartbeat_interval=3 * HEARTBEAT_SECONDS)
    while not over.wait(HEARTBEAT_SECONDS):
        # The loop that pulls messages meets the same fault and connects anew; an answer of no form ends
        # neither of them.
        with suppress(Exception):
            client.SendNodeHeartbeat(request)
            contact.answered()


def whole_message(client: FleetHttpClient, node: NodeNumber, message: Message, tree: ObjectTree) -> Message:
    """A message with its content; nobody's signature was looked at so far.

    Raises:
        WaistError: RF-W488 there is more of it than a message can have.
    """
    run, name = message.metadata.run_id, message.metadata.message_id
    most = most_parts(PART_BYTES)
    parts = [each.object_id for each in islice(iterate_object_tree(tree), most + 1)]
    if len(parts) > most:
        raise _too_much()
    contents = pull_objects(
        parts,
        _within(make_pull_object_fn_protobuf(client.PullObject, node, run)),
        max_time=_LONGEST_TRANSFER,
        initial_backoff=0.02,  # a message shows before its objects are there
    )
    make_confirm_message_received_fn_protobuf(client.ConfirmMessageReceived, node, run)(name)
    whole: Any = inflate_object_from_contents(name, contents)
    if isinstance(whole, ArrayChunk):
        whole = make_message(message.metadata, packed(of_one_piece(bytes(whole.data))))
    whole.metadata.__dict__["_message_id"] = name
    return whole


def _within(pull: Callable[[str], bytes]) -> Callable[[str], bytes]:
    """Pull parts of one message, by several threads, for as long as it is no more than a message can be."""
    lock, taken = threading.Lock(), [0]

    def bounded(part: str) -> bytes:
        content = pull(part)
        with lock:
            taken[0] += len(content)
            if taken[0] > MOST_BYTES:
                raise _too_much()
        return content

    return bounded


def _too_much() -> WaistError:
    return WaistError(
        "RF-W488",
        N_(
            "The link announced or sent more than the {most} bytes that a message has at most, and it was "
            "not taken in. Ask the coordinator's people what sends it."
        ),
        most=MOST_BYTES,
    )


def send_reply(client: FleetHttpClient, node: NodeNumber, reply: Message) -> None:
    """Send a reply and its objects; how long it took to make is nobody's business."""
    data, run = unpacked(reply), reply.metadata.run_id
    if 0 < len(data) <= PART_BYTES - NONCE_BYTES:
        content = ArrayChunk(memoryview(one_piece(data))).deflate()
        reply.metadata.__dict__["_message_id"] = name = get_object_id(content)
        head = message_to_proto(remove_content_from_message(reply))
        answer = client.PushMessages(_pushing(node, head, ObjectTree(object_id=name)))
        if name in answer.objects_to_push:
            make_push_object_fn_protobuf(client.PushObject, node, run, answer.session_id)(name, content)
        return
    with no_object_id_recompute():
        reply.metadata.__dict__["_message_id"] = reply.object_id
        head = message_to_proto(remove_content_from_message(reply))
        answer = client.PushMessages(_pushing(node, head, get_object_tree(reply)))
        push_objects(
            get_all_nested_objects(reply),
            make_push_object_fn_protobuf(client.PushObject, node, run, answer.session_id),
            object_ids_to_push=set(answer.objects_to_push),
        )


def _pushing(node: NodeNumber, head: MessageProto, tree: ObjectTree) -> PushMessagesRequest:
    return PushMessagesRequest(
        node=node, messages_list=[head], message_object_trees=[tree], clientapp_runtime_list=[0.0]
    )


def _told(error: BaseException) -> str:
    """What went wrong, without what a stranger wrote."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"{type(error).__name__}: status {error.response.status_code}"
    said = "".join(letter if letter.isprintable() else "?" for letter in str(error)[:200])
    return f"{type(error).__name__}: {said}"
