"""Why a token may follow a text or may not: what forbids it, and what could stand there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from lmql_like.errors import GrammarError
from lmql_like.grammars import TokenMasker, Vocabulary
from lmql_like.grammars.cfg.expectations import Expectation, find_expectations
from lmql_like.grammars.regex.charsets import Ranges
from lmql_like.mask_constraint import MaskConstraint
from lmql_like.mask_report import byte_ranges, shown_bytes

__all__ = ["Explanation", "explain_token", "find_token", "print_explanation"]

_MOST_EXPECTATIONS = 12
_MOST_NAMES = 5
_MOST_RANGES = 8
_KEY_WIDTH = 19


@dataclass(frozen=True)
class Explanation:
    """Why a token is allowed or not behind a text.

    Attributes:
        token: its bytes, empty for one that writes nothing.
        token_id: its id, None for bytes that are no token.
        is_prefix: some text that begins like the text so far matches.
        is_allowed: the token may follow.
        kept: the longest beginning of the token that can follow.
        instead: the bytes that may stand where the rest of it begins.
        may_end: whether the text may end there.
        culprits: the parts of the constraint that forbid the token by themselves.
        expectations: what the grammar's rules expect there; None where there is no grammar,
            or where it is too large to be asked.
    """

    token: bytes
    token_id: int | None
    is_prefix: bool
    is_allowed: bool = False
    kept: bytes = b""
    instead: bytes = b""
    may_end: bool = False
    culprits: tuple[str, ...] = ()
    expectations: tuple[Expectation, ...] | None = None


def find_token(vocabulary: Vocabulary, token: str) -> tuple[int | None, bytes]:
    """Return id and bytes of a token, given as `#id` or as text.

    A text that is no token has no id; `##` stands for `#` where a token begins with it.

    Raises:
        GrammarError: G305 there is no token with this id.
    """
    if token.startswith("##"):
        token = token[1:]
    elif token.startswith("#") and token[1:].isdecimal():
        number = int(token[1:])
        if number >= len(vocabulary):
            raise GrammarError(
                "G305",
                f"found the token #{number}, expected a number below {len(vocabulary)}",
                help="write ##... for a token that begins with '#'",
            )
        return number, vocabulary.tokens[number]
    data = token.encode(errors="surrogateescape")
    return next((i for i, known in enumerate(vocabulary.tokens) if known == data), None), data


def explain_token(
    constraint: MaskConstraint, vocabulary: Vocabulary, text: str, token: str
) -> Explanation:
    """Return why a token may follow a text, or why it may not.

    Args:
        constraint: what the text must match.
        vocabulary: the model's tokens.
        text: the text so far.
        token: `#id` or the token's text, as in `find_token`.

    Raises:
        GrammarError: the constraint cannot be compiled, G305 there is no such token.
    """
    token_id, data = found = find_token(vocabulary, token)
    masker = TokenMasker(constraint.compile(), vocabulary)
    begun = text.encode(errors="surrogateescape")
    if _behind(masker, begun) is None:
        return Explanation(data, token_id, is_prefix=False)
    kept = _kept(masker, begun, data)
    at = _behind(masker, begun + kept)
    instead = masker.next_bytes(at) if at is not None else b""
    is_allowed = _is_allowed(masker, begun, found)
    culprits = () if is_allowed else _culprits(constraint, vocabulary, begun, found)
    return Explanation(
        data,
        token_id,
        is_prefix=True,
        is_allowed=is_allowed,
        kept=kept,
        instead=instead,
        may_end=at is not None and masker.is_accepting(at),
        culprits=culprits,
        expectations=_expected(constraint, begun + kept, instead),
    )


def _culprits(
    constraint: MaskConstraint,
    vocabulary: Vocabulary,
    begun: bytes,
    token: tuple[int | None, bytes],
) -> tuple[str, ...]:
    """Return the parts of a constraint that forbid a token by themselves."""
    return tuple(
        name
        for name, compile_part in constraint.parts().items()
        if not _is_allowed(TokenMasker(compile_part(), vocabulary), begun, token)
    )


def _behind(masker: TokenMasker, data: bytes) -> int | tuple[int, int] | None:
    state = masker.start()
    return None if state is None else masker.advance_bytes(state, data, tokens=0)


def _is_allowed(masker: TokenMasker, begun: bytes, token: tuple[int | None, bytes]) -> bool:
    token_id, data = token
    state = _behind(masker, begun)
    if state is None:
        return False
    if token_id is not None:
        return masker.advance(state, token_id) is not None
    return masker.advance_bytes(state, data) is not None


def _kept(masker: TokenMasker, begun: bytes, data: bytes) -> bytes:
    length = len(data)
    while length and _behind(masker, begun + data[:length]) is None:
        length -= 1
    return data[:length]


def _expected(
    constraint: MaskConstraint, data: bytes, instead: bytes
) -> tuple[Expectation, ...] | None:
    """Return what a grammar's rules expect behind bytes: of that, only what may really come."""
    if constraint.grammar is None:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None  # in the middle of a character
    found = find_expectations(constraint.outline(), text)
    if found is None:
        return None
    return tuple(e for e in found if any(_can_begin(pair, instead) for pair in e.ranges))


