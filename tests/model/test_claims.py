"""Claims: what one event is allowed to concern, however many claim the same."""

from random import Random

from service.model.claims import Claims
from tests.model.builders import workload

MANY = 2_000


def test_a_claimant_among_thousands_concerns_itself_and_the_oldest_alone() -> None:
    """So one tenant's thousands of Deployments of one GUID cost an event no more than two do."""
    random, claims = Random(1), Claims()
    crowd = [workload(f"u{number}", guid="g", created_at=random.randrange(500)) for number in range(MANY)]
    for each in crowd:
        verdict = claims.put(each)
        concerned = {one.uid for one in (*verdict.losers, *verdict.winners)}
        assert each.uid in concerned
        assert len(concerned) <= 2
    oldest = min(crowd, key=lambda each: (each.created_at, each.uid))
    assert claims.losers.keys() == {each.uid for each in crowd} - {oldest.uid}
    random.shuffle(crowd)
    for each in crowd:
        verdict = claims.remove(each.uid)
        assert len({one.uid for one in (*verdict.losers, *verdict.winners)}) <= 2
    assert not claims.losers


def test_whatever_is_claimed_elsewhere_an_event_concerns_its_own_namespace_alone() -> None:
    claims = Claims()
    for number in range(50):
        claims.put(workload(f"u{number}", namespace="theirs", guid="g", app_guid="app", created_at=number))
    mine = workload("mine", namespace="mine", guid="g", app_guid="app", created_at=99)
    verdict = claims.put(mine)
    assert (verdict.losers, verdict.winners, verdict.conflicts) == ([], [mine], [])
    verdict = claims.remove("u0")
    assert {each.namespace for each in (*verdict.losers, *verdict.winners)} == {"theirs"}
    assert claims.rival(mine) is None
