"""The Helm chart makes objects that Kubernetes takes, and that are as contained as they say."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from checkout import ROOT
from kits.chart_kit import filled, render, values_of

CHART = ROOT / "deploy" / "helm" / "ringfence"
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VERSION = "1.34"
IMAGE = "registry.example/ringfence@sha256:" + 64 * "a"
COORDINATOR = {"coordinator": {"enabled": True, "image": IMAGE}}
HOLDER = {"holder": {"enabled": True, "image": IMAGE, "gatewayAddress": "192.0.2.7/32"}}
BOTH = {**COORDINATOR, **HOLDER}


def objects(given: dict[str, dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    made = render(CHART, values_of(CHART, given))
    return {(each["kind"], each["metadata"]["name"]): each for each in made}


def test_nothing_runs_until_a_party_says_what_it_is() -> None:
    jsonschema.validate(values_of(CHART, {}), SCHEMA)
    assert objects({}) == {}


def test_each_party_gets_its_own_part() -> None:
    coordinator = {
        ("StatefulSet", "rf-coordinator"),
        ("Service", "rf-coordinator"),
        ("NetworkPolicy", "rf-coordinator"),
    }
    holder = {("StatefulSet", "rf-holder"), ("NetworkPolicy", "rf-holder")}
    assert objects(COORDINATOR).keys() == coordinator
    assert objects(HOLDER).keys() == holder, "a holder offers no service"
    assert objects(BOTH).keys() == coordinator | holder


@pytest.mark.parametrize("key", sorted(objects(BOTH)), ids="/".join)
def test_kubernetes_takes_each_object(key: tuple[str, str]) -> None:
    kubernetes_validate.validate(objects(BOTH)[key], VERSION, strict=True)


def test_a_misspelt_key_is_found() -> None:
    broken = objects(HOLDER)["StatefulSet", "rf-holder"]
    broken["spec"]["template"]["spec"]["containers"][0]["securityContexts"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSION, strict=True)


@pytest.mark.parametrize("name", ["rf-coordinator", "rf-holder"])
def test_a_process_has_no_rights_and_a_root_that_is_read(name: str) -> None:
    spec = objects(BOTH)["StatefulSet", name]["spec"]
    pod = spec["template"]["spec"]
    assert spec["replicas"] == 1, "one process serves a store"
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint(pod)
    assert [each for each in pod["volumes"] if "hostPath" in each] == []
    for container in (*pod["containers"], *pod["initContainers"]):
        assert container["image"] == IMAGE
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
    (main,) = pod["containers"]
    writable = {each["mountPath"] for each in main["volumeMounts"] if not each.get("readOnly")}
    assert writable == {"/var/lib/ringfence", "/tmp"}


def test_a_holder_connects_outwards_to_the_gateway_alone() -> None:
    policy = objects(HOLDER)["NetworkPolicy", "rf-holder"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == []
    gateway, names = policy["egress"]
    assert gateway == {
        "to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}],
        "ports": [{"protocol": "TCP", "port": 8443}],
    }
    assert {each["port"] for each in names["ports"]} == {53}
    (container,) = objects(HOLDER)["StatefulSet", "rf-holder"]["spec"]["template"]["spec"]["containers"]
    assert "ports" not in container


def test_a_coordinator_is_reached_by_its_gateway_alone_and_connects_to_nobody() -> None:
    made = objects(COORDINATOR)
    policy = made["NetworkPolicy", "rf-coordinator"]["spec"]
    assert policy["egress"] == []
    assert policy["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8443}]}]
    assert [each["port"] for each in made["Service", "rf-coordinator"]["spec"]["ports"]] == [8443]


@pytest.mark.parametrize(
    "given",
    [
        {"holder": {"enabled": True}},
        {"holder": {**HOLDER["holder"], "image": "ringfence:latest"}},
        {"holder": {**HOLDER["holder"], "gatewayAddress": "0.0.0.0"}},
        {"holder": {**HOLDER["holder"], "privileged": True}},
        {"coordinator": {**COORDINATOR["coordinator"], "port": 80}},
        {"coordinator": {**COORDINATOR["coordinator"], "storage": "much"}},
    ],
)
def test_values_that_would_not_do_are_refused(given: dict[str, dict[str, Any]]) -> None:
    jsonschema.validate(values_of(CHART, BOTH), SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values_of(CHART, given), SCHEMA)


@pytest.mark.parametrize(
    "text", ["{{ .Values.absent }}", '{{ include "x" . }}', "{{- if .Values.a }}", "{{ .Values.a"]
)
def test_what_cannot_be_rendered_fails(text: str) -> None:
    with pytest.raises(AssertionError):
        filled(text, {"Values": {"a": "b"}})
