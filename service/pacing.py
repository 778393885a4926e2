"""Letting others have the event loop during long work on data that is there already."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Generator, Iterable
from contextvars import ContextVar
from enum import Enum
from itertools import islice
from typing import ClassVar, TypeVar

Result = TypeVar("Result")

SHORT_S = 0.001
"""How long work may take and still count as short."""
_LATELY_S = 0.05
"""Whoever has not given way for so long is not at work any more."""
BREATH_S = 0.003
"""How long to work in one go. Awaiting something that is ready does not let others run: asyncio.sleep(0) does."""


class Pace:
    """Gives way to others during one piece of long work, such as the reading of a list.

    Where several are at work, they share the BREATH_S: the loop goes through all of them before it comes to others.
    """

    _at_work: ClassVar[dict["Pace", float]] = {}
    """Which have given way lately, and when."""

    def __init__(self) -> None:
        self._since = 0.0
        self._breath_s = BREATH_S

    async def breathe(self) -> None:
        """Let others run if the work has gone on for long enough since they last did. Call it between steps."""
        now = time.monotonic()
        if now - self._since > self._breath_s:
            self._share(now)
            await asyncio.sleep(0)
            self._since = time.monotonic()

    def _share(self, now: float) -> None:
        self._at_work[self] = now
        for pace in [pace for pace, at in self._at_work.items() if at < now - _LATELY_S]:
            del self._at_work[pace]
        self._breath_s = BREATH_S / len(self._at_work)

    async def run(self, steps: Iterable[None]) -> None:
        """Do all of the steps, breathing between them."""
        for _ in steps:
            await self.breathe()


SERVED: ContextVar[bytes] = ContextVar("served", default=b"")
"""Whose request is being answered, where that is known: what is said of them is `Caller.person`."""


class Turns:
    """Lets one piece of long work go on at a time: several at once would hold the loop for BREATH_S each, one after
    the other, before anybody else could run.

    Work counts as long when it is not done after SHORT_S. What is done by then never waits, unless so many come at once
    that they take as long together. The rest goes on in turns
    of BREATH_S, one for each person who has work here, whatever they have: so nobody waits for all that another wants.
    Of one person, what is brief goes in between, and one piece is finished before the next, as each that is begun takes
    memory.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[bytes, _Queue] = OrderedDict()
        """By person; whose turn is next comes first."""
        self._present: _Turn | None = None
        self._tried_s = 0.0
        """How long newcomers have been at work in this round of the event loop."""

    async def wait(self) -> None:
        """Wait until a round of the event loop in which no other long work goes on."""
        turn = self._next_turn(_Place.NEXT)
        try:
            await turn
            await asyncio.sleep(0)
        finally:
            self._pass_on(turn)

    async def run(self, work: Generator[None, None, Result], *, brief: bool = False) -> Result:
        """Do all steps of the work, and return its result; `brief`: it is known not to be much."""
        try:
            self._try(work)
            turn = self._next_turn(_Place.BRIEF if brief else _Place.LAST)
            try:
                while True:
                    await turn
                    # What the loop has to do besides comes first.
                    await asyncio.sleep(0)
                    _work_on(work, BREATH_S)
                    # In the queue before the turn is passed on, or something new might come before what has begun.
                    former, turn = turn, self._next_turn(_Place.NEXT)
                    self._pass_on(former)
            finally:
                self._pass_on(turn)
        except StopIteration as done:
            result: Result = done.value
            return result

    def _try(self, work: Generator[None, None, object]) -> None:
        """Begin at once, if others have not taken this round already. Raises StopIteration when all is done."""
        if self._tried_s >= SHORT_S:
            return
        if not self._tried_s:
            asyncio.get_running_loop().call_soon(self._end_round)
        began = time.monotonic()
        try:
            _work_on(work, SHORT_S)
        finally:
            self._tried_s += time.monotonic() - began

    def _end_round(self) -> None:
        self._tried_s = 0.0

    def _next_turn(self, place: "_Place") -> "_Turn":
        """The turn to wait for, which is to be passed on, come what may."""
        turn: _Turn = asyncio.get_running_loop().create_future()
        if self._present is None:
            self._begin(turn)
        else:
            self._waiting.setdefault(SERVED.get(), _Queue()).add(turn, place)
        return turn

    def _begin(self, turn: "_Turn") -> None:
        self._present = turn
        turn.set_result(None)

    def _pass_on(self, turn: "_Turn") -> None:
        """End a turn; one that has not come is given up."""
        if self._present is not turn:
            turn.cancel()
            return
        self._present = None
        while self._waiting and self._present is None:
            person, queue = self._waiting.popitem(last=False)
            following = queue.pop()
            if queue:
                self._waiting[person] = queue
            if following is not None:
                self._begin(following)


_Turn = asyncio.Future[None]
"""Done as soon as it has come."""


def _work_on(work: Generator[None, None, object], seconds: float) -> None:
    """Do steps for so long. Raises StopIteration when all are done."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        next(work)


class _Place(Enum):
    """Where in the queue of one person a piece of work waits."""

    NEXT = 0
    """It has begun."""
    BRIEF = 1
    LAST = 2


class _Queue:
    """Who waits, of one person."""

    def __init__(self) -> None:
        self._places: dict[_Place, deque[_Turn]] = {place: deque() for place in _Place}
        self._is_brief_next = False

    def __bool__(self) -> bool:
        return any(self._places.values())

    def add(self, turn: _Turn, place: _Place) -> None:
        self._places[place].append(turn)

    def pop(self) -> _Turn | None:
        """The next that still waits; None: all have gone away."""
        order = (_Place.BRIEF, _Place.NEXT, _Place.LAST) if self._is_brief_next else _Place
        for place in order:
            waiting = self._places[place]
            while waiting:
                if not (turn := waiting.popleft()).done():
                    self._is_brief_next = place is not _Place.BRIEF
                    return turn
        return None


async def in_batches(work: Iterable[Awaitable[None]], size: int) -> None:
    """Await all of it, `size` at a time. Raises the first error once all of its batch is done."""
    remaining = iter(work)
    while batch := list(islice(remaining, size)):
        for outcome in await asyncio.gather(*batch, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
