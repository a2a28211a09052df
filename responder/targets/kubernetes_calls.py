"""What is asked of a cluster, and what its refusals mean: the rule that is missing, the object that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

import msgspec

from responder.incident.finding import FindingStatus
from responder.targets.errors import TargetError
from responder.text import one_line

_MESSAGE_LIMIT = 200


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of object of the API; ``sub`` is its subresource."""

    group: str = ""
    version: str = "v1"
    plural: str
    kind: str
    sub: str = ""

    @property
    def rule(self) -> str:
        """As RBAC names it: ``deployments/scale``."""
        return f"{self.plural}/{self.sub}" if self.sub else self.plural

    def path(self, *, named: bool) -> str:
        """The template of its address. Source: Kubernetes' API concepts, resource URIs."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        path = f"{root}/namespaces/{{namespace}}/{self.plural}"
        if named:
            path += "/{name}"
        return f"{path}/{self.sub}" if self.sub else path


PODS = Resource(plural="pods", kind="pod")
POD_LOGS = Resource(plural="pods", kind="pod", sub="log")
EVENTS = Resource(plural="events", kind="event")
DEPLOYMENTS = Resource(group="apps", plural="deployments", kind="deployment")
DEPLOYMENT_SCALES = Resource(group="apps", plural="deployments", kind="deployment", sub="scale")
STATEFUL_SETS = Resource(group="apps", plural="statefulsets", kind="statefulset")
DAEMON_SETS = Resource(group="apps", plural="daemonsets", kind="daemonset")
REPLICA_SETS = Resource(group="apps", plural="replicasets", kind="replicaset")
AUTOSCALERS = Resource(
    group="autoscaling", version="v2", plural="horizontalpodautoscalers", kind="horizontalpodautoscaler"
)
POD_METRICS = Resource(group="metrics.k8s.io", version="v1beta1", plural="pods", kind="pod")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace of a configured cluster."""

    target: str
    namespace: str


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One call: what is asked for, where, and how long all of it may take."""

    place: Place
    what: Resource
    name: str = ""
    query: Mapping[str, str] = {}
    limit: timedelta


class ClusterError(TargetError):
    """A cluster refused or could not be asked; ``code`` is its HTTP status, 0 where there was none.

    ``certain``: whatever was to be changed is certainly as it was. ``pause``: seconds after which it wants to be asked
    again.
    """

    def __init__(
        self, text: str, *, status: FindingStatus = FindingStatus.ERROR, code: int = 0, certain: bool = False
    ) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.certain = certain
        self.pause: float | None = None


class Answered(NamedTuple):
    """An answer that is no success."""

    code: int
    body: bytes
    retry_after: str | None


class _Status(msgspec.Struct, frozen=True, kw_only=True):
    message: str = ""
    reason: str = ""


def refused(ask: Ask, verb: str, answer: Answered) -> ClusterError:
    """What an answer that is no success means.

    Source: Kubernetes' API conventions, "HTTP Status codes" and "Response Status Kind".
    """
    code, body, retry_after = answer
    text, status = _meaning(ask, verb, code, _said(body))
    error = ClusterError(f"{ask.place.target}: {text}", status=status, code=code, certain=400 <= code < 500)
    if code == 429 and retry_after is not None and retry_after.isdecimal():
        error.pause = float(retry_after)
    return error


def _meaning(  # noqa: PLR0911 - one arm per code
    ask: Ask, verb: str, code: int, said: str
) -> tuple[str, FindingStatus]:
    what, namespace = ask.what, ask.place.namespace
    match code:
        case 401:
            return "it refuses the credentials: the token is wrong or has expired", FindingStatus.DENIED
        case 403 if not said or f"cannot {verb} resource" in said:
            rule = f'apiGroups: ["{what.group}"], resources: [{what.rule}], verbs: [{verb}]'
            text = f"may not {verb} {what.rule} in namespace {namespace}; its role needs {rule}"
            return text, FindingStatus.DENIED
        case 404 if ask.name:
            return f"no {what.kind} {ask.name} in namespace {namespace}", FindingStatus.ERROR
        case 404:
            return (
                f"it does not serve {what.plural} of {what.group or 'core'}/{what.version}",
                FindingStatus.ERROR,
            )
        case 409:
            return f"{what.kind} {ask.name} was changed by somebody else meanwhile", FindingStatus.ERROR
        case 429:
            return "it is overloaded and asks to come back later (429)", FindingStatus.ERROR
        case _:
            return f"it answers {code}: {said or 'without a reason'}", FindingStatus.ERROR


def _said(raw: bytes) -> str:
    """The message of a ``Status`` answer, or the text of any other."""
    try:
        said = msgspec.json.decode(raw, type=_Status).message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = raw.decode(errors="replace")
    return one_line(said, _MESSAGE_LIMIT)
