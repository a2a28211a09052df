"""A real Kubernetes control plane on loopback: etcd, kube-apiserver and kube-controller-manager, RBAC on.

There are no nodes. What a kubelet does (pods that run, become ready, end, and have logs) is done by :class:`Kubelet`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import trustme
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from daemon import free_port
from kubernetes_objects import Object

ADMIN = "admin-token-of-the-test"
_CONTROLLERS = "deployment-controller,replicaset-controller,statefulset-controller,daemonset-controller"
_NODE = "node-1"


class Programs:
    """The three programs, for as long as a test session lasts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.url = ""
        self._running: list[subprocess.Popen[bytes]] = []
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        serving = authority.issue_cert("127.0.0.1", "localhost")
        serving.private_key_pem.write_to_path(folder / "serving.key")
        (folder / "serving.pem").write_bytes(b"".join(one.bytes() for one in serving.cert_chain_pems))
        _account_keys(folder)
        (folder / "tokens").write_text(f'{ADMIN},admin,1,"system:masters"\n')

    def start(self) -> None:
        """Start all of it. A port that somebody else took meanwhile costs another attempt."""
        for attempt in range(3):
            try:
                return self._start(self.folder / f"attempt-{attempt}")
            except RuntimeError:
                self.stop()
                if attempt == 2:
                    raise
        return None

    def _start(self, folder: Path) -> None:
        folder.mkdir()
        etcd, peer, api = (f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}", free_port())
        self.url = f"https://127.0.0.1:{api}"
        keys = self.folder
        self._run(
            "etcd", "--data-dir", f"{folder}/etcd", "--unsafe-no-fsync",
            "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
            log=folder / "etcd.log",
        )  # fmt: skip
        self._run(
            "kube-apiserver", "--etcd-servers", etcd, "--secure-port", str(api), "--bind-address", "127.0.0.1",
            "--advertise-address", "127.0.0.1", "--cert-dir", str(folder),
            "--tls-cert-file", f"{keys}/serving.pem", "--tls-private-key-file", f"{keys}/serving.key",
            "--service-account-issuer", "https://kubernetes.default.svc",
            "--service-account-key-file", f"{keys}/accounts.pub",
            "--service-account-signing-key-file", f"{keys}/accounts.key",
            "--token-auth-file", f"{keys}/tokens", "--authorization-mode", "RBAC",
            "--service-cluster-ip-range", "10.0.0.0/24", "--disable-admission-plugins", "ServiceAccount",
            "--kubelet-preferred-address-types", "InternalIP", "--allow-privileged",
            log=folder / "apiserver.log",
        )  # fmt: skip
        self._until_ready()
        config = write_kubeconfig(self, folder / "admin.kubeconfig", ADMIN)
        self._run(
            "kube-controller-manager", "--kubeconfig", str(config), "--controllers", _CONTROLLERS,
            "--leader-elect=false", "--secure-port", "0", "--kube-api-qps", "500", "--kube-api-burst", "1000",
            log=folder / "controllers.log",
        )  # fmt: skip

    def _run(self, *command: str, log: Path) -> None:
        with log.open("wb") as out:
            self._running.append(subprocess.Popen(command, stdout=out, stderr=out))

    def _until_ready(self, limit: float = 60.0) -> None:
        context = ssl.create_default_context(cafile=self.ca)
        request = urllib.request.Request(f"{self.url}/readyz", headers={"Authorization": f"Bearer {ADMIN}"})
        end = time.monotonic() + limit
        while time.monotonic() < end:
            ended = [one.args for one in self._running if one.poll() is not None]
            if ended:
                raise RuntimeError(f"ended: {ended}")
            with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=2, context=context):
                return
            time.sleep(0.05)
        raise RuntimeError("the API server was not ready in time")

    def stop(self) -> None:
        for one in reversed(self._running):
            one.kill()
        for one in self._running:
            one.wait()
        self._running.clear()


def _account_keys(folder: Path) -> None:
    key = rsa.generate_private_key(65_537, 2_048)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "accounts.key").write_bytes(private)
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "accounts.pub").write_bytes(public)


def write_kubeconfig(programs: Programs, path: Path, token: str) -> Path:
    """With one context, ``test``."""
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1", "kind": "Config", "current-context": "test",
                "clusters": [{"name": "c", "cluster": {"server": programs.url, "certificate-authority": str(programs.ca)}}],
                "users": [{"name": "u", "user": {"token": token}}],
                "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
            }
        )
    )  # fmt: skip
    return path


@contextlib.contextmanager
def control_plane() -> Iterator[Programs]:
    with tempfile.TemporaryDirectory(prefix="k8s-") as folder:
        programs = Programs(Path(folder))
        try:
            programs.start()
            yield programs
        finally:
            programs.stop()


