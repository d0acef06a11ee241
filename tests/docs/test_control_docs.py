"""docs/control-plane.md: every line of it runs as it stands."""

import re
import shlex
from string import Template

import httpx
from tests.paths import DOCS

PAGE = DOCS / "control-plane.md"


def curls() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_every_line_of_the_page_runs(control: httpx.Client) -> None:
    names = {"URL": "http://127.0.0.1:3000"}
    files: dict[str, str] = {}
    statuses: list[int] = []
    for line in curls():
        program, *words = shlex.split(Template(line).substitute(names))
        assert program == "curl"
        method, headers, content, url, output = "GET", {}, None, "", ""
        while words:
            match words.pop(0):
                case "-sS":
                    pass
                case "-X":
                    method = words.pop(0)
                case "-H":
                    name, _, value = words.pop(0).partition(": ")
                    headers[name] = value
                case "-d":
                    content = words.pop(0)
                    if content.startswith("@"):
                        content = files[content[1:]]
                case "-o":
                    output = words.pop(0)
                case url if url.startswith("http"):
                    pass
                case word:
                    raise AssertionError(word)
        answer = control.request(method, url, headers=headers, content=content)
        assert answer.is_success, f"{line}: {answer.text}"
        statuses.append(answer.status_code)
        files[output] = answer.text
        if "ID" not in names:
            made = answer.json()
            names |= {"ID": made["id"], "KEY": made["keys"]["full"][0], "LEAD": made["leads"]["own"][0]}
    assert set(statuses) == {200, 201, 202, 204}
    assert len(statuses) > 15
