"""Claims: what one event is allowed to concern, however many claim the same."""

from random import Random

from service.model.claims import Claims, Verdict
from service.model.process import Workload
from tests.model.builders import workload

MANY = 2_000


class Served:
    """Claims, and what is served by their verdicts."""

    def __init__(self) -> None:
        self._served: dict[str, Workload] = {}
        self.claims = Claims(self._served.get)

    def put(self, workload: Workload) -> Verdict:
        return self._done(self.claims.put(workload))

    def remove(self, uid: str) -> Verdict:
        return self._done(self.claims.remove(uid))

    def _done(self, verdict: Verdict) -> Verdict:
        for each in verdict.losers:
            self._served.pop(each.uid, None)
        self._served |= {each.uid: each for each in verdict.winners}
        return verdict


def test_a_claimant_among_thousands_concerns_itself_and_the_oldest_alone() -> None:
    """So one tenant's thousands of Deployments of one GUID cost an event no more than two do."""
    random, served = Random(1), Served()
    crowd = [workload(f"u{number}", guid="g", created_at=random.randrange(500)) for number in range(MANY)]
    for each in crowd:
        verdict = served.put(each)
        concerned = {one.uid for one in (*verdict.losers, *verdict.winners)}
        assert each.uid in concerned
        assert len(concerned) <= 2
    oldest = min(crowd, key=lambda each: (each.created_at, each.uid))
    assert served.claims.losers.keys() == {each.uid for each in crowd} - {oldest.uid}
    random.shuffle(crowd)
    for each in crowd:
        verdict = served.remove(each.uid)
        assert len({one.uid for one in (*verdict.losers, *verdict.winners)}) <= 2
    assert not served.claims.losers


def test_whatever_is_claimed_elsewhere_an_event_concerns_its_own_namespace_alone() -> None:
    served = Served()
    for number in range(50):
        served.put(workload(f"u{number}", namespace="theirs", guid="g", app_guid="app", created_at=number))
    mine = workload("mine", namespace="mine", guid="g", app_guid="app", created_at=99)
    verdict = served.put(mine)
    assert (verdict.losers, verdict.winners, verdict.conflicts) == ([], [mine], [])
    verdict = served.remove("u0")
    assert {each.namespace for each in (*verdict.losers, *verdict.winners)} == {"theirs"}
    assert served.claims.rival(mine) is None
