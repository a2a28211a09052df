"""A real Superset on SQLite: made once, then served with this or that setting of its caches."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

ADMIN = ("admin", "admin-password-1")
CACHES = ("cache", "apart")
PLAIN = ("plain", "plain-password-1")

_CONFIG = """
import os
HOME = os.environ["SUPERSET_HOME"]
SECRET_KEY = "only-for-tests-" + "0123456789abcdef" * 2
SQLALCHEMY_DATABASE_URI = f"sqlite:///{HOME}/superset.db?check_same_thread=false"
CACHE_CONFIG = {
    "CACHE_TYPE": "FileSystemCache", "CACHE_DIR": f"{HOME}/cache", "CACHE_DEFAULT_TIMEOUT": 3600,
}
DATA_CACHE_CONFIG = {**CACHE_CONFIG, "CACHE_DIR": f"{HOME}/{os.environ['DATA_CACHE']}"}
STORE_CACHE_KEYS_IN_METADATA_DB = os.environ["STORE_KEYS"] == "yes"
PREVENT_UNSAFE_DB_CONNECTIONS = False
TALISMAN_ENABLED = False
"""


class RealSuperset:
    """The installation: its program, its folder, its database and users."""

    def __init__(self, program: str, home: Path) -> None:
        self._program = program
        self.home = home
        (home / "superset_config.py").write_text(_CONFIG)
        with sqlite3.connect(home / "sales.db") as data:
            data.execute("CREATE TABLE sales (region TEXT, amount INT)")
            data.execute("INSERT INTO sales VALUES ('north', 1), ('south', 2)")
        data.close()
        self._run("db", "upgrade")
        for (name, password), command in (
            (ADMIN, ("create-admin",)),
            (PLAIN, ("create-user", "--role", "Public")),
        ):
            who = ("--firstname", name, "--lastname", name, "--email", f"{name}@example.com")
            if name == PLAIN[0]:
                self._run("init")
            self._run("fab", *command, "--username", name, *who, "--password", password)

    def _environment(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "SUPERSET_HOME": str(self.home),
            "SUPERSET_CONFIG_PATH": str(self.home / "superset_config.py"),
            "FLASK_APP": "superset",
            "STORE_KEYS": "yes",
            "DATA_CACHE": "cache",
            "PYTHONPATH": "",
            **more,
        }

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            [self._program, *command], env=self._environment(), capture_output=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr.decode()[-2_000:]

    def forget(self) -> None:
        """Empty the caches, and the table of remembered cache keys."""
        for entry in (entry for name in CACHES for entry in (self.home / name).glob("*")):
            entry.unlink()
        with sqlite3.connect(self.home / "superset.db") as database:
            database.execute("DELETE FROM cache_keys")
        database.close()

    @contextmanager
    def serving(self, *, store_keys: bool = True, data_cache: str = "cache") -> Iterator[str]:
        """The address of a server that remembers its cache keys, and keeps data in a cache, as given."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        environment = self._environment(STORE_KEYS="yes" if store_keys else "no", DATA_CACHE=data_cache)
        with (self.home / f"{port}.log").open("wb") as log:
            process = subprocess.Popen(
                [self._program, "run", "--host", "127.0.0.1", "--port", str(port), "--no-reload"],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                _until_up(f"http://127.0.0.1:{port}", process)
                yield f"http://127.0.0.1:{port}"
            finally:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "superset ended"
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                assert answer.read() == b"OK"
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError("superset does not answer")


class Person:
    """Somebody at a browser, logged in as the administrator."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self._headers: dict[str, str] = {}

    async def __aenter__(self) -> Person:
        user, password = ADMIN
        given = {"username": user, "password": password, "provider": "db"}
        token = (await self.ask("POST", "security/login", given))["access_token"]
        self._headers["Authorization"] = f"Bearer {token}"
        self._headers["X-CSRFToken"] = (await self.ask("GET", "security/csrf_token/"))["result"]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        async with self._session.request(
            method, f"{self._url}/api/v1/{path}", json=body, headers=self._headers
        ) as answer:
            assert answer.status < 300, (path, answer.status, await answer.text())
            return await answer.json()

    async def board(self, data: Path) -> int:
        """A dashboard with one chart that works and one whose table is gone; its number."""
        base = await self.ask(
            "POST",
            "database/",
            {"database_name": "d", "sqlalchemy_uri": f"sqlite:///{data}?check_same_thread=false"},
        )
        dataset = (await self.ask("POST", "dataset/", {"database": base["id"], "table_name": "sales"}))["id"]
        board = (await self.ask("POST", "dashboard/", {"dashboard_title": "Board", "slug": "board"}))["id"]
        charts = [await self._chart(board, dataset, name) for name in ("region", "gone")]
        cells = {f"C{n}": {"type": "CHART", "id": f"C{n}", "meta": {"chartId": n}} for n in charts}
        metadata = json.dumps({"positions": cells})
        await self.ask("PUT", f"dashboard/{board}", {"json_metadata": metadata})
        return int(board)

    async def _chart(self, board: int, dataset: int, column: str) -> int:
        kind = {"viz_type": "table", "datasource": f"{dataset}__table"}
        body = {
            "slice_name": f"by {column}",
            "viz_type": "table",
            "datasource_id": dataset,
            "datasource_type": "table",
            "params": json.dumps(kind),
            "query_context": json.dumps(query(dataset, column)),
            "dashboards": [board],
        }
        return int((await self.ask("POST", "chart/", body))["id"])

    async def sees_cached(self) -> bool:
        """Whether the chart comes from the cache (and it is in it afterwards)."""
        found = await self.ask("POST", "chart/data", query(1, "region"))
        return bool(found["result"][0]["is_cached"])

    async def cached_at(self) -> str:
        """When what is in the cache was computed; it goes by seconds, so that a later one may need a second."""
        found = await self.ask("POST", "chart/data", query(1, "region"))
        return str(found["result"][0]["cached_dttm"])


def query(dataset: int, column: str) -> dict[str, Any]:
    metric = {"expressionType": "SQL", "sqlExpression": "sum(amount)", "label": "total"}
    asked = {"columns": [column], "metrics": [metric], "row_limit": 100, "orderby": [], "filters": []}
    return {
        "datasource": {"id": dataset, "type": "table"},
        "force": False,
        "queries": [asked],
        "result_format": "json",
        "result_type": "full",
        "form_data": {"viz_type": "table", "datasource": f"{dataset}__table"},
    }
