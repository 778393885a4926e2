"""Every knob of the service, read from the environment once, with all complaints at once.

A setting is a field of `Settings`: its environment variable is the field's name in capitals, its unit ends the name,
and the text after it is what the table in deploy/SETTINGS.md says of it.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, cast, get_type_hints
from urllib.parse import urlsplit

from environs import Env, EnvValidationError, validate

from service.model.labels import PRESETS, Keys


class InvalidSettings(Exception):
    """Some settings are missing or wrong; the message names each, one a line, and repeats no secret."""


def setting(default: Any, text: str, *, secret: bool = False, **checks: Any) -> Any:
    """A field of Settings: its default, what it means, and environs' validators for it."""
    return field(default=default, repr=not secret, metadata={"text": text, "secret": secret, **checks})


SHORTEST_SECRET = 32
_PORT = validate.Range(0, 65535)
_COUNT = validate.Range(min=1)
_SECONDS = validate.Range(min=0.05, max=86400)


@dataclass(frozen=True, kw_only=True)
class Settings:
    database_url: str = setting(
        "", "Postgres, as `postgresql://user:password@host:5432/database`. Required.", secret=True
    )
    kubeconfig: str = setting(
        "", "A kubeconfig file, for use outside a cluster. Empty: the Pod's own service account, when run in one."
    )
    kube_context: str = setting("", "The context of the kubeconfig to use. Empty: its current one.")
    host: str = setting("127.0.0.1", "The address to listen on.")
    port: int = setting(8080, "The port to listen on; 0 picks a free one.", validate=_PORT)
    management_host: str = setting(
        "127.0.0.1", "The address for probes and metrics, which whoever reaches it may ask without a token."
    )
    management_port: int = setting(9090, "The port for probes and metrics; 0 picks a free one.", validate=_PORT)
    external_url: str = setting(
        "", "The base of every link, such as `https://api.example.org`. Empty: each request's own scheme and Host."
    )
    trusted_proxies: tuple[str, ...] = setting(
        (), "Networks (CIDR, comma-separated) whose `X-Forwarded-Proto`, `-Host` and `-For` are believed."
    )
    authentication: str = setting(
        "kubernetes",
        "`kubernetes`: callers show a token of the cluster. `none`: all may read and none may write; loopback only.",
        validate=validate.OneOf(["kubernetes", "none"]),
    )
    session_secret: tuple[str, ...] = setting(
        (),
        "Encrypts the dashboard's sign-ins: texts of 32 characters or more, comma-separated; the first encrypts, all "
        "decrypt, so that they can be rotated. Empty: a random key per process; sign-ins then end with it, and other "
        "replicas do not know them.",
        secret=True,
    )
    review_ttl_s: float = setting(
        60.0, "How long an answer of TokenReview or SubjectAccessReview is used.", validate=_SECONDS
    )
    review_grace_s: float = setting(
        900.0,
        "How long a positive answer goes on being used while kube-apiserver cannot be asked.",
        validate=validate.Range(min=0, max=86400),
    )
    review_concurrency: int = setting(16, "Reviews asked of kube-apiserver at a time.", validate=_COUNT)
    kube_timeout_s: float = setting(10.0, "For one request to kube-apiserver, watches apart.", validate=_SECONDS)
    kube_write_timeout_s: float = setting(
        35.0, "For one that changes something: in less than 34 none tells which webhook kept it.", validate=_SECONDS
    )
    watch_inactivity_s: float = setting(
        90.0,
        "A watch that is silent for so long is opened anew where it was: its connection may be dead. kube-apiserver "
        "sends a bookmark every 60 s (62 at most), but none before something has changed since the watch began; so "
        "silence is no failure, and the default leaves a busy server half a minute.",
        validate=_SECONDS,
    )
    database_timeout_s: float = setting(
        2.0, "For one statement; a read then goes on with the metadata known.", validate=_SECONDS
    )
    database_pool_size: int = setting(
        8, "Connections of a replica for writes, beside the one for reads.", validate=_COUNT
    )
    orphaned_metadata_days: int = setting(
        30,
        "For how long the metadata of a process is kept once its Deployment is gone. 0: for ever.",
        validate=validate.Range(min=0, max=36_500),
    )
    label_preset: str = setting(
        "default",
        "Whose label keys the Deployments carry: `default`, `korifi` or `eirini`.",
        validate=validate.OneOf(sorted(PRESETS)),
    )
    app_guid_label: str = setting("", "Replaces the preset's label of the app GUID.")
    process_type_label: str = setting("", "Replaces the preset's label of the process type.")
    process_guid_label: str = setting("", "Replaces the preset's label of the process GUID.")
    space_guid_label: str = setting("", "Replaces the preset's label of the space GUID.")
    organization_guid_label: str = setting("", "Replaces the preset's label of the organization GUID.")
    user_ids: tuple[str, ...] = setting(
        ("vcap=2000",), "Names of users that processes may be given, and the uids they stand for (comma-separated)."
    )
    fds_quota: int = setting(16384, "Open files that stats say an instance may have.", validate=_COUNT)
    instance_stopping_state: bool = setting(
        False,
        "`true`: an instance whose Pod is being deleted is STOPPING, which not every client knows; else it is DOWN.",
    )
    max_concurrent_requests: int = setting(
        512, "Requests worked on at a time; more get 503 with Retry-After.", validate=_COUNT
    )
    rate_limit_requests: int = setting(
        0,
        "Requests each caller has in a window, of each replica; without a valid token, each address. 0: no limit.",
        validate=validate.Range(min=0),
    )
    rate_limit_window_s: float = setting(60.0, "How long such a window is.", validate=_SECONDS)
    max_body_bytes: int = setting(1 << 20, "The largest request body, once decompressed.", validate=_COUNT)
    max_bytes_in_flight: int = setting(
        64 << 20,
        "Of what clients have begun to send and of replies they have not taken yet, all of them together; beyond, "
        "whoever has kept us waiting longest is given up, and from half as many on whoever stands still.",
        validate=_COUNT,
    )
    max_connections: int = setting(
        1000,
        "Connections open at a time, fewer where the process may not open as many files; beyond, an idle one is "
        "closed, or whichever has kept us waiting longest.",
        validate=_COUNT,
    )
    head_timeout_s: float = setting(
        10.0, "For a client to send the request line and headers, once connected.", validate=_SECONDS
    )
    body_timeout_s: float = setting(20.0, "For a client to send a request's body.", validate=_SECONDS)
    send_timeout_s: float = setting(
        30.0, "For a client to take a reply; where that is more than 256 KiB, the next 256 KiB.", validate=_SECONDS
    )
    idle_timeout_s: float = setting(
        75.0,
        "For a connection to stay open between two requests; longer than a proxy in front keeps its own, so that "
        "no request meets a connection being closed.",
        validate=_SECONDS,
    )
    drain_s: float = setting(
        0.0,
        "After SIGTERM, how long to go on accepting requests while `/readyz` says no.",
        validate=validate.Range(min=0, max=600),
    )
    shutdown_timeout_s: float = setting(20.0, "How long requests under way may take to finish.", validate=_SECONDS)
    log_level: str = setting(
        "info",
        "`debug` (one line a request), `info`, `warning` or `error`.",
        validate=validate.OneOf(["debug", "info", "warning", "error"]),
    )

    @property
    def uids(self) -> Mapping[str, int]:
        """The uid of each name of USER_IDS."""
        pairs = (entry.partition("=") for entry in self.user_ids)
        return {name: int(uid) for name, _, uid in pairs}

    @property
    def keys(self) -> Keys:
        """The preset's label keys with those replaced that are set by name."""
        named = {
            name.removesuffix("_label"): key for name, key in vars(self).items() if name.endswith("_label") and key
        }
        return replace(PRESETS[self.label_preset], **named)


