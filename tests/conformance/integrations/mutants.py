"""The reference integration with one mistake: `mutants.py NAME`. MUTANTS names for each the clause that must see it."""

import base64
import contextlib
import json
import os
import sys
import time
import uuid

import reference as r

MUTANTS = {}


def mutant(clause):
    def register(change):
        MUTANTS[change.__name__] = (clause, change)
        return change

    return register


def replace(name, make):
    """Replace a function of the reference by what `make` returns for it."""
    setattr(r, name, make(getattr(r, name)))


def with_header(**more):
    replace("headers_of", lambda old: lambda data: {**old(data), **{k.replace("_", "-"): v for k, v in more.items()}})


def with_handoff(change):
    def make(old):
        def new(task):
            body = old(task)
            change(body, task)
            return body

        return new

    replace("handoff_body", make)


def with_create(change):
    def make(old):
        def new(task, attempt):
            body = old(task, attempt)
            change(body, task, attempt)
            return body

        return new

    replace("create_body", make)


def with_outcome(change):
    replace("tell", lambda old: lambda task, outcome: old(task, change(task, outcome)))


# --- request


@mutant("request.http")
def line_before_the_request():
    def make(old):
        def new(self, method, path, data):
            return old(self, "BAD METHOD", path, data)

        return new

    r.Client.exchange = make(r.Client.exchange)


@mutant("request.declared")
def path_without_api():
    replace("handoff_path", lambda old: lambda task: old(task).replace("/api", ""))


@mutant("request.method")
def put():
    old = r.Client.exchange
    r.Client.exchange = lambda self, method, path, data: old(self, "PUT", path, data)


@mutant("request.bearer")
def scheme_token():
    with_header(Authorization=f"Token {r.KEY}")


@mutant("request.bearer")
def two_spaces():
    with_header(Authorization=f"Bearer  {r.KEY}")


@mutant("request.bearer")
def key_is_cut():
    with_header(Authorization=f"Bearer {r.KEY[:-1]}")


@mutant("request.media-type")
def form_media_type():
    with_header(Content_Type="application/x-www-form-urlencoded")


@mutant("request.media-type")
def no_media_type():
    replace("headers_of", lambda old: lambda data: {"Authorization": old(data)["Authorization"]})


@mutant("request.strict-json")
def byte_order_mark():
    replace("encode", lambda old: lambda body: b"\xef\xbb\xbf" + old(body))


@mutant("request.strict-json")
def latin_1():
    replace("encode", lambda old: lambda body: old(body).decode().encode("latin-1", "replace"))


@mutant("request.strict-json")
def member_twice():
    replace(
        "encode",
        lambda old: lambda body: old(body)[:-1] + b',"reason":"no-response-7d"}' if "reason" in body else old(body),
    )


@mutant("request.schema")
def null_reason():
    with_handoff(lambda body, task: body.setdefault("reason", None))


@mutant("request.schema")
def no_fields():
    with_create(lambda body, task, attempt: body.pop("fields"))


@mutant("request.lead")
def braces_around_the_lead():
    replace(
        "handoff_path", lambda old: lambda task: old(task).replace(task["lead_id"], task["lead_id"].replace("-", ""))
    )


@mutant("request.lead")
def upper_case_lead():
    replace("handoff_path", lambda old: lambda task: old({**task, "lead_id": task["lead_id"].upper()}))


@mutant("request.reason")
def ascii_reason():
    with_handoff(
        lambda body, task: body.update(
            {k: v.encode("ascii", "replace").decode() for k, v in body.items() if k == "reason"}
        )
    )


@mutant("request.summary")
def escaped_summary():
    with_handoff(
        lambda body, task: body.update(
            {k: v.replace("<", "&lt;").replace('"', "&quot;") for k, v in body.items() if k == "summary"}
        )
    )


@mutant("request.summary")
def one_line_summary():
    with_handoff(lambda body, task: body.update({k: " ".join(v.split()) for k, v in body.items() if k == "summary"}))


