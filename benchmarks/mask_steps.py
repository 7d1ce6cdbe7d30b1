"""How much does each step from the naive trie walk to the mask engine gain?

    python benchmarks/mask_steps.py [--tokenizer FOLDER]

Takes one pattern and one grammar along a text, token by token, and times the masks of all
steps on the way, made in ways that get better one idea at a time. All ways give the same
masks; that is checked. Prints one Markdown table. `docs/explanation/how-masks-are-made.md`
tells what the ways are.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from lmql_like.grammars import Automaton, TokenMasker, Vocabulary, compile_grammar, compile_regex
from lmql_like.grammars.automata.lazy_dfa import LazyDfa
from lmql_like.grammars.mask_memo import MaskMemo
from lmql_like.kernels.entries import enter_advance, enter_mask
from lmql_like.kernels.layouts import TrieArrays
from lmql_like.kernels.slices import admits_slice
from lmql_like.kernels.walk import advance_bytes

ROOT = Path(__file__).parents[1]
STRING = r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt])*"'
PATTERN = rf'\{{"name": {STRING}, "motto": "[A-Za-z ,.]{{1,200}}", "age": \d{{1,3}}\}}'
PATTERN_TEXT = (
    '{"name": "Ada \\"Countess\\" Lovelace", "motto": "That brain of mine is more than merely'
    ' mortal, as time will show.", "age": 36}'
)
GRAMMAR = r"""
root   ::= value
value  ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" ws (member ("," ws member)*)? "}" ws
member ::= string ":" ws value
array  ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x00-\x1F] | "\\" ["\\/bfnrt])* "\"" ws
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ws
ws     ::= [ \n\t]*
"""
GRAMMAR_TEXT = (
    '{"people": [{"name": "Ada Lovelace", "born": 1815, "works": ["Notes", "Letters"]}, '
    '{"name": "Charles Babbage", "born": 1791, "works": [{"title": "On the Economy of Machinery'
    ' and Manufactures", "pages": 320, "tags": [["economy", "machines"], []]}]}], "ok": true}'
)
Way = Callable[[int, NDArray[np.int32]], None]


def main() -> None:
    """Measure both constraints and print the table."""
    shared = ROOT.parent / "shared"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, default=shared / "tokenizers" / "qwen")
    options = parser.parse_args()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(options.tokenizer)
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    print(f"{vocabulary.size} tokens, {vocabulary.trie.byte.size} nodes of their trie\n")
    columns, calls = [], []
    for automaton, text in (
        (compile_regex(PATTERN), PATTERN_TEXT),
        (compile_grammar(GRAMMAR, syntax="gbnf"), GRAMMAR_TEXT),
    ):
        ids = tokenizer.encode(text, add_special_tokens=False)
        steps = Steps(automaton, vocabulary)
        columns.append(steps.measure(ids))
        calls.append(steps.calls())
    print("| way | pattern: mean us | p99 us | grammar: mean us | p99 us |\n|---|---|---|---|---|")
    for name in columns[0]:
        cells = [f"{np.mean(c[name]):.1f} | {np.percentile(c[name], 99):.1f}" for c in columns]
        print(f"| {name} | {' | '.join(cells)} |")
    for kind, (bundles, handle) in zip(("pattern", "grammar"), calls, strict=True):
        print(
            f"\n{kind}: a kernel's call takes {bundles:.1f} us with arrays, {handle:.1f} by handle"
        )


@njit(nogil=True)
def _test_each(
    table: np.ndarray,
    classes: np.ndarray,
    start: np.ndarray,
    data: np.ndarray,
    state: int,
    row: np.ndarray,
) -> None:
    """Set the bits of all tokens, each read from its first byte."""
    for token in range(start.size - 1):
        current = state
        for i in range(start[token], start[token + 1]):
            symbol = classes[data[i]]
            current = table[current, symbol] if symbol >= 0 else 0
            if current <= 0:
                break
        if current > 0 and start[token + 1] > start[token]:
            row[token >> 5] |= np.int32(1) << np.int32(token & 31)


@njit(nogil=True)
def _walk(
    table: np.ndarray,
    classes: np.ndarray,
    trie: TrieArrays,
    first: int,
    last: int,
    path: np.ndarray,
    row: np.ndarray,
) -> None:
    """Set the bits of all tokens at nodes first to last, from the state in path[0]."""
    depths, bytes_in, ends = trie.depth, trie.byte, trie.end
    token_start, token_ids = trie.token_start, trie.token_ids
    node = first
    while node < last:
        symbol = classes[bytes_in[node]]
        target = table[path[depths[node]], symbol] if symbol >= 0 else 0
        if target <= 0:
            node = ends[node]
            continue
        path[depths[node] + 1] = target
        for i in range(token_start[node], token_start[node + 1]):
            row[token_ids[i] >> 5] |= np.int32(1) << np.int32(token_ids[i] & 31)
        node += 1


class Steps:
    """The ways to make the masks of one constraint; automaton states are all made before.

    Args:
        automaton: the constraint.
        vocabulary: the tokens.
    """

    def __init__(self, automaton: Automaton, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        machine = automaton.dfa(vocabulary.alphabet)
        if not isinstance(machine, LazyDfa):
            raise TypeError("only patterns and scannerless grammars are measured")
        self.dfa = machine
        self.automaton = automaton
        self.budget = 256 << 20
        self.scratch = machine.new_memo(vocabulary, self.budget)
        # No walk knows of end-of-text tokens, so the masker must not either.
        self.plain = Vocabulary(vocabulary.tokens)
        self.plain.__dict__["sliced"] = vocabulary.sliced

    def measure(self, ids: list[int]) -> dict[str, list[float]]:
        """Return microseconds of the mask in front of each token, by way."""
        states = [self.dfa.start]
        for token_id in ids[:-1]:
            states.append(self.dfa.advance_token(states[-1], token_id, self.vocabulary))
        expected = self._rows(self._engines_walk, states)  # makes all states of the automaton
        found: dict[str, list[float]] = {}
        ways: list[tuple[str, Callable[[], Way]]] = [
            ("each token by itself, from Python", lambda: self._from_python),
            ("each token by itself, in a kernel", lambda: self._each_token),
            ("walk of the trie", lambda: self._whole_walk),
            ("slices, and a walk of what they leave", lambda: self._sliced_walk),
            ("parts and exit sets", lambda: self._composing(classes=False)),
            ("look-ahead classes", lambda: self._composing(classes=True)),
            ("rows by state: the masker", lambda: self._masking([])),
            ("the masker, the second time", lambda: self._masking(states)),
        ]
        for name, make in ways:
            few = states[:: max(1, len(states) // 6)] if "Python" in name else states
            for state, row in zip(few, self._rows(make(), few), strict=True):  # loads kernels, too
                if not np.array_equal(row, expected[states.index(state)]):
                    raise RuntimeError(f"{name}: another mask in state {state}")
            found[name] = self._times(make(), few)
        return found

    def calls(self, times: int = 20_000) -> tuple[float, float]:
        """Return microseconds of a call of a kernel: with all its arrays, and with a handle."""
        dfa, data, start = self.dfa, np.zeros(0, np.uint8), self.dfa.start
        found = []
        for call in (
            lambda: advance_bytes(dfa._nfa, dfa._dfa, dfa._net, start, data),
            lambda: enter_advance(dfa.handle, dfa.calls, start, data),
        ):
            call()
            began = time.perf_counter()
            for _ in range(times):
                call()
            found.append((time.perf_counter() - began) / times * 1e6)
        return found[0], found[1]

    def _times(self, way: Way, states: list[int]) -> list[float]:
        row = np.zeros(self.vocabulary.n_words, np.int32)
        times = []
        for state in states:
            row[:] = 0
            began = time.perf_counter()
            way(state, row)
            times.append((time.perf_counter() - began) * 1e6)
        return times

    def _rows(self, way: Way, states: list[int]) -> list[NDArray[np.int32]]:
        rows = [np.zeros(self.vocabulary.n_words, np.int32) for _ in states]
        for state, row in zip(states, rows, strict=True):
            way(state, row)
        return rows

    # -- ways --------------------------------------------------------------------------

    def _from_python(self, state: int, row: NDArray[np.int32]) -> None:
        for token_id, token in enumerate(self.vocabulary.tokens):
            if token and self.dfa.advance(state, token):
                row[token_id >> 5] |= np.uint32(1 << (token_id & 31)).astype(np.int32)

    def _engines_walk(self, state: int, row: NDArray[np.int32]) -> None:
        self.dfa._run(enter_mask, self.vocabulary.sliced.handle, self.scratch, state, row)

    def _each_token(self, state: int, row: NDArray[np.int32]) -> None:
        start, data = self.vocabulary.flat
        _test_each(self.dfa._dfa.table, self.dfa._nfa.class_of_byte, start, data, state, row)

    def _whole_walk(self, state: int, row: NDArray[np.int32]) -> None:
        trie = self.vocabulary.trie
        self._walk(trie, 0, trie.byte.size, state, row)

    def _walk(
        self, trie: TrieArrays, first: int, last: int, state: int, row: NDArray[np.int32]
    ) -> None:
        path = self.scratch._arrays.path
        path[0] = state
        _walk(self.dfa._dfa.table, self.dfa._nfa.class_of_byte, trie, first, last, path, row)

    def _sliced_walk(self, state: int, row: NDArray[np.int32]) -> None:
        dfa, arrays = self.dfa, self.scratch._arrays
        slices, tries, _ = self.vocabulary.sliced
        n_slices, n_tries = slices.longest.size, slices.first_node.size - 1
        chosen = n_slices
        for i in range(n_slices):
            probes, longest = arrays.probes[i, : arrays.probes[i, 256]], slices.longest[i]
            at = (dfa._nfa, dfa._dfa, dfa._net, state, slices.reader[i], longest, probes)
            if admits_slice(*at, arrays.work):
                row |= slices.rows[i]
                chosen = i
                break
        for i in (chosen, *range(n_slices + 1, n_tries)):
            first, last = slices.first_node[i], slices.first_node[i + 1]
            self._walk(tries, int(first), int(last), state, row)

    def _composing(self, *, classes: bool) -> Way:
        memo, dfa = self.dfa.new_memo(self.vocabulary, self.budget), self.dfa
        if not classes:
            n = dfa._nfa.component.size
            alone = np.tile(np.arange(n, dtype=np.int64), (3, 2, 1))
            memo = MaskMemo(dfa._nfa.class_of_byte, alone, self.vocabulary, self.budget)
        return lambda state, row: dfa.mask(state, memo, row)

    def _masking(self, known: list[int]) -> Way:
        masker = TokenMasker(self.automaton, self.plain)
        self._rows(masker.fill_bitmask, known)
        return masker.fill_bitmask


if __name__ == "__main__":
    main()
