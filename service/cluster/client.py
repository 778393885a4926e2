"""HTTP requests to kube-apiserver, under the service's own identity or with a caller's token.

kubernetes_asyncio finds the cluster and the credentials (service.cluster.kubernetes_client). Bodies stay bytes: its
models cost a hundred times what decoding the needed fields does.
"""

import asyncio
import copy
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp
import orjson
from aiohttp import hdrs

from service.cluster.answers import Answer, status_message, warning_texts, words_of
from service.cluster.configuration import NoCluster, load_configuration, proxy_of_environment
from service.cluster.kubernetes_client import ApiClient, ConfigException, Configuration
from service.cluster.paths import verb_and_resource
from service.cluster.reachability import SETTLING_S, Reachability
from service.errors import ServiceUnavailable
from service.telemetry import get_logger

log = get_logger(__name__)

CONNECT_TIMEOUT_S = 5.0
ASK_AGAIN_S = 0.2
"""Time for a connection, and for credentials that are read anew."""
LARGE_BODY = 1 << 20
"""Bytes of a body from which it is sent in pieces, so that others get their turn."""
CREDENTIALS_TTL_S = 60.0
"""How long credentials are used before they are read anew: tokens are rotated in their files."""

Observer = Callable[[str, str, str, float], None]
"""Called for each request with verb, resource, outcome (HTTP status, or `unreachable`) and seconds until the answer."""


class ClusterUnreachable(ServiceUnavailable):
    """kube-apiserver did not answer, or answered that it cannot now."""

    def __init__(self, reason: str, *, status: int | None = None, said: str | None = None) -> None:
        super().__init__("The Kubernetes API server is not available")
        self.reason = reason
        """The method, the path and what went wrong: for the log, not for callers."""
        self.http_status = status
        """kube-apiserver's; None: there was no answer."""
        self.said = said
        """kube-apiserver's own words; None: it was not itself that answered."""


class UnexpectedStatus(Exception):
    """kube-apiserver refused a request that the service made for itself: its configuration or a version is wrong."""

    def __init__(self, status: int, method: str, path: str, body: bytes) -> None:
        super().__init__(f"{method} {path}: HTTP {status}: {status_message(body)}")
        self.status = status


