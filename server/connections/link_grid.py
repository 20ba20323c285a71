"""The grid of a run that the coordinator claimed, whose calls never wait for what a holder has not sent.

Flower's own pull blocks for minutes on one reply that was announced and whose parts do not come, and while it
blocks nothing else is looked at; its calls are repeated for ever when the link is gone. Here what has arrived
of a reply is kept, the rest is looked for at the next pull, and a call that fails says so.

A message that fits into one piece is kept by the link as that piece (`privacy/protocol/carried.py`): one
request to send it and one to fetch it, where Flower's own form takes five.

Invariant: of one reply no more is held than the largest message of the protocol takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from flwr.app import Error, Message, Metadata
from flwr.app.message import make_message, remove_content_from_message
from flwr.app.message.arraychunk import ArrayChunk
from flwr.common.constant import FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE as PART_BYTES
from flwr.common.constant import ErrorCode
from flwr.common.serde import (
    message_to_proto,
    metadata_from_proto,  # pyright: ignore[reportPrivateImportUsage]
)
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, ObjectTree
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.runtime_pb2 import PullAppMessagesRequest, PushAppMessagesRequest
from flwr.supercore.inflatable.inflatable_object import get_object_id, iterate_object_tree
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_pull_object_fn_protobuf,
    make_push_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectUnavailableError,
    inflate_object_from_contents,
    push_object_contents_from_iterable,
)
from flwr.superlink.grid import HttpGrid

from ringfence.privacy.protocol.carried import (
    MOST_BYTES,
    NONCE_BYTES,
    most_parts,
    of_one_piece,
    one_piece,
)
from ringfence.server.flower import packed, unpacked


@dataclass(slots=True)
class _Coming:
    """A reply that was announced, and the parts of it that are here.

    Attributes:
        sent: it, without its content.
        parts: ids of its parts.
        leaves: how many of them hold content; all but the last are full.
        here: parts that arrived.
    """

    sent: MessageProto
    parts: list[str]
    leaves: int
    here: dict[str, bytes] = field(default_factory=dict)

    @property
    def reply(self) -> str:
        """Flower's id of it."""
        return str(self.sent.metadata.message_id)


class LinkGrid(HttpGrid):  # type: ignore[misc]  # Flower comes without types
    """A run's grid; also what a transport asks about replies on their way."""

    def __init__(self, address: str, root: bytes, *, token: str) -> None:
        super().__init__(address, False, root, token=token)
        # A link that is gone is told by a failure; it would be waited for without end.
        self._retry_invoker = None
        self._coming: dict[str, _Coming] = {}

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages to the nodes that they name; their ids, empty for one that the link did not take."""
        given = list(messages)
        bodies = [unpacked(message) for message in given]
        # Nothing to send, no bytes, or another form than ours: Flower's own way.
        if not given or not all(0 < len(data) <= PART_BYTES - NONCE_BYTES for data in bodies):
            return list(super().push_messages(given))
        pieces: dict[str, bytes] = {}
        heads, trees = [], []
        for message, data in zip(given, bodies, strict=True):
            content = ArrayChunk(memoryview(one_piece(data))).deflate()
            number = get_object_id(content)
            message.metadata.__dict__["_message_id"] = number
            pieces[number] = content
            heads.append(message_to_proto(remove_content_from_message(message)))
            trees.append(ObjectTree(object_id=number))
        answer = self._runtime_client.PushMessages(
            PushAppMessagesRequest(messages_list=heads, message_object_trees=trees)
        )
        push = make_push_object_fn_protobuf(
            self._runtime_client.PushObject, self.node, self.run.run_id, answer.session_id
        )
        taken = set(answer.objects_to_push)
        push_object_contents_from_iterable(((n, p) for n, p in pieces.items() if n in taken), push)
        return [str(number) for number in answer.message_ids]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Replies to messages that are here in whole."""
        numbers = list(message_ids)
        # The link announces a reply once.
        if asked := [number for number in numbers if number not in self._coming]:
            found = self._runtime_client.PullMessages(PullAppMessagesRequest(message_ids=asked))
            for sent, tree in zip(found.messages_list, found.message_object_trees, strict=True):
                self._coming[sent.metadata.reply_to_message_id] = _coming(sent, tree)
        return [reply for number in numbers if (reply := self._whole(number)) is not None]

    def announced(self, message: str) -> int:
        """Bytes of the reply to a message that are known to be on their way: its full parts."""
        coming = self._coming.get(message)
        return 0 if coming is None else PART_BYTES * (coming.leaves - 1)

    def forget(self, messages: Iterable[str]) -> None:
        """Nobody waits for replies to these any more."""
        for message in messages:
            self._coming.pop(message, None)

    def _whole(self, number: str) -> Message | None:
        """The reply to a message once it is here; one that cannot be put together is an error."""
        coming = self._coming.get(number)
        if coming is None:
            return None
        try:
            self._pull(coming)
            reply: Any = inflate_object_from_contents(coming.reply, coming.here)
            if isinstance(reply, ArrayChunk):
                content = packed(of_one_piece(bytes(reply.data)))
                reply = make_message(metadata_from_proto(coming.sent.metadata), content)
            reply.metadata.__dict__["_message_id"] = coming.reply
        except ObjectUnavailableError:
            return None
        except Exception:  # a holder wrote it: it may be anything
            reply = self._error(number)
        self._coming.pop(number, None)
        return reply

    def _pull(self, coming: _Coming) -> None:
        """Pull what is missing.

        Raises:
            ObjectUnavailableError: a part is not there yet.
            ValueError: there is more of it than a message can have.
        """
        pull = make_pull_object_fn_protobuf(self._runtime_client.PullObject, self.node, self.run.run_id)
        if len(coming.parts) > most_parts(PART_BYTES):
            raise ValueError("more parts than a message can have")
        for part in coming.parts:
            if part not in coming.here:
                coming.here[part] = pull(part)
            if sum(map(len, coming.here.values())) > MOST_BYTES:
                raise ValueError("more bytes than a message can have")
        self._runtime_client.ConfirmMessageReceived(
            ConfirmMessageReceivedRequest(
                node=self.node, run_id=self.run.run_id, message_object_id=coming.reply
            )
        )

    def _error(self, number: str) -> Message:
        node = self.node.node_id
        metadata = Metadata(
            run_id=self.run.run_id,
            message_id="",
            src_node_id=node,
            dst_node_id=node,
            message_type="system",
            group_id="",
            ttl=0,
            reply_to_message_id=number,
            created_at=0.0,
        )
        return make_message(metadata, error=Error(code=ErrorCode.MESSAGE_UNAVAILABLE, reason=""))


def _coming(sent: MessageProto, tree: ObjectTree) -> _Coming:
    nodes = list(iterate_object_tree(tree))
    leaves = sum(not node.children for node in nodes)
    return _Coming(sent, [node.object_id for node in nodes], max(leaves, 1))
