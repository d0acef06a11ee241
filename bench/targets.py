"""The targets: how fast and how small the mock is to be. They are printed; the exit code does not depend on them."""

from dataclasses import dataclass
from statistics import median

from bench.rounds import Result, ratio

OURS = "ours"


@dataclass(frozen=True, slots=True)
class Speed:
    """Requests per second of a case: the mock's, at least `at_least` times those of a peer."""

    case: str
    peer: str
    at_least: float


#: Each peer is a name of `--peers`.
SPEED = (
    Speed("handoffLead", "prism", 6.0),
    Speed("handoffLead", "wiremock", 1.0),
    Speed("handoffLead", "bare", 0.65),
    Speed("createCrmRecord", "prism", 5.0),
)
#: Seconds until the mock says `Ready.`, at most.
READY_S = 0.7
#: MiB of resident memory after the start: below this.
START_MIB = 90


@dataclass(frozen=True, slots=True)
class Check:
    """One target, and what came of it. `measured` and `reached` are None if nothing was measured."""

    target: str
    measured: str | None = None
    reached: bool | None = None


def checklist(results: list[Result]) -> list[Check]:
    """Compare the mock with its targets. Results with errors prove nothing. Empty if the mock took no part."""
    found = {result.program.name: result for result in results}
    ours = found.get(OURS)
    if ours is None:
        return []
    checks = [_speed(target, ours, found.get(target.peer)) for target in SPEED]
    ready, memory = f"Ready <= {READY_S} s", f"memory after start < {START_MIB} MiB"
    times = [turn.said for turn in ours.turns if turn.said is not None]
    if not times or not ours.valid:
        return [*checks, Check(ready), Check(memory)]
    seconds, mib = median(times), ours.middle(lambda turn: turn.rss_start)
    checks.append(Check(ready, f"{seconds:.2f} s", seconds <= READY_S))
    checks.append(Check(memory, f"{mib:.0f} MiB", mib < START_MIB))
    return checks


def _speed(target: Speed, ours: Result, peer: Result | None) -> Check:
    text = f"{target.case} >= {target.at_least}x {target.peer}"
    found = ratio(ours, peer, target.case) if peer is not None and ours.valid and peer.valid else None
    if found is None:
        return Check(text)
    return Check(text, f"{found.median:.2f}x", found.median >= target.at_least)
