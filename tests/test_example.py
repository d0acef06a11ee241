"""An answer made from a schema admits no excuse: it validates against that schema."""

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vorel_mock.api import example
from vorel_mock.contract import Contract


def _made(schema: dict[str, Any]) -> Any:
    return example.value(Contract({"components": {"schemas": {"S": schema}}}), schema)


@pytest.mark.parametrize("kind", ["integer", "number"])
@given(low=st.integers(-50, 50), width=st.integers(2, 20), exclusive=st.tuples(st.booleans(), st.booleans()))
def test_a_number_lies_within_its_bounds(kind: str, low: int, width: int, exclusive: tuple[bool, bool]) -> None:
    schema = {
        "type": kind,
        "exclusiveMinimum" if exclusive[0] else "minimum": low,
        "exclusiveMaximum" if exclusive[1] else "maximum": low + width,
    }
    jsonschema.validate(_made(schema), schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "number", "minimum": 0.25, "maximum": 0.5},
        {"type": "number", "exclusiveMaximum": -3},
        {"type": "number", "multipleOf": 0.5, "exclusiveMinimum": 1},
        {"type": "integer", "maximum": -7},
        {"type": "integer", "minimum": 5, "multipleOf": 4},
        {"type": "integer", "exclusiveMinimum": 8, "multipleOf": 4},
        {"type": "integer"},
    ],
)
def test_a_number_is_one_that_its_schema_admits(schema: dict[str, Any]) -> None:
    jsonschema.validate(_made(schema), schema)
