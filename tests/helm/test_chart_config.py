"""What the chart gives the daemon: a configuration that it takes, rules that it reloads, secrets by reference only."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from daemon import FAST_RULES, DaemonProcess, alert, webhook_body
from helm_chart import FOLDER, Helm, Objects, ci_values
from waiting import until

from responder.catalogue import catalogue
from responder.cli import main
from responder.config import Config
from responder.secrets import Secret

ROOT = FOLDER.parents[1]
DOCS = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
LITERAL = "literal-4711"


def examples() -> dict[str, dict[str, Any]]:
    """The values in the documentation."""
    found = {}
    for block in re.findall(r"```yaml\n(# values\.yaml.*?)```", DOCS, re.DOTALL):
        found[block.splitlines()[0].removeprefix("# ")] = yaml.safe_load(block)
    assert found
    return found


CASES = {**ci_values(), **examples()}


def in_the_pod(objects: Objects, folder: Path) -> Path:
    """``/etc/responder`` as the container sees it: the mounts of the pod over the rules of the image."""
    etc = folder / "etc"
    mounts = {one["name"]: one["mountPath"] for one in objects.container["volumeMounts"]}
    etc.mkdir()
    (etc / "responder.yaml").write_text(yaml.safe_dump(objects.config), encoding="utf-8")
    shutil.copytree(ROOT / "rules", etc / "rules")
    for one in objects.pod["volumes"]:
        inside = etc / Path(mounts[one["name"]]).relative_to("/etc/responder") if "secret" in one else None
        if inside is not None:
            inside.mkdir(parents=True)
            for key in {Path(path).name for path in files_below(objects.config, inside.relative_to(etc))}:
                (inside / key).write_text(LITERAL, encoding="utf-8")
        elif one["name"] == "rules":
            shutil.rmtree(etc / "rules")
            mount_configmap(etc / "rules", objects.one("ConfigMap", one["configMap"]["name"])["data"], 1)
    return etc


def files_below(value: Any, folder: Path) -> Iterator[str]:
    """The files of a folder that a configuration names."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from files_below(one, folder)
    elif isinstance(value, str) and value.removeprefix("/etc/responder/").startswith(f"{folder}/"):
        yield value


def mount_configmap(folder: Path, data: dict[str, str], version: int) -> None:
    """As the kubelet does it: a hidden folder a version, a link to the present one, replaced at once."""
    hidden = folder / f"..version_{version}"
    hidden.mkdir(parents=True)
    for name, text in data.items():
        (hidden / name).write_text(text, encoding="utf-8")
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..data_tmp").symlink_to(hidden.name)
    (folder / "..data_tmp").replace(folder / "..data")


def variables(objects: Objects) -> dict[str, str]:
    return dict.fromkeys(re.findall(r"\$\{(\w+)\}", yaml.safe_dump(objects.config)), LITERAL)


