"""A result for people: as HTML for notebooks, and in colours for terminals.

Holes are coloured; where the run was traced, each token by its probability, which shows
when the pointer rests on it. Styles stand at the elements themselves, because notebooks
leave style sheets out of outputs that they do not trust.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from itertools import cycle
from typing import TYPE_CHECKING, Any

from rich.text import Text

from lmql_like.runtime.trace_parts import parts_of, shown
from lmql_like.source import printable

if TYPE_CHECKING:
    from lmql_like.runtime.results import Result

__all__ = ["result_html", "result_text"]

_FRAME = (
    "font:13px/1.7 ui-monospace,'DejaVu Sans Mono',monospace;white-space:pre-wrap;"
    "overflow-wrap:anywhere;border-left:3px solid #8886;padding:.3em .8em;margin:.3em 0"
)
_NAME = "font:600 10px system-ui,sans-serif;opacity:.75;margin:0 .3em;vertical-align:super"
_FOOT = "font:12px/1.6 system-ui,sans-serif;opacity:.75;padding:0 .8em"
# From unlikely to certain; half transparent, so that they fit light and dark pages.
_SHADES = ("#e5484d66", "#f76b1566", "#ffc53d66", "#99d52a55", "#30a46c55")
_BOUNDS = (0.1, 0.4, 0.7, 0.95)
_HUES = ("#3e63dd33", "#12a59433", "#ab4aba33", "#e5933433")
_COLOURS = ("cyan", "green", "magenta", "yellow")
# Control characters that would be lost on a page, as the pictures that Unicode has of them.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}


def result_html(result: Result) -> str:
    """Return a result as a piece of HTML that needs nothing else."""
    numbers = {}
    if result.trace is not None:
        numbers = {question: i for i, question in enumerate(result.trace.run.questions)}
    hues = _by_hole(result, _HUES)
    body = "".join(_part(part, hues, result) for part in parts_of(result, numbers))
    if result.error is not None:
        body += _escaped(result.error.render())
    foot = f'<div style="{_FOOT}">{_foot(result)}</div>'
    return f'<div><div class="lmql-text" style="{_FRAME}">{body}</div>{foot}</div>'


def _by_hole(result: Result, values: tuple[str, ...]) -> Mapping[str, str]:
    """Return a value for each hole, the same one for each of its occurrences."""
    names = dict.fromkeys(s.hole for s in result.segments if s.hole is not None)
    return dict(zip(names, cycle(values), strict=False))


def _part(part: Mapping[str, Any], hues: Mapping[str, str], result: Result) -> str:
    name = part.get("hole")
    if name is None:
        return f"<span>{_escaped(part['text'])}</span>"
    if part.get("gone"):
        return ""
    tokens = "".join(map(_token, part["tokens"]))
    style = f"background:{hues.get(name, _HUES[0])};border-bottom:2px solid #3e63dd"
    label = f'<span class="lmql-name" style="{_NAME}">{_escaped(name)}</span>'
    title = _escaped(f"{name} = {result.variables.get(name)!r}")
    return f'<span class="lmql-hole" style="{style}" title="{title}">{label}{tokens}</span>'


def _token(token: Mapping[str, Any]) -> str:
    """Return a token, coloured by its probability where that is known."""
    kind, text = token["kind"], _escaped(token["text"])
    probability = token.get("share")
    if token.get("logprob") is not None:
        probability = math.exp(min(token["logprob"], 0.0))
    if probability is None:
        title = "it could not be otherwise" if kind == "forced" else ""
        return f'<span title="{title}">{text}</span>' if title else f"<span>{text}</span>"
    shade = _SHADES[sum(probability > bound for bound in _BOUNDS)]
    spelled = "the hole ends" if kind == "end" else repr(token.get("spelled", token["text"]))
    title = _escaped(f"{spelled}: {probability:.1%}")
    style = f"background:{shade};border-radius:3px"
    return f'<span class="lmql-token" style="{style}" title="{title}">{text}</span>'


def _foot(result: Result) -> str:
    usage = result.usage
    pieces = [f"<b>{_escaped(result.status)}</b>"]
    if result.value is not None:
        pieces.append(f"returned <code>{_escaped(_short(result.value))}</code>")
    if math.isfinite(result.logprob):
        pieces.append(f"log-probability {result.logprob:.3f}")
    pieces.append(_escaped(result.decoder))
    pieces.append(f"{usage.generated_tokens} tokens in {usage.forward_passes} passes")
    for name, found in result.distributions.items():
        shares = ", ".join(f"{value!r} {found[value]:.1%}" for value in found.values)
        pieces.append(_escaped(f"P({name}): {shares}"))
    if result.others:
        pieces.append(f"and {len(result.others)} more")
    return " · ".join(pieces)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _escaped(text: str) -> str:
    """Return a text as HTML shows it, control characters as pictures."""
    return escape(printable(text).translate(_PICTURES))


def result_text(result: Result) -> Text:
    """Return a result in colours for a terminal; control characters as pictures."""
    colours = _by_hole(result, _COLOURS)
    text = Text()
    for segment in result.segments:
        style = f"bold {colours[segment.hole]}" if segment.hole is not None else ""
        text.append(shown(segment.data).translate(_PICTURES), style)
    value = "" if result.value is None else f", returned {_short(result.value)}"
    text.append(f"\n{result.status}{value}, log-probability {result.logprob:.3f}", "dim")
    return text
