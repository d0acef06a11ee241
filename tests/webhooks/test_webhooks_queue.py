"""The retry schedule and the queue, for any run of answers; and that docs/webhooks.md says what they are."""

import re

from hypothesis import given
from hypothesis import strategies as st
from tests.paths import DOCS

from vorel_mock.model.webhooks import EVENTS, Attempt, Delivery, Webhook
from vorel_mock.webhooks.queue import RETRY_SCHEDULE, DeliveryQueue, record_attempt

PAGE = (DOCS / "webhooks.md").read_text(encoding="utf-8")


def a_delivery(due_at: float | None = 0.0) -> Delivery:
    return Delivery("d", "w", "lead.created", "e", b"{}", 0.0, due_at=due_at)


def a_lane() -> DeliveryQueue:
    return DeliveryQueue(Webhook("w", "http://localhost/", frozenset(EVENTS), "s"))


@given(st.lists(st.one_of(st.none(), st.integers(100, 999)), max_size=10), st.booleans())
def test_the_first_answer_that_ends_it_ends_it(statuses: list[int | None], breaks_off: bool) -> None:
    delivery = a_delivery()
    for status in statuses:
        if delivery.due_at is None:
            break
        error = "broke off" if breaks_off or status is None else None
        record_attempt(delivery, Attempt(delivery.due_at, status, error))
    attempts = delivery.attempts
    ends = [n for n, a in enumerate(attempts) if a.error is None and a.status is not None and a.status // 100 in (2, 4)]
    assert len(attempts) <= len(RETRY_SCHEDULE)
    assert (delivery.due_at is None) == (delivery.state != "pending")
    if delivery.state in ("delivered", "failed"):
        assert ends == [len(attempts) - 1]
        assert attempts[-1].status is not None
        assert attempts[-1].status // 100 == (2 if delivery.state == "delivered" else 4)
    else:
        assert not ends
        assert (delivery.state == "dead") == (len(attempts) == len(RETRY_SCHEDULE))
    for n in range(1, len(attempts)):
        assert attempts[n].at - attempts[n - 1].at == RETRY_SCHEDULE[n]


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=200))
def test_what_is_kept_comes_out_by_due_time_then_arrival(entries: list[tuple[int, bool]]) -> None:
    queue = a_lane()
    made = []
    for due_at, forgotten in entries:
        delivery = a_delivery(float(due_at))
        queue.push(delivery)
        if forgotten:
            delivery.forget()
        made.append(delivery)
    out = []
    while queue.next_due() is not None:
        out.append(queue.pop()[0])
    # sorted() is stable: deliveries that are due at once stay in the order of their arrival
    assert out == sorted((d for d in made if not d.forgotten), key=lambda d: d.due_at or 0.0)


@given(st.floats(0, 100), st.floats(0, 100))
def test_an_attempt_never_begins_before_it_is_due_or_the_webhook_is_free(due_at: float, free_at: float) -> None:
    queue = a_lane()
    queue.push(a_delivery(due_at))
    queue.free_at = free_at
    assert queue.pop()[1] == max(due_at, free_at)


def test_the_page_has_the_retry_schedule_and_the_events() -> None:
    (schedule,) = re.findall(r"<!-- schedule -->(.*?)<!-- /schedule -->", PAGE, re.DOTALL)
    (events,) = re.findall(r"<!-- events -->(.*?)<!-- /events -->", PAGE, re.DOTALL)
    assert tuple(map(float, re.split(r",\s+", schedule))) == RETRY_SCHEDULE
    assert tuple(re.findall(r"`(.*?)`", events)) == EVENTS
