"""The settings as the environment has them: read once, with all complaints at once."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, cast, get_type_hints
from urllib.parse import urlsplit

from environs import Env, EnvValidationError

from service.settings import Settings

SHORTEST_SECRET = 32


class InvalidSettings(Exception):
    """Some settings are missing or wrong; the message names each, one a line, and repeats no secret."""


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