@pytest.mark.parametrize("name", CASES)
def test_the_rendered_configuration_and_its_rules_pass_the_daemons_own_check(
    helm: Helm, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    objects = helm.render(CASES[name])
    etc = in_the_pod(objects, tmp_path)
    text = (etc / "responder.yaml").read_text(encoding="utf-8").replace("/etc/responder/", f"{etc}/")
    (etc / "responder.yaml").write_text(text, encoding="utf-8")
    for variable, value in variables(objects).items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        main(["check", "--config", str(etc / "responder.yaml")])
    assert ended.value.code == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", CASES)
def test_every_variable_of_the_configuration_is_given_by_reference(helm: Helm, name: str) -> None:
    objects = helm.render(CASES[name])
    given = {one["name"] for one in objects.container.get("env", [])}
    assert all(set(one) == {"name", "valueFrom"} for one in objects.container.get("env", []))
    assert variables(objects).keys() <= given or "envFrom" in objects.container


def test_numbers_stay_whole_on_their_way_into_the_configuration(helm: Helm) -> None:
    assert helm.render({"config": {"max_body_bytes": 33554432}}).config["max_body_bytes"] == 33554432


async def test_a_daemon_answers_the_probes_takes_the_token_and_reloads_mounted_rules(
    helm: Helm, tmp_path: Path
) -> None:
    objects = helm.render({"rules": {"mine.yaml": FAST_RULES}})
    config = {k: v for k, v in objects.config.items() if k not in {"listen", "external_url", "data_dir"}}
    daemon = DaemonProcess(tmp_path, config)
    (tmp_path / "secrets" / "webhook").mkdir(parents=True)
    (tmp_path / "secrets" / "webhook" / "token").write_text(LITERAL, encoding="utf-8")
    shutil.rmtree(tmp_path / "rules")
    mount_configmap(tmp_path / "rules", objects.one("ConfigMap", "responder-rules")["data"], 1)
    await daemon.start()
    try:
        for kind in ("startup", "liveness", "readiness"):
            assert (await daemon.get(objects.container[f"{kind}Probe"]["httpGet"]["path"]))[0] == 200
        raw = webhook_body(alert(1))
        assert (await daemon.alerts(raw))[0] == 401
        bearer = {"Authorization": f"Bearer {LITERAL}"}
        assert (await daemon.alerts(raw, headers=bearer))[0] == 200

        changed = FAST_RULES.replace("- name: database", "- name: replaced")
        mount_configmap(tmp_path / "rules", {"mine.yaml": changed}, 2)
        await until(lambda: "rules reloaded" in daemon.log())
        assert '"replaced"' in json.dumps((await daemon.get("/api/v1/rules"))[1])
    finally:
        assert await daemon.stop() == 0


def test_secrets_are_mounted_from_where_they_are_and_readable_by_the_daemon_only(helm: Helm) -> None:
    objects = helm.render({"secretFiles": {"slack": {"secretName": "mine", "optional": True}}})
    volumes = {one["name"]: one["secret"] for one in objects.pod["volumes"] if "secret" in one}
    assert volumes == {
        "secret-slack": {"secretName": "mine", "optional": True, "defaultMode": 0o440},
        "secret-webhook": {"secretName": "responder-webhook", "defaultMode": 0o440},
    }
    mounts = {one["name"]: one for one in objects.container["volumeMounts"]}
    assert mounts["secret-slack"]["mountPath"] == "/etc/responder/secrets/slack"
    assert all(mounts[name]["readOnly"] for name in volumes)
    assert not objects.of("Secret")
    without = helm.render({"secretFiles": {"webhook": None}})
    assert not [one for one in without.pod["volumes"] if "secret" in one]


def secret_names() -> set[str]:
    """The keys of responder.yaml that hold a secret and nothing else."""
    settings = catalogue().channels.values()
    return {name for kind in (Config, *settings) for name in _secret_names(kind)} - {"url", "template"}


def _secret_names(kind: Any) -> Iterator[str]:
    for field in msgspec.structs.fields(kind):
        parts = [field.type, *getattr(field.type, "__args__", ())]
        parts += [one for part in parts[1:] for one in getattr(part, "__args__", ())]
        for part in parts:
            if part is Secret and not str(field.type).startswith("dict"):
                yield field.encode_name
            elif isinstance(part, type) and issubclass(part, msgspec.Struct):
                yield from _secret_names(part)


def test_a_secret_written_into_the_values_is_refused_and_named(helm: Helm) -> None:
    names = secret_names()
    assert {"token", "signing_secret", "password", "bearer_token", "access_token", "secret"} <= names
    literal = dict.fromkeys(names, LITERAL)
    why = helm.refused({"config": {"channels": {"a": literal}, "list": [literal]}})
    for name in names:
        assert f"config.channels.a.{name}," in f"{why};".replace(";", ",")
        assert f"config.list[0].{name}," in f"{why};".replace(";", ",")
    assert LITERAL not in why


@pytest.mark.parametrize(
    "config",
    [
        {"redis": {"url": f"redis://:{LITERAL}@redis:6379/0"}},
        {"targets": {"postgres": {"main": {"url": f"postgresql://u:{LITERAL}@db/x"}}}},
        {"targets": {"postgres": {"main": {"url": f"postgresql://u:$${LITERAL}@db/x"}}}},
        {"targets": {"http": {"api": {"url": "http://a", "headers": {"Authorization": LITERAL}}}}},
        {"targets": {"http": {"api": {"url": "http://a", "headers": {"X-Api-Key": LITERAL}}}}},
        {"targets": {"http": {"api": {"url": "http://a", "headers": {"apikey": "$${no variable}"}}}}},
    ],
    ids=str,
)
def test_secrets_in_addresses_and_headers_are_refused_too(helm: Helm, config: dict[str, Any]) -> None:
    why = helm.refused({"config": config})
    assert "secrets do not belong into values: config." in why
    assert LITERAL not in why


@pytest.mark.parametrize(
    "config",
    [
        {"redis": {"url": "redis://:${PASSWORD}@redis:6379/0"}},
        {"redis": {"url": "redis://redis:6379/0"}},
        {
            "targets": {
                "http": {"api": {"url": "http://a:8080/x@y", "headers": {"Authorization": "Bearer ${KEY}"}}}
            }
        },
        {"channels": {"token": {"type": "slack", "token_file": "secrets/slack/token"}}},
        {"heartbeats": [{"name": "a", "match": ['token="x"'], "every": "5m"}]},
    ],
    ids=str,
)
def test_references_are_no_secrets(helm: Helm, config: dict[str, Any]) -> None:
    assert helm.render({"config": config}).config.items() >= config.items()


def test_an_environment_variable_with_its_value_is_refused(helm: Helm) -> None:
    why = helm.refused({"env": [{"name": "TOKEN", "value": LITERAL}]})
    assert "values don't meet the specifications of the schema" in why
