"""What a holder's node uses of Flower beside its public interface, in the shape that was tried.

Looked at before a node is started; a name that moved is told (RF-W371).
"""

from __future__ import annotations

from ringfence.privacy.protocol.outside_names import require_names

NAMES = {
    "flwr.app.message:make_message": "metadata content error",
    "flwr.app.message.arraychunk:ArrayChunk.deflate": "self",
    "flwr.supercore.protobuf.client:ProtobufClient.__init__": (
        "self base_url interceptors verify timeout retry_invoker"
    ),
    "flwr.supernode.node_auth_http_interceptor:NodeAuthHttpInterceptor.__init__": (
        "self private_key public_key"
    ),
    "flwr.supercore.inflatable.inflatable_utils:pull_objects": (
        "object_ids pull_object_fn max_concurrent_pulls max_time max_tries_per_object "
        "initial_backoff backoff_cap"
    ),
    "flwr.supercore.inflatable.inflatable_utils:push_objects": (
        "objects push_object_fn object_ids_to_push keep_objects max_concurrent_pushes"
    ),
    "flwr.supercore.inflatable.inflatable_utils:inflate_object_from_contents": (
        "object_id object_contents keep_object_contents objects"
    ),
    "flwr.supercore.inflatable.inflatable_object:get_object_id": "object_content",
    "flwr.supercore.inflatable.inflatable_object:get_object_tree": "obj",
    "flwr.supercore.inflatable.inflatable_object:get_all_nested_objects": "obj",
    "flwr.supercore.inflatable.inflatable_object:iterate_object_tree": "tree",
    "flwr.supercore.inflatable.inflatable_protobuf_utils:make_pull_object_fn_protobuf": (
        "pull_object_protobuf node run_id"
    ),
    "flwr.supercore.inflatable.inflatable_protobuf_utils:make_push_object_fn_protobuf": (
        "push_object_protobuf node run_id session_id"
    ),
    "flwr.supercore.inflatable.inflatable_protobuf_utils:make_confirm_message_received_fn_protobuf": (
        "confirm_message_received_protobuf node run_id"
    ),
    "flwr.proto.fleet_pb2:ActivateNodeRequest": "public_key heartbeat_interval",
    "flwr.proto.fleet_pb2:DeactivateNodeRequest": "node_id",
    "flwr.proto.fleet_pb2:PullMessagesRequest": "node message_ids",
    "flwr.proto.fleet_pb2:PushMessagesRequest": (
        "node messages_list message_object_trees clientapp_runtime_list"
    ),
    "flwr.proto.fleet_pb2:PushMessagesResponse": "reconnect results objects_to_push session_id",
    "flwr.proto.run_pb2:GetRunRequest": "node run_id",
    "flwr.supernode.fleet_http_client:FleetHttpClient.ActivateNode": "self request",
    "flwr.supernode.fleet_http_client:FleetHttpClient.DeactivateNode": "self request",
    "flwr.supernode.fleet_http_client:FleetHttpClient.SendNodeHeartbeat": "self request",
    "flwr.supernode.fleet_http_client:FleetHttpClient.PullMessages": "self request",
    "flwr.supernode.fleet_http_client:FleetHttpClient.PushMessages": "self request",
    "flwr.supernode.fleet_http_client:FleetHttpClient.GetRun": "self request",
    "flwr.supernode.fleet_http_client:FleetHttpClient.PushObject": "self request",
    "flwr.supernode.fleet_http_client:FleetHttpClient.PullObject": "self request",
    "flwr.supernode.fleet_http_client:FleetHttpClient.ConfirmMessageReceived": "self request",
}


def require_node_names() -> None:
    """Refuse to start with a Flower that lacks one of them.

    Raises:
        WaistError: RF-W371.
    """
    require_names(NAMES)
