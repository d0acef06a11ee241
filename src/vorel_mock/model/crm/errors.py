"""The typed soft failures of a CRM, and the reserved values that ask for one."""

import re
from collections.abc import Mapping
from enum import StrEnum


class ErrorName(StrEnum):
    """The errors that the contract names. Its list ends in "etc.": a client must bear any other name too."""

    NO_CRM_CONFIGURED = "no_crm_configured"
    AUTH_FAILED = "auth_failed"
    RATE_LIMITED = "rate_limited"
    VALIDATION_ERROR = "validation_error"


class CrmError(Exception):
    """The CRM did not take the record. Becomes `{"ok": false, "error": .., "detail": ..}` under status 200."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(f"{error}: {detail}")
        self.error = str(error)
        self.detail = detail


#: What each of the known errors says when nothing more particular is to be said.
DETAILS: Mapping[ErrorName, str] = {
    ErrorName.NO_CRM_CONFIGURED: "This tenant has no CRM configured. Connect one in the integration settings.",
    ErrorName.AUTH_FAILED: "The CRM refused the tenant's credentials. Connect it again in the integration settings.",
    ErrorName.RATE_LIMITED: "The CRM is limiting the tenant's requests. Try again later.",
    ErrorName.VALIDATION_ERROR: "The CRM refused the record: a field is missing or malformed.",
}

RESERVED_DOMAIN = "@crm-error.test"

#: The documented reserved values, each with the soft failure that it makes. Members: value, error, detail.
RESERVED_VALUES: tuple[dict[str, str], ...] = tuple(
    {"value": f"{name}{RESERVED_DOMAIN}", "error": name.value, "detail": detail} for name, detail in DETAILS.items()
)

# The local part is an error name: a snake_case word, no longer than an address allows. ASCII, or a long s would pass
# for an s in the domain.
_RESERVED = re.compile(r"(?=.{1,64}@)([a-z][a-z0-9]*(?:_[a-z0-9]+)*)(?i:@crm-error\.test)", re.ASCII)
_DOMAIN_LENGTH = len(RESERVED_DOMAIN)


def reserved_error(fields: Mapping[str, object]) -> CrmError | None:
    """The soft failure that a reserved value asks for, or None.

    A reserved value is `<error>@crm-error.test`, whole, in any top-level field; the first one decides. `create` looks
    for it by itself; this function is for a tenant that has no vendor to create anything with.
    """
    for value in fields.values():
        # Almost no value ends this way: one character decides before the pattern is asked.
        if isinstance(value, str) and value[-_DOMAIN_LENGTH : 1 - _DOMAIN_LENGTH] == "@":
            match = _RESERVED.fullmatch(value)
            if match:
                return _failure(match[1])
    return None


def _failure(error: str) -> CrmError:
    try:
        return CrmError(error, DETAILS[ErrorName(error)])
    except ValueError:
        return CrmError(error, "The CRM failed in a way that has no documented name, as a reserved value asks.")
