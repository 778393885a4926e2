"""A session is a cookie and nothing else: the user's token, encrypted, so that any replica with the key can read it.

The token is nowhere else: neither in a page, nor in an address, nor in the log.
"""

import base64
import hmac
import secrets
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
from aiohttp import web
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

LONGEST_S = 12 * 3600
"""A session ends with its token, and after so long at the latest."""
LARGEST = 4000
"""Bytes of the cookie: browsers drop one whose name and value take more than 4096."""
LARGEST_OPENED = 32_768
COOKIE = "processes-session"
"""Behind `__Host-` on https: no other host of the domain can then set it."""


class TokenTooLarge(Exception):
    """The token does not fit into a cookie."""


@dataclass(frozen=True)
class Session:
    """Whoever shows it has signed in. `token` None: nobody needs to, and nobody can change anything."""

    token: str | None = field(repr=False)
    form_token: str = field(repr=False)
    """In every form of the session: a page of somebody else's does not know it."""
    expires_at: float
    """Seconds since the epoch."""

    @property
    def authorization(self) -> str | None:
        """What the token would be in a header."""
        return None if self.token is None else f"Bearer {self.token}"

    def sent(self, form_token: str) -> bool:
        """Whether a form with this token is one of the session's."""
        return hmac.compare_digest(self.form_token.encode(), form_token.encode("utf-8", "replace"))


OPEN = Session(None, "", float("inf"))
"""Everybody's, where there is no authentication."""


class _Sealed(msgspec.Struct, array_like=True):
    token: str
    form_token: str
    expires_at: float


class Sessions:
    def __init__(self, keys: Sequence[str], wall_clock: Callable[[], float] = time.time) -> None:
        """The first key seals, all of them open. None: a random one, which ends with the process."""
        self._fernet = MultiFernet([_fernet(key) for key in keys or (secrets.token_hex(32),)])
        self._wall_clock = wall_clock

    def begin(self, token: str, expires_at: float) -> Session:
        """A new session for a token that has been found good."""
        return Session(token, secrets.token_urlsafe(24), min(expires_at, self._wall_clock() + LONGEST_S))

    def write(self, session: Session, response: web.StreamResponse, *, secure: bool) -> None:
        """Put the session into a reply. Raises TokenTooLarge."""
        sealed = msgspec.json.encode(_Sealed(session.token or "", session.form_token, session.expires_at))
        # A token is base64 for the most part, which packs as well as the encryption's own base64 swells it.
        value = self._fernet.encrypt(zlib.compress(sealed, 9)).decode().rstrip("=")
        name = _name(secure)
        if len(name) + len(value) > LARGEST:
            raise TokenTooLarge
        response.set_cookie(
            name,
            value,
            max_age=max(0, int(session.expires_at - self._wall_clock())),
            path="/",
            secure=secure,
            httponly=True,
            samesite="Strict",
        )

    def read(self, request: web.Request, *, secure: bool) -> Session | None:
        """The session of a request, unless it has none, it is over, or another key sealed it."""
        value = request.cookies.get(_name(secure))
        if not value or len(value) > LARGEST or not value.isascii():
            return None
        try:
            opened = zlib.decompressobj().decompress(
                self._fernet.decrypt(value + "=" * (-len(value) % 4)), LARGEST_OPENED
            )
            sealed = msgspec.json.decode(opened, type=_Sealed)
        except (InvalidToken, zlib.error, msgspec.DecodeError, ValueError):
            return None
        if sealed.expires_at <= self._wall_clock():
            return None
        return Session(sealed.token, sealed.form_token, sealed.expires_at)

    def end(self, response: web.StreamResponse, *, secure: bool) -> None:
        """Have the browser forget the session."""
        response.del_cookie(_name(secure), path="/", secure=secure, httponly=True, samesite="Strict")


def _name(secure: bool) -> str:
    return f"__Host-{COOKIE}" if secure else COOKIE


def _fernet(secret: str) -> Fernet:
    derived = HKDF(SHA256(), 32, salt=None, info=b"cf-processes session").derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
