"""The certification of a webhook receiver: one that runs, or a command that is started for the run."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from vorel_conformance.http import strict_json, urls
from vorel_conformance.http.transport import USUAL, NoAnswerError, Transport, Trust, advice, connection
from vorel_conformance.runs.integration import StartError, cannot_start, end_group
from vorel_conformance.session.client_session import ClientSession, Situated
from vorel_conformance.suite.client.deliveries import Delivery, DeliverySituation
from vorel_conformance.suite.client.oracles import webhook
from vorel_conformance.suite.client.oracles.webhook import LONGEST_S, Answered

# Seconds for a command to listen, and for a running receiver to accept a connection.
_START_S = 30.0
# Seconds after the last delivery before the effects are asked for: work may go on behind the answer.
_SETTLE_S = 0.3
_BODY = 200


@dataclass(frozen=True)
class Receiver:
    """A receiver at `url`. `effects`: where it tells what it has acted upon; empty if it does not."""

    url: str
    secret: str = field(repr=False)
    effects: str = ""
    command: tuple[str, ...] = ()
    trust: Trust = USUAL

    @property
    def name(self) -> str:
        """The receiver, for the report."""
        return shlex.join(self.command) if self.command else self.url


@contextlib.contextmanager
def started(
    command: Sequence[str], *, port: int, path: str, effects: str, secret: str, base_url: str, key: str
) -> Iterator[Receiver]:
    """Start a receiver, yield it when it listens, and end it. Raises StartError if it does not listen."""
    port = port or _free_port()
    url = f"http://127.0.0.1:{port}{path}"
    environment = {
        **os.environ,
        "PORT": str(port),
        "VOREL_WEBHOOK_SECRET": secret,
        "VOREL_BASE_URL": base_url,
        "VOREL_API_KEY": key,
    }
    try:
        process = subprocess.Popen(  # noqa: S603 - the command that the user gave, no shell
            command, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
        )
    except OSError as error:
        raise StartError(cannot_start(command[0], error)) from error
    try:
        _wait_for(url, process)
        yield Receiver(url, secret, effects or url, tuple(command))
    finally:
        end_group(process)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found: int = taken.getsockname()[1]
        return found


def _wait_for(url: str, process: subprocess.Popen[bytes] | None = None, trust: Trust = USUAL) -> None:
    parts = urlsplit(url)
    end = time.monotonic() + (_START_S if process else 0.0)
    while True:
        try:
            connection(url, 2.0, trust).close()
        except ssl.SSLError as error:  # a receiver with a certificate that is not trusted breaks no clause
            raise StartError(f"{url} does not respond: {error}.{advice(str(error))}") from error
        except OSError as error:
            if process is not None and process.poll() is not None:
                raise StartError(
                    f"the receiver ended with exit status {process.returncode} before it listened on port {parts.port}"
                ) from error
            if time.monotonic() > end:
                remedy = "It must listen on the port in PORT" if process else "Is it running?"
                raise StartError(f"{url}: nothing accepts connections there. {remedy}") from error
            time.sleep(0.05)
        else:
            return


def certify(receiver: Receiver, session: ClientSession, chosen: Sequence[DeliverySituation]) -> None:
    """Deliver, and record the evidence. Raises StartError if nothing listens at the receiver's URL."""
    _wait_for(receiver.url, trust=receiver.trust)
    sender = _Sender(receiver)
    try:
        for each in chosen:
            _certify(each, sender, session, receiver)
    finally:
        sender.close()


def _certify(situation: DeliverySituation, sender: _Sender, session: ClientSession, receiver: Receiver) -> None:
    session.on_event({"event": "situation", "name": situation.name, "about": situation.about})
    began = time.monotonic()
    if situation.at_once:
        with ThreadPoolExecutor(len(situation.deliveries)) as pool:
            answers = list(pool.map(lambda each: sender.deliver(each, began), situation.deliveries))
    else:
        answers = [answer for each in situation.deliveries for answer in sender.deliver_until_taken(each, began)]
    time.sleep(_SETTLE_S)
    acted_upon = sender.effects()
    checks = list(webhook.judge(situation, answers, acted_upon))
    again = ["vorel-conformance", "client", "--situation", situation.name, "--seed", str(session.seed)]
    again += ["--receiver", receiver.url, *receiver.trust.curl_options]
    session.add(
        Situated(
            name=situation.name,
            about=situation.about,
            again=shlex.join([*again, "--receiver", receiver.url, *receiver.trust.curl_options])
            + " --webhook-secret ...",
            transcript=_transcript(answers, acted_upon, time.monotonic() - began),
            requests=len(answers),
            secrets=(receiver.secret,),
        ),
        checks,
    )
    if acted_upon is None:
        reason = f"the receiver does not tell what it has acted upon (GET {receiver.effects or '--effects URL'})"
        for clause in ("webhook.effect", "webhook.no-effect", "webhook.once", "webhook.once-at-once"):
            session.results.gap(clause, reason)


