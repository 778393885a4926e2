"""Requests that come as they came before, to the byte: answered before anybody has parsed them, if an answer is ready.

What is known of such a request, its head was parsed for: that it is all there is, wants nothing special, and which
answer it gets. So nothing is left to do but to see whether that answer still holds. It saves a third of what an answer
costs that is ready. Whatever is in doubt, aiohttp is given what has come, as if it had come only now: more bytes, an
answer that does not hold, a server that is about to end.
"""

import asyncio
import hashlib
from typing import Any

from aiohttp import web

from service.http.connection import Connection
from service.http.connections import Connections
from service.http.ready_answers import Asked, Ready, ReadyAnswers
from service.telemetry import get_logger, outline

log = get_logger(__name__)

LONGEST_HEAD = 4096
"""Bytes: those of longer ones, while they wait, would have to be counted."""
_END = b"\r\n\r\n"
_UNKNOWN = Asked()


class RepeatingConnection(Connection):
    """A connection whose client may ask the same again."""

    __slots__ = ("_answers", "_repeat", "_waits", "asked")

    def __init__(self, manager: web.Server, connections: Connections, answers: ReadyAnswers, **kwargs: Any) -> None:
        """`kwargs` are aiohttp's."""
        super().__init__(manager, connections, **kwargs)
        self._answers = answers
        self._repeat = b""
        """The request whose answer is being looked at."""
        self._waits: asyncio.Task[None] | None = None
        """Looks at it."""
        self.asked = _UNKNOWN

    def data_received(self, data: bytes) -> None:
        if self._waits is not None:
            # Requests are answered in their order, which aiohttp sees to.
            self._hand_over()
        head = self._hash(data) if self._is_whole(data) else None
        if head is not None and (ready := self._answers.find(head)) is not None:
            self._repeat = data
            self._note_time()
            self._waits = self._loop.create_task(self._answer(ready))
            return
        requests = self._request_count
        super().data_received(data)
        self.asked = Asked(head) if self._request_count == requests + 1 else _UNKNOWN

    def connection_lost(self, exc: BaseException | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def close(self) -> None:
        # The server ends: what it has taken in it answers, and says so with the answer.
        self._hand_over()
        super().close()

    def patience_used(self, now: float) -> float | None:
        return super().patience_used(now) if self._waits is None else None

    async def _answer(self, ready: Ready) -> None:
        """Send the answer if it holds."""
        try:
            again = await self._answers.once_more(ready)
        except Exception as error:  # noqa: BLE001 - a defect: whoever works out answers says so to the client
            log.error("ready answer failed", **outline(error))
            again = None
        if again is None:
            self._hand_over(in_doubt=True)
            return
        self._forget()
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        transport.writelines(again.parts())
        # As aiohttp itself counts them.
        self._request_count += 1
        self._note_time()

    def _note_time(self) -> None:
        """Have aiohttp take the connection for one that has just been used: it closes those that are idle for long."""
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout

    def _hand_over(self, *, in_doubt: bool = False) -> None:
        """Have aiohttp answer what is waiting, if anything is."""
        if self._waits is None:
            return
        head, data = self._hash(self._repeat), self._repeat
        self._forget()
        super().data_received(data)
        self.asked = Asked(head, in_doubt)

    def _forget(self) -> None:
        """Look at the answer no longer."""
        if self._waits is not None and self._waits is not asyncio.current_task(self._loop):
            self._waits.cancel()
        self._waits, self._repeat = None, b""

    def _is_whole(self, data: bytes) -> bool:
        """Whether this may be one head and no more, on a connection where nothing is left of what came before."""
        return (
            len(data) <= LONGEST_HEAD
            and data.endswith(_END)
            and self._is_idle
            and not self._head
            and self._body is None
            and not self._messages
            and not self.writing_paused
            and not self._connections.draining
            and not (self._close or self._force_close)
        )

    def _hash(self, data: bytes) -> bytes:
        if self._answers.by_address:
            # What is of another address is no part of a request: none begins like this.
            data = f"{self.peername and self.peername[0]} ".encode() + data
        return hashlib.sha256(data).digest()
