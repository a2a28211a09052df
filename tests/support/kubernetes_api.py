"""A Kubernetes API over real HTTP, as strict as the real one where it matters: selectors, paging, logs, patches.

What it answers was compared with a real kube-apiserver 1.34 (tests/kubernetes/test_real_cluster.py holds the same).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from kubernetes_objects import Object, stamp, uid

from responder.config import KubernetesTarget, Targets

TOKEN = "sa-token-of-the-test"
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)/namespaces/(?P<namespace>[^/]+)"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)
_SERVED = {
    ("", "v1", "pods"): "Pod",
    ("", "v1", "events"): "Event",
    ("apps", "v1", "deployments"): "Deployment",
    ("apps", "v1", "statefulsets"): "StatefulSet",
    ("apps", "v1", "daemonsets"): "DaemonSet",
    ("apps", "v1", "replicasets"): "ReplicaSet",
    ("autoscaling", "v2", "horizontalpodautoscalers"): "HorizontalPodAutoscaler",
    ("metrics.k8s.io", "v1beta1", "pods"): "PodMetrics",
}
_MERGES = {"application/merge-patch+json", "application/strategic-merge-patch+json"}
_JSON_PATCH = "application/json-patch+json"
_REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired",
    415: "UnsupportedMediaType", 422: "Invalid", 429: "TooManyRequests", 503: "ServiceUnavailable",
}  # fmt: skip

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


class RefusedError(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.code, self.message, self.headers = code, message, headers

    def response(self) -> web.Response:
        body = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": _REASONS.get(self.code, ""), "code": self.code,
        }  # fmt: skip
        headers = {key.replace("_", "-"): value for key, value in self.headers.items()}
        return web.json_response(body, status=self.code, headers=headers)


class FakeCluster:
    """What it holds can be changed at any time; ``asked`` keeps every call."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[tuple[str, str], Object]] = {}
        self.logs: dict[tuple[str, str, bool], list[tuple[timedelta, bytes]]] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.tokens = {TOKEN}
        self.denied: set[tuple[str, str]] = set()
        self.faults: list[Fault] = []
        self.metrics = True
        self.url = ""
        self._version = 1_000

    def add(self, group: str, plural: str, *objects: Object) -> None:
        for one in objects:
            made = copy.deepcopy(one)
            metadata = made["metadata"]
            metadata.setdefault("uid", uid(plural, metadata["namespace"], metadata["name"]))
            self._touch(made)
            self.objects.setdefault((group, plural), {})[metadata["namespace"], metadata["name"]] = made

    def pods(self, *objects: Object) -> None:
        self.add("", "pods", *objects)

    def apps(self, plural: str, *objects: Object) -> None:
        self.add("apps", plural, *objects)

    def get(self, group: str, plural: str, name: str, namespace: str = "analytics") -> Object:
        return self.objects[group, plural][namespace, name]

    def deployment(self, name: str = "api-gateway") -> Object:
        return self.get("apps", "deployments", name)

    def calls(self, method: str = "") -> list[str]:
        return [path for one, path, _ in self.asked if not method or one == method]

    def _touch(self, one: Object) -> None:
        self._version += 1
        one["metadata"]["resourceVersion"] = str(self._version)

    def touch(self, name: str = "api-gateway") -> None:
        """A status that moved: only the resource version changes."""
        self._touch(self.deployment(name))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path, dict(request.query)))
        try:
            for fault in list(self.faults):
                if (answer := await fault(request)) is not None:
                    return answer
            return await self._answer(request)
        except RefusedError as refused:
            return refused.response()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            raise RefusedError(401, "Unauthorized")
        match = _PATH.fullmatch(request.path)
        if match is None:
            return web.Response(status=404, text="404 page not found\n")
        group, plural, name, sub = match["group"] or "", match["plural"], match["name"], match["sub"]
        kind = _SERVED.get((group, match["version"], plural))
        if kind is None or (group == "metrics.k8s.io" and not self.metrics):
            return web.Response(status=404, text="404 page not found\n")
        verb = "patch" if request.method == "PATCH" else "get" if name else "list"
        resource = f"{plural}/{sub}" if sub else plural
        if (verb, resource) in self.denied or (verb, f"{resource}.{group}") in self.denied:
            raise RefusedError(403, f'{plural}{"." if group else ""}{group} is forbidden: User "u" cannot {verb} resource '
                               f'"{resource}" in API group "{group}" in the namespace "{match["namespace"]}"')  # fmt: skip
        held = self.objects.get((group, plural), {})
        if not name:
            return web.json_response(self._list(request, kind, held, match["namespace"]))
        if (match["namespace"], name) not in held:
            raise RefusedError(404, f'{plural} "{name}" not found')
        found = held[match["namespace"], name]
        if sub == "log":
            return await self._log(request, found)
        if request.method == "PATCH":
            return web.json_response(await self._patch(request, found, sub))
        return web.json_response(_scale(found) if sub == "scale" else found)

    def _list(self, request: web.Request, kind: str, held: dict[Any, Object], namespace: str) -> Object:
        query = request.query
        chosen = [
            one
            for (where, _), one in sorted(held.items())
            if where == namespace
            and _selects(query.get("labelSelector", ""), one["metadata"].get("labels") or {})
            and _fields_match(query.get("fieldSelector", ""), one)
        ]
        start = int(base64.b64decode(query["continue"])) if "continue" in query else 0
        limit = int(query.get("limit", "0")) or len(chosen)
        metadata: Object = {"resourceVersion": str(self._version)}
        if start + limit < len(chosen):
            metadata["continue"] = base64.b64encode(str(start + limit).encode()).decode()
        items = chosen[start : start + limit]
        return {"kind": f"{kind}List", "apiVersion": "v1", "metadata": metadata, "items": items or None}

    async def _log(self, request: web.Request, pod: Object) -> web.StreamResponse:
        query, name = request.query, pod["metadata"]["name"]
        names = [one["name"] for one in pod["spec"]["containers"] + pod["spec"].get("initContainers", [])]
        if "container" not in query and len(names) > 1:
            raise RefusedError(
                400, f"a container name must be specified for pod {name}, choose one of: {names}"
            )
        chosen = query.get("container", names[0])
        if chosen not in names:
            raise RefusedError(400, f"container {chosen} is not valid for pod {name}")
        for key in ("tailLines", "sinceSeconds", "limitBytes"):
            if key in query and int(query[key]) < (0 if key == "tailLines" else 1):
                raise RefusedError(422, f'PodLogOptions "" is invalid: {key}: must be greater than 0')
        statuses = pod["status"].get("containerStatuses", []) + pod["status"].get("initContainerStatuses", [])
        status: Object = next((one for one in statuses if one["name"] == chosen), {"state": {}})
        previous = query.get("previous") == "true"
        if previous and not status.get("lastState"):
            raise RefusedError(400, f'previous terminated container "{chosen}" in pod "{name}" not found')
        if not previous and "waiting" in status["state"]:
            reason = status["state"]["waiting"]["reason"]
            raise RefusedError(400, f'container "{chosen}" in pod "{name}" is waiting to start: {reason}')
        return web.Response(
            body=_cut(query, self.logs.get((name, chosen, previous), [])), content_type="text/plain"
        )

    async def _patch(self, request: web.Request, found: Object, sub: str | None) -> Object:
        if request.query.get("dryRun", "All") != "All":
            raise RefusedError(400, "invalid dryRun")
        body, content = await request.json(), request.content_type
        present = _scale(found) if sub == "scale" else found
        if content in _MERGES:
            wanted = _merged(copy.deepcopy(present), body)
        elif content == _JSON_PATCH:
            wanted = _json_patched(copy.deepcopy(present), body)
        else:
            raise RefusedError(
                415,
                f"the body of the request was in an unknown format - accepted media types include: {_MERGES}",
            )
        if wanted["metadata"].get("resourceVersion") != found["metadata"]["resourceVersion"]:
            raise RefusedError(
                409,
                "Operation cannot be fulfilled: the object has been modified; please apply your changes to it",
            )
        if sub == "scale":
            changed = copy.deepcopy(found)
            changed["spec"]["replicas"] = wanted["spec"].get("replicas", 0)
        else:
            changed = wanted
        if changed["spec"] != found["spec"]:
            changed["metadata"]["generation"] = found["metadata"].get("generation", 1) + 1
            _owned(changed, request.query["fieldManager"], sub or "")
        self._touch(changed)
        if "dryRun" not in request.query:
            found.clear()
            found.update(changed)
        return _scale(changed) if sub == "scale" else changed