def _transcript(answers: Sequence[Answered], acted_upon: Sequence[str] | None, end: float) -> list[dict[str, Any]]:
    entries: list[tuple[float, str, str]] = []
    for answer in answers:
        delivery = answer.delivery
        body = delivery.body.decode("utf-8", "replace")[:_BODY]
        entries.append((answer.started, "kit", f"delivers {delivery.what}: {body}"))
        entries.append((answer.started + answer.elapsed, "integration", f"answers {answer.told}"))
    ids = {answer.delivery.event for answer in answers}
    told = "nothing" if acted_upon is None else ", ".join(each for each in acted_upon if each in ids) or "none of these"
    entries.append((end, "integration", f"tells what it has acted upon: {told}"))
    entries.sort(key=lambda entry: entry[0])
    return [{"n": n, "at_s": round(at, 3), "who": who, "what": what} for n, (at, who, what) in enumerate(entries, 1)]


class _Sender:
    """Delivers to a receiver."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._base, self._path = _split(receiver.url)
        # A little more than the receiver has, to tell a late answer from none.
        self._transport = Transport(self._base, timeout=LONGEST_S + 2, connect_timeout=5.0, trust=receiver.trust)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def deliver_until_taken(self, delivery: Delivery, began: float) -> list[Answered]:
        """Deliver; after a 5xx, which asks for it, deliver once more."""
        first = self.deliver(delivery, began)
        if first.status < 500 or not delivery.lawful:
            return [first]
        clauses = (*delivery.clauses, "webhook.retried")
        again = Delivery(f"{delivery.what}, again", delivery.event, delivery.body, delivery.headers, clauses)
        return [first, self.deliver(again, began)]

    def deliver(self, delivery: Delivery, began: float) -> Answered:
        """Deliver once."""
        started = time.monotonic()
        if delivery.broken_off:
            self._break_off(delivery)
            return Answered(delivery, started - began, time.monotonic() - started, 0, "broken off by the kit")
        try:
            status, failure = self._transport.ask("POST", self._path, delivery.headers, delivery.body).status, ""
        except NoAnswerError as error:
            status, failure = 0, str(error)
        return Answered(delivery, started - began, time.monotonic() - started, status, failure)

    def _break_off(self, delivery: Delivery) -> None:
        parts = urlsplit(self._base)
        head = [
            f"POST {self._path} HTTP/1.1",
            f"Host: {parts.netloc}",
            *(f"{name}: {value}" for name, value in delivery.headers),
            f"Content-Length: {len(delivery.body)}",
        ]
        data = "\r\n".join([*head, "", ""]).encode("latin-1") + delivery.body[: len(delivery.body) // 2]
        with contextlib.suppress(OSError), connection(self._base, 5.0, self._receiver.trust) as connected:
            connected.sendall(data)
            time.sleep(0.1)

    def effects(self) -> list[str] | None:
        """Return the ids that the receiver has acted upon, in order. None if it does not tell."""
        if not self._receiver.effects:
            return None
        base, path = _split(self._receiver.effects)
        transport = Transport(base, timeout=LONGEST_S, connect_timeout=5.0, trust=self._receiver.trust)
        try:
            answer = transport.ask("GET", path, [("Accept", "application/json")])
        except NoAnswerError:
            return None
        finally:
            transport.close()
        value = strict_json.parse(answer.body).value
        events = value.get("events") if isinstance(value, dict) else None
        return [str(each) for each in events] if answer.status == 200 and isinstance(events, list) else None


def _split(url: str) -> tuple[str, str]:
    """Return base URL and path of a URL. Raises AddressError for anything but an http URL."""
    parts = urlsplit(url)
    return urls.base(f"{parts.scheme}://{parts.netloc}"), (parts.path or "/") + (
        f"?{parts.query}" if parts.query else ""
    )
