"""The targets: how fast and how small the mock is to be. They are printed; the exit code does not depend on them."""

from dataclasses import dataclass

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
    """Compare the mock with its targets. Empty if the mock took no part."""
    found = {result.program.name: result for result in results if result.turns}
    ours = found.get(OURS)
    if ours is None:
        return []
    checks = [_speed(target, ours, found.get(target.peer)) for target in SPEED]
    times = [turn.said for turn in ours.turns if turn.said is not None]
    ready = ours.middle(lambda turn: turn.said or 0.0)
    memory = ours.middle(lambda turn: turn.rss_start)
    if times:
        checks.append(Check(f"Ready <= {READY_S} s", f"{ready:.2f} s", ready <= READY_S))
    checks.append(Check(f"memory after start < {START_MIB} MiB", f"{memory:.0f} MiB", memory < START_MIB))
    return checks


def _speed(target: Speed, ours: Result, peer: Result | None) -> Check:
    text = f"{target.case} >= {target.at_least}x {target.peer}"
    found = None if peer is None else ratio(ours, peer, target.case)
    if found is None:
        return Check(text)
    return Check(text, f"{found.median:.2f}x", found.median >= target.at_least)
