"""docs/reference.md is one page with all that the API, the control plane and the command line take.

`python tests/docs/test_reference_docs.py` writes it, from the documents that the mock serves and from the commands.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import click
import httpx
from tests import checked_client as checked
from tests.paths import DOCS

from vorel_mock.cli.main import COMMANDS, main
from vorel_mock.mock.mock import Mock
from vorel_mock.mock.settings import Settings

Json = dict[str, Any]

PAGE = DOCS / "reference.md"
HEAD = """# Reference

All that the mock takes, on one page: for a search, or for a language model. It is generated (`make docs`) from
the documents that the mock serves at `/_mock/contract.json` and `/_mock/openapi.json`, and from the commands.
A member with `*` is required. Errors are `{"error": {"code", "message"}}`; a message names the field and what is
allowed there.
"""
#: Schemas of this prefix have rows of a snapshot, which one exports and does not write.
NOT_SHOWN = "Snapshot"


def told(text: str | None) -> str:
    return " ".join((text or "").split())


class Reference:
    """Puts an OpenAPI document into Markdown."""

    def __init__(self, document: Json, prefix: str) -> None:
        self.document, self.prefix = document, prefix

    def resolve(self, node: Json) -> Json:
        while "$ref" in node:
            found: Any = self.document
            for step in node["$ref"].removeprefix("#/").split("/"):
                found = found[step.replace("~1", "/").replace("~0", "~")]
            node = found
        return node

    def kind(self, schema: Json) -> str:
        """The type of a schema in a few words."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            target = self.resolve(schema)
            return f"`{name}`" if any(word in target for word in OBJECTS) else self.kind(target)
        if "allOf" in schema and len(schema["allOf"]) == 1:
            return self.kind(schema["allOf"][0])
        for choice in ("oneOf", "anyOf"):
            if choice in schema:
                return " or ".join(self.kind(each) for each in schema[choice])
        if "enum" in schema:
            return "one of " + ", ".join(f"`{json.dumps(each).strip(chr(34))}`" for each in schema["enum"])
        if schema.get("type") == "array":
            return f"list of {self.kind(schema.get('items', {}))}"
        words = [schema.get("format") or schema.get("type") or "any JSON"]
        words += [f"{word} {schema[name]}" for name, word in LIMITS.items() if name in schema]
        if schema.get("nullable"):
            words.append("or null")
        if "default" in schema:
            words.append(f"default {json.dumps(schema['default'])}")
        return " ".join(str(word) for word in words)

    def members(self, schema: Json, indent: str = "") -> Iterator[str]:
        schema = self.resolve(schema)
        for part in schema.get("allOf", ()):
            if "$ref" in part and "properties" in self.resolve(part):
                yield f"{indent}- all of {self.kind(part)}"
            else:
                yield from self.members(part, indent)
        for number, part in enumerate([*schema.get("oneOf", ()), *schema.get("anyOf", ())]):
            if "properties" in self.resolve(part):
                yield f"{indent}- {'or' if number else 'either'} {self.kind(part)}"
                yield from self.members(part, indent + "  ")
        for name, member in schema.get("properties", {}).items():
            star = "*" if name in schema.get("required", ()) else ""
            said = told(member.get("description"))
            yield f"{indent}- `{name}`{star}: {self.kind(member)}{f'. {said}' if said else ''}".rstrip()
            inner = member.get("items", member)
            if "$ref" not in inner and "properties" in inner:
                yield from self.members(inner, indent + "  ")

    def operations(self) -> Iterator[str]:
        tags = {tag["name"]: told(tag.get("description")) for tag in self.document.get("tags", ())}
        found: dict[str, list[str]] = {name: [] for name in tags}
        for path, item in self.document["paths"].items():
            for method in ("get", "post", "put", "patch", "delete"):
                if method in item:
                    operation = item[method]
                    tag = (operation.get("tags") or ["Other"])[0]
                    found.setdefault(tag, []).extend(self.operation(method, path, operation, item))
        for tag, lines in found.items():
            if lines:
                yield from ["", f"### {tag}", "", *filter(None, [tags.get(tag)]), *lines]

    def operation(self, method: str, path: str, operation: Json, item: Json) -> Iterator[str]:
        yield from ["", f"#### `{method.upper()} {self.prefix}{path}` {operation['operationId']}", ""]
        yield f"{told(operation.get('summary'))}. {told(operation.get('description'))}".strip()
        security = operation.get("security")
        if security:
            scopes = sorted({scope for need in security for names in need.values() for scope in names})
            yield f"A key with the scope {', '.join(f'`{scope}`' for scope in scopes)}."
        parameters = [self.resolve(each) for each in [*item.get("parameters", ()), *operation.get("parameters", ())]]
        if parameters:
            yield ""
        for each in parameters:
            star = "*" if each.get("required") else ""
            said = told(each.get("description"))
            yield f"- {each['in']} `{each['name']}`{star}: {self.kind(each['schema'])}{f'. {said}' if said else ''}"
        body = self.resolve(operation["requestBody"]) if "requestBody" in operation else {}
        for media in body.get("content", {}).values():
            schema = media["schema"]
            yield from ["", f"Body{'' if body.get('required') else ' (may be left out)'}: {self.kind(schema)}", ""]
            named = "$ref" in schema and schema["$ref"].rpartition("/")[2].startswith(NOT_SHOWN)
            yield from () if named else self.members(schema)
            example = media.get("example") or self.resolve(schema).get("example")
            if example is not None:
                yield from ["", f"Example: `{json.dumps(example)}`"]
        yield ""
        for status, response in operation["responses"].items():
            shared = "$ref" in response
            answer = self.resolve(response)
            if shared and int(status) >= 400:
                continue  # said once, below
            content: Json = next(iter(answer.get("content", {}).values()), {})
            schema = content.get("schema")
            shown = f": {self.kind(schema)}" if schema else ""
            yield f"- {status}{shown}. {told(answer.get('description'))}"
        errors = [status for status, response in operation["responses"].items() if "$ref" in response]
        if errors:
            yield f"- errors: {', '.join(errors)}"

    def schemas(self) -> Iterator[str]:
        for name, schema in self.document["components"]["schemas"].items():
            if name.startswith(NOT_SHOWN) or not any(word in schema for word in OBJECTS):
                continue
            lines = list(self.members(schema))
            if lines:
                yield from ["", f"#### `{name}`", "", *filter(None, [told(schema.get("description"))]), *lines]

    def errors(self) -> Iterator[str]:
        for name, response in self.document["components"].get("responses", {}).items():
            yield f"- {name}: {told(response.get('description'))}"


