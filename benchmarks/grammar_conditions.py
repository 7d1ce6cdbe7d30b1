"""What does a condition beside a grammar cost, at compile time and for each mask?

    python benchmarks/grammar_conditions.py CASES TOKENIZER

CASES is a JSON-lines file of grammars (name, kind, text, valid: a list of texts), TOKENIZER a
tokenizer's folder. Each grammar of kind "lark" is read with a lexer, alone and beside the
conditions of `CONDITIONS`; its valid texts are written token by token, and every mask on the
way is timed, in seconds of the process. Kernels are compiled before.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer

from lmql_like.errors import GrammarError
from lmql_like.grammars import TokenMasker, Vocabulary, compile_formula
from lmql_like.grammars.cfg.reader import read_grammar
from lmql_like.grammars.formulas import TRUE, Derives, char_count, matches, token_count

CONDITIONS = {
    "alone": TRUE,
    "len(X) <= 60": char_count(0, 60),
    'REGEX(X, ".*[a-z].*")': matches("(.|\n)*[a-z](.|\n)*"),
    "both": char_count(0, 60) & matches("(.|\n)*[a-z](.|\n)*"),
    "len(TOKENS(X)) <= 40": token_count(0, 40),
}


def measure(text: str, condition: str, valid: list[str], vocabulary: Vocabulary) -> str:
    """Return a row of the table."""
    began = time.process_time()
    formula = Derives(read_grammar(text)) & CONDITIONS[condition]
    masker = TokenMasker(compile_formula(formula), vocabulary)
    compiled = time.process_time()
    row = np.zeros(vocabulary.n_words, np.int32)
    start = masker.start()
    if start is None:
        return "no text"
    masker.fill_bitmask(start, row)
    first = time.process_time()
    masks, steps, whole = [], [], 0
    for sentence in valid:
        state = start
        for token in vocabulary.encode(sentence.encode()) or []:
            at = time.perf_counter()
            masker.fill_bitmask(state, row)
            masks.append(time.perf_counter() - at)
            at = time.perf_counter()
            following = masker.advance(state, token)
            steps.append(time.perf_counter() - at)
            if following is None:
                break
            state = following
        else:
            whole += masker.is_accepting(state)
    mask = 1e3 * np.array(masks)
    return (
        f"{1e3 * (compiled - began):8.1f} {1e3 * (first - compiled):8.1f} {len(mask):6} "
        f"{np.median(mask):8.3f} {mask.mean():8.3f} {np.percentile(mask, 99):8.2f} "
        f"{1e3 * np.mean(steps):8.3f}   {whole} of {len(valid)}"
    )


def main() -> None:
    """Print the table."""
    cases, tokenizer = sys.argv[1:3]
    vocabulary = Vocabulary.from_tokenizer(AutoTokenizer.from_pretrained(tokenizer))
    rows = [json.loads(line) for line in Path(cases).read_text(encoding="utf-8").splitlines()]
    grammars = [row for row in rows if row["kind"] == "lark"]
    for condition in CONDITIONS:  # compiles the kernels
        for grammar in grammars[:1]:
            measure(grammar["text"], condition, grammar["valid"][:1], vocabulary)
    print("ms: compile, first mask; masks; ms: p50, mean, p99 of masks, mean step; whole texts")
    for grammar in grammars:
        for condition in CONDITIONS:
            try:
                found = measure(grammar["text"], condition, grammar["valid"], vocabulary)
            except GrammarError as error:
                found = f"{error.code}: {error.message}"
            print(f"{grammar['name']:11} {condition:22} {found}", flush=True)


if __name__ == "__main__":
    main()
