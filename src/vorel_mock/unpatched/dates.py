"""The class of dates itself, where freezegun has put another in its place."""

import datetime


def real_datetime() -> type[datetime.datetime]:
    """Return the class `datetime`. A function, because freezegun replaces what a module refers to."""
    return next(each for each in datetime.datetime.__mro__ if each.__module__ == "datetime")