#: What a schema of an object may have; one has a name of its own on the page.
OBJECTS = ("properties", "allOf", "oneOf")
LIMITS = {"minimum": "from", "maximum": "to", "minLength": "of at least", "maxLength": "of at most"}


def commands() -> Iterator[str]:
    context = click.Context(main, info_name="vorel-mock")
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        yield from _command(command, f"vorel-mock {name}")


def _command(command: click.Command, called: str) -> Iterator[str]:
    context = click.Context(command, info_name=called)
    usage = " ".join(command.collect_usage_pieces(context))
    yield from ["", f"#### `{called} {usage}`", "", told((command.help or "").partition("\b")[0])]
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    if options:
        yield ""
    for option in options:
        shown = option.get_help_record(context)
        if shown:
            yield f"- `{shown[0]}`: {told(shown[1])}"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _command(inner, f"{called} {name}")


def written(http: httpx.Client) -> str:
    """The page."""
    contract = Reference(http.get("/_mock/contract.json").json(), "")
    control = Reference(http.get("/_mock/openapi.json").json(), "/_mock")
    faults = http.get("/_mock/faults").json()["data"]
    events = http.get("/_mock/events").json()["data"]
    parts = [
        HEAD,
        "\n## The API\n",
        "The contract, as the mock serves it. `Authorization: Bearer` with a key of a tenant.",
        *contract.operations(),
        "\n### Errors of the API\n",
        *contract.errors(),
        "\n### Schemas of the API",
        *contract.schemas(),
        "\n## The control plane\n",
        told(control.document["info"]["description"]),
        *control.operations(),
        "\n### Errors of the control plane\n",
        *control.errors(),
        "\n### Schemas of the control plane\n",
        "Those of a snapshot are left out: `/_mock/openapi.json` has them.",
        *control.schemas(),
        "\n## Faults\n",
        *(f"- `{each['id']}` ({each['stage']}): {told(each['sentence'])}" for each in faults),
        "\n## Events\n",
        *(f"- `{each['event']}`: {told(each['description'])} Data: `{json.dumps(each['example'])}`" for each in events),
        "\n## The command line",
        *commands(),
    ]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(parts))
    return "\n".join(line.rstrip() for line in text.split("\n")).strip() + "\n"


def _http() -> Any:
    return checked.client(Mock(Settings(seed=1, clock="frozen")))


def test_the_page_is_what_the_documents_and_the_commands_say() -> None:
    with _http() as http:
        assert PAGE.read_text("utf-8") == written(http), "docs/reference.md is behind: run make docs"


def test_it_has_each_operation_member_and_option() -> None:
    page = PAGE.read_text("utf-8")
    with _http() as http:
        for path, prefix in (("/_mock/contract.json", ""), ("/_mock/openapi.json", "/_mock")):
            document = http.get(path).json()
            for route, item in document["paths"].items():
                for method in item.keys() & {"get", "post", "put", "patch", "delete"}:
                    assert f"`{method.upper()} {prefix}{route}` {item[method]['operationId']}" in page
            shown = {name: each for name, each in document["components"]["schemas"].items() if NOT_SHOWN not in name}
            members = {member for each in shown.values() for member in each.get("properties", ())}
            assert {member for member in members if f"`{member}`" not in page} == set()
            assert len(members) > 5
    for option in ("--fixtures", "--follow", "--forward-to", "--trust-network"):
        assert option in page


if __name__ == "__main__":
    with _http() as client:
        PAGE.write_text(written(client), "utf-8")
