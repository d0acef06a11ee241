"""The formats that CRM vendors demand of a property's value.

They are lenient: a format rejects only what the vendor is known to reject. Values are never changed.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Format:
    """The format of a value. `noun` completes "must be ..."; `accepts` is called for values that are not blank."""

    name: str
    noun: str
    accepts: Callable[[object], bool]


# A value may be a megabyte long: each pattern reads its text once, no part of it can be read in two ways.
_EMAIL = re.compile(r'[^\s@"]+@[^\s@.]+(?:\.[^\s@.]+)*\.[^\W\d_][\w-]{1,62}')
_PHONE = re.compile(r"\+?[(]?[0-9A-Za-z][0-9A-Za-z ().,;#/-]*")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})"
)
_EPOCH_MS = re.compile(r"-?[0-9]{1,15}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_URL = re.compile(r"(?:(?:https?|ftp)://)?[^\s./@?#]+(?:\.[^\s./@?#]+)+(?:[/?#]\S*)?")
_INTERNAL_ID = re.compile(r"[a-z0-9_-]+")


def _is_scalar(value: object) -> bool:
    return not isinstance(value, (dict, list))


def _is_email(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 254 and _EMAIL.fullmatch(value) is not None


def _is_phone(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 30 and _PHONE.fullmatch(value) is not None


def _is_date(value: object) -> bool:
    # The pattern first: fromisoformat alone would take week dates and compact forms as well.
    return isinstance(value, str) and _DATE.fullmatch(value) is not None and _parses(date.fromisoformat, value)


def _is_date_time(value: object) -> bool:
    return isinstance(value, str) and _DATE_TIME.fullmatch(value) is not None and _parses(datetime.fromisoformat, value)


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _is_moment(value: object) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 10**15
    return (
        _is_date_time(value) or _is_date(value) or (isinstance(value, str) and _EPOCH_MS.fullmatch(value) is not None)
    )


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        return _NUMBER.fullmatch(value) is not None and math.isfinite(float(value))
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _is_boolean(value: object) -> bool:
    return isinstance(value, bool)


def _is_url(value: object) -> bool:
    return isinstance(value, str) and _URL.fullmatch(value) is not None


def _is_internal_id(value: object) -> bool:
    if isinstance(value, str):
        return _INTERNAL_ID.fullmatch(value) is not None
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


TEXT = Format("text", "text, not a list or an object", _is_scalar)
EMAIL = Format("email", "an email address", _is_email)
PHONE = Format("phone", "a phone number of at most 30 characters, such as +1 555 010 0199", _is_phone)
DATE = Format("date", "a date such as 2026-11-23", _is_date)
DATE_TIME = Format("date-time", "a date and time with its offset, such as 2026-11-23T09:00:00Z", _is_date_time)
MOMENT = Format("date or date-time", "a date, a date and time with its offset, or epoch milliseconds", _is_moment)
NUMBER = Format("number", "a number", _is_number)
BOOLEAN = Format("boolean", "true or false", _is_boolean)
URL = Format("url", "a URL", _is_url)
INTERNAL_ID = Format("internal id", "an internal id such as closedwon, not the label that people see", _is_internal_id)


def picklist(*options: str) -> Format:
    """One of `options`, exactly. For the lists that the vendor does not let anybody extend through its API."""
    return Format(" / ".join(options), f"one of {', '.join(options)}", options.__contains__)
