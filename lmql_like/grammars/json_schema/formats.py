r"""The formats that are enforced: name -> pattern over a string's characters.

Each pattern is the grammar of the format's own specification, as far as that is a regular
language; what is left out is said beside it. Names that are not here are annotations, as the
specification demands of unknown formats, but for those in `UNENFORCEABLE`.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FORMATS", "UNENFORCEABLE"]

# RFC 3339. A leap second is the last one of a day in UTC: written with the offset zero here.
_LEAP_YEAR = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DATE = (
    r"(?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    rf"|02-(?:0[1-9]|1\d|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_TIME = (
    r"(?:(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:[zZ]|[+\-](?:[01]\d|2[0-3]):[0-5]\d)"
    r"|23:59:60(?:\.\d+)?(?:[zZ]|[+\-]00:00))"
)
# ISO 8601 as in RFC 3339, appendix A.
_DURATION = (
    r"P(?:\d+W|(?:\d+Y(?:\d+M(?:\d+D)?)?|\d+M(?:\d+D)?|\d+D)(?:T(?:\d+H(?:\d+M(?:\d+S)?)?"
    r"|\d+M(?:\d+S)?|\d+S))?|T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S))"
)
# RFC 1123; the length of a whole name (253) is not counted.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = rf"{_LABEL}(?:\.{_LABEL})*"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_H16 = r"[0-9A-Fa-f]{1,4}"
_LS32 = rf"(?:{_H16}:{_H16}|{_IPV4})"
_IPV6 = (  # RFC 3986, section 3.2.2
    rf"(?:(?:{_H16}:){{6}}{_LS32}|::(?:{_H16}:){{5}}{_LS32}|(?:{_H16})?::(?:{_H16}:){{4}}{_LS32}"
    rf"|(?:(?:{_H16}:){{0,1}}{_H16})?::(?:{_H16}:){{3}}{_LS32}"
    rf"|(?:(?:{_H16}:){{0,2}}{_H16})?::(?:{_H16}:){{2}}{_LS32}"
    rf"|(?:(?:{_H16}:){{0,3}}{_H16})?::{_H16}:{_LS32}"
    rf"|(?:(?:{_H16}:){{0,4}}{_H16})?::{_LS32}|(?:(?:{_H16}:){{0,5}}{_H16})?::{_H16}"
    rf"|(?:(?:{_H16}:){{0,6}}{_H16})?::)"
)
# RFC 5321: a dot-string or a quoted string, at a host or an address.
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]"
_AT_HOST = rf"(?:{_HOSTNAME}|\[(?:{_IPV4}|IPv6:{_IPV6})\])"
_EMAIL = rf"(?:{_ATEXT}+(?:\.{_ATEXT}+)*|\x22(?:[ !#-\[\]-~]|\\[ -~])*\x22)@{_AT_HOST}"


def _uri(more: str, private: str) -> dict[str, str]:
    """Return the productions of RFC 3986 with `more` unreserved characters (RFC 3987)."""
    unreserved = rf"A-Za-z0-9._~\-{more}"
    escaped = r"%[0-9A-Fa-f]{2}"
    pchar = rf"(?:[{unreserved}!$&'()*+,;=:@]|{escaped})"
    no_colon = rf"(?:[{unreserved}!$&'()*+,;=@]|{escaped})"
    userinfo = rf"(?:[{unreserved}!$&'()*+,;=:]|{escaped})*@"
    name = rf"(?:[{unreserved}!$&'()*+,;=]|{escaped})*"
    future = r"[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~\-!$&'()*+,;=:]+"
    host = rf"(?:\[(?:{_IPV6}|{future})\]|{name})"
    authority = rf"//(?:{userinfo})?{host}(?::\d*)?(?:/{pchar}*)*"
    absolute = rf"/(?:{pchar}+(?:/{pchar}*)*)?"
    query = rf"(?:\?(?:{pchar}|[/?{private}])*)?(?:#(?:{pchar}|[/?])*)?"
    rootless = rf"{pchar}+(?:/{pchar}*)*"
    noscheme = rf"{no_colon}+(?:/{pchar}*)*"
    uri = rf"[A-Za-z][A-Za-z0-9+.\-]*:(?:{authority}|{absolute}|{rootless}|){query}"
    relative = rf"(?:{authority}|{absolute}|{noscheme}|){query}"
    return {"absolute": uri, "reference": rf"(?:{uri}|{relative})"}


_URI = _uri("", "")
_IRI = _uri(
    r"\xA0-\uD7FF\uF900-\uFDCF\uFDF0-\uFFEF\u{10000}-\u{1FFFD}\u{20000}-\u{2FFFD}"
    r"\u{30000}-\u{EFFFD}",
    r"\uE000-\uF8FF\u{F0000}-\u{FFFFD}\u{100000}-\u{10FFFD}",
)
_POINTER = r"(?:/(?:[^~/]|~[01])*)*"
# RFC 6570
_VARIABLE = r"(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})(?:\.?(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2}))*"
_SPEC = rf"{_VARIABLE}(?::[1-9]\d{{0,3}}|\*)?"
_TEMPLATE = (
    r"(?:[!#$&-;=?-\[\]_a-z~\xA0-\uD7FF\uE000-\uFDCF\uFDF0-\uFFEF\u{10000}-\u{10FFFD}]"
    rf"|%[0-9A-Fa-f]{{2}}|\{{[+#./;?&=,!@|]?{_SPEC}(?:,{_SPEC})*\}})*"
)

FORMATS: Mapping[str, str] = {
    name: f"^(?:{pattern})$"
    for name, pattern in {
        "date-time": f"{_DATE}[tT]{_TIME}",
        "date": _DATE,
        "time": _TIME,
        "duration": _DURATION,
        "email": _EMAIL,
        "hostname": _HOSTNAME,
        "ipv4": _IPV4,
        "ip-address": _IPV4,  # draft 3's name
        "ipv6": _IPV6,
        "uri": _URI["absolute"],
        "uri-reference": _URI["reference"],
        "iri": _IRI["absolute"],
        "iri-reference": _IRI["reference"],
        "uuid": r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}",
        "uri-template": _TEMPLATE,
        "json-pointer": _POINTER,
        "relative-json-pointer": rf"(?:0|[1-9]\d*)(?:#|{_POINTER})",
    }.items()
}

UNENFORCEABLE: Mapping[str, str] = {
    "regex": "whether brackets of a pattern match is no regular question",
    "idn-hostname": "internationalized names are checked by tables that are no pattern",
    "idn-email": "internationalized names are checked by tables that are no pattern",
}
