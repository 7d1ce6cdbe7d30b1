"""How fast are masks of whole programming languages, where nearly each state is new?

    python benchmarks/real_languages.py [--tokenizer FOLDER] [--cases FILE]

Takes `python.lark` of the lark package, without the post-lexer that tells indentation, along
the texts of `texts/python/`; and each Lark grammar of a file of cases along its valid texts.
Both are read with a lexer. Prints milliseconds to the first mask, with the grammar's text
alone (cold) and with what was read of it on disk (warm), and microseconds per mask: over all
steps of all texts with one automaton, which the first step finds empty. The kernels are
loaded before. All is done --rounds times, with a fresh automaton each, and the figure of each
step is the least CPU time of the rounds: so other work on the machine counts less. llguidance is
taken along the same texts where it takes the grammar.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import lark
import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from lmql_like.grammars import TokenMasker, Vocabulary, compile_grammar

HERE = Path(__file__).parent
TEXTS = HERE / "texts" / "python"
PYTHON = Path(lark.__file__).parent / "grammars" / "python.lark"
# A grammar and a text that need every kernel of lexed grammars, and one without calls.
WARM_UP = (
    ('start: (NAME | "(" start ")")+\nNAME: /[a-z]{1,9}(?![0-9])/\n%ignore /[ ]+/', "ab (cd e) f"),
    ("start: NAME (NL NAME)*\nNAME: /[a-z]+/\nNL: /\\r?\\n/", "ab\ncd"),
)
Grammar = tuple[str, str, list[str]]  # text, start rule, texts


def main() -> None:
    """Measure and print two tables."""
    shared = HERE.parents[1] / "shared"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, default=shared / "tokenizers" / "qwen")
    parser.add_argument("--cases", type=Path, default=shared / "bench" / "cases" / "grammars.jsonl")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="only grammars whose name holds this")
    options = parser.parse_args()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(options.tokenizer)
    engines: list[Any] = [Ours(tokenizer, options.rounds)]
    try:
        engines.append(Guidance(tokenizer, options.rounds))
    except ImportError:
        print("llguidance is not installed\n")
    print(
        "| grammar | engine | cold ms | warm ms | masks | mean us | p50 | p99 "
        "| new states | mean us of new |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for name, grammar in grammars(options.cases):
        if options.only not in name:
            continue
        ids = [tokenizer.encode(text, add_special_tokens=False) for text in grammar[2]]
        for engine in engines:
            print(f"| {name} | {engine.name} | {engine.row(grammar, ids)} |", flush=True)


def grammars(cases: Path) -> Iterator[tuple[str, Grammar]]:
    """Yield python.lark with each text by itself, with all of them, and the cases."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(TEXTS.glob("*.txt"))}
    python = PYTHON.read_text(encoding="utf-8")
    for name, text in texts.items():
        yield f"python.lark, {name}", (python, "file_input", [text])
    yield "python.lark, all", (python, "file_input", list(texts.values()))
    if cases.exists():
        for case in map(json.loads, cases.read_text(encoding="utf-8").splitlines()):
            if case["kind"] == "lark":
                yield case["name"], (case["text"], "start", case["valid"])


