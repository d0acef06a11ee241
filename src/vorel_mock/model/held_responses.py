"""Responses that faults hold back, so that they can be let go before their time.

The step that applies a fault adds one; the shell that sends the response waits for it. Disarming the fault, or deleting
or resetting the tenant, lets it go.
"""

from collections.abc import Callable, Collection

#: Responses that one tenant's faults may hold back at once. For a further one the oldest is let go.
MAX_HELD = 1_000


class HeldResponse:
    """One response that is held back. Its methods may be called from any thread."""

    __slots__ = ("_held", "_on_release", "fault_id", "released")

    def __init__(self, fault_id: str, held: "dict[HeldResponse, None]") -> None:
        self.fault_id = fault_id
        self.released = False
        self._held = held
        self._on_release: Callable[[], object] | None = None

    def wait(self, on_release: Callable[[], object]) -> None:
        """Have `on_release` called when the response is let go, perhaps at once, and perhaps twice."""
        self._on_release = on_release
        if self.released:
            on_release()

    def end(self) -> None:
        """Hold it no longer: it was sent, or nobody waits for it."""
        self._on_release = None
        self._held.pop(self, None)

    def release(self) -> None:
        """Let it go: what is left of its delay does not count."""
        self.released = True
        on_release = self._on_release
        if on_release is not None:
            on_release()
        self.end()


class HeldResponses:
    """The held responses of one tenant, oldest first."""

    def __init__(self) -> None:
        self._held: dict[HeldResponse, None] = {}

    def add(self, fault_id: str) -> HeldResponse:
        """Hold back a response for the armed fault with that id."""
        while len(self._held) >= MAX_HELD:
            for oldest in list(self._held)[:1]:  # not its iterator: another thread may end one meanwhile
                oldest.release()
        held = HeldResponse(fault_id, self._held)
        self._held[held] = None
        return held

    def release(self, fault_id: str | None = None, but: Collection[str] = ()) -> None:
        """Let go what the armed fault with that id holds back, or everything `but` what those with these ids do."""
        for held in list(self._held):
            if fault_id in (None, held.fault_id) and held.fault_id not in but:
                held.release()

    def __len__(self) -> int:
        return len(self._held)
