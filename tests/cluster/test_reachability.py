"""What all who ask kube-apiserver share of whether it answers."""

import asyncio

from service.cluster.reachability import ABSENCE_S, LONGEST_DOUBT_S, Reachability

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
    await asyncio.sleep(0)
    assert not waiting.done()
    # Though it may have been started anew meanwhile.
    assert shared.is_in_doubt
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


def test_denials_are_in_doubt_after_a_return_until_it_is_known_to_be_ready() -> None:
    clock = Clock()
    shared = Reachability(clock)
    assert not shared.is_in_doubt
    for _ in range(2):
        shared.failed()
        clock.now += ABSENCE_S
        shared.answered()
        assert (shared.is_in_doubt, shared.back_for_s) == (True, 0)
        shared.settled()
        assert not shared.is_in_doubt


def test_doubts_end() -> None:
    clock = Clock()
    shared = Reachability(clock)
    shared.failed()
    clock.now += ABSENCE_S
    shared.answered()
    clock.now += LONGEST_DOUBT_S
    assert not shared.is_in_doubt
