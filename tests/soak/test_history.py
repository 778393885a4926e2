"""The judge of a soak, on histories made by hand: what it must let pass, and what it must find."""

import pytest

from tests.soak.history import Outcome, Register, Seen


@pytest.fixture
def register() -> Register:
    """A field that is 0, and was written 1 (acknowledged), 2 (the reply was lost), 3 (refused) and 4 (acknowledged)."""
    made = Register("a field")
    made.settle("0", 0.0)
    for number, outcome in enumerate((Outcome.DONE, Outcome.UNKNOWN, Outcome.REFUSED, Outcome.DONE), 1):
        write = made.begin(str(number), 0, number * 10.0)
        made.end(write, outcome, number * 10.0 + 5, outcome.value)
    return made


def seen(value: str, began: float, *, replica: int = 1, marked: bool = False) -> Seen:
    return Seen(value, replica, began, began + 1, marked)


@pytest.mark.parametrize(
    ("value", "began"),
    [
        ("0", 9.0),
        ("0", 12.0),
        ("1", 12.0),
        ("1", 16.0),
        ("2", 22.0),
        ("2", 50.0),
        ("4", 42.0),
        ("1", 42.0),
        ("4", 46.0),
    ],
)
def test_lets_pass_what_may_be_shown(register: Register, value: str, began: float) -> None:
    assert register.see(seen(value, began)) is None


@pytest.mark.parametrize(
    ("value", "began"),
    [("0", 16.0), ("1", 46.0), ("3", 32.0), ("3", 50.0), ("4", 30.0), ("1", 5.0), ("another", 50.0)],
    ids=["lost", "lost later", "refused", "refused long ago", "not yet", "not yet either", "never written"],
)
def test_finds_what_may_not(register: Register, value: str, began: float) -> None:
    found = register.see(seen(value, began))
    assert found is not None
    assert value in found
    assert value in register.trace().splitlines()[-1]


def test_no_replica_goes_back_but_another_may_be_behind(register: Register) -> None:
    assert register.see(seen("4", 42.0)) is None
    assert register.see(seen("1", 43.5, replica=2)) is None
    assert register.see(seen("1", 43.5)) is not None


def test_what_says_itself_that_it_may_be_old_may_be_old_but_not_refused(register: Register) -> None:
    assert register.see(seen("0", 50.0, marked=True)) is None
    assert register.see(seen("3", 50.0, marked=True)) is not None


def test_what_became_of_a_lost_reply_is_known_once_it_was_looked_at(register: Register) -> None:
    register.settle("2", 60.0)
    assert register.see(seen("2", 61.0)) is None
    assert register.see(seen("4", 61.0)) is not None


def test_keeps_no_more_than_it_needs(register: Register) -> None:
    for number in range(5, 2000):
        write = register.begin(str(number), 0, number * 10.0)
        register.end(write, Outcome.DONE, number * 10.0 + 5, "200")
    assert len(register.writes) <= 401
    assert len(register.trace().splitlines()) <= 40
    assert register.see(seen("1999", 19_996.0)) is None
    assert register.see(seen("1998", 19_996.0)) is not None
    assert register.see(seen("2", 19_996.0)) is None
