"""Turn an OpenAPI 3.0 document into one of 3.1: what the two versions write differently, and nothing else."""

from typing import Any

from vorel_mock.contract.document_file import ContractError

#: Members whose value is data, and no part of the description.
_DATA = ("example", "examples", "default", "enum", "const")
_BOUNDS = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))


def to_3_1(document: dict[str, Any]) -> dict[str, Any]:
    """Return `document` as OpenAPI 3.1 if it is 3.0; any other as it is. Raises ContractError for Swagger 2.0."""
    if "swagger" in document:
        raise ContractError(
            f"is Swagger {document['swagger']}, and the mock reads OpenAPI 3.1 and 3.0; convert it first, "
            "for example with `npx swagger2openapi`"
        )
    version = document.get("openapi")
    if not isinstance(version, str) or not version.startswith("3.0."):
        return document
    return {**_upgraded(document), "openapi": "3.1.0"}


def _upgraded(node: Any) -> Any:
    if isinstance(node, list):
        return [_upgraded(value) for value in node]
    if not isinstance(node, dict):
        return node
    made = {name: value if _is_data(name, value) else _upgraded(value) for name, value in node.items()}
    if made.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    if isinstance(made.get("nullable"), bool):
        del made["nullable"]
    for exclusive, bound in _BOUNDS:
        if isinstance(made.get(exclusive), bool) and made.pop(exclusive) and bound in made:
            made[exclusive] = made.pop(bound)
    return made


def _is_data(name: str, value: Any) -> bool:
    # A property of a schema may have such a name; then its value is a schema. The examples of a media type are objects
    # with the data inside, in `value`.
    return name in _DATA and not (isinstance(value, dict) and ("type" in value or "$ref" in value))