class RealCluster:
    """One namespace of the control plane, with an administrator's hands."""

    def __init__(self, programs: Programs, session: aiohttp.ClientSession, namespace: str) -> None:
        self.programs = programs
        self.namespace = namespace
        self._session = session
        self._context = ssl.create_default_context(cafile=programs.ca)

    async def call(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> Object:
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": content_type}
        data = None if body is None else json.dumps(body)
        async with self._session.request(
            method, self.programs.url + path, data=data, headers=headers, ssl=self._context
        ) as response:
            found: Object = await response.json(content_type=None)
            assert response.status < 300 or (method, response.status) == ("DELETE", 404), found
            return found

    def path(self, group: str, plural: str, name: str = "", sub: str = "") -> str:
        root = f"/apis/{group}" if group != "v1" else "/api/v1"
        return "/".join(filter(None, (root, "namespaces", self.namespace, plural, name, sub)))

    async def create(self, group: str, plural: str, body: Object) -> Object:
        return await self.call("POST", self.path(group, plural), body)

    async def read(self, group: str, plural: str, name: str) -> Object:
        return await self.call("GET", self.path(group, plural, name))

    async def items(self, group: str, plural: str) -> list[Object]:
        found: list[Object] = (await self.call("GET", self.path(group, plural)))["items"]
        return found

    async def patch(self, group: str, plural: str, name: str, body: Object, sub: str = "") -> Object:
        path = self.path(group, plural, name, sub)
        return await self.call("PATCH", path, body, "application/strategic-merge-patch+json")

    async def account(self, name: str, rules: Sequence[Object]) -> str:
        """A service account that may do exactly that, and a token of it."""
        await self.create("v1", "serviceaccounts", {"metadata": {"name": name}})
        rbac = "rbac.authorization.k8s.io/v1"
        await self.create(rbac, "roles", {"metadata": {"name": name}, "rules": list(rules)})
        subject = {"kind": "ServiceAccount", "name": name, "namespace": self.namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        await self.create(
            rbac, "rolebindings", {"metadata": {"name": name}, "subjects": [subject], "roleRef": role}
        )
        path = self.path("v1", "serviceaccounts", name, "token")
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        }
        token: str = (await self.call("POST", path, request))["status"]["token"]
        return token


class Kubelet:
    """Does what a node does: takes every pod, has it run, ends it, and serves its logs over HTTPS.

    ``broken`` are images whose containers cannot start; ``logs`` are by pod's name prefix, container and previous.
    """

    def __init__(self, cluster: RealCluster) -> None:
        self._cluster = cluster
        self.broken: set[str] = set()
        self.logs: dict[tuple[str, str, bool], bytes] = {}
        self.asked: list[dict[str, str]] = []
        self.port = 0

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        folder = self._cluster.programs.folder
        context.load_cert_chain(folder / "serving.pem", folder / "serving.key")
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        self.port = runner.addresses[0][1]
        await self._join()
        work = asyncio.create_task(self._work(), name="kubelet")
        try:
            yield
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await runner.cleanup()
            await self._cluster.call("DELETE", f"/api/v1/nodes/{self.node}")

    @property
    def node(self) -> str:
        return f"{_NODE}-{self._cluster.namespace}"

    async def _join(self) -> None:
        call = self._cluster.call
        await call(
            "POST",
            "/api/v1/nodes",
            {"metadata": {"name": self.node, "labels": {"of": self._cluster.namespace}}},
        )
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}],
        }
        patch = "application/strategic-merge-patch+json"
        await call("PATCH", f"/api/v1/nodes/{self.node}/status", {"status": status}, patch)
        # Its controller would take the taint of a node that is not ready yet.
        await call("PATCH", f"/api/v1/nodes/{self.node}", {"spec": {"taints": None}}, patch)

    async def _work(self) -> None:
        while True:
            for pod in await self._cluster.items("v1", "pods"):
                await self._look_after(pod)
            await asyncio.sleep(0.05)

    async def _look_after(self, pod: Object) -> None:
        cluster, name = self._cluster, pod["metadata"]["name"]
        if "deletionTimestamp" in pod["metadata"]:
            await cluster.call("DELETE", cluster.path("v1", "pods", name), {"gracePeriodSeconds": 0})
            return
        if "nodeName" not in pod["spec"]:
            target = {"apiVersion": "v1", "kind": "Node", "name": self.node}
            with contextlib.suppress(AssertionError):  # it was ended meanwhile
                await cluster.create(
                    "v1", f"pods/{name}/binding", {"metadata": {"name": name}, "target": target}
                )
        if pod["status"].get("phase") == "Pending" and not pod["status"].get("containerStatuses"):
            with contextlib.suppress(AssertionError):
                await cluster.patch("v1", "pods", name, {"status": self._status(pod)}, "status")

    def _status(self, pod: Object) -> Object:
        now = f"{datetime.now(tz=UTC):%Y-%m-%dT%H:%M:%SZ}"  # noqa: TID251 - the node's own clock
        statuses = []
        for one in pod["spec"]["containers"]:
            broken = one["image"] in self.broken
            statuses.append(
                {
                    "name": one["name"], "image": one["image"], "imageID": "", "restartCount": 0,
                    "ready": not broken, "started": not broken,
                    "state": {"waiting": {"reason": "ImagePullBackOff", "message": f"Back-off pulling {one['image']}"}}
                    if broken
                    else {"running": {"startedAt": now}},
                }
            )  # fmt: skip
        ready = str(all(one["ready"] for one in statuses))
        return {
            "phase": "Running" if ready == "True" else "Pending",
            "startTime": now,
            "conditions": [
                {"type": kind, "status": ready, "lastTransitionTime": now}
                for kind in ("Ready", "ContainersReady")
            ],
            "containerStatuses": statuses,
        }

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append({**request.query, **request.match_info})
        previous = request.query.get("previous") == "true"
        for (prefix, container, of_previous), raw in self.logs.items():
            wanted = (request.match_info["container"], previous)
            if request.match_info["pod"].startswith(prefix) and (container, of_previous) == wanted:
                return web.Response(body=raw, content_type="text/plain")
        return web.Response(
            status=400, text="previous terminated container not found" if previous else "no such log"
        )