class Ours:
    """This engine."""

    name = "lmql_like"

    def __init__(self, tokenizer: PreTrainedTokenizerFast, rounds: int) -> None:
        self.rounds = rounds
        self.vocabulary = Vocabulary.from_tokenizer(tokenizer, size=len(tokenizer))
        self.bits = np.zeros(self.vocabulary.n_words, np.int32)
        for text, written in WARM_UP:
            ids = tokenizer.encode(written, add_special_tokens=False)
            self._walk(TokenMasker(compile_grammar(text), self.vocabulary), [ids])

    def row(self, grammar: Grammar, ids: list[list[int]]) -> str:
        """Return the cells of a grammar's row."""
        cold = min(self._first_mask(grammar) for _ in range(self.rounds))
        with tempfile.TemporaryDirectory() as folder:
            self._first_mask(grammar, folder)
            warm = min(self._first_mask(grammar, folder) for _ in range(self.rounds))
        rounds = []
        for _ in range(self.rounds):
            automaton = compile_grammar(grammar[0], start=grammar[1])
            walked, new = self._walk(TokenMasker(automaton, self.vocabulary), ids)
            rounds.append(walked)
        times: NDArray[np.float64] = np.min(rounds, axis=0)
        of_new = times[new].mean()
        return f"{cold:.1f} | {warm:.1f} | {cells(times)} | {new.mean():.0%} | {of_new:.0f}"

    def _first_mask(self, grammar: Grammar, cache: str | None = None) -> float:
        """Return the milliseconds to the first mask."""
        began = time.process_time()
        automaton = compile_grammar(grammar[0], start=grammar[1], cache=cache)
        masker = TokenMasker(automaton, self.vocabulary)
        masker.fill_bitmask(masker.start(), self.bits)  # type: ignore[arg-type]
        return (time.process_time() - began) * 1e3

    def _walk(
        self, masker: TokenMasker, texts: list[list[int]]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the microseconds of each mask, and whether its state was new."""
        times, new = [], []
        seen: set[Any] = set()
        for ids in texts:
            state = masker.start()
            for token_id in (*ids, None):
                if state is None:
                    raise RuntimeError("a text is no text of its grammar")
                new.append(state not in seen)
                seen.add(state)
                times.append(timed(lambda at=state: masker.fill_bitmask(at, self.bits)))
                if token_id is not None:
                    state = masker.advance(state, token_id)
        return np.array(times), np.array(new)


class Guidance:
    """llguidance."""

    name = "llguidance"

    def __init__(self, tokenizer: PreTrainedTokenizerFast, rounds: int) -> None:
        import llguidance
        import llguidance.hf

        self.rounds = rounds
        self.module = llguidance
        self.tokenizer = llguidance.hf.from_tokenizer(tokenizer)
        self.bits = np.zeros((len(tokenizer) + 31) // 32, np.int32)

    def row(self, grammar: Grammar, ids: list[list[int]]) -> str:
        """Return the cells of a grammar's row."""
        text = grammar[0]
        if grammar[1] != "start":
            text = f"start: {grammar[1]}\n{text}"
        rounds, firsts = [], []
        for _ in range(self.rounds):
            began = time.process_time()
            compiled = self.module.LLMatcher.grammar_from_lark(text)
            matcher = self.module.LLMatcher(self.tokenizer, compiled, log_level=0)
            if matcher.is_error():
                error = matcher.get_error().splitlines()[0].replace("|", "")
                return f"refused: {error}" + " |" * 7
            self._fill(matcher)
            firsts.append((time.process_time() - began) * 1e3)
            rounds.append(self._walk(matcher, ids))
        return f"{min(firsts):.1f} | | {cells(np.min(rounds, axis=0))} | |"

    def _walk(self, matcher: Any, texts: list[list[int]]) -> list[float]:
        """Return the microseconds of each mask."""
        times = []
        for ids in texts:
            state = matcher.deep_copy()
            for token_id in (*ids, None):
                times.append(timed(lambda at=state: self._fill(at)))
                if token_id is not None and not state.consume_token(token_id):
                    raise RuntimeError("llguidance refuses a text")
        return times

    def _fill(self, state: Any) -> None:
        state.unsafe_compute_mask_ptr(self.bits.ctypes.data, self.bits.nbytes)


def timed(call: Callable[[], object]) -> float:
    """Return the microseconds that a call takes."""
    began = time.process_time()
    call()
    return (time.process_time() - began) * 1e6


def cells(times: Iterable[float]) -> str:
    """Return number, mean, median and 99th percentile."""
    found = np.array(times)
    p50, p99 = np.percentile(found, [50, 99])
    return f"{found.size} | {found.mean():.1f} | {p50:.1f} | {p99:.0f}"


if __name__ == "__main__":
    main()
