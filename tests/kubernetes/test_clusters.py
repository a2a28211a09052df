"""Reaching a cluster: credentials that run out, networks that fail, answers without end; and nothing said of secrets."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web
from daemon import free_port
from kubernetes_api import TOKEN, FakeCluster, failing, hanging, kubeconfig, targets
from kubernetes_bench import Looking
from kubernetes_objects import pod

from responder.catalogue import catalogue
from responder.config import KubernetesTarget, Targets
from responder.config_load import ConfigError, load_config
from responder.incident.finding import Finding, FindingStatus
from responder.parameters import FromLabel
from responder.targets import kubernetes as module
from responder.targets.kubernetes import Clusters
from responder.triage.kubernetes_pods import PodSettings


async def look(looking: Looking, labels: dict[str, str] | None = None, **more: Any) -> Finding:
    return await looking.see("kubernetes.pods", PodSettings(**{"target": "prod", **more}), labels)


async def look_with(config: Targets, **more: Any) -> Finding:
    async with aiohttp.ClientSession() as session:
        looking = Looking(session, config)
        try:
            return await look(looking, **more)
        finally:
            await looking.close()


async def test_credentials_that_ran_out_are_loaded_anew_and_the_call_made_once_more(
    kube: FakeCluster, looking: Looking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEPT_AT_LEAST", 0.0)
    kube.pods(pod("a"))
    assert (await look(looking)).status is FindingStatus.OK
    kube.tokens = {"the-next-token"}
    kubeconfig(tmp_path, kube.url, "the-next-token")
    found = await asyncio.gather(*(look(looking) for _ in range(5)))
    assert {one.status for one in found} == {FindingStatus.OK}
    kube.tokens = set()
    kube.asked.clear()
    finding = await look(looking)
    assert finding.status is FindingStatus.DENIED
    assert finding.headline == "prod: it refuses the credentials: the token is wrong or has expired"
    assert len(kube.asked) == 2


async def test_an_exec_plugin_is_asked_for_a_token_and_for_another_after_a_401(
    kube: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEPT_AT_LEAST", 0.0)
    kube.pods(pod("a"))
    token = tmp_path / "token"
    token.write_text(TOKEN)
    path = with_plugin(
        tmp_path,
        kube,
        f"""
import json
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                   "status": {{"token": open({str(token)!r}).read()}}}}))
""",
    )
    async with aiohttp.ClientSession() as session:
        looking = Looking(session, targets(path))
        assert (await look(looking)).status is FindingStatus.OK
        token.write_text("second")
        kube.tokens = {"second"}
        assert (await look(looking)).status is FindingStatus.OK
        await looking.close()


def with_plugin(tmp_path: Path, kube: FakeCluster, program: str) -> Path:
    script = tmp_path / "plugin.py"
    script.write_text(program)
    path = kubeconfig(tmp_path, kube.url)
    config = path.read_text()
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [str(script)],
    }
    path.write_text(config.replace(f"token: {TOKEN}", "exec: " + json.dumps(plugin)))
    return path


async def test_an_exec_plugin_that_fails_is_told_and_not_logged_twice(
    kube: FakeCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = with_plugin(tmp_path, kube, "import sys; sys.exit('log in again: aws sso login')")
    finding = await look_with(targets(path))
    assert finding.status is FindingStatus.ERROR
    assert finding.headline == (
        "prod: its kubeconfig cannot be used: exec: process returned 1. log in again: aws sso login"
    )
    assert [one for one in caplog.records if one.name != "asyncio"] == []  # which tells of what others left


async def test_who_gives_up_waiting_for_slow_credentials_does_not_undo_them(
    kube: FakeCluster, tmp_path: Path
) -> None:
    kube.pods(pod("a"))
    gate = tmp_path / "gate"
    path = with_plugin(
        tmp_path,
        kube,
        f"""
