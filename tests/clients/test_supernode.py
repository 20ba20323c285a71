"""A holder's node goes where it was sent and nowhere else, and outlives whatever the link hands it."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import kits.flower_kit  # noqa: F401  # imports Flower past its dependencies' deprecations
import pytest
from flwr.clientapp import ClientApp
from flwr.common.constant import FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE as PART_BYTES
from flwr.proto.fleet_pb2 import ActivateNodeResponse, PullMessagesResponse
from flwr.proto.message_pb2 import Message, Metadata, ObjectTree, PullObjectResponse
from flwr.proto.run_pb2 import GetRunResponse, Run
from kits.link_kit import NOW, link_files
from kits.stub_kit import stub, wait_until

from ringfence.clients.connections.routes import MOST_PAGE
from ringfence.clients.connections.supernode import Place, SuperNode, whole_message
from ringfence.privacy.crypto.tls_keys import node_key
from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.bundle import bundle_hash
from ringfence.privacy.protocol.carried import MOST_BYTES, most_parts
from ringfence.server.connections.certificates import Authority


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


class Endless:
    """A link that has every part that is asked for, and counts them."""

    def __init__(self, size: int) -> None:
        self.part, self.pulled = bytes(size), 0

    def PullObject(self, _request: object) -> PullObjectResponse:
        self.pulled += 1
        return PullObjectResponse(object_found=True, object_available=True, object_content=self.part)


def pulled_of(parts: int, size: int) -> int:
    """How many parts are taken in of a message that announces so many, before it is refused."""
    link = Endless(size)
    tree = ObjectTree(object_id="m", children=[ObjectTree(object_id=f"{i}") for i in range(parts - 1)])
    message = SimpleNamespace(metadata=SimpleNamespace(run_id=1, message_id="m"))
    with pytest.raises(WaistError, match="RF-W488"):
        whole_message(cast(Any, link), cast(Any, None), cast(Any, message), tree)
    return link.pulled


def test_of_one_message_no_more_is_taken_in_than_a_message_can_be() -> None:
    """Nobody has signed it so far: whoever runs the link would fill this process's memory."""
    most = most_parts(PART_BYTES)
    assert pulled_of(most + 1, 0) == 0
    size = MOST_BYTES // most + 1
    assert pulled_of(most, size) == most
    assert pulled_of(most, MOST_BYTES // 2) <= 3 + 16, "those that were under way"


@pytest.mark.parametrize("packed", [False, True])
def test_of_one_answer_no_more_is_read_than_a_part_of_a_message(
    tmp_path: Path, tls: tuple[Path, Path], packed: bool
) -> None:
    body = gzip.compress(bytes(1000)) if packed else bytes(MOST_PAGE + PART_BYTES + 1)
    headers = {"content-encoding": "gzip"} if packed else {}
    with stub(tls, activate_node=(200, headers, body)) as door, node(tmp_path, door.port) as said:
        wait_until(lambda: len(door.reached) > 2 and said)
    assert [sentence[:7] for sentence in said] == ["RF-W487"]


def test_an_answer_of_no_form_ends_no_node(tmp_path: Path, tls: tuple[Path, Path]) -> None:
    with stub(tls, activate_node=(200, {}, b"\xff\xff\xff")) as door, node(tmp_path, door.port) as said:
        wait_until(lambda: len(door.reached) > 2 and said)
