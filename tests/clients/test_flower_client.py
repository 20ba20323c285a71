"""The holder's side of Flower: sealed bytes in and out, every other form and every fault answered by no
bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, RecordDict
from kits.flower_kit import context_of, take_task

from ringfence.clients.agent import Agent
from ringfence.clients.flower import make_client_app, packed, unpacked
from ringfence.privacy.protocol import carried as form_module
from ringfence.privacy.protocol.carried import FORM
from ringfence.server import flower as other_side

SECRET = "customer bank-17 has income 12345"


@pytest.fixture(autouse=True)
def _task(monkeypatch: pytest.MonkeyPatch) -> None:
    take_task(monkeypatch)


@dataclass
class Echo:
    """An agent that keeps what it gets."""

    seen: list[bytes] = field(default_factory=list)
    fault: BaseException | None = None

    def handle(self, data: bytes) -> bytes:
        self.seen.append(data)
        if self.fault:
            raise self.fault
        return b"re:" + data


def message(content: RecordDict, kind: str = "query") -> Message:
    return Message(content, 7, kind)


def call(agent: Echo, content: RecordDict, kind: str = "query") -> Message:
    return make_client_app(lambda _: cast(Agent, agent))(message(content, kind), context_of(7))


def array(data: bytes, **changes: Any) -> Array:
    fields: dict[str, Any] = {"dtype": "uint8", "shape": (len(data),), "stype": FORM, "data": data}
    return Array(**(fields | changes))


def test_the_agents_bytes_come_back_as_one_array() -> None:
    agent = Echo()
    reply = call(agent, packed(b"sealed \x00 bytes"))
    assert agent.seen == [b"sealed \x00 bytes"]
    assert list(reply.content) == ["sealed"]
    assert unpacked(reply) == b"re:sealed \x00 bytes"
    assert reply.metadata.dst_node_id == 1
    assert reply.metadata.src_node_id == 7


def test_both_sides_speak_one_form() -> None:
    assert other_side.unpacked(message(packed(b"abc"))) == b"abc"
    assert unpacked(message(other_side.packed(b"abc"))) == b"abc"


FORMS: dict[str, Callable[[], RecordDict]] = {
    "nothing": RecordDict,
    "no bytes": lambda: packed(b""),
    "no array": lambda: RecordDict({"sealed": ArrayRecord({})}),
    "another name": lambda: RecordDict({"other": ArrayRecord({"sealed": array(b"x")})}),
    "an array of another name": lambda: RecordDict({"sealed": ArrayRecord({"other": array(b"x")})}),
    "two arrays": lambda: RecordDict({"sealed": ArrayRecord({"sealed": array(b"x"), "more": array(b"y")})}),
    "two records": lambda: RecordDict(
        {"sealed": ArrayRecord({"sealed": array(b"x")}), "config": ConfigRecord({"epsilon": 9.0})}
    ),
    "a configuration": lambda: RecordDict({"sealed": ConfigRecord({"sealed": b"x"})}),
    "a numpy array": lambda: RecordDict({"sealed": ArrayRecord([np.zeros(3, dtype=np.uint8)])}),
    "numpy's serialisation": lambda: RecordDict(
        {"sealed": ArrayRecord({"sealed": Array(np.zeros(3, np.uint8))})}
    ),
    "another dtype": lambda: RecordDict({"sealed": ArrayRecord({"sealed": array(b"x", dtype="object")})}),
    "a lying shape": lambda: RecordDict({"sealed": ArrayRecord({"sealed": array(b"xyz", shape=(2,))})}),
    "two dimensions": lambda: RecordDict({"sealed": ArrayRecord({"sealed": array(b"xyz", shape=(1, 3))})}),
}


@pytest.mark.parametrize("form", FORMS)
def test_another_form_reaches_no_agent(form: str) -> None:
    agent = Echo()
    reply = call(agent, FORMS[form]())
    assert agent.seen == []
    assert unpacked(reply) == b""
    assert reply.has_content()
    assert other_side.unpacked(message(FORMS[form]())) == b""


def test_too_many_bytes_reach_no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form_module, "MAX_MESSAGE", 10)
    agent = Echo()
    call(agent, packed(b"x" * 11))
    assert agent.seen == []
    call(agent, packed(b"x" * 10))
    assert agent.seen == [b"x" * 10]


def test_an_error_holds_no_bytes() -> None:
    error = Message(Error(code=1, reason="x"), reply_to=message(packed(b"a")))
    assert unpacked(error) == b""


class Panic(BaseException):
    """As a Rust library's panics are: no Exception."""


@pytest.mark.parametrize("fault", [ZeroDivisionError(SECRET), Panic(SECRET), RecursionError(SECRET)])
def test_no_fault_reaches_flower(fault: BaseException) -> None:
    reply = call(Echo(fault=fault), packed(b"x"))
    assert unpacked(reply) == b""
    assert not reply.has_error()
    assert SECRET not in repr(reply)


def test_no_fault_of_finding_the_agent_reaches_flower() -> None:
    def nobody(_: Context) -> Agent:
        raise KeyError(SECRET)

    reply = make_client_app(nobody)(message(packed(b"x")), context_of(7))
    assert unpacked(reply) == b""
    assert SECRET not in repr(reply)


def test_the_keyboard_still_stops_a_holder() -> None:
    with pytest.raises(KeyboardInterrupt):
        call(Echo(fault=KeyboardInterrupt()), packed(b"x"))


@pytest.mark.parametrize("kind", ["train", "evaluate", "query.other"])
def test_there_is_one_type_of_message(kind: str) -> None:
    agent = Echo()
    with pytest.raises(ValueError, match="function registered"):
        call(agent, packed(b"x"), kind)
    assert agent.seen == []