def _can_begin(pair: tuple[int, int], instead: bytes) -> bool:
    first, last = (chr(code).encode()[0] for code in pair)
    return any(first <= byte <= last for byte in instead)


# -- for people --------------------------------------------------------------------------


def print_explanation(explanation: Explanation, console: Console) -> None:
    """Print an explanation: a verdict, and where it is no, the reasons."""
    name = shown_bytes(explanation.token)
    what = f"the token #{explanation.token_id}, which writes nothing,"
    if explanation.token:
        number = "" if explanation.token_id is None else f"#{explanation.token_id} "
        what = f"the token {number}{name}"
    if not explanation.is_prefix:
        console.print(Text("No text that begins like this matches, whatever comes next."))
        return
    if explanation.token_id is None:
        console.print(Text(f"{name} is no token of the vocabulary; its bytes are looked at."))
    if explanation.is_allowed:
        console.print(Text(f"{what} is allowed.", style="green"))
        return
    console.print(Text(f"{what} is forbidden.", style="red"))
    for key, value in _reasons(explanation):
        console.print(Text(f"  {key:{_KEY_WIDTH}}{value}"), soft_wrap=True)


def _reasons(explanation: Explanation) -> list[tuple[str, str]]:
    rest = explanation.token[len(explanation.kept) :]
    rows: list[tuple[str, str]] = []
    if explanation.kept:
        rows.append(("can follow", shown_bytes(explanation.kept)))
    if rest:
        rows.append(("stops at", f"{byte_ranges(rest[:1])}, byte {len(explanation.kept) + 1}"))
    elif explanation.token:
        rows.append(("stops", "behind it: no tokens complete the text from there"))
    else:
        rows.append(("stops", "the text may not end here"))
    if rest or not explanation.token:
        rows.append(("could stand there", _alternatives(explanation, is_end=not rest)))
    rows.append(("forbidden by", _blame(explanation.culprits)))
    for index, line in enumerate(_expectation_lines(explanation.expectations or ())):
        rows.append(("rules expect" if index == 0 else "", line))
    return rows


def _alternatives(explanation: Explanation, *, is_end: bool) -> str:
    count = len(explanation.instead)
    shown = f"{count}: {byte_ranges(explanation.instead)}" if count else ""
    end = "the end of the text" if explanation.may_end and not is_end else ""
    return ", or ".join(part for part in (shown, end) if part) or "nothing"


def _blame(culprits: Sequence[str]) -> str:
    return ", ".join(culprits) or "no part by itself, but all of them together"


def _expectation_lines(expectations: Sequence[Expectation]) -> list[str]:
    by_path: dict[tuple[str, ...], list[Ranges]] = {}
    for expectation in expectations:
        by_path.setdefault(expectation.path, []).append(expectation.ranges)
    lines = [
        f"{_shown_path(path)}: {' or '.join(dict.fromkeys(map(_shown_ranges, sets)))}"
        for path, sets in by_path.items()
    ]
    more = len(lines) - _MOST_EXPECTATIONS
    return lines[:_MOST_EXPECTATIONS] + ([f"... and {more} more"] if more > 0 else [])


def _shown_path(path: Sequence[str]) -> str:
    names = path if len(path) <= _MOST_NAMES else (*path[:1], "...", *path[1 - _MOST_NAMES :])
    return " > ".join(names)


def _shown_ranges(ranges: Ranges) -> str:
    def shown(code: int) -> str:
        return repr(chr(code)) if chr(code).isprintable() else f"U+{code:04X}"

    parts = [shown(a) if a == b else f"{shown(a)}-{shown(b)}" for a, b in ranges[:_MOST_RANGES]]
    return " ".join(parts) + (" ..." if len(ranges) > _MOST_RANGES else "")
