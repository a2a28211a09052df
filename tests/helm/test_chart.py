"""The objects of the chart: what is there, what is promised of them, what is refused."""

from __future__ import annotations

import json
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_chart import FOLDER, Helm, ci_values
from kubernetes_asyncio.client import ApiClient, Configuration

from responder.config import Config

ROOT = FOLDER.parents[1]
REDIS = {"redis": {"url": "redis://redis:6379/0"}}
KINDS = {
    "ServiceAccount": "V1ServiceAccount",
    "ConfigMap": "V1ConfigMap",
    "PersistentVolumeClaim": "V1PersistentVolumeClaim",
    "Service": "V1Service",
    "Deployment": "V1Deployment",
    "Role": "V1Role",
    "RoleBinding": "V1RoleBinding",
    "PodDisruptionBudget": "V1PodDisruptionBudget",
    "NetworkPolicy": "V1NetworkPolicy",
    "Ingress": "V1Ingress",
}
OPERATOR = {"ServiceMonitor", "PrometheusRule"}


@pytest.mark.parametrize("name", ci_values())
def test_helm_lint_has_nothing_to_say(helm: Helm, name: str) -> None:
    assert helm.lint(ci_values()[name]) == []


def test_the_default_render_holds_what_is_promised_and_nothing_else(helm: Helm) -> None:
    objects = helm.render()
    assert sorted((one["kind"], one["metadata"]["name"]) for one in objects.all) == [
        ("ConfigMap", "responder"),
        ("Deployment", "responder"),
        ("PersistentVolumeClaim", "responder"),
        ("Service", "responder"),
        ("Service", "responder-webhook"),
        ("ServiceAccount", "responder"),
    ]
    assert "http://responder-webhook.ops.svc:8080/webhooks/alertmanager" in objects.notes
    assert "create secret generic responder-webhook" in objects.notes


class _Answer:
    def __init__(self, body: dict[str, Any]) -> None:
        self.data = json.dumps(body)


@pytest.mark.parametrize("name", ci_values())
async def test_every_object_has_only_fields_that_the_kubernetes_api_knows(helm: Helm, name: str) -> None:
    async with ApiClient(Configuration()) as api:
        for one in helm.render(ci_values()[name]).all:
            if one["kind"] in OPERATOR:
                continue
            read = api.sanitize_for_serialization(api.deserialize(_Answer(one), KINDS[one["kind"]]))
            assert read == one


def test_with_everything_on_every_kind_is_made(helm: Helm) -> None:
    made = {one["kind"] for one in helm.render(ci_values()["redis-values"]).all}
    assert made == {*KINDS, *OPERATOR} - {"PersistentVolumeClaim"}


