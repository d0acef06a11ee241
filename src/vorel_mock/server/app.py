"""Everything that a mock answers over HTTP: the API, and the control plane below /_mock. All shells share it."""

from vorel_mock.api.messages import MAX_BODY, Headers, Request, Response
from vorel_mock.control.app import PREFIX, ControlPlane
from vorel_mock.control.guard import MAX_BODY as MAX_CONTROL_BODY
from vorel_mock.mock.mock import Mock
from vorel_mock.server.cors import Cors


class App:
    """The API, a plain function, and the control plane, which takes time."""

    def __init__(self, mock: Mock) -> None:
        self.mock = mock
        origins = mock.settings.cors_origins
        self._cors = Cors(origins, mock.contract, mock.clock) if origins else None
        self.control = ControlPlane(mock)

    def answer(self, request: Request) -> Response:
        """Answer a request to the API. Never waits."""
        if self._cors is None:
            return self.mock.answer(request)
        return self._cors.preflight(request) or self._cors.shared(request, self.mock.answer(request))

    def body_limit(self, path: str, headers: Headers) -> int:
        """Return how many bytes the body of a request may have."""
        # A large body is read only for whoever may use the control plane.
        if is_control(path) and self.control.permits(path, headers):
            return MAX_CONTROL_BODY
        return MAX_BODY

    def stop(self) -> None:
        """End what runs beside the requests: the control plane's threads, and the webhooks'."""
        self.control.stop()
        self.mock.stop()


def is_control(path: str) -> bool:
    """Whether a path is the control plane's."""
    return path.startswith(PREFIX) and (len(path) == len(PREFIX) or path[len(PREFIX)] == "/")
