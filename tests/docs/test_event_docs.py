"""docs/webhooks.md prints what GET /_mock/events has. `python tests/docs/test_event_docs.py` writes it."""

import json
import re
from typing import Any

import httpx
from tests import checked_client as checked
from tests.paths import DOCS

from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings
from vorel_mock.webhooks.event_kinds import MAX_DATA

PAGE = DOCS / "webhooks.md"
BEGIN, END = "<!-- generated: events -->", "<!-- /generated -->"


def catalogue(http: httpx.Client) -> list[dict[str, Any]]:
    return list(http.get("/_mock/events").json()["data"])


def section(kinds: list[dict[str, Any]]) -> str:
    """The table of the events, the kinds of members, and an example of each event."""
    lines = ["| event | what happened | members; those in parentheses may be left out |", "|---|---|---|"]
    members: dict[str, str] = {}
    for kind in kinds:
        schema = kind["schema"]
        names = [f"`{name}`" if name in schema["required"] else f"(`{name}`)" for name in schema["properties"]]
        lines.append(f"| `{kind['event']}` | {kind['description']} | {', '.join(names)} |")
        members |= {name: told(member) for name, member in schema["properties"].items()}
    by_kind: dict[str, list[str]] = {}
    for name, what in members.items():
        by_kind.setdefault(what, []).append(f"`{name}`")
    lines += ["", "| a member | is |", "|---|---|", *(f"| {', '.join(by)} | {what} |" for what, by in by_kind.items())]
    lines += ["", "Examples, as the first demo tenant publishes them:", "", "```json"]
    lines += [json.dumps({"event": kind["event"], "data": kind["example"]}, indent=None) for kind in kinds]
    return "\n".join([*lines, "```"])


def told(member: dict[str, Any]) -> str:
    """A schema of a member in words."""
    match member:
        case {"format": "uuid"}:
            return "a UUID"
        case {"format": "date-time"}:
            return "a time in RFC 3339"
        case {"enum": values}:
            return " or ".join(f"`{value}`" for value in values)
        case {"pattern": pattern}:
            return f"a text of the shape `{pattern}`".replace("|", "\\|")
        case {"type": "integer", "minimum": least}:
            return f"a whole number, {least} or more"
        case {"type": "string", "maxLength": most}:
            return f"a text of {most:,} characters at most"
    raise ValueError(member)


def written(page: str) -> str:
    """The page with the section as it should be."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    with checked.client(Mock(Settings(seed=1, clock="frozen"))) as http:
        return f"{before}{BEGIN}\n{section(catalogue(http))}\n{END}{after}"


def test_the_page_prints_the_events() -> None:
    page = PAGE.read_text("utf-8")
    assert page == written(page), "docs/webhooks.md is behind: run python tests/docs/test_event_docs.py"


def test_each_example_of_the_page_is_published(control: httpx.Client) -> None:
    tenant = control.post("/_mock/tenants").json()["id"]
    (block,) = re.findall(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    examples = [json.loads(line) for line in block.splitlines()]
    assert len(examples) == 12
    for example in examples:
        answer = control.post(f"/_mock/tenants/{tenant}/events", json=example)
        assert answer.status_code == 202
        assert answer.json()["data"] == example["data"]


def test_the_bound_of_the_page_is_that_of_the_code() -> None:
    assert f"{MAX_DATA // 1024} KiB" in PAGE.read_text("utf-8")


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
