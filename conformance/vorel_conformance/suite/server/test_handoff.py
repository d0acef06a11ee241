"""The handoff: its body, its response, and repeated handoffs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vorel_conformance.http import strict_json
from vorel_conformance.session.probe import Probe
from vorel_conformance.suite import Size, covers
from vorel_conformance.suite.values import (
    COMBINED,
    ESCAPED,
    PLAIN,
    SUSPICIOUS,
    WIDE,
    WRONG_FOR_OBJECT,
    WRONG_FOR_STRING,
    blanks_around,
    of_length,
)

MEMBERS = ("reason", "summary")
# Even a lenient server cannot read any of these as the id of a lead.
MALFORMED_IDS = (
    "not-a-uuid",
    "0",
    "12345",
    "zzzzzzzz-zzzz-4zzz-8zzz-zzzzzzzzzzzz",
    "00000000-0000-4000-8000-00000000000",
    "00000000-0000-4000-8000-0000000000000",
    "%20",
    "%27%20OR%201=1--",
    "null",
    "%F0%9F%98%80",
    "a" * 2000,
)
# Changes that make the id of a lead invalid.
ALTERED_IDS: dict[str, Callable[[str], str]] = {
    "a character after it": lambda lead: f"{lead}x",
    "a blank after it": lambda lead: f"{lead}%20",
    "a blank before it": lambda lead: f"%20{lead}",
    "a line break after it": lambda lead: f"{lead}%0A",
    "NUL after it": lambda lead: f"{lead}%00",
    "its first eight digits": lambda lead: lead[:8],
    "its first half": lambda lead: lead[:18],
    "a wildcard for its last digit": lambda lead: f"{lead[:-1]}%25",
}
REPOSTS = 4


def _if_own(requests: int) -> Callable[[Size], int]:
    return lambda size: requests if size.own else 0


def _longest(probe: Probe, member: str) -> int:
    found: int = probe.handoff.body["properties"][member]["maxLength"]
    return found


@covers(
    "handoff.answer",
    "handoff.uuids",
    "handoff.conversation-status",
    "handoff.notified-channel",
    "handoff.lead-id",
    requests=lambda size: size.own,
)
def test_each_lead(probe: Probe) -> None:
    """Hand off every lead of the profile once, for the checks of every response."""
    probe.has(
        "own",
        "handoff.answer",
        "handoff.uuids",
        "handoff.conversation-status",
        "handoff.notified-channel",
        "handoff.lead-id",
    )
    for lead in probe.target.own:
        probe.send(probe.valid(probe.handoff, lead=lead))


@covers("handoff.canonical-id", requests=lambda size: min(2, size.own))
def test_id_in_capitals(probe: Probe) -> None:
    """The server may reject it. If it accepts it, `checks.response` checks the ids of the response."""
    probe.has("own", "handoff.canonical-id")
    for lead in probe.target.own[:2]:
        probe.send(probe.valid(probe.handoff, lead=lead.upper()))


@covers("handoff.body-optional", requests=_if_own(4))
def test_no_body(probe: Probe) -> None:
    if not probe.has("own", "handoff.body-optional"):
        return
    for _ in range(2):
        probe.expect("handoff.body-optional", "no body", probe.request(probe.handoff), {200})
        request = probe.request(probe.handoff)
        request = replace(request, headers=(*request.headers, ("Content-Type", "application/json")))
        probe.expect("handoff.body-optional", "no body, but a Content-Type", request, {200})


@covers("handoff.fields-optional", requests=_if_own(6))
def test_members_left_out(probe: Probe) -> None:
    if not probe.has("own", "handoff.fields-optional"):
        return
    for body in (
        {},
        {"reason": "vorel-conformance"},
        {"summary": probe.marker()},
        probe.handoff_body(),
        {"reason": ""},
        {"summary": ""},
    ):
        label = " and ".join(body) or "an empty object"
        probe.expect("handoff.fields-optional", label, probe.request(probe.handoff, body), {200})


@covers("handoff.reason-length", requests=_if_own(7))
def test_length_of_reason(probe: Probe) -> None:
    _length(probe, "reason")


@covers("handoff.summary-length", requests=_if_own(7))
def test_length_of_summary(probe: Probe) -> None:
    _length(probe, "summary")


def _length(probe: Probe, member: str) -> None:
    clause = f"handoff.{member}-length"
    if not probe.has("own", clause):
        return
    longest = _longest(probe, member)
    for length, status in (
        (longest - 1, 200),
        (longest, 200),
        (longest + 1, 400),
        (longest + 2, 400),
        (2 * longest + 1, 400),
    ):
        request = probe.request(probe.handoff, probe.handoff_body(**{member: of_length("vorel-conformance ", length)}))
        probe.expect(clause, f"{member} of {length} characters", request, {status}, field=member)
    for name, text in blanks_around(longest).items():
        request = probe.request(probe.handoff, probe.handoff_body(**{member: text}))
        probe.expect(clause, f"{member}: {name}", request, {400}, field=member)


@covers("handoff.characters", requests=_if_own(2 * (2 * len(WIDE) + 2 * len(PLAIN) + len(SUSPICIOUS) + 5)))
def test_characters_of_reason_and_summary(probe: Probe) -> None:
    if not probe.has("own", "handoff.characters"):
        return
    for member in MEMBERS:
        longest = _longest(probe, member)
        for name, character in WIDE.items():
            for length, status in ((longest, 200), (longest + 1, 400)):
                request = probe.request(probe.handoff, probe.handoff_body(**{member: character * length}))
                probe.expect(
                    "handoff.characters", f"{member} of {length} {name} characters", request, {status}, field=member
                )
        for count, status in ((longest // 2, 200), (longest // 2 + 1, 400)):
            request = probe.request(probe.handoff, probe.handoff_body(**{member: COMBINED * count}))
            label = f"{member} of {2 * count} characters, each second one combining"
            probe.expect("handoff.characters", label, request, {status}, field=member)
        for name, text in PLAIN.items():
            for count, status in ((longest // len(text), 200), (longest // len(text) + 1, 400)):
                request = probe.request(probe.handoff, probe.handoff_body(**{member: text * count}))
                label = f"{member} of {len(text) * count} characters, {name}"
                probe.expect("handoff.characters", label, request, {status}, field=member)
        for name, text in SUSPICIOUS.items():
            request = probe.request(probe.handoff, probe.handoff_body(**{member: text}))
            probe.expect("handoff.characters", f"{member} contains {name}", request, {200}, field=member)
        lines = probe.handoff_body(**{member: "two\nlines\tand\r\na \u0001 \u007f \u2028"})
        request = probe.request(probe.handoff, lines)
        probe.expect("handoff.characters", f"{member} with control characters", request, {200}, field=member)
        blank = probe.handoff_body(**{member: "   "})
        request = probe.request(probe.handoff, blank)
        probe.expect("handoff.characters", f"{member} of blanks", request, {200}, field=member)
        other = next(each for each in MEMBERS if each != member)
        escaped = strict_json.dumps({other: "vorel-conformance", member: "HERE"}).replace(b"HERE", ESCAPED * longest)
        label = f"{member} of {longest} astral characters as escapes"
        probe.expect("handoff.characters", label, probe.request(probe.handoff, escaped), {200}, field=member)


@covers("handoff.types", "envelope.names-field", requests=_if_own(2 * len(WRONG_FOR_STRING)), writes=False)
def test_types_of_note(probe: Probe) -> None:
    if not probe.has("own", "handoff.types"):
        return
    for member in MEMBERS:
        for name, value in WRONG_FOR_STRING.items():
            request = probe.request(probe.handoff, probe.handoff_body(**{member: value}))
            probe.expect("handoff.types", f"{member} is {name}", request, {400}, field=member)


@covers("handoff.body-object", requests=_if_own(len(WRONG_FOR_OBJECT)), writes=False)
def test_body_is_an_object(probe: Probe) -> None:
    if not probe.has("own", "handoff.body-object"):
        return
    for name, value in WRONG_FOR_OBJECT.items():
        body = b"null" if value is None else value
        probe.expect("handoff.body-object", f"the body is {name}", probe.request(probe.handoff, body), {400})


@covers(
    "handoff.malformed-id",
    requests=lambda size: len(MALFORMED_IDS) + len(ALTERED_IDS) * bool(size.own),
    writes=False,
)
def test_malformed_id(probe: Probe) -> None:
    if probe.target.own:
        for label, alter in ALTERED_IDS.items():
            request = probe.valid(probe.handoff, lead=alter(probe.lead()))
            probe.expect("handoff.malformed-id", f"the id of a lead: {label}", request, {400, 404})
    for lead in MALFORMED_IDS:
        probe.expect("handoff.malformed-id", f"the id {lead[:40]}", probe.valid(probe.handoff, lead=lead), {400, 404})


@covers("handoff.repost", "handoff.fresh-id", "handoff.same-conversation", requests=_if_own(2 * REPOSTS))
def test_again(probe: Probe) -> None:
    """Hand off the same lead several times, with the same body and with another. `checks.cross_exchange` compares."""
    if not probe.has("own", "handoff.repost", "handoff.fresh-id", "handoff.same-conversation"):
        return
    lead = probe.lead()
    for body in (probe.handoff_body(), probe.handoff_body()):
        request = probe.request(probe.handoff, body, lead=lead)
        for n in range(REPOSTS):
            probe.expect("handoff.repost", f"handoff {n + 1} of one lead", request, {200})
