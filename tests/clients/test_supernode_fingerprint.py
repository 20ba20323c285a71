"""What a holder's node uses of Flower beside its public interface is there, in the shape that was tried."""

from __future__ import annotations

import inspect

import kits.flower_kit  # noqa: F401  # imports Flower past its dependencies' deprecations
import pytest
from flwr.proto import fleet_pb2, message_pb2, run_pb2
from flwr.supercore.inflatable import inflatable_object, inflatable_protobuf_utils, inflatable_utils
from flwr.supercore.protobuf.client import ProtobufClient
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from ringfence.clients.connections.flower_names import NAMES, require_node_names
from ringfence.privacy.errors import WaistError

SIGNATURES = {
    ProtobufClient.__init__: "self base_url interceptors verify timeout retry_invoker",
    NodeAuthHttpInterceptor.__init__: "self private_key public_key",
    inflatable_utils.pull_objects: "object_ids pull_object_fn max_concurrent_pulls max_time "
    "max_tries_per_object initial_backoff backoff_cap",
    inflatable_utils.push_objects: "objects push_object_fn object_ids_to_push keep_objects "
    "max_concurrent_pushes",
    inflatable_utils.inflate_object_from_contents: "object_id object_contents keep_object_contents objects",
    inflatable_object.get_object_tree: "obj",
    inflatable_object.get_all_nested_objects: "obj",
    inflatable_object.iterate_object_tree: "tree",
    inflatable_protobuf_utils.make_pull_object_fn_protobuf: "pull_object_protobuf node run_id",
    inflatable_protobuf_utils.make_push_object_fn_protobuf: "push_object_protobuf node run_id session_id",
    inflatable_protobuf_utils.make_confirm_message_received_fn_protobuf: "confirm_message_received_protobuf "
    "node run_id",
}
FIELDS = {
    fleet_pb2.ActivateNodeRequest: "public_key heartbeat_interval",
    fleet_pb2.DeactivateNodeRequest: "node_id",
    fleet_pb2.PullMessagesRequest: "node message_ids",
    fleet_pb2.PushMessagesRequest: "node messages_list message_object_trees clientapp_runtime_list",
    run_pb2.GetRunRequest: "node run_id",
    message_pb2.PullObjectRequest: "node run_id object_id",
    message_pb2.PushObjectRequest: "node run_id object_id object_content session_id",
}
ROUTES = {
    "ActivateNode": "activate-node",
    "DeactivateNode": "deactivate-node",
    "SendNodeHeartbeat": "send-node-heartbeat",
    "PullMessages": "pull-messages",
    "PushMessages": "push-messages",
    "GetRun": "get-run",
    "PushObject": "push-object",
    "PullObject": "pull-object",
    "ConfirmMessageReceived": "confirm-message-received",
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_functions_take_what_they_took(function: object) -> None:
    assert " ".join(inspect.signature(function).parameters) == SIGNATURES[function]  # type: ignore[arg-type,index]


@pytest.mark.parametrize("message", FIELDS, ids=lambda message: message.__name__)
def test_messages_have_the_fields_they_had(message: type) -> None:
    assert " ".join(field.name for field in message.DESCRIPTOR.fields) == FIELDS[message]  # type: ignore[attr-defined]


def test_the_nine_routes_are_the_nine_routes() -> None:
    for name, route in ROUTES.items():
        assert f'path="/v1/fleet/{route}"' in inspect.getsource(getattr(FleetHttpClient, name))


def test_a_clients_own_client_of_http_can_be_exchanged() -> None:
    """It is, for one that goes the way that client.toml names and no other."""
    source = inspect.getsource(ProtobufClient)
    assert "self._client = httpx.Client(" in source
    assert "self._client.build_request(" in source


def test_a_node_starts_with_the_flower_that_is_here_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    require_node_names()
    monkeypatch.setitem(NAMES, "flwr.supernode.nowhere:Node", "self")
    with pytest.raises(WaistError, match=r"RF-W371.*flwr\.supernode\.nowhere"):
        require_node_names()