@mutant("request.summary")
def summary_is_dropped():
    with_handoff(lambda body, task: body.pop("summary", None))


@mutant("request.left-out")
def placeholder():
    with_handoff(lambda body, task: body.setdefault("summary", "n/a"))


@mutant("request.at-limit")
def cut_at_255():
    with_handoff(lambda body, task: body.update({k: v[:255] for k, v in body.items() if k == "summary"}))


@mutant("request.at-limit")
def refuses_what_fits():
    replace(
        "handoff",
        lambda old: (
            lambda client, task: (
                {"outcome": "failed", "error": "too long"} if len(task.get("reason", "")) >= 200 else old(client, task)
            )
        ),
    )


@mutant("request.over-limit")
def cut_at_the_limit():
    with_handoff(lambda body, task: body.update({k: v[: 200 if k == "reason" else 1000] for k, v in body.items()}))


@mutant("request.object")
def contact_always():
    with_create(lambda body, task, attempt: body.update(object="contact"))


@mutant("request.fields")
def numbers_as_text():
    with_create(
        lambda body, task, attempt: body.update(
            fields={
                k: str(v) if isinstance(v, (int, float)) and not isinstance(v, bool) else v
                for k, v in body["fields"].items()
            }
        )
    )


@mutant("request.fields")
def nulls_are_dropped():
    with_create(
        lambda body, task, attempt: body.update(fields={k: v for k, v in body["fields"].items() if v is not None})
    )


@mutant("request.fields")
def names_in_lower_case():
    with_create(lambda body, task, attempt: body.update(fields={k.lower(): v for k, v in body["fields"].items()}))


@mutant("request.fields")
def nested_as_text():
    with_create(
        lambda body, task, attempt: body.update(
            fields={k: json.dumps(v) if isinstance(v, (dict, list)) else v for k, v in body["fields"].items()}
        )
    )


@mutant("request.fields")
def ascii_fields():
    with_create(
        lambda body, task, attempt: body.update(
            fields={
                k: v.encode("ascii", "ignore").decode() if isinstance(v, str) else v for k, v in body["fields"].items()
            }
        )
    )


# --- idempotency


@mutant("idempotency.key")
def empty_key():
    replace("key_of", lambda old: lambda task: "")


@mutant("idempotency.key")
def no_key():
    with_create(lambda body, task, attempt: body.pop("idempotency_key"))


@mutant("idempotency.key")
def key_too_long():
    replace("key_of", lambda old: lambda task: old(task) * 4)


@mutant("idempotency.same-key")
def key_inside_the_retry():
    replace("key_of", lambda old: lambda task: str(uuid.uuid4()))


@mutant("idempotency.one-record")
def key_of_the_attempt():
    with_create(lambda body, task, attempt: body.update(idempotency_key=f"{body['idempotency_key']}-{attempt}"))


@mutant("idempotency.same-body")
def attempt_in_the_fields():
    with_create(lambda body, task, attempt: body.update(fields={**body["fields"], "attempt": attempt}))


@mutant("idempotency.distinct")
def key_of_the_fields():
    replace("key_of", lambda old: lambda task: json.dumps(task["fields"], sort_keys=True)[:200])


@mutant("idempotency.distinct")
def one_key_for_all():
    replace("key_of", lambda old: lambda task: "vorel")


@mutant("idempotency.distinct-restart")
def counter():
    numbers = {}
    replace("key_of", lambda old: lambda task: f"key-{numbers.setdefault(task['id'], len(numbers))}")


@mutant("idempotency.restart")
def random_key_for_each_task():
    keys = {}
    replace("key_of", lambda old: lambda task: keys.setdefault(task["id"], str(uuid.uuid4())))


# --- limit


@mutant("limit.waits")
def ignores_retry_after():
    replace("wait_of", lambda old: lambda headers: 0)


@mutant("limit.waits")
def waits_a_second():
    replace("wait_of", lambda old: lambda headers: 1)