def test_the_pod_runs_as_nobody_and_writes_nowhere_but_to_its_data(helm: Helm) -> None:
    objects = helm.render()
    pod, container = objects.pod, objects.container
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["fsGroup"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = [m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")]
    assert writable == ["/data", "/tmp"]
    assert container["resources"]["limits"] == {"memory": "512Mi"}
    assert pod["enableServiceLinks"] is False


def test_the_probes_ask_the_right_end_points_of_the_port_that_is_listened_on(helm: Helm) -> None:
    container = helm.render({"config": {"listen": "[::]:9000"}}).container
    assert container["ports"] == [{"name": "http", "containerPort": 9000, "protocol": "TCP"}]
    asked = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert asked == {
        "startup": {"path": "/-/healthy", "port": "http"},
        "liveness": {"path": "/-/healthy", "port": "http"},
        "readiness": {"path": "/-/ready", "port": "http"},
    }
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 60, (
        "a large store takes half a minute to load"
    )


def test_a_stop_has_time_for_the_pause_the_work_under_way_and_the_store(helm: Helm) -> None:
    objects = helm.render()
    pause = int(objects.container["lifecycle"]["preStop"]["exec"]["command"][1])
    grace = timedelta(seconds=objects.pod["terminationGracePeriodSeconds"])
    assert pause > 0
    assert grace > Config().shutdown_grace + timedelta(seconds=pause)


@pytest.mark.parametrize(
    ("values", "needed"),
    [
        ({"terminationGracePeriodSeconds": 39}, 40),
        ({"config": {"shutdown_grace": "1m30s"}}, 110),
        ({"preStopSeconds": 30}, 65),
    ],
)
def test_a_grace_period_that_would_cut_pages_off_is_refused(
    helm: Helm, values: dict[str, Any], needed: int
) -> None:
    assert f"the door and the store take {needed}" in helm.refused(values)
    assert helm.render({**values, "terminationGracePeriodSeconds": needed}).all


def test_more_replicas_than_one_need_a_store_that_they_share(helm: Helm) -> None:
    why = helm.refused({"replicas": 2})
    assert "replicas: 2, but the embedded store lives in one pod; set config.redis.url" in why


def test_with_redis_replicas_are_replaced_one_by_one_spread_and_guarded(helm: Helm) -> None:
    objects = helm.render({"replicas": 3, "config": REDIS})
    spec = objects.one("Deployment")["spec"]
    assert spec["replicas"] == 3
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }
    assert [one["topologyKey"] for one in objects.pod["topologySpreadConstraints"]] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    assert objects.one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert volume(objects.pod, "data") == {"emptyDir": {}}
    assert not objects.of("PersistentVolumeClaim")


def test_one_replica_has_no_budget_that_would_block_every_drain(helm: Helm) -> None:
    objects = helm.render({"config": REDIS})
    assert not objects.of("PodDisruptionBudget")
    assert "topologySpreadConstraints" not in objects.pod


def volume(pod: dict[str, Any], name: str) -> dict[str, Any]:
    found = next(one for one in pod["volumes"] if one["name"] == name)
    return {key: value for key, value in found.items() if key != "name"}


@pytest.mark.parametrize(
    ("persistence", "claim", "made"),
    [
        ({}, {"persistentVolumeClaim": {"claimName": "responder"}}, True),
        ({"existingClaim": "mine"}, {"persistentVolumeClaim": {"claimName": "mine"}}, False),
        ({"enabled": False}, {"emptyDir": {}}, False),
    ],
)
def test_the_embedded_store_is_one_pod_on_a_volume_that_outlives_it(
    helm: Helm, persistence: dict[str, Any], claim: dict[str, Any], made: bool
) -> None:
    objects = helm.render({"persistence": persistence})
    assert objects.one("Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert volume(objects.pod, "data") == claim
    assert bool(objects.of("PersistentVolumeClaim")) is made
    if made:
        annotations = objects.one("PersistentVolumeClaim")["metadata"]["annotations"]
        assert annotations == {"helm.sh/resource-policy": "keep"}


def test_services_and_monitors_select_the_pod_and_name_its_port(helm: Helm) -> None:
    objects = helm.render(ci_values()["redis-values"])
    labels = objects.one("Deployment")["spec"]["template"]["metadata"]["labels"].items()
    selectors = [one["spec"]["selector"] for one in objects.of("Service")]
    selectors += [
        objects.one(kind)["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")
    ]
    selectors.append(objects.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"])
    for selector in selectors:
        assert selector.items() <= labels
    assert [port["targetPort"] for one in objects.of("Service") for port in one["spec"]["ports"]] == [
        "http",
        "http",
    ]
    monitored = objects.one("ServiceMonitor")["spec"]["selector"]["matchLabels"].items()
    watched = [one for one in objects.of("Service") if monitored <= one["metadata"]["labels"].items()]
    assert [one["metadata"]["name"] for one in watched] == ["responder"], "a pod is scraped once"


def test_alertmanager_reaches_pods_that_are_not_ready_since_blind_pages_come_from_them(helm: Helm) -> None:
    objects = helm.render()
    assert objects.one("Service", "responder-webhook")["spec"]["publishNotReadyAddresses"] is True
    assert "publishNotReadyAddresses" not in objects.one("Service", "responder")["spec"]
    assert len(helm.render({"webhookService": {"enabled": False}}).of("Service")) == 1


def test_the_pods_are_replaced_for_a_new_configuration_but_not_for_new_rules(helm: Helm) -> None:
    def template(values: dict[str, Any]) -> Any:
        return helm.render(values).one("Deployment")["spec"]["template"]

    before = template({"rules": {"a.yaml": "rules: []\n"}})
    assert template({"rules": {"a.yaml": "default: {severity: P2}\n"}}) == before
    after = template({"rules": {"a.yaml": "rules: []\n"}, "config": {"log_level": "debug"}})
    key = "checksum/config"
    assert after["metadata"]["annotations"][key] != before["metadata"]["annotations"][key]


def test_rules_come_from_the_image_from_values_or_from_a_configmap_of_ones_own(helm: Helm) -> None:
    def mounted(values: dict[str, Any]) -> list[str]:
        pod = helm.render(values).pod
        return [one["configMap"]["name"] for one in pod["volumes"] if one["name"] == "rules"]

    text = "rules:\n  - {name: a, match: ['a=\"{{ $b }}\"'], severity: P1, service: c}\n"
    assert mounted({}) == []
    assert mounted({"rules": {"a.yaml": text}}) == ["responder-rules"]
    assert mounted({"existingRulesConfigMap": "mine"}) == ["mine"]
    kept = helm.render({"rules": {"a.yaml": text}}).one("ConfigMap", "responder-rules")
    assert kept["data"] == {"a.yaml": text}, "what a rule file says is no template"
    assert "give one of them" in helm.refused({"rules": {"a.yaml": text}, "existingRulesConfigMap": "mine"})


def test_links_point_to_the_ingress_or_else_to_the_service_unless_told(helm: Helm) -> None:
    tls = [{"secretName": "t", "hosts": ["a.example.com"]}]
    on = {"enabled": True, "hosts": ["a.example.com", "b.example.com"]}
    assert helm.render().config["external_url"] == "http://responder.ops.svc:8080"
    assert helm.render({"ingress": on}).config["external_url"] == "http://a.example.com"
    assert helm.render({"ingress": {**on, "tls": tls}}).config["external_url"] == "https://a.example.com"
    told = {"config": {"external_url": "https://told.example.com"}, "ingress": on}
    assert helm.render(told).config["external_url"] == "https://told.example.com"


def test_a_network_policy_lets_in_whom_it_names_to_the_one_port(helm: Helm) -> None:
    source = [{"podSelector": {"matchLabels": {"app": "alertmanager"}}}]
    spec = helm.render({"networkPolicy": {"enabled": True, "from": source}}).one("NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    assert spec["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}], "from": source}]


