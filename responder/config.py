"""``responder.yaml`` as typed, frozen values. Below this nobody reads the environment or a raw dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

import msgspec

from responder.incident.severity import Severity
from responder.parameters import ParameterError, kubernetes_namespace
from responder.secrets import Secret


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class RedisConfig(_Section, frozen=True, kw_only=True):
    """The store. ``url``: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://."""

    url: Secret
    accept_data_loss: bool = False


class FlappingConfig(_Section, frozen=True, kw_only=True):
    """What begins to fire ``count`` times ``within`` this is not paged anew each time."""

    count: int = 4
    within: timedelta = timedelta(minutes=15)


class BundlingConfig(_Section, frozen=True, kw_only=True):
    """More than ``after`` incidents for a person ``within`` this become one page, a digest; 0 for never.

    ``new_kinds`` break through it in that time; a further digest comes ``digest_every`` at most.
    """

    after: int = 10
    within: timedelta = timedelta(minutes=5)
    new_kinds: int = 5
    digest_every: timedelta = timedelta(minutes=1)


class ArchiveConfig(_Section, frozen=True, kw_only=True):
    """History in Postgres."""

    url: Secret


class AlertmanagerConfig(_Section, frozen=True, kw_only=True):
    """The Alertmanagers that post to us; peers of one cluster are one truth.

    ``receivers`` are the names of theirs that post here; without any, they are learned from the webhooks that arrive.
    """

    urls: tuple[str, ...]
    receivers: tuple[str, ...] = ()
    reconcile_every: timedelta = timedelta(minutes=1)
    grace: timedelta = timedelta(minutes=5)
    timeout: timedelta = timedelta(seconds=5)


class HeartbeatConfig(_Section, frozen=True, kw_only=True):
    """A sign of life that is missed when it stops.

    An alert that ``match`` takes, or a request to ``/heartbeats/NAME``, must come within ``every`` and ``grace``; without
    ``match`` only the request counts.
    """

    name: str
    match: tuple[str, ...] = ()
    every: timedelta
    grace: timedelta = timedelta(0)
    severity: Severity = Severity.P1
    service: str = "monitoring"


class HeartbeatOutConfig(_Section, frozen=True, kw_only=True):
    """Our own sign of life: a URL that is fetched while the daemon does its work."""

    url: Secret
    every: timedelta = timedelta(minutes=1)
    timeout: timedelta = timedelta(seconds=5)


class CanaryConfig(_Section, frozen=True, kw_only=True):
    """How often an alert of our own takes the whole road (``0s``: never), and how long it may take."""

    every: timedelta = timedelta(minutes=1)
    timeout: timedelta = timedelta(seconds=30)


class BasicAuth(_Section, frozen=True, kw_only=True):
    """User name and password as Alertmanager's ``basic_auth`` sends them."""

    username: str
    password: Secret


class WebhookAuth(_Section, frozen=True, kw_only=True):
    """What a webhook must bring: either of the two, where both are given."""

    bearer_token: Secret | None = None
    basic: BasicAuth | None = None


class Token(_Section, frozen=True, kw_only=True):
    """A caller of the API. ``role``: viewer, responder or admin."""

    name: str
    token: Secret
    role: str = "responder"


class PersonConfig(_Section, frozen=True, kw_only=True):
    """A person whom Slack knows by a user id (``U…``), and what they may do. ``role``: viewer, responder or admin."""

    name: str
    slack: str
    role: str = "responder"


class AuthConfig(_Section, frozen=True, kw_only=True):
    """Who may post alerts and who may call the API."""

    webhook: WebhookAuth = WebhookAuth()
    tokens: tuple[Token, ...] = ()
    people: tuple[PersonConfig, ...] = ()
    allow_anonymous_webhook: bool = False
    """Taking alerts from anybody beyond loopback is meant."""


class _Target(_Section, frozen=True, kw_only=True):
    """What is only looked at, unless ``allow`` lists it.

    ``allow`` names the objects that actions may change (``deployment/pgbouncer``, ``sessions``, ``cache``); a ``*`` at
    the end stands for anything.
    """

    allow: tuple[str, ...] = ()


