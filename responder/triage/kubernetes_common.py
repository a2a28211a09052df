"""What the Kubernetes probes have in common: where they look, and which pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import ClassVar

import msgspec

from responder.parameters import Parameter, check_known, kubernetes_namespace
from responder.targets.kubernetes import Clusters, Listing
from responder.targets.kubernetes_calls import PODS, Ask, Place
from responder.targets.kubernetes_objects import Pod
from responder.targets.kubernetes_selector import LabelSelector, checked_selector, selector_text
from responder.text import one_line
from responder.triage.base import Circumstances, ProbeSettings
from responder.triage.log_lines import shown

PODS_READ = 1_000
_SAID = 2_000


class KubernetesSettings(ProbeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``namespace``: the target's own where it is not given."""

    TARGET_KIND: ClassVar[str] = "kubernetes"

    target: str
    namespace: Parameter | None = None
    timeout: timedelta = timedelta(seconds=10)

    def __post_init__(self) -> None:
        """Refuse what is no namespace."""
        check_known(self.namespace, "namespace", kubernetes_namespace)


class SelectedPods(KubernetesSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``selector``: all pods of the namespace where it is not given."""

    selector: LabelSelector | None = None

    def __post_init__(self) -> None:
        """Refuse a selector that is none."""
        super().__post_init__()
        if self.selector is not None:
            checked_selector(self.selector)


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """The pods that are meant: a namespace, and a selector or nothing."""

    place: Place
    selector: str = ""

    def __str__(self) -> str:
        return f"{self.place.namespace}, {self.selector}" if self.selector else self.place.namespace

    @property
    def query(self) -> Mapping[str, str]:
        """As a list call takes it."""
        return {"labelSelector": self.selector} if self.selector else {}


def scope_of(
    clusters: Clusters,
    settings: KubernetesSettings,
    selector: LabelSelector | None,
    circumstances: Circumstances,
) -> Scope:
    """Where to look for this incident.

    Raises:
        ParameterError, TargetError: as :meth:`Clusters.place`, and for a label's value that no selector may hold.
    """
    labels = circumstances.labels
    place = clusters.place(settings.target, settings.namespace, labels)
    return Scope(place=place, selector="" if selector is None else selector_text(selector, labels))


async def pods_of(clusters: Clusters, scope: Scope, limit: timedelta) -> Listing[Pod]:
    """The pods of a scope, at most a thousand."""
    ask = Ask(place=scope.place, what=PODS, query=scope.query, limit=limit)
    return await clusters.listed(ask, Pod, PODS_READ)


def counted(number: int, what: str) -> str:
    """``1 pod``, ``2 pods``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def said(text: str) -> str:
    """What a cluster's own programs say, on one line, cut between words."""
    return shown(one_line(text, _SAID))


def lines(texts: Iterable[str], most: int) -> str:
    """One text a line; how many were left out, at the end."""
    given = list(texts)
    left = len(given) - most
    return "\n".join(given[:most] + ([f"… and {left} more"] if left > 0 else []))