class Client:
    """Sends requests to one kube-apiserver. Whoever makes one closes it."""

    @classmethod
    async def connect(
        cls, kubeconfig: str, context: str, *, timeout_s: float, on_answer: Observer = lambda *_: None
    ) -> "Client":
        """A client of the configured cluster, of which nothing has been asked yet. Raises NoCluster.

        `timeout_s` is for each request, streams apart.
        """

        async def load() -> Configuration:
            return await load_configuration(kubeconfig, context)

        return cls(await load(), timeout_s, reload=load, on_answer=on_answer)

    def __init__(
        self,
        configuration: Configuration,
        timeout_s: float,
        *,
        reload: Callable[[], Awaitable[Configuration]] | None = None,
        on_answer: Observer = lambda *_: None,
        reachability: Reachability | None = None,
    ) -> None:
        self.reachability = reachability or Reachability()
        self._configuration = configuration
        self._reload = reload
        self._on_answer = on_answer
        self._reload_at = time.monotonic() + CREDENTIALS_TTL_S
        self._api = ApiClient(configuration)
        # NB: its own session would keep cookies, and so hand on to one caller what a proxy has given to another.
        self._session = aiohttp.ClientSession(
            connector=self._api.rest_client.pool_manager.connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._proxy = configuration.proxy or proxy_of_environment(str(configuration.host))
        self._timeout_s = timeout_s
        self._timeout = _timeout(timeout_s)

    @property
    def address(self) -> str:
        """The URL of kube-apiserver, without the user and password that one may hold."""
        url = urlsplit(str(self._configuration.host))
        return urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, "", ""))

    def without_identity(self) -> "Client":
        """A client of the same cluster without our credentials, for requests that carry a caller's token.

        NB: a client certificate of the service's kubeconfig would win over any token sent beside it.
        """
        configuration = copy.deepcopy(self._configuration)
        configuration.api_key = {}
        configuration.cert_file = configuration.key_file = None
        return Client(configuration, self._timeout_s, on_answer=self._on_answer, reachability=self.reachability)

    async def close(self) -> None:
        await self._session.close()
        await self._api.close()

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """GET, and the body of the 200 or 201. Raises ClusterUnreachable, UnexpectedStatus."""
        return await self._exchange("GET", path, query, None)

    async def create(self, path: str, body: object) -> bytes:
        """POST an object, and the body of the 200 or 201. Raises ClusterUnreachable, UnexpectedStatus."""
        return await self._exchange("POST", path, None, body)

    async def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        *,
        content_type: str = "application/json",
        token: str | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Send any request, with the token where one is given, and within `timeout_s` where that is given.

        A denial (403) is asked again while it may have come too soon. Raises ClusterUnreachable, which says nothing of
        whether the request was carried out.
        """
        headers = {"Content-Type": content_type}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else _data(orjson.dumps(body))
        timeout = self._timeout if timeout_s is None else _timeout(timeout_s)
        while True:
            async with self._open(method, path, query, data, timeout, headers) as response:
                try:
                    answer = await response.read()
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    raise ClusterUnreachable(f"{method} {path}: {type(error).__name__}") from error
                _require_available(response, method, path, answer)
            if response.status != 403 or not await self.may_deny_too_soon():
                return Answer(response.status, answer, warning_texts(response.headers.getall(hdrs.WARNING, ())))

    async def may_deny_too_soon(self) -> bool:
        """Whether what was just denied is to be asked again; then it is time to, when this comes back."""
        if not self.reachability.is_in_doubt:
            return False
        await asyncio.sleep(ASK_AGAIN_S)
        if await self._is_ready():
            # What was denied may have been so before. If it is denied once more, it is.
            self.reachability.settled()
        return True

    async def _is_ready(self) -> bool:
        """Whether kube-apiserver says that it has read all that it decides by; where nobody may ask, after a while."""
        try:
            async with self._open("GET", "/readyz", None, None, self._timeout, {}) as response:
                if response.status in (401, 403, 404):
                    return self.reachability.back_for_s >= SETTLING_S
                return response.status == 200
        except ClusterUnreachable:
            return False

    async def _exchange(self, method: str, path: str, query: Mapping[str, str] | None, body: object) -> bytes:
        answer = await self.send(method, path, query, body)
        if answer.status not in (200, 201):
            raise UnexpectedStatus(answer.status, method, path, answer.body)
        return answer.body

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], *, inactivity_s: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """GET, with a 200 to be read piece by piece. Reading raises TimeoutError after `inactivity_s` of silence.

        Raises ClusterUnreachable, UnexpectedStatus.
        """
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S, sock_read=inactivity_s)
        async with self._open("GET", path, query, None, timeout, {}) as response:
            _require_available(response, "GET", path, b"")
            if response.status != 200:
                raise UnexpectedStatus(response.status, "GET", path, await response.read())
            yield response

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: bytes | io.BytesIO | None,
        timeout: aiohttp.ClientTimeout,
        headers: Mapping[str, str],
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        started, outcome = time.monotonic(), "unreachable"
        try:
            sent = {
                "Accept": "application/json",
                "User-Agent": "cf-processes",
                **await self._credentials(),
                **headers,
            }
            response = await self._session.request(
                method,
                f"{self._configuration.host}{path}" + ("?" + urlencode(query) if query else ""),
                headers=sent,
                data=body,
                timeout=timeout,
                server_hostname=self._configuration.tls_server_name,
                proxy=self._proxy,
                proxy_headers=self._configuration.proxy_headers,
            )
            outcome = str(response.status)
            if _is_available(response.status):
                self.reachability.answered()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, ConfigException) as error:
            # A ValueError: credentials in the URL, or in a netrc, beside the token.
            raise ClusterUnreachable(f"{method} {path}: {type(error).__name__}") from error
        finally:
            self._on_answer(*verb_and_resource(method, path, query), outcome, time.monotonic() - started)
        async with response:
            yield response

    async def _credentials(self) -> dict[str, str]:
        """The headers that say who we are, read anew when they are CREDENTIALS_TTL_S old."""
        if self._reload is not None and time.monotonic() >= self._reload_at:
            self._reload_at = time.monotonic() + CREDENTIALS_TTL_S
            try:
                # A plugin that hangs must not hold up everything that is asked.
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    self._configuration.api_key = (await self._reload()).api_key
            except (NoCluster, TimeoutError) as error:
                log.warning("credentials could not be read anew", reason=str(error))
        settings = (await self._configuration.auth_settings()).values()
        # A newline at the end of a token's file is no part of the token, and would make every request invalid.
        return {setting["key"]: setting["value"].strip() for setting in settings}


def _data(body: bytes) -> bytes | io.BytesIO:
    return body if len(body) <= LARGE_BODY else io.BytesIO(body)


def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, connect=min(seconds, CONNECT_TIMEOUT_S))


def _is_available(status: int) -> bool:
    return status != 429 and status < 500


def _require_available(response: aiohttp.ClientResponse, method: str, path: str, body: bytes) -> None:
    """Raises ClusterUnreachable for a status that says that nothing can be had now."""
    status = response.status
    if not _is_available(status):
        raise ClusterUnreachable(f"{method} {path}: HTTP {status}", status=status, said=words_of(body))