class PostgresTarget(_Target, frozen=True, kw_only=True):
    """A database, or PgBouncer's admin console."""

    url: Secret


class KubernetesTarget(_Target, frozen=True, kw_only=True):
    """A cluster: a context of a kubeconfig, or the one that we run in.

    ``namespaces`` are the others that probes and actions may reach, since a label may choose one; ``*`` is any.
    """

    context: str | None = None
    kubeconfig: str | None = None
    namespace: str
    namespaces: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no namespace."""
        try:
            kubernetes_namespace(self.namespace, "namespace")
            for one in self.namespaces:
                kubernetes_namespace("any" if one == "*" else one, "namespaces")
        except ParameterError as error:
            raise ValueError(str(error)) from None

    def reaches(self, namespace: str) -> bool:
        """Whether probes and actions may look there."""
        return namespace == self.namespace or not {namespace, "*"}.isdisjoint(self.namespaces)


class PrometheusTarget(_Target, frozen=True, kw_only=True):
    """A Prometheus."""

    url: str
    headers: dict[str, Secret] = {}


class HttpTarget(_Target, frozen=True, kw_only=True):
    """A base URL; ``headers`` may hold secrets."""

    url: str
    headers: dict[str, Secret] = {}


class SupersetProvider(StrEnum):
    """Who checks a password for Superset; single sign-on has none to check."""

    DB = "db"
    LDAP = "ldap"


class SupersetTarget(_Target, frozen=True, kw_only=True):
    """A Superset."""

    url: str
    username: str
    password: Secret
    provider: SupersetProvider = SupersetProvider.DB


class SupabaseTarget(_Target, frozen=True, kw_only=True):
    """A Supabase project, as the Management API at ``url`` knows it, and an access token of that API."""

    url: str = "https://api.supabase.com"
    project_ref: str
    access_token: Secret


class Targets(_Section, frozen=True, kw_only=True):
    """The only systems that probes and actions can reach."""

    postgres: dict[str, PostgresTarget] = {}
    kubernetes: dict[str, KubernetesTarget] = {}
    prometheus: dict[str, PrometheusTarget] = {}
    http: dict[str, HttpTarget] = {}
    superset: dict[str, SupersetTarget] = {}
    supabase: dict[str, SupabaseTarget] = {}


class ChannelSection(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of ``channels``: its ``type`` and that type's own settings, a struct of the plug-in."""

    type: str
    settings: msgspec.Struct


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration. Every key has a default."""

    name: str = "main"
    listen: str = "127.0.0.1:8080"
    external_url: str = "http://localhost:8080"
    rules: tuple[str, ...] = ("rules/",)
    data_dir: str = "./data"
    redis: RedisConfig | None = None
    archive: ArchiveConfig | None = None
    alertmanager: AlertmanagerConfig | None = None
    heartbeats: tuple[HeartbeatConfig, ...] = ()
    heartbeat_out: HeartbeatOutConfig | None = None
    canary: CanaryConfig = CanaryConfig()
    auth: AuthConfig = AuthConfig()
    channels: dict[str, ChannelSection] = {}
    targets: Targets = Targets()
    triage_wait: timedelta = timedelta(seconds=2)
    stale_after: timedelta = timedelta(hours=24)
    monitor_for: timedelta = timedelta(minutes=30)
    flapping: FlappingConfig = FlappingConfig()
    bundling: BundlingConfig = BundlingConfig()
    hold_down: timedelta = timedelta(seconds=10)
    retention: timedelta = timedelta(days=30)
    blind_after: timedelta = timedelta(seconds=15)
    shutdown_grace: timedelta = timedelta(seconds=20)
    max_body_bytes: int = 32 * 1024 * 1024
    log_level: str = "info"


class TypeCatalogue(msgspec.Struct, frozen=True, kw_only=True):
    """The settings' struct of every plug-in type; the composition root fills it, since plug-ins live above."""

    channels: Mapping[str, type[msgspec.Struct]] = {}
    probes: Mapping[str, type[msgspec.Struct]] = {}
    actions: Mapping[str, type[msgspec.Struct]] = {}
