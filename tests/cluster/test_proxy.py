"""The way to kube-apiserver where the environment names a proxy."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.local.stack import Stack
from service.cluster.client import Client, ClusterUnreachable

NAMESPACES = "/api/v1/namespaces"
VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass
class Proxy:
    """An HTTP proxy that opens tunnels (CONNECT), and what it was told."""

    url: str = ""
    heads: list[str] = field(default_factory=list)


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    proxy, tasks = Proxy(), set[asyncio.Task[None]]()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        proxy.heads.append(head)
        host, _, port = head.split()[1].rpartition(":")
        other_reader, other_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, other_writer), pump(other_reader, writer))

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(tunnel(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.url = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield proxy
    server.close()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    await server.wait_closed()


async def ask(stack: Stack) -> bytes:
    client = await Client.connect(str(stack.service_kubeconfig), "", timeout_s=5)
    try:
        return await client.get(NAMESPACES)
    finally:
        await client.close()


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
async def test_goes_through_the_proxy_of_the_environment_with_its_password(
    stack: Stack, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, f"http://jane:secret@{proxy.url}")
    assert b"NamespaceList" in await ask(stack)
    (head,) = proxy.heads
    assert head.startswith("CONNECT 127.0.0.1:")
    assert "Proxy-Authorization: Basic amFuZTpzZWNyZXQ=" in head


@pytest.mark.parametrize("excepted", ["example.test, 127.0.0.1", "127.0.0.1:{port}", "*"])
async def test_goes_past_it_where_the_environment_excepts_the_cluster(
    stack: Stack, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, excepted: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.url}")
    port = stack.control_plane.server.rpartition(":")[2]
    monkeypatch.setenv("NO_PROXY", excepted.replace("{port}", port))
    assert b"NamespaceList" in await ask(stack)
    assert proxy.heads == []


async def test_a_proxy_of_other_traffic_is_none_of_its_business(
    stack: Stack, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.url}")
    assert b"NamespaceList" in await ask(stack)
    assert proxy.heads == []


async def test_a_proxy_that_is_not_there_makes_the_cluster_unreachable(
    stack: Stack, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://jane:secret@127.0.0.1:9")
    with pytest.raises(ClusterUnreachable) as raised:
        await ask(stack)
    assert "secret" not in raised.value.reason


async def test_passwords_of_a_netrc_do_not_take_the_tokens_place(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, operator_token: str
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login jane password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    client = await Client.connect(str(stack.service_kubeconfig), "", timeout_s=5)
    callers = client.without_identity()
    answer = await callers.send("GET", "/apis/apps/v1/deployments", token=operator_token)
    await callers.close()
    await client.close()
    assert answer.status == 200
