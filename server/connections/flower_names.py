"""What a coordinator uses of Flower beside its public interface, in the shape that was tried.

Looked at before a link is started or a run is claimed; a name that moved is told (RF-W371).
"""

from __future__ import annotations

from ringfence.privacy.protocol.outside_names import require_names

NAMES = {
    "flwr.superlink.grid:HttpGrid.__init__": "self runtime_api_address insecure root_certificates token",
    "flwr.superlink.grid:HttpGrid.push_messages": "self messages",
    "flwr.superlink.grid:HttpGrid.get_nodes": "self",
    "flwr.supercore.protobuf.client:ProtobufClient.from_server_address": (
        "server_address insecure root_certificates interceptors retry_invoker"
    ),
    "flwr.supercore.interceptors:RuntimeVersionHttpInterceptor.__init__": "self component_name",
    "flwr.supercore.interceptors:SuperExecAuthHttpInterceptor.__init__": (
        "self master_secret protected_methods"
    ),
    "flwr.superlink.cli.flower_superlink:flower_superlink": "",
    "flwr.app.message:make_message": "metadata content error",
    "flwr.app.message:remove_content_from_message": "message",
    "flwr.app.message.arraychunk:ArrayChunk.deflate": "self",
    "flwr.common.serde:message_to_proto": "message",
    "flwr.common.serde:metadata_from_proto": "metadata_proto",
    "flwr.supercore.inflatable.inflatable_object:get_object_id": "object_content",
    "flwr.supercore.inflatable.inflatable_object:iterate_object_tree": "tree",
    "flwr.supercore.inflatable.inflatable_utils:inflate_object_from_contents": (
        "object_id object_contents keep_object_contents objects"
    ),
    "flwr.supercore.inflatable.inflatable_protobuf_utils:make_pull_object_fn_protobuf": (
        "pull_object_protobuf node run_id"
    ),
    "flwr.supercore.inflatable.inflatable_protobuf_utils:make_push_object_fn_protobuf": (
        "push_object_protobuf node run_id session_id"
    ),
    "flwr.supercore.inflatable.inflatable_utils:push_object_contents_from_iterable": (
        "object_contents push_object_fn max_concurrent_pushes"
    ),
    "flwr.proto.control_pb2:RegisterNodeRequest": "public_key location name",
    "flwr.proto.control_pb2:StopRunRequest": "run_id",
    "flwr.proto.fab_pb2:Fab": "hash_str content verifications",
    "flwr.proto.runtime_pb2:AcquireTaskRequest": "supported_task_types agentapp_fab_hashes",
    "flwr.proto.runtime_pb2:AcquireTaskResponse": "task token",
    "flwr.proto.runtime_pb2:PullAppMessagesRequest": "message_ids",
    "flwr.proto.runtime_pb2:PullAppMessagesResponse": "messages_list message_object_trees",
    "flwr.proto.runtime_pb2:PushAppMessagesRequest": "messages_list message_object_trees",
    "flwr.proto.runtime_pb2:PushAppMessagesResponse": "message_ids objects_to_push session_id",
    "flwr.proto.runtime_pb2:PullTaskInputResponse": "context run fab federation_config task_id",
    "flwr.proto.runtime_pb2:PushTaskOutputRequest": "context sub_status details clientapp_runtime",
    "flwr.supercore.runtime:RuntimeHttpClient.AcquireTask": "self request",
    "flwr.supercore.runtime:RuntimeHttpClient.PullTaskInput": "self request",
    "flwr.supercore.runtime:RuntimeHttpClient.PushTaskOutput": "self request",
    "flwr.supercore.runtime:RuntimeHttpClient.SendTaskHeartbeat": "self request",
    "flwr.supercore.runtime:RuntimeHttpClient.PullMessages": "self request",
    "flwr.supercore.runtime:RuntimeHttpClient.PullObject": "self request",
    "flwr.supercore.runtime:RuntimeHttpClient.PushMessages": "self request",
    "flwr.supercore.runtime:RuntimeHttpClient.PushObject": "self request",
    "flwr.supercore.runtime:RuntimeHttpClient.ConfirmMessageReceived": "self request",
    "flwr.supercore.control.control_http_client:ControlHttpClient.ListRuns": "self request",
    "flwr.supercore.control.control_http_client:ControlHttpClient.RegisterNode": "self request",
    "flwr.supercore.control.control_http_client:ControlHttpClient.UnregisterNode": "self request",
    "flwr.supercore.control.control_http_client:ControlHttpClient.StartRun": "self request",
    "flwr.supercore.control.control_http_client:ControlHttpClient.StopRun": "self request",
}


def require_link_names() -> None:
    """Refuse to start with a Flower that lacks one of them.

    Raises:
        WaistError: RF-W371.
    """
    require_names(NAMES)