def _scale(found: Object) -> Object:
    kept = {
        key: found["metadata"][key]
        for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    }
    replicas = found["spec"]["replicas"]
    spec = {"replicas": replicas} if replicas else {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": kept,
        "spec": spec,
        "status": {"replicas": replicas},
    }


def _owned(changed: Object, manager: str, sub: str) -> None:
    """As the server does it: who scales is noted without a time, and not at all where the count is 0."""
    field: Object = {"f:replicas": {}} if sub == "scale" else {"f:template": {"f:metadata": {}}}
    others = [
        one for one in changed["metadata"].get("managedFields", []) if one["fieldsV1"] != {"f:spec": field}
    ]
    entry: Object = {
        "manager": manager,
        "operation": "Update",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": field},
    }
    entry |= {"subresource": sub} if sub else {"time": stamp()}
    changed["metadata"]["managedFields"] = [
        *others,
        *([entry] if sub != "scale" or changed["spec"]["replicas"] else []),
    ]


def _merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    target = target if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = _merged(target.get(key), value)
    return target


def _json_patched(target: Any, operations: list[Object]) -> Any:
    """RFC 6902, as far as maps go."""
    for one in operations:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in one["path"].split("/")[1:]]
        parent = target
        for part in way:
            if part not in parent:
                raise RefusedError(
                    422, f"{one['op']} operation does not apply: doc is missing path: {one['path']}"
                )
            parent = parent[part]
        if one["op"] != "add" and last not in parent:
            raise RefusedError(
                422, f"{one['op']} operation does not apply: doc is missing key: {one['path']}"
            )
        if one["op"] == "test" and parent[last] != one["value"]:
            raise RefusedError(422, f"testing value {one['path']} failed: test failed")
        if one["op"] == "remove":
            del parent[last]
        elif one["op"] != "test":
            parent[last] = one["value"]
    return target


