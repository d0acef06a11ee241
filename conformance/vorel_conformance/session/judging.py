"""Judges one exchange: the checks of its response, and the expectation of the test that sent it. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

from vorel_conformance.checks import response, schema
from vorel_conformance.checks.response import Check
from vorel_conformance.http.exchange import Exchange
from vorel_conformance.http.target import Target
from vorel_conformance.spec import clauses

#: Part of the label of a request that asks for a rule again. If an earlier one shows the same, the report shows that.
LATE = "late in the run"
#: Part of the label of a generated request: a directed one says more.
GENERATED = "a generated"


@dataclass(frozen=True)
class Expectation:
    """The response that a test expects: one of `statuses` and, for a 400, the name of the one invalid member."""

    clause: str
    label: str
    statuses: frozenset[int]
    field: str | None = None


@dataclass(frozen=True)
class Judgement:
    """The checks of one exchange, and the reason why it is no evidence for the expectation (empty if it is)."""

    checks: tuple[Check, ...] = ()
    no_evidence: str = ""


def judge(exchange: Exchange, target: Target, expectation: Expectation | None = None) -> Judgement:
    """Return the judgement on one exchange. Raises DisagreementError if the validators disagree."""
    if not exchange.connected:  # the target is away: that says nothing about the request
        return Judgement((), f"no response ({exchange.failure})")
    schema.compare_validators(exchange)
    checks = [check for run in response.RESPONSE_CHECKS for check in run(exchange, target)]
    reason = ""
    if expectation:
        reason = no_evidence(exchange, expectation)
        if not reason:
            checks += _expected(exchange, expectation)
    return Judgement(tuple(checks), reason)


def no_evidence(exchange: Exchange, expectation: Expectation) -> str:
    """Return why a response is no evidence for an expectation, or an empty string. Another clause reports the cause."""
    if not exchange.responded:
        return f"no response ({exchange.failure})"
    if exchange.status >= 500 and not _is_about_crashes(expectation):
        return f"HTTP {exchange.status}, see fuzz.no-server-error"
    if exchange.status in expectation.statuses:
        return ""
    if exchange.status == 429:
        return "rejected with 429"
    if exchange.status == 401 and exchange.valid_key:
        return "401 with a valid key, see auth.accepts-valid"
    return ""


def _is_about_crashes(expectation: Expectation) -> bool:
    clause = clauses.load().get(expectation.clause)
    return clause is not None and clause.server_error


def _expected(exchange: Exchange, expectation: Expectation) -> list[Check]:
    got, wanted = exchange.status, expectation.statuses
    ok = got in wanted
    if not ok and exchange.operation:
        # Rejected as expected, but with an undeclared status: envelope.declared-status reports it.
        ok = 200 not in wanted and 400 <= got < 500 and got not in exchange.operation.statuses
    checks = [
        Check(
            expectation.clause,
            ok,
            f"{expectation.label}: HTTP {got}",
            "HTTP " + " or ".join(map(str, sorted(wanted))),
            f"HTTP {got} {response.text(exchange.body)}",
            place=expectation.field or "",
        )
    ]
    value = exchange.parsed.value
    if (
        expectation.field
        and got == 400
        and got in wanted
        and isinstance(value, dict)
        and isinstance(value.get("error"), dict)
    ):
        message = str(value["error"].get("message"))
        named = expectation.field.lower() in message.lower()
        checks.append(
            Check(
                "envelope.names-field",
                named,
                f'error.message does not contain "{expectation.field}", the name of the invalid field',
                f'a message that contains "{expectation.field}"',
                f"the message {message[:200]!r}",
            )
        )
    return checks
