"""`python -m service` as a process of its own: how it starts, refuses, migrates and stops."""

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import aiohttp
import orjson
import pytest

from deploy.local.stack import Stack
from service.settings import Settings
from service.store.database import connected, migrations
from tests.support.api import running
from tests.support.kube import eventually


async def run(*verb: str, **environ: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "service",
        *verb,
        env={"PATH": "/usr/bin", "PORT": "0", "MANAGEMENT_PORT": "0", **environ},
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@dataclass(frozen=True)
class Serving:
    process: Process
    url: str
    management_url: str


@asynccontextmanager
async def serving(settings: Settings, **environ: str) -> AsyncIterator[Serving]:
    """A serving process, ready; killed in the end if it is still there."""
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        port, management_port = (probe.getsockname()[1] for probe in (one, other))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "service",
        "serve",
        env={
            "PATH": "/usr/bin",
            "DATABASE_URL": settings.database_url,
            "KUBECONFIG": settings.kubeconfig,
            "PORT": str(port),
            "MANAGEMENT_PORT": str(management_port),
            **environ,
        },
        stderr=PIPE,
    )
    served = Serving(process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{management_port}")
    try:

        async def ready() -> bool:
            try:
                return await status(f"{served.management_url}/readyz") == 200
            except aiohttp.ClientConnectorError:
                return False

        await eventually(ready, 30)
        yield served
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def status(url: str, token: str = "") -> int:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.get(url) as response,
    ):
        await response.read()
        return response.status


async def test_wrong_settings_are_all_named_at_once_and_no_secret() -> None:
    code, out, err = await run(
        "serve", DATABASE_URL="mysql://user:hunter2@host/db", PORT="many", REVIEW_TTL_S="-1", LABEL_PRESET="mine"
    )
    assert (code, out) == (2, "")
    assert [line.split(":")[0] for line in sorted(err.splitlines())] == [
        "DATABASE_URL",
        "LABEL_PRESET",
        "PORT",
        "REVIEW_TTL_S",
    ]
    assert "hunter2" not in err


async def test_missing_cluster_is_one_clear_line(database_url: str) -> None:
    code, _, err = await run("serve", DATABASE_URL=database_url)
    assert code == 2
    assert "KUBECONFIG" in err.splitlines()[-1]
    assert "Traceback" not in err
    code, _, err = await run("serve", DATABASE_URL=database_url, KUBECONFIG="/no/such/file")
    assert code == 2
    assert "/no/such/file" in err.splitlines()[-1]


async def test_broken_kubeconfig_is_one_clear_line(database_url: str, tmp_path: Path) -> None:
    for text in ("{", "", "[]", "users: [{name: u, user: {client-key-data: 'hunter2=='}}]"):
        broken = tmp_path / "kubeconfig"
        broken.write_text(text)
        code, _, err = await run("serve", DATABASE_URL=database_url, KUBECONFIG=str(broken))
        assert code == 2, text
        assert err.splitlines()[-1].startswith("KUBECONFIG: "), text
        assert "Traceback" not in err
        assert "hunter2" not in err


async def test_token_file_with_a_newline_that_is_replaced_goes_on_working(
    settings: Settings, operator_token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.cluster.client.CREDENTIALS_TTL_S", 0.1)
    kubeconfig = orjson.loads(Path(settings.kubeconfig).read_text())
    user = kubeconfig["users"][0]["user"]
    token = tmp_path / "token"
    token.write_text(user.pop("token") + "\n")
    user["tokenFile"] = str(token)
    (tmp_path / "kubeconfig").write_bytes(orjson.dumps(kubeconfig))
    async with running(replace(settings, kubeconfig=str(tmp_path / "kubeconfig")), token=operator_token) as api:
        assert (await api.get("/v3/processes")).status == 200
        good = token.read_text()
        token.write_text("no token\n")

        async def refused() -> bool:
            newcomer = api.as_user(f"{operator_token}{uuid4().hex}")
            return (await newcomer.get("/v3/processes")).status == 503

        await eventually(refused)
        token.write_text(good)

        async def accepted() -> bool:
            newcomer = api.as_user(f"{operator_token}{uuid4().hex}")
            return (await newcomer.get("/v3/processes")).status == 401

        await eventually(accepted)


@pytest.mark.parametrize("port", ["PORT", "MANAGEMENT_PORT"])
async def test_taken_port_is_one_clear_line(settings: Settings, port: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = await run(
            "serve",
            DATABASE_URL=settings.database_url,
            KUBECONFIG=settings.kubeconfig,
            **{port: str(taken.getsockname()[1])},
        )
    assert code == 1
    assert "in use" in err.splitlines()[-1]
    assert "Traceback" not in err


async def test_openapi_prints_the_document_without_cluster_or_database() -> None:
    code, out, err = await run("openapi")
    assert (code, err) == (0, "")
    document = orjson.loads(out)
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "/"}]


