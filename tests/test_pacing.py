"""Long work in turns: nobody waits for all that another wants, and who goes away is in nobody's way."""

import asyncio
import time
from collections.abc import Generator

import pytest

from service.pacing import BREATH_S, SERVED, Pace, Turns

STEP_S = 0.001


def _busy(steps: int, done: list[str], name: str) -> Generator[None, None, str]:
    for _ in range(steps):
        until = time.perf_counter() + STEP_S
        while time.perf_counter() < until:
            pass
        yield
    done.append(name)
    return name


async def _as(person: bytes, turns: Turns, steps: int, done: list[str], name: str, *, brief: bool = False) -> str:
    SERVED.set(person)
    return await turns.run(_busy(steps, done, name), brief=brief)


async def test_a_crowd_of_one_persons_work_costs_another_a_turn_for_each_of_theirs() -> None:
    turns, done = Turns(), list[str]()
    crowd = [asyncio.create_task(_as(b"crowd", turns, 20, done, f"crowd {n}")) for n in range(50)]
    await asyncio.sleep(0)
    other = asyncio.create_task(_as(b"other", turns, 20, done, "other"))
    assert await asyncio.wait_for(other, 10) == "other"
    # Seven turns of theirs, and as many of the crowd's, which is two pieces of its work and some of a third.
    assert len(done) <= 4
    await asyncio.gather(*crowd)


async def test_what_is_brief_goes_before_what_the_same_person_has_not_begun() -> None:
    turns, done = Turns(), list[str]()
    crowd = [asyncio.create_task(_as(b"same", turns, 20, done, f"long {n}")) for n in range(20)]
    await asyncio.sleep(0)
    brief = asyncio.create_task(_as(b"same", turns, 3, done, "brief", brief=True))
    await brief
    assert len(done) <= 2
    await asyncio.gather(*crowd)


async def test_of_one_person_a_piece_is_finished_before_the_next_is_begun() -> None:
    turns, begun, done = Turns(), list[str](), list[str]()

    def noted(name: str) -> Generator[None, None, str]:
        # What is within the first millisecond of a piece is done at once.
        yield from _busy(2, [], name)
        begun.append(name)
        assert len(begun) - len(done) <= 1
        yield from _busy(20, done, name)
        return name

    names = [str(number) for number in range(10)]
    assert await asyncio.gather(*(turns.run(noted(name)) for name in names)) == names
    assert done == names


async def test_others_run_between_turns() -> None:
    turns, steps, rounds = Turns(), 50, 0
    work = asyncio.gather(*(_as(bytes([n]), turns, steps, [], "long") for n in range(4)))
    while not work.done():
        await asyncio.sleep(0)
        rounds += 1
    # A turn has no more steps than fit into it, and one that begins at its end.
    assert rounds >= 4 * steps / (BREATH_S / STEP_S + 1)


async def test_what_comes_at_once_takes_no_longer_together_before_others_run_than_one_piece_would() -> None:
    turns, rounds = Turns(), 0
    loop, steps_in_round, most = asyncio.get_running_loop(), 0, 0

    def counted() -> Generator[None, None, None]:
        nonlocal steps_in_round, most
        for _ in range(2):
            steps_in_round += 1
            most = max(most, steps_in_round)
            yield from _busy(1, [], "")

    def begin_round() -> None:
        nonlocal steps_in_round, rounds
        steps_in_round = 0
        rounds += 1
        if not work.done():
            loop.call_soon(begin_round)

    work = asyncio.gather(*(turns.run(counted()) for _ in range(20)))
    begin_round()
    await asyncio.wait_for(work, 10)
    # Those that had to wait do both of their steps in the turn of theirs; newcomers have begun one or two.
    assert most <= 4
    assert rounds >= 15


@pytest.mark.parametrize("leaving", ["one that waits", "one whose turn it is", "all"])
async def test_who_goes_away_is_in_nobodys_way(leaving: str) -> None:
    turns, done = Turns(), list[str]()
    tasks = [asyncio.create_task(_as(bytes([n % 2]), turns, 20, done, str(n))) for n in range(6)]
    for _ in range(5):
        await asyncio.sleep(0)
    gone = {"one that waits": tasks[3:4], "one whose turn it is": tasks[:1], "all": tasks}[leaving]
    for task in gone:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(done) == len(tasks) - len(gone)
    assert await asyncio.wait_for(turns.run(_busy(5, [], "after")), 1) == "after"


async def test_what_fails_passes_its_turn_on() -> None:
    def failing() -> Generator[None, None, None]:
        yield from _busy(5, [], "")
        raise RuntimeError

    turns = Turns()
    with pytest.raises(RuntimeError):
        await turns.run(failing())
    assert await asyncio.wait_for(turns.run(_busy(5, [], "after")), 1) == "after"
    await asyncio.wait_for(turns.wait(), 1)


async def test_all_that_is_long_together_holds_others_up_no_longer_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("service.pacing.time.monotonic", lambda: now)
    # Those of other tests have given way by another clock.
    monkeypatch.setattr(Pace, "_at_work", {})

    async def work(steps: int) -> None:
        nonlocal now
        pace = Pace()
        for _ in range(steps):
            now += BREATH_S / 20
            await pace.breathe()

    working = [asyncio.create_task(work(1000)) for _ in range(6)]
    rounds = []
    while not all(task.done() for task in working):
        began = now
        await asyncio.sleep(0)
        rounds.append(now - began)
    # Until each has given way once, none knows of the others.
    assert max(rounds[10:]) < 2 * BREATH_S
    assert max(rounds) <= 6 * 1.1 * BREATH_S
    # Who is left alone has all of it.
    await work(1000)
    pace = Pace()
    now += 1
    await pace.breathe()
    assert pace._breath_s == BREATH_S