import json, os, time
while not os.path.exists({str(gate)!r}):
    time.sleep(0.01)
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                   "status": {{"token": {TOKEN!r}}}}}))
""",
    )
    async with aiohttp.ClientSession() as session:
        looking = Looking(session, targets(path))
        assert (await look(looking, timeout=timedelta(seconds=0.2))).status is FindingStatus.TIMEOUT
        gate.touch()
        assert (await look(looking)).status is FindingStatus.OK
        await looking.close()


async def test_in_a_cluster_the_pods_own_account_is_used(
    kube: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(served)
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    (tmp_path / "token").write_text(TOKEN)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", kube.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=served).start()
    from kubernetes_asyncio.config import incluster_config

    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(runner.addresses[0][1]))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    kube.pods(pod("a"))
    config = Targets(kubernetes={"prod": KubernetesTarget(namespace="analytics")})
    assert (await look_with(config)).status is FindingStatus.OK
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
    finding = await look_with(config)
    assert (finding.status, finding.headline) == (
        FindingStatus.CRITICAL,
        "cannot reach prod: its TLS certificate is not trusted (unable to get local issuer certificate)",
    )  # fmt: skip
    await runner.cleanup()


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ({}, "prod: not in a cluster, or without a service account"),
        ({"kubeconfig": "/nowhere/config"}, "prod: its kubeconfig cannot be used: Invalid kube-config"),
        ({"context": "gone"}, "Expected object with name gone in"),
    ],
)
async def test_access_that_is_not_there_says_what_to_give(
    kube: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: dict[str, Any], says: str
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    if "context" in target:
        target = {**target, "kubeconfig": str(kubeconfig(tmp_path, kube.url))}
    config = Targets(kubernetes={"prod": KubernetesTarget(namespace="analytics", **target)})
    finding = await look_with(config)
    assert finding.status is FindingStatus.ERROR
    assert says in finding.headline


async def test_a_broken_kubeconfig_shows_nothing_of_itself(tmp_path: Path) -> None:
    for text in (
        "users: [{user: {token: hidden-token-1}",
        "- hidden-token-1",
        "\x00hidden-token-1",
        "clusters: 5",
    ):
        (tmp_path / "broken").write_text(text)
        finding = await look_with(targets(tmp_path / "broken"))
        assert "prod: its kubeconfig cannot be used" in finding.headline
        assert "hidden-token-1" not in str(finding)


async def test_a_cluster_that_is_not_there_is_critical_and_its_address_is_not_shown(tmp_path: Path) -> None:
    finding = await look_with(targets(kubeconfig(tmp_path, f"http://127.0.0.1:{free_port()}")))
    assert (finding.status, finding.headline) == (
        FindingStatus.CRITICAL,
        "cannot reach prod: Connection refused",
    )


async def test_a_hang_ends_at_the_probes_limit(kube: FakeCluster, looking: Looking) -> None:
    kube.faults.append(hanging("/pods"))
    finding = await look(looking, timeout=timedelta(seconds=0.3))
    assert (finding.status, finding.headline) == (FindingStatus.TIMEOUT, "no answer within 0.3 s")


async def test_neither_proxies_nor_netrc_of_the_environment_are_heeded(
    kube: FakeCluster, looking: Looking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kube.pods(pod("a"))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert (await look(looking)).status is FindingStatus.OK


async def test_a_redirect_is_not_followed_with_the_token(kube: FakeCluster, looking: Looking) -> None:
    followed: list[str] = []

    async def redirect(request: web.Request) -> web.StreamResponse:
        if request.path == "/elsewhere":
            followed.append(request.headers.get("Authorization", ""))
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    kube.faults.append(redirect)
    finding = await look(looking)
    assert finding.headline == "prod answers with a redirect, as no API server does"
    assert followed == []


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (400, "prod: it answers 400: made up by the test"),
        (429, "prod: it is overloaded and asks to come back later (429)"),
        (500, "prod: it answers 500: made up by the test"),
        (503, "prod: it answers 503: made up by the test"),
        (504, "prod: it answers 504: made up by the test"),
    ],
)
async def test_what_the_server_says_is_told_in_one_short_line(
    kube: FakeCluster, looking: Looking, code: int, says: str
) -> None:
    kube.faults.append(failing(code, "made up by the test"))
    finding = await look(looking)
    assert (finding.status, finding.headline) == (FindingStatus.ERROR, says)
    assert TOKEN not in str(finding)


async def test_a_forbidding_admission_is_not_taken_for_a_missing_right(
    kube: FakeCluster, looking: Looking
) -> None:
    kube.faults.append(failing(403, 'pods "a" is forbidden: exceeded quota: small'))
    finding = await look(looking)
    assert finding.headline == 'prod: it answers 403: pods "a" is forbidden: exceeded quota: small'


async def test_a_busy_server_that_asks_for_a_short_pause_gets_it(kube: FakeCluster, looking: Looking) -> None:
    kube.pods(pod("a"))
    kube.faults.append(failing(429, "too many requests", times=1, Retry_After="0"))
    assert (await look(looking)).status is FindingStatus.OK
    kube.faults[:] = [failing(429, "too many requests", Retry_After="60")]
    kube.asked.clear()
    assert (await look(looking)).status is FindingStatus.ERROR
    assert len(kube.asked) == 1


async def test_an_answer_without_end_is_not_read_to_its_end(
    kube: FakeCluster, looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_LIMIT", 2**20)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)

    kube.faults.append(endless)
    assert (await look(looking)).headline == "prod: an answer of over 1 MB"


@pytest.mark.parametrize(
    "body", ["<html>log in</html>", '{"items": 5}', '{"items": [{"metadata": {"name": 5}}]}', "[" * 9_000]
)
async def test_an_answer_that_no_api_server_gives_is_refused(
    kube: FakeCluster, looking: Looking, body: str
) -> None:
    async def odd(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=body)

    kube.faults.append(odd)
    assert (await look(looking)).headline == "prod: an answer that no API server gives"


async def test_a_namespace_beyond_the_targets_is_refused_without_asking(
    kube: FakeCluster, looking: Looking
) -> None:
    namespace = FromLabel(label="namespace", default="analytics")
    finding = await look(looking, {"namespace": "kube-system"}, namespace=namespace)
    assert finding.status is FindingStatus.ERROR
    assert "add it to targets.kubernetes.prod.namespaces" in finding.headline
    assert kube.asked == []


async def test_any_namespace_where_that_is_meant(kube: FakeCluster, tmp_path: Path) -> None:
    config = targets(kubeconfig(tmp_path, kube.url), namespaces=("*",))
    finding = await look_with(config, namespace="kube-system")
    assert finding.headline == "no pod in kube-system"


async def test_closing_ends_what_is_still_being_made(kube: FakeCluster, tmp_path: Path) -> None:
    path = with_plugin(tmp_path, kube, "import sys; sys.stdin.read()")
    clusters = Clusters(targets(path).kubernetes)
    waiting = asyncio.create_task(clusters._client("prod"))
    await asyncio.sleep(0)
    await clusters.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await clusters.close()


def test_the_library_is_not_imported_before_it_is_needed() -> None:
    program = """
