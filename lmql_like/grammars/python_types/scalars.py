"""Core schemas of values without parts -> JSON schemas.

Strings that stand for other values, such as dates, are marked by `$comment`: at the top of a
type they are written without quotes.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable
from decimal import Decimal
from enum import Enum
from typing import Any

from lmql_like.errors import SchemaError
from lmql_like.grammars.python_types import spellings
from lmql_like.grammars.python_types.core_reader import Core, CoreReader, Kind, Schema
from lmql_like.grammars.python_types.rust_patterns import to_ecma

__all__ = ["BARE", "SCALARS", "values_schema"]

BARE = "written without quotes at the top of a type"
_BOUNDS = {"ge", "gt", "le", "lt"}
_MOST_DIGITS = 60


def _text(pattern: str) -> Schema:
    return {"type": "string", "pattern": f"^(?:{pattern})$", "$comment": BARE}


def _any(reader: CoreReader, core: Core) -> Schema:  # noqa: ARG001
    return {}


def _none(reader: CoreReader, core: Core) -> Schema:  # noqa: ARG001
    return {"type": "null"}


def _bool(reader: CoreReader, core: Core) -> Schema:  # noqa: ARG001
    return {"type": "boolean"}


# -- numbers ---------------------------------------------------------------------------------


def _int(reader: CoreReader, core: Core) -> Schema:
    reader.check_others(core, {*_BOUNDS, "multiple_of"})
    schema = reader.integer()
    words = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
    for key, word in words.items():
        if core.get(key) is not None:
            schema[word] = core[key] if isinstance(core[key], int) else Decimal(str(core[key]))
    if core.get("multiple_of") is not None:
        schema["multipleOf"] = abs(core["multiple_of"])
    return schema


def _float(reader: CoreReader, core: Core) -> Schema:
    """Read a float: a text is read as the nearest one, so 0.99999999999999999999 is no `lt=1`.

    Bounds are those of floats: nothing above the last one that is allowed is written.
    """
    reader.check_others(core, {*_BOUNDS, "multiple_of", "allow_inf_nan"})
    highest = [float(core["le"])] if core.get("le") is not None else []
    highest += [math.nextafter(core["lt"], -math.inf)] if core.get("lt") is not None else []
    lowest = [float(core["ge"])] if core.get("ge") is not None else []
    lowest += [math.nextafter(core["gt"], math.inf)] if core.get("gt") is not None else []
    if reader.option(core, "allow_inf_nan", "allow_inf_nan") is False:
        highest.append(sys.float_info.max)
        lowest.append(-sys.float_info.max)
    schema: Schema = {"type": "number"}
    if highest and min(highest) != math.inf:
        schema["maximum"] = Decimal(repr(min(highest)))
    if lowest and max(lowest) != -math.inf:
        schema["minimum"] = Decimal(repr(max(lowest)))
    if core.get("multiple_of") is not None:
        schema["multipleOf"] = Decimal(repr(abs(core["multiple_of"])))
    return schema


def _decimal(reader: CoreReader, core: Core) -> Schema:
    reader.check_others(core, {"ge", "gt", "max_digits", "decimal_places", "allow_inf_nan"})
    digits, places = core.get("max_digits"), core.get("decimal_places")
    sign = "-?"
    least = core.get("ge")
    if least is not None and least == 0:
        sign = ""
    elif least is not None:
        reader.check("the condition 'ge'")
    if digits is not None and digits > _MOST_DIGITS:
        reader.check("the condition 'max_digits'")
        digits = None
    schema = _text(spellings.decimal_pattern(digits, places, sign))
    if core.get("gt") is None:
        return schema
    if core["gt"] != 0:
        reader.check("the condition 'gt'")
        return schema
    positive = {"pattern": "^[^\\-]*[1-9]"}
    return {**schema, "allOf": [positive]}


# -- texts -----------------------------------------------------------------------------------


def _str(reader: CoreReader, core: Core) -> Schema:
    known = {"min_length", "max_length", "pattern", "regex_engine", "coerce_numbers_to_str"}
    changes = [
        key
        for key in ("strip_whitespace", "to_lower", "to_upper")
        if reader.option(core, key, f"str_{key}")
    ]
    reader.check_others(core, {*known, "strip_whitespace", "to_lower", "to_upper"})
    schema: Schema = {"type": "string"}
    low = reader.option(core, "min_length", "str_min_length")
    high = reader.option(core, "max_length", "str_max_length")
    pattern = core.get("pattern")
    if changes and (low or high is not None or pattern is not None):
        reader.check(f"the conditions on a text beside '{changes[0]}'")
        return schema
    if low:
        schema["minLength"] = low
    if high is not None:
        schema["maxLength"] = high
    if pattern is not None:
        python = isinstance(pattern, re.Pattern)
        engine = reader.option(core, "regex_engine", "regex_engine")
        try:
            schema["pattern"] = to_ecma(pattern, python=python or engine == "python-re")
        except SchemaError as error:
            error.message += f" ({reader.place})"
            raise
    return schema


def _bytes(reader: CoreReader, core: Core) -> Schema:
    if reader.config.get("val_json_bytes", "utf8") != "utf8":
        raise reader.refuse("bytes that are encoded")
    reader.check_others(core, set())
    return {"type": "string"}


def _date(reader: CoreReader, core: Core) -> Schema:
    reader.check_others(core, {"now_utc_offset"})
    return _text(spellings.date_pattern())


def _zone(reader: CoreReader, core: Core) -> str | None:
    zone = core.get("tz_constraint")
    reader.check_others(core, {"tz_constraint", "microseconds_precision", "now_utc_offset"})
    if zone is not None and zone not in ("aware", "naive"):
        reader.check("the condition 'tz_constraint'")
        return "aware"
    return zone


def _time(reader: CoreReader, core: Core) -> Schema:
    return _text(spellings.time_pattern(_zone(reader, core)))


def _datetime(reader: CoreReader, core: Core) -> Schema:
    return _text(spellings.datetime_pattern(_zone(reader, core)))


def _timedelta(reader: CoreReader, core: Core) -> Schema:
    reader.check_others(core, {"microseconds_precision"})
    return _text(spellings.DURATION)


def _uuid(reader: CoreReader, core: Core) -> Schema:
    reader.check_others(core, {"version"})
    return _text(spellings.uuid_pattern(core.get("version")))


def _url(reader: CoreReader, core: Core) -> Schema:
    del core
    reader.check("what pydantic's URLs are beside those of RFC 3986")
    return {"type": "string", "format": "uri", "$comment": BARE}


# -- values ----------------------------------------------------------------------------------


def _literal(reader: CoreReader, core: Core) -> Schema:
    return values_schema(reader, core["expected"])


def _enum(reader: CoreReader, core: Core) -> Schema:
    reader.check_others(core, {"members", "missing", "sub_type"})
    return values_schema(reader, [member.value for member in core["members"]])


def values_schema(reader: CoreReader, values: Iterable[Any]) -> Schema:
    """Return the schema of some values: texts, numbers, truth values, None."""
    texts: list[Any] = []
    integers: list[Any] = []
    for value in values:
        if isinstance(value, Enum) or not isinstance(value, str | int | float | None):
            raise reader.refuse(f"the value {value!r}", "give it a string as its value")
        if isinstance(value, float) and not math.isfinite(value):
            raise reader.refuse(f"the value {value!r}")
        if isinstance(value, int) and not isinstance(value, bool):
            integers.append(int(value))
        else:
            texts.append(str(value) if isinstance(value, str) else value)
    options: list[Schema] = []
    if texts:
        options.append({"enum": texts, "$comment": BARE})
    if integers:
        options.append({**reader.integer(), "enum": integers})
    return options[0] if len(options) == 1 else {"anyOf": options}


SCALARS: dict[str, Kind] = {
    "any": _any,
    "none": _none,
    "bool": _bool,
    "int": _int,
    "float": _float,
    "decimal": _decimal,
    "str": _str,
    "bytes": _bytes,
    "date": _date,
    "time": _time,
    "datetime": _datetime,
    "timedelta": _timedelta,
    "uuid": _uuid,
    "url": _url,
    "literal": _literal,
    "enum": _enum,
}
