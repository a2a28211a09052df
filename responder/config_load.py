"""Reading ``responder.yaml``: environment variables, secrets from files, channels by type, every problem at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from responder.config import ChannelSection, Config, TypeCatalogue
from responder.config_checks import NAME, problems_of
from responder.config_ranges import range_warnings
from responder.documents import Document, Place, Problem, ProblemsError
from responder.registry import did_you_mean
from responder.secrets import Secret, passwords, spellings
from responder.targets.supabase import misconfigured
from responder.typed import read

_VARIABLE = re.compile(r"\$\$|\$\{([^}]*)\}")
#: Sections that are read and checked, but that this version does not act on.
_NOT_YET = {
    "archive": "this version keeps history in the store only",
}


class ConfigError(ProblemsError):
    """The configuration cannot be used; ``partial`` is what of it can be read, to look for what else is wrong."""

    def __init__(self, problems: tuple[Problem, ...], partial: PartialConfig | None = None) -> None:
        super().__init__(problems)
        self.partial = partial


class PartialConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The sections that could be read; those in ``unread`` stand at their defaults."""

    config: Config
    unread: frozenset[str]


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
    loading = _Loading(document, catalogue)
    config = loading.config()
    errors = [problem for problem in document.problems if problem.level == "error"]
    if errors or config is None:
        found = _resolved(config, path.parent) if config is not None else None
        partial = PartialConfig(config=found, unread=frozenset(loading.unread)) if found is not None else None
        raise ConfigError(tuple(document.problems), partial)
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
        #: Sections with an error.
        self.unread: set[str] = set()

    def config(self) -> Config | None:
        document = self._document
        if document.root is None:
            return None if document.problems else Config()
        channels: dict[str, ChannelSection] = {}
        kept = []
        for key, key_node, node in document.items(document.root, "configuration"):
            self._places[key] = node
            if key == "channels":
                told = len(document.problems)
                channels = self._channels(node)
                if len(document.problems) > told:
                    self.unread.add(key)
            else:
                kept.append((key_node, node))
        if not isinstance(document.root, yaml.MappingNode):
            return None
        rest = yaml.MappingNode(document.root.tag, kept, document.root.start_mark, document.root.end_mark)
        found = read(document, rest, Config, "configuration")
        if not isinstance(found, Config):
            found = self._by_section(kept)
        config = msgspec.structs.replace(found, channels=channels)
        self._check(config)
        return config

    def _by_section(self, kept: list[tuple[yaml.Node, yaml.Node]]) -> Config:
        """What can be read, so that everything that is wrong with it is told at once; what cannot was told before."""
        told, config = len(self._document.problems), Config()
        for key_node, node in kept:
            key = str(key_node.value)
            if key not in Config.__struct_fields__:
                continue
            alone = yaml.MappingNode(
                "tag:yaml.org,2002:map", [(key_node, node)], key_node.start_mark, node.end_mark
            )
            section = read(self._document, alone, Config, "configuration")
            if isinstance(section, Config):
                config = msgspec.structs.replace(config, **{key: getattr(section, key)})
            else:
                self.unread.add(key)
        del self._document.problems[told:]
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
        for key, problem in problems_of(config, whole=not self.unread):
            self._report(key, problem, "error")
        for key, warning in range_warnings(config):
            self._report(key, warning, "warning")
        for key, why in _NOT_YET.items():
            if key in self._places:
                self._document.report(self._places[key], f"{key}: accepted, but {why}", "warning")
        for name, project in config.targets.supabase.items():
            if wrong := misconfigured(project):
                text = f"targets.supabase.{name}.{wrong}"
                node = _at(self._places["targets"], f".supabase.{name}")
                self._document.report(node, text, "warning")

    def _report(self, key: str, text: str, level: str) -> None:
        section = re.split(r"[.\[]", key, maxsplit=1)[0]
        if section in self.unread or (section == "listen" and "auth" in self.unread):
            return  # whether that is so cannot be told before it can be read
        node = self._places.get(section, self._document.root)
        if node is not None:
            self._document.report(_at(node, key.removeprefix(section)), f"{key}: {text}", level)


def _at(node: yaml.Node, path: str) -> yaml.Node:
    """The node that a path such as ``.http.api.url`` or ``[2].match`` leads to, or the last one on the way; names may hold dots."""
    while path:
        if isinstance(node, yaml.SequenceNode) and (index := re.match(r"\[(\d+)\]", path)):
            if int(index[1]) >= len(node.value):
                break
            node, path = node.value[int(index[1])], path[index.end() :]
            continue
        children = node.value if isinstance(node, yaml.MappingNode) else []
        fits = [
            (str(key.value), value)
            for key, value in children
            if path == f".{key.value}" or path.startswith((f".{key.value}.", f".{key.value}["))
        ]
        if not fits:
            break
        name, node = max(fits, key=lambda fit: len(fit[0]))
        path = path.removeprefix(f".{name}")
    return node


def places_in(path: Path, keys: Sequence[str]) -> list[Place]:
    """Where keys such as ``heartbeats[0].service`` stand in a configuration that was read before."""
    try:
        document = Document(str(path), path.read_text(encoding="utf-8")) if keys else None
    except (OSError, UnicodeDecodeError):
        document = None
    if document is None or document.root is None:
        return [Place(str(path), 1, 1) for _ in keys]
    return [document.place(_at(document.root, f".{key}")) for key in keys]


def configured_secrets(value: Any) -> tuple[str, ...]:
    """Every text below a configuration that gives a secret away, for redaction; a file that cannot be read gives none."""
    if isinstance(value, Secret):
        try:
            return spellings(value.reveal())
        except OSError:
            return ()
    if isinstance(value, str):
        return tuple(passwords(value))
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, (list, tuple)):
        return tuple(secret for one in value for secret in configured_secrets(one))
    return ()