@mutant("limit.waits")
def waits_for_this_task_alone():
    def post(old):
        def new(self, path, body):
            self.not_before = 0.0
            status, answer = old(self, path, body)
            if status == 429:
                self.limited[path] = self.not_before
            return status, answer

        return new

    r.Client.limited = {}
    r.Client.post = post(r.Client.post)
    # What was limited goes to the end of the list.
    old = r.work

    def work(client, tasks):
        r.ATTEMPTS = 1
        late = []
        tell = r.tell
        r.tell = lambda task, outcome: (
            late.append(task) if outcome.get("error") == "rate_limited" else tell(task, outcome)
        )
        old(client, tasks)
        r.tell = tell
        r.ATTEMPTS = 4
        time.sleep(2 if late else 0)
        old(client, late)

    r.work = work


@mutant("limit.completes")
def gives_up_on_a_limit():
    replace("may_repeat_handoff", lambda old: lambda status: status != 429 and old(status))


@mutant("limit.once")
def queues_it_twice():
    def make(old):
        def new(self, path, body):
            status, answer = old(self, path, body)
            if status == 429:
                again = old(self, path, body)
                old(self, path, {**body, "idempotency_key": str(uuid.uuid4())} if "fields" in body else body)
                return again
            return status, answer

        return new

    r.Client.post = make(r.Client.post)


@mutant("limit.honest")
def a_limit_is_done():
    replace("may_repeat_handoff", lambda old: lambda status: status != 429 and old(status))
    with_outcome(
        lambda task, outcome: (
            {"outcome": "done", "handoff_id": "x"} if outcome.get("error") == "rate_limited" else outcome
        )
    )


@mutant("limit.bare")
def needs_reset():
    replace("wait_of", lambda old: lambda headers: old(headers) if int(headers["X-RateLimit-Reset"]) else 0)


# --- retry


def repeats(*statuses):
    replace("may_repeat_handoff", lambda old: lambda status: status in statuses or old(status))
    replace("may_repeat_create", lambda old: lambda status, error: status in statuses or old(status, error))


@mutant("retry.not-rejected")
def repeats_400():
    repeats(400)


@mutant("retry.not-unauthorized")
def repeats_401():
    repeats(401)


@mutant("retry.not-forbidden")
def repeats_403():
    repeats(403)


@mutant("retry.not-found")
def repeats_404():
    repeats(404)


@mutant("retry.bounded")
def never_stops():
    r.ATTEMPTS = 40
    replace("pause", lambda old: lambda attempt: time.sleep(0.05 + attempt / 500))


@mutant("retry.pauses")
def no_pause():
    replace("pause", lambda old: lambda attempt: None)


@mutant("retry.pauses")
def equal_pauses():
    r.ATTEMPTS = 6
    replace("pause", lambda old: lambda attempt: time.sleep(0.3))


@mutant("retry.gives-up")
def no_time_out():
    r.TIMEOUT_S = None


@mutant("retry.reported")
def trouble_is_not_told():
    replace("tell", lambda old: lambda task, outcome: old(task, outcome) if outcome["outcome"] == "done" else None)


@mutant("retry.reported")
def trouble_is_done():
    with_outcome(
        lambda task, outcome: (
            {"outcome": "done", "handoff_id": str(uuid.uuid4())}
            if "Error" in outcome.get("error", "") or "Disconnected" in outcome.get("error", "")
            else outcome
        )
    )


@mutant("retry.tries-again")
def never_tries_again():
    r.ATTEMPTS = 1


@mutant("retry.one-handoff")
def repeats_a_lost_handoff():
    def make(old):
        def new(self, path, body):
            try:
                return old(self, path, body)
            except r.LostError:
                time.sleep(0.2)
                return old(self, path, body)

        return new

    r.Client.post = make(r.Client.post)


@mutant("retry.one-handoff")
def library_resends():
    """As libcurl does: at once, when a connection breaks that was used before."""
    old = r.Client.exchange

    def exchange(self, method, path, data):
        used = self.connection is not None
        try:
            return old(self, method, path, data)
        except r.LostError:
            if not used:
                raise
            return old(self, method, path, data)

    r.Client.exchange = exchange


