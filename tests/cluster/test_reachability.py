"""What all who ask kube-apiserver share of whether it answers."""

import asyncio

from service.cluster.reachability import ABSENCE_S, SETTLING_S, Reachability

LATE = 30.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_the_first_answer_after_an_absence_wakes_all() -> None:
    clock = Clock()
    shared = Reachability(clock)
    shared.failed()
    # One of them looks, and the others rest.
    waiting = [asyncio.create_task(shared.pause(LATE)) for _ in range(3)]
    await asyncio.sleep(0)
    clock.now += ABSENCE_S
    shared.failed()
    shared.answered()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 0.4) == [True] * 3


async def test_one_of_those_who_wait_looks_before_long() -> None:
    shared = Reachability()
    one, other = (asyncio.create_task(shared.pause(LATE)) for _ in range(2))
    assert await asyncio.wait_for(one, 2) is False
    assert not other.done()
    # It has not been back, and goes on looking.
    assert await asyncio.wait_for(shared.pause(LATE), 2) is False
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)


async def test_a_request_that_fails_now_and_then_is_no_absence() -> None:
    clock = Clock()
    shared = Reachability(clock)
    waiting = asyncio.create_task(shared.pause(LATE))
    await asyncio.sleep(0)
    shared.failed()
    clock.now += ABSENCE_S / 2
    shared.answered()
    assert not await shared.may_deny_too_soon()
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_denials_are_in_doubt_for_a_while_after_a_return() -> None:
    clock = Clock()
    shared = Reachability(clock)
    assert not await shared.may_deny_too_soon()
    shared.failed()
    clock.now += ABSENCE_S
    shared.answered()
    assert await shared.may_deny_too_soon()
    clock.now += SETTLING_S
    assert not await shared.may_deny_too_soon()
