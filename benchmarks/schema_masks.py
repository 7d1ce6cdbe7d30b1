"""How long do the first mask and all masks of real schemas take, beside llguidance?

    python benchmarks/schema_masks.py json_schema.jsonl.xz TOKENIZER_FOLDER [EVERY_NTH]

One process, one thread; the engines take each schema in turn. Times are processor time, so other
programs on the machine lengthen them (caches, cores that share) but do not count as such. Each line
of the file has `text`, a schema, and lists of `valid` and `invalid` texts.
"""

from __future__ import annotations

import gc
import json
import lzma
import sys
import time
from typing import Any

import llguidance
import llguidance.hf
import numpy as np
from transformers import PreTrainedTokenizerFast

from benchmarks.mask_engine import Engine
from lmql_like.errors import LmqlLikeError


class _Peer:
    """llguidance behind the same interface."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokens = llguidance.hf.from_tokenizer(tokenizer)
        self.n_words = (self._tokens.vocab_size + 31) // 32
        self._row, self._place = None, (0, 0)

    def start(self, text: str) -> Any:
        grammar = llguidance.LLMatcher.grammar_from_json_schema(text)
        matcher = llguidance.LLMatcher(self._tokens, grammar, log_level=0)
        if matcher.is_error():
            raise ValueError(matcher.get_error())
        return matcher

    def again(self, matcher: Any) -> Any:
        matcher.reset()
        return matcher

    def fill(self, matcher: Any, row: Any) -> None:
        if row is not self._row:
            self._row, self._place = row, (row.ctypes.data, row.nbytes)
        matcher.unsafe_compute_mask_ptr(*self._place)

    def advance(self, matcher: Any, token_id: int) -> None:
        matcher.consume_token(token_id)


class _Ours:
    """This engine behind it."""

    def __init__(self, folder: str) -> None:
        self._engine, self._folder = Engine(), folder
        self._engine.setup(folder)
        self.n_words = self._engine.vocabulary.n_words

    def start(self, text: str) -> Any:
        self._grammar = self._engine.compile("json_schema", text, self._folder)
        return self._grammar.new_state()

    def again(self, state: Any) -> Any:  # noqa: ARG002
        return self._grammar.new_state()

    def fill(self, state: Any, row: Any) -> None:
        state.fill_mask(row)

    def advance(self, state: Any, token_id: int) -> None:
        state.advance(token_id)


def _measured(engine: Any, case: dict[str, Any], tokenizer: Any) -> tuple[float, list[float]]:
    """Return milliseconds to the first mask, and microseconds of every mask."""
    row = np.zeros(engine.n_words, np.uint32)
    begin = time.thread_time_ns()
    state = engine.start(case["text"])
    engine.fill(state, row)
    first = (time.thread_time_ns() - begin) / 1e6
    masks = []
    for text in (*case["valid"], *case["invalid"]):
        state = engine.again(state)
        for token_id in tokenizer.encode(text, add_special_tokens=False):
            begin = time.thread_time_ns()
            engine.fill(state, row)
            masks.append((time.thread_time_ns() - begin) / 1e3)
            if not row[token_id >> 5] >> np.uint32(token_id & 31) & np.uint32(1):
                break
            engine.advance(state, token_id)
    return first, masks


def main(cases: str, folder: str, every: int = 1) -> None:
    """Print first masks (ms) and masks (us) of the schemas that both engines take."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    engines = {"llguidance": _Peer(tokenizer), "lmql_like": _Ours(folder)}
    with lzma.open(cases, "rt") as lines:
        chosen = [json.loads(line) for line in lines][::every]
    found: dict[str, list[tuple[float, list[float]]]] = {name: [] for name in engines}
    gc.collect()
    gc.disable()
    for case in chosen:
        try:
            both = [_measured(engine, case, tokenizer) for engine in engines.values()]
        except (LmqlLikeError, ValueError):
            continue
        for name, one in zip(engines, both, strict=True):
            found[name].append(one)
    print("| engine | schemas | first mask ms p50 / p90 / p99 | masks | mask us p50 / mean / p99 |")
    print("|---|---|---|---|---|")
    for name, ones in found.items():
        first = np.percentile([ms for ms, _ in ones], [50, 90, 99])
        masks = np.array([us for _, all_us in ones for us in all_us])
        shown = " / ".join(f"{ms:.2f}" for ms in first)
        mean = f"{np.median(masks):.2f} / {masks.mean():.1f} / {np.percentile(masks, 99):.0f}"
        print(f"| {name} | {len(ones)} | {shown} | {len(masks)} | {mean} |")


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:4]))