@mutant("retry.one-handoff")
def repeats_500():
    repeats(500)


@mutant("retry.isolated")
def stops_at_the_first_failure():
    def work(client, tasks):
        failed = False
        for task in tasks:
            outcome = {"outcome": "failed", "error": "skipped"}
            if not failed:
                outcome = r.handoff(client, task) if task["do"] == "handoff" else r.create(client, task)
            failed = failed or outcome["outcome"] == "failed"
            r.tell(task, outcome)

    r.work = work


# --- answers


@mutant("answers.done")
def always_failed():
    with_outcome(lambda task, outcome: {"outcome": "failed", "error": "unknown"})


@mutant("answers.done")
def works_on_the_first_task_alone():
    old = r.work

    def work(client, tasks):
        old(client, tasks[:1])
        for task in tasks[1:]:
            r.tell(task, {"outcome": "failed", "error": "busy"})

    r.work = work


@mutant("answers.soft-failure")
def status_alone():
    def create(client, task):
        status, answer = client.post("/api/v1/crm/create-record", r.create_body(task, 0))
        if status == 200:
            return {"outcome": "done", "external_id": answer.get("external_id")}
        return {"outcome": "failed", "error": r.error_of(status, answer)}

    r.create = create


@mutant("answers.soft-failure")
def known_names_alone():
    known = {"no_crm_configured", "auth_failed", "validation_error", "rate_limited"}

    def create(client, task):
        status, answer = client.post("/api/v1/crm/create-record", r.create_body(task, 0))
        if status == 200 and answer.get("error") not in known:
            return {"outcome": "done", "external_id": answer.get("external_id")}
        return {"outcome": "failed", "error": r.error_of(status, answer)}

    r.create = create


@mutant("answers.soft-not-repeated")
def repeats_soft_failures():
    replace("may_repeat_create", lambda old: lambda status, error: status == 200 or old(status, error))


@mutant("answers.soft-rate-limited")
def hammers_a_limited_crm():
    r.ATTEMPTS = 30
    replace("pause", lambda old: lambda attempt: time.sleep(0.01))


def strict_members(answer, known):
    if unknown := set(answer) - known:
        raise TypeError(f"unexpected member {unknown}")


@mutant("answers.unlisted-members")
def strict_model():
    known = {
        "handoff_id",
        "lead_id",
        "conversation_id",
        "conversation_status",
        "notified_channel",
        "ok",
        "external_id",
        "record_url",
        "error",
        "detail",
    }

    def make(old):
        def new(self, path, body):
            status, answer = old(self, path, body)
            strict_members(answer, known)
            return status, answer

        return new

    r.Client.post = make(r.Client.post)


def reads(check):
    """Look at each successful answer with `check(answer)`, which may raise."""

    def make(old):
        def new(self, path, body):
            status, answer = old(self, path, body)
            if status == 200:
                check(answer)
            return status, answer

        return new

    r.Client.post = make(r.Client.post)


@mutant("answers.optional-members")
def needs_record_url():
    reads(lambda answer: answer["record_url"] if answer.get("ok") else None)


@mutant("answers.optional-members")
def needs_detail():
    reads(lambda answer: answer["detail"] if answer.get("ok") is False else None)


@mutant("answers.channels")
def slack_alone():
    def handoff(old):
        def new(client, task):
            seen = []
            post = client.post
            client.post = lambda path, body: seen.append(post(path, body)) or seen[-1]
            outcome = old(client, task)
            client.post = post
            if seen and seen[-1][1].get("notified_channel") == "email":
                return {"outcome": "failed", "error": "unknown channel"}
            return outcome

        return new

    replace("handoff", handoff)


@mutant("answers.spelling")
def exact_media_type():
    old = r.Client.exchange

    def exchange(self, method, path, data):
        status, headers, answer = old(self, method, path, data)
        return status, headers, answer if headers.get("Content-Type") == "application/json" else b""

    r.Client.exchange = exchange


