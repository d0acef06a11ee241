"""The contract document for client generators that cannot read it as it is. It says the same, a little less exactly."""

from typing import Any


def for_generators(document: dict[str, Any]) -> dict[str, Any]:
    """Return `document` without what openapi-generator 7 fails at.

    It demands an identifier of the license, which OpenAPI 3.1 does not. A boolean with an enum becomes a class that
    does not compile (Java) or takes no value (Python); which alternative of a oneOf is meant, `required` says as well.
    """
    rendered: dict[str, Any] = _without_boolean_enums(document)
    license_ = rendered["info"].get("license")
    if license_ is not None and not license_.keys() & {"identifier", "url"}:
        license_["identifier"] = "LicenseRef-" + license_.get("name", "unknown").replace(" ", "-")
    return rendered


def _without_boolean_enums(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_boolean_enums(item) for item in node]
    if not isinstance(node, dict):
        return node
    left_out = ("enum", "const") if node.get("type") == "boolean" else ()
    return {name: _without_boolean_enums(member) for name, member in node.items() if name not in left_out}
