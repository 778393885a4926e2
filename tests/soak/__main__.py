"""`make soak`: seconds by SOAK_S, the seed by SOAK_SEED (else a new one, which is printed), one fault by SOAK_ONLY."""

import asyncio
import os
import random
import statistics
import sys
import tempfile
from pathlib import Path

from deploy.local.errors import LocalStackError
from deploy.local.stack import local_stack
from tests.soak.run import Found, run


def main() -> int:
    seconds = float(os.environ.get("SOAK_S", "600"))
    seed = int(os.environ.get("SOAK_SEED") or random.randrange(1 << 32))
    print(f"SOAK_SEED={seed} SOAK_S={seconds:.0f}", flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        try:
            with local_stack(Path(directory) / "stack", nodes=2, metrics=True) as stack:
                found = asyncio.run(run(stack, seconds, seed, Path(directory), os.environ.get("SOAK_ONLY")))
        except LocalStackError as error:
            print(error, file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            return 130
    print(report(found))
    if found.world.violations:
        print(f"{len(found.world.violations)} violations; SOAK_SEED={seed} breaks the same things again")
    return bool(found.world.violations)


def report(found: Found) -> str:
    """What there was, and how long it took until all was well again."""
    counts = found.world.counts
    lines = [", ".join(f"{count:,} {what}" for what, count in sorted(counts.items()))]
    for kind, taken in sorted(found.recovery_s.items()):
        lines.append(f"  {kind}: {len(taken)} times, recovered after {_spread(taken)}")
    every = [each for taken in found.recovery_s.values() for each in taken]
    lines.append(f"{len(every)} faults, recovered after {_spread(every)}")
    lines.append(f"in step after the last write: {_spread(found.in_step_s)}")
    lines.append("replicas that were never ended have grown by (MiB): " + str(found.grown_mib))
    lines.append(f"{len(found.world.violations)} violations")
    return "\n".join(lines)


def _spread(taken: list[float]) -> str:
    if not taken:
        return "nothing"
    ordered = sorted(taken)
    ninth = ordered[min(len(ordered) - 1, len(ordered) * 9 // 10)]
    return f"{statistics.median(ordered):.1f} s (p90 {ninth:.1f} s, most {ordered[-1]:.1f} s)"


if __name__ == "__main__":
    sys.exit(main())
