"""How values that JSON has no kind of their own for are written: dates, times, decimals.

Each is a pattern of the text, without quotes, in the syntax that ECMA-262 and Python read
alike. It is narrower than what pydantic takes, never wider: the ISO 8601 forms that it reads
exactly.
"""

from __future__ import annotations

__all__ = [
    "DURATION",
    "PLAIN_INTEGER",
    "date_pattern",
    "datetime_pattern",
    "decimal_pattern",
    "time_pattern",
    "uuid_pattern",
]

PLAIN_INTEGER = r"-?(?:0|[1-9][0-9]*)"

# Python's years are 1 to 9999.
_YEAR = r"(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_LEAP_YEAR = (
    r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])"
    r"|(?:0[48]|[2468][048]|[13579][26])00)"
)
_DATE = (
    rf"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    rf"|{_LEAP_YEAR}-02-29)"
)
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
_OFFSET = r"(?:Z|[+\-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_ZONES = {"aware": _OFFSET, "naive": "", None: f"{_OFFSET}?"}
_HEX = "[0-9A-Fa-f]"

# At most nine digits each, so that no sum leaves what a `timedelta` holds.
_NUMBER = r"[0-9]{1,8}"
_SECONDS = rf"{_NUMBER}(?:\.[0-9]{{1,6}})?S"
_HOURS = rf"T(?:{_NUMBER}H(?:{_NUMBER}M)?(?:{_SECONDS})?|{_NUMBER}M(?:{_SECONDS})?|{_SECONDS})"
DURATION = rf"-?P(?:{_NUMBER}D(?:{_HOURS})?|{_HOURS})"


def date_pattern() -> str:
    """Return the pattern of dates: 2024-02-29."""
    return _DATE


def time_pattern(zone: str | None) -> str:
    """Return the pattern of times of day: 09:30, 09:30:15.25, 09:30Z, 09:30+02:00.

    Args:
        zone: "aware", "naive", or None for either.
    """
    return f"{_CLOCK}{_ZONES[zone]}"


def datetime_pattern(zone: str | None) -> str:
    """Return the pattern of a date, `T` or a space, and a time."""
    return f"{_DATE}[T ]{_CLOCK}{_ZONES[zone]}"


def uuid_pattern(version: int | None) -> str:
    """Return the pattern of UUIDs (RFC 9562), of one version if that is given."""
    if version is None:
        return f"{_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}"
    rest = f"{version:x}{_HEX}{{3}}-[89abAB]{_HEX}{{3}}"
    return f"{_HEX}{{8}}-{_HEX}{{4}}-{rest}-{_HEX}{{12}}"


def decimal_pattern(max_digits: int | None, places: int | None, sign: str = "-?") -> str:
    """Return the pattern of decimal numbers without an exponent.

    Args:
        max_digits: how many digits at most; those before and behind the point together.
        places: how many of them at most behind the point.
        sign: pattern of the sign.
    """
    if max_digits is None:
        fraction = _fraction(places)
        return f"{sign}(?:0|[1-9][0-9]*){fraction}"
    if places is not None:
        whole = max(max_digits - places, 0)
        digits = f"(?:0|[1-9][0-9]{{0,{whole - 1}}})" if whole else "0"
        return f"{sign}{digits}{_fraction(min(places, max_digits))}"
    ways = [f"0{_fraction(max_digits)}"]
    ways += [
        f"[1-9][0-9]{{{whole - 1}}}{_fraction(max_digits - whole)}"
        for whole in range(1, max_digits + 1)
    ]
    return f"{sign}(?:{'|'.join(ways)})"


def _fraction(places: int | None) -> str:
    if places is None:
        return r"(?:\.[0-9]+)?"
    return rf"(?:\.[0-9]{{1,{places}}})?" if places else ""
