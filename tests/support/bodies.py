"""Bodies of requests for hypothesis: nearly right ones, and anything else."""

import json
from typing import Any

from hypothesis import strategies as st

NAMES = st.one_of(
    st.sampled_from(["a", "a.b", "a-", "A1", "x" * 63, "x" * 64, "é", "_", ""]),
    st.text("aA0_.-", max_size=5),
)
PREFIXES = st.sampled_from(
    ["", "a.b/", "a/", "cloudfoundry.org/", "CloudFoundry.org/", "xcloudfoundry.org/", "/", "a..b/", "-.a/", "a.b/c.d/"]
    + [f"{'a.' * 126}{last}/" for last in ("b", "bb")]
    + [f"{'a' * length}.b/" for length in (63, 64)]
)
KEYS = st.builds("".join, st.tuples(PREFIXES, NAMES))
"""Of labels, most of them allowed."""

INTEGERS = st.one_of(
    st.integers(),
    st.sampled_from([near + step for near in (0, 180, 2**31 - 1, 2**63 - 1) for step in (-1, 0, 1)]),
)
TEXTS = st.one_of(
    st.text(max_size=5),
    st.sampled_from(
        ["vcap", "0", "2147483647", "2147483648", "0000000001", "00000000001", "/", "/a b", "/\u00a0", "/\x85"]
    ),
    st.sampled_from([prefix + "x" * length for prefix in ("", "/") for length in (254, 255, 4096, 4097, 5000, 5001)]),
)
# No whole floats: to JSON Schema `5.0` is an integer, and to the API it is none.
LEAVES = st.one_of(st.none(), st.booleans(), INTEGERS, TEXTS, st.just(0.5), st.just([]), st.just({}))


def objects(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Objects of some of these, at times with one more; or something else altogether."""
    return st.one_of(
        st.fixed_dictionaries({}, optional=fields),
        st.fixed_dictionaries({}, optional={**fields, "more": LEAVES}),
        LEAVES,
    )


_NUMBERS = st.one_of(INTEGERS, LEAVES)
_CHECKS = objects(
    {
        "type": st.one_of(st.sampled_from(["http", "port", "process"]), LEAVES),
        "data": objects(
            {
                "timeout": _NUMBERS,
                "invocation_timeout": _NUMBERS,
                "interval": _NUMBERS,
                "endpoint": st.one_of(TEXTS, LEAVES),
            }
        ),
    }
)
_PAIRS = st.one_of(st.dictionaries(KEYS, st.one_of(NAMES, TEXTS, st.none()), max_size=2), LEAVES)
UPDATES = objects(
    {
        "command": st.one_of(TEXTS, LEAVES),
        "user": st.one_of(TEXTS, LEAVES),
        "health_check": _CHECKS,
        "readiness_health_check": _CHECKS,
        "metadata": objects({"labels": _PAIRS, "annotations": _PAIRS}),
    }
)
SCALES = objects(
    dict.fromkeys(
        ("instances", "memory_in_mb", "disk_in_mb", "log_rate_limit_in_bytes_per_second"),
        st.one_of(INTEGERS, INTEGERS.map(str), LEAVES),
    )
)

_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=20))
ANY_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)),
    max_leaves=20,
)


def _damaged(document: object, at: int, insertion: bytes) -> bytes:
    written = json.dumps(document).encode()
    position = at % (len(written) + 1)
    return written[:position] + insertion + written[position + len(insertion) // 2 :]


RAW = st.one_of(
    st.binary(max_size=200),
    st.builds(_damaged, st.one_of(UPDATES, SCALES), st.integers(0, 10_000), st.binary(max_size=4)),
    st.sampled_from(
        [
            b"",
            b" ",
            b"\xef\xbb\xbf{}",
            b"NaN",
            b'{"instances":NaN}',
            b'{"instances":1e400}',
            b'{"instances":' + b"9" * 5000 + b"}",
            b'{"instances":1,"instances":"x"}',
            b"[" * 100_000,
            b'{"metadata":' * 2000 + b"1" + b"}" * 2000,
            b'{"command":"\\ud800"}',
            b'{"command":"\xff"}',
            b'{"command":"\\u0000"}',
            b"a=1&b=2",
        ]
    ),
)
"""Bytes: damaged JSON, and what is none."""
