"""API keys."""

from dataclasses import dataclass, field

from vorel_mock.model.rate_window import Window


@dataclass(slots=True)
class ApiKey:
    """A key of a tenant: its secret token, what it may do, and how much of its quota is spent."""

    id: str
    token: str = field(repr=False)
    scopes: frozenset[str]
    revoked: bool = False
    window: Window = field(default_factory=Window)
