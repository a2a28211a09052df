"""The container image: read as text, and its package built and run as the image does it. No container engine is needed."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from daemon import FAST_RULES, DaemonProcess
from dockerfile import context, copied_from_the_tree, stages

from responder.cli import parser

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STAGES = stages(TEXT)
BUILDER, FINAL = STAGES


def run(*command: str | Path, cwd: Path) -> str:
    """A program with neither this checkout nor its settings in reach."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_both_stages_are_the_same_plain_slim_python_that_the_package_supports() -> None:
    assert BUILDER.image == FINAL.image
    found = re.fullmatch(r"python:3\.(\d+)-slim", FINAL.image)
    assert found, "a name without a registry's host"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert int(found[1]) >= int(project["requires-python"].removeprefix(">=3."))


def test_every_file_that_is_copied_exists_and_reaches_the_build(tmp_path: Path) -> None:
    context(ROOT, tmp_path)
    wanted = [source for stage in STAGES for source in copied_from_the_tree(stage)]
    assert {"requirements.lock", "pyproject.toml", "responder/", "rules/"} <= set(wanted)
    assert [one for one in wanted if not (tmp_path / one).exists()] == []
    assert {one.name for one in tmp_path.iterdir()} == {one.rstrip("/") for one in wanted}, (
        "and nothing else does"
    )
    assert not [one for one in tmp_path.rglob("*") if one.name == "__pycache__" or one.suffix == ".pyc"]


def test_only_locked_wheels_come_in_each_by_its_hash() -> None:
    locked = next(one for one in BUILDER.all("RUN") if "requirements.lock" in one)
    assert "--require-hashes" in locked
    assert "--only-binary :all:" in locked
    package = next(one for one in BUILDER.all("RUN") if one.endswith("install --no-deps ."))
    assert BUILDER.all("RUN").index(locked) < BUILDER.all("RUN").index(package)


def test_the_image_gets_the_environment_and_the_rules_and_no_tools() -> None:
    assert FINAL.all("COPY") == [
        "--from=builder /opt/responder /opt/responder",
        "rules/ /etc/responder/rules/",
    ]
    assert not FINAL.all("ADD")
    installs = re.compile(r"\b(apt|apt-get|apk|gcc|build-essential|curl|wget|git|pip install)\b")
    assert not [one for one in FINAL.all("RUN") if installs.search(one)]
    assert any("pip uninstall --yes" in one for one in FINAL.all("RUN"))
    assert "--without-pip" in next(one for one in BUILDER.all("RUN") if "venv" in one)


def test_it_runs_as_a_number_that_is_not_root_and_owns_only_its_data() -> None:
    users = FINAL.all("USER")
    assert len(users) == 1
    user, group = users[0].split(":")
    assert int(user) > 0
    assert int(group) > 0
    after = [word for word, _ in FINAL.steps[FINAL.steps.index(("USER", users[0])) :]]
    assert not {"RUN", "COPY"} & set(after)
    owned = next(one for one in FINAL.all("RUN") if "install --directory" in one)
    assert owned.endswith(f"--owner {user} --group {group} --mode 0700 /data")
    assert FINAL.exec_form("VOLUME") == ["/data"]
    assert FINAL.last("WORKDIR") == "/data"


def test_signals_reach_the_daemon_and_its_command_is_one_that_it_has() -> None:
    assert FINAL.exec_form("ENTRYPOINT") == ["responder"]
    arguments = parser().parse_args(FINAL.exec_form("CMD"))
    assert (arguments.command, arguments.config) == ("serve", "/etc/responder/responder.yaml")
    assert FINAL.last("STOPSIGNAL") == "SIGTERM"
    assert 'PATH="/opt/responder/bin:${PATH}"' in FINAL.last("ENV")


@pytest.mark.parametrize("label", ["title", "description", "licenses", "version", "revision"])
def test_it_is_labelled(label: str) -> None:
    assert f"org.opencontainers.image.{label}=" in FINAL.last("LABEL")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as the builder installs it: from the build's context, not editable, into an environment without pip.

    The dependencies are this environment's, where the locked ones are installed already.
    """
    folder = tmp_path_factory.mktemp("builder")
    source = folder / "src"
    source.mkdir()
    context(ROOT, source)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(
        *pip,
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "-w",
        folder,
        ".",
        cwd=source,
    )
    venv.create(folder / "venv", with_pip=False)
    (wheel,) = folder.glob("*.whl")
    own = folder / "venv" / "bin" / "python"
    run(*pip, "--python", own, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    packages = Path(
        run(own, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    )
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return folder


def test_the_wheel_holds_every_file_of_the_package(installed: Path) -> None:
    (wheel,) = installed.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("responder/")}
    package = installed / "src" / "responder"
    assert held == {str(one.relative_to(package.parent)) for one in package.rglob("*") if one.is_file()}


def test_the_installed_package_checks_the_shipped_rules(installed: Path) -> None:
    responder = installed / "venv" / "bin" / "responder"
    assert "responder check rules/" in BUILDER.all("RUN")[-1]
    assert run(responder, "check", installed / "src" / "rules", cwd=installed).startswith("0 error(s)")
    where = run(
        installed / "venv" / "bin" / "python",
        "-c",
        "import responder; print(responder.__file__)",
        cwd=installed,
    )
    assert where.startswith(str(installed / "venv"))


async def test_the_installed_daemon_serves_its_pages_and_stops_on_sigterm(
    installed: Path, tmp_path: Path
) -> None:
    daemon = DaemonProcess(tmp_path, {}, FAST_RULES)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    log = (tmp_path / "log").open("ab")
    daemon.process = await asyncio.create_subprocess_exec(
        str(installed / "venv" / "bin" / "responder"), "serve", "--config", str(tmp_path / "responder.yaml"),
        cwd=installed, env=environment, stdout=log, stderr=log,
    )  # fmt: skip
    log.close()
    try:
        await daemon.until_ready()
        status, page = await daemon.get("/")
        assert status == 200
        links = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
        assert links
        assert [(await daemon.get(link))[0] for link in links] == [200] * len(links)
    finally:
        assert await daemon.stop() == 0, daemon.log()
