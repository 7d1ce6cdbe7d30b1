"""What may follow a text under a constraint, for people to look at."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmql_like.errors import ModelError
from lmql_like.grammars import Automaton, TokenMasker, Vocabulary
from lmql_like.grammars.masker import MaskerState

__all__ = [
    "MaskReport",
    "byte_ranges",
    "load_vocabulary",
    "make_report",
    "print_report",
    "shown_bytes",
]


_NOT_ASCII = bytes(range(0xC2, 0xF5))  # what such characters begin with


@dataclass(frozen=True)
class MaskReport:
    """What may follow a text.

    Attributes:
        is_prefix: some completion of the text matches.
        is_accepting: the text matches as it is.
        next_bytes: bytes that may follow.
        forced: bytes that must follow.
        tokens: (id, bytes) of the tokens that may follow.
        vocabulary_size: tokens there are.
        n_states: automaton states made for this.
        first_mask_ms: milliseconds from the constraint to the mask.
        warm_mask_us: microseconds of the same mask asked for again.
    """

    is_prefix: bool
    is_accepting: bool
    next_bytes: bytes
    forced: bytes
    tokens: tuple[tuple[int, bytes], ...]
    vocabulary_size: int
    n_states: int
    first_mask_ms: float
    warm_mask_us: float


def make_report(
    compile_constraint: Callable[[], Automaton], text: str, tokenizer: str | None
) -> MaskReport:
    """Compute the mask behind a text.

    Args:
        compile_constraint: returns the compiled pattern or grammar; its time counts.
        text: the text so far.
        tokenizer: a tokenizer folder, None for the embedded model's.

    Raises:
        GrammarError: the constraint or the tokenizer cannot be used.
        ModelError: M105 where the folder holds no fast tokenizer.
    """
    vocabulary = load_vocabulary(tokenizer)
    row = np.zeros(vocabulary.n_words, np.int32)
    _mask_behind(compile_constraint, text, vocabulary, row)  # tries and kernels are not timed
    begin = time.perf_counter()
    masker, state = _mask_behind(compile_constraint, text, vocabulary, row)
    first = time.perf_counter()
    if state is None:
        return MaskReport(
            False, False, b"", b"", (), len(vocabulary), masker.n_states, (first - begin) * 1e3, 0.0
        )
    again = time.perf_counter()
    for _ in range(100):
        masker.fill_bitmask(state, row)
    warm = (time.perf_counter() - again) / 100
    bits = np.unpackbits(row.view(np.uint8), bitorder="little")
    return MaskReport(
        is_prefix=True,
        is_accepting=masker.is_accepting(state),
        next_bytes=masker.next_bytes(state),
        forced=masker.forced_bytes(state),
        tokens=tuple((int(i), vocabulary.tokens[i]) for i in np.flatnonzero(bits)),
        vocabulary_size=len(vocabulary),
        n_states=masker.n_states,
        first_mask_ms=(first - begin) * 1e3,
        warm_mask_us=warm * 1e6,
    )


def _mask_behind(
    compile_constraint: Callable[[], Automaton],
    text: str,
    vocabulary: Vocabulary,
    row: NDArray[np.int32],
) -> tuple[TokenMasker, MaskerState | None]:
    """Return a new masker and its state behind a text, and write that state's mask."""
    masker = TokenMasker(compile_constraint(), vocabulary)
    state = masker.start()
    if state is not None:
        state = masker.advance_bytes(state, text.encode(errors="surrogateescape"), tokens=0)
    if state is not None:
        masker.fill_bitmask(state, row)
    return masker, state


def load_vocabulary(tokenizer: str | None) -> Vocabulary:
    """Return the vocabulary of a tokenizer folder, or of the embedded model.

    Raises:
        ModelError: M105 where the folder holds no fast tokenizer.
        GrammarError: G302.
    """
    from transformers import PreTrainedTokenizerFast

    folder = Path(tokenizer) if tokenizer else Path(__file__).parent / "default_model"
    if not (folder / "tokenizer.json").is_file():
        raise ModelError(
            "M105",
            f"'{folder}' has no fast tokenizer (no tokenizer.json)",
            help="give the folder that holds tokenizer.json",
        )
    return Vocabulary.from_tokenizer(PreTrainedTokenizerFast.from_pretrained(folder))


def print_report(report: MaskReport, console: Console, *, limit: int) -> None:
    """Print a report as tables."""
    if not report.is_prefix:
        console.print("[red]No text that begins like this matches.[/red]")
        return
    written = [pair for pair in report.tokens if pair[1]]
    ends = [str(token_id) for token_id, data in report.tokens if not data]
    table = Table(show_header=False, box=None)
    table.add_row("matches as it is", "yes" if report.is_accepting else "no")
    table.add_row("next bytes", f"{len(report.next_bytes)}: {byte_ranges(report.next_bytes)}")
    if report.forced:
        table.add_row("must follow", Text(repr(report.forced.decode())))
    share = len(report.tokens) / report.vocabulary_size
    table.add_row("next tokens", f"{len(report.tokens)} of {report.vocabulary_size} ({share:.1%})")
    if ends:
        table.add_row("end of text", ", ".join(ends))
    table.add_row("automaton", f"{report.n_states} states so far")
    table.add_row(
        "time", f"first mask {report.first_mask_ms:.2f} ms, again {report.warm_mask_us:.2f} us"
    )
    console.print(table)
    listing = Table("id", "token")
    for token_id, data in written[:limit]:
        listing.add_row(str(token_id), Text(shown_bytes(data)))
    if written:
        console.print(listing)
    if len(written) > limit:
        console.print(f"... and {len(written) - limit} more (--limit shows more)")


def shown_bytes(data: bytes) -> str:
    """Return bytes as a string in quotes; as bytes where they are no text."""
    try:
        return repr(data.decode())
    except UnicodeDecodeError:
        return repr(data)


def byte_ranges(data: bytes) -> str:
    """Return bytes as ranges: 'a'-'z' '_' 80-BF; all that begin a character have a name."""
    if set(_NOT_ASCII) <= set(data):
        ascii_ranges = byte_ranges(bytes(byte for byte in data if byte < 0x80))
        return f"{ascii_ranges} and any character that is not ASCII".strip()
    ranges: list[list[int]] = []
    for byte in data:
        if ranges and ranges[-1][1] == byte - 1:
            ranges[-1][1] = byte
        else:
            ranges.append([byte, byte])

    def shown(byte: int) -> str:
        return repr(chr(byte)) if 0x20 <= byte < 0x7F else f"{byte:02X}"

    return " ".join(shown(a) if a == b else f"{shown(a)}-{shown(b)}" for a, b in ranges)
