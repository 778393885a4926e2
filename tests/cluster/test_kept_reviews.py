"""What is kept of reviews: how many are asked, and that no caller and no name makes it cost more than is said."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, cast

import orjson
import pytest

from service import cache as bounded
from service.access import PATCH_DEPLOYMENTS, Caller
from service.cache import memory_of
from service.cluster.access import FEW, ClusterAccess, _memory_of
from service.cluster.client import Client
from service.cluster.reviews import KEPT_BYTES, ReviewCache, review_key
from service.cluster.sights import Sight, Sights

KIB, MIB = 1 << 10, 1 << 20
ENTRY_BYTES = bounded.ENTRY_BYTES + memory_of(bytes(16)) + KEPT_BYTES
"""Of an answer about what somebody may do."""
LONGEST_NAME = 63
"""Characters, of a namespace: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/"""


class Cluster:
    """Reviews as kube-apiserver would answer them: everyone may use the API, and read in the namespaces given."""

    def __init__(self, *readable: str) -> None:
        self.readable = readable
        self.asked: list[tuple[str, str]] = []
        """The verb and the namespace of each review of access."""
        self.under_way = self.most_under_way = 0

    async def may_deny_too_soon(self) -> bool:
        return False

    async def create(self, path: str, body: Any) -> bytes:
        if path.endswith("tokenreviews"):
            return orjson.dumps({"status": {"authenticated": True, "user": {"username": body["spec"]["token"]}}})
        attributes = body["spec"].get("resourceAttributes")
        if attributes is None:
            return orjson.dumps({"status": {"allowed": True}})
        self.asked.append((attributes["verb"], attributes["namespace"]))
        return orjson.dumps({"status": {"allowed": attributes["namespace"] in self.readable}})


def access_to(cluster: Cluster, clock: Callable[[], float] = lambda: 0.0) -> ClusterAccess:
    return ClusterAccess(
        cast(Client, cluster), ttl_s=60, grace_s=900, timeout_s=5, concurrency=4, clock=clock, wall_clock=lambda: 0.0
    )


def names(count: int) -> list[str]:
    return [f"{number:0{LONGEST_NAME}}" for number in range(count)]


async def test_who_may_read_everywhere_is_asked_about_once() -> None:
    cluster = Cluster("")
    access = access_to(cluster)
    caller = await access.authenticate("jane")
    for _ in range(3):
        assert await access.visible(caller, set(names(100))) is None
        assert await access.visible(caller, {"one"}, verb="get") is None
    assert cluster.asked == [("list", ""), ("get", "")]


@pytest.mark.parametrize("count", [1, FEW, FEW + 1, 100])
async def test_each_namespace_is_asked_about_once_while_answers_are_fresh(count: int) -> None:
    spaces, now = names(count), 0.0
    cluster = Cluster(*spaces[::2])
    access = access_to(cluster, lambda: now)
    caller = await access.authenticate("jane")
    for _ in range(3):
        assert await access.visible(caller, set(spaces), verb="get") == frozenset(spaces[::2])
    assert sorted(cluster.asked) == [("get", ""), *(("get", name) for name in spaces)]
    now = 59.0
    await access.visible(caller, {*spaces, "new"}, verb="get")
    assert cluster.asked[1 + count :] == [("get", "new")]
    # All but the last are out of date.
    now = 61.0
    cluster.readable = ()
    assert await access.visible(caller, {*spaces, "new"}, verb="get") == frozenset()
    assert len(cluster.asked) == 2 * (1 + count) + 1


async def test_callers_who_see_the_same_share_what_is_kept() -> None:
    spaces = names(2 * FEW)
    access = access_to(Cluster(*spaces[:FEW]))
    jane, joe = [await access.authenticate(name) for name in ("jane", "joe")]
    assert await access.visible(jane, set(spaces)) is await access.visible(joe, set(spaces))


# Bytes


@pytest.fixture
def traced() -> Iterator[Callable[[], int]]:
    """The bytes that have been allocated since, and not freed."""
    gc.collect()
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()


def caller(number: int, **extra: Any) -> Caller:
    return Caller(f"user-{number}", number.to_bytes(32), **extra)


def cache(capacity: int) -> ReviewCache[Any]:
    return ReviewCache(capacity=capacity, ttl_s=60, negative_ttl_s=60, grace_s=900, size_of=_memory_of)


async def test_what_a_caller_could_change_is_asked_once_in_a_while_and_a_refusal_is_not_kept() -> None:
    now = 0.0
    cluster = Cluster("mine")
    access = access_to(cluster, lambda: now)
    caller = await access.authenticate("jane")
    for _ in range(2):
        assert await access.could_change(caller, PATCH_DEPLOYMENTS, "mine", "one")
        assert not await access.could_change(caller, PATCH_DEPLOYMENTS, "theirs", "one")
    assert cluster.asked == [("patch", "mine"), ("patch", "theirs"), ("patch", "theirs")]
    assert await access.could_change(caller, PATCH_DEPLOYMENTS, "mine", "two")
    assert await access.may_change(caller, PATCH_DEPLOYMENTS, "mine", "one")
    now = 61.0
    cluster.readable = ()
    assert not await access.could_change(caller, PATCH_DEPLOYMENTS, "mine", "one")
    assert len(cluster.asked) == 6


async def ask(reviews: ReviewCache[Any], key: bytes, answer: object) -> None:
    async def answered() -> object:
        return answer

    await reviews.get(key, answered)


# Just past where the tables of a dict grow, and between.
@pytest.mark.parametrize("count", [700, 1400, 2100, 2800, 5500, 11_000])
async def test_permissions_take_no_more_than_is_said_of_each(count: int, traced: Callable[[], int]) -> None:
    reviews = cache(MIB * 64)
    before = traced()
    for number in range(count):
        await ask(reviews, review_key(number.to_bytes(32), "list", f"{number:063}"), None)
    gc.collect()
    assert traced() - before <= count * ENTRY_BYTES


async def test_permissions_are_bounded_in_bytes_whatever_is_asked(traced: Callable[[], int]) -> None:
    reviews = cache(MIB)
    before = traced()
    for number in range(3 * MIB // ENTRY_BYTES):
        await ask(reviews, review_key(number.to_bytes(32), "list", f"{number:063}"), None)
    gc.collect()
    assert MIB / 2 < traced() - before <= MIB


async def test_callers_are_bounded_in_bytes_whatever_a_provider_says_of_them(traced: Callable[[], int]) -> None:
    reviews = cache(MIB)
    before = traced()
    for number in range(500):
        groups = tuple(f"group-{number}-{each:040}" for each in range(20))
        await ask(reviews, number.to_bytes(32), caller(number, groups=groups, extra=(("scopes", groups),)))
    gc.collect()
    assert MIB / 2 < traced() - before <= MIB


async def test_caller_of_a_size_out_of_all_proportion_pushes_nobody_out() -> None:
    reviews = cache(MIB)
    await ask(reviews, b"usual", caller(1))
    await ask(reviews, b"huge", caller(2, groups=tuple(f"{number:063}" for number in range(10_000))))
    assert reviews.accepted(b"usual")
    assert not reviews.accepted(b"huge")


async def test_guessed_tokens_do_not_push_out_callers_who_come_back() -> None:
    reviews = cache(MIB)
    await ask(reviews, b"jane", caller(1))
    for number in range(3 * MIB // ENTRY_BYTES):
        await ask(reviews, number.to_bytes(32), None)
        assert reviews.accepted(b"jane")


def sight(seen: list[str], asked: list[str]) -> Sight:
    return Sight(frozenset(seen), frozenset(asked), 0.0)


def test_sights_of_equal_rights_take_half_a_kibibyte_a_caller(traced: Callable[[], int]) -> None:
    spaces, sights = names(2000), Sights(16 * MIB)
    sights.put(b"first", sight(spaces[:1000], spaces))
    before, said = traced(), sights.size
    for number in range(2000):
        sights.put(number.to_bytes(16), sight(spaces[:1000], spaces))
    gc.collect()
    assert traced() - before <= sights.size - said == 2000 * 500


def test_sights_that_all_differ_are_bounded_in_bytes(traced: Callable[[], int]) -> None:
    sights = Sights(MIB)
    before = traced()
    for number in range(300):
        # Names of their own, as if each had been asked about in another minute.
        spaces = [f"{number:03}-{name[4:]}" for name in names(100)]
        sights.put(number.to_bytes(16), sight(spaces[:50], spaces))
        assert sights.size <= MIB
    gc.collect()
    del spaces
    assert MIB / 4 < traced() - before <= MIB


def test_sight_in_place_of_another_gives_up_what_that_took() -> None:
    spaces, sights = names(100), Sights(MIB)
    sights.put(b"jane", sight(spaces[:1], spaces[:1]))
    size = sights.size
    sights.put(b"jane", sight(spaces, spaces))
    assert sights.size > size
    sights.put(b"jane", sight(spaces[:1], spaces[:1]))
    assert sights.size == size


def test_sight_larger_than_everything_is_returned_and_not_kept() -> None:
    sights = Sights(KIB)
    whole = sight(names(100), names(100))
    assert sights.put(b"jane", whole) == whole
    assert sights.get(b"jane") is None
    assert sights.size == 0


def test_keys_tell_apart_whoever_and_whatever_is_asked_about() -> None:
    one, other = b"1" * 32, b"2" * 32
    asked = [
        (one, "list", "a"),
        (one, "get", "a"),
        (one, "list", "b"),
        (one, "list", ""),
        (one, "lista"),
        (other, "list", "a"),
    ]
    assert len({review_key(about, *words) for about, *words in cast(list[Any], asked)}) == len(asked)


def test_memory_of_counts_all_that_is_inside() -> None:
    inside = ("a" * 1000, ("b" * 1000, frozenset({"c" * 1000})))
    assert 3000 < memory_of(inside) < 3000 + 3 * 60 + 2 * 80 + 250