def test_an_image_is_named_by_its_digest_where_one_is_given(helm: Helm) -> None:
    assert helm.render().container["image"] == f"responder:{version()}"
    digest = f"sha256:{'0' * 64}"
    image = {"repository": "registry.example.com/responder", "tag": "x", "digest": digest}
    assert helm.render({"image": image}).container["image"] == f"registry.example.com/responder@{digest}"


def test_two_releases_in_one_namespace_do_not_share_names(helm: Helm) -> None:
    values = ci_values()["redis-values"]
    one, two = (helm.render(values, name=name) for name in ("team-a", "team-b"))
    names = [
        {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in x.all}
        for x in (one, two)
    ]
    assert not names[0] & names[1]


def test_a_listening_address_that_only_the_pod_reaches_is_refused(helm: Helm) -> None:
    for listen in ("127.0.0.1:8080", "localhost:8080", "[::1]:8080"):
        assert "reached from inside the pod only" in helm.refused({"config": {"listen": listen}})


def test_chart_package_and_image_have_one_version() -> None:
    chart = yaml.safe_load((FOLDER / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["apiVersion"] == "v2"
    assert chart["appVersion"] == version()
    assert f"ARG VERSION={version()}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def version() -> str:
    project: dict[str, Any] = tomllib.loads(Path(ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])
