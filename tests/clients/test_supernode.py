"""A holder's node goes where it was sent and nowhere else, and outlives whatever the link hands it."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kits.flower_kit  # noqa: F401  # imports Flower past its dependencies' deprecations
import pytest
from flwr.clientapp import ClientApp
from flwr.proto.fleet_pb2 import ActivateNodeResponse, PullMessagesResponse
from flwr.proto.message_pb2 import Message, Metadata, ObjectTree
from flwr.proto.run_pb2 import GetRunResponse, Run
from kits.link_kit import NOW, link_files

from ringfence.clients.connections.supernode import Place, SuperNode
from ringfence.privacy.crypto.tls_keys import node_key
from ringfence.privacy.protocol.bundle import bundle_hash
from ringfence.server.connections.certificates import Authority


@dataclass
class Stub:
    """Stands where the gateway stands: answers by route, and tells what reached it."""

    answers: dict[str, tuple[int, dict[str, str], bytes]]
    reached: list[str] = field(default_factory=list)
    port: int = 0


@contextmanager
def stub(tls: tuple[Path, Path] | None, **answers: tuple[int, dict[str, str], bytes]) -> Iterator[Stub]:
    found = Stub(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            route = self.path.rpartition("/")[2].replace("-", "_")
            found.reached.append(route)
            status, headers, body = found.answers.get(route, (200, {}, b""))
            self.send_response(status)
            for name, value in {"content-type": "application/x-protobuf", **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    found.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def node(folder: Path, port: int) -> Iterator[list[str]]:
    """A node that goes to a stub; what it reports."""
    said: list[str] = []
    stop = threading.Event()
    made = SuperNode(
        place=Place(
            address=f"127.0.0.1:{port}", tls=ssl.create_default_context(cafile=str(folder / "authority.pem"))
        ),
        key=node_key(),
        app=ClientApp(),
        report=said.append,
    )
    thread = threading.Thread(target=made.serve, args=(stop,), daemon=True)
    thread.start()
    try:
        yield said
        assert thread.is_alive(), said
    finally:
        stop.set()
        thread.join(20)


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def tls(tmp_path: Path) -> tuple[Path, Path]:
    files = link_files(tmp_path, Authority.found("stub", NOW))
    return files.certificate, files.key


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(tmp_path: Path, tls: tuple[Path, Path], status: int) -> None:
    """Else a coordinator would have holders post to any address of their own networks."""
    with stub(None) as inner:
        location = {"location": f"http://127.0.0.1:{inner.port}/admin"}
        with (
            stub(tls, activate_node=(status, location, b"")) as door,
            node(tmp_path, door.port) as said,
        ):
            wait_until(lambda: len(door.reached) > 2 and said)
        assert inner.reached == []
        assert [sentence[:7] for sentence in said] == ["RF-W331"], "said once, not at each try"


def test_a_message_of_no_form_is_told_and_the_next_is_looked_for(
    tmp_path: Path, tls: tuple[Path, Path]
) -> None:
    nothing = Message(metadata=Metadata(run_id=1, message_id="m", src_node_id=1, dst_node_id=2))
    pulled = PullMessagesResponse(messages_list=[nothing], message_object_trees=[ObjectTree()])
    with (
        stub(
            tls,
            activate_node=(200, {}, ActivateNodeResponse(node_id=2).SerializeToString()),
            pull_messages=(200, {}, pulled.SerializeToString()),
            get_run=(200, {}, GetRunResponse(run=Run(fab_hash=bundle_hash())).SerializeToString()),
        ) as door,
        node(tmp_path, door.port) as said,
    ):
        wait_until(lambda: door.reached.count("pull_messages") > 2)
    assert said
    assert "push_messages" not in door.reached


def test_an_answer_of_no_form_ends_no_node(tmp_path: Path, tls: tuple[Path, Path]) -> None:
    with stub(tls, activate_node=(200, {}, b"\xff\xff\xff")) as door, node(tmp_path, door.port) as said:
        wait_until(lambda: len(door.reached) > 2 and said)
