"""What a coordinator uses of Flower beside its public interface is there, in the shape that was tried."""

from __future__ import annotations

import inspect

import kits.flower_kit  # noqa: F401  # imports Flower past its dependencies' deprecations
import pytest
from flwr.common.constant import ErrorCode
from flwr.proto import control_pb2, fab_pb2, runtime_pb2
from flwr.supercore.control.control_http_client import ControlHttpClient
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.protobuf.client import ProtobufClient
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.cli.flower_superlink import flower_superlink
from flwr.superlink.grid import HttpGrid

from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.outside_names import require_names
from ringfence.server.connections.flower_names import NAMES, require_link_names
from ringfence.server.flower import NODE_AWAY

SIGNATURES = {
    HttpGrid.__init__: "self runtime_api_address insecure root_certificates token",
    ProtobufClient.from_server_address: "server_address insecure root_certificates interceptors "
    "retry_invoker",
    RuntimeVersionHttpInterceptor.__init__: "self component_name",
    SuperExecAuthHttpInterceptor.__init__: "self master_secret protected_methods",
    flower_superlink: "",
}
FIELDS = {
    control_pb2.StartRunRequest: "fab override_config override_federation_config app_spec federation "
    "series_id connector_refs user_prompt connector_ids",
    control_pb2.StartRunResponse: "run_id note series_id federation",
    control_pb2.RegisterNodeRequest: "public_key location name",
    control_pb2.StopRunRequest: "run_id",
    fab_pb2.Fab: "hash_str content verifications",
    runtime_pb2.AcquireTaskRequest: "supported_task_types agentapp_fab_hashes",
    runtime_pb2.AcquireTaskResponse: "task token",
    runtime_pb2.PullTaskInputResponse: "context run fab federation_config task_id",
    runtime_pb2.PushTaskOutputRequest: "context sub_status details clientapp_runtime",
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_functions_take_what_they_took(function: object) -> None:
    assert " ".join(inspect.signature(function).parameters) == SIGNATURES[function]  # type: ignore[arg-type,index]


@pytest.mark.parametrize("message", FIELDS, ids=lambda message: message.__name__)
def test_messages_have_the_fields_they_had(message: type) -> None:
    assert " ".join(field.name for field in message.DESCRIPTOR.fields) == FIELDS[message]  # type: ignore[attr-defined]


def test_calls_and_names_are_there() -> None:
    for name in ("ListRuns", "RegisterNode", "UnregisterNode", "StartRun", "StopRun"):
        assert callable(getattr(ControlHttpClient, name))
    for name in ("AcquireTask", "PullTaskInput", "PushTaskOutput", "SendTaskHeartbeat"):
        assert callable(getattr(RuntimeHttpClient, name))
    assert {"_task_id", "_run_id", "_node_id"} <= vars(TaskIdentity).keys()
    assert isinstance(HttpGrid._runtime_client, property)
    assert ErrorCode.NODE_UNAVAILABLE == NODE_AWAY


def test_a_coordinator_starts_with_the_flower_that_is_here_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require_link_names()
    monkeypatch.setitem(NAMES, "flwr.superlink.nowhere:Link", "self")
    with pytest.raises(WaistError, match=r"RF-W371.*flwr\.superlink\.nowhere"):
        require_link_names()


@pytest.mark.parametrize(
    "moved",
    [
        pytest.param({"flwr.superlink.grid:HttpGrid.gone": "self"}, id="gone"),
        pytest.param({"flwr.superlink.nowhere:HttpGrid": "self"}, id="module gone"),
        pytest.param({"flwr.superlink.grid:HttpGrid.__init__": "self token"}, id="other arguments"),
        pytest.param({"flwr.proto.control_pb2:StopRunRequest": "run"}, id="other fields"),
    ],
)
def test_a_name_that_moved_is_told_by_its_name(moved: dict[str, str]) -> None:
    with pytest.raises(WaistError, match="RF-W371") as caught:
        require_names(NAMES | moved)
    assert next(iter(moved)) in str(caught.value)
