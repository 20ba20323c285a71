"""A holder behind Flower: one array of sealed bytes in, one out, and nothing else that Flower offers.

Invariants:
    Whatever fails, the reply is an array of no bytes. An exception that reached Flower would travel to the
    coordinator with its text, which is a release (DESIGN, section 1).
    The app has no setting of its own. Which agent answers is decided by whoever installed the app on this
    node.

The bytes travel as they are, in the form of privacy/protocol/carried.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from ringfence.privacy.protocol.carried import DTYPE, FORM, NAME, carried


class Answering(Protocol):
    """Whoever answers on a node: an agent, or the letter box before one."""

    def handle(self, data: bytes) -> bytes:
        """The answer to one message; no bytes for none."""
        ...


def make_client_app(agent_of: Callable[[Context], Answering]) -> ClientApp:
    """The app of one node, or of many simulated ones.

    Args:
        agent_of: the agent that answers on the node of a context; it may raise, the coordinator learns
            nothing.

    Returns:
        An app that answers messages of the type `query` and no other.
    """
    app = ClientApp()

    def answer(message: Message, context: Context) -> Message:
        return Message(packed(_answer(message, context, agent_of)), reply_to=message)

    app.query()(answer)
    return app


def _answer(message: Message, context: Context, agent_of: Callable[[Context], Answering]) -> bytes:
    try:
        data = unpacked(message)
        return agent_of(context).handle(data) if data else b""
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # the cryptography library's panics are no Exceptions
        return b""


def packed(data: bytes) -> RecordDict:
    """One record with one array that holds these bytes."""
    array = Array(dtype=DTYPE, shape=(len(data),), stype=FORM, data=data)
    return RecordDict({NAME: ArrayRecord({NAME: array})})


def unpacked(message: Message) -> bytes:
    """The bytes of a message of exactly this form; none for every other message."""
    if not message.has_content() or list(message.content) != [NAME]:
        return b""
    record = message.content[NAME]
    return carried(record[NAME]) if isinstance(record, ArrayRecord) and list(record) == [NAME] else b""
