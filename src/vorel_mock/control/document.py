"""The OpenAPI document of the control plane: openapi.yaml, with names of the contract and catalogues filled in."""

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from vorel_mock.api.faults.catalogue import CATALOGUE
from vorel_mock.api.faults.deviations import BASE_URL
from vorel_mock.contract.contract import Contract
from vorel_mock.mock import provisioning, snapshot
from vorel_mock.model.crm import VENDORS, ErrorName
from vorel_mock.model.webhooks import EVENTS, TEST_EVENT

FILE = Path(__file__).parent / "openapi.yaml"
#: The years that a clock can show, and a duration that is not zero.
_YEARS = "^(19[7-9][0-9]|[2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-"
_PART = r"[0-9]+(\.[0-9]+)?(ms|s|m|h|d)"
_SOME_TIME = rf"^({_PART})*([0-9]*[1-9][0-9]*(\.[0-9]+)?|[0-9]+\.[0-9]*[1-9][0-9]*)(ms|s|m|h|d)({_PART})*$"
#: Below which the control plane is.
PREFIX = "/_mock"

#: Methods of the paths that the document does not describe: the documentation.
READS = ("GET", "HEAD")


#: Keywords that the control plane takes over from the contract.
_LIMITS = ("enum", "minLength", "maxLength")


def load(contract: Contract) -> dict[str, Any]:
    """Return the document for a mock that serves `contract`."""
    document: dict[str, Any] = json.loads(_as_json())
    document["components"]["schemas"] |= snapshot.schema()
    for place, names in _names(contract).items():
        schema: Any = document["components"]
        for step in place.split("/"):
            schema = schema[step]
        if known := list(names):  # a document of another make may have none, and an empty enum is no schema
            schema["enum"] = known
    for name, operation_id in (("NewHandoff", "handoffLead"), ("NewCrmRecord", "createCrmRecord")):
        limits = contract.body_members(operation_id)
        for member, schema in document["components"]["schemas"][name]["properties"].items():
            schema |= {keyword: limits[member][keyword] for keyword in _LIMITS if keyword in limits.get(member, {})}
    return document


def checked(contract: Contract) -> dict[str, Any]:
    """Return the document by which requests are checked: without the schemas of a snapshot, which is read row by row.

    Connexion writes a schema out at each place that refers to it, and looks through it with each request.
    """
    document = load(contract)
    schemas = document["components"]["schemas"]
    for name in snapshot.schema():
        del schemas[name]
    return {
        **document,
        "components": {**document["components"], "schemas": {**schemas, "Snapshot": {"type": "object"}}},
    }


@lru_cache(maxsize=1)
def _as_json() -> str:
    # By the loader in C where there is one: the other takes a tenth of a second.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return json.dumps(yaml.load(FILE.read_text("utf-8"), Loader=loader))  # noqa: S506 - a safe loader


def _names(contract: Contract) -> dict[str, Iterable[str | None]]:
    """Return the allowed values, by the place in the document's components."""
    operations = [operation.id for operation in contract.operations]
    channels = contract.notified_channels
    return {
        "schemas/OperationId": operations,
        "schemas/TenantChange/properties/notified_channel": [*channels, None] if channels else [],
        "schemas/NewTenant/properties/notified_channel": channels,
        "schemas/Crm/properties/failure": [*map(str, ErrorName), None],
        "schemas/CrmChange/properties/failure": [*map(str, ErrorName), None],
        "schemas/NewKey/properties/scopes/items": sorted(provisioning.every_scope(contract)),
        "schemas/Snapshot/properties/notified_channel": channels,
        "schemas/Snapshot/properties/crm/properties/vendor": VENDORS,
        "schemas/Snapshot/properties/crm/properties/failure": [*map(str, ErrorName), None],
        "schemas/SnapshotKey/properties/scopes/items": sorted(provisioning.every_scope(contract)),
        "schemas/SnapshotRecord/properties/vendor": VENDORS,
        "schemas/SnapshotWebhook/properties/events/items": EVENTS,
        "schemas/SnapshotDelivery/properties/event": [*EVENTS, TEST_EVENT],
        "schemas/SnapshotFault/properties/fault": CATALOGUE,
        "schemas/SnapshotFault/properties/operation": [*operations, None],
        "schemas/SnapshotStubRequest/properties/operation": [*operations, None],
        "schemas/SnapshotStubResponse/properties/fault": [*CATALOGUE, None],
        "schemas/NewWebhook/properties/events/items": EVENTS,
        "schemas/WebhookChange/properties/events/items": EVENTS,
        "schemas/NewEvent/properties/event": EVENTS,
        "parameters/EventName/schema": [*EVENTS, TEST_EVENT],
        "schemas/KeyChange/properties/scopes/items": sorted(provisioning.every_scope(contract)),
        "schemas/DeliveryWait/properties/event": [*EVENTS, TEST_EVENT],
        "schemas/NewFault/properties/fault": CATALOGUE,
        "schemas/StubRequest/properties/operation": operations,
        "schemas/StubResponse/properties/fault": CATALOGUE,
        "schemas/NewFault/properties/operation": [*operations, None],
    }


