"""Reading ``responder.yaml``: environment variables, secrets from files, channels by type, every problem at once."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import yaml

from responder.config import ChannelSection, Config, TypeCatalogue
from responder.config_checks import NAME, is_http, liveness_problems
from responder.documents import Document, Problem, ProblemsError
from responder.registry import did_you_mean
from responder.secrets import Secret
from responder.targets.supabase import misconfigured
from responder.typed import read

_VARIABLE = re.compile(r"\$\$|\$\{([^}]*)\}")
_STORES = frozenset({"redis", "rediss", "unix", "redis+sentinel", "redis+cluster"})
ROLES = ("viewer", "responder", "admin")

#: Sections that are read and checked, but that this version does not act on.
_NOT_YET = {
    "archive": "this version keeps history in the store only",
}
#: Durations that may be nothing at all.
_MAY_BE_NONE = ("triage_wait", "hold_down")


class ConfigError(ProblemsError):
    """The configuration cannot be used."""


class LoadedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration and what is worth a warning."""

    config: Config
    warnings: tuple[Problem, ...] = ()


def load_config(path: Path | None, environment: Mapping[str, str], catalogue: TypeCatalogue) -> LoadedConfig:
    """Read the configuration; without a file, the built-in defaults.

    Paths in the file are relative to its folder.

    Raises:
        ConfigError: with every problem.
    """
    if path is None:
        return LoadedConfig(config=with_a_channel(Config(), catalogue))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError((Problem(file=str(path), text=f"cannot read it: {reason}"),)) from None
    document = Document(str(path), text, expand=lambda one: expand(one, environment))
    config = _Loading(document, catalogue).config()
    errors = [problem for problem in document.problems if problem.level == "error"]
    if errors or config is None:
        raise ConfigError(tuple(document.problems))
    return LoadedConfig(
        config=with_a_channel(_resolved(config, path.parent), catalogue), warnings=tuple(document.problems)
    )


def expand(text: str, environment: Mapping[str, str]) -> str:
    """The text with ``${NAME}`` taken from the environment; ``$$`` is a dollar sign.

    Raises:
        ValueError: for a variable that is not set.
    """

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match[1] not in environment:
            raise ValueError(f"environment variable {match[1]} is not set")
        return environment[match[1]]

    return _VARIABLE.sub(value, text)


def with_a_channel(config: Config, catalogue: TypeCatalogue) -> Config:
    """Pages go to the log where no channel is configured."""
    if config.channels or "log" not in catalogue.channels:
        return config
    log = ChannelSection(type="log", settings=catalogue.channels["log"]())
    return msgspec.structs.replace(config, channels={"log": log})


def _resolved(config: Config, folder: Path) -> Config:
    """Paths made relative to the file that names them."""
    clusters = {
        name: msgspec.structs.replace(one, kubeconfig=str(folder / Path(one.kubeconfig).expanduser()))
        if one.kubeconfig
        else one
        for name, one in config.targets.kubernetes.items()
    }
    return msgspec.structs.replace(
        config,
        rules=tuple(str(folder / one) + ("/" if one.endswith("/") else "") for one in config.rules),
        data_dir=str(folder / config.data_dir),
        targets=msgspec.structs.replace(config.targets, kubernetes=clusters),
    )


class _Loading:
    def __init__(self, document: Document, catalogue: TypeCatalogue) -> None:
        self._document = document
        self._catalogue = catalogue
        self._places: dict[str, yaml.Node] = {}

    def config(self) -> Config | None:
        document = self._document
        if document.root is None:
            return None if document.problems else Config()
        channels: dict[str, ChannelSection] = {}
        kept = []
        for key, key_node, node in document.items(document.root, "configuration"):
            self._places[key] = node
            if key == "channels":
                channels = self._channels(node)
            else:
                kept.append((key_node, node))
        if not isinstance(document.root, yaml.MappingNode):
            return None
        rest = yaml.MappingNode(document.root.tag, kept, document.root.start_mark, document.root.end_mark)
        found = read(document, rest, Config, "configuration")
        if not isinstance(found, Config):
            return None
        config = msgspec.structs.replace(found, channels=channels)
        self._check(config)
        return config

    def _channels(self, node: yaml.Node) -> dict[str, ChannelSection]:
        found: dict[str, ChannelSection] = {}
        for name, key_node, section in self._document.items(node, "channels"):
            what = f"channels.{name}"
            if not NAME.fullmatch(name):
                self._document.report(
                    key_node, f"{what}: expected a name of letters, digits, '.', '_' or '-'"
                )
                continue
            channel = self._channel(section, what)
            if channel is not None:
                found[name] = channel
        return found

    def _channel(self, node: yaml.Node, what: str) -> ChannelSection | None:
        document = self._document
        items = document.items(node, what)
        by_name = {key: value for key, _, value in items}
        if "type" not in by_name:
            document.report(
                node, f"{what}: missing type (known: {', '.join(sorted(self._catalogue.channels))})"
            )
            return None
        kind = read(document, by_name["type"], str, f"{what}.type")
        if kind not in self._catalogue.channels:
            if kind is not msgspec.UNSET:
                hint = did_you_mean(kind, self._catalogue.channels)
                document.report(by_name["type"], f"{what}.type: unknown channel type {kind!r}{hint}")
            return None
        kept = [(key_node, value) for key, key_node, value in items if key != "type"]
        rest = yaml.MappingNode(node.tag, kept, node.start_mark, node.end_mark)
        settings = read(document, rest, self._catalogue.channels[kind], what)
        return None if settings is msgspec.UNSET else ChannelSection(type=kind, settings=settings)

    def _check(self, config: Config) -> None:
        for key, problem in _problems(config):
            root = self._document.root
            node = self._places.get(re.split(r"[.\[]", key, maxsplit=1)[0], root)
            if node is not None:
                self._document.report(node, f"{key}: {problem}")
        for key, why in _NOT_YET.items():
            if key in self._places:
                self._document.report(self._places[key], f"{key}: accepted, but {why}", "warning")
        for name, project in config.targets.supabase.items():
            if wrong := misconfigured(project):
                text = f"targets.supabase.{name}.{wrong}"
                self._document.report(self._places["targets"], text, "warning")