import sys
from responder.catalogue import catalogue
catalogue()
assert not [name for name in sys.modules if name.startswith("kubernetes_asyncio")]
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def loaded(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "responder.yaml"
    file.write_text(text)
    return load_config(file, {}, catalogue())


def test_the_configuration_takes_namespaces_and_resolves_the_kubeconfig(tmp_path: Path) -> None:
    text = "targets: {kubernetes: {prod: {kubeconfig: kube/config, namespace: analytics, namespaces: [data, '*']}}}"
    found = loaded(tmp_path, text)
    target = found.config.targets.kubernetes["prod"]
    assert target.kubeconfig == str(tmp_path / "kube/config")
    assert target.reaches("anything")
    assert found.warnings == ()


def test_namespaces_that_are_none_are_problems_of_the_configuration(tmp_path: Path) -> None:
    text = "targets: {kubernetes: {prod: {namespace: '*'}, test: {namespace: a, namespaces: [good, a/b]}}}"
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    first, second = (one.text for one in caught.value.problems)
    assert "targets.kubernetes.prod" in first
    assert first.endswith("namespace: '*' is not a Kubernetes namespace: lower-case letters, digits and -")
    assert "targets.kubernetes.test" in second
    assert second.endswith(
        "namespaces: 'a/b' is not a Kubernetes namespace: lower-case letters, digits and -"
    )