async def test_migrate_says_what_it_did(stack: Stack, database_url: str) -> None:
    async with connected(database_url, 5) as connection:
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    first = await run("migrate", DATABASE_URL=database_url)
    applied = "".join(f"applied {migration.number:04} {migration.name}\n" for migration in migrations())
    assert first[:2] == (0, applied)
    assert (await run("migrate", DATABASE_URL=database_url))[:2] == (0, "the schema is up to date\n")


async def test_migrate_without_postgres_is_one_clear_line() -> None:
    code, _, err = await run("migrate", DATABASE_URL="postgresql://user:hunter2@127.0.0.1:1/db")
    assert code == 1
    assert err.splitlines()[-1].startswith("DATABASE_URL: ")
    assert "hunter2" not in err
    assert "Traceback" not in err


async def test_sigterm_finishes_what_is_under_way_and_exits_0(settings: Settings, operator_token: str) -> None:
    async with serving(settings, DRAIN_S="1", DATABASE_TIMEOUT_S="3") as served:
        process, path = served.process, f"{served.url}/v3/processes"
        assert await status(path, operator_token) == 200
        async with connected(settings.database_url, 5) as connection:
            await connection.execute("BEGIN; LOCK TABLE process_metadata IN ACCESS EXCLUSIVE MODE")
            under_way = asyncio.create_task(status(path, operator_token))
            await asyncio.sleep(0.3)
            process.send_signal(signal.SIGTERM)

            async def not_ready() -> bool:
                return await status(f"{served.management_url}/readyz") == 503

            await eventually(not_ready, 1)
            assert not under_way.done()
            await asyncio.sleep(1.2)
            # New connections are refused by now; that it is stopping can be seen to the last.
            with pytest.raises(aiohttp.ClientConnectorError):
                await status(path, operator_token)
            assert await status(f"{served.management_url}/readyz") == 503
            assert await status(f"{served.management_url}/livez") == 200
            assert not under_way.done()
            await connection.execute("ROLLBACK")
        assert await under_way == 200
        assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_logs_are_json_and_hold_no_token_and_no_password(settings: Settings, operator_token: str) -> None:
    async with serving(settings, LOG_LEVEL="debug") as served:
        process, url = served.process, served.url
        assert await status(f"{url}/v3/processes", operator_token) == 200
        assert await status(f"{url}/v3/processes?page=0", operator_token) == 400
        assert await status(f"{url}/v3/processes", "not-a-token-but-secret") == 401
        process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(process.communicate(), 20)
    lines = [orjson.loads(line) for line in err.splitlines()]
    (listening,) = (line for line in lines if line["event"] == "listening")
    for name, where in (("api", served.url), ("management", served.management_url)):
        assert [f"http://{host}:{port}" for host, port in listening[name]] == [where]
    assert {"listening", "listed", "ready", "request"} <= {line["event"] for line in lines}
    requests = [line for line in lines if line["event"] == "request" and line["route"] == "/v3/processes"]
    assert [line["status"] for line in requests] == [200, 400, 401]
    assert len({line["request_id"] for line in requests}) == 3
    password = settings.database_url.split(":")[2].split("@")[0]
    for secret in (operator_token, operator_token.split(".")[2], password, "not-a-token-but-secret"):
        assert secret.encode() not in err