def _selects(selector: str, labels: dict[str, str]) -> bool:
    for one in re.findall(r"[^,(]+(?:\([^)]*\))?", selector):
        if match := re.fullmatch(r"\s*(\S+)\s+(in|notin)\s*\(([^)]*)\)\s*", one):
            inside = labels.get(match[1]) in [value.strip() for value in match[3].split(",")]
            good = inside is (match[2] == "in")
        elif match := re.fullmatch(r"\s*([^!=\s]+)\s*(==?|!=)\s*(\S*)\s*", one):
            good = (labels.get(match[1]) == match[3]) is (match[2] != "!=")
        elif match := re.fullmatch(r"\s*(!?)\s*(\S+)\s*", one):
            good = (match[2] in labels) is not bool(match[1])
        else:
            raise RefusedError(400, f"unable to parse requirement: {one}")
        if not good:
            return False
    return True


def _fields_match(selector: str, one: Object) -> bool:
    for requirement in filter(None, selector.split(",")):
        path, _, wanted = requirement.partition("=")
        if path not in {"type", "metadata.name", "involvedObject.name", "involvedObject.kind"}:
            raise RefusedError(400, f"field label not supported: {path}")
        value: Any = one
        for part in path.split("."):
            value = value[part]
        if value != wanted:
            return False
    return True


def _cut(query: Any, kept: list[tuple[timedelta, bytes]]) -> bytes:
    """As the kubelet does: first the tail and the time, then so many bytes from the start of what is left."""
    since = timedelta(seconds=int(query["sinceSeconds"])) if "sinceSeconds" in query else timedelta.max
    chosen = [(ago, line) for ago, line in kept if ago <= since]
    if "tailLines" in query:
        chosen = chosen[len(chosen) - min(int(query["tailLines"]), len(chosen)) :]
    prefix = query.get("timestamps") == "true"
    raw = b"".join(
        (stamp(ago).replace("Z", ".123456789Z ").encode() if prefix else b"") + line + b"\n"
        for ago, line in chosen
    )
    return raw[: int(query["limitBytes"])] if "limitBytes" in query else raw


def kubeconfig(folder: Path, server: str, token: str = TOKEN, **cluster: Any) -> Path:
    """A kubeconfig with one context, ``test``."""
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1", "kind": "Config", "current-context": "test", "preferences": {},
                "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
                "users": [{"name": "u", "user": {"token": token}}],
                "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
            }
        )
    )  # fmt: skip
    return path


def targets(config: Path, **more: Any) -> Targets:
    """The one cluster, as ``prod``, with the namespace of the runbook."""
    target = KubernetesTarget(
        **{"kubeconfig": str(config), "context": "test", "namespace": "analytics", **more}
    )
    return Targets(kubernetes={"prod": target})


@contextlib.asynccontextmanager
async def fake_cluster() -> AsyncIterator[FakeCluster]:
    cluster = FakeCluster()
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", cluster.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    cluster.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield cluster
    finally:
        await runner.cleanup()


def failing(code: int, message: str = "no", *, times: int = 1_000, path: str = "", **headers: str) -> Fault:
    """A fault that answers so for the first ``times`` calls whose path has ``path``."""
    left = [times]

    async def fault(request: web.Request) -> web.StreamResponse | None:
        if left[0] and path in request.path:
            left[0] -= 1
            raise RefusedError(code, message, **headers)
        return None

    return fault


def hanging(path: str, method: str = "") -> Fault:
    """A fault that never answers calls whose path has ``path``."""

    async def fault(request: web.Request) -> web.StreamResponse | None:
        if path in request.path and (not method or request.method == method):
            await asyncio.Event().wait()
        return None

    return fault
