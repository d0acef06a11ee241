"""What is to be certified of an integration, and how: the options of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vorel_conformance.http.transport import USUAL, Trust
from vorel_conformance.spec import clauses
from vorel_conformance.spec.clauses import Clause
from vorel_conformance.spec.unknown_name import unknown_name
from vorel_conformance.suite.client import deliveries, situations
from vorel_conformance.suite.client.tasks import CREATE, HANDOFF

WEBHOOKS = "webhooks"
DOES = {"handoff": HANDOFF, "crm": CREATE}


@dataclass(frozen=True)
class ReceiverOptions:
    """A webhook receiver that runs at `url`, or a command that is started."""

    url: str = ""
    command: tuple[str, ...] = ()
    secret: str = field(default="", repr=False)
    effects: str = ""
    path: str = "/"
    trust: Trust = USUAL


@dataclass(frozen=True)
class Options:
    """The options of a run. `does`: handoff, crm, webhooks."""

    does: frozenset[str] = frozenset({"handoff", "crm"})
    clauses: tuple[str, ...] = ()
    situation: str | None = None
    seed: int | None = None
    jobs: int = 4
    timeout: float = 60.0
    mock: str | None = None
    mock_token: str | None = field(default=None, repr=False)
    port: int = 0
    api_key: str | None = field(default=None, repr=False)
    receiver: ReceiverOptions | None = None

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of tasks that are given."""
        return frozenset(DOES[each] for each in self.does if each in DOES)


def check_does(names: Sequence[str]) -> frozenset[str]:
    """Return the names for `--does`. Raises ValueError for an unknown one."""
    known = (*DOES, WEBHOOKS)
    for name in names:
        if name not in known:
            raise ValueError(f"--does: {unknown_name('work', name, known)}; it is one of {', '.join(known)}")
    return frozenset(names)


def check_situation(name: str | None, does: frozenset[str]) -> None:
    """Raise ValueError if there is no such situation for an integration that does this."""
    if name is None:
        return
    webhooks = [each.name for each in deliveries.load(0, "")]
    known = [*situations.load(), *webhooks]
    if name not in known:
        raise ValueError(f"{unknown_name('situation', name, known)} (--list shows them all)")
    kinds = frozenset(DOES[each] for each in does if each in DOES)
    if not (WEBHOOKS in does if name in webhooks else situations.select(name, kinds)):
        raise ValueError(f"the situation {name} is for integrations that do something else, see --does")


def select(names: tuple[str, ...], does: frozenset[str]) -> dict[str, Clause]:
    """Return the clauses for an integration that does this. Raises ValueError for an unknown name."""
    api = bool(does & DOES.keys())
    return {
        id_: each
        for id_, each in clauses.select(names, clauses.CLIENT).items()
        if (each.does in does if each.does else api)
    }