def _problems(config: Config) -> Iterator[tuple[str, str]]:  # noqa: C901, PLR0912 - one line per key
    if not NAME.fullmatch(config.name):
        yield "name", "expected 1 to 64 letters, digits, '.', '_' or '-'"
    yield from _listen_problems(config)
    if not is_http(config.external_url):
        yield "external_url", f"expected http://host or https://host, got {config.external_url!r}"
    if config.redis and urlsplit(config.redis.url.reveal()).scheme not in _STORES:
        yield "redis.url", f"expected one of {', '.join(f'{scheme}://' for scheme in sorted(_STORES))}"
    if config.alertmanager:
        for url in config.alertmanager.urls or ("",):
            if not is_http(url):
                shown = url.rpartition("@")[2]  # what is before it may be a password
                yield "alertmanager.urls", f"expected http://host or https://host, got {shown!r}"
        for field in ("reconcile_every", "timeout"):
            if getattr(config.alertmanager, field) < timedelta(seconds=1):
                yield f"alertmanager.{field}", "expected at least 1s"
    for kind in ("http", "prometheus", "superset", "supabase"):
        for name, target in getattr(config.targets, kind).items():
            if not is_http(target.url):
                yield (
                    f"targets.{kind}.{name}.url",
                    f"expected http://host or https://host, got {target.url!r}",
                )
    for name, postgres in config.targets.postgres.items():
        if urlsplit(postgres.url.reveal()).scheme not in {"postgres", "postgresql"}:
            yield f"targets.postgres.{name}.url", "expected postgresql://…"
    yield from _auth_problems(config)
    yield from liveness_problems(config)
    for field in (
        "triage_wait",
        "hold_down",
        "stale_after",
        "monitor_for",
        "retention",
        "blind_after",
        "shutdown_grace",
    ):
        if getattr(config, field) < timedelta(0) or (
            field not in _MAY_BE_NONE and not getattr(config, field)
        ):
            yield field, "expected a duration above zero"
    if config.log_level not in {"debug", "info", "warning", "error"}:
        yield "log_level", f"expected debug, info, warning or error, got {config.log_level!r}"
    if config.max_body_bytes < 1024:
        yield "max_body_bytes", "expected at least 1024"


def _auth_problems(config: Config) -> Iterator[tuple[str, str]]:
    names = [token.name for token in config.auth.tokens]
    for name in sorted({one for one in names if names.count(one) > 1}):
        yield "auth.tokens", f"token name {name!r} stands twice"
    for token in config.auth.tokens:
        if token.role not in ROLES:
            yield "auth.tokens", f"{token.name}: expected role viewer, responder or admin, got {token.role!r}"
    for person in config.auth.people:
        if person.role not in ROLES:
            yield (
                "auth.people",
                f"{person.name}: expected role viewer, responder or admin, got {person.role!r}",
            )
        if not re.fullmatch(r"[UW][A-Z0-9]{2,30}", person.slack):
            yield (
                "auth.people",
                f"{person.name}: slack: expected a user id such as U0123456, got {person.slack!r}",
            )


def _listen_problems(config: Config) -> Iterator[tuple[str, str]]:
    host, _, port = config.listen.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        yield "listen", f"expected host:port such as 127.0.0.1:8080, got {config.listen!r}"
        return
    webhook = config.auth.webhook
    if is_loopback(host) or webhook.bearer_token or webhook.basic or config.auth.allow_anonymous_webhook:
        return
    yield (
        "listen",
        (
            f"{config.listen} is reachable from elsewhere and anybody could post alerts: set auth.webhook.bearer_token "
            "(or basic), or auth.allow_anonymous_webhook: true where that is meant"
        ),
    )


def is_loopback(host: str) -> bool:
    """Whether a host of ``listen`` can be reached from this machine only."""
    name = host.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def configured_secrets(value: Any) -> tuple[str, ...]:
    """Every secret's value below a configuration, for redaction; a file that cannot be read gives none."""
    if isinstance(value, Secret):
        try:
            return (value.reveal(), *_passwords(value.reveal()))
        except OSError:
            return ()
    if isinstance(value, msgspec.Struct):
        return configured_secrets(list(msgspec.structs.asdict(value).values()))
    if isinstance(value, Mapping):
        return configured_secrets(list(value.values()))
    if isinstance(value, (list, tuple)):
        return tuple(secret for one in value for secret in configured_secrets(one))
    return ()


def _passwords(url: str) -> tuple[str, ...]:
    """The password inside a URL is a secret by itself."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return ()
    return (password,) if password else ()
