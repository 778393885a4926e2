"""Caches that are bounded in bytes: what is larger than all of one."""

from service.cache import RecencyCache


def test_what_is_larger_than_the_whole_cache_is_kept_alone_or_not_at_all() -> None:
    cache: RecencyCache[str, str] = RecencyCache(4096)
    cache.put("small", "a", 100)
    cache.put("large", "b", 5000)
    assert (cache.get("small"), cache.get("large")) == ("a", None)
    cache.put("large", "b", 5000, alone=True)
    assert (cache.get("small"), cache.get("large"), cache.size) == (None, "b", 4096)
    cache.put("small", "a", 100)
    assert (cache.get("small"), cache.get("large")) == ("a", None)
    cache.put("fits", "c", 100, alone=True)
    assert (cache.get("small"), cache.get("fits")) == ("a", "c")


def test_what_was_kept_under_the_key_goes_even_if_the_new_value_is_too_large() -> None:
    cache: RecencyCache[str, str] = RecencyCache(4096)
    cache.put("key", "old", 100)
    cache.put("key", "new", 5000)
    assert (cache.get("key"), cache.size) == (None, 0)


def test_what_may_take_no_others_place_is_kept_only_while_there_is_room() -> None:
    cache: RecencyCache[str, int] = RecencyCache(1000)
    cache.put("first", 1, 100, evict=False)
    cache.put("second", 2, 500, evict=False)
    assert (cache.get("first"), cache.get("second")) == (1, None)
    cache.put("first", 3, 500, evict=False)
    assert cache.get("first") == 3
    cache.put("first", 4, 900, evict=False)
    assert (cache.get("first"), cache.size) == (None, 0)
    cache.put("second", 2, 500)
    cache.put("third", 3, 500)
    assert (cache.get("second"), cache.get("third")) == (None, 3)