class _MappingEnv(Env):
    """environs over a mapping given, so that nothing but the entry point reads the process's environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(eager=False)
        # An empty variable is an unset one: that is what `FOO= command` and an optional Secret key mean.
        self._given = {name: value for name, value in environ.items() if value != ""}

    def _get_value(self, env_key: str, default: Any) -> Any:
        return self._given.get(env_key, default)


def load(environ: Mapping[str, str]) -> Settings:
    """Settings from environment variables. Raises InvalidSettings naming everything that is wrong."""
    types = get_type_hints(Settings)
    # int() and float() would also take 8_080, ' 8080' and the digits of other scripts.
    odd = [
        name.upper()
        for name, kind in types.items()
        if kind in (int, float) and not _NUMBER.fullmatch(environ.get(name.upper()) or "0")
    ]
    env = _MappingEnv({name: value for name, value in environ.items() if name not in odd})
    values = {knob.name: _read(env, knob, types[knob.name]) for knob in fields(Settings)}
    unreadable: dict[str, str] = {}
    try:
        env.seal()
    except EnvValidationError as error:
        messages = cast(Mapping[str, list[str]], error.error_messages)
        unreadable = {name: " ".join(texts) for name, texts in messages.items()}
    settings = Settings(**{name: value for name, value in values.items() if name.upper() not in unreadable})
    complaints = [f"{name}: Not a valid number." for name in odd]
    complaints += [f"{name}: {text}" for name, text in unreadable.items()] + _cross_check(settings)
    if complaints:
        raise InvalidSettings("\n".join(complaints))
    return settings


def _read(env: Env, knob: Field[Any], kind: Any) -> Any:
    name, default = knob.name.upper(), cast(Any, knob.default)
    checks = {"validate": knob.metadata["validate"]} if "validate" in knob.metadata else {}
    if kind is int:
        return env.int(name, default, **checks)
    if kind is float:
        return env.float(name, default, **checks)
    if kind is bool:
        return env.bool(name, default, **checks)
    if kind is str:
        return env.str(name, default, **checks)
    return tuple(part.strip() for part in env.list(name, list(default), **checks) or ())


_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_LABEL_KEY = re.compile(
    r"((?=.{1,253}/)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?",
    re.ASCII,
)


def _cross_check(settings: Settings) -> list[str]:
    complaints = []
    if not settings.database_url:
        complaints.append("DATABASE_URL: is required, such as postgresql://user:password@host:5432/database")
    elif not _is_database_url(settings.database_url):
        complaints.append("DATABASE_URL: must be of the form postgresql://user:password@host:5432/database")
    if settings.external_url and not _is_base_url(settings.external_url):
        complaints.append("EXTERNAL_URL: must be http:// or https:// with a host, and no query")
    for network in settings.trusted_proxies:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            complaints.append(f"TRUSTED_PROXIES: '{network}' is not a network such as 10.0.0.0/8")
    if settings.max_bytes_in_flight < 2 * settings.max_body_bytes:
        complaints.append("MAX_BYTES_IN_FLIGHT: must be at least twice as large as MAX_BODY_BYTES")
    if any(len(secret) < SHORTEST_SECRET for secret in settings.session_secret):
        complaints.append(f"SESSION_SECRET: each must have {SHORTEST_SECRET} characters or more")
    complaints += [
        f"USER_IDS: '{entry}' is not of the form name=uid, with a uid from 0 to 2147483647"
        for entry in settings.user_ids
        if not (match := re.fullmatch(r"[^=\s]+=(\d{1,10})", entry, re.ASCII)) or int(match[1]) >= 1 << 31
    ]
    for knob in fields(settings):
        key = getattr(settings, knob.name)
        if knob.name.endswith("_label") and key and not _LABEL_KEY.fullmatch(key):
            complaints.append(f"{knob.name.upper()}: '{key}' is not a label key")
    if settings.authentication == "none" and not _is_loopback(settings.host):
        complaints.append(
            f"AUTHENTICATION: none is for loopback only, and HOST is '{settings.host}': set HOST to 127.0.0.1"
        )
    return complaints


def _is_database_url(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    # Several hosts, for a database that fails over, are joined by commas: no URL of urlsplit's, but one of Postgres'.
    ports = (re.fullmatch(r"(?:\[[^]]*\]|[^:]*)(?::(\d+))?", host) for host in url.netloc.rpartition("@")[2].split(","))
    return url.scheme in ("postgresql", "postgres") and all(
        port is not None and 0 < int(port[1] or 5432) < 65536 for port in ports
    )


def _is_base_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        plain = not url.query and not url.fragment and not url.username and url.port != 0
        return url.scheme in ("http", "https") and bool(url.hostname) and plain
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