def served(contract: Contract, server: str, *, token: bool) -> dict[str, Any]:
    """Return the document as it is shown: with its server, and with the control token if one is required."""
    document = load(contract)
    document["servers"] = [{"url": server, "description": "this mock"}]
    _tell_what_handlers_check(document["components"], contract)
    used = _used(document, document["paths"])
    document["components"] = {
        kind: {name: part for name, part in parts.items() if f"#/components/{kind}/{name}" in used}
        for kind, parts in document["components"].items()
    }
    if token:
        scheme = {"type": "http", "scheme": "bearer", "description": "The control token of this mock."}
        document["components"]["securitySchemes"] = {"ControlToken": scheme}
        document["security"] = [{"ControlToken": []}]
    return document


def _tell_what_handlers_check(components: dict[str, Any], contract: Contract) -> None:
    """Add to the schemas what the handlers check, whose messages are better than those made of a schema."""
    schemas = components["schemas"]
    snapshots = [schema for name, schema in schemas.items() if name.startswith("Snapshot")]
    moments = [components["parameters"][name]["schema"] for name in ("Since", "Until")]
    given = [schemas[name]["properties"] for name in ("NewHandoff", "NewCrmRecord")]
    moments += [schemas["ClockChange"]["properties"]["set"], *_times(given), *_times(snapshots)]
    moments.append(schemas["Since"]["anyOf"][0])
    for schema in moments:
        schema["pattern"] = _YEARS
    for name in ("NewTenant", "TenantChange", "Snapshot"):
        schemas[name]["properties"]["webhook_timeout"]["pattern"] = _SOME_TIME
    for name in ("NewFault", "SnapshotFault", "StubResponse", "SnapshotStubResponse"):
        schemas[name]["properties"]["location"]["pattern"] = f"^{BASE_URL.pattern}$"
    schemas["SnapshotKey"]["properties"]["token"]["pattern"] = f"^{contract.token_pattern.pattern}$"
    objects = sorted({name for vendor in VENDORS.values() for name in vendor.objects})
    snapshot_mappings = schemas["Snapshot"]["properties"]["crm"]["properties"]["mappings"]
    for schema in (schemas["CrmMappings"], schemas["CrmMappingsChange"], snapshot_mappings):
        schema["properties"] = dict.fromkeys(objects, schema["additionalProperties"])
        schema["additionalProperties"] = False


def _times(node: Any) -> list[dict[str, Any]]:
    """Return the schemas of times in `node`."""
    if isinstance(node, list):
        return [found for item in node for found in _times(item)]
    if not isinstance(node, dict):
        return []
    return [node] if node.get("format") == "date-time" else _times(list(node.values()))


def _used(document: Mapping[str, Any], node: Any) -> set[str]:
    """Return the references in `node`, and those in what they lead to."""
    found: set[str] = set()
    left = [node]
    while left:
        node = left.pop()
        if isinstance(node, list):
            left += node
        elif isinstance(node, dict):
            left += node.values()
            reference = node.get("$ref")
            if isinstance(reference, str) and reference not in found:
                found.add(reference)
                _, _, kind, name = reference.split("/")
                left.append(document["components"][kind][name])
    return found


def allowed(document: dict[str, Any], path: str) -> str:
    """Return the methods of `path` (below /_mock), for the Allow header of a 405 (RFC 9110, 15.5.6)."""
    templates = [template for template in document["paths"] if _pattern(template).fullmatch(path)]
    # A path that is written out is more than one that has a placeholder there (OpenAPI, Paths Object).
    nearest_template = min(templates, key=lambda template: template.count("{"), default="")
    known = {method.upper() for method in document["paths"].get(nearest_template, ())}
    return ", ".join(sorted(known | {"HEAD"} if "GET" in known else known or READS))


def ambiguous(document: Mapping[str, Any]) -> list[re.Pattern[str]]:
    """Return patterns of the paths (below /_mock) that several templates match: `…/deliveries/wait` is no delivery."""
    return [
        _pattern(template)
        for template in document["paths"]
        if sum(_pattern(other).fullmatch(template) is not None for other in document["paths"]) > 1
    ]


def _pattern(template: str) -> re.Pattern[str]:
    """Return the pattern of the paths that a template matches."""
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)))


def nearest(document: Mapping[str, Any], path: str) -> str | None:
    """Return the path of the document that `path` (below /_mock) is probably meant to be, with its ids filled in."""
    given = path.rstrip("/").split("/")
    known = []
    for template in document["paths"]:
        parts = template.split("/")
        if len(parts) == len(given):
            known.append("/".join(own if part[:1] == "{" else part for part, own in zip(parts, given, strict=True)))
    return next(iter(get_close_matches("/".join(given), known, n=1, cutoff=0.8)), None)
