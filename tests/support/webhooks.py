"""Webhooks that kube-apiserver calls about changes of a test's own namespace: absent, silent, or answering."""

import asyncio
import base64
import ipaddress
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.kube import Kube

_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
DEPLOYMENTS: Mapping[str, Any] = {
    "apiGroups": ["apps"],
    "apiVersions": ["v1"],
    "operations": ["UPDATE"],
    "resources": ["deployments"],
}
POD_DELETIONS: Mapping[str, Any] = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["DELETE"],
    "resources": ["pods"],
}


def name_of(namespace: str) -> str:
    """The name of the namespace's webhook."""
    return f"{namespace}.webhooks.test"


@asynccontextmanager
async def registered(
    kube: Kube, namespace: str, url: str, rule: Mapping[str, Any] = DEPLOYMENTS, *, ca: bytes = b"", timeout_s: int = 1
) -> AsyncIterator[None]:
    """The webhook at this URL for the length of a block; kube-apiserver takes a moment to hear of it."""
    webhook = {
        "name": name_of(namespace),
        "clientConfig": {"url": url, **({"caBundle": base64.b64encode(ca).decode()} if ca else {})},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": timeout_s,
    }
    await kube.request("POST", _CONFIGURATIONS, {"metadata": {"name": namespace}, "webhooks": [webhook]})
    try:
        yield
    finally:
        await kube.request("DELETE", f"{_CONFIGURATIONS}/{namespace}")


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """The URL of a server that takes connections and never says anything."""
    taken: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.1", 0)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for writer in taken:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in taken), return_exceptions=True)


@asynccontextmanager
async def answering(directory: Path, response: Mapping[str, Any]) -> AsyncIterator[tuple[str, bytes]]:
    """The URL of a server that answers every AdmissionReview so, and the certificate it shows."""

    async def handle(request: web.Request) -> web.Response:
        review = await request.json()
        answer = {"uid": review["request"]["uid"], **response}
        return web.json_response({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer})

    certificate = _certificate(directory)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/", certificate.read_bytes().partition(b"-----BEGIN EC")[0]
    finally:
        await runner.cleanup()


def _certificate(directory: Path) -> Path:
    """A file with a certificate of 127.0.0.1 that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "webhook")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = directory / "webhook.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return file
