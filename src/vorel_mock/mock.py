"""The mock: contract, clock, ids, store and journal put together, and the world that it starts with."""

from threading import RLock

from vorel_mock import contract as contract_module
from vorel_mock import demo
from vorel_mock.api.envelope import Envelope
from vorel_mock.api.journal import Journal
from vorel_mock.api.pipeline import Pipeline
from vorel_mock.api.routing import Router
from vorel_mock.console import RequestLog
from vorel_mock.ids import fresh_seed
from vorel_mock.settings import Settings, make_clock
from vorel_mock.store.memory import MemoryStore


class Mock:
    """One mock. `lock` is held by whoever reads or changes its state: the API's requests, and the control plane's."""

    def __init__(self, settings: Settings, log: RequestLog | None = None) -> None:
        self.settings = settings
        self.contract = contract_module.load(settings.contract)
        self.clock = make_clock(settings.clock)
        self.seed = fresh_seed() if settings.seed is None else settings.seed
        self.store = MemoryStore()
        self.journal = Journal()
        self.log = log or RequestLog(quiet=True)
        self.lock = RLock()
        router = Router(self.contract, Pipeline(self.contract, settings, self.store))
        self.api = Envelope(self.contract, settings, self.clock, router, self.journal, self.log, self.lock)
        demo.build(self.store, self.clock, self.seed, self.contract)

    def reset(self) -> None:
        """Back to the state of the start: the demo world, ids from the seed's beginning, quotas unspent, journal empty.

        The clock stays: it runs forward only.
        """
        with self.lock:
            self.store.clear()
            self.journal.clear()
            self.api.reset()
            demo.build(self.store, self.clock, self.seed, self.contract)
