"""A Flower grid in this process, and Flower imported past its dependencies' deprecations, which are errors
here.

Import this before anything that imports Flower.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

with warnings.catch_warnings():
    # typer, which Flower's logger imports, uses functions of click by their old names.
    warnings.filterwarnings("ignore", message="'click", category=DeprecationWarning)
    from flwr.app import Context, Message, RecordDict, UserConfig
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid
    from flwr.supercore.task_identity import TaskIdentity


def take_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process the identity of a Flower task, without which no message can be made."""
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


def context_of(node: int) -> Context:
    """An empty context of a node."""
    return Context(
        run_id=1, node_id=node, node_config=UserConfig(), state=RecordDict(), run_config=UserConfig()
    )


Deliver = Callable[["LocalGrid", Message, Message], Iterable[Message]]


def at_once(_grid: LocalGrid, _message: Message, reply: Message) -> Iterable[Message]:
    return [reply]


@dataclass
class LocalGrid(Grid):
    """A grid that calls client apps directly; `deliver` decides what a pull for a message brings."""

    apps: dict[int, ClientApp]
    deliver: Deliver = at_once
    now: float = 0.0
    numbers: Iterator[str] = field(default_factory=lambda: map(str, count()))
    sent: dict[str, tuple[Message, Message]] = field(default_factory=dict)
    delivered: set[tuple[int, bytes]] = field(default_factory=set)

    def push_messages(self, messages: Iterable[Message]) -> Iterator[str]:
        for message in messages:
            number = next(self.numbers)
            message.metadata.__dict__["_message_id"] = number
            node = message.metadata.dst_node_id
            self.sent[number] = message, self.apps[node](message, context_of(node))
            yield number

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        for number in message_ids:
            yield from self.deliver(self, *self.sent[number])

    def get_node_ids(self) -> Iterable[int]:
        return list(self.apps)

    def set_run(self, run: Any) -> None: ...

    @property
    def run(self) -> Any: ...

    def create_message(self, *_args: Any, **_options: Any) -> Message:
        raise NotImplementedError

    def send_and_receive(self, *_args: Any, **_options: Any) -> Iterable[Message]:
        raise NotImplementedError
