"""The certification of an integration: start a mock, put the integration into situations, judge, report."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vorel_conformance.http import har
from vorel_conformance.http.mock_control import MockControl
from vorel_conformance.http.tap import Relay
from vorel_conformance.runs import mock_process
from vorel_conformance.runs import receiver as receivers
from vorel_conformance.runs.client_options import Options, ReceiverOptions, select
from vorel_conformance.runs.integration import Door, StartError
from vorel_conformance.runs.situation_runner import SituationRunner, find_key
from vorel_conformance.session.client_session import ClientSession, Situated
from vorel_conformance.suite.client import deliveries, situations, watched
from vorel_conformance.suite.client.deliveries import DeliverySituation
from vorel_conformance.suite.client.observation import Observation
from vorel_conformance.suite.client.oracles import judge
from vorel_conformance.suite.client.situations import Situation
from vorel_conformance.suite.client.transcript import transcript

Event = Callable[[dict[str, Any]], None]

# Characters; a shorter word is no key, and would be found everywhere.
_SHORTEST_KEY = 20


def run(door: Door | None, options: Options, on_event: Event = lambda _: None) -> ClientSession:
    """Put the integration into every situation, and return the evidence.

    `door`: how tasks are given; None for a webhook receiver alone.
    Raises StartError if it cannot be started, crashes in every situation or sends nothing, MockError if the mock
    cannot be used.
    """
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    started, began = datetime.now(UTC), time.monotonic()
    receiver = options.receiver
    subject = door.name if door else shlex.join(receiver.command) or receiver.url if receiver else ""
    session = ClientSession(select(options.clauses, options.does), subject, seed, started, on_event)
    chosen: list[Situation] = []
    if door and options.situation not in {each.name for each in deliveries.load(0, "")}:
        chosen = situations.select(options.situation, options.kinds)
        chosen = [each for each in chosen if options.situation or _is_wanted(each.clauses, options)]
    with contextlib.ExitStack() as stack:
        control = None
        if chosen or (receiver and receiver.command):
            base_url = options.mock or stack.enter_context(mock_process.started(seed))
            control = MockControl(base_url, options.mock_token)
            stack.callback(control.close)
            control.check({armed.fault for each in chosen for armed in each.faults})
        if door and chosen and control:
            relay = stack.enter_context(Relay())
            SituationRunner(door, options, seed, control, relay, session).run_all(chosen)
        if receiver and not session.stopped and options.situation not in situations.load():
            _certify_receiver(receiver, options, control, session, stack)
    session.duration_s = time.monotonic() - began
    if door and chosen and not session.stopped:
        _check_that_it_works(session, door, whole=not options.situation and not options.clauses)
    if options.situation:
        session.keep_judged(next(each.clauses for each in _made_for(seed) if each.name == options.situation))
    session.explain_gaps(_made_for(seed))
    return session


def _made_for(seed: int) -> list[Situation | DeliverySituation]:
    return [*situations.load().values(), *deliveries.load(seed, "")]


def _certify_receiver(
    wanted: ReceiverOptions,
    options: Options,
    control: MockControl | None,
    session: ClientSession,
    stack: contextlib.ExitStack,
) -> None:
    found = receivers.Receiver(wanted.url, wanted.secret, wanted.effects, trust=wanted.trust)
    if wanted.command:
        assert control is not None
        tenant = control.create_tenant(keys={"full": 1, "burst": 0})
        found = stack.enter_context(
            receivers.started(
                wanted.command,
                port=options.port,
                path=wanted.path,
                effects=wanted.effects,
                secret=wanted.secret or f"whsec_{secrets.token_hex(24)}",
                base_url=control.base_url,
                key=options.api_key or tenant["keys"]["full"][0],
            )
        )
    chosen = [
        each
        for each in deliveries.load(session.seed, found.secret)
        if options.situation == each.name or (not options.situation and _is_wanted(each.clauses, options))
    ]
    receivers.certify(found, session, chosen)


def _is_wanted(made_for: Sequence[str], options: Options) -> bool:
    """Return True unless clauses are chosen, and a situation is made for none of them."""
    if not options.clauses:
        return True
    return any(clause in options.clauses or clause.split(".", 1)[0] in options.clauses for clause in made_for)


class NothingSentError(StartError):
    """The integration sent no request in any situation."""


def judge_har(path: Path, options: Options, on_event: Event = lambda _: None) -> ClientSession:
    """Judge traffic that was recorded elsewhere, as far as it gives evidence. Raises HarError."""
    began, started = time.monotonic(), datetime.now(UTC)
    session = ClientSession(select(options.clauses, options.does), str(path), options.seed or 0, started, on_event)
    seen = har.attempts(path)
    tokens = {value.rpartition(" ")[2] for each in seen if (value := each.header("Authorization"))}
    finders = [find_key(token) for token in tokens if len(token) >= _SHORTEST_KEY]
    observation = Observation(
        watched.HAR,
        watched.tasks_of(seen),
        (),
        seen,
        key="",
        holds_key=lambda text: any(finder(text) for finder in finders),
    )
    _add_watched(session, observation, tuple(tokens), f"vorel-conformance client --har {shlex.quote(str(path))}")
    session.duration_s = time.monotonic() - began
    return session


def watch(options: Options, seconds: float, on_event: Event = lambda _: None) -> ClientSession:
    """Offer a tenant of a mock for some time, and judge what comes by. Raises MockError.

    Ends early with KeyboardInterrupt, and judges what there is.
    """
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    began, started = time.monotonic(), datetime.now(UTC)
    session = ClientSession(select(options.clauses, options.does), "watched", seed, started, on_event)
    faults = tuple(each for each in watched.WATCH.faults if each.do in options.kinds)
    with contextlib.ExitStack() as stack:
        base_url = options.mock or stack.enter_context(mock_process.started(seed))
        control = MockControl(base_url, options.mock_token)
        stack.callback(control.close)
        control.check({each.fault for each in faults})
        relay = stack.enter_context(Relay())
        runner = SituationRunner(None, options, seed, control, relay, session)
        observation = runner.watch(replace(watched.WATCH, faults=faults), seconds)
    again = f"vorel-conformance client --watch {seconds:g}s --seed {seed}"
    _add_watched(session, observation, (observation.key,), again)
    session.duration_s = time.monotonic() - began
    return session


def _add_watched(session: ClientSession, observation: Observation, keys: tuple[str, ...], again: str) -> None:
    situation = observation.situation
    session.on_event({"event": "situation", "name": situation.name, "about": situation.about})
    session.add(
        Situated(
            name=situation.name,
            about=situation.about,
            again=again,
            transcript=transcript(observation),
            requests=len(observation.attempts),
            secrets=keys,
        ),
        judge(observation),
    )
    for id_, result in session.results.by_id.items():
        if not result.checks:
            session.results.gap(id_, "no evidence: what came by does not tell; a run with -- CMD would")


def _check_that_it_works(session: ClientSession, door: Door, *, whole: bool) -> None:
    """Raise StartError for an integration that crashes always, or sends nothing: that is no verdict.

    `whole`: all situations were run. In a few of them a crash may be just what is to be seen.
    """
    runs = [each for each in session.situations if each.name in situations.load()]
    sent = any(each.requests for each in runs)
    if runs and all(each.crashed for each in runs) and (whole or not sent):
        said = next((each.output for each in runs if each.output), "")
        raise StartError(
            f"{door.name}: crashed in every situation (exit status {runs[0].exit_status})"
            + (f". Its last words: {said.strip()[-500:]}" if said.strip() else "")
        )
    if runs and not sent:
        raise NothingSentError(
            f"{door.name}: never sent a request. It must use VOREL_BASE_URL and VOREL_API_KEY of its environment, "
            "and read its tasks from stdin (docs/integration.md)"
        )
