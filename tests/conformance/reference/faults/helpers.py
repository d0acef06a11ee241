"""Helpers of the faults. Each of these functions makes the change of one hook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import replace as change
from functools import partial
from typing import Any

from ..server import CODES, Answer, Change, RefusedError, Tally, Variant, Visit, walk

BODY_CLAUSES = "handoff.body-object crm.body-required"
FUZZ_VALID = "fuzz.valid-accepted"
FUZZ_INVALID = "fuzz.invalid-refused"
# Clauses that need a 200 for a handoff or a CRM write, and clauses that need a 400 for an invalid body.
_ALWAYS_SERVED = (
    f"{FUZZ_VALID} body.unknown-members scope.sufficient limit.not-before limit.every-operation "
    "envelope.wrong-media-type"
)
HANDOFF_SERVED = (
    f"{_ALWAYS_SERVED} limit.enforced limit.per-key limit.recovers limit.window handoff.repost handoff.body-optional "
    "handoff.fields-optional handoff.reason-length handoff.summary-length handoff.characters"
)
CRM_SERVED = f"{_ALWAYS_SERVED} crm.objects crm.key-length crm.characters crm.fields-free crm.replay crm.distinct"
# Clauses that also send a handoff without one member, or without a body.
OTHER_BODIES = "tenancy.unknown-lead tenancy.foreign-lead envelope.names-field"
BAD_BODY_400 = (
    f"{FUZZ_INVALID} {BODY_CLAUSES} envelope.names-field envelope.wrong-media-type handoff.reason-length "
    "handoff.summary-length handoff.characters handoff.types handoff.malformed-id crm.object-enum crm.required "
    "crm.key-length crm.characters crm.types body.json body.strict"
)


@dataclass(frozen=True)
class Fault(Variant):
    """A server with one fault, and the clauses that must catch it. `also`: clauses that may be violated too."""

    clauses: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    window: float = 0.0  # of the rate limit, in seconds, if the usual one is too short to show the fault


def fault(
    name: str,
    sentence: str,
    clauses: str,
    *,
    also: str = "",
    window: float = 0.0,
    wire: bool = False,
    slow: float = 0.0,
    **changes: Change,
) -> Fault:
    named, others = tuple(clauses.split()), tuple(also.split())
    return Fault(name, sentence, changes, wire=wire, slow=slow, clauses=named, also=others, window=window)


def merged(faults: Sequence[Fault]) -> Fault:
    """Return a server with all these faults, each on top of the one before."""
    changes: dict[str, Change] = {}
    for each in faults:
        for hook, one in each.changes.items():
            changes[hook] = _both(changes[hook], one) if hook in changes else one
    return change(faults[0], changes=changes)


def _both(one: Change, other: Change) -> Change:
    return lambda was, v: other(partial(one, was), v)


def always(value: Any) -> Change:
    return lambda was, v: value


def other_status(status: int, instead: int, operation: str | None = None) -> Change:
    """For `refuse`: another status, with the matching code if there is one."""

    def refuse(was: Any, v: Visit) -> Answer:
        assert v.refusal is not None
        if v.refusal.status != status or not v.operation or operation not in {None, v.name}:
            answer: Answer = was(v)
            return answer
        code = {**CODES, 409: "conflict"}.get(instead) or ("internal_error" if instead >= 500 else "bad_request")
        return Answer(instead, {"error": {"code": code, "message": v.refusal.message}}, v.refusal.headers)

    return refuse


def with_members(**members: Any) -> Change:
    return lambda was, v: {**was(v), **members}


def success(**members: Any) -> Change:
    """For `crm`: other members in a success."""
    return lambda was, v: {**a, **members} if (a := was(v))["ok"] is True else a


def failure(**members: Any) -> Change:
    """For `crm`: other members in a soft failure."""
    return lambda was, v: a if (a := was(v))["ok"] is True else {**a, **members}


def without(*names: str) -> Change:
    return lambda was, v: {name: member for name, member in was(v).items() if name not in names}


def tolerates(operation: str, repair: Callable[[Any], Any]) -> Change:
    """For `body_error`: repair the body before validation, so that an invalid one is accepted."""

    def judged(was: Any, v: Visit) -> Any:
        if v.name == operation:
            v.value = repair(v.value)
        return was(v)

    return judged


def repair_member(name: str, repair: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Repair one member, if present."""
    return lambda body: {**body, name: repair(body[name])} if isinstance(body, dict) and name in body else body


def cut(length: int, *, longest: int = 10**9) -> Callable[[Any], Any]:
    return lambda text: text[:length] if isinstance(text, str) and length < len(text) <= longest else text


def refuses(operation: str, field: str, wrong: Callable[[Any], bool]) -> Change:
    """For `body_error`: reject valid bodies too."""

    def judged(was: Any, v: Visit) -> Any:
        message = was(v)
        if message is None and v.name == operation and wrong(v.value):
            return f"{field}: not accepted"
        return message

    return judged


def longer_than(name: str, length: int, measure: Callable[[str], int] = len) -> Callable[[Any], bool]:
    return lambda body: isinstance(body.get(name), str) and measure(body[name]) > length


def utf8(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def strings(value: Any) -> list[str]:
    """Return every string in a JSON value, including names of members."""
    return [each for _, each in walk(value) if isinstance(each, str)]


def depth(value: Any) -> int:
    return max(depth for depth, _ in walk(value))


def no_header(v: Visit) -> bool:
    return "authorization" not in v.request.headers


def malformed(v: Visit) -> bool:
    token = v.server.hooks.token(v) or ""
    return bool(v.request.headers.get("authorization")) and token not in v.server.world.keys and len(token) != 58


def other_lead(was: Any, v: Visit) -> Any:
    own = [lead for lead in v.server.world.leads.values() if lead.tenant == v.caller.tenant]
    answer = was(v)
    return {**answer, "lead_id": next(lead.id for lead in own if lead.id != answer["lead_id"])}


def refusing(status: int, message: str) -> Callable[[Visit, Any], Any]:
    def refuse(v: Visit, answer: Any) -> Any:
        raise RefusedError(status, message)

    return refuse


def trouble_as_status(status: int) -> Change:
    """For `crm`: an error instead of a soft failure."""

    def crm(was: Any, v: Visit) -> Any:
        answer = was(v)
        if answer["ok"] is False:
            raise RefusedError(status, f"The CRM says {answer['error']}.")
        return answer

    return crm


def same_body_under(status: int, when: Callable[[Visit], bool]) -> Change:
    """For `answer`: the same body under another status."""
    return lambda was, v: change(was(v), status=status) if when(v) else was(v)


def not_there(operation: str, status: int) -> Change:
    """For `answer`: one response to every request of an operation, whatever its key and body."""
    code = {404: "not_found"}.get(status, "internal_error")

    def answer(was: Any, v: Visit) -> Answer:
        if v.name == operation:
            return Answer(status, {"error": {"code": code, "message": "There is nothing here."}})
        found: Answer = was(v)
        return found

    return answer


def free(operation: str) -> Change:
    """For `tally`: requests of this operation do not count."""
    return lambda was, v: Tally(0, v.now + v.server.window) if v.name == operation else was(v)


def ends(v: Visit) -> float:
    assert v.tally is not None
    return v.tally.ends


def revoked(v: Visit) -> bool:
    key = v.server.world.keys.get(v.server.hooks.token(v) or "")
    return key is not None and key.revoked