@mutant("answers.spelling")
def reads_with_a_pattern():
    old = r.Client.exchange

    def exchange(self, method, path, data):
        status, headers, answer = old(self, method, path, data)
        if status == 200 and b'":"' not in answer and b'":true' not in answer:
            return status, headers, b""
        return status, headers, answer

    r.Client.exchange = exchange


@mutant("answers.spelling")
def needs_content_length():
    old = r.Client.exchange

    def exchange(self, method, path, data):
        status, headers, answer = old(self, method, path, data)
        return status, headers, answer[: int(headers.get("Content-Length", 0))]

    r.Client.exchange = exchange


@mutant("answers.late")
def impatient():
    r.TIMEOUT_S = 1


@mutant("answers.html")
def parses_first():
    def post(self, path, body):
        status, _, answer = self.exchange("POST", path, r.encode(body))
        return status, json.loads(answer)

    r.Client.post = post


@mutant("answers.reported-id")
def reports_the_lead():
    with_outcome(
        lambda task, outcome: {**outcome, "handoff_id": task["lead_id"]} if "handoff_id" in outcome else outcome
    )


@mutant("answers.reported-id")
def reports_no_id():
    with_outcome(lambda task, outcome: {"outcome": outcome["outcome"], "error": outcome.get("error")})


@mutant("answers.honest")
def always_done():
    with_outcome(
        lambda task, outcome: (
            outcome if outcome["outcome"] == "done" else {"outcome": "done", "handoff_id": "x", "external_id": "x"}
        )
    )


@mutant("answers.one-outcome")
def tells_twice():
    replace("tell", lambda old: lambda task, outcome: (old(task, outcome), old(task, outcome)))


@mutant("answers.one-outcome")
def tells_of_the_lead():
    replace("tell", lambda old: lambda task, outcome: old({"id": task.get("lead_id", task["id"])}, outcome))


@mutant("answers.one-outcome")
def another_word():
    with_outcome(lambda task, outcome: {**outcome, "outcome": "success"} if outcome["outcome"] == "done" else outcome)


@mutant("answers.exit")
def exits_with_one():
    old = r.work

    def work(client, tasks):
        old(client, tasks)
        sys.exit(1)

    r.work = work


@mutant("answers.error-name")
def nameless():
    with_outcome(lambda task, outcome: {**outcome, "error": "failed"} if "error" in outcome else outcome)


# --- secrets


@mutant("secrets.url")
def key_in_the_query():
    replace("handoff_path", lambda old: lambda task: f"{old(task)}?api_key={r.KEY}")


@mutant("secrets.body")
def key_in_the_fields():
    with_create(lambda body, task, attempt: body.update(fields={**body["fields"], "source": r.KEY}))


@mutant("secrets.body")
def half_a_key_in_the_reason():
    with_handoff(lambda body, task: body.update(summary=f"by {r.KEY[-20:]}"))


@mutant("secrets.header")
def key_in_a_header():
    with_header(X_Api_Key=r.KEY)


@mutant("secrets.header")
def key_in_base64():
    with_header(X_Debug=base64.b64encode(f"key:{r.KEY}".encode()).decode())


@mutant("secrets.output")
def key_on_stderr():
    print("headers:", r.headers_of(b""), file=sys.stderr)


@mutant("secrets.output")
def key_on_stdout_in_base64():
    print(base64.b64encode(f"Bearer {r.KEY}".encode()).decode())


@mutant("secrets.redirect")
def follows_with_the_key():
    import urllib.request

    old = r.Client.exchange

    def exchange(self, method, path, data):
        status, headers, answer = old(self, method, path, data)
        if status == 307:
            request = urllib.request.Request(headers["Location"], data, r.headers_of(data), method=method)
            with contextlib.suppress(OSError):
                urllib.request.urlopen(request, timeout=4)
        return status, headers, answer

    r.Client.exchange = exchange


if __name__ == "__main__":
    MUTANTS[os.environ.get("MUTANT") or sys.argv[1]][1]()
    r.main()
